import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.home import TELEMED, Home, wait_for
from tests.cli.test_db_url import ask
from tests.proof.served import free_port


def test_demo_is_for_the_embedded_server_only(home: Home) -> None:
    own = Home(home.folder, DATABASE_URL="postgresql://a:b@localhost:1/c", SECRET_KEY="x" * 16 + "0123456789abcdef")
    said = own.refuses("demo")
    assert "DATABASE_URL" in said
    assert "demo-plum" not in said


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A folder in which `telemed demo` has been run."""
    home = Home(tmp_path_factory.mktemp("demo"))
    home.telemed("demo")
    return home


def counts(demo: Home) -> str:
    # The server lives as long as a command: one statement, asked through a command that waits.
    port = free_port()
    served = subprocess.Popen(
        [*TELEMED, "serve", "--port", str(port)],
        cwd=demo.folder,
        env=demo.environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        url = demo.telemed("db", "url", "--owner").stdout.strip()
        statement = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM availability_slots)"
        return ask(url, statement).stdout
    finally:
        served.terminate()
        served.wait(40)


def test_demo_may_be_repeated(demo: Home) -> None:
    before = counts(demo)
    assert before.startswith("5|")
    demo.telemed("demo")
    assert counts(demo) == before


def test_three_lines_really_book_a_slot(demo: Home) -> None:
    port = free_port()
    with (demo.folder / "screen").open("wb") as screen:
        serving = subprocess.Popen(
            [*TELEMED, "demo", "--serve", "--port", str(port)], cwd=demo.folder, env=demo.environment, stdout=screen
        )
    try:
        wait_for(port)
        lines = [line.strip() for line in (demo.folder / "screen").read_text().splitlines()]
        commands = [line for line in lines if line.startswith(("TOKEN=", "curl "))]
        assert len(commands) == 3
        # Twice the last one: the answer is the same.
        script = "\necho\n".join([*commands, commands[-1]])
        ended = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, timeout=60, check=True)
        answers = [line for line in ended.stdout.splitlines() if line]
        assert '"status":"open"' in answers[0]
        assert '"status":"scheduled"' in answers[1]
        assert answers[1] == answers[2]
    finally:
        serving.terminate()
        serving.wait(40)


def test_screen_is_plain_where_it_is_no_terminal(demo: Home) -> None:
    ended = demo.telemed("demo")
    assert "\x1b" not in ended.stdout
    assert "Loading" not in ended.stdout + ended.stderr
    assert re.search(r"paul@demo\.example +demo-plum-tractor", ended.stdout)


def test_progress_is_shown_on_a_terminal(tmp_path: Path) -> None:
    home = Home(tmp_path, TERM="xterm", COLUMNS="80")
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*TELEMED, "demo"], cwd=tmp_path, env=home.environment, stdout=follower, stderr=follower
    ) as demo:
        os.close(follower)
        shown = b""
        while True:
            try:
                chunk = os.read(leader, 65536)
            except OSError:
                break
            if not chunk:
                break
            shown += chunk
    os.close(leader)
    assert demo.returncode == 0
    assert b"Loading the demo clinic" in shown
