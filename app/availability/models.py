"""Table `availability_slots`."""

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKeyConstraint, Identity, Index, Table, func, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from app.db.schema import Instant, Text, Uuid, clinic_id, metadata

availability_slots = Table(
    "availability_slots",
    metadata,
    clinic_id(),
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("doctor_id", Uuid, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    # open ⇄ booked; open → withdrawn.
    Column("status", Text, nullable=False, server_default="open"),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    ForeignKeyConstraint(["clinic_id", "doctor_id"], ["users.clinic_id", "users.id"]),
    CheckConstraint("status IN ('open', 'booked', 'withdrawn')", name="status"),
    CheckConstraint("ends_at - starts_at BETWEEN interval '5 minutes' AND interval '12 hours'", name="length"),
    ExcludeConstraint(
        ("clinic_id", "="),
        ("doctor_id", "="),
        (text("tstzrange(starts_at, ends_at)"), "&&"),
        where=text("status <> 'withdrawn'"),
        using="gist",
        name="ex_availability_slots_doctor_overlap",
    ),
    Index(
        "ix_availability_slots_clinic_id_starts_at_id_open",
        "clinic_id",
        "starts_at",
        "id",
        postgresql_include=["doctor_id", "ends_at"],
        postgresql_where=text("status = 'open'"),
    ),
    Index(
        "ix_availability_slots_clinic_id_starts_at_id_booked",
        "clinic_id",
        "starts_at",
        "id",
        postgresql_where=text("status = 'booked'"),
    ),
    Index("ix_availability_slots_clinic_id_doctor_id_starts_at_id", "clinic_id", "doctor_id", "starts_at", "id"),
)
