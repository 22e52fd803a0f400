"""PyTorch. The only module that imports torch; imported in worker processes only."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import torch

from conformance.backends.eager import EagerBackend
from conformance.backends.errors import EAGER_WARNINGS
from conformance.backends.protocol import BackendUnavailable
from conformance.backends.torch_errors import TORCH_ERRORS

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_NAMES = {
    getattr(torch, name): name
    for name in (
        "bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64",
        "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
    )
}  # fmt: skip


class TorchBackend(EagerBackend):
    """torch in eager mode on one device, "cpu" or "cuda"."""

    library = "torch"
    api = torch
    errors = TORCH_ERRORS
    warnings = EAGER_WARNINGS
    capabilities = frozenset(
        {
            "autograd", "mutation", "aliasing", "strides", "retained_graph", "accumulated_grad",
            "grad_flags", "versions", "numpy_sharing", "numpy_functions", "float64", "complex",
            "device_query", "layouts", "warnings", "type_names",
        }
    )  # fmt: skip

    def __init__(self, name: str, device: str = "cpu", options: tuple[str, ...] = ()) -> None:
        super().__init__()
        if device == "cuda" and not torch.cuda.is_available():
            raise BackendUnavailable("torch: no CUDA device")
        self.name, self.device, self.options = name, device, options
        self.version = torch.__version__.split("+")[0]
        if device == "cuda":
            self.capabilities = self.capabilities - {"numpy_sharing", "numpy_functions"}

    def attempt(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        if self.device == "cpu":
            return super().attempt(function, *args, **kwargs)
        return super().attempt(_synchronised, function, *args, **kwargs)

    def from_array(self, storage: np.ndarray) -> Any:
        # clone: torch's own allocation is 64-byte aligned, as in ordinary use; NumPy's is not
        if not storage.flags.writeable:
            storage = storage.copy()
        if storage.dtype == _BFLOAT16:
            made = torch.from_numpy(storage.view(np.int16)).view(torch.bfloat16)
        else:
            made = torch.from_numpy(storage)
        if not storage.size:  # whose strides are NumPy's own affair
            return made.new_empty(made.shape, device=self.device)
        return made.clone() if self.device == "cpu" else made.to(self.device)

    def to_array(self, tensor: Any) -> np.ndarray:
        if tensor.dtype is torch.bfloat16:
            bits = tensor.detach().clone(memory_format=torch.contiguous_format).view(torch.int16)
            return bits.numpy(force=True).copy().view(_BFLOAT16)
        return tensor.numpy(force=True).copy(order="C")

    def storage_of(self, tensor: Any) -> Any:
        return tensor.untyped_storage()._cdata

    def dtype_name(self, tensor: Any) -> str:
        return _NAMES[tensor.dtype]

    def extent(self, tensor: Any) -> tuple[int, int, Any, Any]:
        storage = tensor.untyped_storage()
        low = storage.data_ptr()
        return low, low + storage.nbytes(), storage._cdata, storage

    def has_gpu(self) -> bool:
        return torch.cuda.is_available()


def _synchronised(function: Any, *args: Any, **kwargs: Any) -> Any:
    """The result once the GPU has it: an error in a kernel shows only then."""
    result = function(*args, **kwargs)
    torch.cuda.synchronize()
    return result
