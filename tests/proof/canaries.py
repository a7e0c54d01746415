"""A plugin of pytest for `tests/proof/canary.py`: notes what tests send, and keeps what would be thrown away.

`python -m pytest -p tests.proof.canaries`, with a folder in TELEMED_CANARIES.
"""

import atexit
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from app.observability import logs

FOLDER = "TELEMED_CANARIES"
CLINICAL, PERSONAL = "clinical", "personal"
KINDS = {
    **dict.fromkeys(("medication", "dosage", "frequency", "instructions", "notes", "reason", "note"), CLINICAL),
    **dict.fromkeys(("email", "full_name", "password", "new_password"), PERSONAL),
}
# Shorter ones are found everywhere.
LENGTH_MIN = 8


def pytest_configure() -> None:
    """In this process, which is one of the workers or all of them."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    _note_requests(Path(folder) / f"canaries.{worker}")
    _log_everything(Path(folder) / f"logs.{worker}")


def _note_requests(path: Path) -> None:
    request = TestClient.request

    def noting(self: TestClient, *arguments: Any, **more: Any) -> Any:
        with path.open("a") as file:
            file.writelines(json.dumps(found) + "\n" for found in _texts(more.get("json")))
        return request(self, *arguments, **more)

    TestClient.request = noting  # type: ignore[method-assign]


def _log_everything(path: Path) -> None:
    configure, msg = logs.configure, logs._Lines.msg
    # What libraries say goes this way.
    libraries = logging.FileHandler(path)

    def writing(self: Any, line: str) -> None:
        with path.open("a") as file:
            file.write(line + "\n")
        msg(self, line)

    def configured(_level: str) -> None:
        configure("debug")
        root = logging.getLogger()
        libraries.setFormatter(root.handlers[0].formatter)
        root.addHandler(libraries)

    for level, method in list(vars(logs._Lines).items()):
        if method is msg:
            setattr(logs._Lines, level, writing)
    logs.configure = configured
    atexit.register(libraries.close)


def _texts(body: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The texts of a body, by the names that hold something of a person."""
    if isinstance(body, dict):
        for key, value in body.items():
            yield from _texts(value, str(key))
    elif isinstance(body, list):
        for value in body:
            yield from _texts(value, name)
    elif isinstance(body, str) and name in KINDS and _is_canary(body):
        yield name, body


def _is_canary(text: str) -> bool:
    """Whether it can only have come from here: `password` is somebody's, and a part of an address as well."""
    return len(text) >= LENGTH_MIN and text.isprintable() and not (text.isalpha() and text.islower())
