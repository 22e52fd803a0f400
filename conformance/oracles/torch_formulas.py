"""PyTorch's own formulas on the CPU, where they lead elsewhere than the norm's.

Read from its source, as `conformance.oracles.formulas` describes.
"""

from __future__ import annotations

import math

import numpy as np

from conformance.oracles import steps
from conformance.oracles.formulas import FORMULAS, Operands
from conformance.oracles.steps import Number, where

# Abramowitz & Stegun 7.1.26
ERF_SLOPE = 0.3275911
ERF_TERMS = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def _erf(o: Operands) -> Number:
    """1 - t (a1 + a2 t + ... + a5 t^4) exp(-x^2), t = 1 / (1 + p |x|), with fused products.

    ATen/cpu/vec: what `Vectorized<float>::erf` does; tensors of 16-bit floats go through it.
    """
    size = abs(o.x)
    t = 1 / steps.fused(size, ERF_SLOPE, 1)
    sum_, *rest = (o.x.machine.number(np.full(size.a.shape, term)) for term in ERF_TERMS)
    for term in rest:
        sum_ = steps.fused(sum_, t, term)
    found = steps.fused(-steps.exp(-(size * size)) * t, sum_, 1)
    return where(np.signbit(o.x.a), -found, found)


def _floor_divide(o: Operands) -> Number:
    """c10/util/generic_math.h: (x - fmod(x, y)) / y, brought to a whole number."""
    x, y = o.x, o.y
    if y is None:  # a Python number
        y = x.machine.number(np.full(x.a.shape, float(o.args["other"])))
    rest = steps.fmod(x, y)
    quotient = (x - rest) / y
    wrong = ~rest.equals(0) & (np.signbit(y.a) != np.signbit(rest.a))
    quotient = where(wrong, quotient - 1, quotient)
    whole = steps.floor(quotient)
    whole = where(quotient - whole > 0.5, whole + 1, whole)
    zeros = x.machine.number(np.zeros(whole.a.shape))
    zero = where(np.signbit((x / y).a), -zeros, zeros)
    return where(y.equals(0), x / y, where(quotient.equals(0), zero, whole))


def _log10_ct(o: Operands) -> Number:
    """tools/autograd/derivatives.yaml: grad / (self.conj() * 2.302585...)."""
    return o.ct / steps.scaled(o.x, math.log(10))


def _hypot_ct_self(o: Operands) -> Number:
    """tools/autograd/derivatives.yaml: grad * self / result, from the left."""
    return o.ct * o.x / steps.hypot(o.x, o.y)


def _hypot_ct_other(o: Operands) -> Number:
    return o.ct * o.y / steps.hypot(o.x, o.y)


FORMULAS["torch", "hypot", "ct.self"] = _hypot_ct_self
FORMULAS["torch", "hypot", "ct.other"] = _hypot_ct_other
FORMULAS["reference", "hypot", "ct.self"] = lambda o: o.ct * (o.x / steps.hypot(o.x, o.y))
FORMULAS["reference", "hypot", "ct.other"] = lambda o: o.ct * (o.y / steps.hypot(o.x, o.y))
FORMULAS["torch", "erf", "y"] = _erf
FORMULAS["torch", "log10", "ct.self"] = _log10_ct
FORMULAS["torch", "floor_divide", "y"] = _floor_divide
FORMULAS["torch", "div.Tensor_mode", "y"] = _floor_divide
