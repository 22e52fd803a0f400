"""Products of vectors and matrices made of others: inner, tensordot, cross, chains of products.

They are helpers: no table of operations lists them yet, so no library is checked against them.
"""

import itertools

import numpy as np

from reference_impl.dispatch import FUNCTIONS
from reference_impl.dtypes import BY_NUMPY
from reference_impl.errors import Argument, DimCount, DtypeMismatch, ShapeMismatch, shape_text
from reference_impl.geometry import broadcast_shapes, wrap_dim, wrap_dims
from reference_impl.out_dtypes import c_name
from reference_impl.rule import composite, rule
from reference_impl.rules.matrix_checks import need_float_or_half, need_same_dtype, scalar_name
from reference_impl.rules.reductions import carry
from reference_impl.tensor import Tensor


def call(name, *args, **named):
    return FUNCTIONS[name](*args, **named)


def inner(input, other):
    """Sum of products along the last dimensions."""
    if not input.ndim or not other.ndim:
        return input * other
    if input._size[-1] != other._size[-1]:
        raise ShapeMismatch("inner() the last dimension must match on both input tensors but got "
                            f"shapes {shape_text(input._size)} and {shape_text(other._size)}")
    return tensordot(input, other, ((input.ndim - 1,), (other.ndim - 1,)))


def tensordot(a, b, dims=2):
    """Sum of products along pairs of dimensions, or along the last and first `dims`."""
    if isinstance(dims, int):
        if dims < 0:
            raise Argument(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise Argument(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        left, right = range(a.ndim - dims, a.ndim), range(dims)
    else:
        pairs = dims.tolist() if isinstance(dims, Tensor) else dims
        left, right = ((d,) if isinstance(d, int) else tuple(d) for d in pairs)
    left = [wrap_dim(d, a.ndim) for d in left]
    right = [wrap_dim(d, b.ndim) for d in right]
    if len(left) != len(right):
        raise Argument("both dimension lists should have same length")
    for dims_of, ndim in ((left, a.ndim), (right, b.ndim)):
        wrap_dims(dims_of, ndim)      # none twice
    if a.dtype is not b.dtype:
        raise DtypeMismatch("both inputs should have same dtype")
    for i, j in zip(left, right, strict=True):
        if a._size[i] == 1:            # a size of 1 stands for all: the other is summed
            b = b.sum(j, True, dtype=b.dtype)
        elif b._size[j] == 1:
            a = a.sum(i, True, dtype=a.dtype)
        elif a._size[i] != b._size[j]:
            raise ShapeMismatch(f"contracted dimensions need to match, but first has size "
                                f"{a._size[i]} in dim {i} and second has size {b._size[j]} in dim {j}")
    keep_a = [d for d in range(a.ndim) if d not in left]
    keep_b = [d for d in range(b.ndim) if d not in right]
    n = int(np.prod([a._size[d] for d in left], dtype=int))
    rows = a.permute(keep_a + left).reshape((-1, n) if a.numel() else (
        int(np.prod([a._size[d] for d in keep_a], dtype=int)), n))
    columns = b.permute(right + keep_b).reshape((n, -1) if b.numel() else (
        n, int(np.prod([b._size[d] for d in keep_b], dtype=int))))
    size = tuple(a._size[d] for d in keep_a) + tuple(b._size[d] for d in keep_b)
    return call("mm", rows, columns).reshape(size)


def _cross(self, other, *, dim=-1):
    """The vector product along a dimension of size 3; the other dimensions broadcast."""
    if self.ndim != other.ndim:
        raise ShapeMismatch("linalg.cross: inputs must have the same number of dimensions.")
    if self.dtype != other.dtype:
        raise DtypeMismatch(f"expected scalar type {scalar_name(self)} but found "
                            f"{scalar_name(other)}")
    d = wrap_dim(dim, self.ndim)
    if self.shape[d] != 3 or other.shape[d] != 3:
        raise Argument(f"linalg.cross: inputs dimension {dim} must have length 3. Got "
                       f"{self.shape[d]} and {other.shape[d]}")
    shape = broadcast_shapes(self.shape, other.shape)
    a, b = (np.moveaxis(np.broadcast_to(carry(x), shape), d, 0) for x in (self, other))
    out = np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]], d)
    return out.astype(self.dtype)


cross_along = rule(
    "linalg_cross", _cross, inputs=("self", "other"), method=False, function=False, helper=True,
    saves={"self": ("other",), "other": ("self",)},
    vjp=lambda ct, ins, y, dim: [cross_along(*of_one_shape(ins[1].conj(), ct), dim=dim),
                                 cross_along(*of_one_shape(ct, ins[0].conj()), dim=dim)],
    jvp=lambda t, ins, y, dim: cross_along(t[0], ins[1], dim=dim) + cross_along(ins[0], t[1], dim=dim))


def of_one_shape(a, b):
    return call("broadcast_tensors", a, b)


def cross(input, other, dim=None):
    """The vector product along `dim`, or the first dimension of size 3."""
    if dim is None:
        dim = next((d for d, n in enumerate(input._size) if n == 3), None)
        if dim is None:
            raise Argument("no dimension of size 3 in input")
    return cross_along(input, other, dim=dim)


for _name, _function in (("inner", inner), ("cross", cross)):
    composite(_name, _function, helper=True)
composite("tensordot", tensordot, method=False, helper=True)


def multi_dot(tensors):
    """The product of several matrices, the first and last may be vectors.

    They are multiplied in the order that takes the fewest multiplications.
    """
    name = "multi_dot()"
    if len(tensors) < 2:
        raise Argument(f"{name}: expected at least 2 tensors but got {len(tensors)}")
    last = len(tensors) - 1
    for i, t in enumerate(tensors):
        outer_ones = i in (0, last)
        if t.ndim != 2 and not (outer_ones and t.ndim == 1):
            which = {0: "the first tensor", last: "the last tensor"}.get(i, f"tensor {i}")
            want = "1D or 2D" if outer_ones else "2D"
            raise DimCount(f"{name}: {which} must be {want} but got {t.ndim}D")
        if t.dtype is not tensors[0].dtype:
            raise DtypeMismatch(f"{name}: all tensors must have be the same dtype but tensor 0 is "
                                f"{tensors[0].dtype.scalar_name} and tensor {i} "
                                f"{t.dtype.scalar_name}")
    matrices = [tensors[0].unsqueeze(0) if tensors[0].ndim == 1 else tensors[0], *tensors[1:-1],
                tensors[-1].unsqueeze(-1) if tensors[-1].ndim == 1 else tensors[-1]]
    for i, (a, b) in enumerate(itertools.pairwise(matrices)):
        if a._size[1] != b._size[0]:
            raise ShapeMismatch(f"{name}: tensors {i} and {i + 1} with shapes {shape_text(a._size)} "
                                f"and {shape_text(b._size)} cannot be multiplied")
    size = (() if tensors[0].ndim == 1 else tensors[0]._size[:1]) + (
        () if tensors[-1].ndim == 1 else tensors[-1]._size[1:])
    return _chain(matrices, _best_order([m._size[0] for m in matrices] + [matrices[-1]._size[1]]),
                  0, last).view(size)


def _best_order(sizes):
    """Where to split each part of a chain (Cormen et al., matrix-chain multiplication)."""
    n = len(sizes) - 1
    cost, split = {(i, i): 0 for i in range(n)}, {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i, j], split[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j))
    return split


def _chain(matrices, split, i, j):
    if i == j:
        return matrices[i]
    k = split[i, j]
    return _chain(matrices, split, i, k).mm(_chain(matrices, split, k + 1, j))


def chain_matmul(*matrices):
    if not matrices:
        raise Argument("chain_matmul(): Expected one or more matrices")
    for t in matrices:
        if t.ndim != 2:
            raise DimCount(f"Tensor dimension is {t.ndim}, expected 2 instead.")
    return matrices[0].clone() if len(matrices) == 1 else multi_dot(matrices)


def _int_mm(self, mat2):
    """The product of a matrix of int8 or uint8 with one of int8, in int32."""
    name = "int_mm_out_cpu"
    for word, t in (("self", self), ("mat2", mat2)):
        if t.ndim != 2:
            raise DimCount(f"{name}: Expected {word} to be of dimension 2 but got {t.ndim}")
    if self.shape[1] != mat2.shape[0]:
        raise ShapeMismatch(f"{name}: self.size(1) needs to match mat2.size(0) but got "
                            f"{self.shape[1]} and {mat2.shape[0]}")
    if self.dtype not in (np.int8, np.uint8):
        raise DtypeMismatch(f"{name}: Expected self dtype to be int8 or uint8 but got "
                            f"{c_name(BY_NUMPY[self.dtype])}")
    if mat2.dtype != np.int8:
        raise DtypeMismatch(f"{name}: Expected mat2 dtype to be of type int8 but got "
                            f"{c_name(BY_NUMPY[mat2.dtype])}")
    return self.astype(np.int32) @ mat2.astype(np.int32)


rule("_int_mm", _int_mm, inputs=("self", "mat2"), method=False, helper=True)


def vecdot(x, y, *, dim=-1):
    """The sum of conj(x) * y along `dim`."""
    need_float_or_half("linalg.vecdot", x)
    need_same_dtype("linalg.vecdot", "x and y", x, y)
    return (x.conj() * y).sum(dim)


composite("linalg_multi_dot", multi_dot, method=False, helper=True, function=False)
composite("chain_matmul", chain_matmul, method=False, helper=True)
composite("linalg_vecdot", vecdot, method=False, helper=True, function=False)
composite("linalg_diagonal", lambda A, *, offset=0, dim1=-2, dim2=-1: A.diagonal(
    offset, dim1, dim2), method=False, helper=True, function=False)
composite("linalg_matmul", lambda input, other: input.matmul(other), method=False, helper=True,
          function=False)
