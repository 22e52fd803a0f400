"""Memory shared with other libraries by DLPack, and a tensor pointed at other memory (set_)."""

import numpy as np

from reference_impl.bits import CONJUGATE
from reference_impl.creation import from_numpy
from reference_impl.errors import Argument, ArgumentType, DtypeMismatch
from reference_impl.geometry import contiguous_stride
from reference_impl.grad_mode import state
from reference_impl.leaves import forget_accumulator
from reference_impl.storage import Storage
from reference_impl.storages import TypedStorage, UntypedStorage
from reference_impl.tensor import Tensor, lay, make_alias

CPU_DEVICE = (1, 0)          # kDLCPU in dlpack.h


def to_dlpack(self, *, stream=None, max_version=None, dl_device=None, copy=None):
    """A capsule on this memory. Raises BufferError for a tensor that requires grad or has a bit."""
    check_export(self)
    if stream not in (None, -1):
        raise AssertionError("stream should be None on cpu.")
    array = self.numpy()
    return array.__dlpack__(max_version=max_version, dl_device=dl_device, copy=copy)


def check_export(t):
    if t.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if t._bits:
        # torch 2.13 lets the negative bit pass, and who receives the memory sees other values
        word = "conjugate" if t._bits & CONJUGATE else "negative"
        raise BufferError(f"Can't export tensors with the {word} bit set")


class _Exporter:
    """What numpy.from_dlpack wants around a bare capsule."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **options):
        return self.capsule

    def __dlpack_device__(self):
        return CPU_DEVICE


def from_dlpack(ext_tensor, *, device=None, copy=None):
    """A tensor on the memory of anything that speaks DLPack, or on a capsule's."""
    if isinstance(ext_tensor, Tensor):
        check_export(ext_tensor)
        made = make_alias(ext_tensor._storage, ext_tensor.dtype, ext_tensor._size,
                          ext_tensor._stride, ext_tensor._offset, type(ext_tensor._counter)())
        return made.clone() if copy else made
    if not hasattr(ext_tensor, "__dlpack__"):
        if type(ext_tensor).__name__ != "PyCapsule":
            raise ArgumentType("from_dlpack received an invalid combination of arguments: a capsule "
                               "or an object with __dlpack__ is needed, not "
                               f"{type(ext_tensor).__name__}")
        ext_tensor = _Exporter(ext_tensor)
    array = np.from_dlpack(ext_tensor)
    return from_numpy(array.copy() if copy else array)


Tensor.__dlpack__ = to_dlpack
Tensor.__dlpack_device__ = lambda self: CPU_DEVICE


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A vector on the memory of a Python buffer. Raises ValueError where it does not fit."""
    length = memoryview(buffer).nbytes
    if length == 0 or count == 0:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(f"offset ({offset} bytes) must be non-negative and no greater than buffer "
                         f"length ({length} bytes) minus 1")
    if count < 0 and (length - offset) % dtype.itemsize:
        raise ValueError(f"buffer length ({length - offset} bytes) after offset ({offset} bytes) must "
                         f"be a multiple of element size ({dtype.itemsize})")
    if count > 0 and offset + count * dtype.itemsize > length:
        raise ValueError(f"requested buffer length ({count} * {dtype.itemsize} bytes) after offset "
                         f"({offset} bytes) must not be greater than actual buffer length "
                         f"({length} bytes)")
    made = from_numpy(np.frombuffer(buffer, dtype.np, count, offset))
    return made.requires_grad_() if requires_grad else made


def set_(self, source=None, storage_offset=0, size=None, stride=None):
    """Point this tensor at the memory of `source`, a tensor or its storage."""
    if source is None:
        source = Storage(np.empty(0, self.dtype.np))
    if isinstance(source, Tensor):
        if source.dtype is not self.dtype:
            raise DtypeMismatch("Could not set tensor of type "
                                f"{source.dtype.scalar_name} to a tensor of type "
                                f"{self.dtype.scalar_name}")
        size = source._size if size is None else size
        stride = source._stride if stride is None else stride
        storage_offset = storage_offset or source._offset
        source = source._storage
    elif isinstance(source, UntypedStorage):
        if isinstance(source, TypedStorage) and source.dtype is not self.dtype:
            raise DtypeMismatch(f"Expected a Storage of type {self.dtype.scalar_name.lower()} or an "
                                f"UntypedStorage, but got type {source.dtype.scalar_name} for "
                                "argument 1 'storage'")
        source = source._storage
    if self.requires_grad and self.is_leaf and state.enabled:
        raise Argument("a leaf Variable that requires grad is being used in an in-place operation.")
    size = (source.nbytes() // self.dtype.itemsize,) if size is None else tuple(size)
    stride = contiguous_stride(size) if stride is None else tuple(stride)
    lay(self, source, self.dtype, size, stride, storage_offset, self._bits)
    self._counter.value += 1
    forget_accumulator(self)
    return self


Tensor.set_ = set_
