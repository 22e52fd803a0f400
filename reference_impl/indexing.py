"""x[index] and x[index] = value: chapter "Indexing" of the torch documentation.

Integers, slices, None and ... give views (select, slice, unsqueeze). What is left, tensors of
integers or booleans, is one `index` or `index_put`. The indexed dimensions come to stand where
the first of them was, or in front when other dimensions lie between them.
"""

import operator
import warnings

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import SEQUENCES, tensor, zeros
from reference_impl.dispatch import wrap_number
from reference_impl.errors import (
    ArgumentType,
    ArgumentValue,
    DtypeMismatch,
    IndexDtype,
    IndexOutOfRange,
    IndexShapeMismatch,
    IndexType,
    ShapeMismatch,
    ValueOverflow,
    shape_text,
)
from reference_impl.geometry import elementwise_stride
from reference_impl.promotion import NUMBER
from reference_impl.rule import OPERATIONS, rule
from reference_impl.tensor import Tensor, with_stride
from reference_impl.unsaved import Unsaved


def positions(shape, indices):
    """Integer arrays, one per dimension of `shape` or None, broadcast to one shape.

    Masks become the positions of their true elements. Raises IndexOutOfRange,
    IndexShapeMismatch, IndexDtype.
    """
    out, dim = [], 0
    for index in indices:
        if index is None:
            out.append(None)
            dim += 1
            continue
        if index.dtype in (np.bool_, np.uint8):
            if index.dtype == np.uint8:
                warnings.warn("indexing with dtype torch.uint8 is now deprecated, please use a dtype "
                              "torch.bool instead.", UserWarning, stacklevel=2)
            for k, n in enumerate(index.shape):
                if dim + k >= len(shape) or shape[dim + k] != n:
                    raise IndexShapeMismatch(
                        f"The shape of the mask {shape_text(index.shape)} at index {k} does not "
                        f"match the shape of the indexed tensor {shape_text(shape)} at index "
                        f"{dim + k}")
            out.extend(np.nonzero(index) if index.ndim else np.nonzero(index.reshape(1)))
            dim += index.ndim
            continue
        if index.dtype not in (np.int32, np.int64):
            raise IndexDtype("tensors used as indices must be long, int, byte or bool tensors")
        out.append(index)
        dim += 1
    if dim > len(shape):
        raise IndexOutOfRange(f"too many indices for tensor of dimension {len(shape)}")
    given = [i for i in out if i is not None]
    try:
        spread = iter(np.broadcast_arrays(*given))
    except ValueError:
        shapes = ", ".join(shape_text(i.shape) for i in given)
        raise IndexShapeMismatch("shape mismatch: indexing tensors could not be broadcast together "
                                 f"with shapes {shapes}") from None
    out = [None if i is None else next(spread) for i in out]
    _check_range(shape, out)
    return out


def _check_range(shape, found):
    for d, index in enumerate(found):
        if index is None or index.size == 0:
            continue
        if shape[d] == 0:
            raise IndexOutOfRange("index is out of bounds for dimension with size 0")
        bad = (index < -shape[d]) | (index >= shape[d])
        if bad.any():
            raise IndexOutOfRange(f"index {index[bad].flat[0]} is out of bounds for dimension {d} "
                                  f"with size {shape[d]}")


class Placement:
    """How the result of indexing is laid out: which dimensions move, and to where."""

    def __init__(self, shape, found):
        self.dims = [d for d, i in enumerate(found) if i is not None]
        self.rest = [d for d in range(len(shape)) if d not in self.dims]
        self.arrays = tuple(i for i in found if i is not None)
        self.count = self.arrays[0].ndim if self.arrays else 0
        first = self.dims[0] if self.dims else 0
        self.lead = first if self.dims == list(range(first, first + len(self.dims))) else 0

    def front(self, a):
        """`a` with the indexed dimensions first."""
        return a.transpose(self.dims + self.rest)

    def placed(self, taken):
        """Result of indexing `front(a)`, its new dimensions at their place."""
        if not self.lead:
            return taken
        new = list(range(self.count))
        rest = list(range(self.count, taken.ndim))
        return taken.transpose(rest[:self.lead] + new + rest[self.lead:])

    def unplaced(self, values):
        """The opposite of `placed`."""
        if not self.lead:
            return values
        new = list(range(self.lead, self.lead + self.count))
        return values.transpose(new + [d for d in range(values.ndim) if d not in new])

    def stride(self, a, size):
        """Strides torch gives the result: its iterator looks at the source and the indices."""
        step = [a.strides[d] // a.itemsize if a.itemsize else 0 for d in self.rest]
        source = (*step[:self.lead], *(0,) * self.count, *step[self.lead:])
        blank = [0] * (len(size) - self.count)
        operands = [(size, source)]
        for i in self.arrays:
            along = [s // i.itemsize for s in i.strides]
            operands.append((size, (*blank[:self.lead], *along, *blank[self.lead:])))
        return elementwise_stride(size, operands)


def _index(self, indices):
    if not indices:
        raise IndexType("at least one index must be provided")
    place = Placement(self.shape, positions(self.shape, indices))
    if not place.dims:
        return self.copy()
    taken = place.placed(place.front(self)[place.arrays])
    return with_stride(taken, place.stride(self, taken.shape))


def _index_put(self, indices, values, accumulate=False):
    place = Placement(self.shape, positions(self.shape, indices))
    steps = tuple(n // self.itemsize for n in self.strides)
    out = with_stride(self.copy(), elementwise_stride(self.shape, [(self.shape, steps)]))
    target = place.front(out)
    new = place.arrays[0].shape if place.arrays else ()
    size = place.placed(np.empty(new + target.shape[len(place.dims):], bool)).shape
    try:
        values = place.unplaced(np.broadcast_to(values, size))
    except ValueError:
        raise ShapeMismatch(f"shape mismatch: value tensor of shape {shape_text(values.shape)} "
                            "cannot be broadcast to indexing result of shape "
                            f"{shape_text(size)}") from None
    if values.dtype != self.dtype:
        raise DtypeMismatch(
            "Index put requires the source and destination dtypes match, got "
            f"{dt.from_numpy_dtype(self.dtype).scalar_name} for the destination and "
            f"{dt.from_numpy_dtype(values.dtype).scalar_name} for the source.")
    if accumulate:
        add = np.logical_or if out.dtype == bool else np.add
        add.at(target, place.arrays, values)
    else:
        target[place.arrays] = values
    return out


rule("index", _index, inputs=("self", "indices*?"), function=False, method=False, layout="keep",
     vjp=lambda ct, ins, y: [zeros(ins[0].shape, dtype=ct.dtype).index_put_(ins[1], ct, True), None],
     jvp=lambda t, ins, y: index(t[0], ins[1]), saves={"self": ("indices",)})
rule("index_put", _index_put, inputs=("self", "indices*?", "values"), inplace=True, layout="keep", apart=True,
     vjp=lambda ct, ins, y, accumulate: [
         ct if accumulate else ct.index_put(ins[1], zeros((), dtype=ct.dtype)),
         None, index(ct, ins[1])],
     jvp=lambda t, ins, y, accumulate: t[0].index_put(ins[1], t[2], accumulate),
     saves={"self": ("indices",), "values": ("indices",)})


def index(x, indices):
    """Indexing with a list of integer or boolean tensors and None."""
    return OPERATIONS["index"].function(x, indices)


def getitem(self, key):
    view, indices = basic(self, key, for_write=False)
    if indices is not None:
        return index(view, indices)
    return OPERATIONS["alias"].function(view) if view is self else view


def setitem(self, key, value):
    view, indices = basic(self, key, for_write=True)
    value = _assigned(self, value)
    if indices is None:
        if value._size == view._size:
            view.copy_(value)
        elif not value._size:
            view.fill_(value)
        else:
            view.copy_(_without_leading_ones(value, view._size).expand(view._size))
        return
    mask = len(indices) == 1 and indices[0].dtype is dt.bool
    if not value._size and mask and value.dtype is not view.dtype:
        value = value.to(view.dtype)
    view.index_put_(indices, _without_leading_ones(value))


def _assigned(target, value):
    """The right-hand side as a tensor; a number takes the target's dtype."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, NUMBER):
        raise ArgumentType(f"can't assign a {type(value).__name__} to a {target.type()}")
    if isinstance(value, complex) and not target.dtype.is_complex and value.imag:
        raise ValueOverflow(f"value cannot be converted to type {target.dtype.name} without "
                            "overflow")
    value = wrap_number(value)
    return value if value.dtype is target.dtype else value.to(target.dtype)


def _without_leading_ones(value, target=None):
    """A value may have more dimensions than its target when the first ones are 1."""
    size = value._size
    while len(size) > len(target or ()) and size[0] == 1:
        size = size[1:]
    if target is not None and len(size) > len(target):
        raise ShapeMismatch(
            f"expand({value.type()}{{{shape_text(size)}}}, size={shape_text(target)}): the number "
            f"of sizes provided ({len(target)}) must be greater or equal to the number of "
            f"dimensions in the tensor ({len(size)})")
    return value if size == value._size else value.reshape(size)


def basic(x, key, for_write):
    """Apply all that gives views. Returns the view, and the tensors left (with None), or None.

    for_write: a slice that takes everything gives x itself.
    Raises IndexOutOfRange, IndexType, ArgumentValue.
    """
    if type(key) is int:
        return _select(x, 0, key, 0), None
    if type(key) is slice:
        return _slice(x, 0, key, for_write), None
    items = _items(key)
    spare = len(x._size) - sum(map(_dims_taken, items))
    if spare < 0:
        raise IndexOutOfRange(f"too many indices for tensor of dimension {len(x._size)}")
    dim, indices, covered = 0, [], 0
    for number, item in enumerate(items):
        if item is Ellipsis:
            dim += spare
        elif item is None:
            x, dim = x.unsqueeze(dim), dim + 1
        elif isinstance(item, slice):
            x, dim = _slice(x, dim, item, for_write), dim + 1
        elif isinstance(item, int) and not isinstance(item, bool):
            x = _select(x, dim, item, number)
        else:
            if isinstance(item, bool) or (isinstance(item, Tensor) and not item._size):
                x = x.unsqueeze(dim)
                item = tensor(item).reshape((1,)) if isinstance(item, bool) else item.unsqueeze(0)
            indices += [None] * (dim - covered) + [item]
            covered = dim = dim + max(_dims_taken(item), 1)
    return x, indices or None


def _items(key):
    """The parts of an index; sequences and arrays become tensors, zero-dim integers numbers."""
    if isinstance(key, tuple):
        parts = key
    elif isinstance(key, list) and _means_tuple(key):
        warnings.warn("Using a non-tuple sequence for multidimensional indexing is deprecated and "
                      "will be changed in pytorch 2.9; use x[tuple(seq)] instead of x[seq]. In "
                      "pytorch 2.9 this will be interpreted as tensor index, x[torch.tensor(seq)], "
                      "which will result either in an error or a different result", UserWarning,
                      stacklevel=4)
        parts = tuple(key)
    else:
        parts = (key,)
    return [_item(p) for p in parts]


def _means_tuple(key):
    return len(key) < 32 and any(
        i is None or i is Ellipsis or isinstance(i, (slice, *SEQUENCES, Tensor, np.ndarray))
        for i in key)


def _item(part):
    if part is None or part is Ellipsis or isinstance(part, (slice, bool, int, Unsaved)):
        return part
    if isinstance(part, np.bool_):
        return bool(part)
    if isinstance(part, np.integer):
        return int(part)
    if isinstance(part, SEQUENCES):
        part = tensor(list(part)) if len(part) else tensor(list(part), dtype=dt.int64)
    elif isinstance(part, np.ndarray):
        part = tensor(part)
    if not isinstance(part, Tensor):
        if isinstance(part, str):
            raise ArgumentType("new(): invalid data type 'str'")
        raise IndexType("only integers, slices (`:`), ellipsis (`...`), None and long or byte "
                        f"Variables are valid indices (got {type(part).__name__})")
    if not part._size and part.dtype.category == dt.INT and part.dtype is not dt.uint8:
        return part.item()
    return part


def _dims_taken(item):
    """How many dimensions of the tensor an item of the index uses up."""
    if isinstance(item, (Tensor, Unsaved)):
        return len(item._size) if item.dtype in (dt.bool, dt.uint8) else 1
    return int(isinstance(item, slice) or (isinstance(item, int) and not isinstance(item, bool)))


def _select(x, dim, index, number):
    """x without dimension `dim`. number: which part of the index asks, for torch's message."""
    if not x._size and index == 0:
        raise IndexOutOfRange("invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                              "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number")
    n = x._size[dim] if dim < len(x._size) else 0
    if not -n <= index < n:
        raise IndexOutOfRange(f"index {index} is out of bounds for dimension {number} with size {n}")
    return x.select(dim, index)


def _bound(value):
    if value is None or type(value) is int:
        return value
    if not hasattr(value, "__index__"):
        raise ArgumentType("slice indices must be integers or None or have an __index__ method")
    return operator.index(value)


def _slice(x, dim, part, for_write):
    start, stop, step = (_bound(b) for b in (part.start, part.stop, part.step))
    step = 1 if step is None else step
    if step <= 0:
        raise ArgumentValue("step must be greater than zero")
    n = x._size[dim] if x._size else 0
    if for_write and x._size and step == 1 and start in (None, 0) and (stop is None or stop >= n):
        return x
    return OPERATIONS["slice"].function(x, dim, start, stop, step)


Tensor.__getitem__ = getitem
Tensor.__setitem__ = setitem
