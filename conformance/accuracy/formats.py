"""Facts of the floating-point formats: precision, range, and what computes them exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import ml_dtypes
import numpy as np


@dataclass(frozen=True, slots=True)
class Format:
    """A binary floating-point format.

    precision: bits of the significand, the hidden one included. max, tiny: largest finite and
    smallest normal number; smallest: smallest subnormal. unit: unit roundoff 2**-precision.
    wide: the NumPy dtype in which expected values of this format are computed.
    """

    name: str
    precision: int
    max: float
    tiny: float
    smallest: float
    wide: np.dtype

    @property
    def unit(self) -> float:
        return 2.0**-self.precision

    @property
    def min_exponent(self) -> int:
        """Exponent of the unit in the last place of the smallest normal number."""
        return int(np.log2(self.smallest))

    @property
    def threshold(self) -> float:
        """2**(emax + 1): what an infinity stands for when errors in ulp are counted."""
        return float(np.ldexp(1.0, int(np.frexp(self.max)[1]))) if self.max < 1e308 else np.inf


def _format(name: str, wide: type) -> Format:
    info = ml_dtypes.finfo(name)
    return Format(
        name=name,
        precision=int(info.nmant) + 1,
        max=float(info.max),
        tiny=float(info.smallest_normal),
        smallest=float(info.smallest_subnormal),
        wide=np.dtype(wide),
    )


FORMATS = {
    "float16": _format("float16", np.float64),
    "bfloat16": _format("bfloat16", np.float64),
    "float32": _format("float32", np.float64),
    "float64": _format("float64", np.longdouble),
}
REAL_OF = {"complex64": "float32", "complex128": "float64"}
COMPLEX_OF = {"float32": "complex64", "float64": "complex128"}
HALVES = ("float16", "bfloat16")  # both libraries compute these in float32 and round once


@cache
def np_dtype(name: str) -> np.dtype:
    """The NumPy dtype of a dtype name, bfloat16 included. Raises TypeError if unknown."""
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


@cache
def dtype_name(dtype: np.dtype) -> str:
    """`dtype.name`, which NumPy puts together anew each time."""
    return dtype.name


def is_floating(name: str) -> bool:
    return name in FORMATS


def is_complex(name: str) -> bool:
    return name in REAL_OF


def is_integral(name: str) -> bool:
    return np_dtype(name).kind in "iu"


def real_format(name: str) -> Format:
    """The format of a floating dtype, or of the parts of a complex one."""
    return FORMATS[REAL_OF.get(name, name)]


def wide_dtype(name: str) -> np.dtype:
    """Where expected values of `name` are computed; integers and bool are their own.

    float64 is computed in the platform's long double (64 bits of significand on x86-64, 113 on
    most others); `check_wide` refuses a platform where that is no wider than float64.
    """
    if name in FORMATS:
        return FORMATS[name].wide
    if name == "complex64":
        return np.dtype(np.complex128)
    if name == "complex128":
        return np.dtype(np.clongdouble)
    return np_dtype(name)


def check_wide() -> str:
    """"" or why expected values of float64 cannot be computed on this platform."""
    bits = np.finfo(np.longdouble).nmant
    if bits >= 63:
        return ""
    return f"long double has {bits} bits on this platform; float64 needs 63 to be judged"
