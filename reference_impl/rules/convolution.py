"""Convolution and its transpose over one, two or three dimensions.

Shapes: input (N, C, *size) or (C, *size), weight (kernels, C / groups, *kernel), of the transpose
(C, kernels / groups, *kernel), bias (kernels,).
"""

import math
import warnings

import numpy as np

from reference_impl.dtypes import c_name, from_numpy_dtype
from reference_impl.errors import (
    Argument,
    DtypeMismatch,
    NotImplementedFor,
    ShapeMismatch,
    shape_text,
)
from reference_impl.rule import OPERATIONS, rule
from reference_impl.rules.reductions import carry
from reference_impl.rules.windows import batch, fold, folded, places, several, unfold, windows
from reference_impl.unsaved import Unsaved


def edges(padding, weight_shape, stride, dilation):
    """(before, behind) of each dimension: padding is a number, one for each, "same" or "valid"."""
    count = len(weight_shape) - 2
    if not isinstance(padding, str):
        return [(p, p) for p in several(padding, count)]
    if padding not in ("same", "valid"):
        raise Argument(f"Invalid padding string: '{padding}'")
    if padding == "valid":
        return [(0, 0)] * count
    if max(several(stride, count)) > 1:
        raise Argument("padding='same' is not supported for strided convolutions")
    total = [d * (k - 1) for k, d in zip(weight_shape[2:], several(dilation, count), strict=True)]
    if any(t % 2 for t in total):
        warnings.warn("Using padding='same' with even kernel lengths and odd dilation may require a "
                      "zero-padded copy of the input be created", UserWarning, stacklevel=6)
    return [(t // 2, t - t // 2) for t in total]


def conv_places(shape, weight_shape, stride, padding, dilation):
    """Places of a convolution's windows, and the size of its output."""
    count, kernel = len(weight_shape) - 2, tuple(weight_shape[2:])
    stride, dilation = several(stride, count), several(dilation, count)
    around = edges(padding, weight_shape, stride, dilation)
    out = tuple((n + a + b - d * (k - 1) - 1) // s + 1 for n, (a, b), d, k, s in zip(
        shape[2:], around, dilation, kernel, stride, strict=True))
    return places(shape[2:], kernel, stride, [a for a, _ in around], dilation, out), out


def check_arguments(x, weight, stride, padding, dilation, groups, name, count):
    if x.ndim not in (count + 1, count + 2):
        raise ShapeMismatch(f"Expected {count + 1}D (unbatched) or {count + 2}D (batched) input to "
                            f"{name}, but got input of size: {shape_text(x.shape)}")
    if weight.ndim < 3:
        raise ShapeMismatch("weight should have at least three dimensions")
    wanted = weight.ndim - 2
    for word, value in (("stride", stride), ("padding", padding), ("dilation", dilation)):
        given = value if isinstance(value, str) else several(value, count)
        if not isinstance(value, str) and len(given) not in (1, wanted):
            raise Argument(f"expected {word} to be a single integer value or a list of {wanted} "
                           f"values to match the convolution dimensions, but got "
                           f"{word}={shape_text(given)}")
    if min(several(stride, count)) <= 0:
        raise Argument("non-positive stride is not supported")
    if not isinstance(padding, str) and min(several(padding, count)) < 0:
        raise Argument("negative padding is not supported")
    if min(several(dilation, count)) <= 0:
        raise Argument("dilation should be greater than zero")
    if groups <= 0:
        raise Argument("non-positive groups is not supported")
    if wanted != count:
        raise ShapeMismatch(f"Expected {weight.ndim}-dimensional input for {weight.ndim}-dimensional "
                            f"weight {shape_text(weight.shape)}, but got {count + 2}-dimensional "
                            f"input of size {shape_text(batch(x, count).shape)} instead")


def check_bias(given, bias, kernels):
    if bias is not None and bias.shape != (kernels,):
        raise ShapeMismatch(f"{given}, expected bias to be 1-dimensional with {kernels} elements, "
                            f"but got bias of size {shape_text(bias.shape)} instead")


def check_conv(x, weight, bias, stride, padding, dilation, groups, name, count):
    check_arguments(x, weight, stride, padding, dilation, groups, name, count)
    given = f"Given groups={groups}, weight of size {shape_text(weight.shape)}"
    if weight.shape[0] % groups or weight.shape[0] < groups:
        kind = "at least" if weight.shape[0] < groups else "divisible by"
        raise ShapeMismatch(f"Given groups={groups}, expected weight to be {kind} {groups} at "
                            f"dimension 0, but got weight of size {shape_text(weight.shape)} "
                            "instead")
    channels = x.shape[-count - 1]
    if channels != weight.shape[1] * groups:
        raise ShapeMismatch(f"{given}, expected input{shape_text(x.shape)} to have "
                            f"{weight.shape[1] * groups} channels, but got {channels} channels "
                            "instead")
    check_bias(f"Given weight of size {shape_text(weight.shape)}", bias, weight.shape[0])
    wide = [n + a + b for n, (a, b) in zip(x.shape[-count:], edges(
        padding, weight.shape, stride, dilation), strict=True)]
    reach = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], several(dilation, count),
                                             strict=True)]
    if any(n < k for n, k in zip(wide, reach, strict=True)):
        wide, reach = (" x ".join(map(str, n)) for n in (wide, reach))
        raise ShapeMismatch(f"Calculated padded input size per channel: ({wide}). Kernel size: "
                            f"({reach}). Kernel size can't be greater than actual input size")


def check_dtypes(input, weight, bias, label):
    kinds = [None if t is None else from_numpy_dtype(t.dtype) for t in (input, weight, bias)]
    if bias is not None and kinds[2] is not kinds[0]:
        raise DtypeMismatch(f"Input type ({c_name(kinds[0])}) and bias type ({c_name(kinds[2])}) "
                            "should be the same")
    if kinds[1] is not kinds[0]:
        raise DtypeMismatch(f"expected scalar type {kinds[0].scalar_name} but found "
                            f"{kinds[1].scalar_name}")
    if input.dtype == np.bool_:
        raise NotImplementedFor(f"\"{label}\" not implemented for 'Bool'")


def with_bias(y, bias):
    return y if bias is None else y + carry(bias).reshape((-1,) + (1,) * (y.ndim - 2))


def conv_vjp(ct, ins, y, stride, padding, dilation, groups):
    x, weight, bias = ins
    count = weight.ndim - 2
    shape = x.shape if x.ndim == count + 2 else (1, *x.shape)
    at, _ = conv_places(shape, weight.shape, stride, padding, dilation)
    n, kernels, outputs = shape[0], weight.shape[0], at.shape[1]
    inner = weight.shape[1] * at.shape[0]
    g = ct.reshape(n, groups, kernels // groups, outputs)
    w = weight.reshape(groups, kernels // groups, inner)
    cols = w.transpose(-2, -1).conj() @ g
    of_x = fold(cols.reshape(n, shape[1], *at.shape), at, shape).reshape(x.shape).clone()
    of_w = None
    if not isinstance(x, Unsaved):
        seen = unfold(x.reshape(shape), at).reshape(n, groups, inner, outputs)
        of_w = (g @ seen.transpose(-2, -1).conj()).sum(0).reshape(weight.shape).clone()
    of_b = None if bias is None else g.reshape(n, kernels, outputs).sum([0, 2])
    return [of_x, of_w, of_b]


def bilinear(name):
    """The jvp of something that is linear in the input, and in weight and bias."""
    def jvp(t, ins, y, **arguments):
        of = OPERATIONS[name].function
        return of(t[0], ins[1], **arguments) + of(ins[0], t[1], t[2], **arguments)
    return jvp


def convolution(count, **facts):
    name = f"conv{count}d"

    def forward(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        check_conv(input, weight, bias, stride, padding, dilation, groups, name, count)
        check_dtypes(input, weight, bias, "slow_conv2d_cpu" if count < 3 else "compute_columns3d")
        x = batch(input, count)
        at, out = conv_places(x.shape, weight.shape, stride, padding, dilation)
        cols = windows(carry(x), at, 0)
        n, kernels = x.shape[0], weight.shape[0]
        inner = weight.shape[1] * at.shape[0]
        cols = cols.reshape(n, groups, inner, at.shape[1])
        y = carry(weight).reshape(groups, kernels // groups, inner) @ cols
        y = with_bias(y.reshape(n, kernels, *out), bias)
        return y.astype(input.dtype).reshape(y.shape[count + 2 - input.ndim:])
    rule(name, forward, inputs=("input", "weight", "bias?"), vjp=conv_vjp, jvp=bilinear(name),
         method=False,
         saves={"input": ("weight",), "weight": ("input",)}, node="ConvolutionBackward0",
         layout="input format", **facts)


convolution(2)
convolution(1, helper=True)
convolution(3, helper=True)


# ── the transpose ──────────────────────────────────────────────────────────────────────────────

def transpose_places(shape, weight_shape, stride, padding, output_padding, dilation):
    """Places of the windows over the output that each input element is spread over, and its size."""
    count, kernel = len(weight_shape) - 2, tuple(weight_shape[2:])
    stride, padding, extra, dilation = (several(v, count) for v in (
        stride, padding, output_padding, dilation))
    out = tuple((n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, s, p, d, k, e in zip(
        shape[2:], stride, padding, dilation, kernel, extra, strict=True))
    if min(out) < 1:
        before, after = (" x ".join(map(str, n)) for n in (shape[2:], out))
        raise ShapeMismatch(f"Given input size per channel: ({before}). Calculated output size per "
                            f"channel: ({after}). Output size is too small")
    return places(out, kernel, stride, padding, dilation, shape[2:]), out


def check_transpose(x, weight, bias, stride, padding, output_padding, groups, dilation, name, count):
    check_arguments(x, weight, stride, padding, dilation, groups, name, count)
    if min(several(output_padding, count)) < 0:
        raise Argument("negative output_padding is not supported")
    if weight.shape[0] < groups:
        raise ShapeMismatch(f"Given groups={groups}, expected weight to be at least {groups} at "
                            f"dimension 0, but got weight of size {shape_text(weight.shape)} "
                            "instead")
    given = f"Given transposed=1, weight of size {shape_text(weight.shape)}"
    channels = x.shape[-count - 1]
    if channels != weight.shape[0]:
        raise ShapeMismatch(f"{given}, expected input{shape_text(x.shape)} to have "
                            f"{weight.shape[0]} channels, but got {channels} channels instead")
    check_bias(given, bias, weight.shape[1] * groups)
    for e, s, d in zip(*(several(v, count) for v in (output_padding, stride, dilation)),
                       strict=True):
        if e >= s and e >= d:
            raise Argument("output padding must be smaller than either stride or dilation, but got "
                           f"output_padding: {e} stride: {s} dilation: {d}")


def transpose_vjp(ct, ins, y, stride, padding, output_padding, groups, dilation):
    x, weight, bias = ins
    count = weight.ndim - 2
    shape = x.shape if x.ndim == count + 2 else (1, *x.shape)
    at, out = transpose_places(shape, weight.shape, stride, padding, output_padding, dilation)
    n, channels, inputs = shape[0], shape[1], at.shape[1]
    inner = weight.shape[1] * at.shape[0]
    g = ct.reshape(n, weight.shape[1] * groups, *out)
    seen = unfold(g, at).reshape(n, groups, inner, inputs)
    w = weight.reshape(groups, channels // groups, inner)
    of_x = (w.conj() @ seen).reshape(x.shape)
    of_w = None
    if not isinstance(x, Unsaved):
        flat = x.reshape(n, groups, channels // groups, inputs)
        of_w = (flat.conj() @ seen.transpose(-2, -1)).sum(0).reshape(weight.shape)
    of_b = None if bias is None else g.reshape(n, g.shape[1], math.prod(out)).sum([0, 2])
    return [of_x, of_w, of_b]


def transposed(count):
    name = f"conv_transpose{count}d"

    def forward(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1,
                dilation=1):
        check_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation,
                        name, count)
        check_dtypes(input, weight, bias, f"slow_conv_transpose{max(count, 2)}d_out_cpu")
        x = batch(input, count)
        at, out = transpose_places(x.shape, weight.shape, stride, padding, output_padding, dilation)
        n, channels, kernels = x.shape[0], x.shape[1], weight.shape[1] * groups
        inner = weight.shape[1] * at.shape[0]
        w = carry(weight).reshape(groups, channels // groups, inner)
        flat = carry(x).reshape(n, groups, channels // groups, at.shape[1])
        cols = np.swapaxes(w, 1, 2) @ flat
        y = folded(cols.reshape(n, kernels, *at.shape), at, (n, kernels, *out))
        y = with_bias(y, bias)
        return y.astype(input.dtype).reshape(y.shape[count + 2 - input.ndim:])
    rule(name, forward, inputs=("input", "weight", "bias?"), vjp=transpose_vjp, jvp=bilinear(name),
         method=False,
         saves={"input": ("weight",), "weight": ("input",)}, node="ConvolutionBackward0",
         layout="input format", helper=True)


for _count in (1, 2, 3):
    transposed(_count)
