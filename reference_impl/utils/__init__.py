"""torch.utils, as far as it goes."""

from reference_impl.utils import dlpack

__all__ = ["dlpack"]
