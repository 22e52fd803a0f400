"""QR factors and products of Householder reflections. Chapter torch.linalg.

In a line, ct is the cotangents, ins the inputs, y the results. They are helpers: no table of
operations lists them yet, so no library is checked against them.
"""

import numpy as np

import reference_impl as torch
from reference_impl.errors import (
    Argument,
    DimCount,
    DtypeMismatch,
    NotDifferentiable,
    NotImplementedFor,
    ShapeMismatch,
    shape_text,
)
from reference_impl.return_types import named
from reference_impl.rule import composite, rule
from reference_impl.rules.matrix_checks import adjoint, need_float, need_matrix, scalar_name
from reference_impl.rules.triangular import solve_triangular


def _qr(A, mode="reduced"):
    """Q with orthonormal columns and R upper triangular; mode "r": R alone, and an empty Q."""
    need_matrix("linalg.qr", A)
    if A.dtype.itemsize == 2 and A.dtype.kind not in "iu":
        raise NotImplementedFor(f'"geqrf_cpu" not implemented for \'{scalar_name(A)}\'')
    need_float("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise Argument(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' "
                       "(default), 'r', or 'complete'")
    m, n = A.shape[-2:]
    if mode == "r":
        return np.empty(0, A.dtype), _upper_factor(A)
    if A.size == 0:
        k = m if mode == "complete" else min(m, n)
        q = np.broadcast_to(np.eye(m, k, dtype=A.dtype), (*A.shape[:-1], k))
        return q.copy(), np.zeros((*A.shape[:-2], k, n), A.dtype)
    return tuple(np.linalg.qr(A, mode))


def _upper_factor(a):
    if a.size:
        return np.linalg.qr(a, "r")
    return np.zeros((*a.shape[:-2], min(a.shape[-2:]), a.shape[-1]), a.dtype)


def real_diagonal(t):
    """The diagonal matrix of the real parts of the diagonal of a Tensor."""
    return t.diagonal(0, -2, -1).real.to(t.dtype).diag_embed() if t.is_complex() else (
        t.diagonal(0, -2, -1).diag_embed())


def hermitian_upper(t):
    """The Hermitian matrix with the upper triangle of `t`."""
    above = t.triu(1)
    return above + adjoint(above) + real_diagonal(t)


def _tall_vjp(gq, gr, q, r):
    """With B = Qᴴ dA R⁻¹ and T upper triangular with a real diagonal: dR = T R, dQ = dA R⁻¹ - Q T."""
    inner = hermitian_upper((0 if gr is None else gr @ adjoint(r))
                            - (0 if gq is None else adjoint(q) @ gq))
    got = q @ inner if gq is None else gq + q @ inner
    return solve_triangular(adjoint(r), got, upper=False, left=False)


def _qr_vjp(ct, ins, y, mode):
    gq, gr = ct
    q, r = y
    m, n = ins[0].shape[-2:]
    if mode == "r":
        raise NotDifferentiable(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please "
            "use linalg.qr(A, mode='reduced') if you are going to differentiate through linalg.qr.")
    if mode == "complete" and m > n:
        raise NotDifferentiable("The QR decomposition is not differentiable when mode='complete' and "
                                "nrows > ncols.")
    if gq is None and gr is None:
        return [None]
    if m >= n:
        return [_tall_vjp(gq, gr, q, r)]
    # the first m columns are Q R₁, a square factorisation, the others Q R₂
    r1, r2 = r.narrow(-1, 0, m), r.narrow(-1, m, n - m)
    if gr is None:
        return [torch.cat([_tall_vjp(gq, None, q, r1), torch.zeros_like(r2)], -1)]
    g1, g2 = gr.narrow(-1, 0, m), gr.narrow(-1, m, n - m)
    from_rest = (q @ r2) @ adjoint(g2)
    first = _tall_vjp(from_rest if gq is None else gq + from_rest, g1, q, r1)
    return [torch.cat([first, q @ g2], -1)]


def _qr_jvp(t, ins, y, mode):
    (q, r), da = y, t[0]
    m, n = da.shape[-2:]
    if mode != "reduced" and not (mode == "complete" and m <= n):
        return _qr_vjp((None, None), ins, y, mode)      # says why not
    k = min(m, n)
    r1 = r.narrow(-1, 0, k)
    scaled = solve_triangular(r1, da.narrow(-1, 0, k), upper=True, left=False)
    inner = adjoint(q) @ scaled
    upper = inner.triu(1) + adjoint(inner.tril(-1)) + real_diagonal(inner)
    dq, dr = scaled - q @ upper, upper @ r1
    if n > k:
        rest = adjoint(dq) @ (q @ r.narrow(-1, k, n - k)) + adjoint(q) @ da.narrow(-1, k, n - k)
        dr = torch.cat([dr, rest], -1)
    return dq, dr


qr = rule("linalg_qr", _qr, inputs=("A",), vjp=_qr_vjp, jvp=_qr_jvp, saves={"A": ("result",)},
          layout="columns", partial=True, method=False, function=False, helper=True)
composite("qr", lambda input, some=True: named("qr")(qr(input, "reduced" if some else "complete")),
          helper=True)

# --- reflections ---


def _geqrf(self):
    """R in the upper triangle, below it the vectors of the reflections, and their factors tau."""
    need_matrix("torch.geqrf", self, "input")
    if self.dtype.kind not in "fc":
        raise NotImplementedFor(f'"geqrf_cpu" not implemented for \'{scalar_name(self)}\'')
    if not self.size:
        return self.copy(), np.zeros((*self.shape[:-2], min(self.shape[-2:])), self.dtype)
    reflections, tau = np.linalg.qr(self, "raw")
    return np.swapaxes(reflections, -1, -2), tau


rule("geqrf", _geqrf, inputs=("self",), layout=("columns", "contiguous"), helper=True)


def _check_reflections(name, input, tau):
    if input.ndim < 2:
        raise DimCount(f"{name}: input must have at least 2 dimensions.")
    m, n = input._size[-2:]
    if m < n:
        raise ShapeMismatch(f"{name}: input.shape[-2] must be greater than or equal to "
                            "input.shape[-1]")
    if tau.ndim and n < tau._size[-1]:
        raise ShapeMismatch(f"{name}: input.shape[-1] must be greater than or equal to "
                            "tau.shape[-1]")
    if input.ndim - tau.ndim != 1:
        raise DimCount(f"{name}: Expected tau to have one dimension less than input, but got "
                       f"tau.ndim equal to {tau.ndim} and input.ndim is equal to {input.ndim}")
    if tau._size[:-1] != input._size[:-2]:
        raise ShapeMismatch(f"{name}: Expected batch dimensions of tau to be equal to "
                            f"input.shape[:-2], but got {shape_text(tau._size[:-1])}")
    if tau.dtype is not input.dtype:
        raise DtypeMismatch(f"{name}: tau dtype {tau.dtype.scalar_name} does not match input dtype "
                            f"{input.dtype.scalar_name}")


def _reflected(x, input, tau, order, adjoint_too):
    """x with the reflections I - tau v vᴴ applied from the left, one after the other."""
    for i in order:
        below = input.select(-1, i).narrow(-1, i, input._size[-2] - i)
        v = torch.cat([torch.zeros((*below._size[:-1], i), dtype=x.dtype),
                       torch.ones((*below._size[:-1], 1), dtype=x.dtype),
                       below.narrow(-1, 1, below._size[-1] - 1)], -1).unsqueeze(-1)
        factor = tau.select(-1, i).unsqueeze(-1).unsqueeze(-1)
        x = x - (factor.conj() if adjoint_too else factor) * (v @ (adjoint(v) @ x))
    return x


def column_major(t):
    """A Tensor's values with its matrices column by column."""
    return t.mT.contiguous().mT


def householder_product(input, tau):
    """The first columns of the product of the reflections that geqrf tells."""
    _check_reflections("torch.linalg.householder_product", input, tau)
    m, n = input._size[-2:]
    start = torch.eye(m, n, dtype=input.dtype).expand((*input._size[:-2], m, n))
    return column_major(_reflected(start, input, tau, range(tau._size[-1] - 1, -1, -1), False))


def ormqr(input, tau, other, left=True, transpose=False):
    """The whole product of the reflections, or its adjoint, times `other`, or the other way round."""
    for word, t, least in (("input", input, 2), ("other", other, 2)):
        if t.ndim < least:
            raise DimCount(f"torch.ormqr: {word} must have at least {least} dimensions.")
    if input.dtype is not other.dtype:
        raise DtypeMismatch("torch.ormqr: Expected input and other to have the same dtype, but input "
                            f"has dtype {input.dtype.scalar_name} and other has dtype "
                            f"{other.dtype.scalar_name}")
    side = -2 if left else -1
    if other._size[side] != input._size[-2]:
        raise ShapeMismatch(f"torch.ormqr: other.shape[{side}] must be equal to input.shape[-2]")
    if other._size[side] < tau._size[-1]:
        raise ShapeMismatch(f"torch.ormqr: other.shape[{side}] must be greater than or equal to "
                            "tau.shape[-1]")
    x = other if left else adjoint(other)        # X Q is (Qᴴ Xᴴ)ᴴ
    back = transpose if left else not transpose
    count = tau._size[-1]
    order = range(count) if back else range(count - 1, -1, -1)
    got = _reflected(x, input, tau, order, back)
    return column_major(got if left else adjoint(got))


composite("linalg_householder_product", householder_product, method=False, function=False,
          helper=True)
composite("orgqr", lambda input, input2: householder_product(input, input2), helper=True)
composite("ormqr", ormqr, helper=True)
