"""Numbers of a program as NumPy arrays."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np


def np_dtype(name: str) -> np.dtype:
    """The NumPy dtype of that name. Raises TypeError for a name that is none."""
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def to_array(data: Any, dtype: str | None) -> np.ndarray:
    """An array of Python numbers (or a copy of one): float32 for floats unless dtype says so,
    complex64 for complex numbers, int64 and bool as they are."""
    array = np.array(data, order="C")
    if dtype is not None:
        with np.errstate(all="ignore"):
            return array.astype(np_dtype(dtype))
    if isinstance(data, (np.ndarray, np.generic)):
        return array
    narrow = {"float64": np.float32, "complex128": np.complex64}.get(array.dtype.name)
    return array if narrow is None else array.astype(narrow)
