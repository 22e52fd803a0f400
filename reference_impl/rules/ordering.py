"""Order: sort, topk, median, mode, unique, searchsorted. Chapters "Comparison Ops" and "Other".

nan counts as larger than every number. Where torch leaves open which of several equal elements is
named (an unstable sort, topk, median), the first is. In a line, ct is the cotangents, y the
results (values, indices). They are helpers: no table of operations lists them yet.
"""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import zeros
from reference_impl.dispatch import FUNCTIONS
from reference_impl.errors import (
    Argument,
    DtypeMismatch,
    DtypeUnsupported,
    EmptyReduction,
    EmptyReductionIndex,
    NotImplementedFor,
    RangeExceeded,
)
from reference_impl.geometry import wrap_dim
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.rules.indexing_ops import vector
from reference_impl.rules.reductions import carry, kept, picked
from reference_impl.tensor import Tensor, make_tensor


def index_tensor(array):
    return make_tensor(np.ascontiguousarray(array, np.int64), dt.int64)


def refuse_complex(name, x):
    if x.dtype.kind == "c":
        raise DtypeUnsupported(f"{name}(): does not support complex input")


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
        raise DtypeUnsupported("Sort does not support complex dtypes on CPU")
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


def topk(self, k, dim=-1, largest=True, sorted=True):
    """The k largest (smallest) along `dim`, in order. Raises RangeExceeded."""
    if self.dtype.kind == "c":
        raise NotImplementedFor("\"topk_cpu\" not implemented for 'ComplexFloat'")
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
    refuse_complex("kthvalue", self)
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
        refuse_complex(name, self)
        dim, x = wrap_dim(dim, self.ndim), vector(self)
        if x.shape[dim] == 0:
            raise EmptyReductionIndex(f"{name}(): Expected reduction dim {dim} to have non-zero "
                                      "size.")
        at = place(carry(x), dim)
        return _one(np.take_along_axis(x, at, dim), at, dim, keepdim, self.ndim)

    def whole(self):
        refuse_complex(name, self)
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
        refuse_complex(name, self)
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
    refuse_complex("mode", self)
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

# --- distinct elements ---


def _answers(parts, wanted):
    chosen = [p for p, w in zip(parts, (True, *wanted), strict=True) if w]
    return chosen[0] if len(chosen) == 1 else tuple(chosen)


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements (or slices along `dim`), in order. nan differs from nan."""
    x = input._array
    if dim is not None:
        dim = wrap_dim(dim, input.ndim)
        if x.shape[dim] == 0 and x.size == 0 and any(
                n == 0 for d, n in enumerate(x.shape) if d != dim):
            raise Argument("There are 0 sized dimensions, and they aren't selected, so unique "
                           "cannot be applied")
        values, inverse, counts = np.unique(x, return_inverse=True, return_counts=True, axis=dim)
        inverse = inverse.reshape(-1)
    else:
        values, inverse, counts = np.unique(carry(x), return_inverse=True, return_counts=True,
                                            equal_nan=False)
        inverse = inverse.reshape(x.shape)
    out = make_tensor(np.ascontiguousarray(values.astype(x.dtype)), input.dtype)
    return _answers((out, index_tensor(inverse), index_tensor(counts)),
                    (return_inverse, return_counts))


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The elements (slices) that differ from the one before them."""
    x = input._array
    rows = x.reshape(-1, 1) if dim is None else np.moveaxis(
        x, wrap_dim(dim, input.ndim), 0).reshape(x.shape[wrap_dim(dim, input.ndim)], -1)
    fresh = np.ones(len(rows), bool)
    fresh[1:] = (rows[1:] != rows[:-1]).any(1)
    starts = np.flatnonzero(fresh)
    if dim is None:
        values = x.reshape(-1)[starts]
    else:
        values = np.take(x, starts, wrap_dim(dim, input.ndim))
    inverse = np.cumsum(fresh) - 1
    counts = np.diff(np.append(starts, len(rows)))
    shape = x.shape if dim is None else inverse.shape
    out = make_tensor(np.ascontiguousarray(values), input.dtype)
    return _answers((out, index_tensor(inverse.reshape(shape)), index_tensor(counts)),
                    (return_inverse, return_counts))


composite("unique", unique, helper=True)
composite("unique_consecutive", unique_consecutive, helper=True)

# --- places in an ordered sequence ---


def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None):
    """Where to insert each number so that the (innermost) sequence stays ordered."""
    if side is not None and side not in ("left", "right"):
        raise Argument("torch.searchsorted(): side can only be 'left' or 'right' but got "
                       f"{side}")
    if side == "left" and right:
        raise Argument("torch.searchsorted(): side and right can't be set to opposites, got side of "
                       "left while right was True")
    to = "right" if right or side == "right" else "left"
    sequence = sorted_sequence
    if not isinstance(input, Tensor):
        input = OPERATIONS["from_array"].function(np.asarray(input), sequence.dtype)
    if sequence.ndim == 0:
        raise Argument("torch.searchsorted(): input value can be a scalar only when boundaries "
                       "tensor dimension is 1")
    if sequence.ndim != 1 and sequence._size[:-1] != input._size[:-1]:
        raise Argument("torch.searchsorted(): boundaries tensor should be 1 dimension or the first "
                       "N-1 dimensions of boundaries tensor and input value tensor must match, but "
                       f"got boundaries tensor {list(sequence._size)} and input value tensor "
                       f"{list(input._size)}")
    places = sequence._array
    if sorter is not None:
        if sorter._size != sequence._size:
            raise Argument("torch.searchsorted(): boundary and sorter must have the same size, but "
                           f"got boundary tensor {list(sequence._size)}and got sorter tensor "
                           f"{list(sorter._size)}")
        if sorter.dtype is not dt.int64:
            raise DtypeUnsupported("torch.searchsorted(): sorter must be a tensor of long dtype but "
                                   f"got dtype {sorter.dtype.scalar_name}")
        places = np.take_along_axis(places, sorter._array, -1)
    places, values = carry(places), carry(input._array)
    if sequence.ndim == 1:
        found = np.searchsorted(places, values, to)
    else:
        found = np.empty(values.shape, np.int64)
        for row in np.ndindex(values.shape[:-1]):
            found[row] = np.searchsorted(places[row], values[row], to)
    dtype = dt.int32 if out_int32 else dt.int64
    return make_tensor(np.asarray(found, dtype.np), dtype)


def bucketize(input, boundaries, *, out_int32=False, right=False):
    if boundaries.ndim != 1:
        raise Argument("torch.searchsorted(): boundaries tensor must be 1 dimension, but got "
                       f"dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


composite("searchsorted", searchsorted, method=False, helper=True)
composite("bucketize", bucketize, method=False, helper=True)


def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Whether each element is among the test elements."""
    if not isinstance(elements, Tensor):
        elements = OPERATIONS["from_array"].function(np.asarray(elements), dt.from_numpy_dtype(
            np.asarray(elements).dtype))
    tests = test_elements._array if isinstance(test_elements, Tensor) else np.asarray(test_elements)
    found = np.isin(elements._array, tests, invert=invert)
    return make_tensor(np.asarray(found), dt.bool)


composite("isin", isin, method=False, helper=True)

# --- quantiles ---

INTERPOLATIONS = ("linear", "lower", "higher", "nearest", "midpoint")


def _quantile(name, past_nan):
    def function(input, q, dim=None, keepdim=False, *, interpolation="linear"):
        if input.dtype not in (dt.float32, dt.float64):
            raise DtypeUnsupported(f"{name}() input tensor must be either float or double dtype")
        if interpolation not in INTERPOLATIONS:
            raise Argument(f"{name}() interpolation must be one of linear, lower, higher, midpoint "
                           f"or nearest, but got {interpolation}")
        if isinstance(q, Tensor):
            if q.ndim > 1:
                raise Argument(f"{name}() q must be a scalar or 1D tensor")
            if q.dtype is not input.dtype:
                raise DtypeMismatch(f"{name}() q tensor must be same dtype as the input tensor")
            points = q._array
        else:
            if not 0 <= q <= 1:
                raise Argument(f"{name}() q must be in the range [0, 1] but got {q:g}")
            points = np.asarray(q, input.dtype.np)
        if input.numel() == 0:
            raise Argument(f"{name}() input tensor must be non-empty")
        if ((points < 0) | (points > 1)).any():
            raise Argument(f"{name}() q values must be in the range [0, 1]")
        x = input.flatten() if dim is None else input
        d = wrap_dim(0 if dim is None else dim, x.ndim)
        x = (x if x.ndim else x.reshape(1)).movedim(d, -1)
        ordered = x.sort(-1)[0]
        nan = x.isnan()
        last = x._size[-1] - 1
        top = (x._size[-1] - nan.sum(-1, keepdim=True)._array - 1).clip(0) if past_nan else last
        rank = points.reshape(-1) * np.asarray(top).astype(input.dtype.np)
        rank = np.broadcast_to(rank, (*x._size[:-1], points.size))
        rank = {"lower": np.floor, "higher": np.ceil, "nearest": np.rint}.get(
            interpolation, lambda r: r)(rank)
        below = np.floor(rank)
        weight = rank - below if interpolation == "linear" else (
            np.where(rank == below, 0, 0.5) if interpolation == "midpoint" else 0 * rank)
        low = ordered.gather(-1, index_tensor(below))
        high = ordered.gather(-1, index_tensor(np.ceil(rank)))
        weights = make_tensor(np.ascontiguousarray(weight, input.dtype.np), input.dtype)
        got = FUNCTIONS["lerp"](low, high, weights)
        if not past_nan:
            got = got.masked_fill(nan.any(-1, keepdim=True), float("nan"))
        got = got.movedim(-1, 0)
        if keepdim:
            got = got.unsqueeze(d + 1) if dim is not None else got.reshape(
                (points.size,) + (1,) * input.ndim)
        elif dim is not None and not input.ndim:
            got = got.reshape((points.size,))
        return got if points.ndim else got.squeeze(0)
    composite(name, function, helper=True)


_quantile("quantile", False)
_quantile("nanquantile", True)
