"""Variance and standard deviation along dimensions, with the mean or without.

Shapes: self (..., n, ...); dim names the reduced dimensions, None and [] all of them; keepdim keeps
each with size 1. The divisor is max(0, n - correction), correction None meaning 1.
"""

import warnings

import numpy as np

import reference_impl as torch
from reference_impl.rule import rule
from reference_impl.rules.reductions import _mean, all_dims, carry, count, kept, need_float, spread
from reference_impl.zero_tangent import ZeroTangent


def _freedom(shape, dim, correction):
    return max(0, count(shape, dim) - (1 if correction is None else correction))


def _var(self, dim=None, *, correction=None, keepdim=False, name="var"):
    named = name if name.endswith("mean") else "std and var"
    need_float(self, f"{named} only support floating point and complex dtypes")
    axes, x = all_dims(dim, self.ndim), carry(self)
    n = count(self.shape, axes)
    away = x - np.sum(x, axis=axes, keepdims=True) / (n if x.dtype == object else x.dtype.type(n))
    square = (away * away.conj()).real if x.dtype.kind == "c" else away * away
    total = np.sum(square, axis=axes, keepdims=keepdim)
    freedom = _freedom(self.shape, axes, correction)
    if freedom <= 0:
        warnings.warn(f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than "
                      "the reduction factor (input numel divided by output numel).", UserWarning,
                      stacklevel=6)
    out = total / (freedom if x.dtype == object else total.dtype.type(freedom))
    return out if x.dtype.kind == "c" else out.astype(self.dtype)


def _std(self, dim=None, *, correction=None, keepdim=False, name="std"):
    x = carry(self)
    root = np.sqrt(_var(x, dim, correction=correction, keepdim=keepdim, name=name))
    return root if x.dtype.kind == "c" else root.astype(self.dtype)


def _with_mean(name, spread_of):
    def forward(self, dim=None, *, correction=None, keepdim=False):
        return (spread_of(self, dim, correction=correction, keepdim=keepdim, name=name),
                _mean(self, dim, keepdim))
    return forward


def _alone(spread_of):
    def forward(self, dim=None, *, correction=None, keepdim=False):
        return spread_of(self, dim, correction=correction, keepdim=keepdim)
    return forward


def _slope(x, dim, correction):
    freedom = _freedom(x.shape, dim, correction)
    return 2 / freedom if freedom else np.inf


def _var_vjp(ct, ins, y, dim, correction, keepdim):
    x = ins[0]
    return [_slope(x, dim, correction) * kept(ct, x.shape, dim, keepdim)
            * (x - x.mean(all_dims(dim, x.ndim), True))]


def _var_jvp(t, ins, y, dim, correction, keepdim):
    x, dims = ins[0], all_dims(dim, ins[0].ndim)
    along = (_slope(x, dim, correction) * (x - x.mean(dims, True)).conj() * t[0]).real
    return along.sum(dims, keepdim)


def _std_vjp(ct, ins, y, dim, correction, keepdim):
    # the root has no slope at 0; torch takes 0 there
    slope = torch.where(y == 0, torch.zeros_like(y), ct / (2 * y))
    return _var_vjp(slope, ins, y, dim, correction, keepdim)


def _std_jvp(t, ins, y, dim, correction, keepdim):
    slope = _var_jvp(t, ins, y, dim, correction, keepdim) / (2 * y)
    return torch.where(y == 0, torch.zeros_like(y), slope)


def _vjp_with_mean(vjp):
    def both(ct, ins, y, dim, correction, keepdim):
        x = ins[0]
        of_mean = spread(ct[1], x.shape, dim, keepdim) / count(x.shape, dim)
        if isinstance(ct[0], ZeroTangent):       # of one element the variance has an infinite slope
            return [of_mean]
        return [vjp(ct[0], ins, y[0], dim, correction, keepdim)[0] + of_mean]
    return both


def _jvp_with_mean(jvp):
    def both(t, ins, y, dim, correction, keepdim):
        return (jvp(t, ins, y[0], dim, correction, keepdim),
                t[0].mean(all_dims(dim, ins[0].ndim), keepdim))
    return both


rule("var", _alone(_var), inputs=("self",), vjp=_var_vjp, jvp=_var_jvp, saves={"self": ("self",)})
rule("std", _alone(_std), inputs=("self",), vjp=_std_vjp, jvp=_std_jvp,
     saves={"self": ("self", "result")})
rule("var_mean", _with_mean("var_mean", _var), inputs=("self",), vjp=_vjp_with_mean(_var_vjp),
     jvp=_jvp_with_mean(_var_jvp), saves={"self": ("self",)}, method=False, helper=True)
rule("std_mean", _with_mean("std_mean", _std), inputs=("self",), vjp=_vjp_with_mean(_std_vjp),
     jvp=_jvp_with_mean(_std_jvp), saves={"self": ("self", "result.0")}, method=False, helper=True)
