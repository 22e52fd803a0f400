"""What a tensor tells about itself, and its exchange with Python and NumPy."""


import numpy as np

from reference_impl import creation
from reference_impl import dtypes as dt
from reference_impl.bits import CONJUGATE
from reference_impl.errors import (
    ArgumentValue,
    BitSet,
    DtypeUnsupported,
    NoGradRequired,
    NotScalar,
    ValueOverflow,
)
from reference_impl.formats import lies_in
from reference_impl.geometry import is_contiguous as row_major
from reference_impl.geometry import numel as count
from reference_impl.geometry import wrap_dim
from reference_impl.grad_mode import state
from reference_impl.queries import strided
from reference_impl.tensor import Size, Tensor


def member(function):
    """Make `function` a method or (as a property object) an attribute of Tensor."""
    name = function.fget.__name__ if isinstance(function, property) else function.__name__
    setattr(Tensor, name, function)
    return function


@member
@property
def shape(self):
    return Size(self._size)


@member
def size(self, dim=None):
    return Size(self._size) if dim is None else self._size[wrap_dim(dim, len(self._size))]


@member
def stride(self, dim=None):
    return self._stride if dim is None else self._stride[wrap_dim(dim, len(self._size))]


@member
def storage_offset(self):
    return self._offset


@member
@property
def ndim(self):
    return len(self._size)


Tensor.dim = Tensor.ndimension = lambda self: len(self._size)


@member
def numel(self):
    return count(self._size)


Tensor.nelement = Tensor.numel


@member
def data_ptr(self):
    if 0 in self._size or self._meta:
        return 0
    return self._storage.data_ptr() + self._offset * self.dtype.itemsize


@member
def element_size(self):
    return self.dtype.itemsize


@member
def is_contiguous(self, memory_format=None):
    if memory_format is not None and memory_format.order:
        return lies_in(self._size, self._stride, memory_format)
    return row_major(self._size, self._stride)


@member
def is_floating_point(self):
    return self.dtype.is_floating_point


@member
def is_complex(self):
    return self.dtype.is_complex


@member
def is_signed(self):
    return self.dtype.is_signed


Tensor.itemsize = property(lambda self: self.dtype.itemsize)
Tensor.nbytes = property(lambda self: self.dtype.itemsize * count(self._size))
Tensor.layout = strided
Tensor.is_cuda = Tensor.is_sparse = Tensor.is_quantized = Tensor.is_mkldnn = False
Tensor.is_nested = Tensor.is_xpu = Tensor.is_mps = Tensor.is_xla = Tensor.is_sparse_csr = False
Tensor.is_meta = property(lambda self: self._meta)
Tensor.is_cpu = property(lambda self: not self._meta)
Tensor.get_device = lambda self: -1
Tensor.is_shared = Tensor.is_pinned = lambda self: False
Tensor.sparse_dim = lambda self: 0
Tensor.dense_dim = lambda self: len(self._size)
Tensor.names = property(lambda self: (None,) * len(self._size))
Tensor.name = None


@member
@property
def device(self):
    return creation.META if self._meta else creation.CPU


@member
def item(self):
    """The one element as a Python number. Raises NotScalar."""
    if self._meta:
        raise DtypeUnsupported("Tensor.item() cannot be called on meta tensors")
    array = self._array
    if array.size != 1:
        raise NotScalar(f"a Tensor with {array.size} elements cannot be converted to Scalar")
    value = array.reshape(-1)[0]
    if self.dtype is dt.bfloat16:
        return float(value)
    return value.item() if isinstance(value, np.generic) else value


@member
def tolist(self):
    if self.dtype is dt.bfloat16:
        return self._array.astype(np.float32).tolist()
    return self._array.tolist()


@member
def numpy(self, *, force=False):
    """An ndarray on the same memory. Raises NoGradRequired and BitSet unless force."""
    if self._meta:
        raise TypeError("can't convert meta device type tensor to numpy. Use Tensor.cpu() to copy "
                        "the tensor to host memory first.")
    if self.requires_grad and state.enabled and not force:
        raise NoGradRequired("Can't call numpy() on Tensor that requires grad. Use "
                             "tensor.detach().numpy() instead.")
    if self.dtype in (dt.bfloat16, dt.complex32) and not force:
        raise TypeError(f"Got unsupported ScalarType {self.dtype.scalar_name}")
    if self._bits:
        if force:
            return self._array.copy()
        word, name = ("conjugate", "conj") if self._bits & CONJUGATE else ("negative", "neg")
        raise BitSet(f"Can't call numpy() on Tensor that has {word} bit set. Use tensor.resolve_"
                     f"{name}().numpy() instead.")
    return self._storage.array(self.dtype, self._size, self._stride, self._offset)


def _number(kind, name):
    def convert(self):
        if count(self._size) != 1:
            raise ArgumentValue("only one element tensors can be converted to Python scalars")
        value = self.item()
        if isinstance(value, complex) and kind is not complex:
            if value.imag:
                raise ValueOverflow(f"value cannot be converted to type {name} without overflow")
            value = value.real
        return kind(value)
    return convert


Tensor.__float__, Tensor.__complex__ = _number(float, "double"), _number(complex, "complex")
Tensor.__int__ = _number(int, "int64_t")
Tensor.__long__ = Tensor.__int__


@member
def __format__(self, spec):
    if self._size or self._meta:
        return object.__format__(self, spec)
    return self.item().__format__(spec)


@member
def __reversed__(self):
    return self.flip(0) if self._size else self


@member
def new(self, *size):
    """A tensor of this dtype: from sizes, or from data."""
    if len(size) == 1 and not isinstance(size[0], int):
        return self.new_tensor(size[0]) if not isinstance(size[0], Size) else self.new_empty(size[0])
    return self.new_empty(*(size or (0,)))


@member
def cuda(self, device=None, non_blocking=False, memory_format=None):
    return self.to(device="cuda")


Tensor.__array_priority__ = 1000        # NumPy's operators yield to ours


@member
def __array__(self, dtype=None, copy=None):
    array = self.numpy()
    if dtype is None or array.dtype == dtype:
        return array.copy() if copy else array
    return array.astype(dtype)


@member
def __array_wrap__(self, array, context=None, return_scalar=False):
    """What NumPy functions return for tensors: a tensor on the result's memory.

    Booleans come back as uint8, as in torch.
    """
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    return creation.from_numpy(np.asarray(array))


@member
def __bool__(self):
    if count(self._size) != 1:
        word = "no values" if 0 in self._size else "more than one value"
        raise NotScalar(f"Boolean value of Tensor with {word} is ambiguous")
    return bool(self.item())


@member
def __index__(self):
    if count(self._size) != 1 or self.dtype.category > dt.INT:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(self.item())


@member
def __len__(self):
    if not self._size:
        raise TypeError("len() of a 0-d tensor")
    return self._size[0]


def type_(self, dtype=None):
    """Without argument the name "torch.FloatTensor", otherwise the tensor in that dtype."""
    if dtype is None:
        return f"torch.{self.dtype.scalar_name}Tensor"
    if isinstance(dtype, str):
        names = {d.scalar_name: d for d in dt.ALL}
        dtype = names[dtype.removeprefix("torch.").removesuffix("Tensor")]
    return self.to(dtype.dtype if isinstance(dtype, creation.tensortype) else dtype)


Tensor.type = type_


def _conversion(to):
    return lambda self, memory_format=None: self.to(to)


for _name, _to in {**dt.BY_NAME, **dt.ALIASES}.items():
    if _to is not dt.exact:
        setattr(Tensor, {"complex32": "chalf", "complex64": "cfloat", "complex128": "cdouble"}.get(
        _name, _name),
                _conversion(_to))
for _name in ("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16",
              "float32", "float64"):
    delattr(Tensor, _name)              # torch spells these byte, char, short, int, long, ...
Tensor.byte = lambda self: self.to(dt.uint8)
Tensor.char = lambda self: self.to(dt.int8)
Tensor.type_as = lambda self, other: self.to(other.dtype)
Tensor.cpu = lambda self, memory_format=None: self
Tensor.is_set_to = lambda self, other: (
    self._storage is other._storage and self._geometry == other._geometry
    and self._bits == other._bits)


@member
def __repr__(self):
    from reference_impl.printing import tensor_text
    return tensor_text(self)


@member
def is_inference(self):
    return self._inference
