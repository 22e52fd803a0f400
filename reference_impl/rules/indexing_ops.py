"""Reading and adding at positions that a tensor names. Chapter "Indexing, Slicing, Joining,
Mutating Ops" of torch. (x[index] itself is in reference_impl/indexing.py.)

In a line, ct is the cotangent, ins the inputs, y the result.
"""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import zeros, zeros_like
from reference_impl.errors import (
    DtypeMismatch,
    DtypeUnsupported,
    IndexOutOfRange,
    IndexShapeMismatch,
    IndexValueOutOfRange,
    ShapeMismatch,
    shape_text,
)
from reference_impl.geometry import broadcast_shapes, wrap_dim
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.scalars import number_as

INTEGER_INDEX = (np.int64, np.int32)


def vector(a):
    """`a`, or a vector of its one element."""
    return a if a.ndim else a.reshape(1)


def check_index_dtype(name, index):
    if index.dtype not in INTEGER_INDEX:
        raise DtypeUnsupported(f"{name}(): Expected dtype int32/int64 for index")


def along(dim, index):
    """The NumPy index whose dimension `dim` is `index`, while the others count up."""
    grid = list(np.indices(index.shape, sparse=True))
    grid[dim] = index
    return tuple(grid)


def check_within(index, size, dim):
    """Raises IndexValueOutOfRange: gather and scatter take no negative index."""
    bad = index[(index < 0) | (index >= size)]
    if bad.size:
        raise IndexValueOutOfRange(f"index {bad.flat[0]} is out of bounds for dimension {dim} "
                                   f"with size {size}")


# gather and scatter: the index has as many dimensions as the tensor


def gather(self, dim, index, *, sparse_grad=False):
    """out[i][j] = self[i][index[i][j]] for dim 1, and so on."""
    dim, whole, places = wrap_dim(dim, self.ndim), vector(self), vector(index)
    if index.size == 0:
        return np.empty(index.shape, self.dtype)
    check_index_dtype("gather", index)
    if whole.ndim != places.ndim:
        raise ShapeMismatch("Index tensor must have the same number of dimensions as input tensor")
    for d in range(whole.ndim):
        if d != dim and places.shape[d] > whole.shape[d]:
            raise ShapeMismatch(f"Size does not match at dimension {d} expected index "
                                f"{shape_text(index.shape)} to be no larger than self "
                                f"{shape_text(self.shape)} apart from dimension {dim}")
    check_within(places, whole.shape[dim], dim)
    return whole[along(dim, places)].reshape(index.shape)


def scatter_places(self, dim, index, src):
    """Where scatter writes: a NumPy index of `vector(self)`, and the part of src that is used.

    None when the index is empty: then nothing is written, and nothing more is checked.
    """
    if src.dtype != self.dtype:
        raise DtypeMismatch("scatter(): Expected self.dtype to be equal to src.dtype")
    dim = wrap_dim(dim, self.ndim)
    if index.size == 0:
        return None
    check_index_dtype("scatter", index)
    whole, places, values = vector(self), vector(index), vector(src)
    for name, other in (("self", whole), ("src", values)):
        if places.ndim != other.ndim:
            raise ShapeMismatch("Index tensor must have the same number of dimensions as "
                                f"{name} tensor")
    for d in range(whole.ndim):
        if (d != dim and places.shape[d] > whole.shape[d]) or places.shape[d] > values.shape[d]:
            raise ShapeMismatch(f"Expected index {shape_text(index.shape)} to be no larger than "
                                f"self {shape_text(self.shape)} apart from dimension {dim} and to "
                                f"be no larger size than src {shape_text(src.shape)}")
    check_within(places, whole.shape[dim], dim)
    return along(dim, places), values[tuple(slice(n) for n in places.shape)]


def add_at(out, places, values):
    """out[places] += values, adding again where a place is named again; bool: or."""
    if out.dtype == np.bool_:
        np.logical_or.at(out, places, values)
    else:
        np.add.at(out, places, values)


def scatter_add(self, dim, index, src):
    """self[index[i][j]][j] += src[i][j] for dim 0, and so on."""
    out, found = self.copy(), scatter_places(self, dim, index, src)
    if found:
        add_at(vector(out), *found)
    return out


def scatter(self, dim, index, src):
    """self[index[i][j]][j] = src[i][j] for dim 0; undetermined where an index is repeated."""
    out, found = self.copy(), scatter_places(self, dim, index, src)
    if found:
        places, values = found
        vector(out)[places] = values
    return out


def scatter_value(self, dim, index, value):
    number = number_as(value, self.dtype)
    return scatter(self, dim, index, np.broadcast_to(number, index.shape))


rule("gather", gather, inputs=("self", "index"), saves={"self": ("self", "index")},
     vjp=lambda ct, ins, y, dim, sparse_grad: [
         zeros(ins[0].shape, dtype=ct.dtype).scatter_add(dim, ins[1], ct), None],
     jvp=lambda t, ins, y, dim, sparse_grad: t[0].gather(dim, ins[1]))
rule("scatter_add", scatter_add, inputs=("self", "index", "src"), inplace=True,
     saves={"src": ("index",)},
     vjp=lambda ct, ins, y, dim: [ct, None, ct.gather(dim, ins[1])],
     jvp=lambda t, ins, y, dim: t[0].scatter_add(dim, ins[1], t[2]))
rule("scatter", scatter, inputs=("self", "index", "src"), inplace=True,
     saves={"self": ("index",), "src": ("index",)},
     vjp=lambda ct, ins, y, dim: [ct.scatter(dim, ins[1], 0), None, ct.gather(dim, ins[1])],
     jvp=lambda t, ins, y, dim: t[0].scatter(dim, ins[1], t[2]))
rule("scatter.value", scatter_value, inputs=("self", "index"), inplace=True,
     helper=True, node="ScatterBackward1", saves={"self": ("index",)},
     vjp=lambda ct, ins, y, dim, value: [ct.scatter(dim, ins[1], 0), None],
     jvp=lambda t, ins, y, dim, value: t[0].scatter(dim, ins[1], 0))


def take_along_dim(input, indices, dim=None):
    """As gather, with indices broadcast to the tensor and the tensor to the indices."""
    if indices.dtype is not dt.int64:
        raise DtypeUnsupported("torch.take_along_dim(): dtype of indices should be Long but got "
                               f"{indices.dtype.scalar_name}")
    if dim is None:
        return input.reshape(-1).gather(0, indices.reshape(-1))
    if input.ndim != indices.ndim:
        raise ShapeMismatch("torch.take_along_dim(): input and indices should have the same number "
                            f"of dimensions, but got {input.ndim} dimensions for input, and "
                            f"{indices.ndim} dimensions for indices")
    dim = wrap_dim(dim, input.ndim)
    one = [tuple(n for d, n in enumerate(t.shape) if d != dim) for t in (input, indices)]
    rest = broadcast_shapes(*one)
    shapes = [(*rest[:dim], t.shape[dim], *rest[dim:]) for t in (input, indices)]
    found = indices.expand(shapes[1])
    size = input.shape[dim]
    bad = found._array[(found._array < -size) | (found._array >= size)]
    if bad.size:
        raise IndexOutOfRange(f"index {bad.flat[0]} is out of bounds for dimension {dim} with "
                              f"size {size}")
    if (found._array < 0).any():     # counted from the end, as in numpy.take_along_axis
        found = found + (found < 0) * size
    return input.expand(shapes[0]).gather(dim, found)


def slicing(input, dim=0, start=None, end=None, step=1):
    """x[start:end:step] along one dimension: what PyTorch's schema calls slice."""
    return OPERATIONS["slice"].function(input, dim, start, end, step)


composite("take_along_dim", take_along_dim)
composite("slicing", slicing, function=False, method=False)


# index_select and index_add: a vector of positions along one dimension


def check_positions(name, dim, index, size, other=None):
    check_index_dtype(name, index)
    if index.ndim > 1:
        raise IndexShapeMismatch(f"{name}(): Index is supposed to be a vector")
    bad = index[(index < 0) | (index >= size)]
    if bad.size:
        raise IndexOutOfRange("index out of range in self")


def index_select(self, dim, index):
    """The slices of `self` along `dim` that `index` (a vector) names, in that order."""
    dim, whole, places = wrap_dim(dim, self.ndim), vector(self), vector(index)
    if self.ndim == 0 and places.size > 1:
        raise ShapeMismatch("index_select(): Index to scalar can have only 1 value, got "
                            f"{places.size} value(s)")
    check_positions("index_select", dim, index, whole.shape[dim])
    taken = np.take(whole, places, axis=dim)
    return taken if self.ndim else taken.reshape(places.shape[:1] if places.size != 1 else ())


def check_slices(name, dim, self, index, source):
    """Whether `index` names slices of `self` along `dim`, one for each of those of `source`."""
    if index.ndim > 1:
        kind = dt.from_numpy_dtype(index.dtype).scalar_name
        raise IndexShapeMismatch(f"{name}(): Index is supposed to be a vector, but got dim: "
                                 f"{index.ndim} with type: {kind} and size: "
                                 f"{shape_text(index.shape)}")
    if index.dtype not in INTEGER_INDEX:
        raise DtypeUnsupported(f"{name}(): Expected dtype int32/int64 for index but got: "
                               f"{dt.from_numpy_dtype(index.dtype).scalar_name}")
    if source.dtype != self.dtype:
        names = [dt.from_numpy_dtype(a.dtype).scalar_name for a in (self, source)]
        raise DtypeMismatch(f"{name}(): self ({names[0]}) and source ({names[1]}) must have "
                            "the same scalar type")
    places, whole, values = vector(index), vector(self), vector(source)
    count = values.shape[dim] if dim < values.ndim else 0
    if places.size != count:
        raise ShapeMismatch(f"{name}(): Number of indices ({places.size}) should be equal to "
                            f"source.size(dim): ({count}), for dim: {dim}")
    trimmed = [tuple(n for d, n in enumerate(a.shape) if d != dim) for a in (whole, values)]
    if trimmed[0] != trimmed[1]:
        raise ShapeMismatch("source tensor shape must match self tensor shape, excluding the "
                            f"specified dimension. Got self.shape = {shape_text(self.shape)} "
                            f"source.shape = {shape_text(source.shape)}")
    check_positions(name, dim, index, whole.shape[dim])


def index_add(self, dim, index, source, *, alpha=1):
    """self[index[i]] += alpha * source[i] along `dim`, in the order of the index."""
    dim = wrap_dim(dim, self.ndim)
    check_slices("index_add_", dim, self, index, source)
    out, values = self.copy(), vector(source)
    if alpha != 1:
        values = values * number_as(alpha, self.dtype)
    add_at(np.moveaxis(vector(out), dim, 0), (vector(index),), np.moveaxis(values, dim, 0))
    return out


rule("index_select", index_select, inputs=("self", "index"), saves={"self": ("index",)},
     vjp=lambda ct, ins, y, dim: [
         zeros(ins[0].shape, dtype=ct.dtype).index_add(dim, ins[1], ct), None],
     jvp=lambda t, ins, y, dim: t[0].index_select(dim, ins[1]))
rule("index_add", index_add, inputs=("self", "index", "source"), inplace=True,
     saves={"source": ("index", "source")},
     vjp=lambda ct, ins, y, dim, alpha: [
         ct, None, (ct * alpha).index_select(dim, ins[1]).reshape(ins[2].shape)],
     jvp=lambda t, ins, y, dim, alpha: t[0].index_add(dim, ins[1], t[2], alpha=alpha))


def take(self, index):
    """Elements of `self` in row-major order; negative positions count from the end."""
    if index.dtype != np.int64:
        raise DtypeUnsupported("take(): Expected a long tensor for index, but got "
                               f"{dt.from_numpy_dtype(index.dtype).scalar_name}")
    size = self.size
    bad = index[(index < -size) | (index >= size)]
    if bad.size:
        what = "take(): tried to take from an empty tensor" if size == 0 else (
            f"out of range: tried to access index {bad.flat[0]} on a tensor of {size} elements.")
        raise IndexOutOfRange(what)
    return self.reshape(-1)[index]


rule("take", take, inputs=("self", "index"), saves={"self": ("self", "index")},
     vjp=lambda ct, ins, y: [zeros((ins[0].numel(),), dtype=ct.dtype).index_put(
         (ins[1],), ct, True).reshape(ins[0].shape), None],
     jvp=lambda t, ins, y: t[0].take(ins[1]))


# masks


def check_mask(name, mask):
    if mask.dtype != np.bool_:
        kind = dt.from_numpy_dtype(mask.dtype)
        raise DtypeUnsupported(f"{name} only supports boolean masks, but got mask with dtype {kind}")


def masked_fill(self, mask, value):
    """`self`, or the number where the mask, broadcast with it, is true."""
    check_mask("masked_fill_", mask)
    value = number_as(value, self.dtype)
    mask, self = broadcast(mask, self)
    return np.where(mask, value, self)


def masked_fill_tensor(self, mask, value):
    check_mask("masked_fill_", mask)
    if value.ndim:
        raise ShapeMismatch("masked_fill_ only supports a 0-dimensional value tensor, but got "
                            f"tensor with {value.ndim} dimension(s).")
    mask, self = broadcast(mask, self)
    return np.where(mask, value.astype(self.dtype), self)


def broadcast(*arrays):
    """The arrays, expanded to one shape. Raises ShapeMismatch."""
    shape = broadcast_shapes(*(a.shape for a in arrays))
    return [np.broadcast_to(a, shape) for a in arrays]


def masked_select(self, mask):
    """A vector of the elements where the mask, broadcast with `self`, is true."""
    if mask.dtype != np.bool_:
        raise DtypeUnsupported("masked_select: expected BoolTensor for mask")
    mask, self = broadcast(mask, self)
    return self[mask]


def spread(ct, like, mask):
    """Zeros with the elements of `ct` where the mask, broadcast with `like`, is true."""
    shape = broadcast_shapes(like.shape, mask.shape)
    if not shape:
        return zeros(1, dtype=ct.dtype).index_put((mask.reshape(1),), ct).reshape(())
    empty = zeros_like(like.expand(shape), dtype=ct.dtype)
    return empty.index_put((mask.expand(shape),), ct)


rule("masked_fill", masked_fill, inputs=("self", "mask"), inplace=True, saves={"self": ("mask",)},
     vjp=lambda ct, ins, y, value: [ct.masked_fill(ins[1], 0), None],
     jvp=lambda t, ins, y, value: t[0].masked_fill(ins[1], 0))
rule("masked_fill.Tensor", masked_fill_tensor, inputs=("self", "mask", "value"), inplace=True,
     node="MaskedFillBackward1", saves={"self": ("mask",), "value": ("mask",)},
     vjp=lambda ct, ins, y: [ct.masked_fill(ins[1], 0), None,
                             ct.masked_fill(ins[1].logical_not(), 0).sum()],
     jvp=lambda t, ins, y: t[0].masked_fill(ins[1], t[2]))
rule("masked_select", masked_select, inputs=("self", "mask"), saves={"self": ("self", "mask")},
     vjp=lambda ct, ins, y: [spread(ct, ins[0], ins[1]), None],
     jvp=lambda t, ins, y: t[0].masked_select(ins[1]))
