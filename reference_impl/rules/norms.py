"""Norms of vectors and matrices. Chapters torch.linalg and "Reduction Ops".

In a line, ct is the cotangent, ins the inputs, y the result. They are helpers: no table of
operations lists them yet, so no library is checked against them.
"""

import math

import numpy as np

import reference_impl as torch
from reference_impl import dtypes as dt
from reference_impl.errors import (
    Argument,
    ArgumentType,
    DtypeUnsupported,
    EmptyReduction,
)
from reference_impl.geometry import wrap_dim
from reference_impl.promotion import promote_types
from reference_impl.rule import composite, rule
from reference_impl.rules.matrix_checks import need_float, need_matrix
from reference_impl.rules.reductions import all_dims, carry, kept
from reference_impl.rules.spectra import svdvals


def check_norm_dtype(name, dtype, given):
    """Whether norms of tensors of dtype `given` may be computed in `dtype`."""
    if not dtype.is_differentiable:
        raise DtypeUnsupported(f"{name}: dtype should be floating point or complex, but got "
                               f"{dtype.scalar_name}")
    if dtype.is_complex != given.is_complex:
        kind = "complex" if given.is_complex else "real"
        raise DtypeUnsupported(f"{name}: dtype should be {kind} for {kind} inputs, but got "
                               f"{dtype.scalar_name}")
    if promote_types(given, dtype) is not dtype:
        raise DtypeUnsupported(f"{name}: the dtype of the input ({given.scalar_name}) should be "
                               "convertible without narrowing to the specified dtype "
                               f"({dtype.scalar_name})")


def norm_of(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """(sum |x|**ord) ** (1/ord); for 0 the count of what is not 0, for ±inf the extremum."""
    name = "linalg.vector_norm"
    if x.dtype.kind in "biu":
        kind = dt.BY_NUMPY[x.dtype].scalar_name
        raise DtypeUnsupported(f"{name}: Expected a floating point or complex tensor as input. Got "
                               f"{kind}")
    if dtype is not None:
        check_norm_dtype(name, dtype, dt.BY_NUMPY[x.dtype])
        x = x.astype(dtype.np)
    axes = all_dims(dim, x.ndim)
    if ord < 0 or ord == math.inf:
        _need_elements(name, x.shape, axes, dim, ord)
    size, real = carry(np.abs(x)), np.abs(np.zeros((), x.dtype)).dtype
    if math.isinf(ord):
        pick = np.max if ord > 0 else np.min
        return np.asarray(pick(size, axis=axes, keepdims=keepdim)).astype(real)
    if ord == 0:
        return np.asarray(np.sum(x != 0, axis=axes, keepdims=keepdim)).astype(real)
    # squares overflow where the norm does not, so scale as math.hypot does
    top = size.max(axis=axes, keepdims=True, initial=0)
    scale = np.where((top == 0) | ~np.isfinite(top), 1, top).astype(size.dtype) if ord > 0 else (
        np.ones((), size.dtype))
    total = np.sum((size / scale) ** size.dtype.type(ord), axis=axes, keepdims=True)
    out = total ** size.dtype.type(1 / ord) * scale
    return (out if keepdim else out.squeeze(axes)).astype(real)


def _need_elements(name, shape, axes, dim, ord):
    if dim is None or not isinstance(dim, int) and len(dim) == 0:
        if 0 in shape:
            raise EmptyReduction(f"{name} cannot compute the {ord:g} norm on an empty tensor because "
                                 "the operation does not have an identity")
        return
    for d in axes:
        if shape and shape[d] == 0:
            raise EmptyReduction(f"{name} cannot compute the {ord:g} norm on the dimension {d}"
                                 "because this dimension is empty and the operation does not have "
                                 "an identity")


def norm_slope(x, ord, y):
    """What stands beside y ** (1 - ord) in the derivative of the norm y, which is kept in size."""
    if ord == 0:
        return torch.zeros_like(x)
    if ord == 1:
        return x.sgn()
    if ord == 2:
        return x
    size = x.abs()
    if math.isinf(ord):      # ties share
        return x.sgn() * (size == y).logical_or(size.isnan()).to(size.dtype)
    if ord < 1:
        return (x.sgn() * size.pow(ord - 1)).masked_fill(x == 0, 0)
    return x.sgn() * size.pow(ord - 1) if ord < 2 else x * size.pow(ord - 2)


def over_norm(t, y, ord):
    """t * y ** (1 - ord), 0 where the norm y is 0 and the power infinite."""
    if ord in (0, 1) or math.isinf(ord):
        return t
    return t * y.pow(1 - ord) if ord < 1 else (t / (y if ord == 2 else y.pow(ord - 1))).masked_fill(
        y == 0, 0)


def shares(x, y, ord, dim):
    """Among how many the slope is shared: those that are the extremum."""
    if not math.isinf(ord):
        return 1
    size = x.abs()
    return (size == y).logical_or(size.isnan()).sum(all_dims(dim, x.ndim), True)


def vector_norm_vjp(ct, ins, y, ord, dim, keepdim, dtype):
    x = ins[0]
    if ord == 0:         # a count
        return [None]
    ct, y = (kept(t, x.shape, dim, keepdim) for t in (ct, y))
    return [norm_slope(x, ord, y) * (over_norm(ct, y, ord) / shares(x, y, ord, dim))]


def vector_norm_jvp(t, ins, y, ord, dim, keepdim, dtype):
    x, full = ins[0], kept(y, ins[0].shape, dim, keepdim)
    along = (norm_slope(x, ord, full) * t[0].conj()).real.to(y.dtype) / shares(x, full, ord, dim)
    return over_norm(along.sum(all_dims(dim, x.ndim), keepdim), y, ord)


_norm_rule = rule("_vector_norm", norm_of, inputs=("x",), vjp=vector_norm_vjp,
                  jvp=vector_norm_jvp, node="LinalgVectorNormBackward0", method=False,
                  function=False, saves={"x": ("x", "result")})


def need_real(name, ord):
    if isinstance(ord, complex):
        raise Argument(f"{name}: Expected a non-complex scalar as the order of norm.")


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    if isinstance(ord, (str, bool)) or ord is None:
        raise ArgumentType("linalg_vector_norm(): argument 'ord' (position 2) must be Number, not "
                           f"{type(ord).__name__}")
    need_real("linalg.vector_norm", ord)
    return _norm_rule(x, ord, dim, keepdim, dtype=dtype)


composite("linalg_vector_norm", vector_norm, method=False, function=False, helper=True)

# --- of matrices ---


def _two_dims(name, A, dim):
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(dims) != 2:
        raise Argument(f"{name}: dim must be a 2-tuple. Got {' '.join(map(str, dims))}")
    wrapped = tuple(wrap_dim(d, A.ndim) for d in dims)
    if wrapped[0] == wrapped[1]:
        raise Argument(f"{name}: dims must be different. Got ({dims[0]}, {dims[1]})")
    return wrapped


def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """Of singular values: "nuc" their sum, 2 and -2 the extremes; of columns (1, -1) or rows (inf,
    -inf) the extreme sum; "fro" of all elements the root of squares."""
    name = "linalg.matrix_norm"
    need_matrix(name, A)
    if not A.dtype.is_differentiable:
        need_float(name, A)
    need_real(name, ord)
    if ord not in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise Argument(f"{name}: Order {ord} not supported.")
    row, column = _two_dims(name, A, dim)
    if dtype is not None:
        check_norm_dtype(name, dtype, A.dtype)
    if ord == "fro":
        return vector_norm(A, 2, (row, column), keepdim, dtype=dtype)
    if ord in ("nuc", 2, -2):
        return _of_singular_values(A if dtype is None else A.to(dtype), ord, row, column, keepdim)
    summed, other = (row, column) if abs(ord) == 1 else (column, row)
    sums = vector_norm(A, 1, summed, keepdim, dtype=dtype)
    if not keepdim and other > summed:
        other -= 1
    return extreme(sums, other, keepdim, ord > 0)


def extreme(t, dim, keepdim, largest):
    """The largest along `dim`, 0 where there is nothing; or the smallest."""
    if largest and t._size[dim] == 0:
        return t.sum(dim, keepdim)
    return t.amax(dim, keepdim) if largest else t.amin(dim, keepdim)


def _of_singular_values(A, ord, row, column, keepdim):
    order = [d for d in range(A.ndim) if d not in (row, column)] + [row, column]
    s = svdvals(A.permute(order))
    if ord == "nuc":
        got = s.sum(-1, keepdim)
    else:
        got = extreme(s, -1, keepdim, ord > 0)
    if not keepdim:
        return got
    back = [order.index(d) for d in range(A.ndim)]
    return got.unsqueeze(-1).permute(back)


def linalg_norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """The matrix norm for two dimensions and an order, else the vector norm."""
    if dim is not None:
        dims = (dim,) if isinstance(dim, int) else tuple(dim)
        if ord is not None and len(dims) not in (1, 2):
            raise Argument("linalg.norm: If dim is specified, it must be of length 1 or 2. Got "
                           f"{list(dims)}")
    elif ord is not None and A.ndim not in (1, 2):
        raise Argument("linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. "
                       f"Got {A.ndim}D.")
    if ord is not None and (isinstance(ord, str) or (
            A.ndim == 2 if dim is None else len(dims) == 2)):
        return matrix_norm(A, ord, (-2, -1) if dim is None else dims, keepdim, dtype=dtype)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


composite("linalg_matrix_norm", matrix_norm, method=False, function=False, helper=True)
composite("linalg_norm", linalg_norm, method=False, function=False, helper=True)


def norm(input, p="fro", dim=None, keepdim=False, *, dtype=None):
    """The vector norm of all elements or along dims, "fro" being 2; "nuc" of matrices."""
    if isinstance(p, str) and p != "fro":
        name = "linalg.matrix_norm"
        if p != "nuc":
            raise Argument(f"{name}: Order {p} not supported.")
        return matrix_norm(input, p, tuple(range(input.ndim)) if dim is None else dim, keepdim,
                           dtype=dtype)
    return vector_norm(input, 2 if p in (None, "fro") else p, dim, keepdim, dtype=dtype)


def nuclear_norm(input, dim=(-2, -1), keepdim=False):
    return matrix_norm(input, "nuc", dim, keepdim)


def frobenius_norm(input, dim, keepdim=False):
    return vector_norm(input, 2, dim, keepdim)


def _powsum(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """sum |x|**ord: what a norm takes the root of."""
    x = carry(np.abs(x if dtype is None else x.astype(dtype.np)))
    with np.errstate(all="ignore"):
        total = np.sum(x ** x.dtype.type(ord), axis=all_dims(dim, x.ndim), keepdims=keepdim)
    return np.asarray(total)


composite("norm", norm, helper=True)
composite("nuclear_norm", nuclear_norm, method=False, helper=True)
composite("frobenius_norm", frobenius_norm, method=False, helper=True)
powers_added = rule("linalg__powsum", _powsum, inputs=("x",), method=False, function=False, helper=True)
composite("_foreach_powsum", lambda self, ord=2, *, dtype=None: tuple(
    powers_added(t, ord, dtype=dtype) for t in self), method=False, helper=True)
