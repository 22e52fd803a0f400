"""torch.nn, as far as it goes."""

from reference_impl.nn import functional

__all__ = ["functional"]
