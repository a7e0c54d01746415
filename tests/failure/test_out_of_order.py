"""PostgreSQL has no room, no memory, a broken disk: whoever asks is told to come back, and nothing is a bug of ours."""

import psycopg
import pytest

from app.db import embedded
from tests.cast import fresh_key
from tests.conftest import apart

FULL = """
    CREATE FUNCTION out_of_order() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '{sqlstate}'; END $$;
    CREATE TRIGGER tr_out_of_order BEFORE INSERT ON consultations FOR EACH ROW EXECUTE FUNCTION out_of_order();
"""


@pytest.mark.parametrize("sqlstate", ["53100", "53200", "53400", "58030"])
def test_booking_is_503_while_postgresql_is_out_of_order_and_201_after(
    postgres: embedded.Attachment, sqlstate: str
) -> None:
    with apart(postgres, f"out_of_order_{sqlstate}") as (clinic, url), psycopg.connect(url, autocommit=True) as owner:
        slot, key = clinic.dora.offers(), fresh_key()
        clinic.paul.gets("/users/me", expect=200)
        owner.execute(FULL.format(sqlstate=sqlstate))
        refused = clinic.paul.books(slot, key=key, expect=503)
        assert refused.json()["code"] == "unavailable"
        assert "retry-after" in refused.headers
        owner.execute("DROP TRIGGER tr_out_of_order ON consultations")
        booked = clinic.paul.books(slot, key=key, expect=201)
        assert clinic.paul.books(slot, key=key, expect=201).content == booked.content
