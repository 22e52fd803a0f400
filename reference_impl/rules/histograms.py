"""Counts: bincount, histc, histogram, histogramdd. They are helpers: no table of operations lists
them.

A bin takes what lies at its left edge and, the last one alone, at its right edge too; what lies
outside of all bins, and nan, is not counted.
"""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import linspace
from reference_impl.errors import Argument, ArgumentType, DtypeMismatch, NotImplementedFor
from reference_impl.return_types import named
from reference_impl.rule import composite
from reference_impl.rules.reductions import carry
from reference_impl.tensor import Tensor, make_tensor

COUNTED = (dt.float32, dt.float64)


def bincount(input, weights=None, minlength=0):
    """How often each non-negative integer occurs, or the sum of its weights."""
    if input.dtype.category != dt.INT:
        raise NotImplementedFor('"bincount_cpu" not implemented for '
                                f"'{input.dtype.scalar_name}'")
    if input.ndim != 1 or (input._array < 0).any():
        raise Argument("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise Argument("minlength should be >= 0")
    if weights is None:
        return make_tensor(np.bincount(input._array, None, minlength), dt.int64)
    if weights._size != input._size:
        raise Argument("weights should be 1-d and have the same length as input")
    dtype = dt.float32 if weights.dtype is dt.float32 else dt.float64
    got = np.bincount(input._array, carry(weights._array).real.astype(np.float64), minlength)
    return make_tensor(got.astype(dtype.np), dtype)


composite("bincount", bincount, helper=True)


def count(places, shape, weights):
    """How much falls into each cell. places: (dims, points), within `shape`; an array."""
    out = np.zeros(shape, np.float64 if weights is None else weights.dtype)
    if len(shape):          # a point without coordinates lies nowhere
        np.add.at(out, tuple(places), 1 if weights is None else weights)
    return out


def outer_edges(name, columns, ranges, apart):
    """[leftmost, rightmost] of each dimension, moved `apart` where they are one.

    columns: (dims, points) array; ranges: the pairs asked for, or None. Raises Argument.
    """
    found = []
    for d, column in enumerate(columns):
        if ranges is not None:
            low, high = (columns.dtype.type(x) for x in ranges[d])
        else:
            low, high = (column.min(), column.max()) if column.size else (
                columns.dtype.type(0), columns.dtype.type(1))
        if not (np.isfinite(low) and np.isfinite(high)):
            which = f"dimension {d}'s range" if name == "torch.histogramdd" else "range of"
            raise Argument(f"{name}: {which} [{low:g}, {high:g}] is not finite")
        if low > high:
            raise Argument(f"{name}: min should not exceed max, but got min {low:g} max {high:g} for "
                           f"dimension {d}")
        found.append(_apart(low, high, apart) if low == high else (low, high))
    return found


def _apart(low, high, distance):
    """Two ends that were one, moved apart; by the least step where `distance` is lost to rounding."""
    kind = type(low)
    below, above = low - kind(distance), high + kind(distance)
    if below != above or kind not in (np.float32, np.float64):
        return below, above
    limits = np.finfo(kind)
    return (max(np.nextafter(low, limits.min), limits.min),
            min(np.nextafter(high, limits.max), limits.max))


def histc(input, bins=100, min=0, max=0):
    """Counts in `bins` equal bins of [min, max], or of the tensor's own range if these are equal."""
    if bins <= 0:
        raise Argument(f"torch.histc(): bins must be > 0, but got {bins}")
    if min > max:
        raise Argument("torch.histc: max must be larger than min")
    if not input.dtype.is_floating_point:
        raise NotImplementedFor(f'"histogram_cpu" not implemented for \'{input.dtype.scalar_name}\'')
    x = input._array.reshape(-1)
    asked = None if min == max and x.size else [(min, max)]
    (low, high), = outer_edges("torch.histc", x[None], asked, 1)
    inside = x[(x >= low) & (x <= high)]
    with np.errstate(all="ignore"):       # one step after the other in the dtype, as torch does
        scaled = (inside - low) * x.dtype.type(bins) / (high - low)
    at = np.nan_to_num(carry(scaled), nan=0).astype(np.int64).clip(0, bins - 1)
    return make_tensor(count([at], (bins,), None).astype(x.dtype), input.dtype)


composite("histc", histc, helper=True)


def _checked_edges(input, edges, dims):
    if len(edges) != dims:
        raise Argument(f"torch.histogramdd: expected {dims} sequences of bin edges for a {dims}-"
                       f"dimensional histogram but got {len(edges)}")
    for d, one in enumerate(edges):
        if one.dtype is not input.dtype:
            raise DtypeMismatch("torch.histogramdd: input tensor and bins tensors should have the "
                                f"same dtype, but got input with dtype {input.dtype.scalar_name} and "
                                f"bins for dimension {d} with dtype {one.dtype.scalar_name}")
        if one.ndim != 1:
            raise Argument("torch.histogramdd: bins tensor should have one dimension, but got "
                           f"{one.ndim} dimensions in the bins tensor for dimension {d}")
        if not one.numel():
            raise Argument("torch.histogramdd: bins tensor should have at least 1 element, but got "
                           f"0 elements in the bins tensor for dimension {d}")
    return list(edges)


def _equal_bins(dtype, points, bins, ranges):
    """Edges of equal bins between the outer ones. points: (count, dims) array."""
    dims = points.shape[1]
    if ranges is not None and len(ranges) != 2 * dims:
        raise Argument(f"torch.histogramdd: for a {dims}-dimensional histogram range should have "
                       f"{2 * dims} elements, but got {len(ranges)}")
    for d, n in enumerate(bins):
        if n <= 0:
            raise Argument(f"torch.histogram(): bins must be > 0, but got {n} for dimension {d}")
    pairs = None if ranges is None else [ranges[2 * d:2 * d + 2] for d in range(dims)]
    ends = outer_edges("torch.histogramdd", points.T, pairs, 0.5)
    return [linspace(float(low), float(high), n + 1, dtype=dtype)
            for n, (low, high) in zip(bins, ends, strict=True)]


def histogramdd(input, bins, *, range=None, weight=None, density=False):
    """Counts of points in a grid of bins; the innermost dimension of `input` is the point's.

    bins: how many, for all dimensions or for each; or a tensor of edges for each dimension.
    """
    if not input.ndim:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    dims = input._size[-1]
    if isinstance(bins, int):
        bins = [bins] * dims
    by_edges = bool(bins) and all(isinstance(b, Tensor) for b in bins)
    if not by_edges and len(bins) != dims:
        raise Argument("histogramdd: The size of bins must be equal to the innermost dimension of "
                       "the input.")
    return named("histogramdd")(_histogram(input, bins, by_edges, range, weight, density))


def _histogram(input, bins, by_edges, ranges, weight, density):
    if input.ndim < 2:
        raise Argument("torch.histogramdd: input tensor should have at least 2 dimensions")
    if input.dtype not in COUNTED:
        raise NotImplementedFor(f'"histogramdd" not implemented for \'{input.dtype.scalar_name}\'')
    dims = input._size[-1]
    if weight is not None:
        _check_weight(input, weight)
    points = input._array.reshape(int(np.prod(input._size[:-1], dtype=int)), dims)
    edges = _checked_edges(input, bins, dims) if by_edges else (
        _equal_bins(input.dtype, points, bins, ranges))
    inside = np.ones(len(points), bool)
    places = []
    for column, edge in zip(points.T, [e._array for e in edges], strict=True):
        inside &= (column >= edge[0]) & (column <= edge[-1])
        at = np.searchsorted(edge, column, "right") - 1
        places.append(np.where(column == edge[-1], len(edge) - 2, at))     # the last bin is closed
    shape = tuple(e.numel() - 1 for e in edges)
    if 0 in shape:
        raise Argument("torch.histogram(): bins must be > 0, but got 0 for dimension "
                       f"{shape.index(0)}")
    weights = None if weight is None else weight._array.reshape(-1)[inside]
    counted = count([p[inside] for p in places], shape, weights)
    hist = make_tensor(np.asarray(counted, input.dtype.np), input.dtype)
    return (_as_density(hist, edges) if density else hist), tuple(edges)


def _check_weight(input, weight):
    if weight.dtype is not input.dtype:
        raise DtypeMismatch("torch.histogramdd: if weight tensor is provided, input tensor and weight "
                            "tensor should have the same dtype, but got input("
                            f"{input.dtype.scalar_name}), and weight({weight.dtype.scalar_name})")
    if weight._size != input._size[:-1]:
        raise Argument("torch.histogramdd: if weight tensor is provided it should have the same "
                       "shape as the input tensor excluding its innermost dimension, but got input "
                       f"with shape {list(input._size)} and weight with shape {list(weight._size)}")


def _as_density(hist, edges):
    """Such that the sum over bins of density times volume is 1."""
    hist = hist / hist.sum()
    for d, edge in enumerate(edges):
        hist = hist / edge.diff().reshape((-1,) + (1,) * (hist.ndim - d - 1))
    return hist


def histogram(input, bins=100, *, range=None, weight=None, density=False):
    """Counts of all elements in equal bins, or between the edges that a tensor holds."""
    by_edges = isinstance(bins, Tensor)
    if by_edges and range is not None or not isinstance(bins, (int, Tensor)):
        raise ArgumentType("histogram() received an invalid combination of arguments - got "
                           f"(Tensor, {type(bins).__name__}{', range=tuple' if range else ''})")
    flat = input.reshape(-1, 1)
    hist, edges = _histogram(flat, [bins], by_edges, range,
                             None if weight is None else weight.reshape(-1), density)
    return named("histogram")((hist, edges[0]))


composite("histogram", histogram, helper=True)
composite("histogramdd", histogramdd, method=False, helper=True)
