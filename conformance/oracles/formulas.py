"""The formulas by which a library computes, where they lead elsewhere than the norm's.

A formula says what is computed, step by step; `conformance.oracles.steps` does the steps. Most
are read in the library's source. Where the source ends at a compiler (XLA's power of a subnormal
base, its atan2, expm1, sinh, cosh, maximum), they were inferred from compiled code or from what
is seen, and say so no better than the cases that agree with them. Keys: library, operation, what is compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.accuracy.formats import FORMATS
from conformance.oracles import steps
from conformance.oracles.steps import Number, where


@dataclass(frozen=True, slots=True)
class Operands:
    """x, y, z: the first operands (None where there is none); ct: the cotangent."""

    x: Number
    y: Number | None
    z: Number | None
    ct: Number | None
    args: dict[str, Any]


Formula = Callable[[Operands], Number]
FORMULAS: dict[tuple[str, str, str], Formula] = {}


def _all(library: str, **formulas: Formula) -> None:
    """name__what = formula, with `_` for the dot: div__ct_other is "ct.other" of div."""
    for key, function in formulas.items():
        op, _, what = key.partition("__")
        FORMULAS[library, op, what.replace("_", ".", 1)] = function


# jax 0.10: jax/_src/lax/lax.py and lax/special.py (primitives and their derivatives),
# numpy/ufuncs.py, nn/functions.py

LN2, LOG10_E = math.log(2), 0.4342944819032518


def _power(n: Number, count: int) -> Number:
    """integer_pow: products of repeated squares, and the reciprocal at the end."""
    if count < 0:
        return 1 / _power(n, -count)
    found: Number | None = None
    while count:
        if count & 1:
            found = n if found is None else found * n
        count >>= 1
        n = n * n if count else n
    return found if found is not None else n.machine.number(np.ones(n.a.shape))


def _not_zero(n: Number) -> Number:
    return where(n.equals(0), 1, n)


def _hypot(o: Operands) -> Number:
    x, y = abs(o.x), abs(o.y)
    big, small = steps.maximum(x, y), steps.minimum(x, y)
    found = big * steps.sqrt(1 + steps.square(small / _not_zero(big)))
    return where((x.a == np.inf) | (y.a == np.inf), np.inf, where(big.equals(0), big, found))


def _atan2(o: Operands) -> Number:
    """XLA's quotient is nan where both are subnormal; an exact zero is told apart before.

    float64 is the C library's, in a mode it is not written for: signs are told by comparisons.
    """
    x, y = o.x, o.y
    exact = steps.arctan2(x, y)
    with np.errstate(all="ignore"):
        upright = x.machine.number(np.arctan2(x.kept, y.kept))
    both = (x.kept != 0) & x.equals(0) & (y.kept != 0) & y.equals(0)
    found = where(y.kept == 0, upright, exact)
    if x.machine.dtype != "float64":
        return where(both, np.nan, found)
    half = x.machine.number(np.copysign(np.arctan2(x.kept.dtype.type(1), 0), x.kept))
    behind = (x.kept != 0) & x.equals(0) & (y < 0)
    return where(both, half, where(behind, -2 * abs(half), found))


def _share(x: Number, chosen: Number, other: Number) -> Number:
    """What max and min pass on to x: all where it is chosen, half where both are."""
    half = where(other.equals(chosen), 0.5, x.machine.number(np.ones(x.a.shape)))
    return where(x.equals(chosen), half, 0)


def _hypot_ct(o: Operands, mine: Number, other: Number) -> Number:
    x, y = abs(mine), abs(other)
    big, small = steps.maximum(x, y), steps.minimum(x, y)
    safe = _not_zero(big)
    ratio = small / safe
    root = steps.sqrt(1 + steps.square(ratio))
    ct = where((x.a == np.inf) | (y.a == np.inf), 0, o.ct)
    of_product = where(big.equals(0), 0, ct)
    of_ratio = ((of_product * big) * (0.5 / root)) * (2 * ratio)
    of_small = of_ratio / safe
    of_safe = -((of_ratio * _power(safe, -2)) * small)
    of_big = where(big.equals(0), ct, of_product * root + of_safe)
    found = of_small * _share(x, small, y) + of_big * _share(x, big, y)
    return where(mine >= 0, found, -found)


def _logistic(x: Number) -> Number:
    return 1 / (1 + steps.exp(-x))


def _sigmoid_ct(o: Operands) -> Number:
    y = _logistic(o.x)
    return o.ct * (y * (1 - y))


def _not_inf(n: Number) -> Number:
    return where(n.a == np.inf, 0, n)


def _softplus(o: Operands) -> Number:
    return steps.maximum(o.x, 0) + steps.log1p(steps.exp(-abs(o.x)))


def _silu_ct(o: Operands) -> Number:
    s = _logistic(o.x)
    # XLA's compiler fuses a product into the sum: a subnormal one is not flushed
    return steps.fused(o.ct, s, (o.ct * o.x) * (s * (1 - s)))


def _gelu_ct(o: Operands) -> Number:
    root, slope = math.sqrt(0.5), -2 / math.sqrt(math.pi)
    inner = -o.x * root
    through = ((o.ct * (0.5 * o.x)) * slope) * steps.exp(-steps.square(inner))
    return (o.ct * steps.erfc(inner)) * 0.5 + -(through * root)


def _pow(x: Number, y: Number) -> Number:
    """XLA's own power: a subnormal base reads as half the smallest of them, the exponent as it is."""
    small = (x.kept != 0) & x.equals(0)
    smallest = FORMATS["float64" if x.machine.dtype == "float64" else "float32"].smallest
    least = x.kept.dtype.type(smallest) / 2
    base = np.where(small, np.copysign(least, x.kept), x.kept)
    base, exponent = (a.copy() for a in np.broadcast_arrays(base, y.kept))  # or 0.5 is a root
    with np.errstate(all="ignore"):
        return Number(x.machine.read(x.machine.number(np.power(base, exponent)).kept), x.machine)


def _pow_of_tensors(o: Operands) -> Number:
    exponent = o.args["exponent"].data if hasattr(o.args["exponent"], "data") else None
    if exponent is not None and exponent.ndim == 0 and exponent.dtype.kind in "iu":
        return _power(o.x, int(exponent))  # as a Python number: integer_pow
    return _pow(o.x, o.y)


def _power_ct(o: Operands) -> Number:
    return o.ct * (o.y * _pow(o.x, o.y - 1))


def _scalar_power(o: Operands) -> Number:
    k = o.args["exponent"]
    return _power(o.x, k) if isinstance(k, int) else _pow(o.x, o.x.machine.number(k))


def _scalar_power_ct(o: Operands) -> Number:
    k = o.args["exponent"]
    if not isinstance(k, int):
        return o.ct * (k * _pow(o.x, o.x.machine.number(k - 1)))
    if k == 0:
        return o.ct * 0
    return o.ct if k == 1 else o.ct * (k * _power(o.x, k - 1))


def _power_of_number(o: Operands) -> Number:
    return _pow(o.x.machine.number(o.args["self"]), o.x)


def _power_of_number_ct(o: Operands) -> Number:
    return o.ct * (steps.log(_not_zero(o.x.machine.number(o.args["self"]))) * _power_of_number(o))


def _erfc(o: Operands) -> Number:
    """From 1 on exp(-x^2), of the rounded square, times a function of 1 / x^2."""
    tail = steps.exp(-steps.square(o.x)) * steps.erfcx(abs(o.x))
    return where(abs(o.x) < 1, steps.erfc(o.x), where(o.x < 0, 2 - tail, tail))


# Cephes, log1p: x^3 P(x) / Q(x) is what log(1 + x) is more than x - x^2 / 2, for 1 + x between
# sqrt(1/2) and sqrt(2)
LOG1P_ABOVE = (
    4.5270000862445199635215e-5, 4.9854102823193375972212e-1, 6.5787325942061044846969,
    2.9911919328553073277375e1, 6.0949667980987787057556e1, 5.7112963590585538103336e1,
    2.0039553499201281259648e1,
)  # fmt: skip
LOG1P_BELOW = (
    1.0, 1.5062909083469192043167e1, 8.3047565967967209469434e1, 2.2176239823732856465394e2,
    3.0909872225312059774938e2, 2.1642788614495947685003e2, 6.0118660497603843919306e1,
)  # fmt: skip


def _log1p(o: Operands) -> Number:
    """Cephes's approximation for |x| < sqrt(2) - 1, below where it was made for too."""
    x = o.x
    if x.machine.dtype != "float64":
        inside = steps.log1p(x)  # what the approximation is off is less than a rounding there
    else:
        square = steps.square(x)
        more = x * (square * _polynomial(x, LOG1P_ABOVE) / _polynomial(x, LOG1P_BELOW))
        inside = x + (more - 0.5 * square)
    return where(abs(x) < math.sqrt(2) - 1, inside, steps.log(1 + x))


def _polynomial(x: Number, coefficients: tuple[float, ...]) -> Number:
    """The highest power first."""
    found = x.machine.number(np.zeros(x.a.shape))
    for coefficient in coefficients:
        found = found * x + coefficient
    return found


def _expm1(o: Operands) -> Number:
    x = o.x
    near = where((x / 2).equals(0), x, steps.tanh(x / 2) * (steps.exp(x) + 1))
    return where(abs(x) > 0.5, steps.exp(x) - 1, near)


def _log2(o: Operands) -> Number:
    # float16: XLA turns the division by a constant into a product with its rounded reciprocal
    constant = o.x.machine.number(LN2)
    x = steps.log(o.x)
    return x * (1 / constant) if o.x.machine.dtype == "float16" else x / constant


def _larger(x: Number, y: Number) -> Number:
    """The maximum of IEEE 754-2019: nan where either is, and +0 above -0."""
    zeros = x.equals(0) & y.equals(0)
    return where(zeros, x + y, steps.maximum(x, y))


def _clamp_ct(name: str) -> Formula:
    """min(max(x, low), high); a tie is split evenly at each of the two."""

    def formula(o: Operands) -> Number:
        above = steps.maximum(o.x, o.y)
        result = steps.minimum(above, o.z)
        if name == "max":
            return o.ct * _share(o.z, result, above)
        through = o.ct * _share(above, result, o.z)
        mine, other = (o.x, o.y) if name == "self" else (o.y, o.x)
        return through * _share(mine, above, other)

    return formula


def _halves(x: Number) -> tuple[Number, Number]:
    """exp(x) / 2 and exp(-x) / 2, halved in the exponent so that they overflow late."""
    half = math.log(0.5)
    return steps.exp(x + half), steps.exp(-x + half)


def _sinh(o: Operands) -> Number:
    up, down = _halves(o.x)
    small = steps.expm1(o.x)
    return where(abs(o.x) < 1, 0.5 * (small + small / (small + 1)), up - down)


def _cosh(o: Operands) -> Number:
    up, down = _halves(o.x)
    return up + down


def _remainder(o: Operands) -> tuple[Number, np.ndarray]:
    """The remainder, and where the divisor was added to that of a division towards zero."""
    mod = steps.fmod(o.x, o.y)
    plus = ((mod < 0) != (o.y < 0)) & ~mod.equals(0)
    return where(plus, mod + o.y, mod), plus


def _fmod_ct(o: Operands) -> Number:
    quotient = o.x / o.y
    return -(o.ct * (steps.sign(quotient) * steps.floor(abs(quotient))))


def _remainder_ct(o: Operands) -> Number:
    plus = _remainder(o)[1]
    through = where(plus, o.ct, 0)
    return through + _fmod_ct(o)


def _float_divmod(o: Operands) -> tuple[Number, Number]:
    x, y = o.x, o.y
    mod = steps.fmod(x, y)
    quotient = where(y.equals(0), x, x - mod) / y
    wrong = ~mod.equals(0) & (steps.sign(y).a != steps.sign(mod).a)
    return steps.round_away(where(wrong, quotient - 1, quotient)), where(wrong, mod + y, mod)


_all(
    "jax",
    abs__ct_self=lambda o: where(o.x >= 0, o.ct, -o.ct),
    square__ct_self=lambda o: o.ct * (2 * o.x),
    reciprocal__ct_self=lambda o: o.ct * (-1 * _power(o.x, -2)),
    sqrt__ct_self=lambda o: o.ct * (0.5 / steps.sqrt(o.x)),
    rsqrt__ct_self=lambda o: o.ct * (-0.5 * (1 / steps.sqrt(o.x) / o.x)),
    exp__ct_self=lambda o: o.ct * steps.exp(o.x),
    sigmoid__ct_self=_sigmoid_ct,
    exp2__y=lambda o: steps.exp(LN2 * o.x),
    exp2__ct_self=lambda o: (o.ct * LN2) * steps.exp(LN2 * o.x),
    erfc__y=_erfc,
    log1p__y=_log1p,
    log2__y=_log2,
    log2__ct_self=lambda o: (o.ct / LN2) / o.x,
    log10__y=lambda o: steps.log(o.x) * LOG10_E,
    log10__ct_self=lambda o: (o.ct * LOG10_E) / o.x,
    asin__y=lambda o: 2 * steps.arctan2(o.x, 1 + steps.sqrt((1 - o.x) * (1 + o.x))),
    acos__y=lambda o: steps.arctan2(steps.sqrt((1 - o.x) * (o.x + 1)), o.x),
    maximum__y=lambda o: _larger(o.x, o.y),
    minimum__y=lambda o: -_larger(-o.x, -o.y),
    expm1__y=_expm1,
    sign__y=lambda o: where(o.x.equals(0), Number(o.x.a, o.x.machine), steps.sign(o.x)),
    sinh__y=_sinh,
    cosh__y=_cosh,
    atan__ct_self=lambda o: o.ct / (1 + steps.square(o.x)),
    div__ct_self=lambda o: o.ct / o.y,
    div__ct_other=lambda o: -((o.ct * _power(o.y, -2)) * o.x),
    atan2__y=_atan2,
    atan2__ct_self=lambda o: o.ct * (o.y / (steps.square(o.x) + steps.square(o.y))),
    atan2__ct_other=lambda o: o.ct * (-o.x / (steps.square(o.x) + steps.square(o.y))),
    hypot__y=_hypot,
    hypot__ct_self=lambda o: _hypot_ct(o, o.x, o.y),
    hypot__ct_other=lambda o: _hypot_ct(o, o.y, o.x),
    silu__y=lambda o: o.x * _logistic(o.x),
    silu__ct_self=_silu_ct,
    softplus__y=_softplus,
    softplus__ct_self=lambda o: o.ct * steps.exp(_not_inf(o.x) - _not_inf(_softplus(o))),
    gelu__y=lambda o: (0.5 * o.x) * steps.erfc(-o.x * math.sqrt(0.5)),
    gelu__ct_self=_gelu_ct,
    relu__y=lambda o: where(o.x <= 0, 0, steps.maximum(o.x, 0)),
    leaky_relu__y=lambda o: where(o.x >= 0, o.x, o.args.get("negative_slope", 0.01) * o.x),
    leaky_relu__ct_self=lambda o: where(
        o.x >= 0, o.ct, o.args.get("negative_slope", 0.01) * o.ct
    ),
    relu__ct_self=lambda o: where(o.x > 0, o.ct, 0),
    floor_divide__y=lambda o: _float_divmod(o)[0],
    pow__y=_pow_of_tensors,
    pow__ct_self=_power_ct,
    pow__ct_exponent=lambda o: o.ct * (steps.log(_not_zero(o.x)) * _pow(o.x, o.y)),
    fmod__y=lambda o: steps.fmod(o.x, o.y),
    fmod__ct_other=_fmod_ct,
    remainder__y=lambda o: _remainder(o)[0],
    remainder__ct_other=_remainder_ct,
)
for _op, _what, _formula in (
    ("pow.Tensor_Scalar", "y", _scalar_power),
    ("pow.Tensor_Scalar", "ct.self", _scalar_power_ct),
    ("clamp.Tensor", "ct.self", _clamp_ct("self")),
    ("clamp.Tensor", "ct.min", _clamp_ct("min")),
    ("clamp.Tensor", "ct.max", _clamp_ct("max")),
    ("pow.Scalar", "y", _power_of_number),
    ("pow.Scalar", "ct.exponent", _power_of_number_ct),
):
    FORMULAS["jax", _op, _what] = _formula
