"""What a rule of divergence may look at, and the list in which rules are entered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from conformance.cases.generate import with_operand
from conformance.oracles.base import Comparison, Context, Sample
from conformance.oracles.numbers import as_dtype, grads_of, outputs_of, seconds_of

PICKS = {"y": outputs_of, "ct": grads_of, "second": seconds_of}


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a rule may look at: the comparison, and the operation that can be run again."""

    ctx: Context
    comparison: Comparison

    @property
    def sample(self) -> Sample:
        return self.comparison.sample

    @property
    def norm(self) -> Any:
        """What the norm expects: wide array or fact."""
        return self.comparison.expected

    def operand(self, name: str) -> np.ndarray:
        """The input `name` in the wide dtype in which the operation computes."""
        e = self.ctx.expectation
        wide = e.widen(self.ctx.op, self.sample.case, self.sample.expected.common)
        return dict(wide.operands())[name].data

    def again(self, change: Callable[[str, np.ndarray], np.ndarray]) -> np.ndarray:
        """The norm's result for other inputs: `change(name, wide data)` per floating input.

        Cotangents and second-order vectors are inputs called "ct" and "second".
        """
        ctx, s = self.ctx, self.sample
        wide = ctx.expectation.widen(ctx.op, s.case, s.expected.common)
        args = wide.args
        for name, operand in wide.operands():
            if operand.data.dtype.kind in "fc":
                data = np.asarray(change(name, operand.data))
                args = with_operand(args, name, replace(operand, data=data))
        kind = self.comparison.what.split(".")[0]
        cts = None if kind == "y" else _changed("ct", s.cotangents, change)
        second = _changed("second", s.second, change) if kind == "second" else None
        ev = ctx.expectation.run(ctx.op, wide.with_args(args), cts, second)
        found = PICKS[kind](ev)[self.place()]
        if found is None:
            return np.zeros(self.comparison.observed.shape)
        return as_dtype(found, self.comparison.observed)

    def place(self) -> int:
        """Index of the compared array among outputs or cotangents."""
        kind, _, name = self.comparison.what.partition(".")
        if kind == "y":
            return int(name or 0)
        names = [n for n, _ in self.sample.case.differentiable()]
        return names.index(name) if name in names else len(names)


def _changed(name: str, arrays: Any, change: Any) -> Any:
    return None if arrays is None else [None if a is None else change(name, a) for a in arrays]


Rule = Callable[[Prediction], Any]
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    RULES[function.__name__] = function
    return function


def complex_of(real: np.ndarray, imag: np.ndarray, dtype: Any) -> np.ndarray:
    """Both parts as they are; real + 1j * imag makes nans of infinities."""
    found = np.empty(np.shape(real), dtype)
    found.real, found.imag = real, imag
    return found


def flushed(a: np.ndarray, tiny: float) -> np.ndarray:
    """Numbers below `tiny` as zeros of the same sign, complex ones part by part."""
    if a.dtype.kind == "c":
        return complex_of(flushed(a.real, tiny), flushed(a.imag, tiny), a.dtype)
    if a.dtype.kind != "f":
        return a
    return np.where(np.abs(a) < tiny, np.copysign(a.dtype.type(0), a), a)
