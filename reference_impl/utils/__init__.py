"""torch.utils, as far as it goes."""

from reference_impl.utils import checkpoint

__all__ = ["checkpoint"]
