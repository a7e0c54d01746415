from app.db import migrate
from tests.cli.home import Home


def test_migrate_says_where_the_schema_is_and_may_be_repeated(home: Home) -> None:
    for _ in range(2):
        assert home.telemed("migrate").stdout == f"The schema is at {migrate.head()}.\n"


def test_database_that_is_away_is_told_in_one_line(home: Home) -> None:
    away = Home(
        home.folder, DATABASE_URL="postgresql://a:canary@localhost:1/c", SECRET_KEY="x" * 16 + "0123456789abcdef"
    )
    for command in (("migrate",), ("clinic", "create", "north")):
        said = away.refuses(*command)
        assert "canary" not in said
    said = away.refuses(
        *["user", "create", "a@b.test", "--role", "admin", "--name", "A", "--password-stdin"],
        given="plum-tractor-candle\n",
    )
    assert "canary" not in said
