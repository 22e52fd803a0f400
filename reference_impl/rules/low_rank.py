"""Singular values and vectors of matrices of low rank, by random projections.

After Halko, Martinsson and Tropp 2011 (algorithms 4.4 and 5.1): a few random combinations of the
columns span nearly what all of them span. They are helpers: no table of operations lists them.
"""

import reference_impl as torch
from reference_impl.errors import ArgumentValue
from reference_impl.rule import composite


def _basis(A, q, niter):
    """Orthonormal columns that span nearly what the columns of A span."""
    Q = torch.linalg.qr(A @ torch.randn(A._size[-1], q, dtype=A.dtype))[0]
    for _ in range(niter):
        Q = torch.linalg.qr(A.mH @ Q)[0]
        Q = torch.linalg.qr(A @ Q)[0]
    return Q


def svd_lowrank(A, q=6, niter=2, M=None):
    """U, S, V of A - M, as if its rank were at most q. A (…, m, n), U (…, m, q), V (…, n, q)."""
    A = A if M is None else A - M.broadcast_to(A._size)
    wide = A._size[-2] < A._size[-1]
    A = A.mH if wide else A
    Q = _basis(A, 6 if q is None else q, 2 if niter is None else niter)
    U, S, Vh = torch.linalg.svd(Q.mH @ A, full_matrices=False)
    U, V = Q @ U, Vh.mH
    return (V, S, U) if wide else (U, S, V)


def pca_lowrank(A, q=None, center=True, niter=2):
    """U, S, V of A, without the mean of its rows unless center is False."""
    most = min(A._size[-2:])
    if q is None:
        q = min(6, most)
    elif not 0 <= q <= most:
        raise ArgumentValue(f"q(={q}) must be non-negative integer and not greater than min(m, n)={most}")
    if niter < 0:
        raise ArgumentValue(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean((-2,), True) if center else A, q, niter)


composite("svd_lowrank", svd_lowrank, method=False, helper=True)
composite("pca_lowrank", pca_lowrank, method=False, helper=True)
