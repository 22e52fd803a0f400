"""Reductions, scans and selection along dimensions: torch's reduction chapter.

Shapes: self (..., n, ...); dim names the reduced dimensions, negative ones count from the end,
None and [] mean all of them; keepdim keeps a reduced dimension with size 1. A 0-dim tensor
counts as one with a single dimension, as in torch. 16-bit floats are carried in float32 and
rounded once at the end. Every forward also runs on object arrays.
"""

import ml_dtypes
import numpy as np

import reference_impl as torch
from reference_impl import dtypes as dt
from reference_impl.errors import (
    DtypeUnsupported,
    EmptyReduction,
    EmptyReductionIndex,
    NotImplementedFor,
)
from reference_impl.geometry import wrap_dim, wrap_dims
from reference_impl.rule import rule

NARROW = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


def numbered(word):
    """Node names: torch's reduction over given dims is another overload than that of everything."""
    return lambda dim, **arguments: f"{word}Backward{int(dim is not None)}"


def carry(x):
    """`x` in the dtype that sums are carried in."""
    return x.astype(np.float32) if x.dtype in NARROW else x


def all_dims(dim, ndim):
    """The reduced dimensions as a tuple, counted from the front; None and () mean all.

    Raises DimOutOfRange, DimRepeated.
    """
    dims = wrap_dims(dim, ndim)
    return dims if ndim else ()     # NumPy knows no dimension 0 of a 0-dim array


def count(shape, dim):
    """How many elements are reduced into one."""
    n = 1
    for d in all_dims(dim, len(shape)):
        n *= shape[d]
    return n


def kept(t, shape, dim, keepdim):
    """The reduced tensor `t` with its reduced dimensions back, as size 1."""
    if keepdim:
        return t
    for d in sorted(all_dims(dim, len(shape))):
        t = t.unsqueeze(d)
    return t


def spread(t, shape, dim, keepdim):
    """The reduced tensor `t` repeated to the shape it was reduced from."""
    return (t if dim is None and not keepdim else kept(t, shape, dim, keepdim)).expand(shape)


def arange(n):
    """The int64 Tensor 0, 1, …, n - 1."""
    return torch.from_numpy(np.arange(n, dtype=np.int64))


def positions(size, dim, shape):
    """0, 1, … along `dim`, shaped to broadcast against `shape`."""
    wide = [1] * len(shape)
    if shape:
        wide[dim] = size
    return arange(size).reshape(wide)


def picked(t, at, dim, keepdim):
    """Of `t` the element at the index `at` along `dim`; the adjoint of `to_index`."""
    if not t.ndim:
        return t
    got = t.gather(dim, kept(at, t.shape, dim, keepdim))
    return got if keepdim else got.squeeze(dim)


def flip(t, dim):
    """`t` in reverse order along `dim`."""
    if not t.ndim:
        return t
    return t.index_select(dim, torch.from_numpy(np.arange(t.shape[dim])[::-1].copy()))


def need_float(x, message):
    if x.dtype.kind in "biu":
        raise DtypeUnsupported(message)


# ── sums and products ──────────────────────────────────────────────────────────────────────────

def total(x, axes, keepdim):
    """Sum as an array: of objects NumPy returns the bare object."""
    carried = carry(x)
    return np.asarray(np.sum(carried, axis=axes, keepdims=keepdim),
                      object if x.dtype == object else None)


def _sum(self, dim=None, keepdim=False, *, dtype=None):
    axes = all_dims(dim, self.ndim)
    return total(self, axes, keepdim).astype(self.dtype)


rule("sum", _sum, inputs=("self",), promote="sum", jvp="linear", node=numbered("Sum"),
     vjp=lambda ct, ins, y, dim, keepdim, dtype: [spread(ct, ins[0].shape, dim, keepdim)])


def _mean(self, dim=None, keepdim=False, *, dtype=None):
    what = "Input" if dtype is None else "Optional"
    self = self if dtype is None else self.astype(dtype.np)
    need_float(self, f"mean(): could not infer output dtype. {what} dtype must be either a floating "
                     f"point or complex dtype. Got: {dt.BY_NUMPY[self.dtype].scalar_name}")
    axes = all_dims(dim, self.ndim)
    added = total(self, axes, keepdim)
    n = count(self.shape, axes)
    mean = added / (n if added.dtype == object else added.dtype.type(n))
    return np.asarray(mean, self.dtype)


rule("mean", _mean, inputs=("self",), jvp="linear", node=numbered("Mean"),
     vjp=lambda ct, ins, y, dim, keepdim, dtype: [
         spread(ct, ins[0].shape, dim, keepdim) / count(ins[0].shape, dim)])


def _prod(self, dim=None, keepdim=False, *, dtype=None):
    axes = all_dims(dim if dim is None else wrap_dim(dim, self.ndim), self.ndim)
    return np.prod(carry(self), axis=axes, keepdims=keepdim).astype(self.dtype)


def _before(x, dim):
    """Product of all elements before each one along `dim`, by doubling."""
    n = x.shape[dim]
    out = torch.cat([torch.ones_like(x.narrow(dim, 0, 1)), x.narrow(dim, 0, n - 1)], dim)
    step = 1
    while step < n:
        head = out.narrow(dim, 0, step)
        out = torch.cat([head, out.narrow(dim, step, n - step) * out.narrow(dim, 0, n - step)],
                        dim)
        step *= 2
    return out


def _prod_vjp(ct, ins, y, dim, keepdim, dtype):
    # not ct * y / x: that is 0/0 where x is zero, and wrong where y over- or underflows
    x = ins[0]
    if not x.ndim:
        return [ct]
    return [spread(ct, x.shape, dim, keepdim) * products_of_others(x, dim).conj()]


def _prod_jvp(t, ins, y, dim, keepdim, dtype):
    x, t = ins[0].to(y.dtype), t[0].to(y.dtype)
    return (t * products_of_others(x, dim)).sum(dim, keepdim) if x.ndim else t


def products_of_others(x, dim):
    """Product of all elements but each one along `dim`, or of all of x for None."""
    if not x.numel():
        return x
    if dim is None:
        return products_of_others(x.reshape(-1), 0).reshape(x.shape)
    return _before(x, dim) * flip(_before(flip(x, dim), dim), dim)


rule("prod", _prod, inputs=("self",), promote="sum", vjp=_prod_vjp, jvp=_prod_jvp,
     node=numbered("Prod"),
     saves={"self": ("self", "result")})


def _cumsum(self, dim, *, dtype=None):
    dim = wrap_dim(dim, self.ndim)
    if not self.ndim:
        return self.copy()
    return np.cumsum(carry(self), axis=dim).astype(self.dtype)


rule("cumsum", _cumsum, inputs=("self",), promote="sum", jvp="linear", inplace=True,
     vjp=lambda ct, ins, y, dim, dtype: [flip(flip(ct, dim).cumsum(dim), dim)])


# ── extrema ────────────────────────────────────────────────────────────────────────────────────

def _ordered(x, name):
    if x.dtype.kind == "c":
        raise NotImplementedFor(f'"{name}_values_cpu" not implemented for complex numbers')
    return carry(x)     # comparisons are exact in float32, and NumPy knows its nan


def _not_empty(shape, axes, name, whole):
    if whole and 0 in shape:
        raise EmptyReduction(f"{name}(): Expected reduction dim to be specified for input.numel() "
                             "== 0. Specify the reduction dim with the 'dim' argument.")
    for d in axes:
        if shape and shape[d] == 0:
            raise EmptyReductionIndex(
                f"{name}(): Expected reduction dim {d} to have non-zero size.")


def _extremum(name, ufunc):
    def forward(self, dim=(), keepdim=False):
        axes = all_dims(dim, self.ndim)
        whole = dim is None or not isinstance(dim, int) and len(dim) == 0
        _not_empty(self.shape, axes, name, whole)
        return ufunc.reduce(_ordered(self, name[1:]), axis=axes,
                            keepdims=keepdim).astype(self.dtype)
    return forward


def _even_share(ct, ins, y, dim, keepdim):
    """Ties share the cotangent evenly (torch.amax documents it)."""
    x = ins[0]
    hit = (x == kept(y, x.shape, dim, keepdim)).to(ct.dtype)
    share = kept(ct, x.shape, dim, keepdim) / hit.sum(all_dims(dim, x.ndim), True)
    return [share * hit]


def _even_mean(t, ins, y, dim, keepdim):
    """The mean of the tangents of all elements that tie."""
    x, dims = ins[0], all_dims(dim, ins[0].ndim)
    hit = x == kept(y, x.shape, dim, keepdim)
    total = torch.where(hit, t[0], torch.zeros_like(t[0])).sum(dims, keepdim)
    return total / hit.sum(dims, keepdim)


for _name, _ufunc in (("amax", np.maximum), ("amin", np.minimum)):
    rule(_name, _extremum(_name, _ufunc), inputs=("self",), vjp=_even_share, jvp=_even_mean,
         saves={"self": ("self", "result")})


def _arg(name, x, dim):
    """Index of the first extremum along `dim`; nan counts as the extremum, both ways."""
    pick = np.argmax if name.endswith("max") else np.argmin
    return pick(_ordered(x, name), axis=dim).astype(np.int64)


def _values_and_indices(name):
    def forward(self, dim, keepdim=False):
        if self.dtype.kind == "c":
            raise DtypeUnsupported(f"{name}(): does not support complex input")
        dim = wrap_dim(dim, self.ndim)
        _not_empty(self.shape, (dim,), name, False)
        if not self.ndim:
            return self.copy(), np.zeros((), np.int64)
        at = np.expand_dims(_arg(name, self, dim), dim)
        values = np.take_along_axis(self, at, dim)
        return (values, at) if keepdim else (values.squeeze(dim), at.squeeze(dim))
    return forward


def to_index(ct, at, shape, dim, keepdim):
    """Zeros of `shape` with `ct` at the index `at` along `dim`."""
    if not shape:
        return ct
    ct, at = kept(ct, shape, dim, keepdim), kept(at, shape, dim, keepdim)
    return torch.where(positions(shape[dim], dim, shape) == at, ct, torch.zeros_like(ct))


for _name in ("max", "min"):
    rule(f"{_name}.dim", _values_and_indices(_name), inputs=("self",),
         vjp=lambda ct, ins, y, dim, keepdim: [
             to_index(ct[0], y[1], ins[0].shape, dim, keepdim)],
         jvp=lambda t, ins, y, dim, keepdim: (picked(t[0], y[1], dim, keepdim), None),
         saves={"self": ("result.1",)}, differentiable=(0,))


def _index_of(name):
    def forward(self, dim=None, keepdim=False):
        for kind, what in (("b", "bool"), ("c", "complex")):
            if self.dtype.kind == kind:
                raise DtypeUnsupported(f"{name}(): does not support {what} input")
        if dim is None:
            if not self.size:
                raise EmptyReductionIndex(f"{name}(): Expected reduction dim to be specified for "
                                          "input.numel() == 0.")
            at = _arg(name, self.reshape(-1), 0)
            return at.reshape((1,) * self.ndim) if keepdim else at
        dim = wrap_dim(dim, self.ndim)
        _not_empty(self.shape, (dim,), name, False)
        at = _arg(name, self.reshape(self.shape or (1,)), dim)
        return np.expand_dims(at, dim) if keepdim and self.ndim else at
    return forward


for _name in ("argmax", "argmin"):
    rule(_name, _index_of(_name), inputs=("self",))


# ── truth ──────────────────────────────────────────────────────────────────────────────────────

def _truth(ufunc):
    def forward(self, dim=None, keepdim=False):
        # torch's dims overload differs here from its siblings: an empty list reduces nothing
        axes = () if isinstance(dim, (list, tuple)) and not dim else all_dims(dim, self.ndim)
        found = ufunc.reduce(carry(self) != 0, axis=axes, keepdims=keepdim)
        return found.astype(np.uint8 if self.dtype == np.uint8 else np.bool_)
    return forward


for _name, _ufunc in (("all", np.logical_and), ("any", np.logical_or)):
    rule(_name, _truth(_ufunc), inputs=("self",))


def _logsumexp(self, dim, keepdim=False):
    axes, x = all_dims(dim, self.ndim), carry(self)
    # the shift keeps exp in range; none where the maximum is infinite (inf - inf) or missing
    real = x.real if x.dtype.kind == "c" else x
    if x.dtype == object or count(x.shape, axes) == 0:
        top = np.zeros((), x.dtype)
    else:
        top = np.max(real, axis=axes, keepdims=True)
        top = np.where(np.isinf(top), np.zeros_like(top), top)
    total = np.log(np.sum(np.exp(x - top), axis=axes, keepdims=True)) + top
    out = total if keepdim else total.squeeze(axes)
    return out.astype(self.dtype)


rule("logsumexp", _logsumexp, inputs=("self",), promote="float", layout="contiguous",
     numbers=False,
     vjp=lambda ct, ins, y, dim, keepdim: [
         kept(ct, ins[0].shape, dim, keepdim)
         * (ins[0] - kept(y, ins[0].shape, dim, keepdim)).exp().conj()],
     jvp=lambda t, ins, y, dim, keepdim: (
         t[0] * (ins[0] - kept(y, ins[0].shape, dim, keepdim)).exp()).sum(
             all_dims(dim, ins[0].ndim), keepdim),
     saves={"self": ("self", "result")})
