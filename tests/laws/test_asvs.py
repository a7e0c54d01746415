"""`docs/asvs.md` leaves no requirement out, and names tests that there are."""

import ast
import re
import runpy
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MADE: dict[str, Any] = runpy.run_path(str(ROOT / "docs/make_asvs.py"))
REQUIREMENTS = MADE["requirements"]()
# Of the standard, version 5.0.0: how many there are of each level.
COUNTS = {1: 70, 2: 183, 3: 92}


@cache
def functions_of(path: Path) -> frozenset[str]:
    return frozenset(node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))


def test_page_is_made_of_the_table() -> None:
    assert MADE["page"]() == (ROOT / "docs/asvs.md").read_text(), "run: python docs/make_asvs.py"


def test_no_requirement_is_missing_and_none_is_twice() -> None:
    numbers = [requirement.number for requirement in REQUIREMENTS] + MADE["beyond"]()
    assert len(numbers) == len(set(numbers))
    last: Counter[str] = Counter()
    for number in sorted(numbers, key=lambda number: tuple(map(int, number.split(".")))):
        section, _, place = number.rpartition(".")
        assert int(place) == last[section] + 1, f"what comes before {number} is missing"
        last[section] += 1
    levels = Counter(requirement.level for requirement in REQUIREMENTS)
    assert {**levels, 3: len(MADE["beyond"]())} == COUNTS


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.number)
def test_requirement_has_what_its_state_promises(requirement: Any) -> None:
    assert requirement.state in MADE["STATES"]
    assert requirement.tests if requirement.state == "tested" else requirement.notes
    for path, function in requirement.tests:
        assert function in functions_of(ROOT / path), f"{path}::{function}"
    for path in re.findall(r"`((?:app|docs|tests)/[\w./-]+|[A-Z]+\.md)`", " ".join(requirement.notes)):
        assert (ROOT / path).exists(), path
