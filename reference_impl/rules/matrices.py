"""Products of vectors and matrices made of others: addmm and its kin, tensordot, cross, det, inv.

They are helpers: no table of operations lists them yet, so no library is checked against them.
"""

import numpy as np

from reference_impl.creation import eye
from reference_impl.dispatch import FUNCTIONS
from reference_impl.dtypes import int64
from reference_impl.errors import (
    Argument,
    DimCount,
    DtypeUnsupported,
    LinalgSingular,
    ShapeMismatch,
    shape_text,
)
from reference_impl.geometry import wrap_dim
from reference_impl.places import from_array
from reference_impl.rule import composite, rule
from reference_impl.tensor import Tensor


def call(name, *args, **named):
    return FUNCTIONS[name](*args, **named)


def _check_numbers(x, **numbers):
    for name, number in numbers.items():
        if not x.dtype.is_differentiable and isinstance(number, float):
            raise DtypeUnsupported(f"For integral input tensors, argument {name} must not be a "
                                   "floating point number.")


def _added(product, ranks, name):
    """beta * input + alpha * product(a, b). With beta 0 nan and infinities of input do not count."""
    def function(input, a, b, *, beta=1, alpha=1):
        for t, rank in zip((a, b), ranks, strict=True):
            if t.ndim != rank:
                raise DimCount(f"{name}: expected a tensor with {rank} dimensions, but got "
                               f"{t.ndim}-D")
        _check_numbers(input, beta=beta, alpha=alpha)
        got = call(product, a, b)
        got = got if alpha == 1 else got * alpha
        if beta == 0:
            return got
        sized = input.expand(got._size)
        return (sized if beta == 1 else sized * beta) + got

    def in_place(input, a, b, *, beta=1, alpha=1):
        return input.copy_(function(input, a, b, beta=beta, alpha=alpha))
    composite(name, function, helper=True)
    composite(f"{name}_", in_place, function=name == "addmv", helper=True)


_added("mm", (2, 2), "addmm")
_added("mv", (2, 1), "addmv")
_added("outer", (1, 1), "addr")
_added("bmm", (3, 3), "baddbmm")
composite("addbmm", lambda input, batch1, batch2, *, beta=1, alpha=1: input * beta + call(
    "bmm", batch1, batch2).sum(0) * alpha, helper=True)


def inner(input, other):
    """Sum of products along the last dimensions."""
    if not input.ndim or not other.ndim:
        return input * other
    if input._size[-1] != other._size[-1]:
        raise ShapeMismatch("inner() the last dimension must match on both input tensors but got "
                            f"shapes {shape_text(input._size)} and {shape_text(other._size)}")
    return tensordot(input, other, ((input.ndim - 1,), (other.ndim - 1,)))


def vdot(input, other):
    return call("dot", input.conj(), other)


def tensordot(a, b, dims=2, out=None):
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
    for i, j in zip(left, right, strict=True):
        if a._size[i] != b._size[j]:
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


def cross(input, other, dim=None):
    """The vector product along a dimension of size 3 (default: the first such)."""
    if dim is None:
        dim = next((d for d, n in enumerate(input._size) if n == 3), None)
        if dim is None:
            raise Argument("no dimension of size 3 in input")
    a, b = call("broadcast_tensors", input, other)
    d = wrap_dim(dim, a.ndim)
    if a._size[d] != 3:
        raise Argument("linalg.cross: inputs dimension "
                       f"{dim} must have length 3. Got {input._size[d]} and {other._size[d]}")
    a, b = a.unbind(d), b.unbind(d)
    return call("stack", [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2],
                          a[0] * b[1] - a[1] * b[0]], d)


for _name, _function in (("inner", inner), ("vdot", vdot), ("cross", cross)):
    composite(_name, _function, helper=True)
composite("tensordot", tensordot, method=False, helper=True)
composite("linalg_cross", lambda input, other, *, dim=-1: cross(input, other, dim), method=False,
          helper=True)


def _square(name, x):
    if x.ndim < 2:
        raise DimCount(f"{name}: The input tensor A must have at least 2 dimensions.")
    if x.shape[-1] != x.shape[-2]:
        raise ShapeMismatch(f"{name}: A must be batches of square matrices, but they are "
                            f"{x.shape[-2]} by {x.shape[-1]} matrices")


def inv(A):
    """Raises LinalgSingular."""
    _square("linalg.inv", A)
    try:
        return np.linalg.inv(A).astype(A.dtype)
    except np.linalg.LinAlgError:
        raise LinalgSingular("linalg.inv: The diagonal element of the factor U is zero, the "
                             "inversion could not be completed because the input matrix is "
                             "singular.") from None


rule("linalg_inv", inv, inputs=("A",), accepts="float complex", promote="same", method=False,
     helper=True, node="LinalgInvExBackward0", saves={"A": ("result",)},
     vjp=lambda ct, ins, y: [-(y.mH @ ct @ y.mH)], jvp=lambda t, ins, y: -(y @ t[0] @ y))


def det(A):
    _square("linalg.det", A)
    return np.asarray(np.linalg.det(A)).astype(A.dtype)


def adjugate(a, y):
    """The matrix of (signed) minors whose product with `a` is y = det a on the diagonal.

    Of singular matrices from the minors themselves, so that all derivatives of det exist.
    """
    if not (y == 0).any():
        return y.unsqueeze(-1).unsqueeze(-1) * FUNCTIONS["linalg_inv"](a)
    rest = [np.delete(np.arange(a._size[-1]), k) for k in range(a._size[-1])]

    def minor(row, column):
        part = a.index_select(-2, vector_of(rest[row])).index_select(-1, vector_of(rest[column]))
        return FUNCTIONS["linalg_det"](part) * (-1) ** (row + column)
    return call("stack", [call("stack", [minor(column, row) for column in range(len(rest))], -1)
                          for row in range(len(rest))], -2)


def vector_of(places):
    return from_array(places, int64)


rule("linalg_det", det, inputs=("A",), accepts="float complex", promote="same", method=False,
     helper=True, node="LinalgDetBackward0", saves={"A": ("A", "result")},
     vjp=lambda ct, ins, y: [ct.unsqueeze(-1).unsqueeze(-1) * adjugate(ins[0], y).mH],
     jvp=lambda t, ins, y: (adjugate(ins[0], y) @ t[0]).diagonal(0, -2, -1).sum(-1))
for _name, _target in (("det", "linalg_det"), ("inverse", "linalg_inv")):
    composite(_name, FUNCTIONS[_target], helper=True)


def matrix_power(input, n):
    """input multiplied n times; n < 0: its inverse."""
    _square("linalg.matrix_power", input)
    if n == 0:
        return input.clone().copy_(eye(input._size[-1], dtype=input.dtype))
    base = FUNCTIONS["linalg_inv"](input) if n < 0 else input
    out, n = None, abs(n)
    while n:
        if n & 1:
            out = base if out is None else out @ base
        n >>= 1
        if n:
            base = base @ base
    return out.clone() if out is input else out


composite("matrix_power", matrix_power, helper=True)
composite("linalg_matrix_power", lambda A, n: matrix_power(A, n), method=False, helper=True)


def cdist(x1, x2, p=2.0, compute_mode=None):
    """Distances between the rows of two (batches of) matrices."""
    for t in (x1, x2):
        if t.ndim < 2:
            raise DimCount("cdist only supports at least 2D tensors, got: "
                           f"{t.ndim}D")
    if x1._size[-1] != x2._size[-1]:
        raise ShapeMismatch(f"X1 and X2 must have the same number of columns. X1: {x1._size[-1]} "
                            f"X2: {x2._size[-1]}")
    return FUNCTIONS["linalg_vector_norm"](x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


composite("cdist", cdist, method=False, helper=True)


def multi_dot(tensors):
    """The product of several matrices, the first and last may be vectors."""
    out = tensors[0]
    for t in tensors[1:]:
        out = out @ t
    return out


composite("linalg_multi_dot", multi_dot, method=False, helper=True)
composite("chain_matmul", lambda *matrices: multi_dot(matrices), method=False, helper=True)
composite("linalg_vecdot", lambda x, y, *, dim=-1: (x.conj() * y).sum(dim), method=False,
          helper=True)
composite("linalg_diagonal", lambda A, *, offset=0, dim1=-2, dim2=-1: A.diagonal(
    offset, dim1, dim2), method=False, helper=True)
