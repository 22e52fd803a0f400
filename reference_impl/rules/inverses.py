"""Inverses, determinants and functions of square matrices. Chapter torch.linalg.

In a line, ct is the cotangent, ins the inputs, y the result. They are helpers: no table of
operations lists them yet, so no library is checked against them.
"""

import math

import numpy as np

import reference_impl as torch
from reference_impl.creation import eye
from reference_impl.dtypes import int64
from reference_impl.errors import Argument, ArgumentType
from reference_impl.places import from_array
from reference_impl.return_types import named
from reference_impl.rule import composite, rule
from reference_impl.rules.lu import factorise
from reference_impl.rules.matrix_checks import (
    adjoint,
    need_float,
    need_float_or_half,
    need_square,
    raise_singular,
)

SINGULAR = ("The diagonal element {info} is zero, the inversion could not be completed because the "
            "input matrix is singular.")


def _inv_ex(name, A, check_errors):
    """(the inverse, info); info names the first zero on the diagonal of U, or is 0.

    Where it is not 0 there is no inverse: nan stands for it.
    """
    need_square("linalg.inv", A)
    need_float("linalg.inv", A)
    try:
        return np.linalg.inv(A).astype(A.dtype), np.zeros(A.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        info = np.asarray(factorise(A)[2])
    if check_errors:
        raise_singular(name, info, SINGULAR)
    good = (info == 0)[..., None, None]
    inverse = np.linalg.inv(np.where(good, A, np.eye(A.shape[-1], dtype=A.dtype)))
    return np.where(good, inverse, np.nan).astype(A.dtype), info


inv = rule("linalg_inv", lambda A: _inv_ex("linalg.inv", A, True)[0], inputs=("A",),
           layout="columns", node="LinalgInvExBackward0", saves={"A": ("result",)}, method=False,
           function=False, helper=True, vjp=lambda ct, ins, y: [-(y.mH @ (ct @ y.mH))],
           jvp=lambda t, ins, y: -(y @ t[0] @ y))
rule("linalg_inv_ex", lambda A, *, check_errors=False: _inv_ex("linalg.inv_ex", A, check_errors),
     inputs=("A",), layout=("columns", "contiguous"), saves={"A": ("result.0",)}, method=False,
     function=False, helper=True, differentiable=(0,),
     vjp=lambda ct, ins, y, check_errors: [-(y[0].mH @ (ct[0] @ y[0].mH))],
     jvp=lambda t, ins, y, check_errors: (-(y[0] @ t[0] @ y[0]), None))


def _det(A):
    need_square("linalg.det", A)
    need_float("linalg.det", A)
    return np.asarray(np.linalg.det(A)).astype(A.dtype)


def adjugate(a, y):
    """The matrix of (signed) minors whose product with `a` is y = det a on the diagonal.

    Of singular matrices from the minors themselves, so that all derivatives of det exist.
    """
    if not (y == 0).any():
        return y.unsqueeze(-1).unsqueeze(-1) * inv(a)
    rest = [np.delete(np.arange(a._size[-1]), k) for k in range(a._size[-1])]

    def minor(row, column):
        part = a.index_select(-2, vector_of(rest[row])).index_select(-1, vector_of(rest[column]))
        return det(part) * (-1) ** (row + column)
    return torch.stack([torch.stack([minor(column, row) for column in range(len(rest))], -1)
                        for row in range(len(rest))], -2)


def vector_of(places):
    return from_array(places, int64)


def _det_vjp(ct, ins, y):
    """ct det(A) A⁻ᴴ, columns side by side in memory as of all that solves."""
    a = ins[0]
    if (y == 0).any():
        return [(ct.unsqueeze(-1).unsqueeze(-1) * adjugate(a, y).mH).mT.contiguous().mT]
    slope = (ct * y.conj()).unsqueeze(-1).expand(a._size[:-1])
    return [torch.linalg.solve(a.mH, torch.diag_embed(slope))]


det = rule("linalg_det", _det, inputs=("A",), method=False, function=False, helper=True,
           saves={"A": ("A", "result")}, vjp=_det_vjp,
           jvp=lambda t, ins, y: (adjugate(ins[0], y) @ t[0]).diagonal(0, -2, -1).sum(-1))


def _slogdet(A):
    """det A = sign * exp(logabsdet)."""
    need_square("linalg.slogdet", A)
    need_float("linalg.slogdet", A)
    sign, size = np.linalg.slogdet(A)
    return np.asarray(sign, A.dtype), np.asarray(size, A.real.dtype)


def _slogdet_vjp(ct, ins, y):
    # d log det A = tr(A⁻¹ dA): its real part goes to logabsdet, its imaginary part turns the sign
    slope = ct[1].to(ins[0].dtype)
    if ins[0].is_complex():
        slope = slope - torch.complex(torch.zeros_like(ct[1]), (ct[0].conj() * y[0]).imag)
    return [slope.unsqueeze(-1).unsqueeze(-1) * inv(ins[0]).mH]


def _slogdet_jvp(t, ins, y):
    along = torch.linalg.solve(ins[0], t[0]).diagonal(0, -2, -1).sum(-1)
    if not ins[0].is_complex():
        return torch.zeros_like(y[0]), along
    return y[0] * torch.complex(torch.zeros_like(along.imag), along.imag), along.real


slogdet = rule("linalg_slogdet", _slogdet, inputs=("A",), vjp=_slogdet_vjp, jvp=_slogdet_jvp,
               saves={"A": ("A", "result.0")}, method=False, function=False, helper=True)


def logdet(input):
    """log det; nan where the determinant is negative."""
    need_square("linalg.slogdet", input)
    sign, size = slogdet(input)
    if input.is_complex():
        return sign.log() + size
    return torch.where(sign == -1.0, float("nan"), size)


composite("det", lambda input: det(input), helper=True)
composite("inverse", lambda input: inv(input), helper=True)
composite("slogdet", lambda input: named("slogdet")(slogdet(input)), helper=True)
composite("logdet", logdet, helper=True)


def matrix_power(input, n):
    """input multiplied n times; n < 0: its inverse."""
    if not isinstance(n, int) or isinstance(n, bool):
        raise ArgumentType("linalg_matrix_power(): argument 'n' (position 2) must be int, not "
                           f"{type(n).__name__}")
    need_square("linalg.matrix_power", input)
    if n == 0:
        return torch.zeros_like(input).copy_(eye(input._size[-1], dtype=input.dtype)) if not (
            input.requires_grad) else input.clone().copy_(eye(input._size[-1], dtype=input.dtype))
    base = inv(input) if n < 0 else input
    out, n = None, abs(n)
    while n:
        if n & 1:
            out = base if out is None else out @ base
        n >>= 1
        if n:
            base = base @ base
    return out.clone() if out is input else out


composite("matrix_power", matrix_power, helper=True)
composite("linalg_matrix_power", lambda A, n: matrix_power(A, n), method=False, function=False,
          helper=True)

# --- the exponential ---

DEGREE = 18      # of the Taylor polynomial: its remainder for norms up to 1/2 is below 1e-22


def exponential(a):
    """exp of one matrix: of a part of it that is small, squared as often as it was halved."""
    size = np.abs(a).sum(-2).max(initial=0)
    halvings = int(np.ceil(np.log2(size))) + 1 if np.isfinite(size) and size > 0.5 else 0
    small = a / a.dtype.type(2.0 ** halvings)
    out = unit = np.eye(len(a), dtype=a.dtype)
    for k in range(DEGREE, 0, -1):
        out = unit + small @ out / a.dtype.type(k)
    for _ in range(halvings):
        out = out @ out
    return out


def _matrix_exp(self):
    need_square("linalg.matrix_exp", self, "A")
    need_float_or_half("linalg.matrix_exp", self)
    # terms that cancel are larger than the result: in double precision, and rounded once
    wide = self.astype(np.complex128 if self.dtype.kind == "c" else np.float64)
    out = np.empty_like(wide)
    for place in np.ndindex(self.shape[:-2]):
        out[place] = exponential(wide[place])
    with np.errstate(all="ignore"):
        return out.astype(self.dtype)


def _derivative(a, direction):
    """The derivative of exp at A in a direction: what stands beside exp A in exp [[A, D], [0, A]]."""
    n = a.shape[-1]
    rows = torch.cat([a, direction], -1), torch.cat([torch.zeros_like(a), a], -1)
    return matrix_exp(torch.cat(rows, -2)).narrow(-2, 0, n).narrow(-1, n, n)


matrix_exp = rule("linalg_matrix_exp", _matrix_exp, inputs=("self",), saves={"self": ("self",)},
                  vjp=lambda ct, ins, y: [_derivative(adjoint(ins[0]), ct)],
                  jvp=lambda t, ins, y: _derivative(ins[0], t[0]), method=False, function=False,
                  helper=True)
composite("matrix_exp", lambda input: matrix_exp(input), helper=True)

# --- tensors as matrices ---


def _halves(name, shape, split, rows):
    """Checks that what follows `split` has `rows` elements, which is returned."""
    columns = math.prod(shape[split:])
    if rows != columns:
        raise Argument(f"Expected self to satisfy the requirement prod(self.shape[{name}:]) == "
                       f"prod(self.shape[:{name}]), but got {columns} != {rows}")
    return rows


def tensorinv(A, ind=2):
    """The inverse for tensordot(A, ·, ind): A as a matrix, its first `ind` dimensions the rows."""
    if ind <= 0:
        raise Argument(f"Expected a strictly positive integer for 'ind', but got {ind}")
    n = _halves("ind", A._size, ind, math.prod(A._size[:ind]))
    return inv(A.reshape(n, n)).reshape(A._size[ind:] + A._size[:ind])


def tensorsolve(A, B, dims=None):
    """X with tensordot(A, X, X.ndim) = B."""
    if dims is not None:
        A = A.movedim(dims, tuple(range(A.ndim - len(dims), A.ndim)))
    n = _halves("other.ndim", A._size, B.ndim, B.numel())
    return torch.linalg.solve(A.reshape(n, n), B.reshape(-1)).reshape(A._size[B.ndim:])


def vander(x, *, N=None):
    """Powers of x, from 0 on, along a new last dimension."""
    x = x.unsqueeze(-1) if x.ndim == 0 else x
    n = x._size[-1] if N is None else N
    if n <= 1 and N is not None:
        raise Argument("N must be greater than 1.")
    powers = x.unsqueeze(-1).expand((*x._size, max(n - 1, 0))).cumprod(-1)
    return torch.cat([torch.ones((*x._size, 1), dtype=powers.dtype), powers], -1)


composite("linalg_tensorinv", tensorinv, method=False, function=False, helper=True)
composite("linalg_tensorsolve", tensorsolve, method=False, function=False, helper=True)
composite("linalg_vander", vander, method=False, function=False, helper=True)
