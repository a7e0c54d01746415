"""The seed's way: a PostgreSQL of one's own, `.env`, and `uvicorn app.main:app`."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import psycopg
import pytest
from starlette.testclient import TestClient

from app.db import embedded
from app.db.statement import Statement
from app.main import create_app
from tests.cli.home import Home, wait_for
from tests.conftest import SECRET_KEY, settings_for
from tests.proof.served import free_port


@pytest.fixture
def empty_database(postgres: embedded.Attachment, worker_id: str) -> Iterator[str]:
    """The superuser's address of a database in which there is nothing."""
    name = f"empty_{worker_id}"
    with psycopg.connect(postgres.url("postgres", "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        yield postgres.url("postgres", name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_uvicorn_sets_up_an_empty_database_and_serves(empty_database: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        f'DATABASE_URL="{empty_database}"\nSECRET_KEY={SECRET_KEY}\nALGORITHM=HS256\nACCESS_TOKEN_EXPIRE_MINUTES=60\n'
    )
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(port)]
    serving = subprocess.Popen(command, cwd=tmp_path, env=Home(tmp_path).environment)
    try:
        wait_for(port)
        assert register(port) == 201
        with psycopg.connect(empty_database) as connection:
            row = connection.execute("SELECT count(*), min(role) FROM users").fetchone()
        assert row == (1, "patient")
    finally:
        serving.terminate()
        serving.wait(40)
    assert not (tmp_path / "data").exists()


def register(port: int) -> int:
    body = {"email": "ada@clinic.test", "password": "plum-tractor-candle", "full_name": "Ada Okafor"}
    request = Request(
        f"http://127.0.0.1:{port}/auth/register",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urlopen(request) as answer:
        return int(answer.status)


WHO: Statement[tuple[str, str]] = Statement(
    name="who",
    text="SELECT current_user::text, session_user::text",
    row=lambda *names: names,
    columns=("current_user", "session_user"),
    parameters=frozenset(),
    defaults={},
    processors={},
    is_write=False,
)


def test_superuser_works_under_the_role_without_ddl(empty_database: str) -> None:
    with TestClient(create_app(settings_for(empty_database))) as client:
        db = client.app.state.db  # type: ignore[attr-defined]
        assert client.portal
        assert client.portal.call(db.one, WHO) == ("telemed_app", "postgres")
        forbidden = dataclasses.replace(WHO, text="DROP TABLE users")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            client.portal.call(db.execute, forbidden)


def test_database_that_is_not_empty_is_left_to_migrate(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)")
        connection.execute("GRANT SELECT ON alembic_version TO PUBLIC")
        with TestClient(create_app(settings_for(empty_database))) as client:
            answer = client.get("/health/ready")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        row = connection.execute("SELECT to_regclass('users')").fetchone()
        assert row == (None,)
