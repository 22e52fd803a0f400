"""Tensors filled with one number, the identity, and the common ends of all creation functions."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.dtypes import check_dtype
from reference_impl.errors import (
    Argument,
    ArgumentType,
    DtypeMismatch,
    GradDtype,
    ShapeMismatch,
    UnsupportedDevice,
    shape_text,
)
from reference_impl.formats import format_stride, preserve_format, strided
from reference_impl.geometry import contiguous_stride, numel, preserved_stride
from reference_impl.overlap import check_internal
from reference_impl.promotion import number_dtype
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
LARGEST = 2 ** 63 - 1        # bytes that a storage can count


def finish(t, requires_grad=False, device=None):
    """The common end of all creation functions. Raises GradDtype, UnsupportedDevice."""
    if device is not None and globals()["device"](device).type == "meta":
        mark_meta(t)
    if requires_grad:
        if not t.dtype.is_differentiable:
            raise GradDtype("Only Tensors of floating point and complex dtype can require gradients")
        t._leaf_grad = True
    return t


def requested(dtype, out=None, layout=None, device=None):
    """The dtype that the caller asks for, by dtype= or by out=; None where the values decide.

    Raises Argument, DtypeMismatch where out= has another layout, device or dtype.
    """
    dtype = check_dtype(dtype)
    if layout not in (None, strided):
        if out is not None:
            raise Argument(f"layout {layout.word} does not match layout of out parameter (Strided)")
        raise Argument(f"only strided tensors exist here, not {layout}")
    if out is None:
        return dtype
    if device is not None and globals()["device"](device).type != out.device.type:
        raise UnsupportedDevice(f"device type {device} does not match device type of out parameter "
                                f"({out.device.type})")
    if dtype is not None and dtype is not out.dtype:
        raise DtypeMismatch(f"dtype {dtype.scalar_name} does not match dtype of out parameter "
                            f"({out.dtype.scalar_name})")
    return out.dtype


def deliver(array, dtype, out=None, requires_grad=False, device=None):
    """What a creation function returns: a new tensor that holds `array`, or `out`, holding it.

    An `out` of as many elements keeps its shape; any other is resized.
    """
    if out is None:
        return finish(make_tensor(array, dtype), requires_grad, device)
    if out.numel() != array.size:
        out.resize_(array.shape)
    check_internal(out)
    out.copy_(make_tensor(array.reshape(out._size), dtype))
    return out.requires_grad_() if requires_grad else out


def sizes_of(size, name="zeros"):
    """Loose integers or one sequence of them as a tuple. Raises ArgumentType, Argument."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = size[0]
    elif len(size) == 1 and not _counts(size[0]):
        raise ArgumentType(f"{name}(): argument 'size' (position 1) must be tuple of ints, not "
                           f"{type(size[0]).__name__}")
    for place, n in enumerate(size, 1):
        if not _counts(n):
            raise ArgumentType(f"{name}(): argument 'size' failed to unpack the object at pos "
                               f"{place} with error \"type must be tuple of ints,but got "
                               f"{type(n).__name__}\"")
    size = tuple(int(n) for n in size)
    for n in size:
        if n < 0:
            raise Argument(f"Trying to create tensor with negative dimension {n}: {list(size)}")
    return size


def _counts(n):
    return isinstance(n, (int, np.integer, Tensor)) and not isinstance(n, bool)


def named_size(size, named, name="zeros"):
    if "size" in named:
        size = (named.pop("size"),)
    if named:
        raise ArgumentType(f"{name}() got an unexpected keyword argument '{next(iter(named))}'")
    if not size:
        raise ArgumentType(f'{name}() missing 1 required positional arguments: "size"')
    return sizes_of(size, name)


def check_bytes(size, stride, dtype):
    """Raises Argument when this geometry needs more bytes than can be counted."""
    span = 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if not 0 <= span * dtype.itemsize <= LARGEST:
        tail = "" if stride == contiguous_stride(size) else f" and strides={shape_text(stride)}"
        raise Argument(f"Storage size calculation overflowed with sizes={shape_text(size)}{tail}")
    return span


def empty_strided(size, stride, *, dtype=None, layout=None, device=None, requires_grad=False,
                  pin_memory=False):
    """Zeros with these strides. What `empty` holds is nobody's business; here it is zero."""
    dtype = requested(dtype, layout=layout) or dt.get_default_dtype()
    size, stride = tuple(size), tuple(stride)
    if stride == contiguous_stride(size):
        check_bytes(size, stride, dtype)
        return finish(make_tensor(np.zeros(size, dtype.np), dtype), requires_grad, device)
    if len(size) != len(stride):
        raise ShapeMismatch(f"dimensionality of sizes ({len(size)}) must match dimensionality of "
                            f"strides ({len(stride)})")
    storage = Storage(np.zeros(check_bytes(size, stride, dtype), dtype.np))
    made = make_tensor(storage.array(dtype, size, stride, 0), dtype, stride)
    made._storage_cache = storage
    return finish(made, requires_grad, device)


def empty_permuted(size, physical_layout, *, dtype=None, layout=None, device=None,
                   requires_grad=False, pin_memory=False):
    """Zeros whose dimensions lie in memory in the order `physical_layout`, the slowest first."""
    size, order = sizes_of((size,), "empty_permuted"), tuple(physical_layout)
    if len(order) != len(size):
        raise ShapeMismatch(f"Number of dimensions in size does not match the length of the "
                            f"physical_layout; i.e. len(size) = {len(size)} is not equal to "
                            f"len(physical_layout) = {len(order)}")
    stride, step = [0] * len(size), 1
    for d in reversed(order):
        if not 0 <= d < len(size):
            raise Argument(f"Dimension out of range (expected to be between 0 and {len(size) - 1}, "
                           f"but got {d}). NB: negative dims not currently supported; file an "
                           "issue if you want it.")
        if order.count(d) > 1:
            raise Argument("Duplicate dim not allowed")
        stride[d] = step
        step *= max(size[d], 1)
    return empty_strided(size, stride, dtype=dtype, layout=layout, device=device,
                         requires_grad=requires_grad)


def filled(size, value, dtype, out=None, requires_grad=False, device=None):
    """A tensor of this size, or `out` with it, that holds one number everywhere."""
    if numel(size) >= 2 ** 31:
        check_bytes(size, contiguous_stride(size), dtype)
    with np.errstate(all="ignore"):
        array = np.full(size, value, dtype.np)
    if out is not None and out._size != size:
        out.resize_(size)
    return deliver(array, dtype, out, requires_grad, device)


def full(size, fill_value, *, out=None, dtype=None, layout=None, device=None, requires_grad=False,
         pin_memory=False):
    """A tensor that holds one number everywhere; its dtype is the number's."""
    if isinstance(fill_value, Tensor):
        if fill_value._size or fill_value.requires_grad:
            raise ArgumentType("full(): argument 'fill_value' (position 2) must be Number, not "
                               "Tensor")
        fill_value = fill_value.item()
    if isinstance(size, int):
        raise ArgumentType("full(): argument 'size' (position 1) must be tuple of ints, not int")
    dtype = requested(dtype, out, layout, device)
    if dtype is None and isinstance(fill_value, complex):      # complex64 for halves, too
        dtype = dt.complex128 if dt.get_default_dtype() is dt.float64 else dt.complex64
    dtype = dtype or number_dtype(fill_value)
    return filled(sizes_of((size,), "full"), number_as(fill_value, dtype.np), dtype, out,
                  requires_grad, device)


def _filling(name, value):
    def function(*size, out=None, dtype=None, layout=None, device=None, requires_grad=False,
                 pin_memory=False, memory_format=None, **named):
        dtype = requested(dtype, out, layout, device) or dt.get_default_dtype()
        size = named_size(size, named, name)
        if memory_format is None or out is not None:
            return filled(size, value, dtype, out, requires_grad, device)
        return empty_strided(size, format_stride(size, memory_format), dtype=dtype, device=device,
                             requires_grad=requires_grad)
    function.__name__ = function.__qualname__ = name
    return function


zeros, ones, empty = _filling("zeros", 0), _filling("ones", 1), _filling("empty", 0)


def eye(n, m=None, *, out=None, dtype=None, layout=None, device=None, requires_grad=False,
        pin_memory=False):
    """The identity matrix, n by m."""
    for name, value in (("n", n), ("m", n if m is None else m)):
        if not isinstance(value, (int, np.integer)):
            raise ArgumentType(f"eye(): argument '{name}' must be int, not {type(value).__name__}")
        if value < 0:
            raise Argument(f"{name} must be greater or equal to 0, got {value}")
    dtype = requested(dtype, out, layout, device) or dt.get_default_dtype()
    array = np.eye(n, m, dtype=dtype.np)
    if out is not None and out._size != array.shape:
        out.resize_(array.shape)
    return deliver(array, dtype, out, requires_grad, device)


def scalar_tensor(s, *, dtype=None, layout=None, device=None, requires_grad=False,
                  pin_memory=False):
    """A tensor without dimensions, of the default dtype."""
    return full((), s, dtype=dtype or dt.get_default_dtype(), layout=layout, device=device,
                requires_grad=requires_grad)


# --- the size, strides and dtype of another tensor ---


def _like(name, value):
    def filled_like(input, *, dtype=None, layout=None, device=None, requires_grad=False,
                    memory_format=None, pin_memory=False, fill=value):
        if not isinstance(input, Tensor):
            raise ArgumentType(f"{name}(): argument 'input' (position 1) must be Tensor, not "
                               f"{type(input).__name__}")
        size, dtype = input._size, requested(dtype, layout=layout) or input.dtype
        device = input.device if device is None else device
        stride = preserved_stride(size, input._stride) if memory_format in (
            None, preserve_format) else format_stride(size, memory_format)
        made = empty_strided(size, stride, dtype=dtype)
        if fill is not None:
            made._array[...] = fill
        return finish(made, requires_grad, device)
    filled_like.__name__ = filled_like.__qualname__ = name
    return filled_like


zeros_like, ones_like = _like("zeros_like", None), _like("ones_like", 1)
empty_like = _like("empty_like", None)


def full_like(input, fill_value, **options):
    """A tensor of the size, strides and dtype of `input` that holds one number everywhere."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    fill = number_as(fill_value, (options.get("dtype") or input.dtype).np)
    return zeros_like(input, fill=fill, **options)


def _new(name, make):
    def method(self, *args, dtype=None, device=None, **options):
        return make(*args, dtype=dtype or self.dtype,
                    device=self.device if device is None else device, **options)
    method.__name__ = method.__qualname__ = name
    setattr(Tensor, name, method)


for _make in (zeros, ones, empty, full, empty_strided):
    _new(f"new_{_make.__name__}", _make)
