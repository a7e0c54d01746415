"""People and slots by the thousand, written straight into the tables; tokens minted with the server's own key."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from uuid import UUID

import psycopg

from app.identity.rules import Principal
from app.identity.tokens import AccessTokens
from tests.proof.served import SECRET_KEY


@dataclass(frozen=True)
class Townsman:
    """Somebody with an account and a token."""

    clinic_id: int
    id: UUID
    role: str

    @cached_property
    def token(self) -> str:
        principal = Principal(self.clinic_id, self.id, self.role, uuid.uuid4(), 1)
        return AccessTokens(SECRET_KEY, "HS256", timedelta(hours=12)).issue(principal, now=datetime.now(UTC))


class Town:
    """A clinic of one scenario. `url` is the owner's: what is measured is read from the tables themselves."""

    def __init__(self, url: str) -> None:
        self.url = url
        with self.tables() as tables:
            row = tables.execute(
                "INSERT INTO clinics (clinic_id, slug) SELECT max(clinic_id) + 1, %s FROM clinics RETURNING clinic_id",
                [f"town-{uuid.uuid4().hex[:12]}"],
            ).fetchone()
            assert row is not None
            self.clinic_id = int(row[0])

    def tables(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self.url, autocommit=True)

    def people(self, role: str, count: int) -> list[Townsman]:
        people = [Townsman(self.clinic_id, uuid.uuid4(), role) for _ in range(count)]
        with (
            self.tables() as tables,
            tables.cursor() as cursor,
            cursor.copy(
                "COPY users (clinic_id, id, email, email_normalized, password_hash, full_name, role) FROM STDIN"
            ) as copy,
        ):
            for person in people:
                email = f"{person.id}@town.test"
                copy.write_row((self.clinic_id, person.id, email, email, "none", "A Townsman", role))
        return people

    def slots(self, doctor: Townsman, count: int, *, minutes: int = 30, shift_minutes: int = 0) -> list[int]:
        """Consecutive hours with a slot in each, beginning the day after tomorrow; `shift` makes doctors overlap."""
        with self.tables() as tables:
            rows = tables.execute(
                """
                INSERT INTO availability_slots (clinic_id, doctor_id, starts_at, ends_at)
                SELECT %(clinic)s, %(doctor)s, start, start + make_interval(mins => %(length)s)
                FROM (SELECT date_trunc('day', now()) + interval '2 days'
                             + make_interval(hours => n, mins => %(shift)s) AS start
                      FROM generate_series(1, %(count)s) n) hours
                RETURNING id
                """,
                {
                    "clinic": self.clinic_id,
                    "doctor": doctor.id,
                    "length": minutes,
                    "shift": shift_minutes,
                    "count": count,
                },
            ).fetchall()
        return sorted(int(str(row[0])) for row in rows)
