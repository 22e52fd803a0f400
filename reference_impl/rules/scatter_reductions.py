"""scatter and index writes that combine with what is there: sum, prod, mean, amax, amin.

In a line, ct is the cotangent, ins the inputs, y the result. They are helpers: no table of
operations lists them yet, so no library is checked against them.
"""

import numpy as np

import reference_impl as torch
from reference_impl import dtypes as dt
from reference_impl.errors import Argument, DtypeMismatch
from reference_impl.geometry import wrap_dim
from reference_impl.grad_mode import state
from reference_impl.places import from_array
from reference_impl.rule import rule
from reference_impl.rules.indexing_ops import add_at, check_slices, scatter_places, vector
from reference_impl.rules.reductions import products_of_others
from reference_impl.scalars import number_as

REDUCE = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def lowest(dtype):
    """What every number of the NumPy dtype is at least."""
    if dtype.kind == "b":
        return False
    return np.iinfo(dtype).min if dtype.kind in "iu" else -np.inf


def highest(dtype):
    if dtype.kind == "b":
        return True
    return np.iinfo(dtype).max if dtype.kind in "iu" else np.inf


def combine(out, places, values, reduce, include_self):
    """out[places] reduced with values; mean is the sum over the count."""
    kind = "sum" if reduce == "mean" else reduce
    if not include_self:
        out[places] = {"sum": 0, "prod": 1, "amax": lowest(out.dtype),
                       "amin": highest(out.dtype)}[kind]
    if kind == "sum":
        add_at(out, places, values)
    elif kind == "prod" and out.dtype.kind == "c":
        multiply_at(out, places, values)
    else:
        REDUCE[kind].at(out, places, values)
    if reduce == "mean":
        counts = np.full(out.shape, int(include_self), np.int64)
        np.add.at(counts, places, 1)
        counts = np.maximum(counts, 1)
        if out.dtype.kind == "c":
            counts = counts.astype(out.dtype)
        out[...] = np.floor_divide(out, counts) if out.dtype.kind in "iu" else out / counts


def multiply_at(out, places, values):
    """As np.multiply.at, with the roundings of out * value: that one takes other instructions."""
    index = np.broadcast_arrays(*places)
    flat = np.ravel_multi_index(index, out.shape[:len(index)]).reshape(-1)
    rest = out.shape[len(index):]
    rows, factors = out.reshape(-1, *rest), np.broadcast_to(
        values, index[0].shape + rest).reshape(-1, *rest)
    turn = np.zeros(flat.size, np.int64)        # how often the place was named before
    order = np.argsort(flat, kind="stable")
    named = flat[order]
    starts = np.flatnonzero(np.append(True, named[1:] != named[:-1]))
    turn[order] = np.arange(flat.size) - np.repeat(starts, np.diff(np.append(starts, flat.size)))
    for k in range(turn.max(initial=-1) + 1):
        chosen = turn == k
        rows[flat[chosen]] = rows[flat[chosen]] * factors[chosen]
    out[...] = rows.reshape(out.shape)


def scatter_reduce(self, dim, index, src, reduce, *, include_self=True):
    """self[index[i][j]][j] reduced with src[i][j] for dim 0, and so on."""
    if reduce not in (*REDUCE, "mean"):
        raise Argument("reduce argument must be either sum, prod, mean, amax or amin, got "
                       f"{reduce}")
    if src.dtype != self.dtype:
        raise DtypeMismatch("scatter(): Expected self.dtype to be equal to src.dtype")
    out, found = self.copy(), scatter_places(self, dim, index, src)
    if found:
        combine(vector(out), *found, reduce, include_self)
    return out


class _At:
    """The same places read and written: `dim` and the index of a scatter, or of an index_add."""

    def __init__(self, dim, index, whole):
        self.dim, self.index, self.whole = dim, index, whole

    def read(self, t):
        return t.gather(self.dim, self.index) if self.whole else (
            t.index_select(self.dim, self.index))

    def add(self, t, src):
        return t.scatter_add(self.dim, self.index, src) if self.whole else (
            t.index_add(self.dim, self.index, src))

    def clear(self, t):
        return t.scatter(self.dim, self.index, 0) if self.whole else (
            t.index_fill(self.dim, self.index, 0))

    def places(self, x, src):
        """Flat position in x of every element of src."""
        size = self.index._size if self.whole else src._size
        grid = np.indices(size)
        if size:
            at = self.index._array
            grid[self.dim] = at if self.whole else vector(at)[grid[self.dim]]
        if x.ndim:
            return np.ravel_multi_index(tuple(grid), x._size).reshape(-1)
        return np.zeros(grid[0].size if len(grid) else 1, int)


def other_factors(x, src, places, include_self):
    """For every element of x, and of src, the product of all that it is multiplied with."""
    size = x.numel()
    factors = torch.cat([x.reshape(-1), src.reshape(-1), torch.ones(1, dtype=x.dtype)])
    groups = [[p] if include_self else [] for p in range(size)]
    for k, p in enumerate(places):
        groups[p].append(size + k)
    width = max(map(len, groups), default=0)
    table = np.full((size, width), factors.numel() - 1)      # the one fills up
    where = np.zeros(size + len(places), int)
    for row, group in enumerate(groups):
        table[row, :len(group)] = group
        where[group] = row * width + np.arange(len(group))
    factors = factors.index_select(0, from_array(table.reshape(-1), dt.int64))
    rest = products_of_others(factors.reshape(table.shape), 1).reshape(-1)
    rest = rest.index_select(0, from_array(where, dt.int64))
    return rest[:size].reshape(x.shape), rest[size:].reshape(src.shape)


def twice_refused(t, name, src, places):
    """`t`, which may be differentiated again unless two zeros of src are factors of one product."""
    zeros_at = np.bincount(places, src._array.reshape(-1) == 0)
    if state.enabled and (zeros_at > 1).any():
        from reference_impl.nodes import DelayedError
        return DelayedError(f"{name}(): Double backward is unsupported for src when >1 zeros in src "
                            "are scattered to the same position in self", 1)(t)
    return t


def reduce_vjp(name, ct, ins, y, at, reduce, include_self):
    """Cotangents of self and src."""
    x, src = ins[0], ins[2]
    to_self = ct if include_self else at.clear(ct)
    if reduce == "sum":
        return [to_self, None, at.read(ct)]
    if reduce == "mean":
        base = x * 0 + 1 if include_self else at.clear(x * 0 + 1)
        count = at.add(base, src * 0 + 1)
        count = count.masked_fill(count == 0, 1)
        return [to_self / count, None, at.read(ct / count)]
    if reduce == "prod":
        places = at.places(x, src)
        of_self, of_src = other_factors(x, src, places, include_self)
        return [ct * of_self.conj() if include_self else to_self, None,
                twice_refused(at.read(ct) * of_src.conj(), name, src, places)]
    mine, theirs = (x == y), (src == at.read(y))
    count = at.add(mine.to(ct.dtype) if include_self else at.clear(mine.to(ct.dtype)),
                   theirs.to(ct.dtype))
    share = ct / count
    kept = share.masked_fill(mine.logical_not(), 0)
    return [kept if include_self else at.clear(kept), None,
            at.read(share).masked_fill(theirs.logical_not(), 0)]


def scatter_reduce_jvp(t, ins, y, dim, reduce, include_self):
    """Sums are linear; of several extrema the mean of the tangents; products by the product rule.

    torch gives no tangent at all for products: https://github.com/pytorch/pytorch/issues/196702.
    """
    index = ins[1]
    if reduce in ("sum", "mean"):
        return t[0].scatter_reduce(dim, index, t[2], reduce, include_self=include_self)
    if reduce == "prod":
        places = _At(dim, index, True).places(ins[0], ins[2])
        of_self, of_src = other_factors(ins[0], ins[2], places, include_self)
        moved = t[0] * of_self if include_self else t[0].scatter(dim, index, 0)
        return moved.scatter_add(dim, index, t[2] * of_src)

    def added(mine, theirs):
        return mine.scatter_reduce(dim, index, theirs, "sum", include_self=include_self)
    mine, theirs = ins[0] == y, ins[2] == y.gather(dim, index)
    total = added(t[0].masked_fill(mine.logical_not(), 0), t[2].masked_fill(theirs.logical_not(), 0))
    return total / added(mine.to(total.dtype), theirs.to(total.dtype))


rule("scatter_reduce", scatter_reduce, inputs=("self", "index", "src"), inplace=True, helper=True,
     saves=("self", "index", "src", "result"), jvp=scatter_reduce_jvp,
     vjp=lambda ct, ins, y, dim, reduce, include_self: reduce_vjp(
         "scatter_reduce", ct, ins, y, _At(dim, ins[1], True), reduce, include_self))


def index_reduce(self, dim, index, source, reduce, *, include_self=True):
    """The slices of self that `index` names reduced with those of source."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise Argument("index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
                       f"{reduce}.")
    dim = wrap_dim(dim, self.ndim)
    check_slices("index_reduce_", dim, self, index, source)
    out = self.copy()
    combine(np.moveaxis(vector(out), dim, 0), (vector(index),), np.moveaxis(vector(source), dim, 0),
            reduce, include_self)
    return out


rule("index_reduce", index_reduce, inputs=("self", "index", "source"), inplace=True, helper=True,
     saves=("self", "index", "source", "result"),
     vjp=lambda ct, ins, y, dim, reduce, include_self: reduce_vjp(
         "index_reduce", ct, ins, y, _At(dim, ins[1], False), reduce, include_self))

OLD = {"add": "sum", "multiply": "prod"}


def old_reduce(reduce):
    if reduce not in OLD:
        raise Argument("reduce argument must be either add or multiply.")
    return OLD[reduce]


def scatter_old(self, dim, index, src, *, reduce):
    return scatter_reduce(self, dim, index, src, old_reduce(reduce))


def scatter_old_number(self, dim, index, value, *, reduce):
    source = np.broadcast_to(number_as(value, self.dtype), index.shape)
    return scatter_reduce(self, dim, index, source, old_reduce(reduce))


rule("scatter.reduce", scatter_old, inputs=("self", "index", "src"), inplace=True, helper=True)
rule("scatter.value_reduce", scatter_old_number, inputs=("self", "index"), inplace=True,
     helper=True)
