"""A symmetric (or Hermitian) matrix as L D Lᵀ, and systems solved with that. Chapter torch.linalg.

D consists of blocks of 1 or 2 rows. LD holds both, without the ones on L's diagonal; `pivots` tells
which rows and columns were exchanged, counted from 1, and is negative for both rows of a block of
two. Like LAPACK's sytf2 and hetf2, after Bunch and Kaufman 1977. They have no derivative, and no
table of operations lists them yet.
"""

import numpy as np

from reference_impl.errors import (
    Argument,
    DtypeMismatch,
    LinalgSingular,
    ShapeMismatch,
    shape_text,
)
from reference_impl.geometry import wrap_dim
from reference_impl.return_types import named
from reference_impl.rule import composite, rule
from reference_impl.rules.lu import size_of
from reference_impl.rules.matrix_checks import (
    broadcast_batches,
    need_float,
    need_square,
    scalar_name,
)

ALPHA = (1 + 17 ** 0.5) / 8      # keeps what the elimination adds as small as it can be


def choose_pivot(a, k):
    """(row to exchange, rows of the block): row k, or another one, or two."""
    column, here = size_of(a[k + 1:, k]), size_of(a[k, k])
    most = column.max(initial=0)
    if max(here, most) == 0 or here >= ALPHA * most:
        return k, 1
    p = k + 1 + int(np.argmax(column))
    row = max(size_of(a[p, k:p]).max(initial=0), size_of(a[p + 1:, p]).max(initial=0))
    if here >= ALPHA * most * (most / row):
        return k, 1
    return (p, 1) if size_of(a[p, p]) >= ALPHA * row else (p, 2)


def _exchange(a, i, p, k, turned):
    """Rows and columns i < p of what is left, of which only the lower triangle is stored."""
    a[p + 1:, [i, p]] = a[p + 1:, [p, i]]
    between, across = a[i + 1:p, i].copy(), a[p, i + 1:p].copy()
    a[i + 1:p, i], a[p, i + 1:p] = turned(across), turned(between)
    a[p, i] = turned(a[p, i])
    a[i, i], a[p, p] = a[p, p], a[i, i]
    if i > k:
        a[[i, p], k] = a[[p, i], k]


def block(a, k, size, turned):
    """D's rows from k on, as a whole matrix."""
    d = a[k:k + size, k:k + size].copy()
    if size == 2:
        d[0, 1] = turned(d[1, 0])
    return d


def factorise(a, hermitian):
    """(LD, pivots, info) of one matrix, in place."""
    n, k, info = len(a), 0, 0
    turned = np.conj if hermitian else (lambda x: x)
    pivots = np.zeros(n, np.int32)
    while k < n:
        p, size = choose_pivot(a, k)
        last = k + size - 1
        if p != last:
            _exchange(a, last, p, k, turned)
        pivots[k:k + size] = p + 1 if size == 1 else -(p + 1)
        if size == 1 and a[k, k] == 0:
            info = info or k + 1
        else:
            d, below = block(a, k, size, turned), a[k + size:, k:k + size].copy()
            low = below @ np.linalg.inv(d)
            a[k + size:, k:k + size] = low
            a[k + size:, k + size:] -= np.tril(low @ turned(below).T)
        k += size
    return pivots, info


def _ldl_factor_ex(self, *, hermitian=False, check_errors=False):
    name = "torch.linalg.ldl_factor_ex"
    need_square(name, self)
    need_float(name, self)
    hermitian = hermitian and self.dtype.kind == "c"
    factors = np.tril(self)
    if hermitian:
        np.einsum("...ii->...i", factors).imag[...] = 0
    pivots, info = np.zeros(self.shape[:-1], np.int32), np.zeros(self.shape[:-2], np.int32)
    for place in np.ndindex(self.shape[:-2]):
        pivots[place], info[place] = factorise(factors[place], hermitian)
    if check_errors:
        _raise_zero(name, info)
    return factors, pivots, info


def _raise_zero(name, info):
    if info.any():
        raise LinalgSingular(f"{name}: The factor D has a zero on its diagonal (error code "
                             f"{info[info != 0].flat[0]}).")


ldl_factor_ex = rule("linalg_ldl_factor_ex", _ldl_factor_ex, inputs=("self",), method=False,
                     layout=("columns", "contiguous", "contiguous"), differentiable=(0,),
                     function=False, helper=True)


def ldl_factor(self, *, hermitian=False):
    factors, pivots, info = ldl_factor_ex(self, hermitian=hermitian)
    _raise_zero("torch.linalg.ldl_factor", info._array)
    return named("linalg_ldl_factor")((factors, pivots))


composite("linalg_ldl_factor", ldl_factor, method=False, function=False, helper=True)


def _ldl_solve(LD, pivots, B, *, hermitian=False):
    """X of A X = B, where A = L D Lᵀ."""
    name = "torch.linalg.ldl_solve"
    need_square(name, LD)
    wrap_dim(-2, B.ndim)
    if LD.dtype != B.dtype:
        raise DtypeMismatch("Expected b and A to have the same dtype, but found b of type "
                            f"{scalar_name(B)} and A of type {scalar_name(LD)} instead.")
    n = LD.shape[-1]
    if B.shape[-2] != n:
        raise ShapeMismatch(f"Incompatible matrix sizes for {name}: each A matrix is {n} by {n} but "
                            f"each b matrix is {B.shape[-2]} by {B.shape[-1]}")
    if LD.shape[:-1] != pivots.shape:
        raise ShapeMismatch(f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got "
                            f"pivots with shape {shape_text(pivots.shape)} instead")
    for wrong, words in ((np.abs(pivots) < 1, "|pivot| >= 1"), (np.abs(pivots) > n,
                                                                "|pivot| <= LD.size(-2)")):
        if wrong.any():
            raise Argument(f"Pivots given to ldl_solve must all satisfy {words}. Did you properly pass "
                           "the result of ldl_factor?")
    turned = np.conj if hermitian and LD.dtype.kind == "c" else (lambda x: x)
    factors, b = broadcast_batches(LD, B)
    pivots = np.broadcast_to(pivots, factors.shape[:-1])
    out = b.copy()
    for place in np.ndindex(b.shape[:-2]):
        substitute(factors[place], pivots[place], out[place], turned)
    return out


def substitute(a, pivots, x, turned):
    """x = B becomes X: each exchange and elimination, then the same backwards."""
    steps, k = [], 0
    while k < len(a):
        size = 1 if pivots[k] > 0 else 2
        steps.append((k, size, k + size - 1, abs(int(pivots[k])) - 1))
        k += size
    for k, size, i, p in steps:
        x[[i, p]] = x[[p, i]]
        x[k + size:] -= a[k + size:, k:k + size] @ x[k:k + size]
        x[k:k + size] = np.linalg.solve(block(a, k, size, turned), x[k:k + size])
    for k, size, i, p in reversed(steps):
        x[k:k + size] -= turned(a[k + size:, k:k + size]).T @ x[k + size:]
        x[[i, p]] = x[[p, i]]


rule("linalg_ldl_solve", _ldl_solve, inputs=("LD", "pivots", "B"), layout="columns", method=False,
     function=False, helper=True)
