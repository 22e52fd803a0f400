"""A program's call of an operation: which table it means, and its arguments by schema name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from conformance.program import ProgramError
from conformance.schema import Schema
from conformance.specs import OpSpec


class Overloads:
    """Operations by what a program calls them: the name of a table, or its part before the dot.

    `Overloads.of(ops)` is made once for a mapping that many programs share.
    """

    _last: Overloads | None = None

    def __init__(self, ops: Mapping[str, OpSpec]) -> None:
        self.ops = ops
        self.by_name: dict[str, list[OpSpec]] = {name: [op] for name, op in ops.items()}
        for name, op in ops.items():
            base = name.partition(".")[0]
            if base != name:
                self.by_name.setdefault(base, []).append(op)

    @classmethod
    def of(cls, ops: Mapping[str, OpSpec]) -> Overloads:
        if cls._last is None or cls._last.ops is not ops:
            cls._last = cls(ops)
        return cls._last


def resolve(
    callee: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    ops: Mapping[str, OpSpec],
    is_tensor: Callable[[Any], bool],
) -> tuple[OpSpec, dict[str, Any]]:
    """The operation and its arguments: the first table of that name whose schema takes them.

    Where only the types do not fit, the first table whose argument names fit is meant: the
    library then says what it thinks of the types. Raises ProgramError when none fits.
    """
    candidates = Overloads.of(ops).by_name.get(callee, ())
    named: list[tuple[OpSpec, dict[str, Any]]] = []
    for op in candidates:
        given = bind(op.parsed, args, kwargs)
        if given is None:
            continue
        if all(_takes(op.parsed.argument(n).type, v, is_tensor) for n, v in given.items()):
            return op, given
        named.append((op, given))
    if not named:
        raise ProgramError(f"{callee}: no schema takes {len(args)} arguments and {sorted(kwargs)}")
    return named[0]


def bind(schema: Schema, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Arguments by name, as Python binds them; None when they do not fit."""
    positional = [a.name for a in schema.arguments if not a.keyword_only]
    names = {a.name for a in schema.arguments}
    if len(args) > len(positional) or not set(kwargs) <= names:
        return None
    given = dict(zip(positional, args, strict=False))
    if set(given) & set(kwargs):
        return None
    given.update(kwargs)
    for argument in schema.arguments:
        required = argument.default is None and not argument.type.endswith("?")
        if required and argument.name not in given:
            return None
    return given


def _takes(kind: str, value: Any, is_tensor: Callable[[Any], bool]) -> bool:
    """Whether a value can stand for a schema type, numbers in tensor slots included."""
    if kind.endswith("?"):
        if value is None:
            return True
        kind = kind[:-1]
    if kind == "Tensor":
        return is_tensor(value) or isinstance(value, (bool, int, float, complex, list))
    if kind.endswith("]"):
        inner, _, size = kind[:-1].partition("[")
        if isinstance(value, (list, tuple)):
            return all(_takes(inner, item, is_tensor) for item in value)
        return bool(size) and _takes(inner, value, is_tensor)
    if kind in ("int", "SymInt"):
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "bool":
        return isinstance(value, bool)
    if kind in ("float", "Scalar", "complex", "number"):
        return isinstance(value, (bool, int, float, complex))
    return isinstance(value, str)  # ScalarType, str, MemoryFormat
