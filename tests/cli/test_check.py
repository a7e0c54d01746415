import pytest

from tests.cli.home import Home

NAMES = ["settings", "database", "schema", "time zone", "clinical text", "disk"]


def test_each_check_is_one_line(beside: Home) -> None:
    lines = beside.telemed("check").stdout.splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [["ok", name] for name in NAMES]


def test_schema_that_is_missing_is_told_with_what_to_do(home: Home) -> None:
    lines = home.telemed("check", expect=1).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "ok", "FAIL", "ok", "FAIL", "ok"]
    assert "telemed migrate" in lines[2]


def test_database_that_is_away_fails_what_depends_on_it(home: Home) -> None:
    away = Home(
        home.folder, DATABASE_URL="postgresql://a:canary@localhost:1/c", SECRET_KEY="x" * 16 + "0123456789abcdef"
    )
    ended = away.telemed("check", expect=1)
    lines = ended.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "FAIL", "FAIL", "FAIL", "FAIL", "ok"]
    assert "canary" not in ended.stdout + ended.stderr
    assert not ended.stderr


@pytest.mark.parametrize(("name", "value"), [("SECRET_KEY", "short"), ("ALGORITHM", "none"), ("DATABASE_URL", "x")])
def test_wrong_setting_is_the_only_line(home: Home, name: str, value: str) -> None:
    ended = Home(home.folder, **{name: value}).telemed("check", expect=1)
    assert len(ended.stdout.splitlines()) == 1
    assert ended.stdout.startswith("FAIL settings: ")
    assert name in ended.stdout
    assert not ended.stderr
