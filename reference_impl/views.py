"""Views: chapter "Tensor Views". Each rule computes where the elements of the result lie; sharing
memory and history is viewing.py's work. Functions made of them are in shapes.py."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.errors import (
    Argument,
    ArgumentType,
    ArgumentValue,
    DimCount,
    DimRepeated,
    IndexOutOfRange,
    NoDimension,
    RangeExceeded,
    ShapeMismatch,
    ViewImpossible,
    shape_text,
)
from reference_impl.geometry import (
    Geometry,
    contiguous_stride,
    infer_size,
    numel,
    view_stride,
    wrap_dim,
    wrap_dims,
)
from reference_impl.rule import OPERATIONS, RULES, composite, rule, view_rule
from reference_impl.storage import restrided
from reference_impl.tensor import Tensor


def call(name, *args):
    """An operation by name: some are registered by later modules."""
    return OPERATIONS[name].function(*args)


def embed(ct, like, name, *args):
    """Zeros of `like`'s shape with `ct` at the place that the view `name(*args)` shows."""
    return call("_embed", ct, like._size, name, args)


def _embed(self, shape, view, args):
    out = np.zeros(shape, self.dtype)
    size, stride, offset = RULES[view].forward(Geometry(shape, contiguous_stride(shape), 0), *args)
    if out.size:
        place = restrided(out.reshape(-1)[offset:], size, [s * out.itemsize for s in stride])
        place[...] = self
    return out


rule("_embed", _embed, inputs=("self",), method=False, jvp="linear",
     node=lambda shape, view, args: f"{view.capitalize()}BackwardBackward0",
     vjp=lambda ct, ins, y, shape, view, args: [call(view, ct, *args)])


def viewed(g, size):
    size = infer_size(size, numel(g.size))
    stride = view_stride(g.size, g.stride, size)
    if stride is None:
        raise ViewImpossible("view size is not compatible with input tensor's size and stride (at "
                             "least one dimension spans across two contiguous subspaces). Use "
                             ".reshape(...) instead.")
    return size, stride, g.offset


def permuted(g, dims):
    if len(dims) != g.ndim:
        raise ShapeMismatch("permute(sparse_coo): number of dimensions in the tensor input does "
                            "not match the length of the desired ordering of dimensions i.e. "
                            f"input.dim() = {g.ndim} is not equal to len(dims) = {len(dims)}")
    dims = tuple(wrap_dim(d, g.ndim) for d in dims)
    if len(set(dims)) != len(dims):
        raise DimRepeated("permute(): duplicate dims are not allowed.")
    return tuple(g.size[d] for d in dims), tuple(g.stride[d] for d in dims), g.offset


def inverse(dims, ndim):
    return tuple(int(i) for i in np.argsort([d % ndim for d in dims])) if ndim else ()


def swapped(g, dim0, dim1):
    a, b = wrap_dim(dim0, g.ndim), wrap_dim(dim1, g.ndim)
    order = list(range(g.ndim))
    if order:
        order[a], order[b] = b, a
    return permuted(g, order)


def matrix_transposed(g):
    if g.ndim > 2:
        raise DimCount(f"t() expects a tensor with <= 2 dimensions, but self is {g.ndim}D")
    return g.size[::-1], g.stride[::-1], g.offset


def expanded(g, size, *, implicit=False):
    size = tuple(int(n) for n in size)
    lead = len(size) - g.ndim
    if lead < 0:
        raise ShapeMismatch(
            f"expand(torch.FloatTensor{{{shape_text(g.size)}}}, size={shape_text(size)}): the "
            f"number of sizes provided ({len(size)}) must be greater or equal to the number of "
            f"dimensions in the tensor ({g.ndim})")
    if g.ndim == 0 and min(size, default=0) >= 0:
        return size, (0,) * len(size), g.offset
    new_size, new_stride = list(size), [0] * len(size)
    for i in range(len(size) - 1, -1, -1):
        n = size[i]
        if i < lead:
            if n < 0:
                raise ShapeMismatch(f"The expanded size of the tensor ({n}) isn't allowed in a "
                                    f"leading, non-existing dimension {i}")
            old = 1
            step = new_size[i + 1] * new_stride[i + 1] if i + 1 < len(size) else 1
        else:
            old, step = g.size[i - lead], g.stride[i - lead]
            n = old if n == -1 else n
        if n < 0 or old not in (1, n):
            raise ShapeMismatch(
                f"The expanded size of the tensor ({n}) must match the existing size ({old}) at "
                f"non-singleton dimension {i}.  Target sizes: {shape_text(size)}.  Tensor sizes: "
                f"{shape_text(g.size)}")
        new_size[i], new_stride[i] = n, step if n == old else 0
    return tuple(new_size), tuple(new_stride), g.offset


def without(g, drop):
    keep = [i for i in range(g.ndim) if i not in drop or g.size[i] != 1]
    return tuple(g.size[i] for i in keep), tuple(g.stride[i] for i in keep), g.offset


def squeezed_dim(g, dim: int):
    return without(g, (wrap_dim(dim, g.ndim),))


def squeezed_dims(g, dim):
    return without(g, wrap_dims(dim, g.ndim) if len(dim) else ())


def unsqueezed(g, dim):
    dim = wrap_dim(dim, g.ndim + 1)
    step = 1 if dim >= g.ndim else g.size[dim] * g.stride[dim]
    return g.size[:dim] + (1,) + g.size[dim:], g.stride[:dim] + (step,) + g.stride[dim:], g.offset


def selected(g, dim, index):
    if g.ndim == 0:
        raise NoDimension("select() cannot be applied to a 0-dim tensor.")
    dim = wrap_dim(dim, g.ndim)
    n = g.size[dim]
    if not -n <= index < n:
        raise IndexOutOfRange(f"select(): index {index} out of range for tensor of size "
                              f"{shape_text(g.size)} at dimension {dim}")
    return (g.size[:dim] + g.size[dim + 1:], g.stride[:dim] + g.stride[dim + 1:],
            g.offset + index % n * g.stride[dim])


def sliced(g, dim=0, start=None, end=None, step=1):
    if g.ndim == 0:
        raise NoDimension("slice() cannot be applied to a 0-dim tensor.")
    dim = wrap_dim(dim, g.ndim)
    if step <= 0:
        raise Argument("slice step must be positive")
    n = g.size[dim]
    start, end, _ = slice(start, end).indices(n)
    count = -((start - max(start, end)) // step)
    return (g.size[:dim] + (count,) + g.size[dim + 1:],
            g.stride[:dim] + (g.stride[dim] * step,) + g.stride[dim + 1:],
            g.offset + start * g.stride[dim])


def narrowed(input, dim, start, length):
    """The part [start, start + length) of a dimension, a view."""
    if input.ndim == 0:
        raise DimCount("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise Argument("narrow(): length must be non-negative.")
    if isinstance(start, Tensor):
        if start._size or start.dtype.category != dt.INT:
            raise Argument("start must be an 0-dim integral Tensor.")
        start = start.item()
    elif not isinstance(start, (int, np.integer)):
        raise ArgumentType("narrow() received an invalid combination of arguments: start must be an "
                           f"int or a Tensor, not {type(start).__name__}")
    n, start = input._size[wrap_dim(dim, input.ndim)], int(start)
    if not -n <= start <= n:
        raise IndexOutOfRange(f"start out of range (expected to be in range of [-{n}, {n}], but "
                              f"got {start})")
    start = start + n if start < 0 else start
    if start + length > n:
        raise RangeExceeded(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return call("slice", input, dim, start, start + length, 1)


def on_diagonal(g, offset=0, dim1=0, dim2=1):
    a, b = wrap_dim(dim1, g.ndim), wrap_dim(dim2, g.ndim)
    if a == b:
        raise DimRepeated(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rows, columns = g.size[a], g.size[b]
    count = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    shift = offset * g.stride[b] if offset >= 0 else -offset * g.stride[a]
    rest = [i for i in range(g.ndim) if i not in (a, b)]
    return (tuple(g.size[i] for i in rest) + (count,),
            tuple(g.stride[i] for i in rest) + (g.stride[a] + g.stride[b],),
            g.offset + (shift if count else 0))


def unfolded(g, dimension, size, step):
    dim = wrap_dim(dimension, g.ndim)
    n, stride = (g.size[dim], g.stride[dim]) if g.ndim else (1, 1)
    if size < 0:
        raise Argument(f"size is {size} but must be >= 0")
    if size > n:
        raise Argument(f"maximum size for tensor at dimension {dim} is {n} but size is {size}")
    if step <= 0:
        raise Argument(f"step is {step} but must be > 0")
    count = (n - size) // step + 1
    if not g.ndim:
        return (size,), (1,), g.offset
    return (g.size[:dim] + (count,) + g.size[dim + 1:] + (size,),
            g.stride[:dim] + (step * stride,) + g.stride[dim + 1:] + (stride,), g.offset)


def split_evenly(g, split_size: int, dim: int = 0):
    if g.ndim == 0:
        raise DimCount("split expects at least a 1-dimensional tensor")
    n = g.size[wrap_dim(dim, g.ndim)]
    if split_size < 0:
        raise Argument(f"split expects split_size be non-negative, but got split_size={split_size}")
    if split_size == 0 and n:
        raise Argument("split_size can only be 0 if dimension size is 0, but got dimension size of "
                       f"{n}")
    count = max(-(-n // split_size), 1) if split_size else 1
    return [sliced(g, dim, i * split_size, (i + 1) * split_size if split_size else None)
            for i in range(count)]


def split_by_sizes(g, split_size, dim=0):
    if g.ndim == 0:
        raise DimCount("split expects at least a 1-dimensional tensor")
    dim = wrap_dim(dim, g.ndim)
    sizes, n = tuple(int(s) for s in split_size), g.size[dim]
    if any(s < 0 for s in sizes):
        raise Argument("split_with_sizes expects split_sizes have only non-negative entries, but "
                       f"got split_sizes={shape_text(sizes)}")
    if sum(sizes) != n:
        raise ShapeMismatch(f"split_with_sizes expects split_sizes to sum exactly to {n} (input "
                            f"tensor's size at dimension {dim}), but got "
                            f"split_sizes={shape_text(sizes)}")
    ends = np.cumsum(sizes, dtype=int)
    return [sliced(g, dim, int(e) - s, int(e)) for s, e in zip(sizes, ends, strict=True)]


def unbound(g, dim=0):
    if g.ndim == 0:
        raise NoDimension("Dimension specified as 0 but tensor has no dimensions")
    dim = wrap_dim(dim, g.ndim)
    return [selected(g, dim, i) for i in range(g.size[dim])]


def strided(g, size, stride, storage_offset=None):
    size, stride = tuple(map(int, size)), tuple(map(int, stride))
    if len(size) != len(stride):
        raise ShapeMismatch("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise Argument("as_strided: Negative strides are not supported at the moment, got "
                       f"strides: {shape_text(stride)}")
    offset = g.offset if storage_offset is None else int(storage_offset)
    if offset < 0:
        raise Argument(f"Tensor: invalid storage offset {offset}")
    return size, stride, offset


def addresses(size, stride, offset):
    """Position in the storage of every element, as an array of shape `size`."""
    out = np.full(size, offset, np.int64)
    for d, (n, step) in enumerate(zip(size, stride, strict=True)):
        out += (np.arange(n) * step).reshape((n,) + (1,) * (len(size) - d - 1))
    return out


def repeats(places):
    """Whether an address occurs twice. (Strides alone tell it of ordinary views only.)"""
    return np.unique(places).size < places.size


def unsqueezed_to(ct, like):
    """The cotangent itself where nothing was dropped: whoever collects it sees who else holds it."""
    return [ct if ct._size == like._size else ct.reshape(like.shape)]


def strided_vjp(ct, ins, y, size, stride, storage_offset):
    """Through a storage of cotangents: those of elements at one address are added up, and the sum
    is shared evenly among the elements of the input that lie there."""
    from reference_impl.creation import zeros
    x = ins[0]
    offset = x._offset if storage_offset is None else storage_offset
    common = min(x._offset, offset)      # the storage before both holds nothing of interest
    offset -= common
    source = addresses(x._size, x._stride, x._offset - common)
    target = addresses(size, stride, offset)
    whole = zeros(int(max(source.max(initial=-1), target.max(initial=-1))) + 1, dtype=ct.dtype)
    if repeats(target):
        places = call("from_array", target.reshape(-1), dt.int64)
        whole.index_put_((places,), ct.reshape(-1), True)
    elif target.size:
        whole.as_strided(size, stride, offset).copy_(ct)
    if repeats(source):
        count = np.bincount(source.reshape(-1), minlength=whole.numel()).clip(1)
        whole.div_(call("from_array", count, ct.dtype))
    return [whole.as_strided(x._size, x._stride, x._offset - common)]


def unfold_backward(grad_in, input_sizes, dim, size, step):
    """What unfold sends back: every element added where it came from."""
    shape = tuple(input_sizes)
    if step <= 0:
        raise ArgumentValue(f"step is {step} but must be > 0")
    if size < 0:
        raise Argument(f"size is {size} but must be >= 0")
    g = Geometry(shape, contiguous_stride(shape), 0)
    return call("_scatter_positions", grad_in, addresses(*unfolded(g, dim, size, step)), shape)


view_rule("view", viewed, varargs="size",
          vjp=lambda ct, ins, y, size: [ct.reshape(ins[0].shape)])
view_rule("_unsafe_view", viewed, tracked=False, method=False,
          vjp=lambda ct, ins, y, size: [ct.reshape(ins[0].shape)])
view_rule("alias", lambda g: g, function=False, method=False, helper=True,
          vjp=lambda ct, ins, y: [ct])
view_rule("_fw_primal", lambda g: g, node="Identity", method=False,
          vjp=lambda ct, ins, y: [ct])
view_rule("t", matrix_transposed, vjp=lambda ct, ins, y: [ct.t()])
view_rule("transpose", swapped,
          vjp=lambda ct, ins, y, dim0, dim1: [ct.transpose(dim0, dim1)])
view_rule("permute", permuted, varargs="dims",
          vjp=lambda ct, ins, y, dims: [ct.permute(inverse(dims, ins[0].ndim))])
view_rule("expand", expanded, varargs="size", function=False,
          vjp=lambda ct, ins, y, size, implicit: [ct])
view_rule("squeeze", lambda g: without(g, range(g.ndim)),
          vjp=lambda ct, ins, y: unsqueezed_to(ct, ins[0]))
view_rule("squeeze.dim", squeezed_dim, node="SqueezeBackward1",
          vjp=lambda ct, ins, y, dim: unsqueezed_to(ct, ins[0]))
view_rule("squeeze.dims", squeezed_dims, node="SqueezeBackward2",
          vjp=lambda ct, ins, y, dim: unsqueezed_to(ct, ins[0]))
view_rule("unsqueeze", unsqueezed, vjp=lambda ct, ins, y, dim: [ct.reshape(ins[0].shape)])
view_rule("select", selected,
          vjp=lambda ct, ins, y, dim, index: [embed(ct, ins[0], "select", dim, index)])
view_rule("slice", sliced, function=False, method=False, helper=True,
          vjp=lambda ct, ins, y, dim, start, end, step:
          [embed(ct, ins[0], "slice", dim, start, end, step)])
view_rule("diagonal", on_diagonal, vjp=lambda ct, ins, y, offset, dim1, dim2:
          [embed(ct, ins[0], "diagonal", offset, dim1, dim2)])
view_rule("unfold", unfolded, function=False, vjp=lambda ct, ins, y, dimension, size, step:
          [unfold_backward(ct, ins[0]._size, dimension, size, step)])
composite("unfold_backward", unfold_backward, method=False, function=False, helper=True)
view_rule("split", split_evenly,
          vjp=lambda ct, ins, y, split_size, dim: [call("cat", ct, dim)])
view_rule("split.sizes", split_by_sizes, node="SplitWithSizesBackward0",
          vjp=lambda ct, ins, y, split_size, dim: [call("cat", ct, dim)])
view_rule("unbind", unbound, vjp=lambda ct, ins, y, dim: [call("stack", ct, dim)])
view_rule("as_strided", strided, vjp=strided_vjp)
