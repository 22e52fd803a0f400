"""What remains of Torch 7: torch.Tensor(...), torch.FloatTensor and its kin."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import zeros
from reference_impl.data import tensor
from reference_impl.errors import Argument, ArgumentType
from reference_impl.formats import strided
from reference_impl.storages import TypedStorage
from reference_impl.tensor import Size, Tensor

OLD = [d for d in dt.ALL if d.category <= dt.FLOAT and d not in dt.FLOAT8 and d is not dt.extended
       and not d.scalar_name.startswith("UInt")]


def constructed(dtype, args, device=None, alias=False, **named):
    """A tensor from sizes or from data, always of one dtype.

    alias: a tensor is taken as it is, whatever its dtype. Raises Argument, ArgumentType.
    """
    if named and list(named) != ["size"]:
        raise ArgumentType("new() received an invalid combination of arguments - got keyword "
                           f"{next(iter(named))}")
    if device is not None and str(device).split(":")[0] not in ("cpu", "meta"):
        raise Argument("legacy constructor expects device type: cpu but device type: "
                       f"{device} was passed")
    args = args or ((named["size"],) if named else (0,))
    data = args[0]
    if len(args) > 1 or isinstance(data, Size) or named or (
            isinstance(data, (int, np.integer)) and not isinstance(data, bool)):
        return zeros(*args, dtype=dtype, device=device)
    if isinstance(data, Tensor):
        if device is not None:
            raise Argument("Legacy tensor constructor of the form torch.Tensor(tensor, "
                           "device=device) is not supported.  Use torch.tensor(...) or "
                           "torch.as_tensor(...) instead.")
        if not alias and data.dtype is not dtype:
            raise ArgumentType(f"expected a tensor of dtype {dtype.name} (got {data.dtype.name})")
        return data.detach()
    if isinstance(data, TypedStorage):
        return zeros(0, dtype=dtype).set_(data)
    if data is None or isinstance(data, (bool, float, complex)):
        raise ArgumentType(f"new(): data must be a sequence (got {type(data).__name__})")
    return tensor(data, dtype=dtype, device=device)


class tensortype(type):
    """The type of torch.FloatTensor and its kin: an instance is any tensor of the dtype."""

    def __call__(cls, *args, **named):
        return constructed(cls.dtype, args, **named)

    def __instancecheck__(cls, x):
        return isinstance(x, Tensor) and x.dtype is cls.dtype

    def __repr__(cls):
        return f"<class 'torch.{cls.__name__}'>"


TYPES = {f"{d.scalar_name}Tensor": tensortype(f"{d.scalar_name}Tensor", (), {
    "dtype": d, "layout": strided, "is_cuda": False, "__module__": "torch"}) for d in OLD}


def set_default_tensor_type(t):
    """The dtype of Python floats, named by a type such as torch.DoubleTensor. Raises TypeError."""
    if isinstance(t, str):
        name = t.removeprefix("torch.")
        if name not in TYPES:
            raise ModuleNotFoundError(f"No module named '{t}'")
        t = TYPES[name]
    if not isinstance(t, tensortype):
        raise TypeError("invalid type object: only floating-point types are supported as the "
                        "default type")
    dt.set_default_dtype(t.dtype)


def new(self, *args, device=None, **named):
    """A tensor of this one's dtype: from sizes, or from data."""
    if args and isinstance(args[0], Tensor) and device is not None:
        raise Argument("Legacy tensor new of the form tensor.new(tensor, device=device) is not "
                       "supported.  Use torch.as_tensor(...) instead.")
    return constructed(self.dtype, args, device, **named)


Tensor.new = new
