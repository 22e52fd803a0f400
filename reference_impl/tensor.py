"""Tensor: a view of a storage, with its place in the autograd graph. Operations are added to it
by the tables in rules/, views.py and the like."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.bits import Reading
from reference_impl.formats import format_stride, memory_format
from reference_impl.geometry import (
    Geometry,
    column_stride,
    contiguous_stride,
    elementwise_stride,
    numel,
    preserved_stride,
)
from reference_impl.grad_mode import state
from reference_impl.storage import Storage, VersionCounter, restrided


class Size(tuple):
    """A shape: a tuple that also knows its number of elements."""

    __slots__ = ()

    def numel(self):
        return numel(tuple(self))

    def __repr__(self):
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __add__(self, other):
        return Size(tuple(self) + tuple(other))

    def __getitem__(self, item):
        got = super().__getitem__(item)
        return Size(got) if isinstance(item, slice) else got


OWN_DTYPE = object()     # the tensor's, whichever that is


class Tensor:
    """torch.Tensor. Made by the functions of creation.py and by operations."""

    # class-level defaults keep construction cheap: most tensors never change most of these
    _array = Reading()       # hidden by an ndarray of the tensor's own, unless it has a bit
    _bits = 0                # CONJUGATE, NEGATIVE: how `_memory` is to be read (bits.py)
    _leaf_grad = False       # requires_grad of a leaf
    _node = None             # graph node that made it, and which of its outputs
    _nr = 0
    _view = None             # ViewInfo when this is a differentiable view
    _grad = None
    _grad_dtype = OWN_DTYPE  # of what is collected in .grad
    _retains = False
    _wrapped = False         # made from a Python number: yields in promotion
    _accumulator_ref = None
    _tangent = None
    _hooks = None            # called after .grad of a leaf was added to
    _tensor_hooks = None     # called with the gradient of a leaf
    _storage_cache = None
    _inference = False       # made in inference mode

    def __new__(cls, *args, **kwargs):
        from reference_impl import creation
        return creation.legacy_constructor(cls, *args, **kwargs)

    def __init__(self, *args, **kwargs):
        pass

    @property
    def _storage(self):
        if self._storage_cache is None:
            self._storage_cache = Storage(self._array)
        return self._storage_cache

    @property
    def _meta(self):
        return self._storage_cache is not None and self._storage_cache.meta

    @property
    def _geometry(self):
        return Geometry(self._size, self._stride, self._offset)

    @property
    def requires_grad(self):
        if self._leaf_grad or self._node is not None:
            return True
        return self._view is not None and self._view.base.requires_grad


def collected_dtype(t):
    """The dtype of gradients that `t` collects; None: any."""
    return t.dtype if t._grad_dtype is OWN_DTYPE else t._grad_dtype


def make_tensor(array, dtype, stride=None):
    """Tensor of a fresh ndarray. stride: in elements, what the array has (default: row-major)."""
    self = object.__new__(Tensor)
    self._array, self.dtype = array, dtype
    self._size = size = array.shape
    self._stride = contiguous_stride(size) if stride is None else stride
    self._offset = 0
    self._counter = VersionCounter()
    if state.inference:
        self._inference = True
    return self


def mark_meta(t):
    """Put a fresh tensor on the device "meta". It still has memory, of zeros, that is never shown:
    so the rules that give shapes, dtypes and strides are the very same."""
    t._storage.meta = True
    return t


def make_alias(storage, dtype, size, stride, offset, counter, bits=0):
    """Tensor over existing memory. Raises StorageTooSmall."""
    self = object.__new__(Tensor)
    if bits:
        self._memory, self._bits = storage.array(dtype, size, stride, offset), bits
    else:
        self._array = storage.array(dtype, size, stride, offset)
    self._storage_cache = storage
    self.dtype, self._size, self._stride, self._offset = dtype, size, stride, offset
    self._counter = counter
    return self


def lay(t, storage, dtype, size, stride, offset, bits=0):
    """Move a tensor that exists to this memory. Raises StorageTooSmall."""
    array = storage.array(dtype, size, stride, offset)
    if bits:
        t.__dict__.pop("_array", None)
        t._memory = array
    else:
        t._array = array
    t._bits, t._storage_cache = bits, storage
    t.dtype, t._size, t._stride, t._offset = dtype, size, stride, offset


def shallow(t, counter=None):
    """Same memory and counter, no place in the graph."""
    self = object.__new__(Tensor)
    if t._bits:
        self._memory, self._bits = t._memory, t._bits
    else:
        self._array = t._array
    self.dtype = t.dtype
    self._storage_cache = t._storage
    self._size, self._stride, self._offset = t._size, t._stride, t._offset
    self._counter = counter or t._counter
    if t._wrapped:
        self._wrapped = True
    if t._inference:
        self._inference = True
    return self


def from_result(raw, inputs, layout, operands):
    """Tensor of what a forward returned, laid out as torch would.

    inputs: the ndarrays given to it, whose memory must not be shared. operands: the tensors,
    whose strides decide the layout when layout is "elementwise".
    """
    if not isinstance(raw, np.ndarray):
        raw = np.asarray(raw, dtype=object if _is_object(raw) else None)
    size = raw.shape
    if layout == "elementwise" and len(size) > 1 and not all(
            o._size == size and o._stride == contiguous_stride(size) for o in operands):
        stride = elementwise_stride(size, [(o._size, o._stride) for o in operands])
        if stride != contiguous_stride(size):
            return make_tensor(with_stride(raw, stride), dt.BY_NUMPY[raw.dtype], stride)
    if layout == "preserve":
        stride = preserved_stride(size, operands[0]._stride)
        if stride != contiguous_stride(size):
            return make_tensor(with_stride(raw, stride), dt.BY_NUMPY[raw.dtype], stride)
    if layout == "columns" and len(size) > 1:
        stride = column_stride(size)
        return make_tensor(with_stride(raw, stride), dt.BY_NUMPY[raw.dtype], stride)
    if isinstance(layout, memory_format) and layout.order:
        stride = format_stride(size, layout)
        return make_tensor(with_stride(raw, stride), dt.BY_NUMPY[raw.dtype], stride)
    if layout == "keep":
        width = raw.itemsize
        return make_tensor(raw, dt.BY_NUMPY[raw.dtype], tuple(s // width for s in raw.strides))
    if not raw.flags.c_contiguous or (raw.base is not None and _shares(raw, inputs)) or any(
            raw is a for a in inputs):
        raw = raw.copy(order="C")
    return make_tensor(raw, dt.BY_NUMPY[raw.dtype])


def _shares(raw, inputs):
    return any(np.may_share_memory(raw, a) for a in inputs)


def _is_object(raw):
    return not isinstance(raw, (bool, int, float, complex, np.generic))


def with_stride(raw, stride):
    """A copy of `raw` in dense memory with exactly these strides, in elements."""
    flat = np.empty(max(raw.size, 1), raw.dtype)
    out = restrided(flat, raw.shape, tuple(s * raw.itemsize for s in stride))
    out[...] = raw
    return out
