"""Order: sort, topk, kthvalue, median, mode, extrema. Chapters "Comparison Ops" and "Reduction Ops".

nan counts as larger than every number. Where torch leaves open which of several equal elements is
named (an unstable sort, topk, median), the first is. In a line, ct is the cotangents, y the
results (values, indices). They are helpers: no table of operations lists them yet.
"""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import zeros
from reference_impl.dispatch import FUNCTIONS
from reference_impl.errors import (
    DtypeUnsupported,
    EmptyReduction,
    EmptyReductionIndex,
    NotImplementedFor,
    RangeExceeded,
)
from reference_impl.geometry import wrap_dim
from reference_impl.rule import composite, rule
from reference_impl.rules.indexing_ops import vector
from reference_impl.rules.reductions import carry, kept, picked
from reference_impl.tensor import make_tensor


def index_tensor(array):
    return make_tensor(np.array(array, np.int64, order="C"), dt.int64)


def refuse_complex(kernel, x):
    """kernel: what torch calls the loop that does not know complex numbers."""
    if x.dtype.kind == "c":
        raise NotImplementedFor(f'"{kernel}" not implemented for '
                                f"'{dt.BY_NUMPY[x.dtype].scalar_name}'")


def order(x, dim, descending=False):
    """Indices that sort along `dim`, equal elements in their order."""
    keys = carry(x)
    if not descending:
        return np.argsort(keys, axis=dim, kind="stable")
    # reversing twice keeps equal elements in their order
    back = np.argsort(np.flip(keys, dim), axis=dim, kind="stable")
    return np.flip(keys.shape[dim] - 1 - back, dim)


def put_back(ct, at, shape, dim):
    """Zeros of `shape` with each of ct at its index along `dim`."""
    if not shape:
        return ct.reshape(())
    return zeros(shape, dtype=ct.dtype).scatter_add(dim, at, ct)


def selection(name, forward, **facts):
    """A rule that gives (values, indices) along `dim`, the dimension kept."""
    rule(name, forward, inputs=("self",), helper=True, differentiable=(0,),
         saves={"self": ("result.1",)}, **facts)


def sort(self, dim=-1, descending=False, stable=None):
    if self.dtype.kind == "c":
        raise DtypeUnsupported(" Sort does not support complex dtypes on CPU")
    dim, x = wrap_dim(dim, self.ndim), vector(self)
    at = order(x, dim, descending)
    return np.take_along_axis(x, at, dim).reshape(self.shape), at.reshape(self.shape)


selection("sort", sort, layout="preserve",
          node=lambda dim, descending, stable: f"SortBackward{int(stable is not None)}",
          vjp=lambda ct, ins, y, dim, descending, stable: [
              put_back(ct[0], y[1], ins[0].shape, dim)],
          jvp=lambda t, ins, y, dim, descending, stable: (t[0].gather(dim, y[1]), None))
composite("argsort", lambda input, dim=-1, descending=False, *, stable=None: FUNCTIONS["sort"](
    input, dim, descending, stable)[1], helper=True)
composite("msort", lambda input: FUNCTIONS["sort"](input, 0)[0], helper=True)


def topk(self, k: int, dim: int = -1, largest=True, sorted=True):
    """The k largest (smallest) along `dim`, in order. Raises RangeExceeded."""
    if self.dtype.kind == "c":
        raise DtypeUnsupported(" topk does not support complex dtypes on CPU")
    dim, x = wrap_dim(dim, self.ndim), vector(self)
    if not 0 <= k <= x.shape[dim]:
        raise RangeExceeded("selected index k out of range")
    at = np.take(order(x, dim, largest), np.arange(k), dim)
    shape = at.shape if self.ndim or k != 1 else ()
    return np.take_along_axis(x, at, dim).reshape(shape), at.reshape(shape)


selection("topk", topk, vjp=lambda ct, ins, y, k, dim, largest, sorted: [
              put_back(ct[0], y[1], ins[0].shape, dim)],
          jvp=lambda t, ins, y, k, dim, largest, sorted: (t[0].gather(dim, y[1]), None))


def _one(values, at, dim, keepdim, ndim):
    if not ndim:
        return values.reshape(()), at.reshape(())
    return (values, at) if keepdim else (values.squeeze(dim), at.squeeze(dim))


def one_picked(t, ins, y, dim, keepdim):
    return picked(t[0], y[1], dim, keepdim), None


def one_back(ct, ins, y, dim, keepdim):
    shape = ins[0].shape
    return [put_back(kept(ct[0], shape, dim, keepdim), kept(y[1], shape, dim, keepdim), shape,
                     dim)]


def kthvalue(self, k, dim=-1, keepdim=False):
    """The k-th smallest along `dim`, counted from 1. Raises RangeExceeded."""
    refuse_complex("kthvalue_cpu", self)
    dim, x = wrap_dim(dim, self.ndim), vector(self)
    if x.shape[dim] == 0:
        raise EmptyReductionIndex(f"kthvalue(): Expected reduction dim {dim} to have non-zero "
                                  "size.")
    if not 1 <= k <= x.shape[dim]:
        raise RangeExceeded("kthvalue(): selected number k out of range for dimension "
                            f"{dim}")
    at = np.take(order(x, dim), [k - 1], dim)
    return _one(np.take_along_axis(x, at, dim), at, dim, keepdim, self.ndim)


selection("kthvalue", kthvalue,
          vjp=lambda ct, ins, y, k, dim, keepdim: one_back(ct, ins, y, dim, keepdim),
          jvp=lambda t, ins, y, k, dim, keepdim: one_picked(t, ins, y, dim, keepdim))


def _median(name, past_nan):
    """The lower of the two middle elements; a nan is the median, unless past_nan."""
    def place(x, dim):
        nan = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)
        count = x.shape[dim] - nan.sum(dim, keepdims=True)
        middle = (np.maximum(count, 1) - 1) // 2
        if not past_nan:     # the first nan, where there is one
            first = np.argmax(nan, axis=dim, keepdims=True)
            ordered = np.take_along_axis(order(x, dim), (np.full(middle.shape, x.shape[dim]) - 1)
                                         // 2, dim)
            return np.where(nan.any(dim, keepdims=True), first, ordered)
        return np.take_along_axis(order(x, dim), middle, dim)

    def along(self, dim, keepdim=False):
        refuse_complex("median_out", self)
        dim, x = wrap_dim(dim, self.ndim), vector(self)
        if x.shape[dim] == 0:
            raise EmptyReductionIndex(f"{name}(): Expected reduction dim {dim} to have non-zero "
                                      "size.")
        at = place(carry(x), dim)
        return _one(np.take_along_axis(x, at, dim), at, dim, keepdim, self.ndim)

    def whole(self):
        refuse_complex("median_cpu", self)
        flat = self.reshape(-1)
        if not flat.size:
            return np.full((), np.nan if self.dtype.kind == "f" else np.iinfo(self.dtype).min,
                           self.dtype)
        return flat[place(carry(flat), 0)[0]]

    rule(name, whole, inputs=("self",), helper=True, saves={"self": ("self", "result")},
         vjp=lambda ct, ins, y: [shared_evenly(ct, ins[0], y)],
         jvp=lambda t, ins, y: mean_of_ties(t[0], ins[0], y))
    selection(f"{name}.dim", along, node=f"{name.capitalize()}Backward1", vjp=one_back,
              jvp=one_picked)


def shared_evenly(ct, x, y):
    """ct among all elements that equal y (nan equals nan)."""
    hit = ((x == y) | (x.isnan() & y.isnan())).to(ct.dtype)
    return hit * (ct / hit.sum())


def mean_of_ties(t, x, y):
    """The mean of the tangents of all elements that equal y (of none, if it is nan, as in torch)."""
    hit = (x == y).to(t.dtype)
    return (hit * (t / hit.sum())).sum()


_median("median", False)
_median("nanmedian", True)


def _extremum(name, ufunc):
    """Of all elements; ties share the cotangent. And of two tensors, as maximum and minimum do."""
    def whole(self):
        refuse_complex(f"{name}_all", self)
        if not self.size:
            raise EmptyReduction(f"{name}(): Expected reduction dim to be specified for input.numel() "
                                 "== 0. Specify the reduction dim with the 'dim' argument.")
        return ufunc.reduce(carry(self), axis=None).astype(self.dtype)

    rule(name, whole, inputs=("self",), helper=True, node=f"{name.capitalize()}Backward1",
         saves={"self": ("self", "result")},
         vjp=lambda ct, ins, y: [shared_evenly(ct, ins[0], y)],
         jvp=lambda t, ins, y: mean_of_ties(t[0], ins[0], y))
    composite(f"{name}.other", lambda input, other: FUNCTIONS[f"{name}imum"](input, other),
              helper=True)


_extremum("max", np.maximum)
_extremum("min", np.minimum)


def mode(self, dim=-1, keepdim=False):
    """The most frequent value along `dim`, the smallest of several; the last index of it."""
    refuse_complex("mode_cpu", self)
    dim, x = wrap_dim(dim, self.ndim), vector(self)
    if x.shape[dim] == 0:
        raise EmptyReductionIndex(f"mode(): Expected reduction dim {dim} to have non-zero size.")
    rows = np.moveaxis(carry(x), dim, -1)
    at = np.empty((*rows.shape[:-1], 1), np.int64)
    for place in np.ndindex(rows.shape[:-1]):
        values, counts = np.unique(rows[place], return_counts=True)
        best = values[np.argmax(counts)]
        at[place] = np.flatnonzero((rows[place] == best) | (np.isnan(best) & (
            rows[place] != rows[place])))[-1]
    at = np.moveaxis(at, -1, dim)
    return _one(np.take_along_axis(x, at, dim), at, dim, keepdim, self.ndim)


selection("mode", mode, vjp=one_back, jvp=one_picked)
