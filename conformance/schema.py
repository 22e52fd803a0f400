"""PyTorch's operator schema lines, parsed.

Grammar: the FunctionSchema language of torchgen (`aten/src/ATen/native/README.md`, "func"):
`name.overload(Type(alias) name=default, *, …) -> Type(alias)`. Only what that language has:
no expressions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any


class SchemaError(ValueError):
    """The line is not in the schema language; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Argument:
    """type: without alias annotation, e.g. "Tensor", "Tensor[]", "int[]?", "Scalar?".

    alias: "a" of `(a)` / `(a!)`, else "". writes: True for `(a!)`. default: literal text or
    None when the argument is required.
    """

    name: str
    type: str
    alias: str = ""
    writes: bool = False
    default: str | None = None
    keyword_only: bool = False

    @property
    def is_tensor(self) -> bool:
        return self.type in ("Tensor", "Tensor?")

    @property
    def is_tensor_list(self) -> bool:
        return self.type in ("Tensor[]", "Tensor?[]")


@dataclass(frozen=True)
class Schema:
    name: str
    overload: str
    arguments: tuple[Argument, ...]
    returns: tuple[Argument, ...]

    @cached_property
    def qualified(self) -> str:
        return f"{self.name}.{self.overload}" if self.overload else self.name

    @cached_property
    def tensors(self) -> tuple[Argument, ...]:
        return tuple(a for a in self.arguments if a.is_tensor or a.is_tensor_list)

    @cached_property
    def mutates(self) -> tuple[str, ...]:
        return tuple(a.name for a in self.arguments if a.writes)

    @cached_property
    def is_view(self) -> bool:
        """A result aliases an argument that is not written: `(a)` on both sides."""
        read = {a.alias for a in self.arguments if a.alias and not a.writes}
        return any(r.alias in read for r in self.returns)

    @cached_property
    def _by_name(self) -> dict[str, Argument]:
        return {a.name: a for a in self.arguments}

    def argument(self, name: str) -> Argument:
        """Raises KeyError."""
        return self._by_name[name]

    @classmethod
    def parse(cls, line: str) -> Schema:
        """Raises SchemaError with the offending part."""
        match = re.fullmatch(r"\s*([A-Za-z_]\w*)(?:\.(\w+))?\((.*)\)\s*->\s*(.+?)\s*", line)
        if not match:
            raise SchemaError(f"not `name.overload(arguments) -> returns`: {line!r}")
        name, overload, body, result = match.groups()
        arguments, keyword_only = [], False
        for part in _split(body):
            if part == "*":
                keyword_only = True
                continue
            arguments.append(_argument(part, keyword_only))
        if result.startswith("(") and result.endswith(")"):
            parts = _split(result[1:-1])
        else:
            parts = [result]
        returns = tuple(_return(part) for part in parts)
        return cls(name, overload or "", tuple(arguments), returns)


_TYPE = (
    r"(?P<base>[A-Z]\w*|int|float|bool|str|complex)"
    r"(?:\((?P<alias>\w+)(?P<alias2>\s*->\s*\*)?(?P<bang>!)?(?:\s*->\s*\*)?\))?"
    r"(?P<suffix>(?:\[\d*\])?\??(?:\[\d*\])?\??)"
)
_ARGUMENT = re.compile(_TYPE + r"\s+(?P<name>[A-Za-z_]\w*)(?:=(?P<default>.+))?")
_RETURN = re.compile(_TYPE + r"(?:\s+(?P<name>[A-Za-z_]\w*))?")


def _split(body: str) -> list[str]:
    """Split at top-level commas; brackets of list types and defaults nest."""
    parts, depth, start = [], 0, 0
    for place, char in enumerate(body):
        if char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(body[start:place].strip())
            start = place + 1
    parts.append(body[start:].strip())
    return [part for part in parts if part]


def _typed(match: re.Match[str]) -> dict[str, Any]:
    return {
        "type": match["base"] + match["suffix"],
        "alias": match["alias"] or "",
        "writes": bool(match["bang"]),
    }


def _argument(part: str, keyword_only: bool) -> Argument:
    match = _ARGUMENT.fullmatch(part)
    if not match:
        raise SchemaError(f"not an argument of the form `Type name=default`: {part!r}")
    default = match["default"]
    return Argument(
        name=match["name"], default=default, keyword_only=keyword_only, **_typed(match)
    )


def _return(part: str) -> Argument:
    match = _RETURN.fullmatch(part)
    if not match:
        raise SchemaError(f"not a return type: {part!r}")
    return Argument(name=match["name"] or "", **_typed(match))
