"""More activations: the shrinking, the hard and the leaky ones, elu and its kin, glu, prelu.

In a line, ct is the cotangent, ins the inputs, y the result, t the tangents. The derivatives and
what is kept for them are those of PyTorch's tools/autograd/derivatives.yaml; the comparisons are
written so that nan goes where torch's kernels (aten/src/ATen/native/cpu/Activation.cpp) send it.
"""

import numpy as np

from reference_impl import array_functions as special
from reference_impl import dtypes as dt
from reference_impl.errors import (
    Argument,
    ArgumentValue,
    DimCount,
    DtypeMismatch,
    DtypeUnsupported,
    ShapeMismatch,
)
from reference_impl.geometry import wrap_dim
from reference_impl.random import stream_of
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.rules.elementwise import REAL, SELF, where


def pointwise(name, forward, slope, saves=SELF, accepts="float", **facts):
    """A function of one tensor whose derivative is slope(x, **arguments)."""
    facts = {"method": False, "function": False, **facts}
    return rule(name, forward, inputs=("self",), layout="elementwise", inplace=True, helper=True,
                saves=saves, accepts=accepts,
                vjp=lambda ct, ins, y, **a: [ct * slope(ins[0], **a)],
                jvp=lambda t, ins, y, **a: t[0] * slope(ins[0], **a), **facts)


def gated(name, forward, blocked, accepts="float", **facts):
    """A function of one tensor whose cotangent passes except where blocked(x, **arguments)."""
    facts = {"method": False, "function": False, **facts}
    return rule(name, forward, inputs=("self",), layout="elementwise", inplace=True, helper=True,
                saves=SELF, accepts=accepts,
                vjp=lambda ct, ins, y, **a: [where(blocked(ins[0], **a), 0, ct)],
                jvp=lambda t, ins, y, **a: where(blocked(ins[0], **a), 0, t[0]), **facts)


def constant(array):
    """A tensor that holds an array."""
    return OPERATIONS["from_array"].function(array, dt.BY_NUMPY[array.dtype])


def number(x, value):
    return special.constant(x, value)


# --- cut off ---

gated("threshold", lambda self, threshold, value: np.where(
    self <= number(self, threshold), number(self, value), self),
    lambda x, threshold, value: x <= threshold, accepts=REAL, function=True)


def hardtanh(self, min_val=-1.0, max_val=1.0):
    """Kept between min_val and max_val; nan stays."""
    if self.dtype.kind == "b":
        raise DtypeUnsupported("Bool inputs not supported for hardtanh")
    if self.dtype.kind == "u" and min(min_val, max_val) < 0:
        raise Argument("cannot do hardtanh on an unsigned type with negative limits")
    if min_val > max_val:
        raise ArgumentValue("min_val cannot be greater than max_val")
    low, high = number(self, min_val), number(self, max_val)
    return np.where(self < low, low, np.where(self > high, high, self))


gated("hardtanh", hardtanh, lambda x, min_val, max_val: (x <= min_val) | (x >= max_val),
      accepts="bool int float")
composite("relu6", lambda input: OPERATIONS["hardtanh"].function(input, 0, 6), method=False,
          function=False, helper=True)
gated("hardshrink", lambda self, lambd=0.5: np.where(
    (self >= number(self, -lambd)) & (self <= number(self, lambd)), number(self, 0), self),
    lambda x, lambd: (x >= -lambd) & (x <= lambd), method=True, function=True)


def softshrink(self, lambd=0.5):
    """Moved towards 0 by lambd, no further; 0 within [-lambd, lambd]."""
    if not lambd >= 0:
        raise Argument(f"lambda must be in range [0, inf] for input dtype, but found {lambd:g}")
    far = number(self, lambd)
    return np.where(self > far, self - far, np.where(self < -far, self + far, self * 0))


gated("softshrink", softshrink, lambda x, lambd: (x >= -lambd) & (x <= lambd))

# --- straight lines for curves ---

pointwise("hardsigmoid", lambda self: np.minimum(np.maximum(
    self + number(self, 3), number(self, 0)), number(self, 6)) / number(self, 6),
    lambda x: where((x > -3) & (x < 3), 1 / 6, 0))
pointwise("hardswish", lambda self: self * np.minimum(np.maximum(
    self + number(self, 3), number(self, 0)), number(self, 6)) / number(self, 6),
    lambda x: where(x <= -3, 0, where(x < 3, x / 3 + 0.5, 1)))

# --- exponentials to the left ---


def elu(self, alpha=1, scale=1, input_scale=1):
    """scale * x to the right of 0, scale * alpha * (exp(input_scale * x) - 1) to its left."""
    left = np.expm1(self * number(self, input_scale)) * number(self, alpha * scale)
    return np.where(self < 0, left, self * number(self, scale))


def elu_slope(x, alpha, scale, input_scale):
    return where(x <= 0, (x * input_scale).exp() * (alpha * scale * input_scale), scale)


def celu(self, alpha=1.0):
    """elu whose slope is 1 at 0 for every alpha."""
    if alpha == 0:
        raise Argument("ZeroDivisionError: alpha cannot be 0 for CELU")
    return elu(self, alpha, 1, 1 / alpha)


SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
_elu = pointwise("elu", elu, elu_slope)
pointwise("celu", celu, lambda x, alpha: elu_slope(x, alpha, 1, 1 / alpha), function=True)
composite("selu", lambda input: _elu(input, SELU_ALPHA, SELU_SCALE), method=False, helper=True)
composite("selu_", lambda input: OPERATIONS["elu_"].function(input, SELU_ALPHA, SELU_SCALE),
          method=False, helper=True)

# --- smooth gates ---


def softened(x):
    """log(1 + exp(x))."""
    return np.logaddexp(x, number(x, 0))


def mish_slope(x):
    gate = (x.exp().log1p()).tanh()
    return gate + x * x.sigmoid() * (1 - gate * gate)


pointwise("mish", lambda self: self * np.tanh(softened(self)), mish_slope)
pointwise("log_sigmoid", lambda self: np.minimum(self, number(self, 0)) - np.log1p(
    np.exp(-np.abs(self))), lambda x: (-x).sigmoid(), node="LogSigmoidBackward0")


def halves(x, dim):
    """The two halves of x along dim. Raises DimCount, ShapeMismatch."""
    if not x.ndim:
        raise DimCount("glu does not support scalars because halving size must be even")
    d = wrap_dim(dim, x.ndim)
    if x.shape[d] % 2:
        raise ShapeMismatch(f"Halving dimension must be even, but dimension {d} is size "
                            f"{x.shape[d]}")
    return d


def glu(self, dim=-1):
    """The first half along dim, gated by the sigmoid of the second."""
    first, second = np.split(self, 2, axis=halves(self, dim))
    return first * special.sigmoid(second)


def glu_vjp(ct, ins, y, dim):
    first, second = ins[0].chunk(2, dim)
    gate = second.sigmoid()
    return [OPERATIONS["cat"].function([ct * gate, ct * first * gate * (1 - gate)], dim)]


def glu_jvp(t, ins, y, dim):
    gate, (of_first, of_second) = ins[0].chunk(2, dim)[1].sigmoid(), t[0].chunk(2, dim)
    return of_first * gate + of_second * (y * (1 - gate))


rule("glu", glu, inputs=("self",), helper=True, method=False, function=False, saves=SELF,
     accepts="float", vjp=glu_vjp, jvp=glu_jvp)

# --- a slope that is learned, or drawn ---

rule("_prelu_kernel", lambda self, weight: np.where(self > 0, self, weight * self),
     inputs=("self", "weight"), layout="elementwise", method=False, saves=("self", "weight"),
     node="PreluKernelBackward0", accepts="float",
     vjp=lambda ct, ins, y: [where(ins[0] > 0, ct, ct * ins[1]),
                             where(ins[0] > 0, 0, ct * ins[0])],
     # at 0 torch's two modes go different ways
     jvp=lambda t, ins, y: where(ins[0] >= 0, t[0], ins[1] * t[0] + t[1] * ins[0]))


def prelu(input, weight):
    """max(0, x) + weight * min(0, x), with one weight for all or one per channel (dimension 1)."""
    if input.dtype is not weight.dtype:
        raise DtypeMismatch("prelu: Type promoting not supported. Got "
                            f"{input.dtype.scalar_name} and {weight.dtype.scalar_name}")
    count = weight.numel()
    if count != 1:
        if not input.ndim:
            raise DimCount("Not allow zero-dim input tensor.")
        channels = input._size[1] if input.ndim > 1 else 1
        if channels != count:
            raise ShapeMismatch("Mismatch of parameter numbers and input channel size. Found "
                                f"parameter numbers = {count} and channel size = {channels}.")
    if weight.ndim > 1:
        raise DimCount("prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = "
                       f"{weight.ndim}")
    if input.ndim != weight.ndim:
        weight = weight.reshape([count if d == 1 else 1 for d in range(input.ndim)])
    return OPERATIONS["_prelu_kernel"].function(input, weight)


composite("prelu", prelu, helper=True)
rule("_rrelu", lambda self, slope: np.where(self > 0, self, self * slope.astype(self.dtype)),
     inputs=("self",), layout="elementwise", inplace=True, method=False, accepts="float",
     saves=SELF, node="RreluWithNoiseBackward0",
     vjp=lambda ct, ins, y, slope: [where(ins[0] > 0, ct, ct * constant(slope))],
     jvp=lambda t, ins, y, slope: where(ins[0] > 0, t[0], t[0] * constant(slope)))


def _slopes(input, lower, upper, training, generator):
    """One slope per element while training, the middle otherwise. Raises Argument."""
    if lower > upper:
        raise Argument("Lower bound should be less than or equal to the upper bound")
    if not training:
        return np.asarray((lower + upper) / 2, np.float64)
    return stream_of(generator).uniform(lower, upper, input._size)


def rrelu(input, lower=1 / 8, upper=1 / 3, training=False, generator=None):
    slope = _slopes(input, lower, upper, training, generator)
    return OPERATIONS["_rrelu"].function(input, slope)


def rrelu_(input, lower=1 / 8, upper=1 / 3, training=False, generator=None):
    slope = _slopes(input, lower, upper, training, generator)
    return OPERATIONS["_rrelu_"].function(input, slope)


composite("rrelu", rrelu, method=False, helper=True)
composite("rrelu_", rrelu_, method=False, helper=True)
