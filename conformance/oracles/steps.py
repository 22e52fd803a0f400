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

    flush: arithmetic and comparisons read subnormal numbers as zeros of their sign and give such
    zeros for them; what only moves or turns the sign of a number (where, neg, abs) keeps it. nudge: functions (not + - * / and sqrt) give
    1 + nudge times the exact value before it is rounded: which of two neighbours they give near a
    tie is theirs to say.
    """

    dtype: str
    flush: bool = False
    nudge: float = 0.0

    def number(self, data: Any) -> Number:
        """The numbers as they lie in memory, rounded to the dtype."""
        wide = np.asarray(data).astype(FORMATS[self.dtype].wide)
        with np.errstate(all="ignore"):
            return Number(np.asarray(round_to(wide, self.dtype).astype(wide.dtype)), self)

    def read(self, kept: np.ndarray) -> np.ndarray:
        """The numbers as arithmetic reads and gives them."""
        if not self.flush:
            return kept
        zero = np.copysign(kept.dtype.type(0), kept)
        return np.where(np.abs(kept) < FORMATS[self.dtype].tiny, zero, kept)


class Number:
    """An array of the machine's numbers in the wide dtype, exactly.

    kept: as they lie in memory. a: as arithmetic reads them.
    """

    __slots__ = ("kept", "machine")
    __array_ufunc__ = None  # NumPy leaves mixed operations to this class

    def __init__(self, kept: np.ndarray, machine: Machine) -> None:
        self.kept, self.machine = kept, machine

    @property
    def a(self) -> np.ndarray:
        return self.machine.read(self.kept)

    def _of(self, other: Any) -> np.ndarray:
        return (other if isinstance(other, Number) else self.machine.number(other)).a

    def _step(self, function: Any, *more: Any) -> Number:
        with np.errstate(all="ignore"):
            found = function(self.a, *map(self._of, more))
            if self.machine.dtype == "bfloat16":  # computed, and flushed, in float32
                found = Machine("float32", self.machine.flush).number(found).a
            found = self.machine.number(found)
        return Number(found.a, self.machine)

    def __neg__(self) -> Number:
        return Number(-self.kept, self.machine)

    def __abs__(self) -> Number:
        return Number(np.abs(self.kept), self.machine)

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
hypot = _function("hypot", np.hypot)
power = _function("power", np.power)
erfc = _function("erfc", lambda a: special.erfc(a.astype(np.float64)))
erfcx = _function("erfcx", lambda a: special.erfcx(a.astype(np.float64)))
floor = _function("floor", np.floor, exact=True)
sign = _function("sign", np.sign, exact=True)
# halves away from zero, where NumPy's rint goes to even
round_away = _function(
    "round_away", lambda a: np.copysign(np.floor(np.abs(a) + 0.5), a), exact=True
)
maximum = _function("maximum", np.maximum, exact=True)
minimum = _function("minimum", np.minimum, exact=True)


def fmod(x: Number, y: Number) -> Number:
    """The exact remainder of what lies in memory; nan where y reads as zero."""
    with np.errstate(all="ignore"):
        found = np.fmod(x.kept, y.kept)
    return Number(np.where(y.equals(0), np.nan, found), x.machine)


def fused(x: Number, y: Any, z: Any) -> Number:
    """x * y + z, rounded once, as far as the wide dtype holds the product (it does float32's)."""
    return x._step(lambda a, b, c: a * b + c, y, z)


def total(x: Number, axes: tuple[int, ...]) -> Number:
    """The sum over the axes, which stay with size 1, rounded once: what any order comes near."""
    return x._step(lambda a: np.sum(a, axis=axes, keepdims=True))


def scaled(x: Number, number: float) -> Number:
    """x * number, where the number keeps its digits although the dtype has fewer."""
    return x._step(lambda a: a * a.dtype.type(number))


def square(x: Number) -> Number:
    """x * x."""
    return x * x


def where(mask: np.ndarray, x: Any, y: Any) -> Number:
    """x where the mask holds, else y; one of them is a Number."""
    machine = x.machine if isinstance(x, Number) else y.machine
    x, y = (v if isinstance(v, Number) else machine.number(v) for v in (x, y))
    return Number(np.where(mask, x.kept, y.kept), machine)
