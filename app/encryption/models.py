"""Table `data_keys`."""

from sqlalchemy import CheckConstraint, Column, Index, LargeBinary, Table

from app.db.schema import PERSONAL, Text, Uuid, clinic_id, metadata

data_keys = Table(
    "data_keys",
    metadata,
    clinic_id(),
    Column("record_id", Uuid, primary_key=True),
    # Which text of the record: a grant has two, written at different times.
    Column("part", Text, primary_key=True),
    Column("patient_id", Uuid, nullable=False),
    # Begins with the id of the secret that wraps it.
    Column("wrapped", LargeBinary, nullable=False),
    CheckConstraint("part IN ('prescription', 'cancellation', 'emergency', 'review')", name="part"),
    Index("ix_data_keys_clinic_id_patient_id", "clinic_id", "patient_id"),
    info={PERSONAL: True},
)
