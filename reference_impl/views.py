"""Views: chapter "Tensor Views". Each line computes strides; sharing memory is viewing.py's job."""

import numpy as np

from reference_impl.errors import (Domain, IndexOutOfRange, ShapeMismatch, ViewImpossible,
                                   shape_text)
from reference_impl.geometry import (infer_size, numel, view_stride, wrap_dim, wrap_dims)
from reference_impl.rule import composite, rule, view_rule


def view_geometry(g, size):
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
    dims = wrap_dims(dims, g.ndim) if g.ndim else ()
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
        raise ShapeMismatch(f"t() expects a tensor with <= 2 dimensions, but self is {g.ndim}D")
    return (g.size[::-1], g.stride[::-1], g.offset)


def expanded(g, size, implicit=False):
    size = tuple(int(n) for n in size)
    lead = len(size) - g.ndim
    if lead < 0:
        raise ShapeMismatch(
            f"expand(torch.FloatTensor{{{shape_text(g.size)}}}, size={shape_text(size)}): the "
            f"number of sizes provided ({len(size)}) must be greater or equal to the number of "
            f"dimensions in the tensor ({g.ndim})")
    new_size, new_stride = [], []
    for i, n in enumerate(size):
        if i < lead:
            if n < 0:
                raise ShapeMismatch(f"The expanded size of the tensor ({n}) isn't allowed in a "
                                    f"leading, non-existing dimension {i}")
            new_size.append(n)
            new_stride.append(0)
            continue
        old, step = g.size[i - lead], g.stride[i - lead]
        n = old if n == -1 else n
        if old not in (1, n):
            raise ShapeMismatch(
                f"The expanded size of the tensor ({n}) must match the existing size ({old}) at "
                f"non-singleton dimension {i}.  Target sizes: {shape_text(size)}.  Tensor sizes: "
                f"{shape_text(g.size)}")
        new_size.append(n)
        new_stride.append(step if n == old else 0)
    for i in range(lead):                 # a new dimension of size 1 spans what follows it
        if new_size[i] == 1:
            new_stride[i] = 0
    return tuple(new_size), tuple(new_stride), g.offset


def squeezed(g, dim=None):
    drop = set(wrap_dims(dim, g.ndim)) if dim is not None else set(range(g.ndim))
    if isinstance(dim, (tuple, list)) and not dim:
        drop = set()
    keep = [i for i in range(g.ndim) if i not in drop or g.size[i] != 1]
    return tuple(g.size[i] for i in keep), tuple(g.stride[i] for i in keep), g.offset


def unsqueezed(g, dim):
    dim = wrap_dim(dim, g.ndim + 1)
    step = 1 if dim >= g.ndim else g.size[dim] * g.stride[dim]
    return (g.size[:dim] + (1,) + g.size[dim:], g.stride[:dim] + (step,) + g.stride[dim:], g.offset)


def selected(g, dim, index):
    if g.ndim == 0:
        raise IndexOutOfRange("select() cannot be applied to a 0-dim tensor.")
    dim, n = wrap_dim(dim, g.ndim), None
    n = g.size[dim]
    if not -n <= index < n:
        raise IndexOutOfRange(f"select(): index {index} out of range for tensor of size "
                              f"{shape_text(g.size)} at dimension {dim}")
    index %= n
    return (g.size[:dim] + g.size[dim + 1:], g.stride[:dim] + g.stride[dim + 1:],
            g.offset + index * g.stride[dim])


def sliced(g, dim=0, start=None, end=None, step=1):
    if g.ndim == 0:
        raise ShapeMismatch("slice() cannot be applied to a 0-dim tensor.")
    if step <= 0:
        raise Domain("slice step must be positive")
    dim = wrap_dim(dim, g.ndim)
    n = g.size[dim]
    start, end, _ = slice(start, end).indices(n)
    end = max(start, end)
    count = -((start - end) // step)
    size = g.size[:dim] + (count,) + g.size[dim + 1:]
    stride = g.stride[:dim] + (g.stride[dim] * step,) + g.stride[dim + 1:]
    return size, stride, g.offset + start * g.stride[dim]


def embed_slice(ct, like, dim, start, end, step):
    """Zeros of `like`'s shape with `ct` where slice() took it from."""
    whole = like_zeros(ct, like)
    whole.slice(dim, start, end, step).copy_(ct)
    return whole


def like_zeros(ct, like):
    from reference_impl.creation import zeros
    return zeros(like.shape, dtype=ct.dtype)


def embed(ct, like, view):
    """Zeros of `like`'s shape with `ct` at the place that `view` shows."""
    whole = like_zeros(ct, like)
    view(whole).copy_(ct)
    return whole


view_rule("view", view_geometry, varargs="size",
          vjp=lambda ct, ins, y, size: [ct.reshape(ins[0].shape)])
view_rule("alias", lambda g: g, function=False, method=False, vjp=lambda ct, ins, y: [ct])
view_rule("t", matrix_transposed, vjp=lambda ct, ins, y: [ct.t()], node="TBackward0")
view_rule("transpose", swapped,
          vjp=lambda ct, ins, y, dim0, dim1: [ct.transpose(dim0, dim1)])
view_rule("permute", permuted, varargs="dims",
          vjp=lambda ct, ins, y, dims: [ct.permute(inverse(dims, ins[0].ndim))])
view_rule("expand", expanded, varargs="size", vjp=lambda ct, ins, y, size, implicit: [ct])
view_rule("squeeze", squeezed, vjp=lambda ct, ins, y, dim: [ct.reshape(ins[0].shape)])
view_rule("unsqueeze", unsqueezed, vjp=lambda ct, ins, y, dim: [ct.reshape(ins[0].shape)])
view_rule("select", selected, vjp=lambda ct, ins, y, dim, index:
          [embed(ct, ins[0], lambda w: w.select(dim, index))])
view_rule("slice", sliced, vjp=lambda ct, ins, y, dim, start, end, step:
          [embed(ct, ins[0], lambda w: w.slice(dim, start, end, step))], function=False)

rule("clone", lambda self, *, memory_format=None: self, inputs=("self",), layout="elementwise",
     vjp=lambda ct, ins, y, memory_format: [ct], jvp="linear")


def reshape(input, *shape):
    """A view where strides allow, otherwise a copy."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    size = infer_size(shape, numel(input._size))
    if view_stride(input._size, input._stride, size) is not None:
        return input.view(size)
    return input.contiguous().view(size)


def contiguous(input, memory_format=None):
    """The tensor itself when it is row-major, else a row-major copy."""
    return input if input.is_contiguous() else input.clone(memory_format="contiguous")


composite("reshape", reshape)
composite("contiguous", contiguous, function=False)
