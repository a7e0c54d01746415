"""What every table shares: one `MetaData` and the names of constraints, which are part of our interface."""

from sqlalchemy import Column, Integer, MetaData
from sqlalchemy.types import DateTime, Text, Uuid

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    }
)

# Of a table, in its `info`: row-level security decides by who asks.
PERSONAL = "personal"

Instant = DateTime(timezone=True)


def clinic_id() -> Column[int]:
    """The first column of every key: the clinic is the shard (docs/decisions/0002)."""
    return Column("clinic_id", Integer, primary_key=True, autoincrement=False)


__all__ = ["PERSONAL", "Instant", "Text", "Uuid", "clinic_id", "metadata"]
