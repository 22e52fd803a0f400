"""torch.utils, as far as it goes."""

from reference_impl.utils import checkpoint, dlpack

__all__ = ["checkpoint", "dlpack"]
