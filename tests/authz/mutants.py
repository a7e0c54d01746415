"""Every guard and every owner predicate of the application, found by rule in its source, and taken out one at a time.

A guard      `@requires(…)` over an endpoint; an `if` of the gate, or one about who is calling, that refuses.
A predicate  a comparison, in `sql.py` or `clauses.py`, of a column with what is the caller's: their id, clinic or role,
             bound, out of a call, or given to a clause. So is the caller to whom a cursor is sealed.
"""

import ast
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType
from typing import Any, ClassVar

ROOT = Path(__file__).resolve().parents[2]
# Neither serves requests for somebody.
_NOT_SERVING = {"bench", "cli", "db", "migrations"}
_CALLERS = {"clinic_id", "user_id", "actor_id", "actor_role", "doctor_id", "patient_id", "subject_id"}
_PERSONS = {"user_id", "actor_id", "doctor_id", "patient_id", "subject_id", "id"}
# Clauses whose rows are the caller's.
_CALLER_ROWS = {"calls", "locking_calls", "active_user", "active_patients", "claim_key"}
_PRINCIPALS = {"actor", "caller", "principal"}
_GATE = "app/identity/guard.py"
_REFUSALS = {"Forbidden", "SecondFactorRequired", "Unauthenticated"}
# In the text of a statement, to see that it ran.
REMOVED = "true /* removed */"


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is taken out, and how: by its place in the source."""

    how: str
    path: str
    line: int
    column: int
    end: tuple[int, int]
    text: str
    # The endpoint that a guard is over, or the function or constant that a predicate is in.
    place: str = ""
    # The clinic beside a person's own id: both are one identity, and the id alone is nobody else's in any clinic.
    beside: tuple["Mutant", ...] = ()

    def __str__(self) -> str:
        return f"{self.how}: {self.path}:{self.line}: {self.text}"

    @property
    def key(self) -> str:
        """Of those that are known to make no difference: without the line, which moves."""
        return f"{self.path}:{self.place}: {self.text}"

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Mutant":
        """As `dataclasses.asdict` told it, by way of JSON."""
        beside = tuple(cls.of(one) for one in told["beside"])
        return cls(**{**told, "end": tuple(told["end"]), "beside": beside})

    def is_at(self, node: ast.AST) -> bool:
        place = (getattr(node, "lineno", None), getattr(node, "col_offset", None))
        end = (getattr(node, "end_lineno", None), getattr(node, "end_col_offset", None))
        return place == (self.line, self.column) and end == self.end


def mutants() -> list[Mutant]:
    """All of them, in the order of files and lines."""
    found: list[Mutant] = []
    for file in sorted((ROOT / "app").rglob("*.py")):
        path = file.relative_to(ROOT)
        if _NOT_SERVING & set(path.parts):
            continue
        tree = ast.parse(file.read_text())
        if path.name in ("sql.py", "clauses.py"):
            found += _predicates(str(path), tree)
        else:
            found += [*_guards(str(path), tree), *_refusals(str(path), tree), *_seals(str(path), tree)]
    return found


def _mutant(how: str, path: str, node: Any, place: str = "") -> Mutant:
    end = (node.end_lineno, node.end_col_offset)
    return Mutant(how, path, node.lineno, node.col_offset, end, ast.unparse(node).split("\n")[0], place)


def _guards(path: str, tree: ast.Module) -> Iterator[Mutant]:
    for node in ast.walk(tree):
        for decorator in getattr(node, "decorator_list", []):
            if isinstance(decorator, ast.Call) and _name(decorator.func) == "requires":
                assert isinstance(node, ast.AsyncFunctionDef)
                yield _mutant("no guard", path, decorator, node.name)
                yield _mutant("a permission of everybody's", path, decorator, node.name)
                if "enrolling" not in {word.arg for word in decorator.keywords}:
                    yield _mutant("open to who lacks a factor", path, decorator, node.name)


def _refusals(path: str, tree: ast.Module) -> Iterator[Mutant]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If):
            last = node.body[-1]
            is_gate = path == _GATE and isinstance(last, ast.Raise) and _name(last.exc) in _REFUSALS
            # Who leaves early for what was compared with them does nothing.
            leaves = isinstance(last, ast.Return) and last.value is None
            asked = [part for part in ast.walk(node.test) if isinstance(part, ast.Compare) or not leaves]
            refuses = (leaves or isinstance(last, ast.Raise)) and any(map(_asks_who, asked))
            if is_gate or refuses:
                parts = node.test.values if isinstance(node.test, ast.BoolOp) and not is_gate else [node.test]
                yield from (_mutant("never refuses", path, part) for part in parts if is_gate or _asks_who(part))


def _asks_who(node: ast.AST) -> bool:
    return any(map(_is_of_principal, ast.walk(node)))


def _seals(path: str, tree: ast.Module) -> Iterator[Mutant]:
    for node in ast.walk(tree):
        if (
            path.endswith("endpoints.py")
            and isinstance(node, ast.keyword)
            and node.arg == "caller"
            and _is_of_principal(node.value)
        ):
            yield _mutant("of nobody", path, node.value)


def _is_of_principal(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and _name(node.value) in _PRINCIPALS and node.attr in (*_CALLERS, "role")


def _predicates(path: str, tree: ast.Module) -> Iterator[Mutant]:
    constants = {
        _name(target)
        for node in tree.body
        if isinstance(node, ast.Assign) and _is_bound(node.value)
        for target in node.targets
    }
    conjunctions = _conjunctions(tree)
    found: dict[ast.Compare, str] = {}
    for statement in tree.body:
        for function in [None, *(node for node in ast.walk(statement) if isinstance(node, ast.FunctionDef))]:
            # Of the module: what its lambdas are given.
            inside = list(ast.walk(function)) if function else [statement, *_own_nodes(statement)]
            given = {one.arg for one in inside if isinstance(one, ast.arg)}
            rows = _caller_rows(function, given) if function else given
            for node in _own_nodes(function) if function else inside:
                if isinstance(node, ast.Compare) and _is_predicate(node, constants | (given & _CALLERS), rows):
                    found[node] = function.name if function else _target(statement)
    persons = {conjunctions[node] for node in found if _compared(node) & _PERSONS and node in conjunctions}
    for node, place in found.items():
        clinics = [
            one
            for one in found
            if _compared(one) == {"clinic_id"} and conjunctions.get(one, one) is conjunctions.get(node)
        ]
        if _compared(node) & _PERSONS:
            beside = tuple(_mutant("no predicate", path, one) for one in clinics)
            yield replace(_mutant("no predicate", path, node, place), beside=beside)
        elif node not in clinics or conjunctions[node] not in persons:
            yield _mutant("no predicate", path, node, place)


def _target(statement: ast.stmt) -> str:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return _name(targets[0])


def _is_predicate(node: ast.Compare, values: set[str], rows: set[str]) -> bool:
    if not isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
        return False
    sides = [node.left, *node.comparators]
    is_role = any(map(_is_role, sides)) and any(map(_is_constant, sides))
    return is_role or (any(map(_is_column, sides)) and any(_is_callers(side, values, rows) for side in sides))


def _compared(node: ast.Compare) -> set[str]:
    """The columns' own names."""
    return {
        side.attr for side in (node.left, *node.comparators) if _is_column(side) and isinstance(side, ast.Attribute)
    }


def _conjunctions(tree: ast.Module) -> dict[ast.AST, ast.AST]:
    """What each condition holds together with: the `and_(…)`, `where(…)` or `… & …` around it."""
    found: dict[ast.AST, ast.AST] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd):
            parts = [node.left, node.right]
        elif (isinstance(node, ast.Call) and _name(node.func) == "and_") or (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "where"
        ):
            parts = node.args
        else:
            continue
        # The walk goes from the outside in: the outermost is the one that holds.
        found.update({part: found.get(node, node) for part in parts})
    return found


def _own_nodes(place: ast.AST) -> Iterator[ast.AST]:
    """Everything in it that is in no function inside."""
    for child in ast.iter_child_nodes(place):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from _own_nodes(child)


def _caller_rows(function: ast.FunctionDef, given: set[str]) -> set[str]:
    """The names that stand for rows of the caller's, whatever was selected out of them."""
    found = set(given)
    for node in ast.walk(function):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value:
            used = {_name(part) for part in ast.walk(node.value) if isinstance(part, ast.Name)}
            if used & (_CALLER_ROWS | found):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {_name(target) for target in targets}
    return found


def _is_callers(side: ast.expr, values: set[str], rows: set[str]) -> bool:
    if isinstance(side, ast.Name):
        return side.id in values or side.id == "ACTOR_ID"
    if _is_column(side) and isinstance(side, ast.Attribute):
        return _name(side.value.value) in rows and side.attr in _CALLERS  # type: ignore[attr-defined]  # a column is
    return _is_bound(side)


def _is_bound(node: ast.expr) -> bool:
    """A parameter that is the caller's, or that nobody can tell from here."""
    if not (isinstance(node, ast.Call) and _name(node.func) == "bindparam"):
        return False
    name = node.args[0]
    return not isinstance(name, ast.Constant) or name.value in _CALLERS


def _is_role(side: ast.expr) -> bool:
    return _name(side) == "ACTOR_ROLE" or (_is_column(side) and getattr(side, "attr", "") == "role")


def _is_constant(side: ast.expr) -> bool:
    return isinstance(side, ast.Call) and _name(side.func) == "constant"


def _is_column(side: ast.expr) -> bool:
    root = side.value if isinstance(side, (ast.Attribute, ast.Subscript)) else None
    return isinstance(root, ast.Attribute) and root.attr == "c"


def _name(node: object) -> str:
    return node.id if isinstance(node, ast.Name) else ""


class _Removal(ast.NodeTransformer):
    """Takes out whatever of `mutants` is in the module."""

    def __init__(self, mutants: list[Mutant]) -> None:
        self._mutants = mutants

    def visit(self, node: ast.AST) -> Any:
        # Inside first, while the place is still that of the source.
        changed = self.generic_visit(node)
        for mutant in self._mutants:
            if mutant.is_at(node):
                changed = self._changed(mutant, changed)
        return changed

    def _changed(self, mutant: Mutant, node: Any) -> ast.AST:
        replaced: ast.AST
        match mutant.how:
            case "no guard":
                replaced = _parsed("_without_guard")
            case "a permission of everybody's":
                replaced = ast.Call(node.func, [_parsed("Permission.KEEP_OWN_ACCOUNT"), *node.args[1:]], node.keywords)
            case "open to who lacks a factor":
                keywords = [*node.keywords, ast.keyword("enrolling", ast.Constant(value=True))]
                replaced = ast.Call(node.func, node.args, keywords)
            case "never refuses":
                # Asked all the same: what is awaited in it may be what fails.
                replaced = ast.BoolOp(ast.And(), [node, ast.Constant(value=False)])
            case "of nobody":
                replaced = ast.Constant(value=None)
            case _:
                replaced = ast.Call(_parsed("_or"), [node, _parsed(f"_literal({REMOVED!r})")], [])
        return ast.copy_location(replaced, node)


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


_HELPERS = {
    "endpoints.py": "from app.identity.guard import public as _without_guard",
    "sql.py": "from sqlalchemy import literal_column as _literal, or_ as _or",
    "clauses.py": "from sqlalchemy import literal_column as _literal, or_ as _or",
}


class Importer(importlib.machinery.SourceFileLoader):
    """Imports the application without what `mutants` name."""

    mutants: ClassVar[list[Mutant]] = []

    @classmethod
    def install(cls, mutants: list[Mutant]) -> None:
        cls.mutants = mutants
        sys.meta_path.insert(0, cls)  # type: ignore[arg-type]  # a class with `find_spec` is a finder

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> Any:
        file = ROOT / Path(*name.split(".")).with_suffix(".py")
        if not any(ROOT / mutant.path == file for mutant in cls.mutants):
            return None
        return importlib.util.spec_from_file_location(name, file, loader=cls(name, str(file)))

    def get_code(self, fullname: str) -> CodeType:
        """Always from the source: no mutant may be left in a cache of bytecode."""
        file = Path(self.get_filename(fullname))
        tree = ast.parse(file.read_text())
        here = [mutant for mutant in self.mutants if ROOT / mutant.path == file]
        tree = _Removal(here).visit(tree)
        if file.name in _HELPERS:
            # After the docstring.
            tree.body.insert(1, ast.parse(_HELPERS[file.name]).body[0])
        return compile(ast.fix_missing_locations(tree), str(file), "exec")
