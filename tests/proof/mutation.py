"""Whether the tests of the rules notice when a rule is changed: every `rules.py`, one small lie at a time.

A mutant is run in a forked process, against the unit tests that name its module (`test_rules*.py`); they need no
database. Alone: `python -m tests.proof mutation [--short]`.
"""

import contextlib
import gc
import importlib.abc
import importlib.machinery
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType

import pytest

from tests.proof.equivalent import EQUIVALENT
from tests.proof.figures import Figure, Scenario, at_least, none, told
from tests.proof.mutants import Mutant, mutants_of

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
# The tests of a file take a tenth of a second of the processor; a mutant that takes so much does not come to an end.
CPU_S_MAX, LONGEST_S = 2, 120
SCORE_MIN = 90.0

# What a session of pytest costs is most of what a mutant costs.
_PLAINLY = ["-x", "-q", "--noconftest", "--no-header", "--assert=plain", "-p", "no:cacheprovider"]


class _Lie(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the changed module to whoever imports it."""

    def __init__(self, module: str, code: CodeType, path: Path) -> None:
        self._module, self._code, self._path = module, code, path

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if name != self._module:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=str(self._path))

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


def run(*, every: int) -> list[Figure]:
    """Every so-manieth mutant of every `rules.py`."""
    equivalent, made, survived = Counter[str](), Counter[str](), Counter[str]()
    untested = 0
    # A child's session collects garbage twice: of what is here already there is none.
    gc.freeze()
    for path in sorted((ROOT / "app").rglob("rules.py")):
        name = str(path.relative_to(ROOT))
        source = path.read_text()
        chosen = list(mutants_of(source))[::every]
        lines = [line.strip() for line in source.splitlines()]
        mutants = [mutant for mutant in chosen if (name, lines[mutant.line - 1], mutant.change) not in EQUIVALENT]
        made[name], equivalent[name] = len(mutants), len(chosen) - len(mutants)
        trial = Trial(path)
        untested += bool(mutants) and not trial.passes_as_it_is()
        for mutant in trial.survivors(mutants):
            survived[name] += 1
            print(f"survived  {name}:{mutant}", flush=True)
        print(f"{name}: {made[name] - survived[name]} of {made[name]} found", flush=True)
    return [
        told("equivalent, each with its reason in tests/proof/equivalent.py", equivalent.total()),
        told("mutants", made.total()),
        told("found", made.total() - survived.total()),
        none("rules without tests that pass", untested),
        at_least("mutation score", _score(made.total(), survived.total()), SCORE_MIN, "%"),
    ]


def _score(made: int, survived: int) -> float:
    return 100.0 * (made - survived) / made if made else 100.0


class Trial:
    """The unit tests of one `rules.py`, run as often as there are mutants."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._module = str(path.relative_to(ROOT)).removesuffix(".py").replace("/", ".")
        package, _, _ = self._module.rpartition(".")
        imports = (f"from {self._module} import", f"from {package} import rules")
        tests = sorted((ROOT / "tests").rglob("test_rules*.py"))
        self.tests = [str(test) for test in tests if any(line in test.read_text() for line in imports)]

    def passes_as_it_is(self) -> bool:
        return bool(self.tests) and _ends_well(self._fork(None))

    def survivors(self, mutants: list[Mutant]) -> Iterator[Mutant]:
        """Those under which the tests pass; so many at once as there are cores."""
        for start in range(0, len(mutants), AT_ONCE):
            batch = mutants[start : start + AT_ONCE]
            children = [self._fork(mutant) for mutant in batch]
            # All are waited for, whoever is told first.
            passed = [_ends_well(child) for child in children]
            yield from (mutant for mutant, has_passed in zip(batch, passed, strict=True) if has_passed)

    def _fork(self, mutant: Mutant | None) -> int:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = self._run_tests(mutant)
            finally:
                os._exit(code)
        return child

    def _run_tests(self, mutant: Mutant | None) -> int:
        """In the child: everything of ours is imported anew, and the one module as the mutant has it."""
        for name in [name for name in sys.modules if name.split(".")[0] in ("app", "tests")]:
            del sys.modules[name]
        if mutant is not None:
            code = compile(mutant.tree, str(self._path), "exec")
            sys.meta_path.insert(0, _Lie(self._module, code, self._path))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
        os.chdir(ROOT)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        return int(pytest.main([*_PLAINLY, *self.tests]))


def _ends_well(child: int) -> bool:
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


MUTATION = Scenario("mutation", run, short={"every": 20}, full={"every": 1})
