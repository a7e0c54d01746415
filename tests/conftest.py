"""One PostgreSQL for the whole run, one database for each worker, one clinic for each test.

The clinic is the shard, so a new clinic is as good as a new database: tests commit for real and never meet.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from starlette.testclient import TestClient

from app import worker
from app.db import embedded, migrate
from app.main import create_app
from app.settings import Settings
from tests.cast import Clinic, found_clinic
from tests.mailbox import SECRET_KEY, Mailbox

FAST_AND_LOOSE = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "300",
    # Counts statements independently of our own counter; see tests/laws.
    "shared_preload_libraries": "pg_stat_statements",
}
TEMPLATE = "telemed"


@pytest.fixture(scope="session", autouse=True)
def _nobody_tidies_up() -> Iterator[None]:
    """Jobs run when a test says so: in the middle of another one they would take away the rows that it counts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "FIRST_AFTER_S", (86_400.0, 86_400.0))
        patch.setattr(worker, "MAIL_EVERY_S", (86_400.0, 86_400.0))
        patch.setattr(worker, "SEAL_EVERY_S", (86_400.0, 86_400.0))
        yield


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Attachment]:
    """The server, shared by the workers of this run: the last one to leave stops it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with embedded.attach(shared / "postgres", parameters=FAST_AND_LOOSE) as attachment:
        migrate.upgrade(attachment.url("telemed_owner"), app_role="telemed_app")
        yield attachment


@pytest.fixture(scope="session")
def database_url(postgres: embedded.Attachment) -> Iterator[str]:
    """The owner's address of this worker's database."""
    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with cloned(postgres, name) as url:
        yield url


@contextmanager
def cloned(postgres: embedded.Attachment, name: str) -> Iterator[str]:
    """A copy of the migrated database under a name of its own: 0.1 s instead of a migration."""
    with psycopg.connect(postgres.url("postgres", "postgres"), autocommit=True) as connection:
        # Two clones at a time disturb each other: the template must have no other session.
        connection.execute("SELECT pg_advisory_lock(1)")
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER telemed_owner")
        connection.execute("SELECT pg_advisory_unlock(1)")
        yield postgres.url("telemed_owner", name)
        if "TELEMED_CANARIES" in os.environ:
            # Looked through when all tests are over: tests/proof/canary.py.
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            connection.execute(f"ALTER DATABASE {name} RENAME TO kept_{uuid.uuid4().hex[:12]}")
        else:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def settings_for(database_url: str, **changes: object) -> Settings:
    """Settings that do not depend on the environment; password hashes are as cheap as bcrypt allows."""
    values: dict[str, object] = {
        "database_url": database_url,
        "secret_key": SECRET_KEY,
        "bcrypt_cost": 4,
        "log_level": "warning",
        # All tests come from one network.
        "rate_limits": "off",
        # Some patients of the tests book all day long.
        "bookings_ahead_max": 0,
        **changes,
    }
    return Settings(_env_file=None, **values)


@pytest.fixture(scope="session")
def client(database_url: str) -> Iterator[TestClient]:
    """The application, started once for a worker."""
    app = create_app(settings_for(database_url))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@contextmanager
def apart(postgres: embedded.Attachment, name: str, **changes: object) -> Iterator[tuple[Clinic, str]]:
    """A clinic in an application and a database of its own, and the superuser's address of that database."""
    name = f"{name}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with cloned(postgres, name) as url:
        app = create_app(settings_for(url, **changes))
        with TestClient(app, raise_server_exceptions=False) as client:
            yield found_clinic(client), postgres.url("postgres", name)


@pytest.fixture
def clinic(client: TestClient) -> Clinic:
    """A clinic of this test's own; see `tests/cast.py` for the people in it."""
    return found_clinic(client)


@pytest.fixture
def elsewhere(client: TestClient) -> Clinic:
    """Another clinic in the same database."""
    return found_clinic(client)


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection as the role that migrates, for looking at tables and turning back clocks."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def as_application(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection under the application's role, on behalf of a job: nobody may do more."""
    with psycopg.connect(
        database_url, autocommit=True, options="-c role=telemed_app -c telemed.role=system"
    ) as connection:
        yield connection


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's DATABASE_URL or `.env` may reach a test."""
    for name in ("DATABASE_URL", "SECRET_KEY", "PEPPER", "ALGORITHM", "ACCESS_TOKEN_EXPIRE_MINUTES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def mailbox(clinic: Clinic, tmp_path: Path) -> Mailbox:
    """What the people of this test's clinic find in their mail."""
    return Mailbox(clinic, tmp_path / "mail")
