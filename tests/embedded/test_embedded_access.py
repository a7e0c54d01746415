"""Who may do what in the new database, by which way, and what is never written down."""

import stat
from pathlib import Path

import psycopg
import pytest

from app.db.embedded import EmbeddedServerError, attach, supervisor
from app.db.embedded.supervisor import bound_log
from tests.embedded.house import Ask, House


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.forbidden ()",
        "CREATE TEMPORARY TABLE forbidden ()",
        "CREATE SCHEMA forbidden",
        "CREATE EXTENSION btree_gist",
        "CREATE ROLE forbidden",
    ],
)
def test_application_may_not_define_anything(house: House, ask: Ask, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(house.attach().url(), statement)


def test_owner_may_define_tables_and_extensions(house: House, ask: Ask) -> None:
    url = house.attach().url("telemed_owner")
    ask(url, "CREATE EXTENSION btree_gist; CREATE EXTENSION pg_trgm; CREATE TABLE notes ()")
    ask(url, "GRANT SELECT ON notes TO telemed_app")
    assert ask(url, "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'public'") == "telemed_owner"


def test_owner_is_a_member_of_the_application(house: House, ask: Ask) -> None:
    url = house.attach().url("telemed_owner")
    assert ask(url, "SELECT pg_has_role('telemed_owner', 'telemed_app', 'MEMBER')") is True


def test_postgres_is_the_superuser(house: House, ask: Ask) -> None:
    url = house.attach().url("postgres", "postgres")
    assert ask(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is True


def test_database_is_utf8_in_utc_with_a_plain_order(house: House, ask: Ask) -> None:
    url = house.attach().url()
    assert ask(url, "SHOW server_encoding") == "UTF8"
    assert ask(url, "SHOW timezone") == "UTC"
    assert ask(url, "SELECT datcollate FROM pg_database WHERE datname = 'telemed'") == "C.UTF-8"


def test_there_is_no_way_in_but_the_socket_in_a_closed_folder(house: House, ask: Ask) -> None:
    attachment = house.attach()
    assert ask(attachment.url(), "SHOW listen_addresses") == ""
    assert stat.S_IMODE(attachment.data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((attachment.data_dir / ".s.PGSQL.5432").stat().st_mode) == 0o700


def test_open_folder_is_closed_when_it_is_empty(house: House) -> None:
    house.data_dir.mkdir(mode=0o755)
    assert stat.S_IMODE(house.attach().data_dir.stat().st_mode) == 0o700


def test_open_folder_with_other_files_is_refused_and_left_alone(house: House) -> None:
    house.data_dir.mkdir(mode=0o755)
    (house.data_dir / "thesis.txt").touch()
    with pytest.raises(EmbeddedServerError, match="holds other files and is open to other users; choose"):
        house.attach()
    assert stat.S_IMODE(house.data_dir.stat().st_mode) == 0o755


def test_patients_do_not_reach_the_log(house: House) -> None:
    attachment = house.attach()
    with psycopg.connect(attachment.url("telemed_owner"), autocommit=True) as connection:
        connection.execute("CREATE TABLE patients (name text PRIMARY KEY)")
        for _ in range(2):
            with_errors(connection, "INSERT INTO patients VALUES (%s)", "Ada Lovelace")
        with_errors(connection, "SELECT %s::date", "Ada Lovelace")
        with_errors(connection, "SELECT 'Ada Lovelace'::uuid", None)
    attachment.close()
    assert "Lovelace" not in attachment.log_path.read_text()


def test_path_too_long_for_a_socket_works_all_the_same(house: House, ask: Ask) -> None:
    house.data_dir = house.data_dir / ("deep" * 20) / ("deeper" * 10)
    attachment = house.attach()
    assert ask(attachment.url(), "SELECT 1") == 1
    socket_dir = Path(ask(attachment.url("postgres"), "SHOW unix_socket_directories"))
    assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
    attachment.close()
    assert not socket_dir.exists()


@pytest.mark.parametrize("name", ["with space", "a,b", "100% 'quoted' \"twice\"", "@host:5432?x=y&z#", "Ärztin", " "])
def test_odd_folder_names_work(house: House, ask: Ask, name: str) -> None:
    house.data_dir = house.data_dir / name
    assert ask(house.attach().url(), "SELECT 1") == 1


def test_environment_meant_for_other_servers_is_ignored(
    house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGPORT": "6000",
        "PGDATA": "/nowhere",
        "LC_ALL": "xx_XX",
        "LANG": "xx_XX",
        "TZ": "Asia/Tokyo",
    }.items():
        monkeypatch.setenv(name, value)
    assert ask(house.attach().url(), "SELECT 1") == 1


def with_errors(connection: psycopg.Connection, statement: str, value: str | None) -> None:
    try:
        connection.execute(statement, None if value is None else [value])
    except psycopg.Error:
        return


def test_secrets_of_the_application_do_not_reach_the_server(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "opensesame")
    environment = Path(f"/proc/{house.attach().pid}/environ").read_bytes()
    assert environment
    assert b"opensesame" not in environment


def test_log_is_cut_when_it_grows_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOG_BYTES_MAX", 10)
    log = tmp_path / "postgres.log"
    log.write_text("more than ten")
    bound_log(log)
    assert log.read_text() == ""
    assert (tmp_path / "postgres.log.1").read_text() == "more than ten"


def test_default_keeps_every_commit_on_disk(house: House, ask: Ask) -> None:
    with attach(house.data_dir) as attachment:
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            assert ask(attachment.url(), f"SHOW {name}") == "on"
