"""Type promotion: which dtype an operation computes in.

Norm: torch docs, "Tensor Attributes", section type promotion. Operands fall into three classes,
tensors with dimensions, zero-dim tensors, Python numbers; a lower class changes the dtype only
when its category (bool < integer < floating < complex) is higher.
"""

from functools import cache

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.errors import CastRefused, Domain

NUMBER = (int, float, complex, np.generic)


@cache
def promote_types(type1, type2):
    """The smallest dtype to which both convert. Raises Domain for wide unsigned with integers."""
    a, b = type1, type2
    if a is b:
        return a
    if a in dt.FLOAT8 or b in dt.FLOAT8:
        raise Domain("Promotion for Float8 Types is not supported, attempted to promote "
                     f"{a.scalar_name} and {b.scalar_name}")
    if a.category < b.category:
        a, b = b, a
    if (a in _WIDE_UNSIGNED or b in _WIDE_UNSIGNED) and a.category not in (dt.FLOAT, dt.EXACT):
        raise Domain("Promotion for uint16, uint32, uint64 types is not supported, attempted to "
                     f"promote {a.scalar_name} and {b.scalar_name}")
    if a.category != b.category:
        if a.category == dt.COMPLEX and b.category == dt.FLOAT:
            both = promote_types(a.to_real(), b)
            return dt.COMPLEX_OF[both]
        return a
    if a.category == dt.FLOAT:
        return dt.float32 if a.rank == b.rank else max(a, b, key=_rank)
    if a.category == dt.INT:
        return _promote_integers(a, b)
    return max(a, b, key=_rank)


def _rank(d):
    return d.rank


_WIDE_UNSIGNED = (dt.uint16, dt.uint32, dt.uint64)


def _promote_integers(a, b):
    if a.is_signed == b.is_signed:
        return max(a, b, key=_rank)
    signed = a if a.is_signed else b
    return signed if signed.rank > 1 else dt.int16


def number_dtype(value):
    """dtype of a Python number taken as an operand."""
    if isinstance(value, (bool, np.bool_)):
        return dt.bool
    if isinstance(value, (int, np.integer)):
        return dt.int64
    if isinstance(value, (complex, np.complexfloating)):
        return dt.default_complex()
    return dt.get_default_dtype()


@cache
def combine_classes(higher, lower):
    """dtype when `lower` comes from a class of less weight (None: no operand of that class)."""
    if higher is None or lower is None:
        return lower if higher is None else higher
    if lower.category <= higher.category and higher.category != dt.BOOL:
        return higher
    if higher.category == dt.FLOAT and lower.category == dt.COMPLEX:
        return higher.to_complex()
    return promote_types(higher, lower)


def result_dtype(operands):
    """The dtype for tensors and Python numbers (None entries are skipped)."""
    dims = zeros = numbers = None
    for x in operands:
        if x is None:
            continue
        if isinstance(x, NUMBER):
            d = number_dtype(x)
            numbers = d if numbers is None else promote_types(numbers, d)
        elif x._wrapped:
            d = number_dtype_of(x.dtype)
            numbers = d if numbers is None else promote_types(numbers, d)
        elif x._size:
            dims = x.dtype if dims is None else promote_types(dims, x.dtype)
        else:
            zeros = x.dtype if zeros is None else promote_types(zeros, x.dtype)
    return combine_classes(dims, combine_classes(zeros, numbers))


def number_dtype_of(d):
    """dtype that a wrapped number of dtype `d` counts as: floats count as the default dtype."""
    if d.category == dt.FLOAT:
        return dt.get_default_dtype()
    return dt.default_complex() if d.category == dt.COMPLEX else d


def result_type(tensor1, tensor2):
    """torch.result_type: the dtype of an arithmetic operation on two tensors or numbers."""
    return result_dtype((tensor1, tensor2))


def can_cast(from_, to):
    """Whether a result of dtype `from_` may be written to dtype `to`: no category is lost."""
    if from_.category >= dt.FLOAT or to.category >= dt.FLOAT:
        return from_.category <= to.category
    if from_.category == dt.INT and not to.is_signed and to.category == dt.INT:
        return True
    return from_.category <= to.category


def check_cast(result, target):
    if not can_cast(result, target):
        raise CastRefused(f"result type {result.scalar_name} can't be cast to the desired output "
                          f"type {target.scalar_name}")


def to_float(d):
    """`d`, or the default dtype for bool and integers."""
    return d if d.category >= dt.FLOAT else dt.get_default_dtype()
