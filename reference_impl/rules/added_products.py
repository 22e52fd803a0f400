"""beta * self + alpha * product: addmm and its kin. Chapter "BLAS and LAPACK Operations".

With beta 0 what is in self does not count, nan and infinities included. 16-bit floats are carried
in float32 and rounded once. In a line, ct is the cotangent, ins the inputs, y the result. They are
helpers: no table of operations lists them yet, so no library is checked against them.
"""

import numpy as np

from reference_impl.errors import (
    DtypeMismatch,
    DtypeUnsupported,
    NotImplementedFor,
    ShapeMismatch,
    shape_text,
)
from reference_impl.rule import rule
from reference_impl.rules.activation import gelu
from reference_impl.rules.linalg import check_bmm, check_mm, check_mv
from reference_impl.rules.matrix_checks import adjoint, scalar_name
from reference_impl.rules.reductions import carry
from reference_impl.scalars import number_as


def _sum(self, product, beta, alpha):
    """beta * self + alpha * product(), in the dtype of self, and in the shape of the product."""
    if self.dtype == np.bool_:
        raise NotImplementedFor("\"addmm_impl_cpu_\" not implemented for 'Bool'")
    got = product()
    wide = got.dtype
    if alpha != 1:
        got = got * number_as(alpha, wide)
    beta = number_as(beta, wide)
    if beta != 0:
        got = got + expanded(carry(self), got.shape) * beta
    return got.astype(self.dtype)


def expanded(a, shape):
    """The array in another shape. Raises ShapeMismatch."""
    lead = len(shape) - a.ndim
    for d in range(len(shape) - 1, -1, -1):
        if d >= lead and a.shape[d - lead] not in (1, shape[d]):
            raise ShapeMismatch(
                f"The expanded size of the tensor ({shape[d]}) must match the existing size "
                f"({a.shape[d - lead]}) at non-singleton dimension {d}.  Target sizes: "
                f"{shape_text(shape)}.  Tensor sizes: {shape_text(a.shape)}")
    if lead < 0:
        raise ShapeMismatch(f"expand: the number of sizes provided ({len(shape)}) must be greater or "
                            f"equal to the number of dimensions in the tensor ({a.ndim})")
    return np.broadcast_to(a, shape)


def _same(words, *arrays):
    if any(a.dtype != arrays[0].dtype for a in arrays):
        raise DtypeMismatch(words.format(*map(scalar_name, arrays)))


def _addmm(self, mat1, mat2, *, beta=1, alpha=1):
    check_mm(mat1, mat2, ("mat1", "mat2"), ", got {}-D tensor")
    _same("self and mat2 must have the same dtype, but got {} and {}", self, mat2)
    return _sum(self, lambda: np.matmul(carry(mat1), carry(mat2)), beta, alpha)


def _addmv(self, mat, vec, *, beta=1, alpha=1):
    check_mv(mat, vec, self.shape)
    _same("addmv input tensors must have the same dtype, but got {}, {}, and {}", self, mat, vec)
    return _sum(self, lambda: np.matmul(carry(mat), carry(vec)), beta, alpha)


def _baddbmm(self, batch1, batch2, *, beta=1, alpha=1):
    check_bmm(batch1, batch2)
    _same("Input dtypes must be the same, got: input {}, batch1: {}, batch2: {}", self, batch1,
          batch2)
    return _sum(self, lambda: np.matmul(carry(batch1), carry(batch2)), beta, alpha)


def _addbmm(self, batch1, batch2, *, beta=1, alpha=1):
    """The products of a batch are added up."""
    if batch1.ndim == batch2.ndim == 3 and len(batch1) != len(batch2):
        raise ShapeMismatch("batch1 and batch2 must have same number of batches, got "
                            f"{len(batch1)} and {len(batch2)}")
    check_bmm(batch1, batch2)
    _same("self and mat2 must have the same dtype, but got {} and {}", self, batch1)
    return _sum(self, lambda: np.matmul(carry(batch1), carry(batch2)).sum(0, dtype=carry(self).dtype),
                beta, alpha)


for _name, _forward, _inputs in (("addmm", _addmm, ("mat1", "mat2")),
                                 ("baddbmm", _baddbmm, ("batch1", "batch2"))):
    rule(_name, _forward, inputs=("self", *_inputs), inplace=True, helper=True,
         saves={_inputs[0]: (_inputs[1],), _inputs[1]: (_inputs[0],)},
         vjp=lambda ct, ins, y, beta, alpha: [
             scaled(ct, beta), scaled(ct @ adjoint(ins[2]), alpha),
             scaled(adjoint(ins[1]) @ ct, alpha)],
         jvp=lambda t, ins, y, beta, alpha: (
             t[0] * beta + (t[1] @ ins[2] + ins[1] @ t[2]) * alpha))


def _addmm_activation(self, mat1, mat2, *, beta=1, alpha=1, use_gelu=False):
    """relu or gelu of addmm."""
    got = _addmm(self, mat1, mat2, beta=beta, alpha=alpha)
    if use_gelu:
        return gelu(carry(got)).astype(got.dtype)
    return np.where(got < 0, np.zeros((), got.dtype), got)


rule("_addmm_activation", _addmm_activation, inputs=("self", "mat1", "mat2"), helper=True)


def scaled(t, number):
    """A cotangent times the conjugate of the number by which its primal was multiplied."""
    return t if number == 1 else t * (number.conjugate() if isinstance(number, complex) else number)


rule("addmv", _addmv, inputs=("self", "mat", "vec"), inplace=True, helper=True,
     saves={"mat": ("vec",), "vec": ("mat",)},
     vjp=lambda ct, ins, y, beta, alpha: [
         scaled(ct, beta), scaled(ct.unsqueeze(1) * ins[2].conj(), alpha),
         scaled(adjoint(ins[1]) @ ct, alpha)],
     jvp=lambda t, ins, y, beta, alpha: t[0] * beta + (t[1] @ ins[2] + ins[1] @ t[2]) * alpha)
rule("addbmm", _addbmm, inputs=("self", "batch1", "batch2"), inplace=True, helper=True,
     saves={"batch1": ("batch2",), "batch2": ("batch1",)},
     vjp=lambda ct, ins, y, beta, alpha: [
         scaled(ct, beta), scaled(ct @ adjoint(ins[2]), alpha),
         scaled(adjoint(ins[1]) @ ct, alpha)],
     jvp=lambda t, ins, y, beta, alpha: (
         t[0] * beta + (t[1] @ ins[2] + ins[1] @ t[2]).sum(0) * alpha))


def _addr(self, vec1, vec2, *, beta=1, alpha=1):
    for name, t in (("vec1", vec1), ("vec2", vec2)):
        if t.ndim != 1:
            raise ShapeMismatch(f"addr: Expected 1-D argument {name}, but got {t.ndim}-D")
    for name, number in (("beta", beta), ("alpha", alpha)):
        if self.dtype.kind in "biu" and isinstance(number, (float, complex)):
            raise DtypeUnsupported(f"For integral input tensors, argument {name} must not be a floating "
                                   "point number.")
        if self.dtype.kind != "b" and isinstance(number, bool):
            raise DtypeUnsupported(f"Boolean {name} only supported for Boolean results.")
    if self.dtype == np.bool_:
        got = np.logical_and(vec1[:, None], vec2) if alpha else np.zeros((len(vec1), len(vec2)), bool)
        return np.logical_or(expanded(self, got.shape), got) if beta else got
    # no product of matrices but elementwise arithmetic: 16-bit floats are rounded at every step
    alpha, beta = (number_as(number, self.dtype) for number in (alpha, beta))
    got = (alpha * vec1)[:, None] * vec2
    return got if beta == 0 else beta * expanded(self, got.shape) + got


rule("addr", _addr, inputs=("self", "vec1", "vec2"), inplace=True, helper=True, promote="result",
     numbers=False, layout="contiguous", saves={"vec1": ("vec2",), "vec2": ("vec1",)},
     vjp=lambda ct, ins, y, beta, alpha: [
         scaled(ct, beta), scaled(ct @ ins[2].conj(), alpha),
         scaled(ct.mT @ ins[1].conj(), alpha)],
     jvp=lambda t, ins, y, beta, alpha: t[0] * beta + (
         t[1].unsqueeze(-1) * ins[2] + ins[1].unsqueeze(-1) * t[2]) * alpha)
