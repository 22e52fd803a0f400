"""The distinct elements of a tensor: unique, unique_consecutive, isin.

nan differs from nan: each stands for itself. They are helpers: no table of operations lists them.
"""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.errors import (
    Argument,
    ArgumentType,
    DtypeUnsupported,
    NoDimension,
    NotImplementedFor,
)
from reference_impl.geometry import contiguous_stride, wrap_dim
from reference_impl.rule import composite
from reference_impl.rules.ordering import index_tensor
from reference_impl.rules.reductions import carry
from reference_impl.tensor import Tensor, make_tensor


def _answers(parts, wanted):
    chosen = [p for p, w in zip(parts, (True, *wanted), strict=True) if w]
    return chosen[0] if len(chosen) == 1 else tuple(chosen)


def slices(input, dim):
    """The slices along `dim` as the rows of a matrix. Raises Argument, NoDimension."""
    if not input.ndim:
        raise NoDimension(f"Dimension specified as {dim} but tensor has no dimensions")
    x = np.moveaxis(input._array, dim, 0)
    if x.size == 0 and sum(n == 0 for n in x.shape) > 1:
        raise Argument("Number of zero sized dimensions is more than one, so unique cannot be "
                       "applied ")
    if x.size == 0 and x.shape[0]:
        raise Argument("There are 0 sized dimensions, and they aren't selected, so unique cannot be "
                       "applied")
    return x.reshape(x.shape[0], int(np.prod(x.shape[1:], dtype=int)))


def lexical_order(rows):
    """Indices that sort rows, the first column counting most, equal rows in their order."""
    if rows.dtype.kind != "f" or not np.isnan(rows).any():
        return np.lexsort(rows.T[::-1]) if rows.shape[1] else np.arange(len(rows))
    # nan is neither below nor above anything, which makes no order; where rows then end up is
    # told by how torch sorts a few of them: each moves forward past those that it lies below
    order = []
    for i, row in enumerate(rows):
        place = len(order)
        while place and _below(row, rows[order[place - 1]]):
            place -= 1
        order.insert(place, i)
    return np.array(order, np.int64)


def _below(a, b):
    different = np.flatnonzero((a < b) | (a > b))
    return bool(different.size) and bool(a[different[0]] < b[different[0]])


def starts_of_runs(rows):
    """Whether each row differs from the one before it."""
    fresh = np.ones(len(rows), bool)
    fresh[1:] = (rows[1:] != rows[:-1]).any(1)
    return fresh


def _taken(input, places, dim):
    """The slices at `places`, of all elements where dim is None."""
    if dim is None:
        return make_tensor(input._array.reshape(-1)[places], input.dtype)
    # they lie in memory one after the other
    rows = np.ascontiguousarray(np.moveaxis(input._array, dim, 0)[places])
    stride = list(contiguous_stride(rows.shape))
    stride.insert(dim, stride.pop(0))
    return make_tensor(np.moveaxis(rows, 0, dim), input.dtype, tuple(stride))


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements, or slices along `dim`, in order.

    With them, where asked: for every element (slice) its place among them; how often each occurs.
    """
    if input.is_complex():
        raise NotImplementedFor(f'"unique" not implemented for \'{input.dtype.scalar_name}\'')
    if dim is None:
        rows = carry(input._array).reshape(-1, 1)
        order = np.argsort(rows[:, 0], kind="stable")
    else:
        dim = wrap_dim(dim, input.ndim)
        rows = carry(slices(input, dim))
        order = lexical_order(rows)
    fresh = starts_of_runs(rows[order])
    inverse = np.empty(len(rows), np.int64)
    inverse[order] = np.cumsum(fresh) - 1
    return _told(input, dim, order[fresh], fresh, inverse, (return_inverse, return_counts))


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The elements (slices along `dim`) that differ from the one before them."""
    if dim is None:
        rows = input._array.reshape(-1, 1)
    else:
        dim = wrap_dim(dim, input.ndim)
        rows = slices(input, dim)
    fresh = starts_of_runs(rows)
    return _told(input, dim, np.flatnonzero(fresh), fresh, np.cumsum(fresh) - 1,
                 (return_inverse, return_counts))


def _told(input, dim, places, fresh, inverse, wanted):
    counts = np.diff(np.append(np.flatnonzero(fresh), len(fresh)))
    shape = input._size if dim is None else inverse.shape
    return _answers((_taken(input, places, dim), index_tensor(inverse.reshape(shape)),
                     index_tensor(counts)), wanted)


composite("unique", unique, helper=True)
composite("unique_consecutive", unique_consecutive, helper=True)


def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Whether each element is among the test elements. One of the two may be a number."""
    tensors = [x for x in (elements, test_elements) if isinstance(x, Tensor)]
    if not tensors:
        raise ArgumentType("isin() received an invalid combination of arguments - got "
                           f"({type(elements).__name__}, {type(test_elements).__name__})")
    for t in tensors:
        if t.dtype.category not in (dt.INT, dt.FLOAT):
            raise DtypeUnsupported("Unsupported input type encountered for isin(): "
                                   f"{t.dtype.scalar_name}")
    a, b = (x._array if isinstance(x, Tensor) else np.asarray(x)
            for x in (elements, test_elements))
    return make_tensor(np.array(np.isin(carry(a), carry(b), invert=invert)), dt.bool)


composite("isin", isin, method=False, helper=True)
