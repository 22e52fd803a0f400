"""Cholesky factors and linear systems. Chapter torch.linalg.

The factorisations are written out, so that they run in every floating dtype and in wider ones than
LAPACK knows. In a line, ct is the cotangent, ins the inputs, y the result.
"""

import numpy as np

import reference_impl as torch
from reference_impl.errors import LinalgSingular, ShapeMismatch
from reference_impl.geometry import column_stride
from reference_impl.return_types import named
from reference_impl.rule import composite, rule
from reference_impl.rules.matrix_checks import (
    adjoint,
    need_float,
    need_same_dtype,
    need_square,
    raise_singular,
)
from reference_impl.rules.triangular import solve_triangular
from reference_impl.tensor import with_stride

NOT_POSITIVE = ("The factorization could not be completed because the input is not positive-definite "
                "(the leading minor of order {info} is not positive-definite).")


def _factor(a):
    """(L, info) with A = L Lᴴ, of which only the lower triangle is read; arrays.

    info is the order of the first leading minor that is not positive, or 0; where it is not 0 the
    factor means nothing.
    """
    low, info = np.zeros_like(a), np.zeros(a.shape[:-2], np.int32)
    for j in range(a.shape[-1]):
        row = low[..., j, :j]
        pivot = (a[..., j, j] - (row * row.conj()).sum(-1)).real
        fails = np.logical_not(pivot > 0)
        if np.any(fails):
            info = np.where((info == 0) & fails, j + 1, info).astype(np.int32)
            pivot = np.where(fails, 1, pivot)
        low[..., j, j] = np.sqrt(pivot)
        below = a[..., j + 1:, j] - (low[..., j + 1:, :j] * row.conj()[..., None, :]).sum(-1)
        low[..., j + 1:, j] = below / low[..., j, j, None]
    return low, info


def _cholesky_ex(name, self, upper, check_errors):
    need_square("linalg.cholesky", self)
    need_float("linalg.cholesky", self)
    low, info = _factor(adjoint(self) if upper else self)
    if check_errors:
        raise_singular(name, info, NOT_POSITIVE)
    return adjoint(low) if upper else low, info


def _cholesky_vjp(ct, y, upper):
    # Murray, Differentiation of the Cholesky decomposition (2016), eq. 10: L⁻ᴴ Φ(Lᴴ ct) L⁻¹ made
    # Hermitian because the matrix is; the diagonal of L is real, and so is all that a ct says of it
    low, ct = (adjoint(y), adjoint(ct)) if upper else (y, ct)
    inner = adjoint(low) @ ct
    half = (inner.tril() + inner.tril(-1)) / 2
    got = solve_triangular(adjoint(low), (half + adjoint(half)) / 2, upper=True)
    return [solve_triangular(low, got, upper=False, left=False)]


def _cholesky_jvp(t, y, upper):
    # Murray, eq. 8: L Φ(L⁻¹ dA L⁻ᴴ), Φ the lower triangle with its diagonal halved
    low, da = (adjoint(y), adjoint(t)) if upper else (y, t)
    inner = solve_triangular(low, da, upper=False)
    inner = solve_triangular(adjoint(low), inner, upper=True, left=False)
    got = low @ (inner.tril() + inner.tril(-1)) / 2
    return adjoint(got) if upper else got


rule("linalg_cholesky", lambda self, *, upper=False: _cholesky_ex(
         "linalg.cholesky", self, upper, True)[0],
     inputs=("self",), layout="columns", node="LinalgCholeskyExBackward0",
     vjp=lambda ct, ins, y, upper: _cholesky_vjp(ct, y, upper),
     jvp=lambda t, ins, y, upper: _cholesky_jvp(t[0], y, upper), saves={"self": ("result",)},
     method=False, function=False)
rule("linalg_cholesky_ex", lambda self, *, upper=False, check_errors=False: _cholesky_ex(
         "linalg.cholesky_ex", self, upper, check_errors),
     inputs=("self",), layout=("columns", "contiguous"), differentiable=(0,),
     vjp=lambda ct, ins, y, upper, check_errors: _cholesky_vjp(ct[0], y[0], upper),
     jvp=lambda t, ins, y, upper, check_errors: (_cholesky_jvp(t[0], y[0], upper), None),
     saves={"self": ("result.0",)}, method=False, function=False, helper=True)


rule("cholesky", lambda self, upper=False: _cholesky_ex("cholesky", self, upper, True)[0],
     inputs=("self",), layout="columns", vjp=lambda ct, ins, y, upper: _cholesky_vjp(ct, y, upper),
     jvp=lambda t, ins, y, upper: _cholesky_jvp(t[0], y, upper), saves={"self": ("result",)},
     helper=True)

SINGULAR = "torch.linalg.{name}: The solver failed because the input matrix is singular."


def _is_vector(a, b):
    """Whether B is a (batch of) vector(s): torch's rule."""
    return b.ndim == 1 or a.ndim - 1 == b.ndim and tuple(b.shape) == tuple(a.shape[:-1])


def _eliminate(a, b):
    """X with a X = b by Gaussian elimination with partial pivoting; a (…, n, n), b (…, n, k)."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, batch + a.shape[-2:]).copy()
    b = np.broadcast_to(b, batch + b.shape[-2:]).copy()
    n = a.shape[-1]
    for place in np.ndindex(*batch):
        lu, x = a[place], b[place]
        for j in range(n):
            p = j + int(np.argmax(np.abs(lu[j:, j])))
            if lu[p, j] == 0:
                raise LinalgSingular(SINGULAR.format(name="solve"))
            lu[[j, p]], x[[j, p]] = lu[[p, j]], x[[p, j]]
            factor = lu[j + 1:, j, None] / lu[j, j]
            lu[j + 1:, j:] -= factor * lu[j, j:]
            x[j + 1:] -= factor * x[j]
        for j in range(n - 1, -1, -1):
            x[j] = (x[j] - lu[j, j + 1:] @ x[j + 1:]) / lu[j, j]
    return b


def _solve(A, B, *, left=True):
    need_square("linalg.solve", A)
    need_float("linalg.solve", A)
    need_same_dtype("linalg.solve", "A and B", A, B)
    vector = _is_vector(A, B)
    b = B[..., None] if vector else B
    rows = b.shape[-2 if left else -1]
    if b.ndim < 2 or rows != A.shape[-1] or vector and not left:
        raise ShapeMismatch("linalg.solve: Incompatible shapes of A and B for the equation "
                            f"{'AX' if left else 'XA'} = B ({'x'.join(map(str, A.shape[-2:]))} and "
                            f"{'x'.join(map(str, b.shape[-2:]))})")
    if left:
        x = _eliminate(A, b)
        x = x[..., 0] if vector else x
        # of vectors, too, a batch lies as if it were the columns of one matrix
        return with_stride(x, column_stride(x.shape)) if x.ndim > 1 else x.copy()
    x = _eliminate(np.swapaxes(A, -1, -2), np.swapaxes(b, -1, -2))
    return np.ascontiguousarray(np.swapaxes(x, -1, -2))


def _solve_vjp(ct, ins, y, left):
    a, b = ins
    vector = _is_vector(a, b)
    if vector:
        ct, y = ct.unsqueeze(-1), y.unsqueeze(-1)
    got = solve(adjoint(a), ct, left=left)
    of_a = -(got @ adjoint(y)) if left else -(adjoint(y) @ got)
    return [of_a, got.squeeze(-1) if vector else got]


def _solve_jvp(t, ins, y, left):
    """A dX = dB - dA X, or dX A = dB - X dA."""
    a, vector = ins[0], _is_vector(*ins)
    of_b, x = (t[1].unsqueeze(-1), y.unsqueeze(-1)) if vector else (t[1], y)
    got = solve(a, of_b - (t[0] @ x if left else x @ t[0]), left=left)
    return got.squeeze(-1) if vector else got


solve = rule("linalg_solve", _solve, inputs=("A", "B"), node="LinalgSolveExBackward0",
             vjp=_solve_vjp, jvp=_solve_jvp, layout="keep",
             saves={"A": ("A", "result"), "B": ("A",)}, method=False, function=False)


def solve_ex(A, B, *, left=True, check_errors=False):
    """(X, info); info is 0, or for a singular matrix the zero on the diagonal of its U factor."""
    try:
        x = solve(A, B, left=left)
        info = torch.zeros(A._size[:-2], dtype=torch.int32)
    except LinalgSingular:
        if check_errors:
            raise LinalgSingular(SINGULAR.format(name="solve_ex")) from None
        from reference_impl.rules.lu import factorise
        info = torch.from_numpy(np.asarray(factorise(A._array)[2]))
        # what the singular ones get means nothing
        unit = torch.eye(A._size[-1], dtype=A.dtype) * float("nan")
        singular = (info != 0).unsqueeze(-1).unsqueeze(-1)
        x = solve(torch.where(singular, unit, A), B, left=left)
    return named("linalg_solve_ex")((x, info))


composite("linalg_solve_ex", solve_ex, method=False, function=False, helper=True)
