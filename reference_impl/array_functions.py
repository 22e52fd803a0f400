"""Functions of arrays that NumPy lacks, or has with another meaning at special values.

All of them take ndarrays of any floating or complex dtype, long double included, and ndarrays of
objects (numbers of arbitrary precision), on which they call the method of the same name.
"""

import ml_dtypes
import numpy as np
import scipy.special

from reference_impl.errors import Argument, Domain

# both leave less than one unit of long double for |x| on their side of SPLIT
TERMS, STEPS, SPLIT = 40, 400, 1.0


def constant(like, number):
    """`number` as an array of the kind of `like`, so that its root or logarithm is as precise."""
    if like.dtype == object and like.size:
        return np.full((), type(like.flat[0])(number), object)
    return np.asarray(number).astype(like.dtype)


def call(name, x):
    """The method `name` of each element of an array of objects."""
    return np.frompyfunc(lambda e: getattr(e, name)(), 1, 1)(x)


def erf(self):
    """2/sqrt(pi) times the integral of exp(-t^2) from 0 to self. Real dtypes only."""
    if self.dtype == object:
        return call("erf", self)
    if self.dtype != np.longdouble:
        return scipy.special.erf(_single(self)).astype(self.dtype)
    size = np.abs(self)
    far = np.copysign(1 - _erfc_fraction(np.maximum(size, SPLIT)), self)
    return np.where(size > SPLIT, far, _erf_series(np.where(size > SPLIT, 0, self)))


def erfc(self):
    """1 - erf(self), without the cancellation for large self. Real dtypes only."""
    if self.dtype == object:
        return call("erfc", self)
    if self.dtype != np.longdouble:
        return scipy.special.erfc(_single(self)).astype(self.dtype)
    near = 1 - erf(np.minimum(self, SPLIT))
    return np.where(self > SPLIT, _erfc_fraction(np.maximum(self, SPLIT)), near)


def _single(x):
    """scipy.special has no half precision; it computes it in single."""
    return x.astype(np.float32) if x.dtype.itemsize < 4 else x


def _erf_series(x):
    """Abramowitz & Stegun 7.1.6: all terms have one sign, so nothing cancels."""
    term = total = x
    square = 2 * x * x
    for n in range(1, TERMS):
        term = term * square / (2 * n + 1)
        total = total + term
    return 2 / np.sqrt(_pi(x)) * np.exp(-x * x) * total


def _erfc_fraction(x):
    """Abramowitz & Stegun 7.1.14, evaluated from the tail; x >= SPLIT."""
    x = np.minimum(x, 200)      # where the smallest long double has long been passed
    tail = x
    for n in range(STEPS, 0, -1):
        tail = x + n / tail / 2
    # exp multiplies the rounding error of x*x by x*x, so split it into parts that are exact
    high = x.astype(np.float32).astype(x.dtype)
    square = np.exp(-high * high) * np.exp(-(x - high) * (x + high))
    return square / tail / np.sqrt(_pi(x))


def _pi(x):
    return 4 * np.arctan(np.asarray(1, x.dtype))


def sigmoid(self):
    """1 / (1 + exp(-self)), as documented: 0 where exp overflows."""
    return 1 / (1 + np.exp(-self))


def rsqrt(self):
    """1 / sqrt(self); of half precision in single, so that it is rounded once."""
    if self.dtype == object:
        return call("rsqrt", self)
    return (1 / np.sqrt(_single(self))).astype(self.dtype)


def sign(self):
    """-1, 0 or 1; 0 for nan, as (0 < self) - (self < 0) is: what torch's documentation draws."""
    return np.where(self > 0, 1, np.where(self < 0, -1, 0)).astype(self.dtype)


def whole(function, x):
    """floor, ceil, trunc or rint; integers are whole already."""
    return x.copy() if x.dtype.kind in "iu" else function(x)


def refuse_zero_divisor(x):
    """Integers have no infinity to answer with. Raises Domain."""
    if x.dtype.kind in "iu" and (x == 0).any():
        raise Domain("ZeroDivisionError")


def fmod(self, other):
    """self - trunc(self / other) * other, exactly; the sign of self."""
    refuse_zero_divisor(other)
    return np.fmod(self, other)


def remainder(self, other):
    """self - floor(self / other) * other; the sign of other, but a zero keeps the sign of self."""
    rest = fmod(self, other)
    return np.where((rest != 0) & ((rest < 0) != (other < 0)), rest + other, rest)


def divide(x, y, rounding_mode):
    """x / y, rounded down ("floor"), towards zero ("trunc") or not at all (None)."""
    if rounding_mode is None:
        return np.true_divide(x, y)
    if rounding_mode not in ("floor", "trunc"):
        raise Domain("div expected rounding_mode to be one of None, 'trunc', or 'floor' but "
                     f"found '{rounding_mode}'")
    refuse_zero_divisor(y)
    if rounding_mode == "floor":
        return np.floor_divide(x, y)
    if x.dtype.kind in "iu":
        # not np.trunc of the quotient: float64 has no room for all of int64
        quotient = np.floor_divide(x, y)
        return quotient + ((x % y != 0) & ((x < 0) != (y < 0))).astype(x.dtype)
    return np.trunc(x / y)


def power(self, exponent):
    """self ** exponent; an integer to a negative power is what the rational power truncates to."""
    if self.dtype.kind not in "iu":
        # a copy in full: for a single exponent of 0.5 NumPy takes the root, which keeps -0
        shape = np.broadcast_shapes(self.shape, exponent.shape)
        found = np.power(self, np.array(np.broadcast_to(exponent, shape)))
        if found.dtype.kind in "fV":    # NumPy minds whether a nan is a signalling one
            return np.where(exponent == 0, np.ones((), found.dtype), found)
        if found.dtype.kind != "c":
            return found
        # NumPy multiplies infinities for a small whole exponent, and inverts the nan that it gets
        vanishes = np.isinf(np.abs(self)) & (exponent.real < 0) & np.isfinite(exponent)
        return np.where(vanishes, 0, found).astype(found.dtype)
    negative = exponent < 0
    result = np.power(self, np.where(negative, 0, exponent).astype(self.dtype))
    odd = (exponent & 1).astype(bool)
    inverse = np.where(self == 1, 1, np.where(self == -1 if self.dtype.kind == "i" else False,
                                           np.where(odd, -1, 1), 0))
    return np.where(negative, inverse.astype(self.dtype), result)


def clamp(x, low, high):
    """min(max(x, low), high); nan where any of them is nan; None is no bound.

    Of two equal numbers the first is kept: for zeros of both signs no norm says which.
    """
    if low is None and high is None:
        raise Argument("torch.clamp: At least one of 'min' or 'max' must not be None")
    out = x
    if low is not None:
        out = np.where((out < low) | _is_nan(low), low, out)
    return out if high is None else np.where((out > high) | _is_nan(high), high, out)


def _is_nan(x):
    return x != x  # noqa: PLR0124 - exact numbers have no isnan


def sgn(self):
    """self / |self|, 0 at 0; `sign` for real dtypes."""
    if self.dtype == ml_dtypes.complex32:
        return sgn(self.astype(np.complex64)).astype(self.dtype)
    if self.dtype.kind != "c":
        return sign(self)
    size = np.abs(self)
    size = np.where(size == 0, 1, size)
    out = np.empty_like(self)
    out.real, out.imag = self.real / size, self.imag / size
    return out


def log1p(self):
    """log(1 + self); NumPy's complex one forgets the real part of small numbers."""
    if self.dtype.kind != "c":
        return np.log1p(self)
    small = np.abs(self) < 0.5
    x, y = np.where(small, self.real, 0), np.where(small, self.imag, 0)
    out = np.array(np.log(1 + self))
    out.real = np.where(small, np.log1p(x * (2 + x) + y * y) / 2, out.real)
    out.imag = np.arctan2(self.imag, 1 + self.real)     # 1 + self forgets a negative zero
    return out


def square(self):
    """self * self; bool counts as int64, as it does in a power."""
    return np.square(self.astype(np.int64) if self.dtype.kind == "b" else self)


def exp2(self):
    """2**self; NumPy has it for real dtypes only."""
    return np.exp(self * np.log(constant(self, 2))) if self.dtype.kind == "c" else np.exp2(self)
