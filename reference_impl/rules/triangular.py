"""Triangular systems and what is solved with Cholesky factors. Chapter torch.linalg.

In a line, ct is the cotangent, ins the inputs, y the result. They are helpers: no table of
operations lists them yet, so no library is checked against them.
"""

import numpy as np

from reference_impl.errors import DimCount, DtypeMismatch, NotImplementedFor, ShapeMismatch
from reference_impl.rule import OPERATIONS, rule
from reference_impl.rules.matrix_checks import (
    adjoint,
    broadcast_batches,
    need_solvable,
    need_square,
    raise_singular,
    scalar_name,
)


def substitute(a, b, upper, unit):
    """X with a X = b by substitution; only one triangle of `a` is read. Arrays (…, n, n), (…, n, k).

    A zero on the diagonal divides: the result then holds infinities or nan.
    """
    a, b = broadcast_batches(a, b)
    x, n = b.copy(), a.shape[-1]
    for j in range(n - 1, -1, -1) if upper else range(n):
        known = slice(j + 1, None) if upper else slice(0, j)
        done = a[..., j, None, known] @ x[..., known, :]
        row = x[..., j, :] - done[..., 0, :]
        x[..., j, :] = row if unit else row / a[..., j, j, None]
    return x


def _solve_triangular(A, B, *, upper, left=True, unitriangular=False):
    need_solvable("linalg.solve_triangular", A, B, left)
    if A.dtype.kind not in "fcO":
        raise NotImplementedFor(f'"triangular_solve_cpu" not implemented for \'{scalar_name(A)}\'')
    if left:
        return substitute(A, B, upper, unitriangular)
    x = substitute(np.swapaxes(A, -1, -2), np.swapaxes(B, -1, -2), not upper, unitriangular)
    return np.swapaxes(x, -1, -2)


def triangle(t, upper, unit):
    """Of a Tensor the triangle that is read, without its diagonal when that counts as ones."""
    return t.triu(int(unit)) if upper else t.tril(-int(unit))


def _solve_triangular_vjp(ct, ins, y, upper, left, unitriangular):
    a = ins[0]
    of_b = solve_triangular(adjoint(a), ct, upper=not upper, left=left,
                            unitriangular=unitriangular)
    of_a = -(of_b @ adjoint(y)) if left else -(adjoint(y) @ of_b)
    return [triangle(of_a, upper, unitriangular), of_b]


def _solve_triangular_jvp(t, ins, y, upper, left, unitriangular):
    """A dX = dB - dA X."""
    da = triangle(t[0], upper, unitriangular)
    return solve_triangular(ins[0], t[1] - (da @ y if left else y @ da), upper=upper, left=left,
                            unitriangular=unitriangular)


solve_triangular = rule(
    "linalg_solve_triangular", _solve_triangular, inputs=("A", "B"), layout="columns",
    saves={"A": ("A", "result"), "B": ("A",)}, vjp=_solve_triangular_vjp,
    jvp=_solve_triangular_jvp, method=False, function=False, helper=True)


def _triangular_solve(self, A, upper=True, transpose=False, unitriangular=False):
    """The older spelling: A X = self, or Aᵀ X = self; A is given back as it was read."""
    for word, t in (("b", self), ("A", A)):
        if t.ndim < 2:
            raise DimCount(f"torch.triangular_solve: Expected {word} to have at least 2 dimensions, "
                           f"but it has {t.ndim} dimensions instead")
    need_linear_solve("triangular_solve", self, A)
    read = np.swapaxes(A, -1, -2) if transpose else A
    a, _ = broadcast_batches(A, self)
    return substitute(read, self, upper != transpose, unitriangular), a.copy()


def need_linear_solve(name, b, a):
    """The older functions' words for sides that do not fit."""
    if b.dtype != a.dtype:
        raise DtypeMismatch(f"{name}: Expected b and A to have the same dtype, but found b of type "
                            f"{scalar_name(b)} and A of type {scalar_name(a)} instead")
    if a.shape[-1] != a.shape[-2]:
        raise ShapeMismatch(f"A must be batches of square matrices, but they are {a.shape[-2]} by "
                            f"{a.shape[-1]} matrices")
    if a.shape[-1] != b.shape[-2]:
        raise ShapeMismatch(f"Incompatible matrix sizes for {name}: each A matrix is {a.shape[-1]} by "
                            f"{a.shape[-1]} but each b matrix is {b.shape[-2]} by {b.shape[-1]}")


def _triangular_solve_vjp(ct, ins, y, upper, transpose, unitriangular):
    a, x = ins[1], y[0]
    of_b = OPERATIONS["triangular_solve"].function(
        ct[0], a.conj(), upper, not transpose, unitriangular)[0]
    of_a = -(x.conj() @ of_b.mT) if transpose else -(of_b @ adjoint(x))
    return [of_b, triangle(of_a, upper, unitriangular) + ct[1]]


def _triangular_solve_jvp(t, ins, y, upper, transpose, unitriangular):
    da = triangle(t[1], upper, unitriangular)
    b = t[0] - (da.mT if transpose else da) @ y[0]
    return (OPERATIONS["triangular_solve"].function(b, ins[1], upper, transpose, unitriangular)[0],
            t[1].expand(y[1].shape))


rule("triangular_solve", _triangular_solve, inputs=("self", "A"), layout="columns", helper=True,
     saves={"self": ("A",), "A": ("A", "result.0")}, vjp=_triangular_solve_vjp,
     jvp=_triangular_solve_jvp)


# --- with Cholesky factors ---


def _halves(low, upper):
    """(L, Lᴴ) of the factor that is given."""
    return (adjoint(low), low) if upper else (low, adjoint(low))


def _cholesky_solve(self, input2, upper=False):
    """A X = self, where input2 is the Cholesky factor of A."""
    for word, t in (("b", self), ("u", input2)):
        if t.ndim < 2:
            raise DimCount(f"{word} should have at least 2 dimensions, but has {t.ndim} dimensions "
                           "instead")
    need_linear_solve("cholesky_solve", self, input2)
    low, high = _halves(input2, upper)
    return substitute(high, substitute(low, self, False, False), True, False)


def _of_factor(of_a, low, upper):
    """Cotangent of the factor of A = L Lᴴ, given that of A."""
    both = of_a + adjoint(of_a)
    return low @ both if upper else both @ low


def _cholesky_solve_vjp(ct, ins, y, upper):
    of_b = cholesky_solve(ct, ins[1], upper)
    return [of_b, _of_factor(-(of_b @ adjoint(y)), ins[1], upper)]


def _product_tangent(low, d, upper):
    """dA of A = L Lᴴ (Uᴴ U when upper)."""
    half = adjoint(d) @ low if upper else d @ adjoint(low)
    return half + adjoint(half)


def _cholesky_solve_jvp(t, ins, y, upper):
    return cholesky_solve(t[0] - _product_tangent(ins[1], t[1], upper) @ y, ins[1], upper)


cholesky_solve = rule("cholesky_solve", _cholesky_solve, inputs=("self", "input2"),
                      layout="columns", saves={"self": ("input2",), "input2": ("input2", "result")},
                      vjp=_cholesky_solve_vjp, jvp=_cholesky_solve_jvp, helper=True)


def _cholesky_inverse(self, upper=False):
    """The inverse of A, of which self is the Cholesky factor."""
    need_square("cholesky_inverse", self)
    zero = np.einsum("...ii->...i", self) == 0
    if zero.any():
        raise_singular("cholesky_inverse", np.where(zero.any(-1), zero.argmax(-1) + 1, 0),
                       "The diagonal element {info} is zero, the inversion could not be completed "
                       "because the input matrix is singular.")
    low, high = _halves(self, upper)
    unit = np.broadcast_to(np.eye(self.shape[-1], dtype=self.dtype), self.shape)
    return substitute(high, substitute(low, unit, False, False), True, False)


rule("cholesky_inverse", _cholesky_inverse, inputs=("self",), layout="columns", helper=True,
     saves={"self": ("self", "result")},
     vjp=lambda ct, ins, y, upper: [_of_factor(-(adjoint(y) @ ct @ adjoint(y)), ins[0], upper)],
     jvp=lambda t, ins, y, upper: -(y @ _product_tangent(ins[0], t[0], upper) @ y))
