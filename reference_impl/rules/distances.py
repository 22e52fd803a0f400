"""Distances: of two tensors (dist), between the rows of two matrices (cdist).

In a line, ct is the cotangent, ins the inputs, y the result. They are helpers: no table of
operations lists them yet, so no library is checked against them.
"""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.errors import (
    Argument,
    ArgumentValue,
    DimCount,
    DtypeUnsupported,
    ShapeMismatch,
)
from reference_impl.rule import rule
from reference_impl.rules.norms import (
    norm_of,
    norm_slope,
    over_norm,
    vector_norm_jvp,
    vector_norm_vjp,
)


def _dist(self, other, p=2):
    if self.dtype.kind in "biu" or self.dtype != other.dtype and other.dtype.kind in "biu":
        kind = dt.BY_NUMPY[self.dtype].scalar_name
        raise DtypeUnsupported("norm(): input dtype should be either floating point or complex. Got "
                               f"{kind} instead.")
    return norm_of(self - other, p)


def _dist_vjp(ct, ins, y, p):
    got = vector_norm_vjp(ct, [ins[0] - ins[1]], y, p, None, False, None)[0]
    return [got, -got]


rule("dist", _dist, inputs=("self", "other"), helper=True, vjp=_dist_vjp,
     saves=("self", "other", "result"), jvp=lambda t, ins, y, p: vector_norm_jvp(
         (t[0] - t[1],), [ins[0] - ins[1]], y, p, None, False, None))


def _cdist(x1, x2, p=2.0, compute_mode=None):
    """Distances between the rows of two (batches of) matrices."""
    if compute_mode not in (None, "use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist",
                            "donot_use_mm_for_euclid_dist"):
        raise ArgumentValue(f"{compute_mode} is not a valid value for compute_mode")
    for word, t in (("X1", x1), ("X2", x2)):
        if t.ndim < 2:
            raise DimCount(f"cdist only supports at least 2D tensors, {word} got: {t.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise ShapeMismatch(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} "
                            f"X2: {x2.shape[-1]}")
    for word, t in (("X1", x1), ("X2", x2)):
        if t.dtype.kind != "f":
            raise DtypeUnsupported(f"cdist only supports floating-point dtypes, {word} got: "
                                   f"{dt.BY_NUMPY[t.dtype].scalar_name}")
    if p < 0:
        raise Argument("cdist only supports non-negative p values")
    if x1.dtype != x2.dtype:
        raise DtypeUnsupported(f"expected scalar type {dt.BY_NUMPY[x1.dtype].scalar_name} but found "
                               f"{dt.BY_NUMPY[x2.dtype].scalar_name}")
    away = x1[..., :, None, :] - x2[..., None, :, :]
    return norm_of(away, p, -1) if away.shape[-1] else np.zeros(away.shape[:-1], x1.dtype)


def _cdist_slope(ins, y, p):
    """The derivative of each distance by each coordinate; of an extremum all that tie count."""
    away = ins[0].unsqueeze(-2) - ins[1].unsqueeze(-3)
    return norm_slope(away, p, y.unsqueeze(-1))


def _cdist_vjp(ct, ins, y, p, compute_mode):
    got = _cdist_slope(ins, y, p) * over_norm(ct, y, p).unsqueeze(-1)
    return [got.sum(-2), -got.sum(-3)]


def _cdist_jvp(t, ins, y, p, compute_mode):
    away = t[0].unsqueeze(-2) - t[1].unsqueeze(-3)
    return over_norm((_cdist_slope(ins, y, p) * away).sum(-1), y, p)


rule("cdist", _cdist, inputs=("x1", "x2"), vjp=_cdist_vjp, jvp=_cdist_jvp, method=False, helper=True,
     saves=("x1", "x2", "result"))
