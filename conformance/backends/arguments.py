"""From a case's arguments to a library's call: templates bound once, defaults filled in."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from conformance import template
from conformance.backends.protocol import NotExpressible
from conformance.cases.case import Case, Operand
from conformance.schema import Argument, Schema
from conformance.specs import OpSpec

MISSING = object()

# at::Reduction (aten/src/ATen/core/Reduction.h) is an int in the schema and a word in the
# Python functions that templates call.
_ENUMS = {"Mean": "mean", "Sum": "sum", "contiguous_format": None, "preserve_format": None}


def default(argument: Argument) -> Any:
    """The value of the schema's default; MISSING for an argument without one.

    An optional argument (`int? dim`) without a default counts as None.
    Raises ValueError for a default that is no literal and no known enumerator.
    """
    text = argument.default
    if text is None:
        return None if argument.type.endswith("?") else MISSING
    if text in _ENUMS:
        return _ENUMS[text]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise ValueError(f"default of {argument.name!r}: {text!r} is not a literal") from None


def defaults(schema: Schema) -> dict[str, Any]:
    """Default of every argument that has one, by name."""
    found = {argument.name: default(argument) for argument in schema.arguments}
    return {name: value for name, value in found.items() if value is not MISSING}


@dataclass(frozen=True, slots=True)
class Bound:
    """One operation of one library, ready to be called with arguments by schema name.

    takes: names that the library's template uses. dtype_names: arguments that are dtypes.
    tensor_names: arguments that are one tensor. writes: those that are written to.
    optional_lists: arguments of type Tensor?[], passed as tuples with `slice(None)` for None
    (they are index tuples).
    """

    call: Callable[[Mapping[str, Any]], Any]
    defaults: dict[str, Any]
    takes: frozenset[str]
    dtype_names: frozenset[str]
    tensor_names: frozenset[str]
    optional_lists: frozenset[str]
    writes: tuple[str, ...]

    @classmethod
    def of(cls, op: OpSpec, text: str, roots: Mapping[str, Any]) -> Bound:
        """Raises TemplateError when the library has no such callee."""
        schema = op.parsed
        parsed = template.parse(text, tuple(a.name for a in schema.arguments))
        return cls(
            call=parsed.bind(roots),
            defaults=defaults(schema),
            takes=frozenset(parsed.arguments),
            dtype_names=frozenset(
                a.name for a in schema.arguments if a.type.startswith("ScalarType")
            ),
            tensor_names=frozenset(a.name for a in schema.arguments if a.is_tensor),
            optional_lists=frozenset(a.name for a in schema.arguments if a.type == "Tensor?[]"),
            writes=schema.mutates,
        )

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raises NotExpressible when an argument that changes the meaning would be dropped."""
        dropped = [
            name
            for name, value in arguments.items()
            if name not in self.takes
            and (name not in self.defaults or value != self.defaults[name])
        ]
        if dropped:
            raise NotExpressible(tuple(dropped))

    def arguments(
        self,
        case: Case,
        tensor: Callable[[str, Operand], Any],
        dtype: Callable[[str], Any],
    ) -> dict[str, Any]:
        """Every argument of the call; `tensor(path, operand)` builds one input.

        Paths are the name, or `name.i` for an element of a list. Raises NotExpressible.
        """
        self.check(case.args)
        made = dict(self.defaults)
        for name, value in case.args.items():
            if isinstance(value, Operand):
                value = tensor(name, value)
            elif isinstance(value, (list, tuple)):
                kind, missing = type(value), None
                if name in self.optional_lists:
                    kind, missing = tuple, slice(None)
                value = kind(
                    tensor(f"{name}.{i}", item)
                    if isinstance(item, Operand)
                    else missing
                    if item is None
                    else item
                    for i, item in enumerate(value)
                )
            elif name in self.dtype_names and isinstance(value, str):
                value = dtype(value)
            made[name] = value
        return made
