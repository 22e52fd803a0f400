"""torch.nn, as far as it goes."""

from reference_impl.nn import functional, parameter
from reference_impl.nn.parameter import Parameter

__all__ = ["Parameter", "functional", "parameter"]
