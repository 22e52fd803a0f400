"""Arithmetic of one dtype, step by step: every operation is rounded once, as a processor does.

With it a library's own formula can be followed to what it really gives: where an intermediate
square overflows, where a subnormal number counts as zero, where a short dtype loses digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from conformance.accuracy.formats import FORMATS
from conformance.accuracy.ulp import round_to


@dataclass(frozen=True, slots=True)
class Machine:
    """Rounds to `dtype`, a floating dtype name.

    flush: subnormal numbers are zeros of their sign. nudge: functions (not + - * / and sqrt) give
    1 + nudge times the exact value before it is rounded: which of two neighbours they give near a
    tie is theirs to say.
    """

    dtype: str
    flush: bool = False
    nudge: float = 0.0

    def number(self, data: Any) -> Number:
        """The numbers as the machine reads them."""
        wide = np.asarray(data).astype(FORMATS[self.dtype].wide)
        with np.errstate(all="ignore"):
            kept = round_to(wide, self.dtype).astype(wide.dtype)
        if self.flush:
            kept = np.where(np.abs(kept) < FORMATS[self.dtype].tiny, np.copysign(0, kept), kept)
        return Number(np.asarray(kept, wide.dtype), self)


class Number:
    """An array of the machine's numbers; `a` holds them in the wide dtype, exactly."""

    __slots__ = ("a", "machine")
    __array_ufunc__ = None  # NumPy leaves mixed operations to this class

    def __init__(self, a: np.ndarray, machine: Machine) -> None:
        self.a, self.machine = a, machine

    def _of(self, other: Any) -> np.ndarray:
        return other.a if isinstance(other, Number) else self.machine.number(other).a

    def _step(self, function: Any, *more: Any) -> Number:
        with np.errstate(all="ignore"):
            return self.machine.number(function(self.a, *map(self._of, more)))

    def __neg__(self) -> Number:
        return self._step(np.negative)

    def __abs__(self) -> Number:
        return self._step(np.abs)

    def __add__(self, other: Any) -> Number:
        return self._step(np.add, other)

    def __radd__(self, other: Any) -> Number:
        return self + other

    def __sub__(self, other: Any) -> Number:
        return self._step(np.subtract, other)

    def __rsub__(self, other: Any) -> Number:
        return self.machine.number(other) - self

    def __mul__(self, other: Any) -> Number:
        return self._step(np.multiply, other)

    def __rmul__(self, other: Any) -> Number:
        return self * other

    def __truediv__(self, other: Any) -> Number:
        return self._step(np.divide, other)

    def __rtruediv__(self, other: Any) -> Number:
        return self.machine.number(other) / self

    def __ge__(self, other: Any) -> np.ndarray:
        return self.a >= self._of(other)

    def __gt__(self, other: Any) -> np.ndarray:
        return self.a > self._of(other)

    def __le__(self, other: Any) -> np.ndarray:
        return self.a <= self._of(other)

    def __lt__(self, other: Any) -> np.ndarray:
        return self.a < self._of(other)

    def equals(self, other: Any) -> np.ndarray:
        return self.a == self._of(other)


def _function(name: str, function: Any, exact: bool = False) -> Any:
    def step(x: Number, *more: Any) -> Number:
        factor = 1.0 if exact else 1.0 + x.machine.nudge
        return x._step(lambda *a: function(*a) * a[0].dtype.type(factor), *more)

    step.__name__, step.__doc__ = name, f"{name}, rounded once."
    return step


sqrt = _function("sqrt", np.sqrt, exact=True)
exp = _function("exp", np.exp)
expm1 = _function("expm1", np.expm1)
log = _function("log", np.log)
log1p = _function("log1p", np.log1p)
tanh = _function("tanh", np.tanh)
sinh = _function("sinh", np.sinh)
cosh = _function("cosh", np.cosh)
arctan2 = _function("arctan2", np.arctan2)
power = _function("power", np.power)
erfc = _function("erfc", lambda a: special.erfc(a.astype(np.float64)))
floor = _function("floor", np.floor, exact=True)
sign = _function("sign", np.sign, exact=True)
rint = _function("rint", np.rint, exact=True)
maximum = _function("maximum", np.maximum, exact=True)
minimum = _function("minimum", np.minimum, exact=True)
fmod = _function("fmod", np.fmod, exact=True)


def square(x: Number) -> Number:
    """x * x."""
    return x * x


def where(mask: np.ndarray, x: Any, y: Any) -> Number:
    """x where the mask holds, else y; one of them is a Number."""
    machine = x.machine if isinstance(x, Number) else y.machine
    x, y = (v.a if isinstance(v, Number) else machine.number(v).a for v in (x, y))
    return Number(np.where(mask, x, y), machine)
