"""torch.nn.functional, chapter "Non-linear activation functions"."""

import warnings

from reference_impl.data import tensor
from reference_impl.dispatch import FUNCTIONS
from reference_impl.drawing import uniform_array
from reference_impl.random import stream_of
from reference_impl.rule import OPERATIONS

__all__ = ["celu", "celu_", "elu", "elu_", "gelu", "glu", "gumbel_softmax", "hardshrink",
           "hardsigmoid", "hardswish", "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_",
           "log_softmax", "logsigmoid", "mish", "prelu", "relu", "relu6", "relu_", "rrelu", "rrelu_",
           "selu", "selu_", "sigmoid", "silu", "softmax", "softmin", "softplus", "softshrink",
           "softsign", "tanh", "tanhshrink", "threshold", "threshold_"]


def op(name):
    return OPERATIONS[name].function


def _activation(name, count=0):
    """The operation with the argument inplace=, which makes it write into its input.

    count: of the arguments between the input and inplace.
    """
    def function(input, *args, inplace=False, **named):
        if len(args) > count:
            *args, inplace = args
        return op(name + "_" if inplace else name)(input, *args, **named)
    function.__name__ = function.__qualname__ = name
    return function


hardsigmoid, hardswish, mish, relu, selu, silu = (_activation(name) for name in (
    "hardsigmoid", "hardswish", "mish", "relu", "selu", "silu"))
celu, elu, leaky_relu = (_activation(name, 1) for name in ("celu", "elu", "leaky_relu"))
hardtanh, threshold, rrelu = (_activation(name, count) for name, count in (
    ("hardtanh", 2), ("threshold", 2), ("rrelu", 3)))
celu_, elu_, hardtanh_, leaky_relu_, relu_, rrelu_, selu_, threshold_ = (op(name) for name in (
    "celu_", "elu_", "hardtanh_", "leaky_relu_", "relu_", "rrelu_", "selu_", "threshold_"))
gelu, glu, hardshrink, prelu, softplus, softshrink = (op(name) for name in (
    "gelu", "glu", "hardshrink", "prelu", "softplus", "softshrink"))
logsigmoid, sigmoid, tanh = op("log_sigmoid"), op("sigmoid"), op("tanh")


def relu6(input, inplace=False):
    return op("hardtanh_")(input, 0, 6) if inplace else op("relu6")(input)


def softsign(input):
    return input / (input.abs() + 1)


def tanhshrink(input):
    return input - input.tanh()


def implicit_dim(name, ndim):
    """The dimension that torch once chose itself."""
    warnings.warn(f"Implicit dimension choice for {name} has been deprecated. Change the call to "
                  "include dim=X as an argument.", UserWarning, stacklevel=4)
    return 0 if ndim in (0, 1, 3) else 1


def _over(name, operation, sign):
    def function(input, dim=None, _stacklevel=3, dtype=None):
        dim = implicit_dim(name, input.ndim) if dim is None else dim
        x = -input if sign < 0 else input
        return op(operation)(x, dim) if dtype is None else op(operation)(x, dim, dtype=dtype)
    function.__name__ = function.__qualname__ = name
    return function


softmax, softmin = _over("softmax", "softmax", 1), _over("softmin", "softmax", -1)
log_softmax = _over("log_softmax", "log_softmax", 1)


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """A differentiable sample of the categories with these logits; hard: of the corners only."""
    noise = uniform_array(stream_of(None), logits._size, logits.dtype)
    gumbels = -(-tensor(noise).clamp_min(1e-30).log()).log()
    soft = FUNCTIONS["softmax"]((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    corner = logits.detach().new_zeros(logits._size).scatter_(dim, index, 1.0)
    return corner - soft.detach() + soft
