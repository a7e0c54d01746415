"""Table `rate_counts`."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table

from app.db.schema import clinic_id, metadata

# Not logged: a count that is lost when PostgreSQL crashes lets somebody begin a minute anew, and no more.
rate_counts = Table(
    "rate_counts",
    metadata,
    # 0 where the caller's clinic is not known yet.
    clinic_id(),
    # A keyed hash of the limit's name and of who is counted: no address lies in the database.
    Column("bucket", LargeBinary, primary_key=True),
    # Since 1970.
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("requests", Integer, nullable=False),
    Index(None, "minute"),
    prefixes=["UNLOGGED"],
)
