"""What remains of Torch 7: torch.Tensor(...), torch.FloatTensor, typed storages."""

import warnings

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import device as make_device
from reference_impl.creation import zeros
from reference_impl.data import tensor
from reference_impl.errors import Argument, ArgumentType
from reference_impl.formats import strided
from reference_impl.interchange import UntypedStorage
from reference_impl.storage import Storage
from reference_impl.tensor import Size, Tensor, make_tensor

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


class TypedStorage:
    """The elements of a tensor's memory, as one run of one dtype. Deprecated by torch."""

    dtype = None

    def __init__(self, *args, wrap_storage=None, dtype=None):
        self.dtype = dtype or self.dtype or dt.get_default_dtype()
        if wrap_storage is not None:
            self._storage = wrap_storage._storage
            return
        data = args[0] if args else 0
        array = np.zeros(data) if isinstance(data, int) else np.asarray(data)
        self._storage = Storage(array.astype(self.dtype.np))

    device = property(lambda self: make_device("meta" if self._storage.meta else "cpu"))
    is_cuda = is_sparse = False
    _untyped_storage = property(lambda self: UntypedStorage(self._storage))
    _cdata = property(lambda self: id(self._storage))

    def untyped(self):
        return self._untyped_storage

    def _tensor(self):
        made = make_tensor(np.empty(0, self.dtype.np), self.dtype)
        return made.set_(self)

    def size(self):
        return self._storage.nbytes() // self.dtype.itemsize

    __len__ = size

    def nbytes(self):
        return self._storage.nbytes()

    def element_size(self):
        return self.dtype.itemsize

    def data_ptr(self):
        return self._storage.data_ptr()

    def type(self):
        return f"torch.{self.dtype.scalar_name}Storage"

    def tolist(self):
        return self._tensor().tolist()

    def __iter__(self):
        return iter(self.tolist())

    def __getitem__(self, index):
        if isinstance(index, slice):
            raise Argument("slices are only supported in UntypedStorage.__getitem__")
        return self._tensor()[index].item()

    def __setitem__(self, index, value):
        self._tensor()[index] = value

    def fill_(self, value):
        self._tensor().fill_(value)
        return self

    def clone(self):
        return self._tensor().clone().storage()

    def __eq__(self, other):
        return (isinstance(other, TypedStorage) and self.dtype is other.dtype
                and self._storage is other._storage)

    def __hash__(self):
        return id(self._storage)


class storagetype(type):
    """The type of torch.FloatStorage and its kin: an instance is any storage of the dtype."""

    def __call__(cls, *args, **named):
        return TypedStorage(*args, dtype=cls.dtype, **named)

    def __instancecheck__(cls, x):
        return type(x) is TypedStorage and x.dtype is cls.dtype

    def __repr__(cls):
        return f"<class 'torch.{cls.__name__}'>"


STORAGES = {f"{d.scalar_name}Storage": storagetype(f"{d.scalar_name}Storage", (), {
    "dtype": d, "__module__": "torch"}) for d in (*OLD, dt.complex64, dt.complex128)}


def default_storage():
    """torch.Storage: the storage type of the default dtype."""
    return STORAGES[f"{dt.get_default_dtype().scalar_name}Storage"]


def storage(self):
    """The memory as typed elements."""
    warnings.warn("TypedStorage is deprecated. It will be removed in the future and UntypedStorage "
                  "will be the only storage class. This should only matter to you if you are using "
                  "storages directly.  To access UntypedStorage directly, use "
                  "tensor.untyped_storage() instead of tensor.storage()", UserWarning, stacklevel=2)
    return TypedStorage(wrap_storage=self.untyped_storage(), dtype=self.dtype)


Tensor.storage = storage
Tensor.storage_type = lambda self: STORAGES[f"{self.dtype.scalar_name}Storage"]
