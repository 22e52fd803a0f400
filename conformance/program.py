"""Programs: a list of calls in Python syntax that every backend runs in the same way.

The language is a subset of Python's grammar, parsed with `ast`: one assignment or call per
line, nested calls allowed, `with no_grad():` blocks, no operators, no attribute access. What
a callee means is in `VERBS` or is the name of an operation in `specs/ops`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


class ProgramError(ValueError):
    """The text is not a program; says the line and why."""


@dataclass(frozen=True, slots=True)
class Name:
    """A live variable."""

    id: str


@dataclass(frozen=True, slots=True)
class Invoke:
    """A nested call, evaluated before the call it stands in."""

    callee: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One line: `targets = callee(*args, **kwargs)`; targets may be empty.

    line: 1-based line of the text. An argument is a Name, an Invoke, or a literal (numbers,
    strings, bool, None, lists/tuples/slices of such). guards: enclosing `with` callees,
    outermost first, e.g. ("no_grad",). unpacks: the result is a tuple, one element per target
    (`a, b = …`, `(a,) = …`).
    """

    line: int
    targets: tuple[str, ...]
    call: Invoke
    guards: tuple[str, ...] = ()
    unpacks: bool = False

    @property
    def callee(self) -> str:
        return self.call.callee


@dataclass(frozen=True, slots=True)
class Program:
    text: str
    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> Program:
        """Raises ProgramError."""
        text = text.strip("\n")
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            raise ProgramError(f"line {error.lineno}: {error.msg}") from None
        return cls(text, tuple(_steps(tree.body, ())))

    def callees(self) -> set[str]:
        found: set[str] = set()

        def visit(value: Any) -> None:
            if isinstance(value, Invoke):
                found.add(value.callee)
                for item in (*value.args, *value.kwargs.values()):
                    visit(item)
            elif isinstance(value, (list, tuple)):
                for item in value:
                    visit(item)

        for step in self.steps:
            visit(step.call)
        return found

    def to_json(self) -> dict[str, Any]:
        return {"format": "conformance-program/1", "text": self.text}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Program:
        if data.get("format") != "conformance-program/1":
            raise ProgramError(f"not a program: format {data.get('format')!r}")
        return cls.parse(data["text"])


def _steps(body: list[ast.stmt], guards: tuple[str, ...]) -> Iterator[Step]:
    for node in body:
        if isinstance(node, ast.With):
            names = []
            for item in node.items:
                call = _value(item.context_expr)
                if not isinstance(call, Invoke) or call.args or call.kwargs:
                    raise ProgramError(f"line {node.lineno}: `with` takes a call like no_grad()")
                names.append(call.callee)
            yield from _steps(node.body, guards + tuple(names))
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            unpacks = isinstance(target, ast.Tuple)
            yield Step(node.lineno, _targets(target), _call(node.value), guards, unpacks)
        elif isinstance(node, ast.Expr):
            yield Step(node.lineno, (), _call(node.value), guards)
        else:
            raise ProgramError(f"line {node.lineno}: only `name = call(...)` and `call(...)`")


def _targets(node: ast.expr) -> tuple[str, ...]:
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Tuple) and all(isinstance(e, ast.Name) for e in node.elts):
        return tuple(e.id for e in node.elts)
    raise ProgramError(f"line {node.lineno}: a target is a name or a tuple of names")


def _call(node: ast.expr) -> Invoke:
    value = _value(node)
    if not isinstance(value, Invoke):
        raise ProgramError(f"line {node.lineno}: the right side must be a call")
    return value


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name):
            raise ProgramError(f"line {node.lineno}: a callee is a plain name")
        if any(k.arg is None for k in node.keywords):
            raise ProgramError(f"line {node.lineno}: no ** in a call")
        if node.func.id == "complex":  # the literal that Python has no notation for: complex(nan, 1)
            return complex(*(_value(a) for a in node.args))
        return Invoke(
            node.func.id,
            tuple(_value(a) for a in node.args),
            {k.arg: _value(k.value) for k in node.keywords if k.arg},
        )
    if isinstance(node, ast.Name):
        return {"nan": float("nan"), "inf": float("inf")}.get(node.id, Name(node.id))
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _value(node.operand)
        if isinstance(value, (int, float, complex)):
            return -value
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        left, right = _value(node.left), _value(node.right)  # 1.0+2.0j
        if isinstance(left, (int, float)) and isinstance(right, complex):
            return left + right if isinstance(node.op, ast.Add) else left - right
    if isinstance(node, ast.List):
        return [_value(e) for e in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(e) for e in node.elts)
    raise ProgramError(f"line {node.lineno}: {ast.unparse(node)!r} is not a literal, name or call")
