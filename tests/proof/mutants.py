"""Small lies about a piece of Python: each mutant is the module with one thing changed."""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """What was changed, as `line: before → after`, and the whole module with it."""

    line: int
    before: str
    after: str
    tree: ast.Module

    def __str__(self) -> str:
        return f"{self.line}: {self.before} → {self.after}"

    @property
    def change(self) -> str:
        """Without the line, which moves."""
        return f"{self.before} → {self.after}"


def mutants_of(source: str) -> Iterator[Mutant]:
    """All of them, in the order of the text."""
    tree = ast.parse(source)
    for number, place in enumerate(_places(tree)):
        for changed in _changes_of(place):
            whole = copy.deepcopy(tree)
            _replace(whole, number, changed)
            yield Mutant(place.lineno, _short(place), _short(changed), ast.fix_missing_locations(whole))


def _places(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Everything that runs and means something: no docstring, annotation, decorator, type or assertion."""
    for child in _children_that_count(tree):
        if isinstance(child, ast.expr | ast.stmt):
            yield child
        yield from _places(child)


def _children_that_count(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.Assert | ast.Import | ast.ImportFrom):
        return []
    skipped: set[int] = set()
    for name in ("annotation", "returns", "decorator_list", "type_params"):
        value = getattr(node, name, None)
        skipped |= {id(item) for item in (value if isinstance(value, list) else [value])}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
        first = node.body[0]
        is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        skipped |= {id(first)} if is_docstring else set()
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("Literal", "tuple"):
        return []
    return [child for child in ast.iter_child_nodes(node) if id(child) not in skipped]


def _replace(tree: ast.Module, number: int, changed: ast.AST) -> None:
    target = next(place for count, place in enumerate(_places(tree)) if count == number)
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, name, changed)
                return
            if isinstance(value, list) and any(item is target for item in value):
                value[next(i for i, item in enumerate(value) if item is target)] = changed
                return


def _changes_of(node: ast.expr | ast.stmt) -> Iterator[ast.AST]:
    for kinds, changes in _CHANGES:
        if isinstance(node, kinds):
            yield from changes(node)


def _other_logic(node: ast.BoolOp) -> Iterator[ast.expr]:
    """The other word, then each part left out."""
    yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    for index in range(len(node.values)):
        rest = [*node.values[:index], *node.values[index + 1 :]]
        yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def _other_arithmetic(node: ast.BinOp) -> Iterator[ast.expr]:
    if type(node.op) in _COMPUTED:
        yield ast.BinOp(node.left, _COMPUTED[type(node.op)](), node.right)


def _without_sign(node: ast.UnaryOp) -> Iterator[ast.expr]:
    yield node.operand


def _other_branch(node: ast.If | ast.IfExp) -> Iterator[ast.AST]:
    if isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    else:
        yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)


def _constants(node: ast.Constant) -> Iterator[ast.expr]:
    yield from (ast.Constant(value) for value in _other_constants(node.value))


def _less_of_a_dict(node: ast.Dict) -> Iterator[ast.expr]:
    for index in range(len(node.keys)):
        keys, values = ([*part[:index], *part[index + 1 :]] for part in (node.keys, node.values))
        yield ast.Dict(keys, values)


def _other_result(node: ast.Return) -> Iterator[ast.stmt]:
    if node.value is not None:
        is_none = isinstance(node.value, ast.Constant) and node.value.value is None
        yield ast.Return(ast.Constant(value=True if is_none else None))


def _nothing(node: ast.stmt) -> Iterator[ast.stmt]:
    # Without a name's assignment nothing would run at all.
    if not isinstance(node, ast.Assign) or all(not isinstance(target, ast.Name | ast.Tuple) for target in node.targets):
        yield ast.Pass()


def _other_comparisons(node: ast.Compare) -> Iterator[ast.Compare]:
    for index, operator in enumerate(node.ops):
        for other in _COMPARED[type(operator)]:
            yield ast.Compare(node.left, [*node.ops[:index], other(), *node.ops[index + 1 :]], node.comparators)


def _other_constants(value: object) -> list[bool | int | float | str | bytes]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value - 1]
    if isinstance(value, str):
        return [value + "XX"] if value else ["XX"]
    if isinstance(value, bytes):
        return [value + b"XX"]
    return []


def _shorter(node: ast.Set | ast.List | ast.Tuple) -> Iterator[ast.expr]:
    """With each member left out; a set of one becomes an empty one."""
    if isinstance(getattr(node, "ctx", None), ast.Store):
        return
    for index in range(len(node.elts)):
        rest = [*node.elts[:index], *node.elts[index + 1 :]]
        if isinstance(node, ast.Set):
            yield ast.Set(rest) if rest else ast.Call(ast.Name("set", ast.Load()), [], [])
        else:
            yield type(node)(rest, ast.Load())


def _short(node: ast.AST) -> str:
    if isinstance(node, ast.If):
        return f"if {ast.unparse(node.test)}"
    return " ".join(ast.unparse(ast.fix_missing_locations(node)).split())


_CHANGES: list[tuple[Any, Callable[[Any], Iterator[ast.AST]]]] = [
    (ast.Compare, _other_comparisons),
    (ast.BoolOp, _other_logic),
    (ast.UnaryOp, _without_sign),
    (ast.BinOp, _other_arithmetic),
    ((ast.If, ast.IfExp), _other_branch),
    (ast.Constant, _constants),
    ((ast.Set, ast.List, ast.Tuple), _shorter),
    (ast.Dict, _less_of_a_dict),
    (ast.Return, _other_result),
    ((ast.Raise, ast.Expr, ast.AugAssign, ast.Assign), _nothing),
]
