"""QR factors and products of Householder reflections. Chapter torch.linalg.

In a line, ct is the cotangents, ins the inputs, y the results. They are helpers: no table of
operations lists them yet, so no library is checked against them.
"""

import numpy as np

import reference_impl as torch
from reference_impl.errors import (
    Argument,
    NotDifferentiable,
    NotImplementedFor,
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
