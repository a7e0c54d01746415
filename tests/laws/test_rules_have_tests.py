"""Every `rules.py` has unit tests, which `python -m tests.proof mutation` holds to account."""

from pathlib import Path

import pytest

from tests.proof.mutants import mutants_of
from tests.proof.mutation import ROOT, Trial

RULES = [path for path in sorted((ROOT / "app").rglob("rules.py")) if any(mutants_of(path.read_text()))]


@pytest.mark.parametrize("path", RULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_some_unit_test_imports_it(path: Path) -> None:
    assert Trial(path).tests


def test_mutants_are_one_small_change_each() -> None:
    source = '"""About."""\nROLES = {"a"}\ndef f(x: int = 3) -> bool:\n    return x < 5 and not x\n'
    assert [mutant.change for mutant in mutants_of(source)] == [
        "{'a'} → set()",
        "'a' → 'aXX'",
        "3 → 4",
        "3 → 2",
        "return x < 5 and (not x) → return None",
        "x < 5 and (not x) → x < 5 or not x",
        "x < 5 and (not x) → not x",
        "x < 5 and (not x) → x < 5",
        "x < 5 → x <= 5",
        "x < 5 → x >= 5",
        "5 → 6",
        "5 → 4",
        "not x → x",
    ]
