"""What torch.linalg asks of its inputs, in torch's words."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.errors import (
    DtypeMismatch,
    DtypeUnsupported,
    LinalgSingular,
    ShapeMismatch,
)


def scalar_name(x):
    """torch's name of the dtype of a Tensor or an ndarray: Float."""
    return (dt.BY_NUMPY[x.dtype] if isinstance(x, np.ndarray) else x.dtype).scalar_name


def need_matrix(name, a, word="A"):
    if a.ndim < 2:
        raise ShapeMismatch(f"{name}: The input tensor {word} must have at least 2 dimensions.")


def need_square(name, a, word="A"):
    need_matrix(name, a, word)
    if a.shape[-1] != a.shape[-2]:
        raise ShapeMismatch(f"{name}: {word} must be batches of square matrices, but they are "
                            f"{a.shape[-2]} by {a.shape[-1]} matrices")


def need_float(name, a):
    """Raises DtypeUnsupported for integers, bool and the 16-bit types, which LAPACK does not know."""
    if a.dtype == object:
        return
    kind = dt.BY_NUMPY[a.dtype] if isinstance(a, np.ndarray) else a.dtype
    if not kind.is_differentiable:
        raise DtypeUnsupported(f"{name}: Expected a floating point or complex tensor as input. Got "
                               f"{kind.scalar_name}")
    if kind.itemsize == 2:
        raise DtypeUnsupported(f"{name}: Low precision dtypes not supported. Got {kind.scalar_name}")


def need_float_or_half(name, a):
    """Raises DtypeUnsupported for integers and bool."""
    kind = dt.BY_NUMPY[a.dtype] if isinstance(a, np.ndarray) else a.dtype
    if not kind.is_differentiable:
        need_float(name, a)


def need_same_dtype(name, words, a, b):
    """words: what the two are called, "A and B"."""
    if a.dtype != b.dtype:
        first, second = words.split(" and ")
        raise DtypeMismatch(f"{name}: Expected {words} to have the same dtype, but found {first} of "
                            f"type {scalar_name(a)} and {second} of type {scalar_name(b)} instead")


def need_solvable(name, a, b, left):
    """Whether AX = B (XA = B when not left) has sides of fitting sizes."""
    need_square(name, a)
    need_matrix(name, b, "B")
    if a.shape[-2] != b.shape[-2 if left else -1]:
        raise ShapeMismatch(f"{name}: Incompatible shapes of A and B for the equation "
                            f"{'AX = B' if left else 'XA = B'} ({'x'.join(map(str, a.shape[-2:]))} "
                            f"and {'x'.join(map(str, b.shape[-2:]))})")


def raise_singular(name, info, words):
    """Raises LinalgSingular where `info` (an array, one number per matrix) is not 0.

    words: the message, with {info} for the number.
    """
    bad = np.flatnonzero(info)
    if bad.size:
        where = f"(Batch element {bad[0]}): " if info.ndim else ""
        raise LinalgSingular(f"{name}: {where}{words.format(info=info.reshape(-1)[bad[0]])}")


def adjoint(t):
    """Conjugate transpose of the last two dimensions, of a Tensor or an ndarray."""
    swapped = np.swapaxes(t, -1, -2) if isinstance(t, np.ndarray) else t.transpose(-2, -1)
    return swapped.conj()


def broadcast_batches(a, b):
    """Two arrays of matrices with their batch dimensions broadcast."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return (np.broadcast_to(a, batch + a.shape[-2:]), np.broadcast_to(b, batch + b.shape[-2:]))
