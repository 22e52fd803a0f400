"""A case: one operation, concrete inputs, what is special about them, and a name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conformance.accuracy.formats import dtype_name


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """One input tensor.

    data: C-contiguous ndarray with the logical values (bfloat16 as ml_dtypes.bfloat16).
    layout: how it lies in memory (a word of the `layouts` list); every backend that has
    strides builds exactly this layout, the others ignore it.
    differentiable: whether a cotangent is asked for.
    """

    data: np.ndarray
    layout: str = "contiguous"
    differentiable: bool = False

    @property
    def dtype(self) -> str:
        return dtype_name(self.data.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One call of one operation.

    args: every argument of the schema that is given, by schema name: an Operand, a list of
    Operands (Tensor[]; with None in Tensor?[]), or a plain literal (int, float, bool, str, None,
    list, complex).
    dtypes: the dtype signature, one name per crossed tensor input ("weak:float" for a Python
    scalar, "float32[]" for a 0-dim tensor).
    points: point word -> boolean mask over the elements of the broadcast result (elementwise
    ops), or True when it concerns the case as a whole.
    kind: "value" (ordinary oracles), "error" (must be refused with `expects`), "layout",
    "length", "domain" (whole domain of a small dtype).
    cotangents: one ndarray per output, drawn deterministically; None for outputs that are not
    floating point. second: one ndarray per differentiable input, the vectors for second order.
    family: shared by cases that differ in the numbers of their operands only; None otherwise,
    and in every case that was made from another one.
    """

    id: str
    op: str
    args: dict[str, Any]
    dtypes: tuple[str, ...]
    points: dict[str, Any] = field(default_factory=dict)
    kind: str = "value"
    layout: str = "contiguous"
    expects: str = ""
    seed: int = 0
    family: object = field(default=None, init=False, repr=False)
    _operands: tuple[tuple[str, Operand], ...] | None = field(default=None, init=False, repr=False)

    def operands(self) -> tuple[tuple[str, Operand], ...]:
        """(path, operand) in schema order; elements of a list are `name.0`, `name.1`, …"""
        if self._operands is None:  # asked for many times per case
            object.__setattr__(self, "_operands", tuple(self._found()))
        return self._operands

    def _found(self) -> list[tuple[str, Operand]]:
        found: list[tuple[str, Operand]] = []
        for name, value in self.args.items():
            if isinstance(value, Operand):
                found.append((name, value))
            elif isinstance(value, list):
                found.extend(
                    (f"{name}.{i}", item)
                    for i, item in enumerate(value)
                    if isinstance(item, Operand)
                )
        return found

    def with_args(self, args: dict[str, Any]) -> Case:
        """The case with other arguments; what `dataclasses.replace` does, in a third of its time."""
        return Case(
            self.id, self.op, args, self.dtypes, self.points, self.kind, self.layout,
            self.expects, self.seed,
        )  # fmt: skip

    def of(self, family: object) -> Case:
        """This case, now known to be of a family."""
        object.__setattr__(self, "family", family)
        return self

    def differentiable(self) -> list[tuple[str, Operand]]:
        return [(name, operand) for name, operand in self.operands() if operand.differentiable]
