"""Python numbers written into tensors: what fits, and what becomes of the rest."""

import math

import ml_dtypes
import numpy as np

from reference_impl import dtypes as dt
from reference_impl.errors import ValueOverflow


def number_as(value, numpy_dtype):
    """The Python number as a 0-dim array of the dtype. Raises ValueOverflow when it cannot hold it.

    Fractions are cut off for integers; a float's infinities and nan stay; an unsigned type takes
    negative numbers modulo its range. Source: `c10::checked_convert` (c10/util/TypeCast.h).
    """
    numpy_dtype = np.dtype(numpy_dtype)
    if numpy_dtype == object:
        return np.asarray(value, object)
    kind = dt.from_numpy_dtype(numpy_dtype)
    if not _fits(value, kind):
        raise ValueOverflow(f"value cannot be converted to type {kind.name} without overflow")
    if kind is dt.bool:
        return np.asarray(bool(value))
    if kind.category == dt.INT:
        return np.asarray(int(value.real) % 2 ** 64, np.uint64).astype(numpy_dtype)
    if kind.category == dt.FLOAT:
        value = value.real
    return np.asarray(value).astype(numpy_dtype)


def _fits(value, kind):
    if kind is dt.bool:
        return True
    if isinstance(value, complex):
        if not kind.is_complex:
            return value.imag == 0 and _fits(value.real, kind)
        return _fits(value.real, kind.to_real()) and _fits(value.imag, kind.to_real())
    if kind.category == dt.INT:
        if isinstance(value, float) and not math.isfinite(value):
            return False
        limits = np.iinfo(kind.np)
        return (limits.min if kind.is_signed else -limits.max) <= value <= limits.max
    real = kind.to_real()
    if isinstance(value, float) and not math.isfinite(value):
        return True
    return abs(value) <= float(ml_dtypes.finfo(real.np).max)
