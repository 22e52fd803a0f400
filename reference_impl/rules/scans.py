"""Running products and extrema, differences, and further reductions.

In a line, ct is the cotangent, ins the inputs, y the result. They are helpers: no table of
operations lists them yet, so no library is checked against them.
"""

import numpy as np

import reference_impl as torch
from reference_impl import dtypes as dt
from reference_impl.dispatch import FUNCTIONS
from reference_impl.errors import (
    Argument,
    DtypeUnsupported,
    EmptyReduction,
    EmptyReductionIndex,
    NotImplementedFor,
    ShapeMismatch,
)
from reference_impl.geometry import wrap_dim
from reference_impl.return_types import named
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.rules.indexing_ops import vector
from reference_impl.rules.ordering import put_back
from reference_impl.rules.reductions import carry, flip
from reference_impl.tensor import Tensor


def cumprod(self, dim, *, dtype=None):
    dim = wrap_dim(dim, self.ndim)
    return np.cumprod(carry(self), axis=dim).astype(self.dtype) if self.ndim else self.copy()


def cumprod_vjp(ct, ins, y, dim, dtype):
    """Sum over k >= i of ct[k] times the product of all x[j], j <= k, but x[i]."""
    x = ins[0]
    if not x.ndim or not x.numel():
        return [ct]
    dim = wrap_dim(dim, x.ndim)
    if not (x == 0).any():
        return [flip(flip(ct * y.conj(), dim).cumsum(dim), dim) / x.conj()]
    parts = []
    for i in range(x._size[dim]):
        before = y.narrow(dim, i - 1, 1) if i else x.narrow(dim, 0, 1) * 0 + 1
        after = x.narrow(dim, i + 1, x._size[dim] - i - 1)
        rest = torch.cat([before, before * after.cumprod(dim)], dim)
        parts.append((ct.narrow(dim, i, x._size[dim] - i) * rest.conj()).sum(dim))
    return [torch.stack(parts, dim)]


def cumprod_jvp(t, ins, y, dim, dtype):
    """y times the running sum of t / x; with zeros by the product rule, one factor after the other.

    Not with t in the place of the first zero, as in torch: that has no second derivative there
    (https://github.com/pytorch/pytorch/issues/196701).
    """
    x, t = ins[0].to(y.dtype), t[0].to(y.dtype)
    if not x.ndim or not x.numel():
        return t
    if not (x == 0).any():
        return y * (t / x).cumsum(dim)
    parts = [t.select(dim, 0)]
    for k in range(1, x.shape[dim]):
        parts.append(parts[-1] * x.select(dim, k) + y.select(dim, k - 1) * t.select(dim, k))
    return torch.stack(parts, dim)


rule("cumprod", cumprod, inputs=("self",), promote="sum", helper=True, inplace=True,
     vjp=cumprod_vjp, jvp=cumprod_jvp, saves={"self": ("self", "result")})


def _running(name, better):
    def forward(self, dim):
        if self.dtype.kind == "c":
            raise DtypeUnsupported(f'"{name}_cpu" not implemented for complex numbers')
        dim, x = wrap_dim(dim, self.ndim), vector(self)
        keys = np.moveaxis(carry(x), dim, 0)
        at = np.zeros(keys.shape, np.int64)
        best = keys[:1].copy()
        for i in range(1, len(keys)):
            wins = better(keys[i], best[0]) | np.isnan(keys[i]) if keys.dtype.kind == "f" else (
                better(keys[i], best[0]))
            if keys.dtype.kind == "f":
                wins &= ~np.isnan(best[0]) | np.isnan(keys[i])
            best[0] = np.where(wins, keys[i], best[0])
            at[i] = np.where(wins, i, at[i - 1])
        at = np.moveaxis(at, 0, dim)
        return (np.take_along_axis(x, at, dim).reshape(self.shape), at.reshape(self.shape))
    rule(name, forward, inputs=("self",), helper=True, differentiable=(0,),
         saves={"self": ("result.1",)},
         vjp=lambda ct, ins, y, dim: [put_back(ct[0], y[1], ins[0].shape, dim)],
         jvp=lambda t, ins, y, dim: (t[0].gather(dim, y[1]), None))


_running("cummax", np.greater_equal)
_running("cummin", np.less_equal)


def log_add_exp(a, b):
    """log(exp(a) + exp(b)) of complex arrays, without overflow and with torch's infinities."""
    swap = a.real >= b.real
    low, high = np.where(swap, b, a), np.where(swap, a, b)
    away = low - high
    step = np.where(np.isneginf(away.real), 0, np.exp(away))      # exp(-inf + inf j) is 0 here
    got = np.log1p(step) + high
    both = np.isinf(high.real) & (low.real == high.real)
    # of +inf only the directions count, of -inf nothing: its angle cannot be told
    got = np.where(both & (high.real > 0), np.log(_far(low) + _far(high)), got)
    got = np.where(both & (high.real < 0), low, got)
    return np.where(np.isnan(a) | np.isnan(b), complex(np.nan, np.nan), got).astype(a.dtype)


def _far(x):
    """exp of numbers whose real part is +inf; 0 stays 0 in each part."""
    parts = [np.where(part == 0, 0, np.inf * part) for part in (np.cos(x.imag), np.sin(x.imag))]
    out = np.empty(x.shape, x.dtype)
    out.real, out.imag = parts
    return out


def logcumsumexp(self, dim):
    dim = wrap_dim(dim, self.ndim)
    if self.dtype.kind in "biu":
        raise NotImplementedFor('"logcumsumexp_out_cpu" not implemented for '
                                f"'{dt.BY_NUMPY[self.dtype].scalar_name}'")
    if not self.ndim:
        return self.copy()
    if self.dtype.kind != "c":
        return np.logaddexp.accumulate(carry(self), axis=dim).astype(self.dtype)
    out = np.moveaxis(self.copy(), dim, 0)
    before = np.full(out.shape[1:], -np.inf, self.dtype)
    for i in range(len(out)):
        out[i] = before = log_add_exp(out[i], before)
    return np.moveaxis(out, 0, dim)


rule("logcumsumexp", logcumsumexp, inputs=("self",), helper=True,
     saves={"self": ("self", "result")},
     vjp=lambda ct, ins, y, dim: [logcumsumexp_vjp(ct, ins[0], y, dim)],
     jvp=lambda t, ins, y, dim: logcumsumexp_jvp(t[0], ins[0], y, dim))


def logcumsumexp_vjp(ct, x, y, dim):
    """exp(x[i]) times the sum over k >= i of ct[k] exp(-y[k]), itself a running sum from the end."""
    if not x.ndim:
        return ct
    def summed(logs):
        return (flip(FUNCTIONS["logcumsumexp"](flip(logs - y, dim), dim), dim) + x).exp()
    if ct.is_complex():
        return summed(ct.conj().log()).conj()

    def half(part):      # a logarithm wants one sign; of the rest as little as a number can be
        rest = part <= 0
        return summed(part.masked_fill(rest, 1).log().masked_fill(rest, lowest))
    lowest = dt.finfo(ct.dtype).min / 4
    return half(ct) - half(-ct)


def logcumsumexp_jvp(t, x, y, dim):
    """The running sum of t exp(x), over exp(y), without leaving the logarithms."""
    def half(part):
        return (FUNCTIONS["logcumsumexp"](x + part.log(), dim) - y).exp()
    if t.is_complex():
        return half(t)
    return half(t.clamp(min=0)) - half((-t).clamp(min=0))


def diff(input, n=1, dim=-1, prepend=None, append=None):
    """The n-th difference along `dim`."""
    if input.ndim == 0:
        raise Argument("diff expects input to be at least one-dimensional")
    if n < 0:
        raise Argument(f"order must be non-negative but got {n}")
    wrapped = wrap_dim(dim, input.ndim)
    for t in (prepend, append):
        if t is not None and t.ndim != input.ndim:
            raise Argument("diff expects prepend or append to be the same dimension as input")
    if n == 0:
        return torch.zeros_like(input).copy_(input)
    for t in (prepend, append):
        for d in range(input.ndim) if t is not None else ():
            if d != wrapped and t._size[d] != input._size[d]:
                raise ShapeMismatch("diff expects the shape of tensor to prepend or append to match "
                                    "that of input except along the differencing dimension; "
                                    f"input.size({d}) = {input._size[d]}, but got tensor.size({d}) = "
                                    f"{t._size[d]}")
    parts = [t for t in (prepend, input, append) if t is not None]
    x = torch.cat(parts, wrapped) if len(parts) > 1 else input
    for _ in range(min(n, x._size[wrapped])):
        m = x._size[wrapped] - 1
        a, b = x.narrow(wrapped, 1, max(m, 0)), x.narrow(wrapped, 0, max(m, 0))
        x = a.logical_xor(b) if x.dtype is dt.bool else a - b
    return x


composite("diff", diff, helper=True)


def trapezoid(y, x=None, *, dx=1, dim=-1):
    """The integral along `dim` by the trapezoidal rule."""
    n = y._size[wrap_dim(dim, y.ndim)]
    if n == 0:
        return y.sum(dim) * 0
    both = y.narrow(dim, 1, n - 1) + y.narrow(dim, 0, n - 1)
    if x is None:
        return (both * dx).sum(dim) / 2
    step = x.diff(dim=-1 if x.ndim == 1 else dim)
    if x.ndim == 1:
        d = wrap_dim(dim, y.ndim)
        step = step.reshape((-1,) + (1,) * (y.ndim - d - 1))
    return (both * step).sum(dim) / 2


def cumulative_trapezoid(y, x=None, *, dx=1, dim=-1):
    n = y._size[wrap_dim(dim, y.ndim)]
    both = y.narrow(dim, 1, n - 1) + y.narrow(dim, 0, n - 1)
    if x is None:
        return (both * dx).cumsum(dim) / 2
    step = x.diff(dim=-1 if x.ndim == 1 else dim)
    if x.ndim == 1:
        d = wrap_dim(dim, y.ndim)
        step = step.reshape((-1,) + (1,) * (y.ndim - d - 1))
    return (both * step).cumsum(dim) / 2


composite("trapezoid", trapezoid, method=False, helper=True)
composite("cumulative_trapezoid", cumulative_trapezoid, method=False, helper=True)

# --- reductions ---


def nansum(input, dim=None, keepdim=False, *, dtype=None):
    """The sum of what is not nan."""
    if input.is_complex():
        raise DtypeUnsupported("nansum on CPU does not support complex inputs")
    x = input.masked_fill(input.isnan(), 0) if input.is_floating_point() else input
    return x.sum(dim, keepdim, dtype=dtype)


def nanmean(input, dim=None, keepdim=False, *, dtype=None):
    if not input.dtype.is_differentiable:
        raise DtypeUnsupported("nanmean(): expected input to have floating point or complex dtype "
                               f"but got {input.dtype.scalar_name}")
    counted = input.isnan().logical_not().sum(dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / counted


def count_nonzero(input, dim=None):
    return (input != 0).sum(dim)


for _name, _function in (("nansum", nansum), ("nanmean", nanmean),
                         ("count_nonzero", count_nonzero)):
    composite(_name, _function, helper=True)


def aminmax(input, *, dim=None, keepdim=False):
    """Smallest and largest element along `dim`."""
    if input.numel() == 0 and dim is None:
        raise EmptyReduction("aminmax(): cannot compute aminmax over an empty dimension as the "
                             "operation has no identity.")
    if dim is not None and input.ndim and input._size[wrap_dim(dim, input.ndim)] == 0:
        raise EmptyReductionIndex("aminmax(): Expected reduction dim "
                                  f"{wrap_dim(dim, input.ndim)} to have non-zero size.")
    where = () if dim is None else dim
    return named("aminmax")((torch.amin(input, where, keepdim),
                             torch.amax(input, where, keepdim)))


composite("aminmax", aminmax, helper=True)


def nonzero(input, *, as_tuple=False):
    """Indices of what is not zero: rows of a (count, ndim) tensor, or one vector per dimension."""
    places = np.nonzero(vector(input._array))
    if as_tuple:
        return tuple(OPERATIONS["from_array"].function(p, dt.int64) for p in places)
    rows = np.stack(places) if input.ndim else np.empty((0, len(places[0])), np.int64)
    table = OPERATIONS["from_array"].function(rows, dt.int64)
    return table.t()


composite("nonzero", nonzero, helper=True)
composite("argwhere", lambda input: nonzero(input), helper=True)


def is_same(a, b):
    return isinstance(a, Tensor) and isinstance(b, Tensor) and a._size == b._size


composite("is_same_size", is_same, helper=True)


composite("where.positions", lambda condition: nonzero(condition, as_tuple=True), method=False,
          helper=True)
composite("clamp_min", lambda input, min: FUNCTIONS["clamp"](input, min=min), helper=True)
composite("clamp_max", lambda input, max: FUNCTIONS["clamp"](input, max=max), helper=True)
composite("clamp_min_", lambda input, min: input.clamp_(min=min), helper=True)
composite("clamp_max_", lambda input, max: input.clamp_(max=max), helper=True)
