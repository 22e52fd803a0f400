"""More functions of two or three tensors: copysign, gcd, lerp, logaddexp and the like.

In a line, ct is the cotangent, ins the inputs, y the result, t the tangents. The derivatives and
what is kept for them are those of PyTorch's tools/autograd/derivatives.yaml. They are helpers: no
table of operations lists them yet, so no library is checked against them.
"""

import numpy as np
import scipy.special

from reference_impl import dtypes as dt
from reference_impl.creation import zeros_like
from reference_impl.dispatch import FUNCTIONS
from reference_impl.errors import Argument, ArgumentType, DtypeMismatch, DtypeUnsupported
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.rules.arithmetic import BOTH, binary
from reference_impl.rules.elementwise import LN2, where
from reference_impl.tensor import Tensor


def helper(name, forward, **facts):
    return binary(name, forward, helper=True, **facts)


# --- signs and neighbours ---


def copysign_vjp(ct, ins, y):
    same = y / ins[0]
    return [where(ins[0] == 0, 0, ct * same), zeros_like(ct)]


helper("copysign", np.copysign, promote="float", accepts="float",
       saves={"self": ("self", "result")}, vjp=copysign_vjp,
       jvp=lambda t, ins, y: t[0] * where(ins[0] == 0, 0, y / ins[0]))


def nextafter(self, other):
    if self.dtype.itemsize > 2:
        return np.nextafter(self, other)
    # 16-bit floats: one step of the bit pattern, counted from the sign
    self, other = np.broadcast_arrays(self, other)
    bits = self.view(np.int16)
    up = (self < other)
    away = (self > 0) == up
    stepped = (bits + np.where(away, 1, -1).astype(np.int16)).astype(np.int16)
    tiny = np.where(up, np.int16(1), np.int16(-0x7fff)).astype(np.int16)
    stepped = np.where(self == 0, tiny, stepped).view(self.dtype)
    out = np.where(self == other, other, stepped)
    return np.where(np.isnan(self) | np.isnan(other), self + other, out).astype(self.dtype)


helper("nextafter", nextafter, accepts="float", numbers=False, saves=BOTH,
       vjp=lambda ct, ins, y: [where(ins[0] == ins[1], 0, ct), zeros_like(ct)],
       jvp=lambda t, ins, y: t[0] * (ins[0] != ins[1]))


def heaviside(self, values):
    """0, values or 1 as self is negative, zero or positive (nan stays)."""
    if self.dtype != values.dtype:
        raise DtypeMismatch("heaviside is not yet implemented for tensors with different dtypes.")
    if self.dtype.kind == "c":
        raise DtypeUnsupported("heaviside is not yet implemented for complex tensors.")
    one = self.dtype.type(1)
    return np.where(self == 0, values, np.where(self < 0, 0 * one, one)).astype(self.dtype)


rule("heaviside", heaviside, inputs=("self", "values"), layout="elementwise", inplace=True,
     helper=True)

# --- the larger and the smaller, past nan ---



def past_nan(name, ufunc, larger):
    def parts(cts, ins):
        x, other = ins
        first = ((x >= other) if larger else (x <= other)) | other.isnan()
        return [where(first, cts[0], 0), where(first, 0, cts[1])]
    helper(name, ufunc, accepts="bool int float", numbers=False, inplace=False, saves=BOTH,
           vjp=lambda ct, ins, y: parts((ct, ct), ins), jvp=lambda t, ins, y: sum(parts(t, ins)))


past_nan("fmax", np.fmax, True)
past_nan("fmin", np.fmin, False)

# --- whole numbers ---

helper("gcd", np.gcd, accepts="int", numbers=False)
helper("lcm", lambda self, other: np.abs(np.lcm(self, other)), accepts="int", numbers=False)


def ldexp(input, other):
    """input * 2**other."""
    if not isinstance(other, Tensor):
        raise ArgumentType("ldexp(): argument 'other' (position 2) must be Tensor, not "
                           f"{type(other).__name__}")
    return input * FUNCTIONS["pow"](2.0, other)


composite("ldexp", ldexp, helper=True)
composite("ldexp_", lambda input, other: input.mul_(FUNCTIONS["pow"](2.0, other)), helper=True)

# --- logarithms of sums, products with logarithms ---


def share(ct, x, other, base):
    """Of ct what belongs to x: 1 / (1 + base**(other - x)); half where both are one infinity."""
    difference = other - x
    power = difference.exp() if base is None else (difference * base).exp()
    part = ct / (1 + power)
    return where((x == other), ct / 2, part)


def logaddexp2(self, other):
    if self.dtype.kind == "c":
        ln2 = np.log(self.dtype.type(2))
        return np.log(np.exp2(self) + np.exp2(other)) / ln2
    return np.logaddexp2(self, other)


def logaddexp(self, other):
    if self.dtype.kind == "c":
        low = np.where(self.real < other.real, self, other)
        high = np.where(self.real < other.real, other, self)
        return high + np.log1p(np.exp(low - high))
    return np.logaddexp(self, other)


helper("logaddexp", logaddexp, numbers=False, accepts="float complex", inplace=False, saves=BOTH,
       vjp=lambda ct, ins, y: [share(ct, ins[0], ins[1], None), share(ct, ins[1], ins[0], None)],
       jvp=lambda t, ins, y: share(t[0], *ins, None) + share(t[1], ins[1], ins[0], None))
helper("logaddexp2", logaddexp2, numbers=False, accepts="float complex", inplace=False,
       saves=BOTH, vjp=lambda ct, ins, y: [share(ct, ins[0], ins[1], LN2),
                                           share(ct, ins[1], ins[0], LN2)],
       jvp=lambda t, ins, y: share(t[0], *ins, LN2) + share(t[1], ins[1], ins[0], LN2))


def times_log(log):
    def forward(self, other):
        out = self * log(other)
        out = np.where(self == 0, 0, out)
        return np.where(np.isnan(other), other, out).astype(self.dtype)
    return forward


def guarded(x, other, value):
    """`value`, but 0 where x is 0 and other is no nan or at most 0."""
    return where((x == 0) & (other <= 0), 0, value)


helper("xlogy", times_log(np.log), promote="float", accepts="float", saves=BOTH,
       vjp=lambda ct, ins, y: [ct * guarded(*ins, ins[1].log()), ct * ins[0] / ins[1]],
       jvp=lambda t, ins, y: t[0] * guarded(*ins, ins[1].log()) + t[1] * ins[0] / ins[1])
helper("special_xlog1py", times_log(np.log1p), promote="float", accepts="float", saves=BOTH,
       inplace=False, method=False,
       vjp=lambda ct, ins, y: [ct * where((ins[0] == 0) & (ins[1] <= -1), 0, ins[1].log1p()),
                               ct * ins[0] / (ins[1] + 1)],
       jvp=lambda t, ins, y: t[0] * where((ins[0] == 0) & (ins[1] <= -1), 0, ins[1].log1p())
       + t[1] * ins[0] / (ins[1] + 1))


def zeta(self, other):
    """The Hurwitz zeta function, which scipy computes in double."""
    return scipy.special.zeta(self.astype(np.float64), other.astype(np.float64)).astype(self.dtype)


helper("special_zeta", zeta, promote="float", accepts="float", inplace=False, method=False,
       vjp=lambda ct, ins, y: [None, ct * -ins[0] * OPERATIONS["special_zeta"].function(
           ins[0] + 1, ins[1])], saves=BOTH)


def incomplete_gamma(name, function, sign):
    """The regularised incomplete gamma functions; torch differentiates them by x only."""
    def forward(self, other):
        wide = np.float64 if self.dtype.itemsize == 8 else np.float32
        return function(self.astype(wide), other.astype(wide)).astype(self.dtype)

    def vjp(ct, ins, y):
        a, x = ins
        return [None, sign * ct * ((a - 1) * x.log() - x - a.lgamma()).exp()]
    helper(name, forward, accepts="float", numbers=False, saves=BOTH, vjp=vjp)


incomplete_gamma("igamma", scipy.special.gammainc, 1)
incomplete_gamma("igammac", scipy.special.gammaincc, -1)


def float_power_dtype(*operands):
    kinds = [isinstance(x, complex) or (isinstance(x, Tensor) and x.is_complex())
             for x in operands]
    return dt.complex128 if any(kinds) else dt.float64


def float_power(input, exponent):
    """input ** exponent in double precision."""
    dtype = float_power_dtype(input, exponent)
    cast = [x.to(dtype) if isinstance(x, Tensor) else
            (complex(x) if dtype.is_complex else float(x)) for x in (input, exponent)]
    return FUNCTIONS["pow"](*cast)


def float_power_(input, exponent):
    dtype = float_power_dtype(input, exponent)
    if input.dtype is not dtype:
        raise DtypeMismatch(f"the base given to float_power_ has dtype {input.dtype.scalar_name} "
                            f"but the operation's result requires dtype {dtype.scalar_name}")
    cast = exponent.to(dtype) if isinstance(exponent, Tensor) else exponent
    return input.pow_(cast)


composite("float_power", float_power, helper=True)
composite("float_power_", float_power_, function=False, helper=True)

# --- three tensors ---


def lerp(self, end, weight):
    """self + weight (end - self), written so that the end is exact at weight 1."""
    near = np.abs(weight) < 0.5
    return np.where(near, self + weight * (end - self), end - (end - self) * (1 - weight))


rule("lerp", lerp, inputs=("self", "end", "weight"), promote="same", layout="elementwise",
     inplace=True, helper=True, node="LerpBackward1", accepts="float complex",
     saves={"self": ("weight",), "end": ("weight",), "weight": ("self", "end")},
     vjp=lambda ct, ins, y: [ct * (1 - ins[2]).conj(), ct * ins[2].conj(),
                             ct * (ins[1] - ins[0]).conj()],
     jvp=lambda t, ins, y: t[0] * (1 - ins[2]) + t[1] * ins[2] + t[2] * (ins[1] - ins[0]))


def lerp_number(self, end, weight):
    number = np.asarray(weight).astype(self.dtype)
    return lerp(self, end, number)


rule("lerp.Scalar", lerp_number, inputs=("self", "end"), promote="same", layout="elementwise",
     inplace=True, helper=True, node="LerpBackward0", accepts="float complex",
     vjp=lambda ct, ins, y, weight: [ct * (1 - weight.conjugate()), ct * weight.conjugate()],
     jvp=lambda t, ins, y, weight: t[0] * (1 - weight) + t[1] * weight)


def weighed(value, dtype):
    if isinstance(value, float) and dtype.kind in "biu":
        raise DtypeUnsupported("For integral input tensors, argument value must not be a floating "
                               "point number.")
    return np.asarray(value).astype(dtype)


rule("addcmul", lambda self, tensor1, tensor2, *, value=1:
     self + weighed(value, self.dtype) * tensor1 * tensor2, inputs=("self", "tensor1", "tensor2"),
     promote="result", inplace=True, helper=True, numbers=False,
     saves={"tensor1": ("tensor2",), "tensor2": ("tensor1",)},
     vjp=lambda ct, ins, y, value: [ct, ct * (ins[2] * value).conj(), ct * (ins[1] * value).conj()],
     jvp=lambda t, ins, y, value: t[0] + (t[1] * ins[2] + ins[1] * t[2]) * value)


def addcdiv(self, tensor1, tensor2, *, value=1):
    if tensor1.dtype.kind in "biu" and tensor2.dtype.kind in "biu":
        raise DtypeUnsupported(
            "Integer division with addcdiv is no longer supported, and in a future  release addcdiv "
            "will perform a true division of tensor1 and tensor2. The historic addcdiv behavior "
            "can be implemented as (input + value * torch.trunc(tensor1 / tensor2)).to(input.dtype) "
            "for integer inputs and as (input + value * tensor1 / tensor2) for float inputs.")
    return self + weighed(value, self.dtype) * tensor1 / tensor2


rule("addcdiv", addcdiv, inputs=("self", "tensor1", "tensor2"), promote="result", inplace=True,
     helper=True, numbers=False,
     saves={"tensor1": ("tensor2",), "tensor2": ("tensor1", "tensor2")},
     vjp=lambda ct, ins, y, value: [
         ct, ct * (value / ins[2]).conj(),
         -ct * (value * ins[1] / (ins[2] * ins[2])).conj()],
     jvp=lambda t, ins, y, value: t[0] + (t[1] - t[2] * ins[1] / ins[2]) / ins[2] * value)


# --- comparisons of whole tensors ---


def isclose(input, other, rtol=1e-5, atol=1e-8, equal_nan=False):
    """|input - other| <= atol + rtol |other|, or equal; nan is close to nan if equal_nan."""
    if input.dtype is not other.dtype:
        raise DtypeMismatch(f"{input.dtype.scalar_name} did not match {other.dtype.scalar_name}")
    if rtol < 0 or atol < 0:
        name, value = ("rtol", rtol) if rtol < 0 else ("atol", atol)
        raise Argument(f"{name} must be greater than or equal to zero, but got {value:g}")
    close = input == other
    if equal_nan and input.dtype.is_differentiable:
        close = close | (input.isnan() & other.isnan())
    if rtol == 0 and atol == 0:
        return close
    a, b = (x.to(dt.get_default_dtype()) if x.dtype is dt.bool else x for x in (input, other))
    if not a.dtype.is_differentiable:
        a, b = a.to(dt.float64), b.to(dt.float64)
    gap = (a - b).abs()
    return close | (gap.isfinite() & (gap <= atol + (rtol * b).abs()))


composite("isclose", isclose, helper=True)
composite("allclose", lambda input, other, rtol=1e-5, atol=1e-8, equal_nan=False: bool(
    isclose(input, other, rtol, atol, equal_nan).all()), helper=True)


def complex_of(real, imag):
    """real + i imag. Raises DtypeUnsupported, DtypeMismatch."""
    for x in (real, imag):
        if x.dtype not in (dt.float16, dt.float32, dt.float64):
            raise DtypeUnsupported("Expected both inputs to be Half, Float or Double tensors but "
                                   f"got {real.dtype.scalar_name} and {imag.dtype.scalar_name}")
    if real.dtype is not imag.dtype:
        raise DtypeMismatch(f"Expected object of scalar type {real.dtype.scalar_name} but got "
                            f"scalar type {imag.dtype.scalar_name} for second argument")
    return OPERATIONS["_complex"].function(real, imag)


def _complex(real, imag):
    real, imag = np.broadcast_arrays(real, imag)
    return np.stack([real, imag], -1).view(dt.BY_NUMPY[real.dtype].to_complex().np)[..., 0]


rule("_complex", _complex, inputs=("real", "imag"), method=False, node="ComplexBackward0",
     layout="elementwise",
     vjp=lambda ct, ins, y: [ct.real, ct.imag],
     jvp=lambda t, ins, y: OPERATIONS["_complex"].function(t[0], t[1]))
composite("complex", complex_of, method=False, helper=True)
composite("polar", lambda abs, angle: complex_of(abs * angle.cos(), abs * angle.sin()),
          method=False, helper=True)
