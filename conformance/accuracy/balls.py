"""Balls of arbitrary precision: how far the wide format itself is from the exact result.

Expected values are computed in a wide format, and a wide format has rounding errors, cancellation
and a limited range of its own. Here the same rule line runs on arrays of balls (python-flint's
`arb`: a number and a rigorous bound of its error), at a precision that is raised until the ball is
far narrower than one unit in the last place of the dtype that is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, ctx

from conformance.accuracy.formats import FORMATS, Format, wide_dtype
from conformance.backends.protocol import UnmappedError
from conformance.cases.case import Case
from conformance.cases.generate import elementwise, with_operand
from conformance.specs import OpSpec

# bits; the last is enough for the sine of the largest float64 and 1000 bits of cancellation
PRECISIONS = (128, 320, 1280, 3000)
LONG_BITS = np.finfo(np.longdouble).nmant + 1
TIGHT = 2.0**-20  # ulp: radius of a ball that decides
KEPT = 2.0**-11  # ulp: two roundings of a long double; nearer than that the wide value stands
CERTIFIED = 2.0**-8  # ulp: what an expected value may be off


class Undecided(ArithmeticError):
    """A comparison, or a rounding to a whole number, of a ball that is too wide for an answer."""


def _ball(number: Any) -> arb:
    """The ball of a number, exactly."""
    if isinstance(number, Ball):
        return number.value
    if isinstance(number, np.longdouble):
        fraction, exponent = np.frexp(number)
        if not np.isfinite(number):
            return arb(float(number))
        return arb((int(np.ldexp(fraction, LONG_BITS)), int(exponent) - LONG_BITS))
    return arb(number if isinstance(number, int) else float(number))


class Ball:
    """A real number known to within a radius; NumPy's functions of object arrays call its methods.

    Comparisons answer only when every number of the one ball compares alike with every number of
    the other. Raises Undecided otherwise, nan included.
    """

    __slots__ = ("value",)
    __hash__ = None  # equality may be undecided

    def __init__(self, number: Any) -> None:
        self.value = _ball(number)

    def __repr__(self) -> str:
        return f"Ball({self.value})"

    def _compare(self, holds: bool, fails: bool) -> bool:
        if not (holds or fails):
            raise Undecided
        return holds

    def __lt__(self, other: Any) -> bool:
        other = _ball(other)
        return self._compare(self.value < other, self.value >= other)

    def __le__(self, other: Any) -> bool:
        other = _ball(other)
        return self._compare(self.value <= other, self.value > other)

    def __gt__(self, other: Any) -> bool:
        return not self <= other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def __eq__(self, other: object) -> bool:
        other = _ball(other)
        return self._compare(self.value == other, self.value != other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __bool__(self) -> bool:
        return self != 0

    def __neg__(self) -> Ball:
        return _made(-self.value)

    def __pos__(self) -> Ball:
        return self

    def __abs__(self) -> Ball:
        return _made(abs(self.value))

    def __add__(self, other: Any) -> Ball:
        return _made(self.value + _ball(other))

    def __sub__(self, other: Any) -> Ball:
        return _made(self.value - _ball(other))

    def __rsub__(self, other: Any) -> Ball:
        return _made(_ball(other) - self.value)

    def __mul__(self, other: Any) -> Ball:
        return _made(self.value * _ball(other))

    def __truediv__(self, other: Any) -> Ball:
        return _made(self.value / _ball(other))

    def __rtruediv__(self, other: Any) -> Ball:
        return _made(_ball(other) / self.value)

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, other: Any) -> Ball:
        exponent = _ball(other)
        if exponent.is_integer() and abs(exponent) < 2**60:
            whole = int(exponent.unique_fmpz())
            if self.value.is_zero() and whole == 0:
                return _made(arb(1))
            if abs(whole) < 2**16:
                return _made(self.value**whole)
            # repeated squaring would lose all bits; |x|^n by the logarithm keeps them
            size = abs(self.value) ** exponent
            return _made(-size if whole % 2 and self < 0 else size)
        return _made(self.value**exponent)

    def __rpow__(self, other: Any) -> Ball:
        return Ball(other) ** self

    def __floordiv__(self, other: Any) -> Ball:
        return (self / other).floor()

    def floor(self) -> Ball:
        return _made(self.value.floor())  # wide where the number may be on either side

    def ceil(self) -> Ball:
        return _made(self.value.ceil())

    def trunc(self) -> Ball:
        return self.floor() if self >= 0 else self.ceil()

    __floor__, __ceil__, __trunc__ = floor, ceil, trunc

    def rint(self) -> Ball:
        """To the nearest whole number, ties to even."""
        low = self.floor()
        rest = self - low
        if rest == 0.5:
            return low if (low * 0.5).floor() * 2 == low else low + 1
        return low if rest < 0.5 else low + 1

    def fmod(self, other: Any) -> Ball:
        other = Ball(other)
        return self - (self / other).trunc() * other

    def arctan2(self, other: Any) -> Ball:
        return _made(arb.atan2(self.value, _ball(other)))

    def hypot(self, other: Any) -> Ball:
        return _made((self.value**2 + _ball(other) ** 2).sqrt())

    def exp2(self) -> Ball:
        return _made(arb(2) ** self.value)

    def log2(self) -> Ball:
        return _made(self.value.log() / arb(2).log())

    def log10(self) -> Ball:
        return _made(self.value.log() / arb(10).log())

    def conjugate(self) -> Ball:
        return self


def _made(value: arb) -> Ball:
    ball = object.__new__(Ball)
    ball.value = value
    return ball


def _method(name: str) -> Callable[[Ball], Ball]:
    function = getattr(arb, name)

    def method(self: Ball) -> Ball:
        return _made(function(self.value))

    return method


for _numpy, _arb in {
    "exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "sqrt": "sqrt",
    "rsqrt": "rsqrt", "sin": "sin", "cos": "cos", "tan": "tan", "sinh": "sinh", "cosh": "cosh",
    "tanh": "tanh", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh", "erf": "erf", "erfc": "erfc", "lgamma": "lgamma",
    "gamma": "gamma", "digamma": "digamma",
}.items():  # fmt: skip
    setattr(Ball, _numpy, _method(_arb))


def balls(array: np.ndarray) -> np.ndarray:
    """An object array of the exact balls of `array`, same shape."""
    found = np.empty(array.size, object)
    found[:] = [_made(number) for number in _arbs(array)]
    return found.reshape(array.shape)


def _arbs(array: np.ndarray) -> list[arb]:
    """The exact balls of an array's elements, in order.

    Most numbers of a long double are a float64, which is a ball at once.
    """
    flat = array.reshape(-1)
    with np.errstate(all="ignore"):
        short = flat.astype(np.float64)
    found = [arb(number) for number in short.tolist()]
    for place in np.flatnonzero((short != flat) & np.isfinite(flat)):
        found[place] = _ball(flat[place])
    return found


# --- the exact result of a case --------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Exact:
    """The exact results of a case where they are decided.

    error: per array ("y", "y.1", "ct.self", …), how far the wide value is from the exact one, in
    ulp of the judged dtype; nan where it is not decided. value: the exact result rounded to odd
    in the wide dtype (so that rounding once more is innocuous), the wide value where undecided.
    """

    error: dict[str, np.ndarray]
    value: dict[str, np.ndarray]

    @property
    def worst(self) -> float:
        return max((float(np.nanmax(e, initial=0.0)) for e in self.error.values()), default=0.0)

    @property
    def decided(self) -> int:
        return sum(int(np.isfinite(e).sum()) for e in self.error.values())


def exact(
    run: Callable[[Case, Any], Any],
    op: OpSpec,
    wide: Case,
    dtype: str,
    cotangents: Sequence[np.ndarray | None] | None,
    arrays: dict[str, np.ndarray],
) -> Exact:
    """Hold `arrays`, the wide results of an elementwise case, against balls.

    run: (case, cotangents) -> {name: object array or None}, through the rule. wide: the case in
    the wide dtype of `dtype`. Elements with nan, infinities or a negative zero among their
    inputs, and those whose result is not finite, follow from IEEE 754 and are left undecided.
    """
    if dtype not in FORMATS or not elementwise(op):
        raise ValueError(f"{op.name} in {dtype}: balls are for elementwise real operations")
    solver = _Solver(run, wide, FORMATS[dtype], cotangents, arrays)
    solver.solve()
    return Exact(solver.error, solver.value)


class _Solver:
    def __init__(self, run, wide, fmt: Format, cotangents, arrays) -> None:
        self.run, self.wide, self.fmt = run, wide, fmt
        self.cotangents, self.arrays = cotangents, arrays
        self.error = {n: np.full(a.shape, np.nan) for n, a in arrays.items()}
        self.value = {n: a.copy() for n, a in arrays.items()}

    def solve(self) -> None:
        operands = [o.data for _, o in self.wide.operands()]
        cts = [c for c in self.cotangents or () if c is not None]
        shapes = {a.shape for a in (*operands, *cts, *self.arrays.values())}
        self.together = len(shapes) == 1  # else a cotangent is a sum over many elements
        shape = next(iter(shapes)) if self.together else ()
        fine = np.ones(shape, bool)
        for array in (*operands, *cts):
            if array.dtype.kind == "f":
                ok = np.isfinite(array) & ~((array == 0) & np.signbit(array))
                fine = fine & (ok if self.together else ok.all())
        places = np.flatnonzero(fine)
        for precision in PRECISIONS:
            if not places.size:
                return
            with ctx.workprec(precision):
                places = self._attempt(places)

    def _attempt(self, places: np.ndarray) -> np.ndarray:
        """The places that are still open at this precision; all of them or none if not together."""
        try:
            found = self._evaluate(places)
        except UnmappedError as problem:
            if not isinstance(problem.__cause__, Undecided):
                raise
            if places.size == 1:
                return places
            half = places.size // 2
            return np.concatenate([self._attempt(places[:half]), self._attempt(places[half:])])
        open_ = np.zeros(places.shape, bool)
        for name, results in found.items():
            if name in self.arrays and results is not None:
                flat = self._settle(name, np.asarray(results, object), places)
                open_ |= flat if self.together else flat.any()
        return places[open_]

    def _evaluate(self, places: np.ndarray) -> dict[str, Any]:
        def part(array: np.ndarray) -> np.ndarray:
            taken = array.reshape(-1)[places] if self.together else array
            return balls(taken) if taken.dtype.kind == "f" else taken

        args = self.wide.args
        for name, operand in self.wide.operands():
            args = with_operand(
                args, name, replace(operand, data=part(operand.data), layout="contiguous")
            )
        cts = self.cotangents
        if cts is not None:
            cts = [None if c is None else part(c) for c in cts]
        return self.run(replace(self.wide, args=args, layout="contiguous"), cts)

    def _settle(self, name: str, results: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Take in what is tight; returns a mask of what a higher precision may still decide."""
        wide, error, value = (
            d[name].reshape(-1) for d in (self.arrays, self.error, self.value)
        )
        where = places if self.together else np.arange(wide.size)
        open_ = np.zeros(results.size, bool)
        taken = wide[where]
        finite = np.isfinite(taken)
        beyond = np.abs(taken) >= np.ldexp(wide.dtype.type(1), int(np.frexp(self.fmt.max)[1]))
        for k, (place, result, mine) in enumerate(
            zip(where.tolist(), results.reshape(-1), _arbs(taken), strict=True)
        ):
            ball = _ball(result)
            if not finite[k] or ball.is_nan():
                continue
            if not ball.is_finite():
                open_[k] = True
                continue
            if ball.is_exact() and mine == ball:
                error[place] = 0.0
                continue
            unit = _ulp(ball, self.fmt)
            open_[k] = bool(ball.rad() > unit * TIGHT)
            if open_[k]:
                continue
            if beyond[k] and _both_overflow(mine, ball, self.fmt):
                error[place] = 0.0
            else:
                error[place] = float(abs(mine - ball) / unit)
            if error[place] > KEPT:
                value[place] = to_odd(ball, wide.dtype)
        return open_


def _both_overflow(number: arb, ball: arb, fmt: Format) -> bool:
    """Both round to the same infinity: how far beyond the limit they are does not matter."""
    edge = arb(2) ** int(np.frexp(fmt.max)[1])
    return bool((number >= edge and ball >= edge) or (number <= -edge and ball <= -edge))


def _ulp(ball: arb, fmt: Format) -> arb:
    """Unit in the last place of `fmt` at the middle of the ball."""
    if ball.mid().is_zero():
        return arb(2) ** fmt.min_exponent
    mantissa, exponent = ball.mid().man_exp()
    top = int(exponent) + int(abs(mantissa)).bit_length()  # |x| < 2**top
    most = int(np.frexp(fmt.max)[1])
    return arb(2) ** max(min(top, most) - fmt.precision, fmt.min_exponent)


def to_odd(ball: arb, dtype: np.dtype) -> Any:
    """The middle of the ball rounded to odd in a wide dtype; an infinity beyond its range."""
    info = np.finfo(dtype)
    bits = info.nmant + 1
    if ball.mid().is_zero():
        return dtype.type(0)
    mantissa, exponent = (int(part) for part in ball.mid().man_exp())
    size = abs(mantissa)
    room = min(bits, exponent + size.bit_length() - (info.minexp - info.nmant))
    drop = size.bit_length() - max(room, 1)
    if drop > 0:
        rest = size & ((1 << drop) - 1)
        size = (size >> drop) | (1 if rest or not ball.is_exact() else 0)
        exponent += drop
    if exponent + size.bit_length() > info.maxexp:
        return dtype.type(np.copysign(np.inf, mantissa))
    high, low = divmod(size, 1 << 32)
    with np.errstate(under="ignore"):
        number = np.ldexp(dtype.type(high), 32) + dtype.type(low)
        return np.ldexp(-number if mantissa < 0 else number, exponent)


def certify(
    expectation: Any, op: OpSpec, case: Case, cotangents: Sequence[np.ndarray | None] | None = None
) -> Exact:
    """How far the wide results of a case are from the exact ones, before any is replaced."""
    dtype = expectation.common(op, case)
    wide = expectation.widen(op, case, dtype)
    widened = None
    if cotangents is not None:
        widened = [None if c is None else c.astype(wide_dtype(dtype)) for c in cotangents]
    run = runner(expectation, op)
    arrays = {n: a for n, a in run(wide, widened).items() if a is not None and a.dtype.kind == "f"}
    return exact(run, op, wide, dtype, widened, arrays)


def runner(expectation: Any, op: OpSpec) -> Callable[[Case, Any], dict[str, np.ndarray | None]]:
    """The rule of an operation as the function that `exact` wants."""

    def run(case: Case, cotangents: Any) -> dict[str, np.ndarray | None]:
        return results_of(case, expectation.run(op, case, cotangents))

    return run


def results_of(case: Case, evaluation: Any) -> dict[str, np.ndarray | None]:
    """Outputs as "y" or "y.0", …, cotangents as "ct.NAME"."""
    outputs = evaluation.outputs
    found = {
        ("y" if len(outputs) == 1 else f"y.{i}"): out.value for i, out in enumerate(outputs)
    }
    names = [name for name, _ in case.differentiable()]
    for name, grad in zip(names, evaluation.grads or (), strict=False):
        found[f"ct.{name}"] = None if grad is None else grad.value
    return found
