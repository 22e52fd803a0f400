"""Tensors made from data: Python numbers, sequences, arrays, buffers, other tensors."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import check_dtype, empty_strided, finish
from reference_impl.errors import (
    Argument,
    ArgumentType,
    ArgumentValue,
    ValueShapeMismatch,
)
from reference_impl.geometry import preserved_stride
from reference_impl.promotion import number_dtype, promote_types
from reference_impl.scalars import number_as
from reference_impl.storage import Storage
from reference_impl.tensor import Tensor, make_tensor

SEQUENCES = (list, tuple, range)
DEEPEST = 128         # torch takes sequences nested deeper for self-referential ones


def is_sequence(x):
    """Whether torch would look into x: it can be counted and indexed, and is no text."""
    if isinstance(x, (list, tuple)):
        return True
    return (hasattr(type(x), "__len__") and hasattr(type(x), "__getitem__")
            and not isinstance(x, (str, bytes, dict, Tensor, np.ndarray, np.generic)))


def as_lists(data, depth=0):
    """Sequences of any kind as nested lists. Raises ArgumentValue, ArgumentType."""
    if depth > DEEPEST:
        raise ArgumentType("new(): self-referential lists are incompatible")
    if not is_sequence(data):
        return data
    try:
        items = data if isinstance(data, (list, tuple)) else [data[i] for i in range(len(data))]
    except Exception as error:
        raise ArgumentValue("could not determine the shape of object type "
                            f"'{type(data).__name__}'") from error
    return [as_lists(x, depth + 1) for x in items] if any(
        is_sequence(x) for x in items) else list(items)


def infer_dtype(data):
    """dtype that torch gives Python data: the widest of its numbers. Raises ArgumentType, Argument."""
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
    if isinstance(data, (str, bytes)):
        raise ArgumentType(f"new(): invalid data type '{type(data).__name__}'")
    if not hasattr(data, "__mul__"):
        raise Argument(f"Could not infer dtype of {type(data).__name__}")
    return dt.exact


def _plain(data):
    if isinstance(data, Tensor):
        return data._array
    if isinstance(data, (list, tuple)):
        return [x.item() if isinstance(x, Tensor) and x.numel() == 1 else _plain(x) for x in data]
    return data


def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new leaf that holds a copy of `data` (numbers, nested sequences, ndarray, Tensor)."""
    if is_sequence(data):
        data = as_lists(data)
    dtype = check_dtype(dtype) or infer_dtype(data) or dt.get_default_dtype()
    if isinstance(data, list):
        _check_shape(data, 0)
    elif data is None or isinstance(data, (str, bytes)):
        infer_dtype(data)                # refused, whatever dtype was asked for
    try:
        with np.errstate(all="ignore"):
            array = np.array(_plain(data), dtype.np, order="C")
    except OverflowError:            # torch takes some numbers modulo the range, and refuses others
        loose = np.array(_plain(data), object)
        array = np.array([number_as(x, dtype.np) for x in loose.flat], dtype.np).reshape(loose.shape)
    made = make_tensor(array, dtype)
    if isinstance(data, np.ndarray) and min(data.strides, default=0) > 0:
        stride = preserved_stride(data.shape, tuple(s // data.itemsize for s in data.strides))
        if stride != made._stride:
            made = empty_strided(data.shape, stride, dtype=dtype)
            made._array[...] = array
    return finish(made, requires_grad, device)


def _check_shape(data, dim):
    """Refuse ragged sequences with torch's message. Returns the shape."""
    if not isinstance(data, (list, tuple)):
        if isinstance(data, Tensor) and dim:
            if data.numel() != 1:
                raise ArgumentValue("only one element tensors can be converted to Python scalars")
            return ()
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


def from_numpy(array):
    """A tensor on the memory of `array`. Raises TypeError, or ValueError for negative strides."""
    if not isinstance(array, np.ndarray):
        raise ArgumentType(f"expected np.ndarray (got {type(array).__name__})")
    if any(s < 0 for s in array.strides):
        raise ValueError("At least one stride in the given numpy array is negative, and tensors "
                         "with negative strides are not currently supported. (You can probably "
                         "work around this by making a copy of your array  with array.copy().) ")
    dtype = dt.from_numpy_dtype(array.dtype)
    if not array.dtype.isnative:
        raise ValueError("given numpy array has byte order different from the native byte order. "
                         "Conversion between byte orders is currently not supported.")
    if any(s % array.itemsize for s in array.strides):
        raise ValueError("given numpy array strides not a multiple of the element byte size. Copy "
                         "the numpy array to reallocate the memory.")
    made = make_tensor(array, dtype, tuple(s // array.itemsize for s in array.strides))
    made._storage_cache = Storage(array)
    return made


def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, sharing memory where no conversion is needed."""
    dtype = check_dtype(dtype)
    if isinstance(data, (Tensor, np.ndarray)):
        shared = data if isinstance(data, Tensor) else from_numpy(data)
        return shared.to(dtype=check_dtype(dtype), device=device)
    return tensor(data, dtype=dtype, device=device)


def shared_memory(obj, dtype):
    """A tensor on the memory of obj, or None where it has none to share.

    obj may be a Tensor, an ndarray or number of NumPy's, a DLPack capsule or a Python buffer.
    """
    from reference_impl.interchange import from_dlpack, frombuffer
    if isinstance(obj, Tensor):
        return obj
    if isinstance(obj, (np.ndarray, np.generic)):
        return from_numpy(np.asarray(obj))
    if type(obj).__name__ == "PyCapsule":
        return from_dlpack(obj)
    try:
        memoryview(obj)
    except TypeError:
        return None
    return frombuffer(obj, dtype=dtype or dt.get_default_dtype())


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=None):
    """`obj` as a tensor; copy=True always copies, copy=False refuses to (ValueError).

    A tensor that needs no conversion is returned itself, and requires_grad= changes it.
    """
    dtype = check_dtype(dtype)
    shared = shared_memory(obj, dtype)
    if shared is None:
        if copy is False:
            raise ArgumentValue("can't alias arbitrary sequence into a tensor.")
        return tensor(obj, dtype=dtype, device=device, requires_grad=bool(requires_grad))
    made = shared.to(dtype=dtype, device=device, copy=bool(copy))
    if copy is False and made is not shared:
        if made.device != shared.device:
            raise ArgumentValue(f"can't alias tensor from device '{shared.device}' to "
                                f"'{made.device}'.")
        raise ArgumentValue(f"can't alias tensor with dtype '{shared.dtype.scalar_name}' into dtype "
                            f"'{made.dtype.scalar_name}'.")
    if requires_grad is None or requires_grad is made.requires_grad:
        return made
    return made.requires_grad_(requires_grad) if made.is_leaf else made.detach()


def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A tensor of this one's dtype that holds a copy of `data`."""
    return tensor(data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


Tensor.new_tensor = new_tensor
