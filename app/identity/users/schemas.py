"""What is sent and answered about accounts."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from app.http.fields import Answer, Body, FlagText, FreeText, Line, unchanged
from app.http.paging import PageQuery
from app.identity.passwords import LENGTH_MAX, LENGTH_MIN
from app.identity.users.rules import DEFAULT_CLINIC, EMAIL_LENGTH_MAX, time_zones, valid_email

Role = Annotated[Literal["admin", "doctor", "patient"], Field(examples=["doctor"])]


def _known_time_zone(name: str) -> str:
    if name not in time_zones():
        raise ValueError("is not an IANA time zone, such as Europe/Paris")
    return name


Email = Annotated[
    FreeText,
    Field(max_length=EMAIL_LENGTH_MAX, examples=["ada@example.com"], json_schema_extra={"format": "email"}),
    AfterValidator(valid_email),
]
NewPassword = Annotated[FreeText, Field(min_length=LENGTH_MIN, max_length=LENGTH_MAX, examples=["plum-tractor-candle"])]
GivenPassword = Annotated[FreeText, Field(max_length=LENGTH_MAX, examples=["demo-plum-tractor"])]
FullName = Annotated[Line, Field(examples=["Ada Okafor"])]
Specialty = Annotated[Line, Field(examples=["Dermatology"])]
Clinic = Annotated[FreeText, Field(max_length=200, description="The clinic's slug.")]
TimeZone = Annotated[FreeText, Field(max_length=64, examples=["Africa/Lagos"]), AfterValidator(_known_time_zone)]


class Registration(Body):
    """Somebody who wants to become a patient."""

    email: Email
    password: NewPassword
    full_name: FullName
    clinic: Clinic = DEFAULT_CLINIC


class NewUser(Body):
    """Somebody whom an admin gives an account."""

    email: Email
    password: NewPassword
    full_name: FullName
    role: Role
    specialty: Specialty | None = None


class OwnChanges(Body):
    """What people may change of their own account; what is left out stays."""

    full_name: FullName = unchanged()
    time_zone: TimeZone = unchanged()


class UserChanges(Body):
    """What an admin may change of an account; what is left out stays."""

    is_active: Annotated[bool, Field(examples=[True])] = unchanged()
    role: Role = unchanged()
    full_name: FullName = unchanged()
    specialty: Specialty | None = unchanged()


class UserQuery(PageQuery):
    """Which users."""

    role: Role | None = None
    is_active: FlagText | None = None
    email: Annotated[FreeText | None, Field(max_length=EMAIL_LENGTH_MAX)] = None


class DoctorQuery(PageQuery):
    """Which doctors."""

    specialty: Annotated[FreeText | None, Field(max_length=200)] = None
    q: Annotated[FreeText | None, Field(max_length=200, description="Part of the name.")] = None


class User(Answer):
    """An account."""

    id: UUID
    email: str
    full_name: str
    role: Role
    specialty: str | None
    is_active: bool
    time_zone: str
    created_at: datetime


class Doctor(Answer):
    """A doctor as everybody in the clinic sees them."""

    id: UUID
    full_name: str
    specialty: str | None
