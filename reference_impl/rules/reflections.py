"""Products of Householder reflections I - tau v v^H, as geqrf tells them. Chapter torch.linalg.

The vectors v stand below the diagonal of a matrix, one in each column, with an unwritten 1 on it.
In a line, ct is the cotangent, ins the inputs, y the result. They are helpers: no table of
operations lists them yet, so no library is checked against them.
"""

import numpy as np

import reference_impl as torch
from reference_impl.errors import (
    DimCount,
    DimOutOfRange,
    DtypeMismatch,
    NotImplementedFor,
    ShapeMismatch,
    shape_text,
)
from reference_impl.rule import composite, rule
from reference_impl.rules.matrix_checks import adjoint, need_matrix, scalar_name


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


def _vectors(input):
    """Unit lower triangular, of arrays: the vectors as columns."""
    return np.tril(input, -1) + np.eye(*input.shape[-2:], dtype=input.dtype)


def _reflected(x, input, tau, order):
    """x with one reflection after the other applied from the left; arrays."""
    vectors = _vectors(input)
    for i in order:
        v = vectors[..., i, None]
        x = x - tau[..., i, None, None] * (v @ (adjoint(v) @ x))
    return x


class _Chain:
    """The steps of such a product, and what becomes of cotangents and tangents in it; Tensors.

    back: the reflections' adjoints, which have conj(tau), in the opposite order.
    """

    def __init__(self, x, input, tau, back):
        count = tau.shape[-1]
        self.order = range(count) if back else range(count - 1, -1, -1)
        m, n = input.shape[-2:]
        self.back = back
        self.tau = tau.conj() if back else tau
        self.vectors = input.tril(-1) + torch.eye(m, n, dtype=input.dtype)
        self.parts = [x]
        for i in self.order:
            self.parts.append(self.step(self.parts[-1], i))

    def at(self, i):
        return self.vectors.narrow(-1, i, 1), self.tau.narrow(-1, i, 1).unsqueeze(-1)

    def step(self, x, i):
        v, factor = self.at(i)
        return x - factor * (v @ (adjoint(v) @ x))

    def cotangents(self, ct):
        """Those of x, input and tau."""
        of_v, of_tau = {}, {}
        for i, x in reversed(list(zip(self.order, self.parts[:-1], strict=True))):
            v, factor = self.at(i)
            row = adjoint(v) @ x
            of_tau[i] = -((v @ row).conj() * ct).sum((-2, -1), False).unsqueeze(-1)
            of_v[i] = -(factor.conj() * (ct @ adjoint(row)) + factor * (x @ (adjoint(ct) @ v)))
            ct = ct - factor.conj() * (v @ (adjoint(v) @ ct))
        count = len(self.order)
        if not count:
            return ct, torch.zeros_like(self.vectors), torch.zeros_like(self.tau)
        columns = [of_v[i] for i in range(count)]
        rest = self.vectors.shape[-1] - count
        if rest:
            columns.append(torch.zeros_like(self.vectors.narrow(-1, count, rest)))
        tau = torch.cat([of_tau[i] for i in range(count)], -1)
        return ct, torch.cat(columns, -1).tril(-1), tau.conj() if self.back else tau

    def tangent(self, dx, dinput, dtau):
        dv, dtau = dinput.tril(-1), dtau.conj() if self.back else dtau
        for i, x in zip(self.order, self.parts[:-1], strict=True):
            (v, factor), d = self.at(i), dv.narrow(-1, i, 1)
            row = adjoint(v) @ x
            turned = dtau.narrow(-1, i, 1).unsqueeze(-1) * v + factor * d
            dx = dx - factor * (v @ (adjoint(v) @ dx + adjoint(d) @ x)) - turned @ row
        return dx


def _check_reflections(name, input, tau):
    if input.ndim < 2:
        raise DimCount(f"{name}: input must have at least 2 dimensions.")
    m, n = input.shape[-2:]
    if m < n:
        raise ShapeMismatch(f"{name}: input.shape[-2] must be greater than or equal to "
                            "input.shape[-1]")
    if tau.ndim and n < tau.shape[-1]:
        raise ShapeMismatch(f"{name}: input.shape[-1] must be greater than or equal to "
                            "tau.shape[-1]")
    if input.ndim - tau.ndim != 1:
        raise DimCount(f"{name}: Expected tau to have one dimension less than input, but got "
                       f"tau.ndim equal to {tau.ndim} and input.ndim is equal to {input.ndim}")
    if tau.shape[:-1] != input.shape[:-2]:
        raise ShapeMismatch(f"{name}: Expected batch dimensions of tau to be equal to "
                            f"input.shape[:-2], but got {shape_text(tau.shape[:-1])}")
    if tau.dtype != input.dtype:
        raise DtypeMismatch(f"{name}: tau dtype {scalar_name(tau)} does not match input dtype "
                            f"{scalar_name(input)}")


def _householder_product(input, tau):
    """The first columns of the product of all reflections."""
    _check_reflections("torch.linalg.householder_product", input, tau)
    start = np.broadcast_to(np.eye(*input.shape[-2:], dtype=input.dtype), input.shape)
    return _reflected(start, input, tau, range(tau.shape[-1] - 1, -1, -1))


def _from_unit(input, tau):
    m, n = input.shape[-2:]
    return _Chain(torch.eye(m, n, dtype=input.dtype).expand(input.shape), input, tau, False)


householder_product = rule(
    "linalg_householder_product", _householder_product, inputs=("input", "tau"), layout="columns",
    saves=("input", "tau"), method=False, function=False, helper=True,
    vjp=lambda ct, ins, y: list(_from_unit(*ins).cotangents(ct)[1:]),
    jvp=lambda t, ins, y: _from_unit(*ins).tangent(torch.zeros_like(y), t[0], t[1]))
composite("orgqr", lambda input, input2: householder_product(input, input2), helper=True)


def _ormqr(self, tau, other, left=True, transpose=False):
    """The whole product of the reflections, or its adjoint, times `other`, or the other way round."""
    for word, t in (("input", self), ("other", other)):
        if t.ndim < 2:
            raise DimCount(f"torch.ormqr: {word} must have at least 2 dimensions.")
    side = -2 if left else -1
    if not tau.ndim:
        raise DimOutOfRange("Dimension specified as -1 but tensor has no dimensions")
    if other.shape[side] != self.shape[-2]:
        raise ShapeMismatch(f"torch.ormqr: other.shape[{side}] must be equal to input.shape[-2]")
    if tau.shape[-1] != min(other.shape[side], self.shape[-1]):
        raise ShapeMismatch(f"torch.ormqr: tau.shape[-1] must be equal to min(other.shape[{side}], "
                            "input.shape[-1])")
    if tau.ndim != self.ndim - 1:
        raise ShapeMismatch("torch.ormqr: Expected tau to have one dimension less than input, but got "
                            f"tau.ndim equal to {tau.ndim} and input.ndim is equal to {self.ndim}")
    if other.ndim != self.ndim:
        raise ShapeMismatch("torch.ormqr: Expected other to have the same number of dimensions as "
                            f"input, but got other.ndim equal to {other.ndim} and input.ndim is equal "
                            f"to {self.ndim}")
    for word, batch in (("tau", tau.shape[:-1]), ("other", other.shape[:-2])):
        if batch != self.shape[:-2]:
            raise ShapeMismatch(f"torch.ormqr: Expected batch dimensions of {word} to be equal to "
                                f"input.shape[:-2], but got {shape_text(batch)}")
    for word, t in (("tau", tau), ("other", other)):
        if t.dtype != self.dtype:
            raise DtypeMismatch(f"torch.ormqr: Expected input and {word} to have the same dtype, but "
                                f"input has dtype {scalar_name(self)} and {word} has dtype "
                                f"{scalar_name(t)}")
    x = other if left else adjoint(other)        # X Q is (Q^H X^H)^H
    back = transpose == left
    order = range(tau.shape[-1]) if back else range(tau.shape[-1] - 1, -1, -1)
    got = _reflected(x, self, tau.conj() if back else tau, order)
    return got if left else adjoint(got)


def _ormqr_vjp(ct, ins, y, left, transpose):
    chain = _Chain(ins[2] if left else adjoint(ins[2]), ins[0], ins[1], transpose == left)
    of_x, of_input, of_tau = chain.cotangents(ct if left else adjoint(ct))
    return [of_input, of_tau, of_x if left else adjoint(of_x)]


def _ormqr_jvp(t, ins, y, left, transpose):
    chain = _Chain(ins[2] if left else adjoint(ins[2]), ins[0], ins[1], transpose == left)
    got = chain.tangent(t[2] if left else adjoint(t[2]), t[0], t[1])
    return got if left else adjoint(got)


rule("ormqr", _ormqr, inputs=("self", "tau", "other"), layout="columns", helper=True,
     saves=("self", "tau", "other"), vjp=_ormqr_vjp, jvp=_ormqr_jvp)
