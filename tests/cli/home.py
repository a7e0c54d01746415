"""`telemed` as a person runs it: a process, with a data folder of its own.

Each is forked from one that has imported `app.cli`: a command takes a tenth of a second instead of two. What a server
is started with (`TELEMED`) is a process from its first instruction on.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.cli import child

ROOT = Path(__file__).resolve().parents[2]
TELEMED = (sys.executable, "-m", "app.cli")
COMMAND_S_MAX = 100
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["app.cli", child.__name__])


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
        with tempfile.TemporaryDirectory() as folder:
            given_file, said, complained = files = [Path(folder, name) for name in ("given", "said", "complained")]
            for file in files:
                file.touch()
            given_file.write_bytes(given.encode() if isinstance(given, str) else given)
            code = self._run([os.fsencode(word) for word in arguments], files)
            ended = subprocess.CompletedProcess(
                arguments, code, said.read_text(), complained.read_text(errors="replace")
            )
        if expect is not None:
            assert ended.returncode == expect, ended.stdout + ended.stderr
        return ended

    def _run(self, words: list[bytes], files: list[Path]) -> int:
        command = _FORKED.Process(target=child.run, args=(words, self.folder, self.environment, files))
        command.start()
        command.join(COMMAND_S_MAX)
        if command.exitcode is None:
            command.kill()
            raise AssertionError(f"{words} takes longer than {COMMAND_S_MAX} s")
        return command.exitcode

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
