"""Tables `clinics` and `users`."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    any_,
    func,
    literal_column,
    text,
)

from app.db.schema import PERSONAL, Instant, Text, Uuid, clinic_id, metadata

clinics = Table(
    "clinics",
    metadata,
    clinic_id(),
    # On Citus `clinics` is a reference table: the one key that does not begin with the clinic.
    Column("slug", Text, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    # Whose users do nothing before they have a second factor.
    Column("second_factor_roles", ARRAY(Text), nullable=False, server_default="{}"),
    # What a patient may have ahead, and book in a day; of the deployment where there is none, 0 for no limit.
    Column("bookings_ahead_max", Integer),
    Column("bookings_a_day_max", Integer),
    CheckConstraint("bookings_ahead_max >= 0", name="bookings_ahead_max"),
    CheckConstraint("bookings_a_day_max >= 0", name="bookings_a_day_max"),
    CheckConstraint("second_factor_roles <@ ARRAY['admin', 'doctor']", name="second_factor_roles"),
)

_IS_WORKING_DOCTOR = text("role = 'doctor' AND is_active")

users = Table(
    "users",
    metadata,
    clinic_id(),
    Column("id", Uuid, primary_key=True),
    Column("email", Text, nullable=False),
    Column("email_normalized", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("full_name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("specialty", Text),
    Column("is_active", Boolean, nullable=False, server_default="true"),
    Column("time_zone", Text, nullable=False, server_default="UTC"),
    # Raised by whatever must end the tokens that are out; a token carries the version it was made under.
    Column("token_version", Integer, nullable=False, server_default="1"),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    # When its owner first proved to read what is sent to `email`. Nothing is refused without it.
    Column("email_confirmed_at", Instant),
    ForeignKeyConstraint(["clinic_id"], ["clinics.clinic_id"]),
    UniqueConstraint("clinic_id", "email_normalized"),
    # Consultations refer to (clinic, user, role): who has a history keeps the role. In this order it also lists a role.
    UniqueConstraint("clinic_id", "role", "id"),
    CheckConstraint("role IN ('admin', 'doctor', 'patient')", name="role"),
    CheckConstraint("specialty IS NULL OR role = 'doctor'", name="specialty_of_doctor"),
    Index(
        "ix_users_clinic_id_full_name_id_doctor",
        "clinic_id",
        "full_name",
        "id",
        postgresql_where=_IS_WORKING_DOCTOR,
    ),
    Index(
        "ix_users_clinic_id_specialty_full_name_id_doctor",
        "clinic_id",
        text("lower(specialty)"),
        "full_name",
        "id",
        postgresql_where=_IS_WORKING_DOCTOR,
    ),
    # The trigrams of the name.
    Index(
        "ix_users_clinic_id_name_parts_doctor",
        "clinic_id",
        literal_column("lower(full_name)").label("name"),
        postgresql_using="gin",
        postgresql_ops={"name": "gin_trgm_ops"},
        postgresql_with={"fastupdate": "off"},
        postgresql_where=_IS_WORKING_DOCTOR,
    ),
    Index("ix_users_clinic_id_id_inactive", "clinic_id", "id", postgresql_where=text("NOT is_active")),
    info={PERSONAL: True},
)

# Views of what everybody in a clinic may know of others: who is no admin sees nobody else's row of `users`. They are no
# tables of the migrations'.
_views = MetaData()

doctors = Table(
    "doctors",
    _views,
    Column("clinic_id", Integer),
    Column("id", Uuid),
    Column("full_name", Text),
    Column("specialty", Text),
    Column("is_active", Boolean),
)

# Doctors and admins, by name.
staff = Table("staff", _views, Column("clinic_id", Integer), Column("id", Uuid), Column("full_name", Text))

# That there is such a patient, and no more.
patients = Table("patients", _views, Column("clinic_id", Integer), Column("id", Uuid))

# Whether the clinic demands a second factor of this user: of a row of `users` beside that of its clinic.
IS_FACTOR_DEMANDED: ColumnElement[bool] = users.c.role == any_(clinics.c.second_factor_roles)
