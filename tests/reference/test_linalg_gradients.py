"""Factorisations against their own differences: backward, forward mode, and the second derivative.

What is told up to a sign or a phase enters through combinations that do not depend on it.
"""

import pytest

import reference_impl as T

LINALG = T.linalg


def numbers(*shape, dtype):
    return T.randn(*shape, dtype=dtype).requires_grad_()


def positive(x):
    return x @ x.mH + T.eye(x.shape[-1], dtype=x.dtype)


def turned(v):
    """Each column times the conjugate of its first element."""
    return v[..., :1, :].conj() * v


def svd(x):
    u, s, vh = LINALG.svd(x, False)
    return turned(u), s, turned(vh.mH), u[..., :1] @ vh[..., :1, :]


def eigh(x):
    values, vectors = LINALG.eigh(x + x.mH)
    return values, turned(vectors)


def eig(x):
    values, vectors = LINALG.eig(x)
    return values, turned(vectors)


CASES = {
    "qr tall": (LINALG.qr, (4, 3)),
    "qr wide": (LINALG.qr, (3, 4)),
    "qr square": (lambda x: LINALG.qr(x, "complete"), (2, 3, 3)),
    "svd tall": (svd, (4, 3)),
    "svd wide": (svd, (2, 3, 4)),
    "eigh": (eigh, (3, 3)),
    "eig": (eig, (3, 3)),
    "lu tall": (lambda x: LINALG.lu(x)[1:], (4, 3)),
    "lu wide": (lambda x: LINALG.lu(x)[1:], (2, 3, 4)),
    "lu_factor": (lambda x: LINALG.lu_factor(x)[0], (3, 3)),
    "lu_unpack": (lambda x: T.lu_unpack(*LINALG.lu_factor(x))[1:], (4, 3)),
    "lu_solve": (lambda x, b: LINALG.lu_solve(*LINALG.lu_factor(x), b), (3, 3), (3, 2)),
    "lu_solve right, adjoint": (
        lambda x, b: LINALG.lu_solve(*LINALG.lu_factor(x), b, left=False, adjoint=True),
        (3, 3), (2, 3)),
    "solve_triangular": (lambda x, b: LINALG.solve_triangular(x, b, upper=True), (3, 3), (3, 2)),
    "solve_triangular right, unit": (
        lambda x, b: LINALG.solve_triangular(x, b, upper=False, left=False, unitriangular=True),
        (2, 3, 3), (2, 3)),
    "triangular_solve": (lambda b, x: T.triangular_solve(b, x, False, True), (3, 2), (3, 3)),
    "cholesky": (lambda x: LINALG.cholesky(positive(x)), (3, 3)),
    "cholesky_solve": (lambda b, x: T.cholesky_solve(b, LINALG.cholesky(positive(x))), (3, 2), (3, 3)),
    "cholesky_inverse upper": (
        lambda x: T.cholesky_inverse(LINALG.cholesky(positive(x), upper=True), True), (3, 3)),
    "inv_ex": (lambda x: LINALG.inv_ex(x)[0], (3, 3)),
    "slogdet": (lambda x: LINALG.slogdet(x)[1], (2, 3, 3)),
    "pinv tall": (LINALG.pinv, (4, 3)),
    "pinv wide": (LINALG.pinv, (3, 4)),
    "lstsq": (lambda a, b: LINALG.lstsq(a, b, driver="gelsd")[:2], (4, 3), (4, 2)),
    "matrix_exp": (LINALG.matrix_exp, (3, 3)),
    "householder_product": (LINALG.householder_product, (4, 3), (2,)),
    "ormqr": (T.ormqr, (4, 3), (3,), (4, 2)),
    "ormqr right, transposed": (lambda *x: T.ormqr(*x, False, True), (4, 3), (3,), (2, 4)),
    "addmm": (lambda *x: T.addmm(*x, beta=2, alpha=3), (2,), (2, 3), (3, 2)),
    "addr": (lambda *x: T.addr(*x, beta=2, alpha=3), (3,), (2,), (3,)),
    "addbmm": (T.addbmm, (2, 2), (2, 2, 3), (2, 3, 2)),
    "cross": (LINALG.cross, (2, 3), (1, 3)),
    "norm inf": (lambda x: LINALG.vector_norm(x, float("inf"), 1), (3, 4)),
}


@pytest.mark.parametrize("dtype", [T.float64, T.complex128], ids=["real", "complex"])
@pytest.mark.parametrize("name", CASES)
def test_derivatives_agree_with_differences(name, dtype):
    call, *shapes = CASES[name]
    T.manual_seed(3)
    inputs = [numbers(*shape, dtype=dtype) for shape in shapes]
    assert T.autograd.gradcheck(call, inputs, check_forward_ad=True)


@pytest.mark.parametrize("name", ["qr wide", "svd tall", "eigh", "lu tall", "pinv wide", "lstsq",
                                  "ormqr", "lu_solve", "solve_triangular"])
def test_second_derivatives_agree_with_differences(name):
    call, *shapes = CASES[name]
    T.manual_seed(3)
    assert T.autograd.gradgradcheck(call, [numbers(*s, dtype=T.float64) for s in shapes])
