"""Arithmetic of two tensors: chapter "Pointwise Ops" of the torch documentation.

In a line, ct is the cotangent, ins the inputs, y the result, t the tangents. The derivatives and
what is kept for them are those of PyTorch's tools/autograd/derivatives.yaml.
"""

import math

import numpy as np

from reference_impl import array_functions as special
from reference_impl import dtypes as dt
from reference_impl.creation import zeros_like
from reference_impl.errors import Domain, DtypeUnsupported, ValueOverflow
from reference_impl.promotion import combine_classes, number_dtype
from reference_impl.rule import rule
from reference_impl.rules.elementwise import NUMBER, REAL, SELF, where

BOTH = {"self": ("self", "other"), "other": ("self", "other")}


def binary(name, forward, **facts):
    """A rule of two inputs, which are cast to their result type unless `promote` differs."""
    facts = {"promote": "result", "inputs": ("self", "other"), "inplace": True, **facts}
    return rule(name, forward, **facts)


def scaled(x, alpha):
    """alpha * x in the dtype of x. Raises DtypeUnsupported for an alpha of another category."""
    if isinstance(alpha, complex) and not dt.BY_NUMPY[x.dtype].is_complex:
        raise DtypeUnsupported("For non-complex input tensors, argument alpha must not be a "
                               "complex number.")
    if isinstance(alpha, float) and x.dtype.kind in "biu":
        raise DtypeUnsupported("For integral input tensors, argument alpha must not be a "
                               "floating point number.")
    if isinstance(alpha, bool) and x.dtype.kind != "b":
        raise DtypeUnsupported("Boolean alpha only supported for Boolean results.")
    return x if alpha == 1 else x * np.asarray(alpha).astype(x.dtype)


def times(ct, alpha):
    return ct if alpha == 1 else ct * alpha


binary("add", lambda self, other, *, alpha=1: np.add(self, scaled(other, alpha)), jvp="linear",
       vjp=lambda ct, ins, y, alpha: [ct, times(ct, alpha.conjugate())])
binary("sub", lambda self, other, *, alpha=1: np.subtract(self, scaled(other, alpha)),
       jvp="linear", accepts=NUMBER, accepts_each=True,
       vjp=lambda ct, ins, y, alpha: [ct, times(-ct, alpha.conjugate())])
binary("mul", np.multiply, saves={"self": ("other",), "other": ("self",)},
       vjp=lambda ct, ins, y: [ct * ins[1].conj(), ct * ins[0].conj()],
       jvp=lambda t, ins, y: t[0] * ins[1] + ins[0] * t[1])
DIVIDED = {"self": ("other",), "other": ("self", "other")}
div = binary("div", np.true_divide, promote="float", saves=DIVIDED,
             vjp=lambda ct, ins, y: [ct / ins[1].conj(), -ct * (ins[0] / ins[1] / ins[1]).conj()],
             jvp=lambda t, ins, y: (t[0] - y * t[1]) / ins[1])
binary("div.Tensor_mode", lambda self, other, *, rounding_mode:
       special.divide(self, other, rounding_mode), accepts=REAL, node="DivBackward2", saves=DIVIDED,
       vjp=lambda ct, ins, y, rounding_mode: [zeros_like(ct), zeros_like(ct)],
       jvp=lambda t, ins, y, rounding_mode: zeros_like(y))
# PyTorch gives it no derivative: use div with rounding_mode
binary("floor_divide", lambda self, other: special.divide(self, other, "floor"), accepts=REAL)
binary("remainder", special.remainder, accepts=REAL, saves={"other": ("self", "other")},
       vjp=lambda ct, ins, y: [ct, -ct * div(ins[0], ins[1], rounding_mode="floor")],
       jvp=lambda t, ins, y: t[0] - t[1] * div(ins[0], ins[1], rounding_mode="floor"))
binary("fmod", special.fmod, accepts=REAL, saves={"other": ("self", "other")},
       vjp=lambda ct, ins, y: [ct, -ct * div(ins[0], ins[1], rounding_mode="trunc")],
       jvp=lambda t, ins, y: t[0] - t[1] * div(ins[0], ins[1], rounding_mode="trunc"))

# --- powers ---


def along_base(ct, x, p):
    """ct times d x**p / d x; 0 where p is 0, even at nan."""
    # nowhere is 0 raised to -1, so that the masked branch has no nan to hand to its own derivative
    q = where(p == 0, 1, p)
    return where(p == 0, 0, ct * where(p == 0, 0, q * x ** (q - 1)).conj())


def exponent_slope(x, p, y):
    """d x**p / d p; 0 at x = 0 unless p is negative."""
    return where((x == 0) & rising(p), 0, y * x.to(y.dtype).log())


def rising(p):
    """Whether 0**p is finite: p is real and not negative."""
    return (p.imag == 0) & (p.real >= 0) if p.is_complex() else p >= 0


binary("pow", special.power, inputs=("self", "exponent"), numbers=False, accepts=NUMBER,
       node="PowBackward1",
       saves=("self", "exponent", "result"),
       vjp=lambda ct, ins, y: [along_base(ct, *ins), ct * exponent_slope(*ins, y).conj()],
       jvp=lambda t, ins, y: (along_base(t[0].conj(), *ins).conj()
                              + t[1] * exponent_slope(*ins, y)))


def with_number(x, number):
    """x in its common dtype with a Python number, and the number in that dtype."""
    own = dt.BY_NUMPY[x.dtype]
    common = combine_classes(own, number_dtype(number))
    x = x.astype(common.np)
    return x, special.constant(x, number)


def power_of_tensor(self, exponent):
    x, p = with_number(self, exponent)
    if x.dtype.kind in "iu" and exponent < 0:
        raise Domain("Integers to negative integer powers are not allowed.")
    if x.dtype.kind == "b":
        raise DtypeUnsupported("\"pow\" not implemented for 'Bool'")
    return special.power(x, p)


def constant_power_slope(x, p):
    return zeros_like(x) if p == 0 else p * x ** (p - 1)


def power_of_number(self, exponent):
    p, x = with_number(exponent, self)
    if p.dtype.kind == "b":
        raise DtypeUnsupported("\"pow\" not implemented for 'Bool'")
    return special.power(x, p)


def constant_base_slope(base, p, y):
    """d base**p / d p. The logarithm of a negative base is nan unless p is complex."""
    if base == 0:
        return where(rising(p), 0, y * -math.inf)
    real = not p.is_complex() and not isinstance(base, complex)
    # in long double, so that the constant is no less precise than what it multiplies
    with np.errstate(invalid="ignore"):
        log = np.log(np.longdouble(base) if real else np.clongdouble(base))
    return y * log


rule("pow.Tensor_Scalar", power_of_tensor, inputs=("self",), layout="elementwise", saves=SELF,
     inplace=True, vjp=lambda ct, ins, y, exponent: [
         ct * constant_power_slope(ins[0], exponent).conj()],
     jvp=lambda t, ins, y, exponent: t[0] * constant_power_slope(ins[0], exponent))
rule("pow.Scalar", power_of_number, inputs=("exponent",), layout="elementwise", method=False,
     node="PowBackward2", saves={"exponent": ("exponent", "result")},
     vjp=lambda ct, ins, y, self: [ct * constant_base_slope(self, ins[0], y).conj()],
     jvp=lambda t, ins, y, self: t[0] * constant_base_slope(self, ins[0], y))

# --- the larger, the smaller, the bounded ---


def half_at_tie(ct, loses, ties):
    return where(loses, 0, where(ties, ct / 2, ct))


binary("maximum", np.maximum, accepts="bool int float", numbers=False, inplace=False, saves=BOTH,
       vjp=lambda ct, ins, y: [half_at_tie(ct, ins[0] < ins[1], ins[0] == ins[1]),
                               half_at_tie(ct, ins[0] > ins[1], ins[0] == ins[1])],
       jvp=lambda t, ins, y: half_at_tie(t[0], ins[0] < ins[1], ins[0] == ins[1])
       + half_at_tie(t[1], ins[0] > ins[1], ins[0] == ins[1]))
binary("minimum", np.minimum, accepts="bool int float", numbers=False, inplace=False, saves=BOTH,
       vjp=lambda ct, ins, y: [half_at_tie(ct, ins[0] > ins[1], ins[0] == ins[1]),
                               half_at_tie(ct, ins[0] < ins[1], ins[0] == ins[1])],
       jvp=lambda t, ins, y: half_at_tie(t[0], ins[0] > ins[1], ins[0] == ins[1])
       + half_at_tie(t[1], ins[0] < ins[1], ins[0] == ins[1]))


def clamp(self, min=None, max=None):
    bounds = [b for b in (min, max) if b is not None]
    x = self
    for b in bounds:
        x, _ = with_number(x, b)
    if x.dtype.kind == "c":
        raise DtypeUnsupported("clamp is not supported for complex types")
    if x.dtype.kind in "iu":
        info = np.iinfo(x.dtype)
        lowest = info.min or -info.max      # a negative number may wrap into an unsigned type
        if any(not lowest <= b <= info.max for b in bounds):
            raise ValueOverflow(f"value cannot be converted to type {x.dtype}_t without overflow")
    low, high = (None if b is None else special.constant(x, b) for b in (min, max))
    return special.clamp(x, low, high)


def inside(x, low, high):
    """Where the cotangent of a clamped x passes: at the bounds too, at nan not."""
    if low is None:
        return x <= high
    return x >= low if high is None else (x >= low) & (x <= high)


def clamp_tensor_vjp(ct, ins, y):
    x, low, high = ins
    below = above = None
    if low is not None:
        below = x < low if high is None else (x < low) & (low < high)
    if high is not None:
        above = x > high if low is None else (x > high) | (high < low)
    return [where(inside(x, low, high), ct, 0),
            None if below is None else where(below, ct, 0),
            None if above is None else where(above, ct, 0)]


rule("clamp", clamp, inputs=("self",), layout="elementwise", inplace=True, saves=SELF,
     node="ClampBackward1",
     vjp=lambda ct, ins, y, min, max: [where(inside(ins[0], min, max), ct, 0)],
     jvp=lambda t, ins, y, min, max: where(inside(ins[0], min, max), t[0], 0))
rule("clamp.Tensor", lambda self, min=None, max=None: special.clamp(self, min, max),
     inputs=("self", "min?", "max?"), promote="result", numbers=False, accepts=REAL,
     inplace=True, saves=("self", "min", "max"), vjp=clamp_tensor_vjp,
     jvp=lambda t, ins, y: sum(clamp_tensor_jvp(t, ins)))


def clamp_tensor_jvp(t, ins):
    masks = clamp_tensor_vjp(zeros_like(t[0]) + 1, ins, None)
    return [one * mask for one, mask in zip(t, masks, strict=True) if mask is not None]


# --- two-argument functions ---


def turned(ct, y, x):
    """ct times d atan2(y, x) / d y and d x; 0 at the origin."""
    square = y * y + x * x
    scale = where(square == 0, 0, 1 / square)
    return [ct * x * scale, ct * -y * scale]


binary("atan2", np.arctan2, promote="float", accepts="float", numbers=False, saves=BOTH,
       vjp=lambda ct, ins, y: turned(ct, *ins),
       jvp=lambda t, ins, y: turned(t[0], *ins)[0] + turned(t[1], *ins)[1])
binary("hypot", np.hypot, accepts="float", numbers=False,
       saves={"self": ("self", "result"), "other": ("other", "result")},
       vjp=lambda ct, ins, y: [ct * (ins[0] / y), ct * (ins[1] / y)],
       jvp=lambda t, ins, y: t[0] * (ins[0] / y) + t[1] * (ins[1] / y))
