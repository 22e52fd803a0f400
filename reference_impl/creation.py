"""Making tensors: from data, from NumPy, filled, ranges."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.dtypes import check_dtype
from reference_impl.errors import (
    Argument,
    ArgumentType,
    ArgumentValue,
    GradDtype,
    UnsupportedDevice,
    ValueShapeMismatch,
)
from reference_impl.formats import format_stride, preserve_format
from reference_impl.geometry import check_storage, contiguous_stride, preserved_stride
from reference_impl.promotion import number_dtype, promote_types
from reference_impl.scalars import number_as
from reference_impl.storage import Storage
from reference_impl.tensor import Tensor, make_tensor, mark_meta


class device:
    """torch.device: only cpu, and meta (no data), exist here."""

    def __init__(self, type="cpu", index=None):
        if isinstance(type, device):
            type, index = type.type, type.index
        if ":" in type:
            type, index = type.split(":")[0], int(type.split(":")[1])
        if type not in ("cpu", "meta"):
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


CPU, META = device("cpu"), device("meta")


def finish(t, requires_grad=False, device=None):
    """The common end of all creation functions. Raises GradDtype, UnsupportedDevice."""
    if device is not None and globals()["device"](device).type == "meta":
        mark_meta(t)
    if requires_grad:
        if not t.dtype.is_differentiable:
            raise GradDtype("Only Tensors of floating point and complex dtype can require gradients")
        t._leaf_grad = True
    return t


SEQUENCES = (list, tuple, range)


def infer_dtype(data):
    """dtype that torch gives Python data: the widest of its numbers."""
    if isinstance(data, SEQUENCES):
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
    if isinstance(data, SEQUENCES):
        return [x.item() if isinstance(x, Tensor) and x.numel() == 1 else _plain(x)
                for x in data]
    return data


def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new leaf that holds a copy of `data` (numbers, nested sequences, ndarray, Tensor)."""
    dtype = check_dtype(dtype) or infer_dtype(data) or dt.get_default_dtype()
    if isinstance(data, SEQUENCES):
        _check_shape(data, 0)
    elif data is None:
        raise Argument("Could not infer dtype of NoneType")
    elif isinstance(data, str):
        raise ArgumentType(f"new(): invalid data type '{type(data).__name__}'")
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
    if not isinstance(data, SEQUENCES):
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
    if isinstance(data, Tensor):
        return data if dtype in (None, data.dtype) else data.to(dtype)
    if isinstance(data, np.ndarray):
        shared = from_numpy(data)
        return shared if dtype in (None, shared.dtype) else shared.to(dtype)
    return tensor(data, dtype=dtype, device=device)


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """`obj` as a tensor; copy=True always copies, copy=False refuses to."""
    dtype = check_dtype(dtype)
    shared = obj if isinstance(obj, Tensor) else (
        from_numpy(obj) if isinstance(obj, np.ndarray) else None)
    if shared is None or (dtype is not None and dtype is not shared.dtype):
        if copy is False:
            raise ArgumentValue("can't alias tensor with dtype or data of another kind")
        made = tensor(obj, dtype=dtype) if shared is None else shared.to(dtype)
    else:
        made = shared.clone() if copy else shared
    if requires_grad:
        made = made.detach() if not made.is_leaf else made
        return finish(made, True, device)
    return made


def sizes_of(size):
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = size[0]
    for n in size:
        if not isinstance(n, (int, np.integer, Tensor)):
            raise ArgumentType("argument 'size' (position 1) must be tuple of ints, not "
                               f"{type(n).__name__}")
    size = tuple(int(n) for n in size)
    for n in size:
        if n < 0:
            raise Argument(f"zeros: Dimension size must be non-negative, got {list(size)}.")
    return size


def filled(size, value, dtype):
    """An ndarray of one number. Raises Argument for a size beyond all counting."""
    try:
        with np.errstate(all="ignore"):
            if type(value) is int and value == 0:      # not -0.0
                return np.zeros(size, dtype.np)
            return np.full(size, value, dtype.np)
    except ValueError:
        check_storage(size, dtype.itemsize)
        raise


def empty_strided(size, stride, *, dtype=None, device=None, requires_grad=False):
    """Zeros with these strides. What `empty` holds is nobody's business; here it is zero."""
    dtype = check_dtype(dtype) or dt.get_default_dtype()
    size, stride = tuple(size), tuple(stride)
    if stride == contiguous_stride(size):
        return finish(make_tensor(filled(size, 0, dtype), dtype), requires_grad, device)
    span = 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if 0 not in size else 0
    storage = Storage(np.zeros(span, dtype.np))
    made = make_tensor(storage.array(dtype, size, stride, 0), dtype, stride)
    made._storage_cache = storage
    return finish(made, requires_grad, device)


def _filled(size, value, dtype, requires_grad, device, out=None):
    made = make_tensor(filled(size, value, dtype), dtype)
    if out is not None:
        out.resize_(size).copy_(made)
        return out
    return finish(made, requires_grad, device)


def full(size, fill_value, *, out=None, dtype=None, device=None, requires_grad=False,
         pin_memory=False, layout=None):
    """A tensor that holds one number everywhere; its dtype is the number's."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    dtype = check_dtype(dtype) or number_dtype(fill_value)
    fill_value = number_as(fill_value, dtype.np)
    return _filled(sizes_of((size,)), fill_value, dtype, requires_grad, device, out)


def zeros(*size, out=None, dtype=None, device=None, requires_grad=False, pin_memory=False,
          layout=None, memory_format=None, **named):
    dtype = check_dtype(dtype) or (out.dtype if out is not None else dt.get_default_dtype())
    size = named_size(size, named)
    if memory_format is not None and out is None:
        return empty_strided(size, format_stride(size, memory_format), dtype=dtype, device=device,
                             requires_grad=requires_grad)
    return _filled(size, 0, dtype, requires_grad, device, out)


def ones(*size, out=None, dtype=None, device=None, requires_grad=False, pin_memory=False,
         layout=None, **named):
    dtype = check_dtype(dtype) or (out.dtype if out is not None else dt.get_default_dtype())
    return _filled(named_size(size, named), 1, dtype, requires_grad, device, out)


def named_size(size, named):
    if "size" in named:
        size = (named.pop("size"),)
    if named:
        raise ArgumentType(f"unexpected keyword arguments {sorted(named)}")
    return sizes_of(size)


empty = zeros


def arange(start, end=None, step=1, *, out=None, dtype=None, device=None, requires_grad=False,
           layout=None, pin_memory=False):
    """start, start + step, ... below end. Integers give int64."""
    if end is None:
        start, end = 0, start
    start, end, step = (x.item() if isinstance(x, Tensor) else x for x in (start, end, step))
    if step == 0:
        raise Argument("step must be nonzero")
    if (step > 0 and start > end) or (step < 0 and start < end):
        raise Argument("upper bound and lower bound inconsistent with step sign")
    whole = all(isinstance(x, (int, np.integer)) for x in (start, end, step))
    dtype = check_dtype(dtype) or (dt.int64 if whole else dt.get_default_dtype())
    count = -((start - end) // step) if whole else int(np.ceil((end - start) / step))
    kind = np.int64 if whole else np.float64
    array = (start + np.arange(count, dtype=kind) * step).astype(dtype.np)
    return finish(make_tensor(array, dtype), requires_grad, device)


def linspace(start, end, steps, *, out=None, dtype=None, device=None, requires_grad=False,
             layout=None):
    """`steps` numbers from start to end, both included."""
    if steps < 0:
        raise Argument("number of steps must be non-negative")
    start, end = (x.item() if isinstance(x, Tensor) else x for x in (start, end))
    complex_ = isinstance(start, complex) or isinstance(end, complex)
    default = dt.default_complex() if complex_ else dt.get_default_dtype()
    dtype = check_dtype(dtype) or default
    array = np.linspace(start, end, steps).astype(dtype.np)
    return finish(make_tensor(array, dtype), requires_grad, device)


def logspace(start, end, steps, base=10.0, *, dtype=None, device=None, requires_grad=False):
    """base ** linspace(start, end, steps)."""
    dtype = check_dtype(dtype) or dt.get_default_dtype()
    array = np.power(base, np.linspace(start, end, steps)).astype(dtype.np)
    return finish(make_tensor(array, dtype), requires_grad, device)


def eye(n, m=None, *, out=None, dtype=None, device=None, requires_grad=False, layout=None):
    """The identity matrix."""
    if n < 0 or (m is not None and m < 0):
        raise Argument(f"n must be greater or equal to 0, got {n}")
    dtype = check_dtype(dtype) or dt.get_default_dtype()
    return finish(make_tensor(np.eye(n, m, dtype=dtype.np), dtype), requires_grad, device)


def scalar_tensor(s, *, dtype=None, device=None, requires_grad=False, layout=None):
    return full((), s, dtype=check_dtype(dtype) or dt.get_default_dtype(), device=device,
                requires_grad=requires_grad)


def legacy_constructor(cls, *args, **kwargs):
    """torch.Tensor(...): sizes or data, always of the default dtype."""
    return _from_sizes_or_data(args, dt.get_default_dtype(), **kwargs)


def _from_sizes_or_data(args, dtype, device=None):
    if len(args) == 1 and not isinstance(args[0], int):
        return tensor(args[0], dtype=dtype, device=device)
    return zeros(args or (0,), dtype=dtype, device=device)


class tensortype(type):
    """The type of torch.FloatTensor and its kin, which are types of tensors by their dtype only."""

    def __call__(cls, *args, device=None):
        return _from_sizes_or_data(args, cls.dtype, device)

    def __instancecheck__(cls, instance):
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype


TYPED = {f"{d.scalar_name}Tensor": tensortype(f"{d.scalar_name}Tensor", (), {"dtype": d})
         for d in dt.ALL if d.category <= dt.FLOAT and not d.scalar_name.startswith("UInt")}


def like(value):
    """zeros_like and its kin: size, strides and dtype of a tensor."""
    def filled_like(input, *, dtype=None, device=None, requires_grad=False, layout=None,
                    memory_format=None, fill=value):
        size = input._size
        device = input.device if device is None else device
        stride = preserved_stride(size, input._stride) if memory_format in (
            None, preserve_format) else format_stride(size, memory_format)
        made = empty_strided(size, stride, dtype=check_dtype(dtype) or input.dtype)
        if fill:
            with np.errstate(all="ignore"):
                made._array[...] = fill
        return finish(made, requires_grad, device)
    return filled_like


zeros_like, ones_like, empty_like = like(0), like(1), like(0)


def full_like(input, fill_value, **options):
    """A tensor of the size, strides and dtype of `input` that holds one number everywhere."""
    return zeros_like(input, fill=fill_value, **options)


for _name, _make in (("zeros", zeros), ("ones", ones), ("empty", zeros)):
    def _new(self, *size, dtype=None, device=None, requires_grad=False, layout=None,
             pin_memory=False, _make=_make, **named):
        device = self.device if device is None else device
        return _make(*size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad,
                     **named)
    setattr(Tensor, f"new_{_name}", _new)
Tensor.new_full = lambda self, size, fill_value, dtype=None, device=None, requires_grad=False: full(
    size, fill_value, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)
Tensor.new_tensor = lambda self, data, dtype=None, device=None, requires_grad=False: tensor(
    data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)
Tensor.new_empty_strided = lambda self, size, stride, dtype=None, device=None: empty_strided(
    size, stride, dtype=dtype or self.dtype, device=device)
