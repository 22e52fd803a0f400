"""Errors in units in the last place, with nan, infinities and signed zeros told apart."""

from __future__ import annotations

import numpy as np

from conformance.accuracy.formats import FORMATS, Format


def ulp(exact: np.ndarray, fmt: Format) -> np.ndarray:
    """Unit in the last place of `fmt` at each exact value (Goldberg's definition).

    exact: finite, in the wide dtype. Returns the same shape and dtype; never below the smallest
    subnormal, never above the ulp of the largest finite number.
    """
    magnitude = np.minimum(np.abs(exact), fmt.max)
    exponent = np.frexp(magnitude)[1] - fmt.precision
    # frexp of 0 gives 0; anything below the normal range has the spacing of the subnormals
    exponent = np.where(magnitude < fmt.tiny, fmt.min_exponent, exponent)
    return np.ldexp(np.ones_like(magnitude), np.maximum(exponent, fmt.min_exponent))


def round_to(exact: np.ndarray, dtype: str) -> np.ndarray:
    """The wide value rounded once, to nearest even, to a dtype (complex part by part)."""
    from conformance.accuracy.formats import np_dtype

    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if dtype == "bfloat16":
            return _round_through_odd(exact).astype(np_dtype(dtype))
        return np.asarray(exact).astype(np_dtype(dtype))


def _round_through_odd(exact: np.ndarray) -> np.ndarray:
    """float64 -> float32 rounded to odd, so that a second rounding to bfloat16 is innocuous.

    ml_dtypes converts float64 to bfloat16 through float32, which rounds twice. Rounding to odd
    first is exact for every narrower format with at least two bits less (Boldo & Melquiond
    2008, "Emulation of FMA and correctly rounded sums").
    """
    exact = np.asarray(exact, dtype=np.float64)
    near = exact.astype(np.float32)
    finite = np.isfinite(near) & np.isfinite(exact)
    inexact = finite & (near.astype(np.float64) != exact)
    even = (near.view(np.uint32) & 1) == 0
    away = np.where(near.astype(np.float64) < exact, np.float32(np.inf), np.float32(-np.inf))
    fixed = np.nextafter(near, away)
    near = np.where(inexact & even, fixed, near)
    # beyond float32's range but finite: the largest float32 is odd, and rounds to infinity
    return np.where(np.isfinite(exact) & ~finite, np.sign(exact) * np.float32(np.inf), near)


def error_in_ulp(
    got: np.ndarray, exact: np.ndarray, dtype: str, *, signed_zero: bool = True
) -> np.ndarray:
    """|got - exact| in ulp of the exact value; shape of `got`, float64.

    got: values of a real floating dtype. exact: same shape, wide dtype. nan against nan is 0,
    nan against a number is inf, an infinity counts as 2**(emax+1) against a finite value. An
    exact zero must be a zero; with `signed_zero` a zero of the other sign has error inf.
    """
    fmt = FORMATS[dtype]
    wide = got.astype(exact.dtype)
    both = np.isfinite(wide) & np.isfinite(exact)
    if both.all():  # nothing special to tell apart: most arrays
        with np.errstate(all="ignore"):
            error = np.asarray(np.abs(wide - exact) / ulp(exact, fmt))
            if signed_zero:
                zero = (wide == 0) & (np.signbit(wide) != np.signbit(exact))
                error = np.where(zero, np.inf, error)
            return error.astype(np.float64)
    error = np.zeros(got.shape, dtype=np.float64)
    with np.errstate(all="ignore"):
        unit = ulp(np.where(np.isfinite(exact), exact, 1), fmt)
        error = np.where(both, np.abs(wide - exact) / unit, error)
        edge = np.ldexp(np.asarray(1, exact.dtype), int(np.frexp(np.float64(fmt.max))[1]))
        got_inf = np.isinf(wide) & np.isfinite(exact)
        far = np.abs(np.copysign(edge, wide) - exact) / unit
        error = np.where(got_inf, np.where(np.abs(exact) >= edge, 0.0, far), error)
        # beyond the threshold with the wrong sign is not an overflow of the same number
        error = np.where(got_inf & (np.sign(wide) != np.sign(exact)), np.inf, error)
    exact_inf = np.isinf(exact)
    error = np.where(exact_inf & (wide != exact), np.inf, error)
    error = np.where(exact_inf & (wide == exact), 0.0, error)
    nans = np.isnan(wide), np.isnan(exact)
    error = np.where(nans[0] ^ nans[1], np.inf, error)
    error = np.where(nans[0] & nans[1], 0.0, error)
    if signed_zero:
        zero = (wide == 0) & (np.signbit(wide) != np.signbit(exact)) & ~nans[1]
        error = np.where(zero, np.inf, error)
    with np.errstate(over="ignore"):  # an error beyond float64 is infinite all the same
        return error.astype(np.float64)


def same_bits(got: np.ndarray, want: np.ndarray, *, signed_zero: bool = True) -> np.ndarray:
    """Elementwise: equal as numbers, nan equal to nan, and zeros of the same sign if asked."""
    if got.dtype.kind == "c":
        return same_bits(got.real, want.real, signed_zero=signed_zero) & same_bits(
            got.imag, want.imag, signed_zero=signed_zero
        )
    equal = np.asarray(got == want)
    if got.dtype.kind not in "biu":
        equal |= np.isnan(got) & np.isnan(want)
        if signed_zero:
            equal &= np.isnan(got) | (np.signbit(got) == np.signbit(want))
    return equal
