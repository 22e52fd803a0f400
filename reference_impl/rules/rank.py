"""Rank, pseudo-inverse, condition and least squares, by singular values. Chapter torch.linalg.

In a line, ct is the cotangent, ins the inputs, y the result. They are helpers: no table of
operations lists them yet, so no library is checked against them.
"""

import numpy as np

import reference_impl as torch
from reference_impl.errors import (
    Argument,
    ArgumentType,
    DimCount,
    DtypeMismatch,
    DtypeUnsupported,
    ShapeMismatch,
    shape_text,
)
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.rules.matrix_checks import (
    adjoint,
    broadcast_batches,
    need_matrix,
    need_square,
    scalar_name,
)
from reference_impl.rules.spectra import eigh, svdvals
from reference_impl.tensor import Tensor


def tolerances(name, a, **given):
    """(absolute, relative) as arrays; the default is eps times the larger side, unless the absolute
    tolerance is given. given: both, the relative one last, by the names that the caller knows.
    """
    for word, x in given.items():
        if isinstance(x, Tensor) and x.is_complex():
            raise DtypeUnsupported(f"{name}: {word} tensor of complex type is not supported. Got "
                                   f"{scalar_name(x)}")
        if not isinstance(x, (Tensor, int, float, type(None))):
            raise ArgumentType(f"{name.removeprefix('torch.').replace('.', '_')}(): {word} must be a "
                               f"float or a Tensor, not {type(x).__name__}")
    atol, rtol = given.values()
    a_given = atol is not None
    atol, rtol = (None if x is None else x._array if isinstance(x, Tensor) else np.asarray(x)
                  for x in (atol, rtol))
    default = np.finfo(a.dtype.to_real().np).eps * max(a._size[-2:])
    if rtol is None:
        rtol = np.where(atol > 0, 0.0, default) if a_given else np.asarray(default)
    return (np.zeros(()) if atol is None else atol), rtol


def cut(s, atol, rtol):
    """What singular values (…, k) must exceed, (…, 1)."""
    top = s.max(-1, initial=0, keepdims=True)
    return np.maximum(np.asarray(atol)[..., None], np.asarray(rtol)[..., None] * top)


def _pinv(self, atol, rtol, hermitian):
    if self.size == 0:
        return np.zeros((*self.shape[:-2], self.shape[-1], self.shape[-2]), self.dtype)
    if hermitian:
        s, u = np.linalg.eigh(self)
        vh = adjoint(u)
    else:
        u, s, vh = np.linalg.svd(self, False)
    size = np.abs(s)
    keep = size > cut(size, atol, rtol)
    over = np.where(keep, 1, 0) / np.where(keep, s, 1)
    return np.ascontiguousarray((adjoint(vh) * over[..., None, :]) @ adjoint(u), self.dtype)


def pinv_vjp(ct, a, y):
    """Golub and Pereyra 1973, eq. 4.12: as long as the rank stays."""
    yh, cth = adjoint(y), adjoint(ct)
    wide, tall = yh @ y @ cth, cth @ y @ yh
    return -(yh @ ct @ yh) + (tall - a @ (y @ tall)) + (wide - (wide @ y) @ a)


def _pinv_jvp(t, ins, y, atol, rtol, hermitian):
    a, da = ins[0], t[0]
    yh, dah = adjoint(y), adjoint(da)
    left, right = dah - y @ (a @ dah), dah - (dah @ a) @ y
    return -(y @ da @ y) + left @ (yh @ y) + (y @ yh) @ right


_pseudo_inverse = rule("_linalg_pinv", _pinv, inputs=("self",), node="LinalgPinvBackward0",
                       saves={"self": ("self", "result")}, jvp=_pinv_jvp, method=False,
                       function=False, vjp=lambda ct, ins, y, atol, rtol, hermitian: [
                           pinv_vjp(ct, ins[0], y)])


def pinv(A, rcond=None, hermitian=False, *, atol=None, rtol=None):
    """The Moore-Penrose inverse; what lies below the tolerance counts as zero."""
    if A.ndim < 2 or A.dtype not in (torch.float32, torch.float64, torch.complex64,
                                     torch.complex128):
        raise Argument(f"linalg.pinv({A.dtype.scalar_name}{{{shape_text(A._size)}}}): expected a "
                       "tensor with 2 or more dimensions of float, double, cfloat or cdouble types")
    if hermitian:
        need_square("linalg.eigh", A)
    relative = {"rcond": rcond} if rtol is None else {"rtol": rtol}
    found = tolerances("torch.linalg.pinv", A, atol=atol, **relative)
    return _pseudo_inverse(A, *found, hermitian)


composite("linalg_pinv", pinv, method=False, function=False, helper=True)
composite("pinverse", lambda input, rcond=1e-15: pinv(input, rcond), helper=True)


def matrix_rank(A, tol=None, hermitian=False, *, atol=None, rtol=None):
    """How many singular values exceed the tolerance."""
    need_matrix("torch.linalg.matrix_rank", A, "input")
    if not A.dtype.is_differentiable:
        raise DtypeUnsupported("This function doesn't handle types other than float and double")
    if tol is not None:
        atol, rtol = tol, 0.0
    atol, rtol = tolerances("torch.linalg.matrix_rank", A, atol=atol, rtol=rtol)
    with torch.no_grad():
        s = eigh(A)[0].abs() if hermitian else svdvals(A)
    return torch.from_numpy(np.asarray((s._array > cut(s._array, atol, rtol)).sum(-1)))


composite("linalg_matrix_rank", matrix_rank, method=False, function=False, helper=True)


def cond(A, p=None):
    """The norm of A times that of its inverse; infinite for a singular matrix."""
    if A.ndim < 2:
        raise DimCount("linalg.cond: The input tensor must have at least 2 dimensions.")
    if p not in (None, 1, -1, 2, -2, np.inf, -np.inf, "fro", "nuc"):
        raise Argument(f"linalg.cond got an invalid norm type: {p}")
    if A.numel() == 0:
        return torch.zeros(A._size[:-2], dtype=A.dtype.to_real())
    if p in (None, 2, -2):
        s = svdvals(A)
        first, last = s.narrow(-1, 0, 1), s.narrow(-1, s._size[-1] - 1, 1)
        return (first / last if p != -2 else last / first).squeeze(-1)
    need_square(f"linalg.cond(ord={p})", A)
    if p == "nuc":
        s = svdvals(A)
        return s.sum(-1) * s.reciprocal().sum(-1)
    inverse, info = torch.linalg.inv_ex(A)
    inverse = inverse.masked_fill((info != 0).unsqueeze(-1).unsqueeze(-1), np.inf)
    norm = OPERATIONS["linalg_matrix_norm"].function
    return (norm(A, p) * norm(inverse, p)).nan_to_num(np.inf, np.inf, -np.inf)


composite("linalg_cond", cond, method=False, function=False, helper=True)

# --- least squares ---

DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


def _check_lstsq(a, b, vector, driver):
    name = "torch.linalg.lstsq"
    if a.ndim < 2:
        raise DimCount(f"{name}: input must have at least 2 dimensions.")
    if b.ndim < 1:
        raise DimCount(f"{name}: other must have at least 1 dimension.")
    if a.dtype != b.dtype:
        raise DtypeMismatch(f"{name}: Expected input and other to have the same dtype, but got "
                            f"input's dtype {scalar_name(a)} and other's dtype {scalar_name(b)}")
    if driver not in DRIVERS:
        raise Argument(f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)")
    side = -1 if vector else -2
    if a.shape[-2] != b.shape[side]:
        raise ShapeMismatch(f"{name}: input.size(-2) should match other.size({side})")


def _is_vector(a, b):
    return b.ndim == 1 or a.ndim - 1 == b.ndim and a.shape[:-1] == b.shape


def _lstsq(self, b, rcond=None, *, driver=None):
    """The X of least norm for which the columns of A X - B are least; what LAPACK's drivers tell."""
    driver, vector = driver or "gelsy", _is_vector(self, b)
    _check_lstsq(self, b, vector, driver)
    a, right = broadcast_batches(self, b[..., None] if vector else b)
    (m, n), count, batch = a.shape[-2:], right.shape[-1], a.shape[:-2]
    eps = np.finfo(a.real.dtype).eps
    if rcond is None:
        rtol = eps * max(m, n)
    else:      # gelsd takes no number for a tolerance that would cut the largest one off
        rtol = eps if rcond < 0 or driver == "gelsd" and not 0 < rcond < 1 else rcond
    s = np.linalg.svd(a, compute_uv=False) if a.size else np.zeros((*batch, min(m, n)), a.real.dtype)
    rank = (s > rtol * s.max(-1, initial=0, keepdims=True)).sum(-1)
    # the solution is a part of the memory in which LAPACK had B
    memory = np.zeros((*batch, count, max(m, n, 1)), a.dtype)
    x = np.swapaxes(memory, -1, -2)[..., :n, :]
    x[...] = _pinv(a, np.zeros(()), np.asarray(rtol), False) @ right
    full = m > n and bool((rank == n).all()) and driver != "gelsy"
    away = a @ x - right
    residuals = (away * away.conj()).real.sum(-2).astype(s.dtype) if full else np.empty(0, s.dtype)
    if m > n and not full and not a.size and driver != "gelsy":
        residuals = np.zeros((*batch, 0), s.dtype)
    values = s if driver in ("gelsd", "gelss") else np.empty(0, s.dtype)
    rank = np.empty(0, np.int64) if driver == "gels" else np.asarray(rank, np.int64)
    return (x[..., 0] if vector else x), residuals, rank, values


def _lstsq_vjp(ct, ins, y, rcond, driver):
    a, b = ins
    gx, gr = ct[0], ct[1]
    vector = _is_vector(a, b)
    b, x = (b.unsqueeze(-1), y[0].unsqueeze(-1)) if vector else (b, y[0])
    of_a = of_b = None
    if gx is not None:
        gx = gx.unsqueeze(-1) if vector else gx
        inverse = pinv(a)
        of_a, of_b = pinv_vjp(gx @ adjoint(b), a, inverse), adjoint(inverse) @ gx
    if gr is not None and gr.numel():
        away = 2 * (a @ x - b) * gr.unsqueeze(-2)
        of_a = away @ adjoint(x) if of_a is None else of_a + away @ adjoint(x)
        of_b = -away if of_b is None else of_b - away
    return [of_a, of_b.squeeze(-1) if vector and of_b is not None else of_b]


def _lstsq_jvp(t, ins, y, rcond, driver):
    a, b = ins
    vector = _is_vector(a, b)
    b, db, x = (z.unsqueeze(-1) if vector else z for z in (b, t[1], y[0]))
    inverse = pinv(a)
    dx = _pinv_jvp((t[0],), (a,), inverse, None, None, False) @ b + inverse @ db
    dr = y[1]
    if y[1].numel():
        away = a @ x - b
        dr = 2 * (away.conj() * (t[0] @ x - db)).real.sum(-2)
    return dx.squeeze(-1) if vector else dx, dr, None, torch.zeros_like(y[3])


rule("linalg_lstsq", _lstsq, inputs=("self", "b"), vjp=_lstsq_vjp, jvp=_lstsq_jvp, partial=True,
     saves={"self": ("self", "b", "result.0"), "b": ("self", "b", "result.0")}, layout="keep",
     differentiable=(0, 1), method=False, function=False, helper=True)
