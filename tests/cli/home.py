"""`telemed` as a person runs it: a process, with a data folder of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
TELEMED = (sys.executable, "-m", "app.cli")


class Home:
    """A folder in which somebody works with `telemed`."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self._more = environment

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ}
        return {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "TELEMED_DATA_DIR": str(self.data_dir),
            "BCRYPT_COST": "4",
            **self._more,
        }

    def telemed(
        self, *arguments: str | bytes, given: str | bytes = b"", expect: int | None = 0
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        ended = subprocess.run(
            [*TELEMED, *arguments],
            cwd=self.folder,
            env=self.environment,
            input=given.encode() if isinstance(given, str) else given,
            capture_output=True,
            timeout=100,
            check=False,
        )
        decoded = subprocess.CompletedProcess(
            ended.args, ended.returncode, ended.stdout.decode(), ended.stderr.decode(errors="replace")
        )
        if expect is not None:
            assert decoded.returncode == expect, decoded.stdout + decoded.stderr
        return decoded

    def refuses(self, *arguments: str | bytes, given: str | bytes = b"") -> str:
        """Run a command that cannot be done: exit code 1, and one line on standard error, which is returned."""
        ended = self.telemed(*arguments, given=given, expect=1)
        lines = ended.stderr.splitlines()
        assert len(lines) == 1, ended.stderr
        assert not ended.stdout, ended.stdout
        assert lines[0].startswith("telemed: ")
        return lines[0]


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise AssertionError("it does not serve")
