"""Making tensors: from data, from NumPy, filled, ranges."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.errors import (ArgumentType, GradDtype, UnsupportedDevice, ValueShapeMismatch)
from reference_impl.geometry import contiguous_stride
from reference_impl.promotion import number_dtype, promote_types
from reference_impl.storage import Storage
from reference_impl.tensor import Tensor, make_tensor


class device:
    """torch.device: only the cpu exists here."""

    def __init__(self, type="cpu", index=None):
        if isinstance(type, device):
            type, index = type.type, type.index
        if ":" in type:
            type, index = type.split(":")[0], int(type.split(":")[1])
        if type != "cpu":
            raise UnsupportedDevice(f"device '{type}' is not available: this library computes on "
                                    "the cpu only")
        self.type, self.index = type, index

    def __repr__(self):
        tail = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{tail})"

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other):
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self):
        return hash((self.type, self.index))


CPU = device("cpu")


def finish(t, requires_grad=False, device=None):
    """The common end of all creation functions. Raises GradDtype, UnsupportedDevice."""
    if device is not None:
        globals()["device"](device)
    if requires_grad:
        if not t.dtype.is_differentiable:
            raise GradDtype("Only Tensors of floating point and complex dtype can require gradients")
        t._leaf_grad = True
    return t


def infer_dtype(data):
    """dtype that torch gives Python data: the widest of its numbers."""
    if isinstance(data, (list, tuple)):
        found = None
        for item in data:
            d = infer_dtype(item)
            if d is not None:
                found = d if found is None else promote_types(found, d)
        return found
    if isinstance(data, Tensor):
        return data.dtype
    if isinstance(data, (np.ndarray, np.generic)):
        return dt.from_numpy_dtype(data.dtype)
    if isinstance(data, (int, float, complex)):
        return number_dtype(data)
    return dt.exact if hasattr(data, "__mul__") else None


def _plain(data):
    if isinstance(data, Tensor):
        return data._array
    if isinstance(data, (list, tuple)):
        return [_plain(x) for x in data]
    return data


def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new leaf that holds a copy of `data` (numbers, nested sequences, ndarray, Tensor)."""
    dtype = check_dtype(dtype) or infer_dtype(data) or dt.get_default_dtype()
    if isinstance(data, (list, tuple)):
        _check_shape(data, 0)
    elif isinstance(data, str) or data is None:
        raise ArgumentType(f"new(): invalid data type '{type(data).__name__}'")
    try:
        with np.errstate(all="ignore"):
            array = np.array(_plain(data), dtype.np, order="C")
    except OverflowError as error:
        raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow"
                           ) from error
    return finish(make_tensor(array, dtype), requires_grad, device)


def _check_shape(data, dim):
    """Refuse ragged sequences with torch's message. Returns the shape."""
    if not isinstance(data, (list, tuple)):
        return tuple(data.shape) if isinstance(data, (Tensor, np.ndarray)) else ()
    shape = None
    for item in data:
        got = _check_shape(item, dim + 1)
        if shape is None:
            shape = got
        elif got != shape:
            raise ValueShapeMismatch(
                f"expected sequence of length {shape[0] if shape else 0} at dim {dim + 1} "
                f"(got {got[0] if got else 0})")
    return (len(data), *(shape or ()))


def check_dtype(dtype):
    if dtype is not None and not isinstance(dtype, dt.dtype):
        raise ArgumentType(f"argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
    return dtype


def from_numpy(array):
    """A tensor on the memory of `array`. Raises TypeError, or ValueError for negative strides."""
    if not isinstance(array, np.ndarray):
        raise ArgumentType(f"expected np.ndarray (got {type(array).__name__})")
    if any(s < 0 for s in array.strides):
        raise ValueError("At least one stride in the given numpy array is negative, and tensors "
                         "with negative strides are not currently supported. (You can probably "
                         "work around this by making a copy of your array  with array.copy().) ")
    dtype = dt.from_numpy_dtype(array.dtype)
    if any(s % array.itemsize for s in array.strides):
        raise ValueError("given numpy array strides not a multiple of the element byte size. Copy "
                         "the numpy array to reallocate the memory.")
    made = make_tensor(array, dtype, tuple(s // array.itemsize for s in array.strides))
    made._storage_cache = Storage(array)
    return made


def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, sharing memory where no conversion is needed."""
    if isinstance(data, Tensor):
        return data if dtype in (None, data.dtype) else data.to(dtype)
    if isinstance(data, np.ndarray):
        shared = from_numpy(data)
        return shared if dtype in (None, shared.dtype) else shared.to(dtype)
    return tensor(data, dtype=dtype, device=device)


def _size(size):
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = size[0]
    return tuple(int(n) for n in size)


def empty_strided(size, stride, *, dtype=None, device=None, requires_grad=False):
    dtype = check_dtype(dtype) or dt.get_default_dtype()
    size, stride = tuple(size), tuple(stride)
    if stride == contiguous_stride(size):
        return finish(make_tensor(np.zeros(size, dtype.np), dtype), requires_grad, device)
    span = 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if 0 not in size else 0
    storage = Storage(np.zeros(span, dtype.np))
    made = make_tensor(storage.array(dtype, size, stride, 0), dtype, stride)
    made._storage_cache = storage
    return finish(made, requires_grad, device)


def full(size, fill_value, *, dtype=None, device=None, requires_grad=False):
    dtype = check_dtype(dtype) or number_dtype(fill_value)
    with np.errstate(all="ignore"):
        array = np.full(_size((size,)), fill_value, dtype.np)
    return finish(make_tensor(array, dtype), requires_grad, device)


def zeros(*size, dtype=None, device=None, requires_grad=False):
    dtype = check_dtype(dtype) or dt.get_default_dtype()
    return finish(make_tensor(np.zeros(_size(size), dtype.np), dtype), requires_grad, device)


def ones(*size, dtype=None, device=None, requires_grad=False):
    dtype = check_dtype(dtype) or dt.get_default_dtype()
    return finish(make_tensor(np.ones(_size(size), dtype.np), dtype), requires_grad, device)


def legacy_constructor(cls, *args, **kwargs):
    """torch.Tensor(...): sizes or data, always of the default dtype."""
    if len(args) == 1 and not isinstance(args[0], int):
        return tensor(args[0], dtype=dt.get_default_dtype())
    return zeros(*args)


def _like(t, dtype):
    return dtype or t.dtype


def zeros_like(input, *, dtype=None, device=None, requires_grad=False, memory_format=None):
    made = full(input._size, 0, dtype=_like(input, dtype), device=device)
    return finish(made, requires_grad)


def ones_like(input, *, dtype=None, device=None, requires_grad=False, memory_format=None):
    made = full(input._size, 1, dtype=_like(input, dtype), device=device)
    return finish(made, requires_grad)
