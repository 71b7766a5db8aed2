"""Small changes of a source, each of which some test should see.

An operator turned round, another number, a condition negated, a call or a named argument left out, a scope or lock not
entered. Strings, annotations, decorators and assertions stay as they are.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_SWAPS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
    ast.Pow: ("**", "*"),
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_NO_SCOPE = '__import__("contextlib").nullcontext()'
_FOR_TYPES = re.compile(r"if TYPE_CHECKING:|@overload\b|(?:TypeVar|ParamSpec)\(|raise AssertionError|assert ")

Edit = tuple[int, int, str]
Placed = ast.expr | ast.stmt | ast.keyword


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of one module.

    Attributes:
        module: path of the module below the package.
        line: number of the first changed line.
        was: the changed lines, stripped.
        now: what they are in the mutant.
        start: where the change begins, in bytes.
        end: where it ends.
        text: what is there instead.
    """

    module: str
    line: int
    was: str
    now: str
    start: int
    end: int
    text: str

    def of(self, source: str) -> str:
        """Return the module's source with the change."""
        raw = source.encode()
        return (raw[: self.start] + self.text.encode() + raw[self.end :]).decode()


def mutants(module: str, source: str) -> list[Mutant]:
    """Return all mutants of a module, in the order of their places."""
    edits = _Edits(source.encode())
    return [edits.mutant(module, edit) for edit in sorted(set(edits.of(ast.parse(source))))]


class _Edits:
    """The edits of a source: from which byte, to which, and what is there instead."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._lines = [0, *(found.end() for found in re.finditer(b"\n", raw))]

    def mutant(self, module: str, edit: Edit) -> Mutant:
        """Return the module with one edit."""
        start, end, text = edit
        first, last = self._raw.rfind(b"\n", 0, start) + 1, self._raw.find(b"\n", end)
        now = self._raw[first:start] + text.encode() + self._raw[end:last]
        was = self._raw[first:last].decode().strip()
        return Mutant(module, bisect(self._lines, start), was, now.decode().strip(), start, end, text)

    def of(self, node: ast.AST) -> Iterator[Edit]:
        """Yield the edits of a node and of what is in it."""
        # Before Python 3.12, what is in an f-string has no place.
        if isinstance(node, ast.JoinedStr) or (isinstance(node, Placed) and _FOR_TYPES.match(self._head(node))):
            return
        yield from self._turned(node)
        yield from self._left_out(node)
        for child in _code_in(node):
            yield from self.of(child)

    def _turned(self, node: ast.AST) -> Iterator[Edit]:
        """Yield edits of operators and values."""
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others):
                for op, sides in zip(ops, pairwise([left, *others]), strict=True):
                    yield from self._swapped(op, *sides)
            case ast.BoolOp(op=op, values=values):
                for sides in pairwise(values):
                    yield from self._swapped(op, *sides)
            case ast.BinOp(left=left, op=op, right=right) | ast.AugAssign(target=left, op=op, value=right):
                yield from self._swapped(op, left, right)
            case ast.UnaryOp(op=ast.Not() | ast.USub() as op):
                start = self._span(node)[0]
                yield start, start + len("not " if isinstance(op, ast.Not) else "-"), ""
            case ast.Constant(value=bool() | int() | float() as value):
                yield *self._span(node), repr(_other(value))
            case ast.Name(id=name) if name in _NAMES:
                yield *self._span(node), _NAMES[name]

    def _left_out(self, node: ast.AST) -> Iterator[Edit]:
        """Yield edits of conditions, and of what is done only for its effect."""
        match node:
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                yield from self._negated(test)
            case ast.comprehension(ifs=tests):
                for test in tests:
                    yield from self._negated(test)
            case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise():
                yield *self._span(node), "pass"
            case ast.Break() | ast.Continue():
                yield *self._span(node), "continue" if isinstance(node, ast.Break) else "break"
            case ast.Call(keywords=keywords):
                yield from (self._without(each) for each in keywords if each.arg and not _is_constant(each.value))
            case ast.withitem(context_expr=scope, optional_vars=None):
                yield *self._span(scope), _NO_SCOPE

    def _swapped(self, op: ast.AST, left: ast.expr, right: ast.expr) -> Iterator[Edit]:
        was, now = _SWAPS.get(type(op), ("", ""))
        start, end = self._span(left)[1], self._span(right)[0]
        pattern = rf"\b{was}\b" if was.isalpha() else re.escape(was)
        text, count = re.subn(pattern, now, self._raw[start:end].decode())
        if was and count == 1:
            yield start, end, text

    def _negated(self, test: ast.expr) -> Iterator[Edit]:
        if not isinstance(test, (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Constant)):
            start, end = self._span(test)
            yield start, end, f"(not ({self._raw[start:end].decode()}))"

    def _without(self, keyword: ast.keyword) -> Edit:
        start, end = self._span(keyword)
        comma = re.compile(rb"\s*,\s*").match(self._raw, end)
        return start, comma.end() if comma else end, ""

    def _span(self, node: Placed) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._lines[node.lineno - 1] + node.col_offset, self._lines[node.end_lineno - 1] + node.end_col_offset

    def _head(self, node: Placed) -> str:
        decorators = getattr(node, "decorator_list", None)
        start, end = self._span(node)
        return f"@{ast.unparse(decorators[0])}" if decorators else self._raw[start:end].decode()


def _code_in(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node's children but annotations, decorators and the like."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from (*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body)
        case ast.AnnAssign():
            yield from (node.value,) if node.value else ()
        case ast.ClassDef():
            yield from node.body
        case _:
            yield from ast.iter_child_nodes(node)


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not isinstance(node.value, str)


def _other(value: float) -> float:
    if isinstance(value, bool):
        return not value
    return value + 1 if abs(value) < 10 and isinstance(value, int) else value * 2 or 1.0
