"""What PyTorch's kernels give where a formula rounds, overflows or cancels before its end.

Each rule is entered by its name in the list of rules (see `conformance.oracles.divergences`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.accuracy.formats import HALVES, real_format
from conformance.oracles import steps
from conformance.oracles.numbers import as_dtype
from conformance.oracles.prediction import RULES, Prediction, rule
from conformance.oracles.steps import Machine, Number

# How far the function inside gelu may be from the exact one, in rounding units of 1. For erf in
# float32, polynomials with an absolute error are used, in ATen (Abramowitz & Stegun 7.1.26) and
# oneDNN; the other functions are within 1 ulp, the steps around them round twice more.
ERF_UNITS, UNITS = 16.0, 4.0


def _carried(p: Prediction) -> str:
    """The dtype in which a kernel computes: float32 for 16-bit floats."""
    common = p.sample.expected.common
    return "float32" if common in HALVES else common


def _up_to(p: Prediction, slack: np.ndarray) -> np.ndarray:
    """What is seen, as far as it is within `slack` of the norm; else the nearest that is."""
    with np.errstate(all="ignore"):
        off = p.comparison.observed.astype(p.norm.dtype) - p.norm
        return np.where(np.isfinite(off), p.norm + np.clip(off, -slack, slack), p.norm)


@rule
def one_plus_rounded(p: Prediction) -> np.ndarray:
    """gelu as x/2 (1 + f), f = erf or tanh rounded near -1, where no digit of 1 + f is left.

    Predicts an error of no more than f's own, times what f is multiplied by: x/2 in the value,
    ct (1/2 + |x f u'|) in the cotangent, u the argument of tanh (for erf, f' is computed apart).
    """
    x, carried = p.operand("self"), _carried(p)
    tanh = p.sample.case.args.get("approximate") == "tanh"
    units = UNITS if tanh or carried == "float64" else ERF_UNITS
    error = units * real_format(carried).unit
    if p.comparison.what == "y":
        return _up_to(p, error * np.abs(x) / 2)
    steep = 0.0
    if tanh:
        kappa, cubic = np.sqrt(2 / np.pi), 0.044715
        steep = np.abs(x * np.tanh(kappa * (x + cubic * x**3)) * kappa * (1 + 3 * cubic * x * x))
    ct = np.abs(np.asarray(p.sample.cotangents[0]).astype(x.dtype))
    return _up_to(p, error * ct * (0.5 + steep))


def _normalized(p: Prediction, unit_of_lost_rows: float) -> Any:
    """layer_norm in wide precision, rows whose variance overflows standardised to a constant."""
    args = p.sample.case.args
    given = dict(p.sample.case.operands())
    x = p.operand("input")
    axes = tuple(range(x.ndim - len(args["normalized_shape"]), x.ndim))
    weight = p.operand("weight") if "weight" in given else np.ones((), x.dtype)
    bias = p.operand("bias") if "bias" in given else np.zeros((), x.dtype)
    with np.errstate(all="ignore"):
        away = x - x.mean(axes, keepdims=True)
        largest = np.asarray(real_format(_carried(p)).max, x.dtype)
        # the sum of squares is what overflows, before it is divided
        lost = np.sum(np.square(away / np.sqrt(largest)), axes, keepdims=True) > 1
        scale = 1 / np.sqrt(np.mean(away * away, axes, keepdims=True) + args.get("eps", 1e-5))
        scale = np.where(lost, unit_of_lost_rows, scale)
        unit = np.where(lost, unit_of_lost_rows, away * scale)
        if p.comparison.what == "y":
            return unit * weight + bias
        ct = np.asarray(p.sample.cotangents[0]).astype(x.dtype)
        lead = tuple(range(x.ndim - len(axes)))
        if p.comparison.what == "ct.weight":
            return np.sum(ct * unit, lead)
        if p.comparison.what == "ct.bias":
            return np.sum(ct, lead)
        g = ct * weight
        inner = g.mean(axes, keepdims=True), (g * unit).mean(axes, keepdims=True)
        return scale * (g - inner[0] - unit * inner[1])


@rule
def lost_variance(p: Prediction) -> np.ndarray:
    """layer_norm of a row whose sum of squares overflows: every element counts as the mean."""
    return as_dtype(_normalized(p, 0.0), p.comparison.observed)


@rule
def nan_variance(p: Prediction) -> np.ndarray:
    """layer_norm of a row whose sum of squares overflows: inf * 0 makes the whole row nan."""
    return as_dtype(_normalized(p, np.nan), p.comparison.observed)


@rule
def terms_cancel(p: Prediction) -> np.ndarray:
    """layer_norm's cotangent is a difference of three terms, each of them rounded a few times."""
    if p.comparison.what != "ct.input":
        return p.norm
    args, given, x = p.sample.case.args, dict(p.sample.case.operands()), p.operand("input")
    axes = tuple(range(x.ndim - len(args["normalized_shape"]), x.ndim))
    weight = p.operand("weight") if "weight" in given else np.ones((), x.dtype)
    away = x - x.mean(axes, keepdims=True)
    scale = 1 / np.sqrt(np.mean(away * away, axes, keepdims=True) + args.get("eps", 1e-5))
    unit = np.abs(away * scale)
    g = np.abs(np.asarray(p.sample.cotangents[0]).astype(x.dtype) * weight)
    terms = g + g.mean(axes, keepdims=True) + unit * (g * unit).mean(axes, keepdims=True)
    return _up_to(p, UNITS * real_format(_carried(p)).unit * scale * terms)


@rule
def moments_cancel(p: Prediction) -> np.ndarray:
    """layer_norm's cotangent as PyTorch makes it of two sums and two saved moments.

    With g = ct * weight, s = sum(g * x), d = sum(g), and mean and r = 1 / deviation rounded to the
    dtype: r * g + b * x + c, b = (d * mean - s) * r^3 / n, c = -b * mean - d * r / n. The sum may
    be far less than its terms, and off by what each of them was rounded by; where one of them
    overflows, so does what it is added to.
    """
    if p.comparison.what != "ct.input":
        return p.norm
    args, given, x = p.sample.case.args, dict(p.sample.case.operands()), p.operand("input")
    axes = tuple(range(x.ndim - len(args["normalized_shape"]), x.ndim))
    n = int(np.prod(args["normalized_shape"]))
    weight = p.operand("weight") if "weight" in given else np.ones((), x.dtype)
    ct = np.asarray(p.sample.cotangents[0])
    carried, common = _carried(p), p.sample.expected.common
    machine = Machine(carried)
    mean, root = _moments(machine, common, machine.number(x), axes, args.get("eps", 1e-5))
    share = machine.number(1 / n)

    def combined(ct: Number, weight: Number, x: Number, mean: Number, sign: int) -> Number:
        g = ct * weight
        s, d = steps.total(g * x, axes), steps.total(g, axes)
        # compiled, the products in the differences of scalars are fused
        b = steps.fused(d, mean, sign * s) * root * root * root * share
        return root * g + b * x + sign * steps.fused(b, mean, d * root * share)

    numbers = [machine.number(a) for a in (ct, weight, x)]
    found = combined(*numbers, mean, -1).a
    # of absolute values nothing cancels: that many roundings there are, and three of r, one of mean
    size = combined(*map(abs, numbers), abs(mean), 1).a
    units = (n + 8) * real_format(carried).unit + (0 if common == carried else 4 * real_format(common).unit)
    with np.errstate(all="ignore"):
        near = _up_to(p, np.where(np.isfinite(size), units * size, 0))
    found = np.broadcast_to(found, p.norm.shape).astype(p.norm.dtype)
    return np.where(np.isfinite(found) & np.isfinite(p.norm), near, found)


def _moments(
    machine: Machine, common: str, x: Number, axes: tuple[int, ...], eps: float
) -> tuple[Number, Number]:
    """Mean and reciprocal deviation, computed in the machine's dtype and saved in the common one."""
    n = int(np.prod([x.a.shape[axis] for axis in axes]))
    mean = steps.total(x, axes) / n
    away = x - mean
    root = 1 / steps.sqrt(steps.total(away * away, axes) / n + eps)
    return tuple(machine.number(Machine(common).number(m.a).a) for m in (mean, root))


@rule
def padded_pairs(p: Prediction) -> np.ndarray:
    """conv2d by dot products of pairs of bfloat16: what has no partner is paired with zeros.

    A single input channel is read in pairs of neighbours in a row, the right one times zero; the
    last of an odd number of kernels in one of several groups is read twice, once times zero. Zero
    times an infinity or nan is nan. Else as `flushed_sum`.
    """
    found = RULES["flushed_sum"](p)
    weight, groups = p.operand("weight"), p.sample.case.args.get("groups", 1)
    kernels = weight.shape[0] // groups
    if p.comparison.what == "y" and weight.shape[1] == 1:
        marks = p.again(_right_neighbours)
    elif p.comparison.what == "ct.input" and groups > 1 and kernels % 2:

        def spoilt(name: str, a: np.ndarray) -> np.ndarray:
            last = (np.arange(len(a)) % kernels == kernels - 1).reshape(-1, 1, 1, 1)
            return np.where(last & ~np.isfinite(a), np.nan, a) if name == "weight" else a

        marks = p.again(spoilt)
    else:
        return found
    return np.where(np.isnan(marks), np.nan, found).astype(found.dtype)


def _right_neighbours(name: str, a: np.ndarray) -> np.ndarray:
    """Operands of a convolution that is nan where a tap's right neighbour is no finite number."""
    if name != "input":
        return np.ones_like(a)
    right = np.concatenate([a[..., 1:], np.zeros_like(a[..., :1])], axis=-1)
    return np.where(np.isfinite(right), 0, np.nan).astype(a.dtype)


@rule
def quotients_cancel(p: Prediction) -> np.ndarray:
    """The derivative of a product's cotangent ct * y / x, where no element is zero.

    Element j adds ct * y * v_i / (x_i * x_j) over all i, and takes ct * y * v_j / x_j^2, which is
    the term of i = j, away again: off by what these terms are rounded by, large as they may be.
    """
    x, args = p.operand("self"), p.sample.case.args
    if p.comparison.what != "second.self" or (x == 0).any() or not x.ndim:
        return p.norm
    dim = args["dim"]

    def back(a: Any) -> np.ndarray:
        wide = np.asarray(a).astype(x.dtype)
        return wide if args.get("keepdim") else np.expand_dims(wide, dim)

    y, ct = back(p.sample.expected.outputs[0]), back(p.sample.cotangents[0])
    quotients = np.abs(np.asarray(p.sample.second[0]).astype(x.dtype) / x)
    terms = np.abs(ct * y / x) * (np.sum(quotients, dim, keepdims=True) + quotients)
    return _up_to(p, (x.shape[dim] + UNITS) * real_format(p.sample.expected.common).unit * terms)


@rule
def times_complex_alpha(p: Prediction) -> np.ndarray:
    """self + (alpha + 0j) * other, a product of complex numbers: its zero spoils infinities."""
    x, y = p.operand("self"), p.operand("other")
    if x.dtype.kind != "c":
        return p.norm
    alpha = p.sample.case.args.get("alpha", 1) * (-1 if p.ctx.op.name == "sub" else 1)
    x, y = np.broadcast_arrays(x, y)
    found = np.empty(x.shape, x.dtype)
    with np.errstate(all="ignore"):
        found.real = x.real + (alpha * y.real - 0.0 * y.imag)
        found.imag = x.imag + (alpha * y.imag + 0.0 * y.real)
    return as_dtype(found, p.comparison.observed)


@rule
def plain_zero(p: Prediction) -> np.ndarray:
    """A zero without sign, although the result could be represented."""
    return np.zeros(p.norm.shape, p.norm.dtype)


def _summed_labels(p: Prediction) -> str | None:
    """einsum: the labels over which its only operand is summed; None for several operands."""
    labels, _, out = p.sample.case.args["equation"].partition("->")
    if "," in labels:
        return None
    if "->" not in p.sample.case.args["equation"]:
        out = "".join(c for c in labels if labels.count(c) == 1)
    return "".join(sorted(set(labels) - set(out)))


@rule
def view_of_operand(p: Prediction) -> str:
    """einsum of one operand: without a sum, a permutation or diagonal of its own memory."""
    return "tensors.0" if _summed_labels(p) == "" else p.norm


@rule
def sums_in_int64(p: Prediction) -> Any:
    """einsum of one operand of integers: the sum is that of torch.sum, which is int64."""
    x = p.sample.case.args["tensors"][0].data
    if x.dtype.kind not in "iu" or not _summed_labels(p) or not p.comparison.what.startswith("y"):
        return p.norm
    if p.comparison.is_fact:
        return "int64"
    return np.einsum(p.sample.case.args["equation"], x.astype(np.int64))
