import subprocess

from app.db.embedded.installation import binaries
from tests.cli.home import Home


def ask(url: str, statement: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [binaries() / "psql", "-XAtc", statement, url], capture_output=True, text=True, timeout=20, check=False
    )


def test_address_is_good_for_psql_and_of_the_role_without_ddl(beside: Home) -> None:
    url = beside.telemed("db", "url").stdout.strip()
    assert len(url.splitlines()) == 1
    assert ask(url, "SELECT current_user, slug FROM clinics WHERE slug = 'main'").stdout == "telemed_app|main\n"
    assert "permission denied" in ask(url, "CREATE TABLE t ()").stderr
    assert "must be owner" in ask(url, "DROP TABLE users").stderr


def test_owner_is_asked_for(beside: Home) -> None:
    url = beside.telemed("db", "url", "--owner").stdout.strip()
    assert ask(url, "SELECT current_user").stdout == "telemed_owner\n"


def test_address_of_ones_own_server_takes_the_role_too(home: Home, database_url: str) -> None:
    own = Home(home.folder, DATABASE_URL=database_url, SECRET_KEY="x" * 16 + "0123456789abcdef")
    assert ask(own.telemed("db", "url").stdout.strip(), "SELECT current_user").stdout == "telemed_app\n"
    assert own.telemed("db", "url", "--owner").stdout.strip() == database_url
