"""torch.nn.functional: operations under the names that a user calls."""

from reference_impl.rule import OPERATIONS

NAMES = ("avg_pool2d", "conv2d", "cross_entropy", "gelu", "layer_norm", "leaky_relu_", "linear",
         "log_softmax", "max_pool2d", "mse_loss", "nll_loss", "relu_", "softmax", "softplus",
         "threshold_")
IN_PLACE_TOO = ("leaky_relu", "relu", "silu", "threshold")       # with the argument inplace=
__all__ = [name for name in (*NAMES, *IN_PLACE_TOO) if name in OPERATIONS]


def _or_in_place(name):
    apart, over = OPERATIONS[name].function, OPERATIONS[f"{name}_"].function
    arguments = OPERATIONS[name].rules[0].positional

    def function(*args, inplace=False, **named):
        if len(args) > arguments:
            *args, inplace = args
        return (over if inplace else apart)(*args, **named)
    function.__name__ = function.__qualname__ = name
    return function


globals().update({name: OPERATIONS[name].function for name in NAMES if name in OPERATIONS})
globals().update({name: _or_in_place(name) for name in IN_PLACE_TOO})
