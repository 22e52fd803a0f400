"""Activations: chapter "Non-linear Activations" of the torch documentation.

In a line, ct is the cotangent, ins the inputs, y the result, t the tangents.
"""

import numpy as np

from reference_impl import array_functions as special
from reference_impl.errors import ArgumentType
from reference_impl.rules.elementwise import REAL, RESULT, SELF, unary, where

# long double, so that a constant is no less precise than what it multiplies
ROOT_HALF = np.sqrt(np.longdouble(0.5))
PI = 4 * np.arctan(np.longdouble(1))
NORMAL_PEAK = 1 / np.sqrt(2 * PI)
# of the tanh form of gelu, as its documentation gives them
KAPPA, CUBIC = np.sqrt(2 / PI), 0.044715

unary("sigmoid", special.sigmoid, promote="float", saves=RESULT,
      vjp=lambda ct, ins, y: [ct * ((1 - y) * y).conj()],
      jvp=lambda t, ins, y: t[0] * (1 - y) * y)
# `y <= 0` and not its opposite: where the result is nan the cotangent passes
unary("relu", lambda self: np.where(self < 0, np.zeros((), self.dtype), self), accepts=REAL,
      saves=RESULT, vjp=lambda ct, ins, y: [where(y <= 0, 0, ct)],
      jvp=lambda t, ins, y: where(y <= 0, 0, t[0]))
unary("leaky_relu", lambda self, negative_slope=0.01:
      np.where(self > 0, self, self * np.asarray(negative_slope, self.dtype)),
      accepts="float", saves=SELF,
      vjp=lambda ct, ins, y, negative_slope: [where(ins[0] > 0, ct, ct * negative_slope)],
      jvp=lambda t, ins, y, negative_slope: where(ins[0] > 0, t[0], t[0] * negative_slope))
unary("threshold", lambda self, threshold, value:
      np.where(self <= np.asarray(threshold, self.dtype), np.asarray(value, self.dtype), self),
      accepts="int float", saves=SELF, method=False, helper=True,
      vjp=lambda ct, ins, y, threshold, value: [where(ins[0] <= threshold, 0, ct)],
      jvp=lambda t, ins, y, threshold, value: where(ins[0] <= threshold, 0, t[0]))
unary("silu", lambda self: self * special.sigmoid(self), accepts="float complex", saves=SELF,
      vjp=lambda ct, ins, y: [ct * silu_slope(ins[0]).conj()],
      jvp=lambda t, ins, y: t[0] * silu_slope(ins[0]))


def silu_slope(x):
    # sigmoid(-x), not 1 - sigmoid(x), which is 0 long before it should be
    return x.sigmoid() * (1 + x * (-x).sigmoid())


def softplus(self, beta=1, threshold=20):
    beta = np.asarray(beta, self.dtype)
    scaled = self * beta
    return np.where(scaled > threshold, self, np.log1p(np.exp(scaled)) / beta)


def softplus_slope(x, beta, threshold):
    return where(x * beta > threshold, 1, (x * beta).sigmoid())


unary("softplus", softplus, accepts="float", saves=SELF,
      vjp=lambda ct, ins, y, beta, threshold: [ct * softplus_slope(ins[0], beta, threshold)],
      jvp=lambda t, ins, y, beta, threshold: t[0] * softplus_slope(ins[0], beta, threshold))


def gelu(self, *, approximate="none"):
    if approximate == "none":
        # erfc, not 1 + erf: the left tail is small, not the difference of two ones
        half = special.constant(self, 0.5)
        return self * half * special.erfc(-self * np.sqrt(half))
    if approximate == "tanh":
        # (1 + tanh u) / 2 is sigmoid(2 u), without the cancellation
        twice, cubic = special.constant(self, 2 * KAPPA), special.constant(self, CUBIC)
        return self * special.sigmoid(twice * (self + cubic * self * self * self))
    raise ArgumentType(f"approximate argument must be either none or tanh, not {approximate!r}")


def gelu_slope(x, approximate):
    if approximate == "none":
        return 0.5 * (-x * ROOT_HALF).erfc() + x * NORMAL_PEAK * (-0.5 * x * x).exp()
    u = 2 * KAPPA * (x + CUBIC * x * x * x)
    return u.sigmoid() * (1 + x * (-u).sigmoid() * 2 * KAPPA * (1 + 3 * CUBIC * x * x))


unary("gelu", gelu, accepts="float", saves=SELF,
      vjp=lambda ct, ins, y, approximate: [ct * gelu_slope(ins[0], approximate)],
      jvp=lambda t, ins, y, approximate: t[0] * gelu_slope(ins[0], approximate))
