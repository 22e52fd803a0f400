"""LU factors with partial pivoting, and systems solved with them. Chapter torch.linalg.

A = P L U: the rows of A, exchanged as `pivots` tells (row i with row pivots[i], counted from 1,
one exchange after the other), are L U. LU holds both, without the ones on L's diagonal. In a line,
ct is the cotangents, ins the inputs, y the results. They are helpers: no table lists them yet.
"""

import numpy as np

import reference_impl as torch
from reference_impl.errors import (
    Argument,
    DimCount,
    DtypeUnsupported,
    NotImplementedFor,
    ShapeMismatch,
    shape_text,
)
from reference_impl.return_types import named
from reference_impl.rule import composite, rule
from reference_impl.rules.matrix_checks import adjoint as hermitian
from reference_impl.rules.matrix_checks import (
    broadcast_batches,
    need_same_dtype,
    need_solvable,
    raise_singular,
    scalar_name,
)
from reference_impl.rules.triangular import solve_triangular, substitute

ZERO_PIVOT = ("U[{info},{info}] is zero and using it on lu_solve would result in a division by zero. "
              "If you still want to perform the factorization, consider calling linalg.lu(A, pivot) "
              "or linalg.lu_factor_ex(A, pivot)")


def size_of(x):
    """How large an element counts when a pivot is chosen: LAPACK adds the parts' sizes."""
    return np.abs(x.real) + np.abs(x.imag) if x.dtype.kind == "c" else np.abs(x)


def factorise(a):
    """(LU, pivots, info) of an array (…, m, n); info is the first zero on U's diagonal, or 0."""
    lu, k = a.copy(), min(a.shape[-2:])
    pivots = np.zeros((*a.shape[:-2], k), np.int32)
    info = np.zeros(a.shape[:-2], np.int32)
    for place in np.ndindex(a.shape[:-2]):
        one = lu[place]
        for j in range(k):
            p = j + int(np.argmax(size_of(one[j:, j])))
            pivots[(*place, j)] = p + 1
            if one[p, j] == 0:
                info[place] = info[place] or j + 1
                continue
            one[[j, p]] = one[[p, j]]
            one[j + 1:, j] /= one[j, j]
            one[j + 1:, j + 1:] -= one[j + 1:, j, None] * one[j, j + 1:]
    return lu, pivots, info


def order_of(pivots, rows):
    """Which row of A is each row of L U: int64 (…, rows)."""
    out = np.broadcast_to(np.arange(rows), (*pivots.shape[:-1], rows)).copy()
    for place in np.ndindex(pivots.shape[:-1]):
        for j, p in enumerate(pivots[place] - 1):
            out[place][[j, p]] = out[place][[p, j]]
    return out


def exchanged(b, pivots, back=False):
    """The rows of an array as the pivots exchange them; back: undone."""
    order = order_of(pivots, b.shape[-2])
    if back:
        order = np.argsort(order, axis=-1)
    order = np.broadcast_to(order, b.shape[:-1])
    return np.take_along_axis(b, order[..., None], -2)


def permutation(pivots, rows, dtype):
    """P, an array."""
    order = order_of(pivots, rows)
    return (order[..., None, :] == np.arange(rows)[:, None]).astype(dtype)


def _need_lu(name, a, pivot=True):
    if a.ndim < 2:
        raise DimCount(f"{name}: Expected tensor with 2 or more dimensions. Got size: "
                       f"{shape_text(a.shape)} instead")
    if a.dtype.kind not in "fc" or a.dtype.itemsize == 2:
        raise NotImplementedFor(f'"lu_cpu" not implemented for \'{scalar_name(a)}\'')
    if not pivot:
        raise Argument("linalg.lu_factor: LU without pivoting is not implemented on the CPU")


def _lu_factor_ex(A, *, pivot=True, check_errors=False):
    _need_lu("torch.lu_factor", A, pivot)
    found = factorise(A)
    if check_errors:
        raise_singular("torch.linalg.lu_factor_ex", found[2], ZERO_PIVOT)
    return found


def _unpack(lu):
    """L and U of a Tensor."""
    m, n = lu.shape[-2:]
    k = min(m, n)
    low = lu.narrow(-1, 0, k).tril(-1) + torch.eye(m, k, dtype=lu.dtype)
    return low, lu.narrow(-2, 0, k).triu()


def factor_vjp(gl, gu, p, low, up):
    """Cotangent of A = P L U. gl, gu: those of L and U, or None; p: P as a Tensor.

    In Aᴴ-like order: what stands beside dL is strictly lower, beside dU upper triangular.
    """
    m, n, k = low.shape[-2], up.shape[-1], up.shape[-2]
    gl = torch.zeros_like(low) if gl is None else gl
    gu = torch.zeros_like(up) if gu is None else gu
    square_l, square_u = low.narrow(-2, 0, k), up.narrow(-1, 0, k)
    below = hermitian(square_l) @ gl.narrow(-2, 0, k)
    above = gu.narrow(-1, 0, k) @ hermitian(square_u)
    if n > k:
        below = below - gu.narrow(-1, k, n - k) @ hermitian(up.narrow(-1, k, n - k))
    if m > k:
        above = above - hermitian(low.narrow(-2, k, m - k)) @ gl.narrow(-2, k, m - k)
    inner = below.tril(-1) + above.triu()
    got = solve_triangular(hermitian(square_l), inner, upper=True, unitriangular=True)
    if n > k:
        got = torch.cat([got, solve_triangular(
            hermitian(square_l), gu.narrow(-1, k, n - k), upper=True, unitriangular=True)], -1)
    else:
        got = solve_triangular(hermitian(square_u), got, upper=False, left=False)
        if m > k:
            got = torch.cat([got, solve_triangular(
                hermitian(square_u), gl.narrow(-2, k, m - k), upper=False, left=False)], -2)
            return p @ got
    if n > k:
        first = solve_triangular(hermitian(square_u), got.narrow(-1, 0, k), upper=False, left=False)
        got = torch.cat([first, got.narrow(-1, k, n - k)], -1)
    return p @ got


def factor_jvp(da, p, low, up):
    """(dL, dU) of A = P L U: L⁻¹ Pᵀ dA U⁻¹ splits into a strictly lower and an upper part."""
    m, n, k = low.shape[-2], up.shape[-1], up.shape[-2]
    da = p.mT @ da
    square_l, square_u = low.narrow(-2, 0, k), up.narrow(-1, 0, k)
    left = solve_triangular(square_l, da.narrow(-2, 0, k), upper=False, unitriangular=True)
    inner = solve_triangular(square_u, left.narrow(-1, 0, k), upper=True, left=False)
    dl, du = square_l @ inner.tril(-1), inner.triu() @ square_u
    if n > k:
        rest = left.narrow(-1, k, n - k) - inner.tril(-1) @ up.narrow(-1, k, n - k)
        du = torch.cat([du, rest], -1)
    if m > k:
        rest = solve_triangular(square_u, da.narrow(-2, k, m - k), upper=True, left=False)
        dl = torch.cat([dl, rest - low.narrow(-2, k, m - k) @ inner.triu()], -2)
    return dl, du


def _matrix_of(pivots, lu):
    return torch.from_numpy(permutation(pivots._array, lu.shape[-2], lu.dtype.np))


def _lu_factor_vjp(ct, ins, y, pivot, check_errors):
    lu, pivots, _ = y
    k = min(lu.shape[-2:])
    low, up = _unpack(lu)
    return [factor_vjp(ct[0].narrow(-1, 0, k).tril(-1), ct[0].narrow(-2, 0, k).triu(),
                       _matrix_of(pivots, lu), low, up)]


def _lu_factor_jvp(t, ins, y, pivot, check_errors):
    return _packed(*factor_jvp(t[0], _matrix_of(y[1], y[0]), *_unpack(y[0]))), None, None


def _packed(dl, du):
    """Tangents (cotangents) of L and U as one of LU: dL has nothing on and above its diagonal."""
    m, n = dl.shape[-2], du.shape[-1]
    k = du.shape[-2]
    dl, du = dl.tril(-1), du.triu()
    if n > k:
        dl = torch.cat([dl, torch.zeros_like(du.narrow(-1, k, n - k))], -1)
    if m > k:
        du = torch.cat([du, torch.zeros_like(dl.narrow(-2, k, m - k))], -2)
    return dl + du


lu_factor_ex = rule(
    "linalg_lu_factor_ex", _lu_factor_ex, inputs=("A",), vjp=_lu_factor_vjp, jvp=_lu_factor_jvp,
    layout=("columns", "contiguous", "contiguous"), saves={"A": ("result",)}, differentiable=(0,),
    method=False, function=False, helper=True)


def _lu_factor(A, *, pivot=True):
    lu, pivots, info = lu_factor_ex(A, pivot=pivot)
    if (info._array > 0).any():
        bad = info._array.reshape(-1)[np.flatnonzero(info._array)[0]]
        where = f"(Batch element {np.flatnonzero(info._array)[0]}): " if info.ndim else ""
        raise Argument(f"torch.linalg.lu_factor: {where}{ZERO_PIVOT.format(info=bad)}")
    return named("linalg_lu_factor")((lu, pivots))


def _lu(A, *, pivot=True):
    _need_lu("linalg.lu", A, pivot)
    lu, pivots, _ = factorise(A)
    return _parts(lu, pivots)


def _parts(lu, pivots):
    m, n = lu.shape[-2:]
    k = min(m, n)
    low = np.tril(lu[..., :k], -1) + np.eye(m, k, dtype=lu.dtype)
    return permutation(pivots, m, lu.dtype), low, np.triu(lu[..., :k, :])


rule("linalg_lu", _lu, inputs=("A",), saves={"A": ("result",)}, differentiable=(1, 2), partial=True,
     vjp=lambda ct, ins, y, pivot: [factor_vjp(ct[1], ct[2], *y)],
     jvp=lambda t, ins, y, pivot: (None, *factor_jvp(t[0], *y)), method=False, function=False,
     helper=True)
composite("linalg_lu_factor", _lu_factor, method=False, function=False, helper=True)


def _lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True):
    """P, L and U; what is not asked for is empty."""
    if LU_data.ndim < 2:
        raise DimCount("torch.lu_unpack: Expected tensor with 2 or more dimensions. Got size: "
                       f"{shape_text(LU_data.shape)} instead")
    rows, nothing = LU_data.shape[-2], np.empty(0, LU_data.dtype)
    if unpack_pivots:
        if LU_pivots.dtype != np.int32:
            raise DtypeUnsupported("torch.lu_unpack: LU_pivots is expected to be a contiguous tensor "
                                   "of torch.int32 dtype.\nNote: this function is intended to be "
                                   "used with the output produced by torch.linalg.lu_factor")
        if ((LU_pivots < 1) | (LU_pivots > rows)).any():
            raise Argument("pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive."
                           "Did you properly pass the result of lu_factor?")
    p = permutation(LU_pivots, rows, LU_data.dtype) if unpack_pivots else nothing
    if not unpack_data:
        return p, nothing, nothing
    k = min(LU_data.shape[-2:])
    low = np.tril(LU_data[..., :k], -1) + np.eye(rows, k, dtype=LU_data.dtype)
    return p, low, np.triu(LU_data[..., :k, :])


def _lu_unpack_vjp(ct, ins, y, unpack_data, unpack_pivots):
    lu = ins[0]
    k = min(lu.shape[-2:])
    if not unpack_data:
        return [torch.zeros(lu.shape, dtype=lu.dtype), None]
    gl = torch.zeros((*lu.shape[:-1], k), dtype=lu.dtype) if ct[1] is None else ct[1]
    gu = torch.zeros((*lu.shape[:-2], k, lu.shape[-1]), dtype=lu.dtype) if ct[2] is None else ct[2]
    return [_packed(gl, gu), None]


def _lu_unpack_jvp(t, ins, y, unpack_data, unpack_pivots):
    k = min(ins[0].shape[-2:])
    if not unpack_data:
        return None, torch.zeros_like(y[1]), torch.zeros_like(y[2])
    return None, t[0].narrow(-1, 0, k).tril(-1), t[0].narrow(-2, 0, k).triu()


rule("lu_unpack", _lu_unpack, inputs=("LU_data", "LU_pivots"), differentiable=(1, 2), partial=True,
     vjp=_lu_unpack_vjp, jvp=_lu_unpack_jvp, method=False, helper=True)


def _lu_solve(LU, pivots, B, *, left=True, adjoint=False):
    name = "linalg.lu_solve"
    need_same_dtype(name, "LU and B", LU, B)
    if pivots.dtype != np.int32:
        raise DtypeUnsupported(f"{name}: pivots should be a Tensor of scalar type torch.int32")
    need_solvable(name, LU, B, left)
    if LU.shape[-1] != pivots.shape[-1]:
        raise ShapeMismatch(f"{name}: Number of pivots per batch should be same as the dimension of "
                            "the matrix")
    if LU.shape[:-1] != pivots.shape:
        raise ShapeMismatch(f"{name}: Expected LU.shape[:-1] and pivots.shape to be the same, but got "
                            f"pivots with shape {shape_text(pivots.shape)} instead")
    for wrong, words in ((pivots < 1, "greater or equal to 1"),
                         (pivots > LU.shape[-2], "smaller or equal to LU.size(-2)")):
        if wrong.any():
            raise Argument(f"Pivots given to lu_solve must all be {words}. Did you properly pass the "
                           "result of lu_factor?")
    # X A = B is Aᴴ Xᴴ = Bᴴ
    if not left:
        return hermitian(_from_factors(LU, pivots, hermitian(B), not adjoint))
    return _from_factors(LU, pivots, B, adjoint)


def _from_factors(lu, pivots, b, adjoint):
    """A X = b, or Aᴴ X = b."""
    lu, b = broadcast_batches(lu, b)
    if not adjoint:
        x = substitute(lu, exchanged(b, pivots), False, True)
        return substitute(lu, x, True, False)
    x = substitute(hermitian(lu), substitute(hermitian(lu), b, False, False), True, True)
    return exchanged(x, pivots, back=True)


def _lu_solve_vjp(ct, ins, y, left, adjoint):
    lu, pivots = ins[0], ins[1]
    of_b = lu_solve(lu, pivots, ct, left=left, adjoint=not adjoint)
    # of A = P L U, on its way to L and U; for Aᴴ the other way round
    of_a = -(of_b @ hermitian(y)) if left else -(hermitian(y) @ of_b)
    of_a = hermitian(of_a) if adjoint else of_a
    low, up = _unpack(lu)
    inner = _matrix_of(pivots, lu).mT @ of_a
    return [(inner @ hermitian(up)).tril(-1) + (hermitian(low) @ inner).triu(), None, of_b]


def _lu_solve_jvp(t, ins, y, left, adjoint):
    lu, pivots = ins[0], ins[1]
    low, up = _unpack(lu)
    dl, du = t[0].tril(-1), t[0].triu()
    da = _matrix_of(pivots, lu) @ (dl @ up + low @ du)
    da = hermitian(da) if adjoint else da
    return lu_solve(lu, pivots, t[2] - (da @ y if left else y @ da), left=left, adjoint=adjoint)


lu_solve = rule(
    "linalg_lu_solve", _lu_solve, inputs=("LU", "pivots", "B"), vjp=_lu_solve_vjp,
    jvp=_lu_solve_jvp, saves={"LU": ("LU", "pivots", "result"), "B": ("LU", "pivots")},
    layout=lambda left, adjoint: "columns" if left else "contiguous", method=False, function=False,
    helper=True)
composite("lu_solve", lambda input, LU_data, LU_pivots: lu_solve(LU_data, LU_pivots, input),
          helper=True)


def old_lu(A, pivot=True, get_infos=False):
    """The older spelling: (LU, pivots), and info where asked for; a zero pivot is no error."""
    found = lu_factor_ex(A, pivot=pivot)
    return named("_lu_with_info")(found) if get_infos else tuple(found)[:2]


composite("lu", old_lu, helper=True)
