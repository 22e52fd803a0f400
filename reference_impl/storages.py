"""Storages as objects of their own: the bytes below a tensor, and the same as numbers of one dtype.

What is written through them is not counted: a storage has no version. Norm: torch docs,
torch.Storage.
"""

import warnings

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import CPU, META, check_dtype
from reference_impl.errors import Argument, ArgumentType, IndexOutOfRange
from reference_impl.scalars import number_as
from reference_impl.storage import Storage
from reference_impl.tensor import Tensor


def fresh(content, dtype):
    """A new Storage from a count of elements or a sequence of numbers."""
    if isinstance(content, int):
        return Storage(np.zeros(content, dtype.np))
    return Storage(np.array(list(content), dtype.np))


class UntypedStorage:
    """What untyped_storage() gives: the bytes, and the question whether two are the same."""

    dtype = dt.uint8

    def __init__(self, content=0):
        self._storage = content if isinstance(content, Storage) else fresh(content, self.dtype)

    @property
    def _array(self):
        """All elements as a 1-d array on the memory itself."""
        if self._storage.meta:
            raise NotImplementedError("Not available for 'meta' device type")
        return self._storage.array(self.dtype, (self.size(),), (1,), 0)

    @property
    def device(self):
        return META if self._storage.meta else CPU

    def size(self):
        return self.nbytes() // self.dtype.itemsize

    def __len__(self):
        return self.size()

    def nbytes(self):
        return self._storage.nbytes()

    def element_size(self):
        return self.dtype.itemsize

    def data_ptr(self):
        return self._storage.data_ptr()

    @property
    def _cdata(self):
        return id(self._storage)

    def is_shared(self):
        return False

    is_pinned = is_shared
    is_cuda = False

    def tolist(self):
        return self._array.tolist()

    def __iter__(self):
        return iter(self.tolist())

    def _place(self, index):
        if not isinstance(index, (int, np.integer)):
            raise ArgumentType(f"can't index a {type(self).__name__} with {type(index).__name__}")
        if not -self.size() <= index < self.size():
            raise IndexOutOfRange(f"index {index} out of range for storage of size {self.size()}")
        return index

    def __getitem__(self, index):
        return self._array[self._place(index)].item()

    def __setitem__(self, index, value):
        if not isinstance(index, slice):
            index = self._place(index)
        self._array[index] = number_as(value, self.dtype.np)

    def fill_(self, value):
        self[:] = value
        return self

    def copy_(self, source, non_blocking=None):
        """Write the elements of a storage of as many elements over this one's."""
        self._array[...] = source._array
        return self

    def clone(self):
        return self._same_kind(Storage(self._array.copy()))

    def _same_kind(self, storage):
        return type(self)(storage)

    def untyped(self):
        return UntypedStorage(self._storage)

    def __deepcopy__(self, memo):
        if id(self._storage) not in memo:        # tensors that share it share the copy, too
            memo[id(self._storage)] = Storage(self._storage.flat.copy(), self._storage.meta)
        return self._same_kind(memo[id(self._storage)])

    def __eq__(self, other):
        return isinstance(other, UntypedStorage) and self._storage is other._storage

    def __hash__(self):
        return id(self._storage)

    def __repr__(self):
        rows = "".join(f" {x}\n" for x in self.tolist())
        return (f"{rows}[torch.storage.{type(self).__name__}(device={self.device}) of size "
                f"{self.size()}]")


class TypedStorage(UntypedStorage):
    """The memory read as numbers of one dtype: what Tensor.storage() gives."""

    def __init__(self, content=0, *, dtype=None, wrap_storage=None):
        content = content if wrap_storage is None else wrap_storage._storage
        if dtype is not None:
            self.dtype = check_dtype(dtype)
        elif "dtype" not in vars(type(self)):
            self.dtype = dt.get_default_dtype()
        super().__init__(content)

    def _same_kind(self, storage):
        return type(self)(storage, dtype=self.dtype)

    def __getitem__(self, index):
        if isinstance(index, slice):
            raise Argument("slices are only supported in UntypedStorage.__getitem__")
        return super().__getitem__(index)

    @property
    def _untyped_storage(self):
        return self.untyped()

    def type(self):
        return f"torch.{self.pickle_storage_type()}"

    def pickle_storage_type(self):
        return f"{self.dtype.scalar_name}Storage"

    def __repr__(self):
        rows = "".join(f" {x}\n" for x in self.tolist())
        return (f"{rows}[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of "
                f"size {self.size()}]")


def _converting(dtype):
    def convert(self):
        return TypedStorage(Storage(self._array.astype(dtype.np)), dtype=dtype)
    return convert


# torch.FloatStorage and its kin: typed storages whose dtype the class tells
TYPED = {}
NAMED = {**{d.name: d for d in (dt.bfloat16, dt.bool)}, **dt.ALIASES, "byte": dt.uint8, "char": dt.int8}
for _name, _dtype in NAMED.items():
    setattr(TypedStorage, {"cfloat": "complex_float", "cdouble": "complex_double"}.get(_name, _name),
            _converting(_dtype))
    _class = f"{_dtype.scalar_name}Storage"
    TYPED[_class] = type(_class, (TypedStorage,), {"dtype": _dtype})

Tensor.untyped_storage = lambda self: UntypedStorage(self._storage)
Tensor.storage_type = lambda self: TYPED[f"{self.dtype.scalar_name}Storage"]


def storage(self):
    """The memory as numbers of the tensor's dtype."""
    warnings.warn("TypedStorage is deprecated. It will be removed in the future and UntypedStorage "
                  "will be the only storage class. This should only matter to you if you are using "
                  "storages directly.  To access UntypedStorage directly, use "
                  "tensor.untyped_storage() instead of tensor.storage()", UserWarning, stacklevel=2)
    return TypedStorage(self._storage, dtype=self.dtype)


Tensor.storage = storage
