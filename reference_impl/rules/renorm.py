"""renorm: slices scaled down to a norm. It is a helper: no table of operations lists it yet.

In a line, ct is the cotangent, ins the inputs, y the result.
"""

import numpy as np

import reference_impl as torch
from reference_impl.errors import Argument, DimCount
from reference_impl.geometry import wrap_dim
from reference_impl.rule import rule
from reference_impl.rules.norms import norm_of, vector_norm, vector_norm_jvp, vector_norm_vjp
from reference_impl.rules.reductions import carry


def _check_renorm(p, maxnorm, ndim):
    if isinstance(p, complex):
        raise Argument("renorm: p must be real-valued")
    if p <= 0:
        raise Argument("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise Argument(f"renorm: expected maxnorm to be >= 0 but got {maxnorm:g}")
    if ndim < 2:
        raise DimCount(f"renorm: input needs at least 2 dimensions, got {ndim} dimensions")


def _factors(x, p, dim, maxnorm):
    """What each slice of an array along `dim` is scaled with, in the norms' dtype."""
    axes = tuple(i for i in range(x.ndim) if i != wrap_dim(dim, x.ndim))
    size = norm_of(carry(x), p, axes, True)
    unit = size.dtype.type
    return np.where(size > maxnorm, unit(maxnorm) / (size + unit(1e-7)), unit(1))


def _renorm(self, p, dim, maxnorm):
    """Slices along `dim` whose norm exceeds maxnorm, scaled down to it."""
    _check_renorm(p, maxnorm, self.ndim)
    return (carry(self) * _factors(self, p, dim, maxnorm)).astype(self.dtype)


def _scaling(x, p, dim, maxnorm):
    """The dimensions of a slice, the norms of a Tensor's slices, their factors and those' slopes."""
    axes = [i for i in range(x.ndim) if i != wrap_dim(dim, x.ndim)]
    size = vector_norm(x, p, axes, True)
    over = size > maxnorm
    factor = torch.where(over, maxnorm / (size + 1e-7), 1.0)
    return axes, size, factor, torch.where(over, -maxnorm / (size + 1e-7).square(), 0.0)


def _renorm_vjp(ct, ins, y, p, dim, maxnorm):
    """Of x f(|x|): the factor f depends on all of the slice."""
    x = ins[0]
    axes, size, factor, slope = _scaling(x, p, dim, maxnorm)
    along = (x.conj() * ct).real.sum(axes, True) * slope
    return [ct * factor + vector_norm_vjp(along, [x], size, p, axes, True, None)[0]]


def _renorm_jvp(t, ins, y, p, dim, maxnorm):
    x = ins[0]
    axes, size, factor, slope = _scaling(x, p, dim, maxnorm)
    return t[0] * factor + x * (slope * vector_norm_jvp(t, [x], size, p, axes, True, None))


rule("renorm", _renorm, inputs=("self",), vjp=_renorm_vjp, jvp=_renorm_jvp, saves=("self",),
     inplace=True, helper=True)
