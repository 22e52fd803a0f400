"""Functions of one tensor, element by element.

In a line, ct is the cotangent, ins the inputs, y the result, t the tangents. The derivatives and
what is kept for them are those of PyTorch's tools/autograd/derivatives.yaml.
"""

import numpy as np

from reference_impl import array_functions as special
from reference_impl import dtypes
from reference_impl.creation import zeros_like
from reference_impl.errors import DtypeUnsupported
from reference_impl.rule import RULES, rule

SELF, RESULT = {"self": ("self",)}, {"self": ("result",)}
REAL, NUMBER = "int float", "int float complex"
# long double, so that a constant is no less precise than what it multiplies
LN2, LN10 = np.log(np.longdouble(2)), np.log(np.longdouble(10))
# how fast erf rises at 0
TWO_OVER_ROOT_PI = 1 / np.sqrt(np.arctan(np.longdouble(1)))


def unary(name, forward, **facts):
    """A rule of one input, whose dtype is kept (unless `promote` says otherwise)."""
    return rule(name, forward, inputs=("self",), layout="elementwise", inplace=True, **facts)


def flat(name, forward, **facts):
    """A step function: its derivative is zero wherever the norm gives it one."""
    return unary(name, forward, vjp=lambda ct, ins, y: [zeros_like(ct)],
                 jvp=lambda t, ins, y: zeros_like(t[0]), **facts)


# --- moves, signs and whole numbers ---

unary("neg", np.negative, accepts=NUMBER, vjp=lambda ct, ins, y: [-ct], jvp="linear")
flat("sign", special.sign, accepts="bool int float")
flat("floor", lambda self: special.whole(np.floor, self), accepts=REAL)
flat("ceil", lambda self: special.whole(np.ceil, self), accepts=REAL)
flat("trunc", lambda self: special.whole(np.trunc, self), accepts=REAL)
flat("round", lambda self: special.whole(np.rint, self), accepts=REAL)


def along(z, other):
    """What of `other` does not turn z: other/|z| less its part along z, 0 at z = 0."""
    if not z.is_complex():
        return zeros_like(other)
    size, phase = z.abs(), z.sgn()
    turned = other / size - phase * (phase.conj() * other).real / size
    return where(size == 0, 0, turned)


unary("sgn", special.sgn, helper=True, vjp=lambda ct, ins, y: [along(ins[0], ct)], saves=SELF,
      jvp=lambda t, ins, y: along(ins[0], t[0]))
unary("abs", np.abs, accepts=NUMBER, saves=SELF, vjp=lambda ct, ins, y: [ct * ins[0].sgn()],
      jvp=lambda t, ins, y: (t[0] * ins[0].sgn().conj()).real)
# in place, complex numbers have no room for a modulus
RULES["abs_"].accepts = (dtypes.INT, dtypes.FLOAT)

# --- powers ---

unary("square", special.square, saves=SELF, node="PowBackward0",
      vjp=lambda ct, ins, y: [ct * (2 * ins[0]).conj()], jvp=lambda t, ins, y: t[0] * 2 * ins[0])
unary("reciprocal", lambda self: 1 / self, promote="float", saves=RESULT,
      vjp=lambda ct, ins, y: [-ct * (y * y).conj()], jvp=lambda t, ins, y: -t[0] * (y * y))
unary("sqrt", np.sqrt, promote="float", saves=RESULT,
      vjp=lambda ct, ins, y: [ct / (2 * y.conj())], jvp=lambda t, ins, y: t[0] / (2 * y))
unary("rsqrt", special.rsqrt, promote="float", saves=RESULT,
      vjp=lambda ct, ins, y: [-0.5 * ct * (y * y * y).conj()],
      jvp=lambda t, ins, y: -0.5 * t[0] * (y * y * y))

# --- exponentials and logarithms ---

unary("exp", np.exp, promote="float", saves=RESULT,
      vjp=lambda ct, ins, y: [ct * y.conj()], jvp=lambda t, ins, y: t[0] * y)
unary("exp2", special.exp2, promote="float", saves=RESULT,
      vjp=lambda ct, ins, y: [ct * y.conj() * LN2], jvp=lambda t, ins, y: t[0] * y * LN2)
unary("expm1", np.expm1, promote="float", saves=RESULT,
      vjp=lambda ct, ins, y: [ct * (y.conj() + 1)], jvp=lambda t, ins, y: t[0] * (y + 1))
unary("log", np.log, promote="float", saves=SELF,
      vjp=lambda ct, ins, y: [ct / ins[0].conj()], jvp=lambda t, ins, y: t[0] / ins[0])
unary("log2", np.log2, promote="float", saves=SELF,
      vjp=lambda ct, ins, y: [ct / (ins[0].conj() * LN2)],
      jvp=lambda t, ins, y: t[0] / (ins[0] * LN2))
unary("log10", np.log10, promote="float", saves=SELF,
      vjp=lambda ct, ins, y: [ct / (ins[0].conj() * LN10)],
      jvp=lambda t, ins, y: t[0] / (ins[0] * LN10))
unary("log1p", special.log1p, promote="float", saves=SELF,
      vjp=lambda ct, ins, y: [ct / (ins[0] + 1).conj()],
      jvp=lambda t, ins, y: t[0] / (ins[0] + 1))

# --- circular and hyperbolic functions ---

unary("sin", np.sin, promote="float", saves=SELF,
      vjp=lambda ct, ins, y: [ct * ins[0].cos().conj()],
      jvp=lambda t, ins, y: t[0] * ins[0].cos())
unary("cos", np.cos, promote="float", saves=SELF,
      vjp=lambda ct, ins, y: [ct * -ins[0].sin().conj()],
      jvp=lambda t, ins, y: t[0] * -ins[0].sin())
unary("tan", np.tan, promote="float", saves=RESULT,
      vjp=lambda ct, ins, y: [ct * (1 + y * y).conj()],
      jvp=lambda t, ins, y: t[0] * (1 + y * y))
unary("asin", np.arcsin, promote="float", saves=SELF,
      vjp=lambda ct, ins, y: [ct * arcsine_slope(ins[0]).conj()],
      jvp=lambda t, ins, y: t[0] * arcsine_slope(ins[0]))
unary("acos", np.arccos, promote="float", saves=SELF,
      vjp=lambda ct, ins, y: [ct * -arcsine_slope(ins[0]).conj()],
      jvp=lambda t, ins, y: t[0] * -arcsine_slope(ins[0]))
unary("atan", np.arctan, promote="float", saves=SELF,
      vjp=lambda ct, ins, y: [ct / (ins[0] * ins[0] + 1).conj()],
      jvp=lambda t, ins, y: t[0] / (ins[0] * ins[0] + 1))
unary("sinh", np.sinh, promote="float", saves=SELF,
      vjp=lambda ct, ins, y: [ct * ins[0].cosh().conj()],
      jvp=lambda t, ins, y: t[0] * ins[0].cosh())
unary("cosh", np.cosh, promote="float", saves=SELF,
      vjp=lambda ct, ins, y: [ct * ins[0].sinh().conj()],
      jvp=lambda t, ins, y: t[0] * ins[0].sinh())
unary("tanh", np.tanh, promote="float", saves=RESULT,
      vjp=lambda ct, ins, y: [ct * (1 - y * y).conj()],
      jvp=lambda t, ins, y: t[0] * (1 - y * y))


def arcsine_slope(x):
    return (1 - x * x).rsqrt()


# --- the error function ---

unary("erf", special.erf, promote="float", accepts="float", saves=SELF,
      vjp=lambda ct, ins, y: [ct * TWO_OVER_ROOT_PI * (-ins[0] * ins[0]).exp()],
      jvp=lambda t, ins, y: t[0] * TWO_OVER_ROOT_PI * (-ins[0] * ins[0]).exp())
unary("erfc", special.erfc, promote="float", accepts="float", saves=SELF,
      vjp=lambda ct, ins, y: [ct * -TWO_OVER_ROOT_PI * (-ins[0] * ins[0]).exp()],
      jvp=lambda t, ins, y: t[0] * -TWO_OVER_ROOT_PI * (-ins[0] * ins[0]).exp())

# --- choice ---


def choose(condition, self, other):
    if condition.dtype not in (np.bool_, np.uint8):     # uint8 was torch's first boolean
        name = dtypes.BY_NUMPY[condition.dtype].scalar_name
        raise DtypeUnsupported("where expected condition to be a boolean tensor, but got a tensor "
                               f"with dtype {name}")
    return np.where(condition, self, other)


where = rule(
    "where", choose,
    inputs=("condition", "self", "other"), promote="result", unpromoted=("condition",),
    saves={"self": ("condition",), "other": ("condition",)},
    vjp=lambda ct, ins, y: [None, where(ins[0], ct, 0), where(ins[0], 0, ct)],
    jvp=lambda t, ins, y: where(ins[0], t[1], t[2]))
