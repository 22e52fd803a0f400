"""Products, einsum and factorisations of the reference against torch itself."""

import numpy as np
import pytest
from against_torch import agree, numbers, torch

import reference_impl


@pytest.mark.parametrize(("left", "right"), [
    ((3, 4), (4, 2)), ((2, 3, 4), (4, 2)), ((4,), (4,)), ((3, 4), (4,)), ((4,), (4, 2)),
    ((2, 1, 3, 4), (3, 4, 2)), ((2, 3, 4), (4,)), ((4,), (2, 4, 3)), ((2, 0), (0, 3)),
])  # fmt: skip
def test_matmul_of_every_rank(left, right):
    agree(lambda lib, a, b: lib.matmul(a, b), numbers(*left), numbers(*right))


def test_outer_dot_bmm():
    agree(lambda lib, a, b: lib.outer(a, b), numbers(3), numbers(4))
    agree(lambda lib, a, b: lib.dot(a, b), numbers(3), numbers(3, seed=1))
    agree(lambda lib, a, b: lib.bmm(a, b), numbers(2, 3, 4), numbers(2, 4, 2))


@pytest.mark.parametrize(("equation", "shapes"), [
    ("ij,jk->ik", [(3, 4), (4, 2)]), ("ii", [(3, 3)]), ("ij->", [(3, 4)]), ("ij->i", [(3, 4)]),
    ("i,j->ij", [(3,), (4,)]), ("...ij,...jk->...ik", [(2, 1, 3, 4), (3, 4, 2)]),
    ("ij,jk", [(2, 1), (3, 3)]), ("iij,jk->ik", [(3, 3, 2), (2, 4)]),
    ("ijk,jk,i->", [(2, 3, 4), (3, 4), (2,)]), ("i...->...", [(3, 4)]), ("iji->j", [(3, 2, 3)]),
])  # fmt: skip
def test_einsum(equation, shapes):
    arrays = [numbers(*shape, seed=i) for i, shape in enumerate(shapes)]
    seen = [
        lib.einsum(equation, [lib.from_numpy(a.copy()) for a in arrays]).contiguous().numpy()
        for lib in (reference_impl, torch)
    ]
    assert seen[0].shape == seen[1].shape
    agree(lambda lib, *x: lib.einsum(equation, list(x)).clone(
        memory_format=lib.contiguous_format), *arrays)


@pytest.mark.parametrize("equation", ["ij,jk->iz", "ij->ii", "ij->i,j", "ijk->i", "i1->i"])
def test_einsum_refuses_a_wrong_equation(equation):
    for lib in (reference_impl, torch):
        with pytest.raises(RuntimeError, match=r"einsum\(\)"):
            lib.einsum(equation, [lib.ones(2, 3)])


def test_cholesky_and_solve():
    a = numbers(2, 3, 3)
    a = a @ a.transpose(0, 2, 1) + 3 * np.eye(3)
    agree(lambda lib, x: lib.linalg.cholesky(x), a)
    agree(lambda lib, x: lib.linalg.cholesky(x, upper=True), a[0])
    for b in ((2, 3, 2), (2, 3), (3,)):
        agree(lambda lib, x, y: lib.linalg.solve(x, y), a, numbers(*b))
    agree(lambda lib, x, y: lib.linalg.solve(x, y, left=False), a[0], numbers(2, 3))


@pytest.mark.parametrize("call", [
    lambda lib: lib.linalg.cholesky(-lib.eye(2)),
    lambda lib: lib.linalg.cholesky(lib.ones(2, 3)),
    lambda lib: lib.linalg.solve(lib.zeros(2, 2), lib.ones(2)),
    lambda lib: lib.mm(lib.ones(2, 3), lib.ones(2, 3)),
    lambda lib: lib.mm(lib.ones(2, 2), lib.ones(2, 2, dtype=lib.float64)),
    lambda lib: lib.dot(lib.ones(3), lib.ones(4)),
])  # fmt: skip
def test_refusals(call):
    for lib in (reference_impl, torch):
        with pytest.raises(RuntimeError):
            call(lib)
