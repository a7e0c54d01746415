"""What the command line prints."""

import sys
from typing import NoReturn

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def fail(sentence: str) -> NoReturn:
    """One line that says what is wrong and what to do; exit code 1."""
    err.print(f"telemed: {sentence}", markup=False, soft_wrap=True)
    sys.exit(1)
