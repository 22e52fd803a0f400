"""torch.utils.dlpack: memory shared by DLPack."""

from reference_impl.interchange import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
