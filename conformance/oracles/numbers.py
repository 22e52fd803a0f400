"""Numbers against expected numbers: the one place where bounds are applied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from conformance.accuracy import bounds, changes
from conformance.accuracy.bounds import Bound, Judged
from conformance.accuracy.formats import (
    dtype_name,
    is_complex,
    is_floating,
    np_dtype,
    real_format,
)
from conformance.accuracy.residuals import RESIDUALS
from conformance.accuracy.ulp import error_in_ulp, round_to
from conformance.cases.case import Operand
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


def judge_of(ctx: Context, sample: Sample, key: str) -> Judge:
    """The judge of a sample, one per key: what it finds out about a bound is found out once."""
    found = sample.judges.get(key)
    if found is None:
        found = sample.judges[key] = Judge(ctx, sample, key)
    return found


class Judge:
    """Applies one bound to arrays of one sample; expensive parts are computed on demand.

    key: "value", "vjp" or "second": which bound, and what `pick` takes of an evaluation.
    """

    def __init__(self, ctx: Context, sample: Sample, key: str) -> None:
        self.ctx, self.sample, self.key = ctx, sample, key
        self.bound: Bound = ctx.bound(key, sample.expected.common)
        self.pick: Pick = {"value": outputs_of, "vjp": grads_of, "second": seconds_of}[key]
        self._change: Any = None
        self._joint: Any = None
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
            errors=judged.error,
            allowed=judged.allowed,
            unit=judged.unit,
            skipped=judged.skipped,
        )

    def judge(self, place: int, got: np.ndarray, exact: np.ndarray) -> Judged:
        dtype = dtype_name(got.dtype)
        # the sign of a zero is promised for results; no norm promises it for a cotangent
        signed = self.key == "value"
        if not (is_floating(dtype) or is_complex(dtype)):
            return bounds.judge_exact(got, exact, dtype, signed)
        lost = self._saved_overflow(got)
        if lost is not None:
            judged = self._judge(place, np.where(lost, 0, got).astype(got.dtype),
                                 np.where(lost, 0, exact), dtype, signed)  # fmt: skip
            return replace(judged, skipped=judged.skipped + int(lost.sum()))
        return self._judge(place, got, exact, dtype, signed)

    def _judge(
        self, place: int, got: np.ndarray, exact: np.ndarray, dtype: str, signed: bool
    ) -> Judged:
        bound = self.bound
        if bound.kind == "residual" and self.key == "value":
            return self._residual(got)
        terms = self._summed(place, got)
        if terms is not None:
            scale, count = terms
            roundings = int(np.ceil(bound.factor)) + 2
            return bounds.judge_dot(got, exact, scale, dtype, count + roundings, roundings)
        if bound.kind == "exact":
            moved = not elementwise(self.ctx.op)
            return bounds.judge_exact(got, exact, dtype, signed, moved)
        if bound.kind == "ulp":
            once = self.key == "value"
            return bounds.judge_ulp(got, exact, dtype, bound.factor, signed, once)
        if bound.kind == "dot":
            # the size of a sum is at most that of its terms, and the table's length at most their
            # number: what these allow, which costs nothing, the whole bound allows
            size = np.nan_to_num(np.abs(exact), nan=0.0, posinf=0.0)
            judged = self._dot(got, exact, size, dtype, self.length())
            if judged.over.any() or judged.skipped:
                count = self.terms(place)
                divisor = count / self.counted(place) if self.key == "value" else 1.0
                judged = self._dot(got, exact, self.scale(place), dtype, count, divisor)
            return judged
        factor = bound.factor
        # a logarithm of a rounded sum: log(1 + s) is off by a rounding unit of 1 however small s
        floor = real_format(dtype).unit if bound.kind == "log" else 0.0
        if not is_complex(dtype):
            quick = error_in_ulp(got, exact, dtype, signed_zero=False)
            if not (quick > factor / 2 + 0.5).any():  # within the bound whatever the change is
                return bounds.judge_stable(got, exact, np.full(exact.shape, floor), dtype, factor)
        if self._change is None and not elementwise(self.ctx.op):
            # what one joint change does is at most what all changes together may do, and is
            # found in one run: most results are within the bound of that already
            judged = bounds.judge_stable(got, exact, self.joint(place) + floor, dtype, factor)
            # a nan instead of a number, or a number instead of one, is no matter of how much
            if not (judged.over & (np.isnan(got) == np.isnan(exact))).any():
                return judged
        change = self.change(place) + floor
        if bound.kind == "product" and not is_complex(dtype):
            factors = self.factors(place)
            return bounds.judge_product(got, exact, change, dtype, factor, *factors)
        return bounds.judge_stable(got, exact, change, dtype, factor)

    def _dot(
        self,
        got: np.ndarray,
        exact: np.ndarray,
        scale: np.ndarray,
        dtype: str,
        count: int,
        divisor: float = 1.0,
    ) -> Judged:
        rounded = 0 if self.key == "value" else 2
        if self.bound.length == "summed":  # one after the other in the dtype itself
            rounded += count
        if self.sample.case.args.get("bias") is not None:  # added to the rounded product
            rounded += 1
        return bounds.judge_dot(got, exact, scale, dtype, count, rounded, divisor)

    def _saved_overflow(self, got: np.ndarray) -> np.ndarray | None:
        """Where the result that the graph saved overflowed, so that no cotangent can be right.

        "When inputs are so large that intermediate results overflow, so may the end result"
        (paraphrased from PyTorch's notes on numerical accuracy, "extremal values").
        """
        if self.key == "value" or not self.ctx.op.saves_result or not elementwise(self.ctx.op):
            return None
        y = self.sample.expected.outputs[0]
        if y is None or y.shape != got.shape or y.dtype.kind not in "fc":
            return None
        lost = np.isfinite(y) & ~np.isfinite(round_to(y, self.sample.expected.common))
        return lost if lost.any() else None

    def _summed(self, place: int, got: np.ndarray) -> tuple[np.ndarray, int] | None:
        """For an operand that was broadcast: (sum of absolute cotangents, how many), else None.

        The cotangent of a broadcast operand is a sum over what it was broadcast to.
        """
        if self.key != "vjp" or not elementwise(self.ctx.op) or self.sample.case.kind == "error":
            return None
        shape = self.sample.expected.outputs[0].shape
        if got.shape == shape or got.size == 0:
            return None
        case, cts = self.sample.case, self.sample.cotangents
        args = case.args
        for name, operand in case.operands():
            data = np.broadcast_to(operand.data, shape).copy()
            args = with_operand(args, name, replace(operand, data=data, layout="contiguous"))
        e = self.ctx.expectation
        wide = e.widen(self.ctx.op, case.with_args(args), self.sample.expected.common)
        terms = grads_of(e.run(self.ctx.op, wide, cts))[place]
        if terms is None:
            return np.zeros(got.shape), 1
        lead = tuple(range(len(shape) - got.ndim))
        ones = tuple(
            i for i in range(len(lead), len(shape)) if got.shape[i - len(lead)] == 1 != shape[i]
        )
        size = np.abs(terms).sum(axis=lead + ones, keepdims=True).reshape(got.shape)
        return size, max(1, int(np.prod(shape)) // got.size)

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
                changes.change(
                    e, self.ctx.op, s.case, s.expected, self.pick,
                    s.cotangents if self.key != "value" else None,
                    s.second if self.key == "second" else None,
                )
            )  # fmt: skip
            if self.key != "value" and self.ctx.op.saves_result:
                moved = changes.change_of_result(
                    e, self.ctx.op, s.case, s.expected, self.pick, s.cotangents,
                    s.second if self.key == "second" else None,
                )  # fmt: skip
                total = [
                    t if m is None or t is None else t + m
                    for t, m in zip(total, moved, strict=True)
                ]
            self._change = total
        return self._change[place]

    def joint(self, place: int) -> np.ndarray:
        """What one joint change of everything does: less than `change`, and cheap; wide."""
        if self._joint is None:
            s = self.sample
            self._joint = changes.joint_change(
                self.ctx.expectation, self.ctx.op, s.case, s.expected, self.pick,
                s.cotangents if self.key != "value" else None,
                s.second if self.key == "second" else None,
            )  # fmt: skip
        return self._joint[place]

    def scale(self, place: int) -> np.ndarray:
        """The operation on absolute values: sum of |a||b| for sums and products."""
        if self._scale is None:
            self._scale = self._on(lambda a: np.nan_to_num(np.abs(a), posinf=0.0))
        scale = self._scale[place]
        return np.zeros(()) if scale is None else np.asarray(np.abs(scale))

    def factors(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Of a product, or its cotangent: what the factors above and below 1 make, each alone.

        The cotangent may be ct * y / x: the saved result counts, with the element's own factor.
        """
        own = [o.data for _, o in self.sample.case.differentiable()]
        found = []
        for limit in (np.maximum, np.minimum):
            made = np.abs(self._on(lambda a, limit=limit: limit(np.abs(a), 1))[place])
            if self.key == "vjp":
                made = made * limit(np.abs(own[place].astype(made.dtype)), 1)
            found.append(made)
        return found[0], found[1]

    def terms(self, place: int) -> int:
        """Number of terms of the longest sum."""
        return max(self.counted(place), self.length())

    def counted(self, place: int) -> int:
        """What the operation gives for ones: the number of terms of the longest sum, and where
        the sum is divided by their number, 1."""
        if self._counts is None:
            known, key = self.ctx.expectation.counts, self._shapes()
            if key not in known:
                known[key] = [_most(a) for a in self._on(lambda a: np.ones_like(a))]
            self._counts = known[key]
        counted = self._counts[place]
        return self.length() if counted is None else counted

    def _shapes(self) -> Any:
        """All that the operation on ones depends on: no floating number of the inputs."""
        s = self.sample
        wide = self.ctx.expectation.widen(self.ctx.op, s.case, s.expected.common)
        operands = tuple(
            (path, o.dtype, o.data.shape, o.differentiable,
             b"" if o.data.dtype.kind in "fc" else o.data.tobytes())
            for path, o in wide.operands()
        )  # fmt: skip
        literals = tuple((n, _literal(v)) for n, v in wide.args.items())
        vectors = tuple(
            None if a is None else (a.dtype, a.shape)
            for given in (s.cotangents, s.second if self.key == "second" else None)
            for a in given or ()
        )
        return self.ctx.op.name, self.key, operands, literals, vectors

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
        if word == "window" and "kernel_size" in self.sample.case.args:
            kernel = self.sample.case.args["kernel_size"]
            return int(np.prod(kernel if isinstance(kernel, list) else [kernel, kernel]))
        if word == "window":
            weight = operands[1] if len(operands) > 1 else first
            return max(1, weight.size // max(weight.shape[0], 1))
        if word in ("", "repeats", "summed"):
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
        return self.pick(e.run(self.ctx.op, wide.with_args(args), cts, second))


def as_dtype(exact: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Expected values in a form comparable with what was observed.

    A wrong dtype is the `dtype` oracle's question; the values are still compared, as numbers
    of the dtype that was observed.
    """
    seen = dtype_name(observed.dtype)
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


def _most(counts: np.ndarray | None) -> int | None:
    if counts is None:
        return None
    with np.errstate(invalid="ignore"):
        # nan: a mean over nothing has no terms
        return int(np.ceil(float(np.nanmax(np.abs(counts), initial=1.0))))


def _literal(value: Any) -> str:
    if isinstance(value, Operand):
        return ""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_literal, value))}]"
    return repr(value)


def _apply(function: Callable[[np.ndarray], np.ndarray], a: np.ndarray) -> np.ndarray:
    """The function's result as an array of the same dtype (NumPy makes scalars of 0-dim ones)."""
    return np.asarray(function(a)).astype(a.dtype)

