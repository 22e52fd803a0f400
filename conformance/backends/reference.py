"""The project's own reference: `reference_impl`, called with torch's templates."""

from __future__ import annotations

from typing import Any

import numpy as np

import conformance
import reference_impl
from conformance.backends.eager import EagerBackend
from conformance.backends.errors import EAGER_WARNINGS, ErrorTable
from conformance.backends.reference_errors import NARROWER, PYTHON_ERRORS
from reference_impl.errors import Refusal


class _ReferenceErrors(ErrorTable):
    def kind(self, error: BaseException) -> str | None:
        if isinstance(error, Refusal):
            return NARROWER.get(error.kind, error.kind)
        return super().kind(error)


class ReferenceBackend(EagerBackend):
    """reference_impl on the CPU. `exact` arrays (dtype object) go in and out as they are."""

    library = "reference"
    api = reference_impl
    warnings = EAGER_WARNINGS
    errors = _ReferenceErrors(PYTHON_ERRORS)
    capabilities = frozenset(
        {
            "autograd", "mutation", "aliasing", "strides", "retained_graph", "accumulated_grad",
            "grad_flags", "versions", "numpy_sharing", "numpy_functions", "float64", "complex",
            "device_query", "layouts", "warnings", "type_names",
        }
    )  # fmt: skip

    def __init__(
        self, name: str = "reference", device: str = "cpu", options: tuple[str, ...] = ()
    ) -> None:
        super().__init__()
        self.name, self.device, self.options = name, device, options
        self.version = conformance.__version__

    def from_array(self, storage: np.ndarray) -> Any:
        made = reference_impl.from_numpy(storage.copy())
        # strides of a NumPy array without elements are its own affair
        return made if storage.size else reference_impl.zeros(storage.shape, dtype=made.dtype)

    def to_array(self, tensor: Any) -> np.ndarray:
        return tensor._array.copy(order="C")

    def storage_of(self, tensor: Any) -> Any:
        return tensor._storage

    def dtype_name(self, tensor: Any) -> str:
        return tensor.dtype.name

    def extent(self, tensor: Any) -> tuple[int, int, Any, Any]:
        storage = tensor._storage
        low = storage.data_ptr()
        return low, low + storage.nbytes(), id(storage), storage

    def has_gpu(self) -> bool:
        return reference_impl.cuda.is_available()

    def attempt(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"):  # nan and inf are results here, as they are in torch
            return super().attempt(function, *args, **kwargs)
