"""As root, as an ordinary user, as one without a name, without namespaces; with another PostgreSQL."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.house import Ask, House

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
OLD = "/usr/lib/postgresql/15/bin"
NO_NAMESPACES = (sys.executable, str(Path(__file__).with_name("without_namespaces.py")))


@pytest.fixture
def open_house(house: House) -> Iterator[House]:
    """A folder that every user can reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    house.data_dir = folder / "data"
    yield house
    house.clear()
    # A server that stops takes away files of its own meanwhile.
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@needs_root
def test_root_keeps_its_files_in_a_closed_folder(house: House) -> None:
    house.data_dir.parent.chmod(0o700)
    house.attach()
    assert {path.stat().st_uid for path in house.data_dir.rglob("*")} == {0}


@needs_root
@pytest.mark.parametrize("uid", [1, 12345], ids=["named", "nameless"])
def test_ordinary_user(open_house: House, uid: int) -> None:
    child = open_house.spawn(str(uid), python=_python_for_all())
    assert open_house.say_of(child)["user"] == "telemed_app"
    assert {path.stat().st_uid for path in open_house.data_dir.rglob("*")} == {uid}


@needs_root
def test_root_shares_the_server_of_an_ordinary_user(open_house: House) -> None:
    child = open_house.spawn("12345", python=_python_for_all())
    assert open_house.say_of(child)["pid"] == open_house.attach().pid


@needs_root
def test_root_starts_the_server_of_an_ordinary_user_as_that_user(open_house: House) -> None:
    open_house.leave(open_house.spawn("12345", python=_python_for_all()))
    open_house.attach().close()
    assert {path.stat().st_uid for path in open_house.data_dir.rglob("*")} == {12345}
    child = open_house.spawn("12345", python=_python_for_all())
    assert open_house.say_of(child)["user"] == "telemed_app"


@needs_root
def test_root_is_nobody_where_namespaces_are_forbidden(open_house: House) -> None:
    _skip_unless_namespaces_can_be_forbidden()
    for _ in range(2):
        child = open_house.spawn(prefix=NO_NAMESPACES)
        assert open_house.say_of(child)["user"] == "telemed_app"
        assert {path.stat().st_uid for path in open_house.data_dir.glob("pg*/*")} == {65534}
        open_house.leave(child)


@needs_root
def test_folder_that_nobody_can_reach_is_named(open_house: House) -> None:
    _skip_unless_namespaces_can_be_forbidden()
    closed = open_house.data_dir / "closed"
    closed.mkdir(parents=True, mode=0o700)
    open_house.data_dir = closed / "data"
    error = open_house.say_of(open_house.spawn(prefix=NO_NAMESPACES))["error"]
    assert f"because {closed.parent} is closed" in error or f"because {closed} is closed" in error
    assert open_house.data_dir.stat().st_uid == 0


@needs_root
def test_folder_below_another_users_closed_folder_is_named(open_house: House) -> None:
    home = open_house.data_dir / "home"
    home.mkdir(parents=True, mode=0o700)
    os.chown(home, 12345, 12345)
    open_house.data_dir = home / "data"
    error = open_house.say_of(open_house.spawn())["error"]
    assert f"because {home} is closed" in error
    assert error.endswith("move it elsewhere")


@pytest.mark.skipif(not Path(OLD).exists(), reason=f"no PostgreSQL in {OLD}")
def test_older_postgresql(house: House, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BINDIR", OLD)
    url = house.attach().url()
    assert ask(url, "SHOW server_version").startswith("15.")
    assert (house.data_dir / "pg15").is_dir()


def _python_for_all() -> str:
    """This Python, or the system's of the same version where ours lies in a closed folder."""
    system = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    for candidate in (Path(sys.executable), system):
        folders = candidate.resolve().parents
        if candidate.exists() and all(folder.stat().st_mode & stat.S_IXOTH for folder in folders):
            return str(candidate)
    pytest.skip("no Python that other users can reach")


def _skip_unless_namespaces_can_be_forbidden() -> None:
    command = [*NO_NAMESPACES, "/usr/bin/unshare", "--user", "true"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No space left" not in tried.stderr:
        pytest.skip(f"namespaces can't be forbidden here: {tried.stderr.strip()}")
