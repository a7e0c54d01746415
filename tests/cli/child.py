"""What is forked, and becomes the process of one command."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.cli import main


def run(words: Sequence[bytes], folder: Path, environment: Mapping[str, str], files: Sequence[Path]) -> None:
    """Run `telemed` with these words; `files` are what it is given, what it says, and where it complains."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, (file, flags) in enumerate(zip(files, (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True)):
        os.dup2(os.open(file, flags), number)
    sys.stdin = os.fdopen(0)
    sys.argv = ["telemed", *map(os.fsdecode, words)]
    main()
