"""Storage: the bytes that tensors share, and the counter of writes to them."""

import ml_dtypes
import numpy as np
from numpy.lib.stride_tricks import as_strided

from reference_impl.errors import StorageTooSmall, shape_text

NAMELESS = (np.dtype(ml_dtypes.float8_e5m2), np.dtype(ml_dtypes.complex32))


def restrided(array, shape, strides):
    """NumPy's as_strided, which does not know the names of some dtypes of ml_dtypes."""
    if array.dtype in NAMELESS:
        return as_strided(array.view(f"V{array.itemsize}"), shape, strides).view(array.dtype)
    return as_strided(array, shape, strides)


class VersionCounter:
    """How often the memory was written in place. Shared by a tensor, its views and detach()."""

    __slots__ = ("value",)

    def __init__(self, value=0):
        self.value = value


class Storage:
    """A run of memory. Built from an ndarray (kept alive), whose lowest address is byte 0."""

    __slots__ = ("__weakref__", "_flat", "_owner", "meta")

    def __init__(self, owner, meta=False):
        self._owner, self._flat = owner, None
        self.meta = meta                 # on the device "meta": nobody may look at the values

    @property
    def flat(self):
        """All of the memory as a 1-d array: of uint8, or of objects for dtype `exact`."""
        if self._flat is None:
            owner = self._owner
            span = 0
            if owner.size:
                span = 1 + sum((n - 1) * s for n, s in zip(owner.shape, owner.strides, strict=True)
                               ) // owner.itemsize
            flat = restrided(owner, (span,), (owner.itemsize,))
            self._flat = flat if owner.dtype == object else flat.view(np.uint8)
        return self._flat

    def data_ptr(self):
        return self._owner.__array_interface__["data"][0] if self._owner.size else 0

    def nbytes(self):
        flat = self.flat
        return flat.size * flat.itemsize

    def array(self, dtype, size, stride, offset):
        """ndarray over this memory; stride and offset in elements of `dtype`.

        Raises StorageTooSmall when an element would lie outside.
        """
        flat, width = self.flat, dtype.itemsize
        if 0 in size:
            return np.empty(size, dtype.np)
        if dtype.np == object and flat.size:
            return as_strided(flat[offset:], size, tuple(s * width for s in stride))
        try:
            if not flat.size:
                raise ValueError("no memory")
            return np.ndarray(size, dtype.np, flat, offset * width, tuple(s * width for s in stride))
        except (TypeError, ValueError):
            need = (offset + 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))) * width
            raise StorageTooSmall(
                f"setStorage: sizes {shape_text(size)}, strides {shape_text(stride)}, storage "
                f"offset {offset}, and itemsize {width} requiring a storage size of {need} are "
                f"out of bounds for storage of size {flat.size}") from None
