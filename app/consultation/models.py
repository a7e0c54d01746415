"""Table `consultations`."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKeyConstraint,
    FromClause,
    Index,
    LargeBinary,
    Table,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from app.db.schema import PERSONAL, Instant, Text, Uuid, clinic_id, metadata

consultations = Table(
    "consultations",
    metadata,
    clinic_id(),
    Column("id", Uuid, primary_key=True),
    Column("slot_id", BigInteger, nullable=False),
    Column("doctor_id", Uuid, nullable=False),
    Column("patient_id", Uuid, nullable=False),
    # Constant, for the foreign keys below: they hold both people to their roles.
    Column("doctor_role", Text, nullable=False, server_default="doctor"),
    Column("patient_role", Text, nullable=False, server_default="patient"),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("status", Text, nullable=False, server_default="scheduled"),
    Column("idempotency_key", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    Column("completed_at", Instant),
    Column("cancelled_at", Instant),
    # Sealed, with a key that `data_keys` has.
    Column("cancel_reason", LargeBinary),
    ForeignKeyConstraint(
        ["clinic_id", "slot_id"],
        ["availability_slots.clinic_id", "availability_slots.id"],
        name="fk_consultations_slot",
    ),
    ForeignKeyConstraint(
        ["clinic_id", "doctor_id", "doctor_role"],
        ["users.clinic_id", "users.id", "users.role"],
        name="fk_consultations_doctor",
    ),
    ForeignKeyConstraint(
        ["clinic_id", "patient_id", "patient_role"],
        ["users.clinic_id", "users.id", "users.role"],
        name="fk_consultations_patient",
    ),
    UniqueConstraint("clinic_id", "patient_id", "idempotency_key", name="uq_consultations_idempotency_key"),
    # Prescriptions refer to (clinic, consultation, doctor, patient, status = completed).
    UniqueConstraint("clinic_id", "id", "doctor_id", "patient_id", "status", name="uq_consultations_prescribable"),
    CheckConstraint("status IN ('scheduled', 'completed', 'cancelled')", name="status"),
    CheckConstraint("doctor_role = 'doctor' AND patient_role = 'patient'", name="roles"),
    CheckConstraint(
        "(status = 'completed') = (completed_at IS NOT NULL)"
        " AND (status = 'cancelled') = (cancelled_at IS NOT NULL)"
        " AND (cancel_reason IS NULL OR status = 'cancelled')",
        name="marks_of_status",
    ),
    ExcludeConstraint(
        ("clinic_id", "="),
        ("patient_id", "="),
        (text("tstzrange(starts_at, ends_at)"), "&&"),
        where=text("status = 'scheduled'"),
        using="gist",
        name="ex_consultations_patient_overlap",
    ),
    Index(
        "uq_consultations_slot_id_live",
        "clinic_id",
        "slot_id",
        unique=True,
        postgresql_where=text("status <> 'cancelled'"),
    ),
    Index("ix_consultations_clinic_id_patient_id_starts_at_id", "clinic_id", "patient_id", "starts_at", "id"),
    Index("ix_consultations_clinic_id_doctor_id_starts_at_id", "clinic_id", "doctor_id", "starts_at", "id"),
    Index("ix_consultations_clinic_id_status_starts_at_id", "clinic_id", "status", "starts_at", "id"),
    info={PERSONAL: True},
)

PUBLIC = (
    "id", "slot_id", "doctor_id", "patient_id", "status", "starts_at", "ends_at", "created_at", "completed_at",
    "cancelled_at", "cancel_reason",
)  # fmt: skip


def public(source: FromClause = consultations) -> list[ColumnElement[Any]]:
    """The columns of `rules.Consultation`, in its order; the last one, why it was cancelled, is sealed."""
    return [source.c[name] for name in PUBLIC]
