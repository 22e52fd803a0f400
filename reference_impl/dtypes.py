"""Element types: PyTorch's names over NumPy's storage formats.

bfloat16 and complex32 come from ml_dtypes. `exact` is the one type PyTorch does not have: an array of Python
objects (balls of arbitrary precision) on which the same rules run; it is floating point for
autograd, promotes above everything and is never converted.
"""

import builtins

import ml_dtypes
import numpy as np

from reference_impl.errors import ArgumentType

__all__ = ["dtype", "finfo", "from_numpy_dtype", "get_default_dtype", "iinfo", "set_default_dtype"]

BOOL, INT, FLOAT, COMPLEX, EXACT = range(5)  # the categories of torch's promotion, in order


class dtype:
    """One element type. Compared by identity; `np` is the NumPy dtype that stores it."""

    __slots__ = ("category", "is_signed", "itemsize", "limited", "name", "np", "rank", "scalar_name")

    def __init__(self, name, numpy_dtype, category, scalar_name, rank, signed=True, limited=False):
        self.name, self.np, self.category = name, np.dtype(numpy_dtype), category
        self.itemsize = self.np.itemsize
        self.is_signed, self.scalar_name, self.rank = signed, scalar_name, rank
        self.limited = limited           # few operations take it (dispatch.check_limited)

    is_floating_point = property(lambda self: self.category in (FLOAT, EXACT))
    is_complex = property(lambda self: self.category == COMPLEX)

    @property
    def is_differentiable(self):
        return self.category >= FLOAT

    def to_real(self):
        return REAL_OF.get(self, self)

    def to_complex(self):
        return COMPLEX_OF.get(self, self)

    def __repr__(self):
        return f"torch.{self.name}"

    def __reduce__(self):
        return (by_name, (self.name,))


bool = dtype("bool", np.bool_, BOOL, "Bool", 0, signed=False)
uint8 = dtype("uint8", np.uint8, INT, "Byte", 1, signed=False)
int8 = dtype("int8", np.int8, INT, "Char", 1)
int16 = dtype("int16", np.int16, INT, "Short", 2)
int32 = dtype("int32", np.int32, INT, "Int", 3)
int64 = dtype("int64", np.int64, INT, "Long", 4)
uint16 = dtype("uint16", np.uint16, INT, "UInt16", 2, signed=False)
uint32 = dtype("uint32", np.uint32, INT, "UInt32", 3, signed=False)
uint64 = dtype("uint64", np.uint64, INT, "UInt64", 4, signed=False)
float16 = dtype("float16", np.float16, FLOAT, "Half", 1)
bfloat16 = dtype("bfloat16", ml_dtypes.bfloat16, FLOAT, "BFloat16", 1)
float32 = dtype("float32", np.float32, FLOAT, "Float", 2)
float64 = dtype("float64", np.float64, FLOAT, "Double", 3)
complex32 = dtype("complex32", ml_dtypes.complex32, COMPLEX, "ComplexHalf", 1, limited=True)
complex64 = dtype("complex64", np.complex64, COMPLEX, "ComplexFloat", 2)
complex128 = dtype("complex128", np.complex128, COMPLEX, "ComplexDouble", 3)
# storage types: they convert, and compute nothing
FLOAT8 = tuple(dtype(name, getattr(ml_dtypes, name), FLOAT, name.capitalize(), 0, limited=True)
               for name in ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
                            "float8_e8m0fnu"))
float8_e4m3fn, float8_e4m3fnuz, float8_e5m2, float8_e5m2fnuz, float8_e8m0fnu = FLOAT8
exact = dtype("exact", object, EXACT, "Exact", 9)
# wider than anything torch has: where expected values of float64 are computed
extended = dtype("extended", np.longdouble, FLOAT, "Extended", 8)
cextended = dtype("cextended", np.clongdouble, COMPLEX, "ComplexExtended", 8)

ALL = (bool, uint8, int8, int16, int32, int64, uint16, uint32, uint64, float16, bfloat16,
       float32, float64, complex32, complex64, complex128, exact, extended, cextended, *FLOAT8)
BY_NAME = {d.name: d for d in ALL}
BY_NUMPY = {d.np: d for d in reversed(ALL)}  # float64 wins where long double is no wider
REAL_OF = {complex32: float16, complex64: float32, complex128: float64, cextended: extended}
COMPLEX_OF = {float16: complex32, bfloat16: complex64, float32: complex64, float64: complex128,
              extended: cextended}

half, float, double, short, int, long = float16, float32, float64, int16, int32, int64
chalf, cfloat, cdouble = complex32, complex64, complex128
ALIASES = {"half": half, "float": float, "double": double, "short": short, "int": int,
           "long": long, "chalf": chalf, "cfloat": cfloat, "cdouble": cdouble}


def check_dtype(given):
    """The dtype asked for: itself, or what Python's float, int, bool, complex stand for, or None.

    Raises ArgumentType.
    """
    if given is None or isinstance(given, dtype):
        return given
    if isinstance(given, type) and given in PYTHON:
        return PYTHON[given]
    raise ArgumentType(f"argument 'dtype' must be torch.dtype, not {type(given).__name__}")


def by_name(name):
    """The dtype called `name` ("float32"). Raises KeyError for any other word."""
    return BY_NAME[name]


# as C++ calls them, which is how some of torch's messages have them
C_NAMES = {"int8": "signed char", "uint8": "unsigned char", "int16": "short int", "int32": "int",
           "int64": "long int", "uint16": "short unsigned int", "uint32": "unsigned int",
           "uint64": "long unsigned int", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
           "float32": "float", "float64": "double", "complex64": "c10::complex<float>",
           "complex128": "c10::complex<double>"}


def c_name(dtype):
    return C_NAMES.get(dtype.name, dtype.name)


def from_numpy_dtype(numpy_dtype):
    """The dtype that `numpy_dtype` stores. Raises TypeError when torch has none."""
    found = BY_NUMPY.get(np.dtype(numpy_dtype).newbyteorder("="))
    if found is None:
        raise TypeError(
            f"can't convert np.ndarray of type {np.dtype(numpy_dtype).type.__module__}."
            f"{np.dtype(numpy_dtype).type.__name__}. The only supported types are: float64, "
            "float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, "
            "uint16, uint8, and bool.")
    return found


class _Default:
    dtype = float32


def finfo_digits(d):
    """How many binary digits a floating dtype (of a complex one, a part) holds: 24 for float32."""
    return int_(ml_dtypes.finfo(d.to_real().np).nmant) + 1


def get_default_dtype():
    """The dtype of Python floats: float32 unless changed."""
    return _Default.dtype


def set_default_dtype(d):
    """Make `d` the dtype of Python floats. Raises TypeError for a non-floating dtype."""
    if not isinstance(d, dtype):
        raise TypeError("invalid dtype object: only floating-point types are supported as the "
                        "default type")
    if d.category != FLOAT:
        raise TypeError("only floating-point types are supported as the default type")
    _Default.dtype = d


def default_complex():
    return _Default.dtype.to_complex()


class finfo:
    """Limits of a floating dtype (for a complex dtype, of its parts), as Python floats."""

    def __init__(self, type=None):
        type = type or get_default_dtype()
        if type.category not in (FLOAT, COMPLEX):
            raise TypeError(f"torch.finfo() requires a floating point input type. "
                            f"Use torch.iinfo to handle '{type.name}'")
        real = type.to_real()
        info = ml_dtypes.finfo(real.np) if real is bfloat16 or real in FLOAT8 else np.finfo(real.np)
        self.bits, self.dtype = int_(info.bits), real.name
        for name in ("eps", "max", "min", "tiny", "smallest_normal", "resolution"):
            setattr(self, name, float_(getattr(info, name)))

    def __repr__(self):
        return (f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
                f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, "
                f"tiny={self.tiny:g}, dtype={self.dtype})")


class iinfo:
    """Limits of an integer dtype, as Python ints."""

    def __init__(self, type):
        if type.category != INT:
            raise TypeError(f"torch.iinfo() requires an integer input type. "
                            f"Use torch.finfo to handle '{type.name}'")
        info = np.iinfo(type.np)
        self.bits, self.min, self.max = info.bits, int_(info.min), int_(info.max)
        self.dtype = type.name

    def __repr__(self):
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


PYTHON = {builtins.float: float64, builtins.int: int64, builtins.bool: bool, complex: complex128}

# `bool`, `int` and `float` above are torch's names and hide Python's own
bool_, int_, float_ = builtins.bool, builtins.int, builtins.float
