import json
import socket
import subprocess
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.cli.home import TELEMED, Home, wait_for
from tests.proof.served import Served, free_port


def test_second_serve_on_the_same_data_is_refused_in_one_line(served: Served, beside: Home) -> None:
    said = beside.refuses("serve", "--port", "1")
    assert str(served.data_dir) in said
    assert served.is_ready()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_port_that_is_taken_is_told_in_one_line(home: Home, workers: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        ended = home.telemed("serve", "--port", str(port), "--workers", workers, expect=None)
    said = (ended.stdout + ended.stderr).strip()
    assert ended.returncode != 0
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1, said
    assert str(port) in said


def test_output_is_one_json_object_a_line_and_errors_too(tmp_path: Path) -> None:
    home, port = Home(tmp_path), free_port()
    with (tmp_path / "log").open("wb") as log:
        serving = subprocess.Popen(
            [*TELEMED, "serve", "--port", str(port)], cwd=tmp_path, env=home.environment, stdout=log, stderr=log
        )
    try:
        wait_for(port)
        with urlopen(f"http://127.0.0.1:{port}/health/live") as answer:
            request_id = answer.headers["x-request-id"]
    finally:
        serving.terminate()
        serving.wait(40)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    line = next(line for line in lines if line.get("request_id") == request_id)
    assert (line["route"], line["status"]) == ("/health/live", 200)
