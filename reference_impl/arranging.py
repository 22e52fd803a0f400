"""Joining, splitting and repeating made of other operations: vstack, hsplit, tile, meshgrid, ..."""

import itertools
import warnings

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import tensor, zeros
from reference_impl.dispatch import FUNCTIONS
from reference_impl.errors import (
    Argument,
    ArgumentType,
    ArgumentValue,
    DimCount,
    Domain,
    DtypeUnsupported,
    ShapeMismatch,
)
from reference_impl.formats import contiguous_format
from reference_impl.geometry import broadcast_shapes as common_shape
from reference_impl.geometry import wrap_dim
from reference_impl.promotion import result_dtype
from reference_impl.rule import OPERATIONS, composite
from reference_impl.shapes import sizes_of
from reference_impl.tensor import Size, Tensor


def call(name, *args, **named):
    return OPERATIONS[name].function(*args, **named)


def several(tensors):
    """Tensors given loose or as one sequence."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        return list(tensors[0])
    return list(tensors)


# --- at least so many dimensions ---


def at_least(n, name):
    def one(t):
        if not isinstance(t, Tensor):
            raise ArgumentType(f"{name}(): argument 'input' must be Tensor, not "
                               f"{type(t).__name__}")
        if t.ndim >= n:
            return t
        if t.ndim == 0:
            return t.reshape((1,) * n)
        return t.unsqueeze(0) if n == 2 else (
            t.unsqueeze(0).unsqueeze(-1) if t.ndim == 1 else t.unsqueeze(-1))

    def function(*tensors):
        if len(tensors) == 1 and isinstance(tensors[0], Tensor):
            return one(tensors[0])
        return tuple(one(t) for t in several(tensors))
    function.__name__ = name
    return function


atleast_1d, atleast_2d, atleast_3d = (at_least(n, f"atleast_{n}d") for n in (1, 2, 3))
for _function in (atleast_1d, atleast_2d, atleast_3d):
    composite(_function.__name__, _function, method=False, helper=True)

# --- stacks ---


def _stacked(name, lift, dim):
    def function(tensors):
        if not isinstance(tensors, (tuple, list)):
            raise ArgumentType(f"{name}(): argument 'tensors' (position 1) must be tuple of "
                               f"Tensors, not {type(tensors).__name__}")
        if not tensors:
            raise Argument(f"{name} expects a non-empty TensorList")
        lifted = [lift(t) for t in tensors]
        return call("cat", lifted, dim(lifted))
    composite(name, function, method=False, helper=True)


_stacked("hstack", atleast_1d, lambda ts: 0 if ts[0].ndim == 1 else 1)
_stacked("vstack", atleast_2d, lambda ts: 0)
_stacked("dstack", atleast_3d, lambda ts: 2)
_stacked("column_stack", lambda t: t.reshape((t.numel(), 1)) if t.ndim <= 1 else t, lambda ts: 1)


def block_diag(*tensors):
    """A matrix with the given ones along its diagonal."""
    for i, t in enumerate(tensors):
        if t.ndim > 2:
            raise DimCount("torch.block_diag: Input tensors must have 2 or fewer dimensions. "
                           f"Input {i} has {t.ndim} dimensions")
    blocks = [atleast_2d(t) for t in tensors]
    if not blocks:
        return zeros((1, 0))
    dtype = result_dtype(tensors)
    rows, columns = (sum(b._size[d] for b in blocks) for d in (0, 1))
    out, r, c = zeros((rows, columns), dtype=dtype), 0, 0
    for b in blocks:
        out[r:r + b._size[0], c:c + b._size[1]] = b
        r, c = r + b._size[0], c + b._size[1]
    return out


composite("block_diag", block_diag, method=False, helper=True)

# --- splits ---


def _split(name, dim, least):
    def function(input, indices_or_sections):
        if input.ndim < least:
            raise DimCount(f"torch.{name} requires a tensor with at least {least} dimension, but "
                           f"got a tensor with {input.ndim} dimensions!")
        d = dim if name != "hsplit" or input.ndim > 1 else 0
        if isinstance(indices_or_sections, int) and (
                indices_or_sections == 0 or input._size[d] % indices_or_sections):
            raise Argument(
                f"torch.{name} attempted to split along dimension {d}, but the size of the "
                f"dimension {input._size[d]} is not divisible by the split_size "
                f"{indices_or_sections}!")
        return input.tensor_split(indices_or_sections, d)

    def loose(input, *given, indices=None, sections=None):
        if indices is not None or sections is not None:
            given = (indices if indices is not None else sections,)
        return function(input, given[0] if len(given) == 1 else given)
    composite(name, loose, helper=True)


_split("hsplit", 1, 1)
_split("vsplit", 0, 2)
_split("dsplit", 2, 3)
composite("unsafe_chunk", lambda input, chunks, dim=0: tuple(
    t.clone() for t in input.chunk(chunks, dim)), helper=True)
composite("unsafe_split", lambda input, split_size, dim=0: tuple(
    t.clone() for t in input.split(split_size, dim)), helper=True)
composite("unsafe_split_with_sizes", lambda input, split_sizes, dim=0: tuple(
    t.clone() for t in input.split(split_sizes, dim)), helper=True)

# --- repeating and broadcasting ---


def broadcast_to(input, size):
    return input.expand(tuple(size))


def broadcast_tensors(*tensors):
    """The tensors, all expanded to one shape."""
    tensors = several(tensors)
    shape = common_shape(*(t._size for t in tensors))
    return tuple(t.expand(shape) for t in tensors)


def broadcast_shapes(*shapes):
    """The shape that tensors of these shapes have in common. Raises Argument, ShapeMismatch."""
    common = []                # its last dimension first
    for place, shape in enumerate(shapes):
        shape = (shape,) if isinstance(shape, (int, np.integer)) else shape
        if not isinstance(shape, (tuple, list)) or not all(
                isinstance(n, (int, np.integer)) for n in shape):
            raise Argument("Input shapes should be of type ints, a tuple of ints, or a list of ints, "
                           f"got {shape}")
        for d, n in enumerate(reversed(shape)):
            if n < 0:
                raise ArgumentValue("Attempting to broadcast a dimension with negative length!")
            if d == len(common):
                common.append(n)
            elif common[d] == 1:
                common[d] = n
            elif n not in (1, common[d]):
                longest = max((len(s) for s in shapes if not isinstance(s, (int, np.integer))),
                              default=1)
                lead = [1] * (longest - len(common))
                raise ShapeMismatch(
                    f"Attempting to broadcast a dimension of length {n} at {-1 - d}! Mismatching "
                    f"argument at index {place} had {tuple(shape)}; but expected shape should be "
                    f"broadcastable to {lead + common[::-1]}")
    return Size(common[::-1])


def tile(input, *dims, **named):
    """As repeat, but missing dimensions in front count as 1."""
    dims = sizes_of(dims or (named.pop("dims"),))
    return input.repeat((1,) * (input.ndim - len(dims)) + dims)


def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Each element along `dim` repeated; with one argument, the indices that would do it."""
    if repeats is None:
        if not isinstance(input, Tensor) or input.ndim != 1:
            raise DimCount("repeat_interleave only accept 1D vector as repeat")
        if input.dtype not in (dt.int32, dt.int64):
            raise DtypeUnsupported("repeats has to be Long or Int tensor")
        if (input._array < 0).any():
            raise Argument("repeats can not be negative")
        return tensor(np.repeat(np.arange(input.numel()), input._array), dtype=input.dtype)
    x = input.flatten() if dim is None else input
    d = 0 if dim is None else wrap_dim(dim, input.ndim)
    if not x.ndim:
        x, d = x.reshape(1), 0
    if isinstance(repeats, Tensor):
        if repeats.dtype not in (dt.int32, dt.int64):
            raise DtypeUnsupported("repeats has to be Long or Int tensor")
        if repeats.ndim > 1 or (repeats.numel() != 1 and repeats.numel() != x._size[d]):
            raise Domain("repeats must have the same size as input along dim, but got "
                         f"repeats.size(0) = {repeats.numel()} and input.size({d}) = {x._size[d]}")
        counts = np.broadcast_to(repeats._array.reshape(-1), (x._size[d],))
    else:
        if isinstance(repeats, (tuple, list)):
            counts = np.asarray(repeats)
        else:
            counts = np.full(x._size[d], repeats)
    if (counts < 0).any():
        raise Argument("Repeats must be non-negative")
    places = np.repeat(np.arange(x._size[d]), counts)
    if output_size is not None and places.size != output_size:
        raise Argument("allocated size does not match required size")
    return x.index_select(d, tensor(places))


composite("broadcast_to", broadcast_to, helper=True)
composite("broadcast_tensors", broadcast_tensors, method=False, helper=True)
composite("broadcast_shapes", broadcast_shapes, method=False, helper=True)
composite("tile", tile, helper=True)
composite("repeat_interleave", repeat_interleave, helper=True)


def meshgrid(*tensors, indexing=None):
    """Coordinates of a grid: each vector expanded along all the others."""
    tensors = several(tensors)
    if not tensors:
        raise Argument("meshgrid expects a non-empty TensorList")
    if indexing is None:
        warnings.warn("torch.meshgrid: in an upcoming release, it will be required to pass the "
                      "indexing argument.", UserWarning, stacklevel=3)
        indexing = "ij"
    for t in tensors:
        if t.ndim > 1:
            raise DimCount("torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: "
                           f"{t.type()}")
        if t.dtype is not tensors[0].dtype:
            raise Argument("torch.meshgrid expects all tensors to have the same dtype")
    if indexing not in ("ij", "xy"):
        raise Argument('torch.meshgrid: indexing must be one of "xy" or "ij", but received: '
                       f"{indexing}")
    swap = indexing == "xy" and len(tensors) >= 2
    if swap:
        tensors[:2] = tensors[1::-1]
    shape = tuple(t.numel() for t in tensors)
    grids = [t.reshape((1,) * i + (-1,) + (1,) * (len(shape) - i - 1)).expand(shape)
             for i, t in enumerate(tensors)]
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def cartesian_prod(*tensors):
    """All combinations of one element of each vector, as rows."""
    tensors = several(tensors)
    for t in tensors:
        if t.ndim != 1:
            raise DimCount(f"Expect a 1D vector, but got shape {list(t._size)}")
    if len(tensors) == 1:
        return tensors[0]
    return call("stack", [g.flatten() for g in meshgrid(*tensors, indexing="ij")], 1)


def combinations(input, r=2, with_replacement=False):
    """All subsets of r elements of a vector, as rows."""
    if input.ndim != 1:
        raise DimCount("Expect a 1D vector, but got shape "
                       f"{list(input._size)}")
    if r < 0:
        raise Argument(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return zeros((0,), dtype=input.dtype)
    pick = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(pick(range(input.numel()), r)), np.int64).reshape(-1, r)
    return input[tensor(rows)]


def kron(input, other):
    """The Kronecker product."""
    ndim = max(input.ndim, other.ndim)
    a, b = ((1,) * (ndim - t.ndim) + t._size for t in (input, other))
    left = input.reshape(tuple(n for m in a for n in (m, 1)))
    right = other.reshape(tuple(n for m in b for n in (1, m)))
    return (left * right).reshape(tuple(m * n for m, n in zip(a, b, strict=True)))


for _name, _function in (("meshgrid", meshgrid), ("cartesian_prod", cartesian_prod)):
    composite(_name, _function, method=False, helper=True)
composite("combinations", combinations, method=False, helper=True)
composite("kron", kron, helper=True)


def vander(x, N=None, increasing=False):
    """Powers of a vector's elements, as columns."""
    if x.ndim != 1:
        raise DimCount("x must be a one-dimensional tensor.")
    n = x.numel() if N is None else N
    if n < 0:
        raise Argument("N must be non-negative.")
    powers = tensor(np.arange(n) if increasing else np.arange(n)[::-1].copy())
    base = x if x.dtype.is_differentiable else x.to(dt.int64)
    if not n:
        return zeros((x.numel(), 0), dtype=base.dtype)
    return FUNCTIONS["pow"](base.unsqueeze(1), powers)


composite("vander", vander, method=False, helper=True)


def unravel_index(indices, shape):
    """Coordinates, one tensor per dimension, of positions in row-major order."""
    if indices.dtype.category != dt.INT:
        raise ArgumentType(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    if not isinstance(shape, (int, tuple, list)):
        raise ArgumentType("expected 'shape' to be int or sequence of ints, but got "
                           f"{type(shape)}")
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    for n in shape:
        if not isinstance(n, (int, np.integer)):
            raise ArgumentType(f"expected 'shape' sequence to only contain ints, but got {type(n)}")
    if any(n < 0 for n in shape):
        raise ArgumentValue(f"'shape' cannot have negative values, but got {shape}")
    out = []
    for n in reversed(shape):
        out.append(indices % n)
        indices = indices.div(n, rounding_mode="floor")
    return call("stack", out[::-1], -1).unbind(-1)


composite("unravel_index", unravel_index, method=False, helper=True)

# --- copies of views ---


def _copying(view):
    def function(input, *args, **named):
        got = call(view, input, *args, **named)
        if isinstance(got, tuple):
            return tuple(t.clone(memory_format=contiguous_format) for t in got)
        return got.clone(memory_format=contiguous_format)
    function.__name__ = f"{view}_copy"
    return function


for _view in ("permute", "transpose", "t", "squeeze", "unsqueeze", "select", "slice", "split",
              "unbind", "diagonal", "as_strided", "unfold", "expand", "view", "alias",
              "view_as_real", "view_as_complex", "narrow"):
    composite(f"{_view}_copy", _copying(_view), method=_view == "narrow", helper=True)
