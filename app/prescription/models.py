"""Table `prescriptions`."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, LargeBinary, Table, UniqueConstraint, func

from app.db.schema import PERSONAL, Instant, Text, Uuid, clinic_id, metadata

prescriptions = Table(
    "prescriptions",
    metadata,
    clinic_id(),
    Column("id", Uuid, primary_key=True),
    Column("consultation_id", Uuid, nullable=False),
    Column("doctor_id", Uuid, nullable=False),
    Column("patient_id", Uuid, nullable=False),
    # Constant: with the foreign key it makes "only a completed consultation" a rule of the database.
    Column("consultation_status", Text, nullable=False, server_default="completed"),
    # Sealed, with one key that `data_keys` has.
    Column("items", LargeBinary, nullable=False),
    Column("notes", LargeBinary),
    Column("idempotency_key", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    ForeignKeyConstraint(
        ["clinic_id", "consultation_id", "doctor_id", "patient_id", "consultation_status"],
        [f"consultations.{name}" for name in ("clinic_id", "id", "doctor_id", "patient_id", "status")],
        name="fk_prescriptions_consultation",
    ),
    UniqueConstraint("clinic_id", "consultation_id"),
    UniqueConstraint("clinic_id", "doctor_id", "idempotency_key", name="uq_prescriptions_idempotency_key"),
    CheckConstraint("consultation_status = 'completed'", name="consultation_status"),
    Index("ix_prescriptions_clinic_id_patient_id_id", "clinic_id", "patient_id", "id"),
    Index("ix_prescriptions_clinic_id_doctor_id_id", "clinic_id", "doctor_id", "id"),
    info={PERSONAL: True},
)
