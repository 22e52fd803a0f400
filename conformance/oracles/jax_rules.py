"""Predictions of what XLA's code for the processor does where jax leaves it to XLA."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from conformance.accuracy.formats import np_dtype, real_format
from conformance.oracles.numbers import as_dtype, judge_of
from conformance.oracles.prediction import Prediction, complex_of, flushed, rule

BLOCK = 16


@rule
def blocks_of_sixteen(p: Prediction) -> np.ndarray:
    """Running sums, each rounded to the dtype: inside blocks of 16, and over the blocks' totals.

    XLA writes a long reduce-window as a tree of such blocks.
    """
    common = p.sample.expected.common
    dim = p.sample.case.args["dim"]
    x = p.operand("self")
    if not x.ndim or not x.size:
        return p.norm
    with np.errstate(all="ignore"):
        found = _running(np.moveaxis(x, dim, -1).astype(np_dtype(common)))
    return as_dtype(np.moveaxis(found, -1, dim).astype(p.norm.dtype), p.comparison.observed)


def _running(x: np.ndarray) -> np.ndarray:
    """Running sums along the last axis."""
    length = x.shape[-1]
    if length <= BLOCK:
        found = x.copy()
        for place in range(1, length):
            found[..., place] = (found[..., place - 1] + x[..., place]).astype(x.dtype)
        return found
    missing = -length % BLOCK
    padded = np.concatenate([x, np.zeros((*x.shape[:-1], missing), x.dtype)], axis=-1)
    inner = _running(padded.reshape(*x.shape[:-1], -1, BLOCK))
    before = _running(inner[..., -1])[..., :-1]
    before = np.concatenate([np.zeros((*before.shape[:-1], 1), x.dtype), before], axis=-1)
    return (inner + before[..., None]).astype(x.dtype).reshape(padded.shape)[..., :length]


@rule
def deviations_overflow(p: Prediction) -> np.ndarray:
    """The variance's cotangent ct / n * (2 * deviation), less its mean, which is zero.

    Where a doubled deviation overflows, or what is above zero adds up to an overflow, the sum
    meets infinities: they, or nan, are what every element of the slice is left with.
    """
    x, args = p.operand("self"), p.sample.case.args
    if p.comparison.what != "ct.self" or x.dtype.kind != "f" or not x.size:
        return p.norm
    axes = tuple(args["dim"]) if args.get("dim") else tuple(range(x.ndim))
    ct = np.asarray(p.sample.cotangents[0]).astype(x.dtype)
    if not args.get("keepdim"):
        ct = np.expand_dims(ct, tuple(axis % max(x.ndim, 1) for axis in axes)) if x.ndim else ct
    correction = args.get("correction")
    freedom = x.size // max(ct.size, 1) - (1 if correction is None else correction)
    largest = real_format(p.sample.expected.common).max
    with np.errstate(all="ignore"):
        doubled = 2 * (x - x.mean(axes, keepdims=True))
        above = np.sum(np.maximum(ct / freedom * doubled, 0), axes, keepdims=True)
        twice = np.any(np.abs(doubled) > largest, axes, keepdims=True)
        lost = np.broadcast_to((above >= largest) | twice, x.shape)
    seen = p.comparison.observed.astype(p.norm.dtype)
    return np.where(lost & ~np.isfinite(seen), seen, p.norm)


@rule
def exponentials_overflow(p: Prediction) -> np.ndarray:
    """logsumexp's cotangent where the maximum is infinite: nothing is taken from the exponents.

    exp(x) / sum(exp(x)) is inf / inf where exp(x) overflows, large numbers beside the infinite.
    """
    x, dim = p.operand("self"), p.sample.case.args["dim"]
    if p.comparison.what != "ct.self" or not x.size:
        return p.norm
    axes = tuple(range(x.ndim)) if dim == [] else tuple(dim) if isinstance(dim, list) else (dim,)
    with np.errstate(all="ignore"):
        top = np.max(x, axis=axes, keepdims=True) if x.ndim else x
        lost = np.isinf(top) & (np.exp(x) > real_format(p.sample.expected.common).max)
    return np.where(lost, np.nan, p.norm).astype(p.norm.dtype)


@rule
def window_restarts_at_nan(p: Prediction) -> np.ndarray:
    """Max pooling's cotangent: a candidate stays while it is >= the next, which a nan never is.

    Subnormal numbers are compared as zeros.
    So nan takes the place of what came before it in its window, and gives it up to what follows,
    be it the padding, which counts as -inf and loses the cotangent.
    """
    x, args, common = p.operand("self"), p.sample.case.args, p.sample.expected.common
    if p.comparison.what != "ct.self" or not x.size:
        return p.norm
    kernel, stride = _pair(args["kernel_size"]), _pair(args.get("stride") or args["kernel_size"])
    padding, dilation = _pair(args.get("padding", 0)), _pair(args.get("dilation", 1))
    ct = np.asarray(p.sample.cotangents[0]).astype(x.dtype)
    x = flushed(x, _least(common))
    found = np.zeros(x.shape, x.dtype)
    for place in np.ndindex(ct.shape):
        *lead, row, column = place
        chosen: Any = None
        best = x.dtype.type(np.nan)
        for i, j in itertools.product(range(kernel[0]), range(kernel[1])):
            at = (
                *lead,
                row * stride[0] - padding[0] + i * dilation[0],
                column * stride[1] - padding[1] + j * dilation[1],
            )
            inside = 0 <= at[-2] < x.shape[-2] and 0 <= at[-1] < x.shape[-1]
            value = x[at] if inside else x.dtype.type(-np.inf)
            if not best >= value:
                best, chosen = value, at if inside else None
        if chosen is not None:
            found[chosen] += ct[place]
    return as_dtype(found, p.comparison.observed)


@rule
def flushed_extreme(p: Prediction) -> np.ndarray:
    """The largest of numbers of which subnormal ones are zeros; which of equal zeros is open."""
    tiny = _least(p.sample.expected.common)
    found = flushed(p.again(lambda name, a: flushed(a, tiny)), tiny)
    seen = p.comparison.observed.astype(found.dtype)
    return np.where((found == 0) & (seen == 0), seen, found)


def _least(dtype: str) -> float:
    """Below what a number counts as zero: float16's subnormal numbers are normal in float32."""
    return 0.0 if dtype == "float16" else real_format(dtype).tiny


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, (list, tuple)):
        return (value[0], value[-1])
    return (value, value)


@rule
def flushed_terms(p: Prediction) -> np.ndarray:
    """Off by at most four of the smallest normal numbers: terms of a product that count as zeros.

    Which terms do depends on how the product is written: an interval, not a number.
    """
    limit = 4 * real_format(p.sample.expected.common).tiny
    got = p.comparison.observed.astype(p.norm.dtype)
    with np.errstate(all="ignore"):
        near = (np.abs(got.real - p.norm.real) <= limit) & (
            np.abs(got.imag - p.norm.imag) <= limit
        )
    return np.where(near, got, p.norm)


@rule
def flushed_sum(p: Prediction) -> np.ndarray:
    """A sum of products in which subnormal numbers count as zeros wherever they occur.

    Subnormal operands make a number; products and partial sums that are flushed, each less than
    the smallest normal number away, an interval around it.
    """
    tiny = real_format(p.sample.expected.common).tiny
    key = {"y": "value", "ct": "vjp"}[p.comparison.what.partition(".")[0]]
    room = 2 * judge_of(p.ctx, p.sample, key).terms(p.place()) * tiny
    found = p.again(lambda name, a: flushed(a, tiny))
    got = p.comparison.observed.astype(found.dtype)
    with np.errstate(all="ignore"):
        off = got - found
        near = (np.abs(off.real) <= room) & (np.abs(off.imag) <= room)
    return np.where(near, got, found)


@rule
def other_side_of_cut(p: Prediction) -> np.ndarray:
    """The result on the other side of a branch cut: a zero imaginary part has the other sign."""

    def crossed(name: str, a: np.ndarray) -> np.ndarray:
        if a.dtype.kind != "c" or name in ("ct", "second"):
            return a
        return complex_of(a.real, np.where(a.imag == 0, -a.imag, a.imag), a.dtype)

    return p.again(crossed)


@rule
def difference_of_exponentials(p: Prediction) -> np.ndarray:
    """Off by a few rounding units of exp(|Re z|) / 2, the size of the terms that cancel.

    Which of them depends on the rounding of each term: an interval, not a number.
    """
    size = np.cosh(p.operand("self").real) * 4 * real_format(p.sample.expected.common).unit
    if p.comparison.what != "y":
        size = size * np.abs(np.asarray(p.sample.cotangents[0]).astype(np.complex128)) * 2
    got = p.comparison.observed.astype(p.norm.dtype)
    with np.errstate(all="ignore"):
        near = (np.abs(got.real - p.norm.real) <= size) & (np.abs(got.imag - p.norm.imag) <= size)
    return np.where(near, got, p.norm)


@rule
def int32_result(p: Prediction) -> str:
    """The result is int32."""
    return "int32"


@rule
def first_dtype(p: Prediction) -> str:
    """The dtype of the first operand."""
    return p.sample.case.dtypes[0]


@rule
def six_squarings(p: Prediction) -> np.ndarray:
    """Integer powers by six squarings: the exponent's lowest six bits, products that wrap."""
    case, dtype = p.sample.case, p.comparison.observed.dtype
    if dtype.kind not in "iu":
        return p.norm
    given = [case.args[a.name] for a in p.ctx.op.parsed.arguments[:2]]
    base, power = (np.asarray(getattr(v, "data", v)).astype(dtype) for v in given)
    base, power = np.broadcast_arrays(base, power)
    found = np.where((base == 0) & (power != 0), 0, 1).astype(dtype)
    for bit in range(6):
        found = np.where((power >> bit) & 1, found * base, found).astype(dtype)
        base = (base * base).astype(dtype)
    return found
