"""Numbers against expected numbers: the one place where bounds are applied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from conformance.accuracy import bounds
from conformance.accuracy.bounds import Bound, Judged
from conformance.accuracy.formats import is_complex, is_floating, np_dtype
from conformance.accuracy.residuals import RESIDUALS
from conformance.accuracy.ulp import error_in_ulp
from conformance.cases.generate import elementwise, with_operand
from conformance.observation import Evaluation
from conformance.oracles.base import Comparison, Context, Sample

Pick = Callable[[Evaluation], tuple[np.ndarray | None, ...]]


def outputs_of(ev: Evaluation) -> tuple[np.ndarray | None, ...]:
    return tuple(o.value for o in ev.outputs)


def grads_of(ev: Evaluation) -> tuple[np.ndarray | None, ...]:
    return tuple(None if g is None else g.value for g in ev.grads or ())


def seconds_of(ev: Evaluation) -> tuple[np.ndarray | None, ...]:
    return tuple(None if s is None else s.value for s in ev.seconds or ())


class Judge:
    """Applies one bound to arrays of one sample; expensive parts are computed on demand.

    key: "value", "vjp" or "second": which bound, and what `pick` takes of an evaluation.
    """

    def __init__(self, ctx: Context, sample: Sample, key: str) -> None:
        self.ctx, self.sample, self.key = ctx, sample, key
        self.bound: Bound = ctx.bound(key)
        self.pick: Pick = {"value": outputs_of, "vjp": grads_of, "second": seconds_of}[key]
        self._change: Any = None
        self._scale: Any = None
        self._counts: Any = None

    def compare(
        self, oracle: str, what: str, place: int, got: np.ndarray, exact: np.ndarray
    ) -> Comparison:
        """Compare one array with its expected one; place is its index in what `pick` gives."""
        judged = self.judge(place, got, exact)
        return Comparison(
            sample=self.sample,
            oracle=oracle,
            what=what,
            compared=judged.compared,
            over=np.asarray(judged.over),
            observed=got,
            expected=exact,
            worst=judged.worst,
            allowed=judged.allowed,
            unit=judged.unit,
            skipped=judged.skipped,
        )

    def judge(self, place: int, got: np.ndarray, exact: np.ndarray) -> Judged:
        dtype = got.dtype.name
        # the sign of a zero is promised for results; no norm promises it for a cotangent
        signed = self.key == "value"
        if not (is_floating(dtype) or is_complex(dtype)):
            return bounds.judge_exact(got, exact, dtype, signed)
        bound = self.bound
        if bound.kind == "residual" and self.key == "value":
            return self._residual(got)
        if bound.kind == "exact":
            moved = not elementwise(self.ctx.op)
            return bounds.judge_exact(got, exact, dtype, signed, moved)
        if bound.kind == "ulp":
            return bounds.judge_ulp(got, exact, dtype, bound.factor, signed)
        if bound.kind == "dot":
            scale, count = self.scale(place), self.terms(place)
            return bounds.judge_dot(got, exact, scale, dtype, count, signed)
        factor = bound.factor
        if not is_complex(dtype):
            quick = error_in_ulp(got, exact, dtype, signed_zero=False)
            if not (quick > factor / 2 + 0.5).any():  # within the bound whatever the change is
                return bounds.judge_stable(got, exact, np.zeros(exact.shape), dtype, factor)
        return bounds.judge_stable(got, exact, self.change(place), dtype, factor)

    def _residual(self, got: np.ndarray) -> Judged:
        error = np.asarray(RESIDUALS[self.ctx.op.name](self.sample.case.args, got), float)
        # one residual speaks for a whole matrix; show it at every element of that matrix
        extra = got.ndim - error.ndim
        full = np.broadcast_to(error.reshape(error.shape + (1,) * extra), got.shape)
        over = ~(full <= self.bound.factor)
        return Judged(error=full, over=over, allowed=self.bound.factor, unit="residual")

    def change(self, place: int) -> np.ndarray:
        """What one unit roundoff in inputs, cotangents and the saved result does; wide."""
        if self._change is None:
            s, e = self.sample, self.ctx.expectation
            total = list(
                e.change(
                    self.ctx.op, s.case, s.expected, self.pick,
                    s.cotangents if self.key != "value" else None,
                    s.second if self.key == "second" else None,
                )
            )  # fmt: skip
            saved = {w for words in self.ctx.op.saves.values() for w in words}
            if self.key == "vjp" and "result" in saved and elementwise(self.ctx.op):
                moved = e.change_of_result(self.ctx.op, s.case, s.expected, s.cotangents or [])
                total = [
                    t if m is None or t is None else t + m
                    for t, m in zip(total, moved, strict=True)
                ]
            self._change = total
        return self._change[place]

    def scale(self, place: int) -> np.ndarray:
        """The operation on absolute values: sum of |a||b| for sums and products."""
        if self._scale is None:
            self._scale = self._on(np.abs)
        scale = self._scale[place]
        return np.zeros(()) if scale is None else np.asarray(np.abs(scale))

    def terms(self, place: int) -> int:
        """Number of terms of the longest sum: the operation applied to ones counts them."""
        if self._counts is None:
            self._counts = self._on(lambda a: np.ones_like(a))
        if self._counts[place] is None:
            return self.length()
        with np.errstate(invalid="ignore"):
            # nan: a mean over nothing has no terms
            counted = np.nanmax(np.abs(self._counts[place]), initial=1.0)
        return int(max(np.ceil(float(counted)), self.length()))

    def length(self) -> int:
        """The inner length that the table names, at least.

        For "repeats" and "summed" only the operation itself knows: see `terms`.
        """
        operands = [o.data for _, o in self.sample.case.operands()]
        first, out = operands[0], self.sample.expected.outputs[0]
        word = self.bound.length
        if word == "reduced":
            return max(1, round(first.size / max(out.size, 1)))
        if word == "inner":
            return max(1, first.shape[-1] if first.ndim else 1)
        if word == "window":
            weight = operands[1] if len(operands) > 1 else first
            return max(1, weight.size // max(weight.shape[0], 1))
        if word in ("repeats", "summed"):
            return 1
        raise KeyError(word)

    def _on(self, function: Callable[[np.ndarray], np.ndarray]) -> Any:
        s, e = self.sample, self.ctx.expectation
        wide = e.widen(self.ctx.op, s.case, s.expected.common)
        args = wide.args
        for name, operand in wide.operands():
            if operand.data.dtype.kind in "fc":
                data = _apply(function, operand.data)
                args = with_operand(args, name, replace(operand, data=data))
        cts = None
        if self.key != "value" and s.cotangents is not None:
            cts = [None if c is None else _apply(function, c) for c in s.cotangents]
        second = None
        if self.key == "second" and s.second is not None:
            second = [None if v is None else _apply(function, v) for v in s.second]
        return self.pick(e.run(self.ctx.op, replace(wide, args=args), cts, second))


def as_dtype(exact: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Expected values in a form comparable with what was observed.

    A wrong dtype is the `dtype` oracle's question; the values are still compared, as numbers
    of the dtype that was observed.
    """
    seen = observed.dtype.name
    floats = is_floating(seen) or is_complex(seen)
    if floats and exact.dtype.kind in "fc" and exact.dtype != observed.dtype:
        if exact.dtype.kind == "c" and observed.dtype.kind != "c":
            return exact.real
        if exact.dtype.kind != "c" and observed.dtype.kind == "c":
            return exact.astype(np.result_type(exact.dtype, np.complex64))
        if exact.dtype.itemsize > observed.dtype.itemsize:
            return exact
    if exact.dtype != observed.dtype:
        with np.errstate(all="ignore"):
            return exact.astype(np_dtype(seen))
    return exact


def _apply(function: Callable[[np.ndarray], np.ndarray], a: np.ndarray) -> np.ndarray:
    """The function's result as an array of the same dtype (NumPy makes scalars of 0-dim ones)."""
    return np.asarray(function(a)).astype(a.dtype)
