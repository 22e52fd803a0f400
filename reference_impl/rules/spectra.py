"""Singular values and eigenvalues, with their vectors. Chapter torch.linalg.

Vectors are told up to a sign, or a factor exp(i phi): a loss must not depend on it, which the vjp
checks for complex ones. In a line, ct is the cotangents (None where nothing depends on a result),
ins the inputs, y the results. They are helpers: no table of operations lists them yet.
"""

import numpy as np

import reference_impl as torch
from reference_impl import dtypes as dt
from reference_impl.errors import Argument, LinalgSingular, NoForwardMode, NotDifferentiable
from reference_impl.return_types import named
from reference_impl.rule import composite, rule
from reference_impl.rules.matrix_checks import adjoint, need_float, need_matrix, need_square
from reference_impl.rules.orthogonal import real_diagonal


def _svd(A, full_matrices=True, *, driver=None):
    """A = U diag(S) Vh."""
    need_matrix("linalg.svd", A)
    need_float("linalg.svd", A)
    if driver is not None:
        raise Argument("torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs "
                       "with cuSOLVER backend.")
    m, n = A.shape[-2:]
    k = min(m, n)
    if not np.isfinite(A).all():
        raise LinalgSingular("linalg.svd: The algorithm failed to converge because the input matrix "
                             "contained non-finite values.")
    if A.size == 0:
        real = A.real.dtype

        def unit(rows, columns):
            one = np.eye(rows, columns, dtype=A.dtype)
            return np.broadcast_to(one, (*A.shape[:-2], rows, columns)).copy()
        return (unit(m, m if full_matrices else k), np.zeros((*A.shape[:-2], k), real),
                unit(n if full_matrices else k, n))
    return tuple(np.linalg.svd(A, full_matrices))


def off_diagonal(t):
    """A Tensor's matrices with zeros on the diagonal."""
    return t.masked_fill(torch.eye(t.shape[-2], t.shape[-1], dtype=torch.bool), 0)


def divided(t, gaps):
    """t over the gaps between (squared) values, nothing on the diagonal."""
    return off_diagonal(t / gaps.masked_fill(torch.eye(gaps.shape[-1], dtype=torch.bool), 1))


def gaps_of(s):
    """s[j] - s[i]."""
    return s.unsqueeze(-2) - s.unsqueeze(-1)


def _square_gaps(s):
    return gaps_of(s) * (s.unsqueeze(-2) + s.unsqueeze(-1))


def refuse_phase(imaginary, name, what):
    """Raises NotDifferentiable when a loss depends on the phases of complex vectors."""
    if (imaginary.detach().abs() > 1e-2).any():
        raise NotDifferentiable(
            f"{name}: The {what} in the complex case are specified up to multiplication by e^{{i phi}}. "
            "The specified loss function depends on this quantity, so it is ill-defined.")


def _svd_vjp(ct, ins, y, full_matrices, driver):
    gu, gs, gvh = ct
    m, n = ins[0].shape[-2:]
    u, s, vh = y
    k = s.shape[-1]
    u, vh = u.narrow(-1, 0, k), vh.narrow(-2, 0, k)
    inner = None if gs is None else gs.to(u.dtype).diag_embed()
    if gu is None and gvh is None:
        return [None if inner is None else u @ inner @ vh]
    gu = torch.zeros_like(u) if gu is None else gu.narrow(-1, 0, k)
    gv = torch.zeros_like(vh).mT if gvh is None else adjoint(gvh.narrow(-2, 0, k))
    v, gaps, column, row = adjoint(vh), _square_gaps(s), s.unsqueeze(-1), s.unsqueeze(-2)
    from_u, from_v = adjoint(u) @ gu, adjoint(v) @ gv
    skew_u, skew_v = from_u - adjoint(from_u), from_v - adjoint(from_v)
    both = divided(skew_u, gaps) * row + divided(skew_v, gaps) * column
    if u.is_complex():
        refuse_phase((from_u + from_v).diagonal(0, -2, -1).imag, "svd_backward", "singular vectors")
        both = both + (skew_u.diagonal(0, -2, -1) / (2 * s)).diag_embed()
    got = u @ (both if inner is None else both + inner) @ vh
    if m > k:
        scaled = gu / row
        got = got + (scaled - u @ (adjoint(u) @ scaled)) @ vh
    if n > k:
        scaled = gv / row
        got = got + u @ adjoint(scaled - v @ (adjoint(v) @ scaled))
    return [got]


def _svd_jvp(t, ins, y, full_matrices, driver):
    da, (u, s, vh) = t[0], y
    m, n = da.shape[-2:]
    if full_matrices and m != n:
        raise NoForwardMode("Trying to use forward AD with linalg_svd that does not support it when "
                            "full_matrices=True and the matrix is not square.")
    k, v, column, row = s.shape[-1], adjoint(vh), s.unsqueeze(-1), s.unsqueeze(-2)
    inner = adjoint(u) @ da @ v
    ds = inner.diagonal(0, -2, -1).real
    gaps = _square_gaps(s)
    du = divided(inner * row + column * adjoint(inner), gaps)
    dv = divided(column * inner + adjoint(inner) * row, gaps)
    if u.is_complex():
        turn = (inner - real_diagonal(inner)).diagonal(0, -2, -1) / (2 * s)
        du, dv = du + turn.diag_embed(), dv - turn.diag_embed()
    du, dv = u @ du, v @ dv
    if m > k:
        rest = da @ v
        du = du + (rest - u @ (adjoint(u) @ rest)) / row
    if n > k:
        rest = adjoint(da) @ u
        dv = dv + (rest - v @ (adjoint(v) @ rest)) / row
    return du, ds, adjoint(dv)


svd = rule("linalg_svd", _svd, inputs=("A",), vjp=_svd_vjp, jvp=_svd_jvp, saves={"A": ("result",)},
           layout=("columns", "contiguous", "columns"), partial=True, method=False, function=False,
           helper=True)
svdvals = composite("linalg_svdvals", lambda A, *, driver=None: svd(A, False, driver=driver)[1],
                    method=False, function=False, helper=True)


def old_svd(input, some=True, compute_uv=True):
    """The older spelling, with V in the place of its adjoint; without vectors they are zeros."""
    if not compute_uv:
        m, n = input._size[-2:]
        empty = [torch.zeros((*input._size[:-2], size, size), dtype=input.dtype) for size in (m, n)]
        return named("svd")((empty[0], svdvals(input), empty[1].mT))
    u, s, vh = svd(input, not some)
    return named("svd")((u, s, adjoint(vh)))


composite("svd", old_svd, helper=True)


# --- of Hermitian matrices ---


def _eigh(A, UPLO="L"):
    """A = Q diag(L) Qᴴ, of which only one triangle is read."""
    need_square("linalg.eigh", A)
    need_float("linalg.eigh", A)
    if UPLO.upper() not in ("L", "U"):
        raise Argument(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    if A.size == 0:
        return np.zeros(A.shape[:-1], A.real.dtype), A.copy()
    try:
        return tuple(np.linalg.eigh(A, UPLO.upper()))
    except np.linalg.LinAlgError:
        raise LinalgSingular("linalg.eigh: The algorithm failed to converge because the input matrix "
                             "is ill-conditioned or has too many repeated eigenvalues.") from None


def _eigh_vjp(ct, ins, y, UPLO):
    gl, gq = ct
    values, q = y
    inner = None if gl is None else gl.to(q.dtype).diag_embed()
    if gq is not None:
        from_q = adjoint(q) @ gq
        if q.is_complex():
            refuse_phase(from_q.diagonal(0, -2, -1).imag, "linalg_eigh_backward", "eigenvectors")
        # of a matrix that is Hermitian, only the Hermitian part of a cotangent says something
        turned = divided((from_q - adjoint(from_q)) / 2, gaps_of(values))
        inner = turned if inner is None else inner + turned
    return [None if inner is None else q @ inner @ adjoint(q)]


def _eigh_jvp(t, ins, y, UPLO):
    values, q = y
    inner = adjoint(q) @ t[0] @ q
    return inner.diagonal(0, -2, -1).real, q @ divided(inner, gaps_of(values))


eigh = rule("linalg_eigh", _eigh, inputs=("A",), vjp=_eigh_vjp, jvp=_eigh_jvp,
            saves={"A": ("result",)}, layout=("contiguous", "columns"), partial=True, method=False,
            function=False, helper=True)
composite("linalg_eigvalsh", lambda A, UPLO="L": eigh(A, UPLO)[0], method=False, function=False,
          helper=True)

# --- of any square matrices ---


def _eig(A):
    """A V = V diag(L); the columns of V have length 1. Both are complex."""
    need_square("linalg.eig", A)
    need_float("linalg.eig", A)
    if not np.isfinite(A).all():
        raise Argument("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    wide = dt.BY_NUMPY[A.dtype].to_complex().np
    if A.size == 0:
        return np.zeros(A.shape[:-1], wide), A.astype(wide)
    values, vectors = np.linalg.eig(A)
    return values.astype(wide), vectors.astype(wide)


def _eig_vjp(ct, ins, y):
    gl, gv = ct
    values, v = y
    inner = None if gl is None else gl.diag_embed()
    if gv is not None:
        from_v = adjoint(v) @ gv
        along = from_v.diagonal(0, -2, -1)
        refuse_phase(along.imag, "linalg_eig_backward", "eigenvectors")
        # the columns keep their length
        turned = divided(from_v - (adjoint(v) @ v) * along.real.unsqueeze(-2), gaps_of(values).conj())
        inner = turned if inner is None else inner + turned
    if inner is None:
        return [None]
    got = torch.linalg.solve(adjoint(v), inner @ adjoint(v))
    return [got if ins[0].dtype.is_complex else got.real]


def _eig_jvp(t, ins, y):
    values, v = y
    inner = torch.linalg.solve(v, t[0].to(v.dtype) @ v)
    turned = v @ divided(inner, gaps_of(values))
    length = (v.conj() * turned).sum(-2).real
    return inner.diagonal(0, -2, -1), turned - v * length.unsqueeze(-2)


eig = rule("linalg_eig", _eig, inputs=("A",), vjp=_eig_vjp, jvp=_eig_jvp, saves={"A": ("result",)},
           layout=("contiguous", "columns"), partial=True, method=False, function=False, helper=True)
composite("linalg_eigvals", lambda A: eig(A)[0], method=False, function=False, helper=True)
