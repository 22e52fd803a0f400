"""Arithmetic: chapter "Pointwise Ops" of the torch documentation.

In a line, ct is the cotangent, ins the inputs, y the result, t the tangents.
"""

import numpy as np

from reference_impl.rule import rule


def scaled(x, alpha):
    return x if alpha == 1 else x * np.asarray(alpha, x.dtype)


rule("add", lambda self, other, *, alpha=1: np.add(self, scaled(other, alpha)),
     inputs=("self", "other"), promote="result", inplace=True,
     vjp=lambda ct, ins, y, alpha: [ct, ct if alpha == 1 else ct * alpha],
     jvp="linear")
rule("sub", lambda self, other, *, alpha=1: np.subtract(self, scaled(other, alpha)),
     inputs=("self", "other"), promote="result", inplace=True,
     vjp=lambda ct, ins, y, alpha: [ct, -ct if alpha == 1 else ct * -alpha],
     jvp="linear")
rule("mul", np.multiply, promote="result", inplace=True,
     vjp=lambda ct, ins, y: [ct * ins[1].conj(), ct * ins[0].conj()],
     jvp=lambda t, ins, y: t[0] * ins[1] + ins[0] * t[1],
     saves={"self": ("other",), "other": ("self",)})
rule("div", np.true_divide, promote="float", inplace=True,
     vjp=lambda ct, ins, y: [ct / ins[1].conj(), -ct * (ins[0] / (ins[1] * ins[1])).conj()],
     jvp=lambda t, ins, y: (t[0] - y * t[1]) / ins[1],
     saves={"self": ("other",), "other": ("self", "other")})
rule("neg", np.negative, promote="none", layout="elementwise", inplace=True,
     vjp=lambda ct, ins, y: [-ct], jvp="linear")
rule("exp", np.exp, promote="float", inplace=True,
     vjp=lambda ct, ins, y: [ct * y.conj()], jvp=lambda t, ins, y: t[0] * y,
     saves={"self": ("result",)})
