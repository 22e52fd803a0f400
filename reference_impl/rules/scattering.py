"""Writing at positions that a tensor names: index_fill, index_copy, put, masked_scatter.

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
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.rules.indexing_ops import (
    add_at,
    broadcast,
    vector,
)
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
                                    ct.index_select(dim, ins[1].unique()).sum()],
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
