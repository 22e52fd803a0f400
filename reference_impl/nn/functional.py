"""torch.nn.functional: operations under the names that a user calls."""

from reference_impl.rule import OPERATIONS

NAMES = ("avg_pool2d", "conv2d", "cross_entropy", "gelu", "layer_norm", "leaky_relu", "linear",
         "log_softmax", "max_pool2d", "mse_loss", "nll_loss", "relu", "silu", "softmax", "softplus")
__all__ = [name for name in NAMES if name in OPERATIONS]

globals().update({name: OPERATIONS[name].function for name in __all__})
