"""What is close enough: a bound has a unit and a derivation, never a tolerance.

| bound      | allowed                                                                      |
| ---------- | ---------------------------------------------------------------------------- |
| exact      | the exact value rounded once, same bits                                      |
| ulp=K      | K ulp of the exact value; 16-bit floats: computed in float32, rounded once   |
| dot=N      | gamma_n * sum |a||b| (Higham 2002, eq. 3.5), plus the last rounding          |
| stable=C   | C times the change that one rounding unit in every input makes, plus C/2 ulp |
| product=C  | as stable, of a product of many: partial products may leave the dtype's range  |
| log=C      | as stable, where the change counts one rounding unit of the number 1 more     |
| residual=C | C in LAPACK's scaled residual (dpot01, dget02)                               |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from conformance.accuracy.formats import HALVES, REAL_OF, real_format
from conformance.accuracy.ulp import error_in_ulp, round_to, same_bits, ulp


class BoundError(ValueError):
    """The bound's text is none of `exact`, `ulp=K`, `dot=N`, `stable=C`, `log=C`, …"""


@dataclass(frozen=True, slots=True)
class Bound:
    """kind: word of the `bounds` list. factor: K or C. length: word of `lengths` for dot."""

    kind: str
    factor: float = 0.0
    length: str = ""

    @classmethod
    @cache
    def parse(cls, text: str) -> Bound:
        kind, equals, value = text.partition("=")
        if kind == "exact" and not equals:
            return cls("exact")
        if kind in ("ulp", "stable", "product", "log", "residual") and equals:
            try:
                return cls(kind, factor=float(value))
            except ValueError:
                raise BoundError(f"{text!r}: {value!r} is not a number") from None
        if kind == "dot" and value:
            return cls("dot", length=value)
        raise BoundError(
            f"{text!r} is not exact, ulp=K, dot=LENGTH, stable=C, product=C, log=C or residual=C"
        )


def gamma(n: int, unit: float) -> float:
    """gamma_n = n*u / (1 - n*u). Raises ValueError if n*u >= 1 (the bound is void)."""
    if n * unit >= 1:
        raise ValueError(f"gamma_{n} is void for unit roundoff {unit}")
    return n * unit / (1 - n * unit)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """error, allowed: shape of the observed value, in units of `unit`; over: error > allowed.

    skipped: elements on which the bound says nothing (order of summation decides overflow).
    """

    error: np.ndarray
    over: np.ndarray
    allowed: float
    unit: str
    skipped: int = 0

    @property
    def compared(self) -> int:
        return int(self.error.size) - self.skipped

    @property
    def worst(self) -> float:
        return float(np.max(self.error, initial=0.0))


def judge_parts(judge, got: np.ndarray, exact: np.ndarray, *more) -> Judged:
    """Apply a judgement of real arrays to both parts of complex ones and take the worse.

    more: further arrays of the same shape, real (one for both parts) or complex.
    """
    if got.dtype.kind != "c":
        return judge(got, exact, *more)
    parts = [
        judge(part(got), part(exact), *(part(m) if np.iscomplexobj(m) else m for m in more))
        for part in (np.real, np.imag)
    ]
    return Judged(
        error=np.maximum(parts[0].error, parts[1].error),
        over=parts[0].over | parts[1].over,
        allowed=parts[0].allowed,
        unit=parts[0].unit,
        skipped=max(p.skipped for p in parts),
    )


def judge_exact(
    got: np.ndarray, exact: np.ndarray, dtype: str, signed_zero: bool, moved: bool = True
) -> Judged:
    """exact: wide dtype, or the dtype itself for integers, bool and moves.

    moved: whether the result only moves elements. Complex arithmetic promises less than its
    parts: special results are compared by class, and signs of zero parts not at all
    (ISO C Annex G.3: a complex value with an infinite part is an infinity, whatever the other).
    """
    want = round_to(exact, dtype) if exact.dtype != got.dtype else exact
    over = ~same_bits(got, want, signed_zero=signed_zero and (moved or got.dtype.kind != "c"))
    if dtype == "float64" and exact.dtype == np.longdouble and over.any():
        # the exact value is itself rounded to long double: near a tie either neighbour is right
        over &= error_in_ulp(got, exact, dtype, signed_zero=signed_zero) > 0.5 + 2.0**-10
    if got.dtype.kind == "c" and not moved:
        special = ~(np.isfinite(got) & np.isfinite(want))
        over = np.where(special, _complex_class(got) != _complex_class(want), over)
    return Judged(error=over.astype(np.float64), over=over, allowed=0.0, unit="exact")


def ulp_allowance(factor: float, dtype: str, once: bool = True) -> float:
    """K ulp; for 16-bit floats half an ulp of the last rounding and K ulp of float32.

    once: one kernel computes in float32 and rounds once (forward); a cotangent is computed by
    several calls, each of which rounds to the dtype, and has K ulp of the dtype itself.
    """
    if dtype in HALVES and once:
        return 0.5 + factor * 2.0 ** (real_format(dtype).precision - 24)
    return factor


def judge_ulp(
    got: np.ndarray,
    exact: np.ndarray,
    dtype: str,
    factor: float,
    signed_zero: bool,
    once: bool = True,
) -> Judged:
    real = REAL_OF.get(dtype, dtype)
    allowed = ulp_allowance(factor, real, once)

    def one(g: np.ndarray, e: np.ndarray) -> Judged:
        error = error_in_ulp(g, e, real, signed_zero=signed_zero)
        return Judged(error=error, over=error > allowed, allowed=allowed, unit="ulp")

    if got.dtype.kind == "c":
        return _judge_complex_norm(got, exact, real, factor, np.zeros(got.shape), "ulp")
    return one(got, exact)


def judge_dot(
    got: np.ndarray,
    exact: np.ndarray,
    scale: np.ndarray,
    dtype: str,
    n: int,
    rounded: int = 0,
    divisor: float = 1.0,
) -> Judged:
    """scale: sum of absolute products of the finite terms, wide, shape of `got`. n: terms.

    rounded: how often each term is rounded to a 16-bit dtype before it is summed in float32.
    divisor: what the sum is divided by in the end (a mean), so that scale is that much less.
    Errors are in units of the bound gamma_n * scale + the last rounding; 1.0 is at the bound.
    Where the absolute terms add up to an overflow, the order of summation decides whether a
    partial sum does: nothing is promised there, and such elements are skipped and counted.
    """
    real = REAL_OF.get(dtype, dtype)
    fmt = real_format(real)
    carried = real_format("float32").unit if real in HALVES else fmt.unit
    terms = n if got.dtype.kind != "c" else n + 2  # a complex product is 4 real ones, 2 sums
    rate = gamma(max(terms, 1), carried) * (np.sqrt(2) if got.dtype.kind == "c" else 1)
    rate += rounded * fmt.unit if real in HALVES else 0.0
    last = 0.5 if real in HALVES else 0.0

    def slack(e: np.ndarray) -> np.ndarray:
        finite = np.where(np.isfinite(e), e, 0)
        # every term may be rounded in the subnormal range once more
        return rate * scale + last * ulp(finite, fmt) + max(terms, 1) * fmt.smallest / 2

    return _judge_absolute(got, exact, slack, scale * divisor, fmt, "dot")


def judge_stable(
    got: np.ndarray, exact: np.ndarray, change: np.ndarray, dtype: str, factor: float
) -> Judged:
    """change: what one rounding unit in every input does to the result, wide, shape of `got`.

    Errors are in units of the bound C * change + (C/2 + 1/2) ulp; 1.0 is at the bound.
    """
    real = REAL_OF.get(dtype, dtype)
    fmt = real_format(real)

    def slack(e: np.ndarray) -> np.ndarray:
        finite = np.where(np.isfinite(e), e, 0)
        return factor * change + (factor / 2 + 0.5) * ulp(finite, fmt)

    return _judge_absolute(got, exact, slack, np.zeros_like(np.abs(exact)), fmt, "stable")


def judge_product(
    got: np.ndarray,
    exact: np.ndarray,
    change: np.ndarray,
    dtype: str,
    factor: float,
    grown: np.ndarray,
    shrunk: np.ndarray,
) -> Judged:
    """As `judge_stable`, where some order of multiplication may leave the range of a real dtype.

    grown, shrunk: the absolute product of all factors above, and of all below 1; wide. Where these
    overflow or vanish, so may a partial product, and no norm promises an order: an infinity of
    the right sign, a zero, or nan where both may be, are skipped there and counted. A partial
    product that is subnormal is rounded to what is left of it, and may grow again.
    """
    fmt = real_format(dtype)
    with np.errstate(all="ignore"):
        over, under = grown >= fmt.max, shrunk < fmt.tiny
        wide = got.astype(exact.dtype)
        infinite = np.isinf(wide) & (np.sign(wide) == np.sign(exact)) & over
        lost = infinite | ((wide == 0) & under) | (np.isnan(wide) & over & under)
        lost &= np.isfinite(exact)
        change = change + np.where(under, fmt.smallest / 2 * grown, 0)
    judged = judge_stable(np.where(lost, 0, got).astype(got.dtype), np.where(lost, 0, exact),
                          change, dtype, factor)  # fmt: skip
    return replace(judged, skipped=judged.skipped + int(lost.sum()))


def _judge_absolute(got, exact, slack, partial, fmt, unit) -> Judged:
    """Absolute error against an absolute allowance; special values as in error_in_ulp.

    partial: how large a partial sum can get, whatever the order.
    """

    def one(g: np.ndarray, e: np.ndarray) -> Judged:
        wide = g.astype(e.dtype)
        with np.errstate(all="ignore"):
            allowance = slack(e)
            finite = np.isfinite(wide) & np.isfinite(e)
            if finite.all() and np.isfinite(allowance).all():  # nothing special to tell apart
                error = np.asarray(np.abs(wide - e) / allowance).astype(np.float64)
                return Judged(error=error, over=error > 1.0, allowed=1.0, unit=unit)
            error = np.where(finite, np.abs(wide - e) / allowance, 0.0).astype(np.float64)
            # overflow of the rounded result is right only within the allowance of the limit
            edge = np.maximum(np.abs(e) + allowance, 0) >= fmt.max
            lost = np.isinf(wide) & np.isfinite(e)
            error = np.where(lost, np.where(edge & (np.sign(wide) == np.sign(e)), 0.0, np.inf), error)
            short = np.isinf(e) & (wide != e)
            error = np.where(short, np.inf, error)
            error = np.where(np.isnan(wide) ^ np.isnan(e), np.inf, error)
            error = np.where(np.isnan(wide) & np.isnan(e), 0.0, error)
            # a partial sum may be an infinity, or both; one infinite term is never outweighed
            open_ = ~np.isfinite(wide) & (partial >= fmt.max / 2) & (wide != -e)
            unbounded = np.isfinite(e) & ~np.isfinite(allowance)
        skip = open_ | unbounded
        error = np.where(skip, 0.0, error)
        return Judged(
            error=error, over=error > 1.0, allowed=1.0, unit=unit, skipped=int(skip.sum())
        )

    if got.dtype.kind == "c":
        # what a special operand does to the parts of a sum of products is left open by Annex G:
        # a result that is not finite must only stay so
        # (an infinity by overflow of one part is one, whatever the other)
        beyond = np.maximum(np.abs(exact.real), np.abs(exact.imag)) > fmt.max
        special = ~np.isfinite(got) & (~np.isfinite(exact) | beyond)
        got, exact = np.where(special, 0, got), np.where(special, 0, exact)
    return judge_parts(one, got, exact)


def _judge_complex_norm(got, exact, real, factor, _change, unit) -> Judged:
    """Complex elementwise functions are accurate in norm: |got - exact| in ulp of |exact|.

    No norm promises each part by itself (C Annex G, torch and jax alike); special values are
    compared by class: a nan part or an infinite part must be one in both.
    """
    fmt = real_format(real)
    allowed = ulp_allowance(factor, real) * np.sqrt(2)
    wide = got.astype(exact.dtype)
    with np.errstate(all="ignore"):
        finite = np.isfinite(wide) & np.isfinite(exact)
        size = np.abs(np.where(np.isfinite(exact), exact, 0))
        error = np.where(finite, np.abs(wide - exact) / ulp(size, fmt), 0.0)
        over_limit = np.isfinite(exact) & ~np.isfinite(wide)
        near = np.maximum(np.abs(exact.real), np.abs(exact.imag)) >= fmt.max * (1 - 2 * fmt.unit)
        error = np.where(over_limit & ~near, np.inf, error)
        # Annex G: one infinite part makes an infinity, otherwise one nan part makes a nan
        classes = _complex_class(wide), _complex_class(exact)
        error = np.where(~finite & ~over_limit & (classes[0] != classes[1]), np.inf, error)
    error = error.astype(np.float64)
    return Judged(error=error, over=error > allowed, allowed=float(allowed), unit=unit)


def _complex_class(z: np.ndarray) -> np.ndarray:
    """0 finite, 1 infinite (any part), 2 nan."""
    infinite = np.isinf(z.real) | np.isinf(z.imag)
    return np.where(infinite, 1, np.where(np.isnan(z), 2, 0))
