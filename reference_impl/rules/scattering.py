"""Writing at positions that a tensor names: index_fill, index_copy, scatter with a reduction, put.

In a line, ct is the cotangent, ins the inputs, y the result. They are helpers: no table of
operations lists them yet, so no library is checked against them.
"""

import numpy as np

import reference_impl as torch
from reference_impl import dtypes as dt
from reference_impl.creation import zeros
from reference_impl.errors import (
    Argument,
    ArgumentType,
    DtypeMismatch,
    DtypeUnsupported,
    IndexOutOfRange,
    IndexShapeMismatch,
    ShapeMismatch,
)
from reference_impl.geometry import wrap_dim
from reference_impl.grad_mode import state
from reference_impl.places import from_array
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.rules.indexing_ops import (
    add_at,
    broadcast,
    check_index_dtype,
    scatter_places,
    vector,
)
from reference_impl.rules.reductions import products_of_others
from reference_impl.scalars import number_as
from reference_impl.tensor import Tensor


def helper(name, forward, inputs, **facts):
    rule(name, forward, inputs=inputs, inplace=True, helper=True, **facts)


def positions(name, index, size, dim, lowest):
    """A vector of positions along dim, from `lowest` on. Raises IndexOutOfRange."""
    if index.ndim > 1:
        raise IndexShapeMismatch(f"{name}: Index is supposed to be a vector")
    if index.dtype not in (np.int64, np.int32):
        raise IndexOutOfRange(f"{name}: Expected dtype int64 for index.")
    index = vector(index)
    bad = index[(index < lowest) | (index >= size)]
    if bad.size:
        raise IndexOutOfRange(f"{name}: index {bad[0]} is out of bounds for dimension {dim} with size "
                              f"{size}")
    return index


def index_fill(self, dim, index, value):
    """`value` in the slices along `dim` that the vector `index` names."""
    dim = wrap_dim(dim, self.ndim)
    if isinstance(value, complex) and self.dtype.kind != "c":
        raise DtypeUnsupported("index_fill_(): Converting complex Scalar to non-complex type is not "
                               "supported")
    out = self.copy()
    whole = vector(out)
    size = whole.shape[dim]
    places = positions("index_fill_()", index, size, dim, -size)
    np.moveaxis(whole, dim, 0)[places] = number_as(value, self.dtype)
    return out


def index_fill_tensor(self, dim, index, value):
    if value.ndim:
        raise ShapeMismatch("index_fill_ only supports a 0-dimensional value tensor, but got tensor "
                            f"with {value.ndim} dimension(s).")
    return index_fill(self, dim, index, value.item())


helper("index_fill", index_fill, ("self", "index"), saves={"self": ("index",)},
       vjp=lambda ct, ins, y, dim, value: [ct.index_fill(dim, ins[1], 0), None],
       jvp=lambda t, ins, y, dim, value: t[0].index_fill(dim, ins[1], 0))
helper("index_fill.Tensor", index_fill_tensor, ("self", "index", "value"),
       node="IndexFillBackward1", saves={"self": ("index",), "value": ("index",)},
       vjp=lambda ct, ins, y, dim: [ct.index_fill(dim, ins[1], 0), None,
                                    ct.index_select(dim, ins[1]).sum()],
       jvp=lambda t, ins, y, dim: t[0].index_fill(dim, ins[1], t[2]))


def index_copy(self, dim, index, source):
    """The slices of `source` written over those of `self` that `index` names."""
    dim = wrap_dim(dim, self.ndim)
    if index.ndim >= 2:
        raise IndexShapeMismatch("index_copy_(): Index should have dimension 1 or 0 (got "
                                 f"{index.ndim})")
    if index.dtype != np.int64:
        raise IndexOutOfRange("index_copy_(): Expected a long tensor for index, but got "
                              f"{dt.from_numpy_dtype(index.dtype).scalar_name}")
    if source.dtype != self.dtype:
        names = [dt.from_numpy_dtype(a.dtype).scalar_name for a in (self, source)]
        raise DtypeMismatch("index_copy_(): self and source expected to have the same dtype, but got "
                            f"(self) {names[0]} and (source) {names[1]}")
    if source.ndim == 0 and index.size != 1:
        raise IndexShapeMismatch("index_copy_(): When source is scalar, index should have one "
                                 f"element (got {index.size})")
    if source.ndim and self.ndim and source.ndim != self.ndim:
        raise IndexShapeMismatch("index_copy_(): When source and destination are not scalars, their "
                                 "dimensionality must match. Source dimensionality "
                                 f"({source.ndim}), destination dimensionality ({self.ndim})")
    values, out = vector(source), self.copy()
    whole = vector(out)
    if source.ndim and index.size != values.shape[dim]:
        raise IndexShapeMismatch(f"index_copy_(): Number of indices ({index.size}) should be equal "
                                 f"to source.size(dim) ({values.shape[dim]})")
    rest = [tuple(n for d, n in enumerate(a.shape) if d != dim) for a in (whole, values)]
    if rest[0] != rest[1]:
        raise ShapeMismatch("index_copy_(): Source/destination tensor must have same slice shapes. "
                            f"Destination slice shape: {rest[0]} at dimension {dim} and source "
                            f"slice shape: {rest[1]} at dimension 0.")
    places = positions("index_copy_()", index, whole.shape[dim], dim, 0)
    np.moveaxis(whole, dim, 0)[places] = np.moveaxis(values, dim, 0)
    return out


helper("index_copy", index_copy, ("self", "index", "source"),
       saves={"self": ("index",), "source": ("index", "source")},
       vjp=lambda ct, ins, y, dim: [
           ct.index_fill(dim, ins[1], 0), None,
           ct.index_select(dim, ins[1]).expand(ins[2].shape) if ins[2].dim()
           else ct.index_select(dim, ins[1].squeeze(0) if ins[1].ndim else ins[1]).reshape(())],
       jvp=lambda t, ins, y, dim: t[0].index_copy(dim, ins[1], t[2]))

# --- scatter with a reduction ---

REDUCE = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def combine(out, places, values, reduce, include_self):
    """out[places] reduced with values; mean is the sum over the count."""
    kind = "sum" if reduce == "mean" else reduce
    if not include_self:
        identity = {"sum": 0, "prod": 1}.get(kind)
        if identity is None:
            info = dt.finfo if out.dtype.kind not in "iub" else dt.iinfo
            if out.dtype.kind == "b":
                identity = kind == "amin"
            elif out.dtype.kind in "iu":
                limits = info(dt.BY_NUMPY[out.dtype])
                identity = limits.min if kind == "amax" else limits.max
            else:
                identity = -np.inf if kind == "amax" else np.inf
        out[places] = identity
    if kind == "sum":
        add_at(out, places, values)
    else:
        REDUCE[kind].at(out, places, values)
    if reduce == "mean":
        counts = np.full(out.shape, int(include_self), np.int64)
        np.add.at(counts, places, 1)
        counts = np.maximum(counts, 1)
        out[...] = np.floor_divide(out, counts) if out.dtype.kind in "iu" else out / counts


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


def scattered_to(x, dim, index):
    """Flat position in x of every element that an index of scatter names."""
    grid = np.indices(index.shape)
    if index.ndim:
        grid[dim] = index._array
    return flat_places(grid, x)


def slices_to(x, dim, index, source):
    """Flat position in x of every element of slices that index_reduce writes."""
    grid = np.indices(source.shape)
    if source.ndim:
        grid[dim] = vector(index._array)[grid[dim]]
    return flat_places(grid, x)


def flat_places(grid, x):
    return np.ravel_multi_index(tuple(grid), x._size).reshape(-1) if x.ndim else np.zeros(
        grid[0].size if len(grid) else 1, int)


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


def reduce_vjp(name, ct, ins, y, gather, scatter_add, reduce, include_self, clear, places):
    """Cotangents of self and src. gather(t), scatter_add(t, src): by the index; clear(t): 0 there.

    places(): flat position of every element of src.
    """
    x, src = ins[0], ins[2]
    to_self = ct if include_self else clear(ct)
    if reduce == "sum":
        return [to_self, None, gather(ct)]
    if reduce == "mean":
        base = x * 0 + 1 if include_self else clear(x * 0 + 1)
        count = scatter_add(base, src * 0 + 1)
        count = count.masked_fill(count == 0, 1)
        return [to_self / count, None, gather(ct / count)]
    if reduce == "prod":
        at = places()
        of_self, of_src = other_factors(x, src, at, include_self)
        return [ct * of_self.conj() if include_self else to_self, None,
                twice_refused(gather(ct) * of_src.conj(), name, src, at)]
    mine, theirs = (x == y), (src == gather(y))
    count = scatter_add(mine.to(ct.dtype) if include_self else clear(mine.to(ct.dtype)),
                        theirs.to(ct.dtype))
    share = ct / count
    kept = share.masked_fill(mine.logical_not(), 0)
    return [kept if include_self else clear(kept), None,
            gather(share).masked_fill(theirs.logical_not(), 0)]


def scatter_reduce_jvp(t, ins, y, dim, reduce, include_self):
    """Sums are linear; of several extrema the mean of the tangents; products by the product rule.

    torch gives no tangent at all for products: https://github.com/pytorch/pytorch/issues/196702.
    """
    index = ins[1]
    if reduce in ("sum", "mean"):
        return t[0].scatter_reduce(dim, index, t[2], reduce, include_self=include_self)
    if reduce == "prod":
        of_self, of_src = other_factors(ins[0], ins[2], scattered_to(ins[0], dim, index),
                                        include_self)
        moved = t[0] * of_self if include_self else t[0].scatter(dim, index, 0)
        return moved.scatter_add(dim, index, t[2] * of_src)

    def added(mine, theirs):
        return mine.scatter_reduce(dim, index, theirs, "sum", include_self=include_self)
    mine, theirs = ins[0] == y, ins[2] == y.gather(dim, index)
    total = added(t[0].masked_fill(mine.logical_not(), 0), t[2].masked_fill(theirs.logical_not(), 0))
    return total / added(mine.to(total.dtype), theirs.to(total.dtype))


helper("scatter_reduce", scatter_reduce, ("self", "index", "src"),
       saves=("self", "index", "src", "result"), jvp=scatter_reduce_jvp,
       vjp=lambda ct, ins, y, dim, reduce, include_self: reduce_vjp(
           "scatter_reduce", ct, ins, y, lambda t: t.gather(dim, ins[1]),
           lambda t, src: t.scatter_add(dim, ins[1], src), reduce, include_self,
           lambda t: t.scatter(dim, ins[1], 0), lambda: scattered_to(ins[0], dim, ins[1])))


def index_reduce(self, dim, index, source, reduce, *, include_self=True):
    """The slices of self that `index` names reduced with those of source."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise Argument("index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
                       f"{reduce}.")
    check_index_dtype("index_reduce", index)
    if source.dtype != self.dtype:
        raise DtypeMismatch("index_reduce_(): self and source must have the same scalar type")
    dim, out, values = wrap_dim(dim, self.ndim), self.copy(), vector(source)
    whole = vector(out)
    places = vector(index)
    bad = places[(places < 0) | (places >= whole.shape[dim])]
    if bad.size:
        raise IndexOutOfRange("index out of range in self")
    combine(np.moveaxis(whole, dim, 0), (places,), np.moveaxis(values, dim, 0), reduce,
            include_self)
    return out


helper("index_reduce", index_reduce, ("self", "index", "source"),
       saves=("self", "index", "source", "result"),
       vjp=lambda ct, ins, y, dim, reduce, include_self: reduce_vjp(
           "index_reduce", ct, ins, y, lambda t: t.index_select(dim, ins[1]),
           lambda t, src: t.index_add(dim, ins[1], src), reduce, include_self,
           lambda t: t.index_fill(dim, ins[1], 0),
           lambda: slices_to(ins[0], dim, ins[1], ins[2])))

OLD = {"add": "sum", "multiply": "prod"}


def old_reduce(reduce):
    if reduce not in OLD:
        raise Argument(f"reduce argument must be either add or multiply, got {reduce}.")
    return OLD[reduce]


def scatter_old(self, dim, index, src, *, reduce):
    return scatter_reduce(self, dim, index, src, old_reduce(reduce))


def scatter_old_number(self, dim, index, value, *, reduce):
    source = np.broadcast_to(number_as(value, self.dtype), index.shape)
    return scatter_reduce(self, dim, index, source, old_reduce(reduce))


helper("scatter.reduce", scatter_old, ("self", "index", "src"))
helper("scatter.value_reduce", scatter_old_number, ("self", "index"))

# --- put, masked_scatter ---


def put(self, index, source, accumulate=False):
    """Elements of source written at positions of self in row-major order."""
    if index.dtype != np.int64:
        raise DtypeUnsupported("put_(): Expected a long tensor for index, but got "
                               f"{dt.from_numpy_dtype(index.dtype).scalar_name}")
    if source.dtype != self.dtype:
        raise DtypeMismatch("put_(): self and source expected to have the same dtype, but got "
                            f"self.dtype = {dt.BY_NUMPY[self.dtype].scalar_name} and source.dtype = "
                            f"{dt.BY_NUMPY[source.dtype].scalar_name}")
    if index.size != source.size:
        raise ShapeMismatch("put_(): Expected source and index to have the same number of elements, "
                            f"but got source.numel() = {source.size}, index.numel() = {index.size}")
    size = self.size
    bad = index[(index < -size) | (index >= size)]
    if bad.size:
        raise IndexOutOfRange("put_(): Expected index to be in bounds" if size == 0 else
                              f"out of range: tried to access index {bad.flat[0]} on a tensor of "
                              f"{size} elements.")
    flat = self.reshape(-1).copy()
    places, values = index.reshape(-1), source.reshape(-1)
    if accumulate:
        add_at(flat, (places,), values)
    else:
        flat[places] = values
    return flat.reshape(self.shape)


helper("put", put, ("self", "index", "source"), layout="preserve",
       saves={"self": ("index",), "source": ("index", "source")},
       vjp=lambda ct, ins, y, accumulate: [
           ct if accumulate else ct.put(ins[1], zeros(ins[1].shape, dtype=ct.dtype)), None,
           ct.take(ins[1]).reshape(ins[2].shape)],
       jvp=lambda t, ins, y, accumulate: t[0].put(ins[1], t[2], accumulate))


def masked_scatter(self, mask, source):
    """Elements of source, in their order, written where the mask is true."""
    if mask.dtype != np.bool_:
        raise DtypeUnsupported("masked_scatter_ only supports boolean masks, but got mask with "
                               f"dtype {dt.from_numpy_dtype(mask.dtype).scalar_name}")
    if source.dtype != self.dtype:
        names = [dt.from_numpy_dtype(a.dtype).scalar_name for a in (self, source)]
        raise DtypeMismatch("masked_scatter: expected self and source to have same dtypes but got "
                            f"{names[0]} and {names[1]}")
    mask, self = broadcast(mask, self)
    count = int(mask.sum())
    if count > source.size:
        raise ShapeMismatch("Number of elements of source < number of ones in mask")
    out = self.copy()
    out[mask] = source.reshape(-1)[:count]
    return out


def masked_scatter_back(ct, mask, shape, count):
    found = ct.masked_select(mask)
    return torch.cat([found, zeros((count - found.numel(),), dtype=ct.dtype)]).reshape(shape)


helper("masked_scatter", masked_scatter, ("self", "mask", "source"),
       saves={"self": ("mask",), "source": ("mask",)},
       vjp=lambda ct, ins, y: [ct.masked_fill(ins[1], 0), None,
                               masked_scatter_back(ct, ins[1], ins[2].shape, ins[2].numel())],
       jvp=lambda t, ins, y: t[0].masked_scatter(ins[1], t[2]))


def fill_diagonal_(input, fill_value, wrap=False):
    """Write one number along the main diagonal; wrap: it starts anew below in tall matrices."""
    if input.ndim < 2:
        raise Argument("dimensions must larger than 1")
    if input.ndim > 2 and len(set(input._size)) > 1:
        raise Argument("all dimensions of input must be of equal length")
    step = sum(input._stride)
    length = min(input._size)
    if wrap and input.ndim == 2 and input._size[0] > input._size[1] + 1:
        rows, columns = input._size
        places = range(0, rows * columns, columns + 1)
        for p in places:
            input[p // columns, p % columns].fill_(fill_value)
        return input
    input.as_strided((length,), (step,), input._offset).fill_(fill_value)
    return input


composite("fill_diagonal_", fill_diagonal_, function=False, helper=True)
composite("sum_to_size", lambda input, *size: sum_to(input, size), function=False, helper=True)


def sum_to(input, size):
    from reference_impl.accumulate import sum_to_size
    from reference_impl.shapes import sizes_of
    return sum_to_size(input, sizes_of(size))


def fill(input, value):
    """A tensor like `input` that holds `value` everywhere."""
    return input.clone().fill_(value)


composite("fill", fill, method=False, helper=True)


def _mapping(name, count):
    """`name`: writes callable(element, of others …) over each element, the others broadcast."""
    def method(self, *args):
        *others, callable = args
        if len(others) != count:
            raise ArgumentType(f"{name}() takes {count + 1} arguments, but {len(args)} were given")
        if any(t.requires_grad for t in (self, *others)):
            raise Argument(f"Can't call {name}() on Variable that requires grad. Use "
                           f"var.detach().{name}() instead.")
        rows = [t.expand(self._size)._array.reshape(-1).tolist() for t in (self, *others)]
        values = [callable(*row) for row in zip(*rows, strict=True)]
        return self.copy_(OPERATIONS["from_array"].function(
            np.array(values).reshape(self._size), self.dtype))
    method.__name__ = name
    setattr(Tensor, name, method)


for _name, _count in (("apply_", 0), ("map_", 1), ("map2_", 2)):
    _mapping(_name, _count)
