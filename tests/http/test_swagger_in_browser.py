"""Swagger UI in a real browser: *Authorize*, a booking, and nothing from another host."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs/screenshots/make_swagger_screenshot.py"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
START_S_MAX = 60

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[str]:
    """The address of a demo clinic, served by `telemed demo --serve`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TELEMED_DATA_DIR": str(tmp_path / "data")}
    with (tmp_path / "demo.txt").open("wb") as said:
        served = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "demo", "--serve", "--port", str(port)],
            cwd=tmp_path,
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_ready(served, f"http://localhost:{port}", said=tmp_path / "demo.txt")
        yield f"http://localhost:{port}"
    finally:
        served.send_signal(signal.SIGTERM)
        served.wait(timeout=START_S_MAX)


def wait_until_ready(served: subprocess.Popen[bytes], url: str, *, said: Path) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        assert served.poll() is None, said.read_text()
        try:
            urllib.request.urlopen(f"{url}/health/ready", timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        else:
            return
        time.sleep(0.05)
    raise AssertionError(said.read_text())


def test_patient_books_a_slot_through_swagger_ui(demo: str, tmp_path: Path) -> None:
    picture = tmp_path / "swagger.png"
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), "--url", demo, "--picture", str(picture), "--chromium", str(CHROMIUM)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
