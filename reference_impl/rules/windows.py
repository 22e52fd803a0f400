"""Functions of sliding windows: convolution and pooling of images.

Shapes: input (N, C, H, W) or (C, H, W). A window is a set of places in one flattened image of
H*W elements, so that "which elements does output o see" is one integer array, and taking windows
apart and adding them up again are index_select and scatter_add.
"""

import numpy as np

import reference_impl as torch
from reference_impl.errors import Argument, NotImplementedFor, ShapeMismatch, shape_text
from reference_impl.rule import rule
from reference_impl.rules.linalg import same_dtype
from reference_impl.rules.nn import only_floats
from reference_impl.rules.reductions import carry
from reference_impl.unsaved import Unsaved


def pair(value):
    """(height, width) of an argument given as one number, a list of one, or a list of two."""
    if isinstance(value, int):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else tuple(value)


def places(size, kernel, stride, padding, dilation, out):
    """Place in the flattened image of every window element: int64, (kernel, outputs).

    size, kernel, …, out: (height, width). Where a window hangs over the edge the place is H*W.
    """
    rows, columns = (
        (np.arange(k) * d)[:, None] + np.arange(o) * s - p
        for k, s, p, d, o in zip(kernel, stride, padding, dilation, out, strict=True))
    rows, columns = rows[:, None, :, None], columns[None, :, None, :]
    height, width = size
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    at = np.where(inside, rows * width + columns, height * width)
    return at.reshape(kernel[0] * kernel[1], out[0] * out[1])


def windows(x, at, edge):
    """x (N, C, H, W) -> (N, C, kernel, outputs), with `edge` beyond the border; ndarrays."""
    n, c, h, w = x.shape
    flat = np.concatenate([x.reshape(n, c, h * w), np.full((n, c, 1), edge, x.dtype)], axis=2)
    return flat[:, :, at]


def unfold(x, at):
    """The same on Tensors, with zeros beyond the border."""
    n, c, h, w = x.shape
    flat = torch.cat([x.reshape(n, c, h * w), torch.zeros(n, c, 1, dtype=x.dtype)], 2)
    return flat.index_select(2, torch.from_numpy(at.reshape(-1))).reshape(n, c, *at.shape)


def fold(cols, at, shape):
    """Adds windows (N, C, kernel, outputs) up into an image of `shape`; the adjoint of unfold."""
    n, c, h, w = shape
    index = torch.from_numpy(at.reshape(1, 1, -1)).expand(n, c, at.size)
    flat = torch.zeros(n, c, h * w + 1, dtype=cols.dtype)
    flat = flat.scatter_add(2, index, cols.reshape(n, c, at.size))
    return flat.narrow(2, 0, h * w).reshape(shape)


def four(x):
    """(C, H, W) as a batch of one."""
    return x if x.ndim == 4 else x.reshape(1, *x.shape)


# ── convolution ────────────────────────────────────────────────────────────────────────────────

def _conv_places(shape, weight_shape, stride, padding, dilation):
    """Places of a convolution's windows, and the output's (height, width)."""
    kernel, stride, dilation = tuple(weight_shape[2:]), pair(stride), pair(dilation)
    padding = pair(padding)
    out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip(
        shape[2:], padding, dilation, kernel, stride, strict=True))
    return places(shape[2:], kernel, stride, padding, dilation, out), out


def _check_conv(x, weight, bias, stride, padding, dilation, groups):
    if weight.ndim != 4:
        raise ShapeMismatch(f"weight should have 4 dimensions, but got {shape_text(weight.shape)}")
    if x.ndim not in (3, 4):
        raise ShapeMismatch("Expected 3D (unbatched) or 4D (batched) input to conv2d, but got "
                            f"input of size: {shape_text(x.shape)}")
    if min(pair(stride)) <= 0:
        raise Argument("non-positive stride is not supported")
    if min(pair(padding)) < 0:
        raise Argument("negative padding is not supported")
    if min(pair(dilation)) <= 0:
        raise Argument("dilation should be greater than zero")
    if groups <= 0:
        raise Argument("non-positive groups is not supported")
    given = f"Given groups={groups}, weight of size {shape_text(weight.shape)}"
    if weight.shape[0] % groups or weight.shape[0] < groups:
        raise ShapeMismatch(f"{given}: expected weight to be divisible by {groups} at dimension 0")
    channels = x.shape[-3]
    if channels != weight.shape[1] * groups:
        raise ShapeMismatch(f"{given}, expected input{shape_text(x.shape)} to have "
                            f"{weight.shape[1] * groups} channels, but got {channels} channels "
                            "instead")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeMismatch(f"Given weight of size {shape_text(weight.shape)}, expected bias to be "
                            f"1-dimensional with {weight.shape[0]} elements, but got bias of size "
                            f"{shape_text(bias.shape)} instead")
    wide = [n + 2 * p for n, p in zip(x.shape[-2:], pair(padding), strict=True)]
    reach = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], pair(dilation), strict=True)]
    if any(n < k for n, k in zip(wide, reach, strict=True)):
        raise ShapeMismatch(f"Calculated padded input size per channel: ({wide[0]} x {wide[1]}). "
                            f"Kernel size: ({reach[0]} x {reach[1]}). Kernel size can't be greater "
                            "than actual input size")


def _conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    _check_conv(input, weight, bias, stride, padding, dilation, groups)
    for t in (weight, bias):
        if t is not None:
            same_dtype("conv2d", input, t)
    if input.dtype == np.bool_:
        raise NotImplementedFor("\"slow_conv2d_cpu\" not implemented for 'Bool'")
    x = four(input)
    at, out = _conv_places(x.shape, weight.shape, stride, padding, dilation)
    cols = windows(carry(x), at, 0)
    n, kernels = x.shape[0], weight.shape[0]
    inner = weight.shape[1] * at.shape[0]
    cols = cols.reshape(n, groups, inner, at.shape[1])
    y = carry(weight).reshape(groups, kernels // groups, inner) @ cols
    y = y.reshape(n, kernels, *out)
    if bias is not None:
        y = y + carry(bias)[:, None, None]
    return y.astype(input.dtype).reshape(y.shape[4 - input.ndim:])


def _conv2d_vjp(ct, ins, y, stride, padding, dilation, groups):
    x, weight, bias = ins
    shape = x.shape if x.ndim == 4 else (1, *x.shape)
    at, _ = _conv_places(shape, weight.shape, stride, padding, dilation)
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


def _conv2d_jvp(t, ins, y, **arguments):
    x, weight, _ = ins
    return torch.conv2d(t[0], weight, **arguments) + torch.conv2d(x, t[1], t[2], **arguments)


rule("conv2d", _conv2d, inputs=("input", "weight", "bias?"), vjp=_conv2d_vjp, jvp=_conv2d_jvp,
     method=False,
     saves={"input": ("weight",), "weight": ("input",)}, node="ConvolutionBackward0")


# ── pooling ────────────────────────────────────────────────────────────────────────────────────

def _pool_size(n, k, s, p, d, ceil_mode):
    """Outputs along one dimension; with ceil_mode the last window must begin inside."""
    span = n + 2 * p - d * (k - 1) - 1
    out = -(-span // s) + 1 if ceil_mode else span // s + 1
    if ceil_mode and (out - 1) * s >= n + p:
        out -= 1
    return out


def _pool(name, shape, kernel_size, stride, padding, dilation, ceil_mode):
    """Places of a pooling's windows, and the output's (height, width)."""
    if len(shape) not in (3, 4) or 0 in shape[-3:]:
        raise ShapeMismatch(f"{name}: Expected 3D or 4D (batch mode) tensor with optional 0 dim "
                            f"batch size for input, but got: {shape_text(shape)}")
    kernel, padding, dilation = pair(kernel_size), pair(padding), pair(dilation)
    stride = kernel if stride is None or stride in ([], ()) else pair(stride)
    if min(kernel) <= 0:
        raise Argument(f"{name}: kernel size should be greater than zero, but got {kernel}")
    if min(stride) <= 0:
        raise Argument(f"{name}: stride should not be zero")
    for k, p, d in zip(kernel, padding, dilation, strict=True):
        if p < 0 or p > (d * (k - 1) + 1) // 2:
            raise Argument(f"{name}: pad should be non-negative and at most half of effective "
                           f"kernel size, but got pad={p}, kernel_size={k} and dilation={d}")
    out = tuple(_pool_size(*one, ceil_mode) for one in zip(
        shape[-2:], kernel, stride, padding, dilation, strict=True))
    if min(out) < 1:
        raise ShapeMismatch(f"{name}: Given input size {shape_text(shape)}, the output size would "
                            f"be {out[0]}x{out[1]}. Output size is too small")
    return places(shape[-2:], kernel, stride, padding, dilation, out), out


def _max_pool2d(self, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False):
    only_floats("max_pool2d", self, also="iu")
    at, out = _pool("max_pool2d", self.shape, kernel_size, stride, padding, dilation, ceil_mode)
    x = carry(self)
    lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    x = four(x)
    cols = windows(x, at, lowest)
    # not the value of np.max: which of two equal zeros that gives depends on its vectors
    y = np.take_along_axis(cols, _best(cols, _inside(x, at))[:, :, None], axis=2)
    return y.astype(self.dtype).reshape(*self.shape[:-2], *out)


def _inside(x, at):
    """Which elements of the windows lie in the image, not in its padding: (taps, outputs)."""
    return at < x.shape[2] * x.shape[3]


def _best(cols, inside):
    """Place in each window (N, C, taps, outputs) of its maximum: the first, or the last nan."""
    # a window of nothing but -inf chooses its first element inside the image
    best = np.argmax(np.where(cols == np.max(cols, 2, keepdims=True), 1 + inside, 0), axis=2)
    nan = np.isnan(cols)
    last = cols.shape[2] - 1 - np.argmax(nan[:, :, ::-1], axis=2)
    return np.where(nan.any(2), last, best)


def _chosen(x, at):
    """Place in the image of each window's maximum: (N, C, outputs)."""
    best = _best(windows(x, at, -np.inf), _inside(x, at))
    return at[best, np.arange(at.shape[1])]


def _max_pool2d_vjp(ct, ins, y, kernel_size, stride, padding, dilation, ceil_mode):
    x = ins[0]
    shape = x.shape if x.ndim == 4 else (1, *x.shape)
    at, _ = _pool("max_pool2d", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    place = torch.from_numpy(_chosen(x._array.reshape(shape), at))
    flat = torch.zeros(*shape[:2], shape[2] * shape[3], dtype=ct.dtype)
    return [flat.scatter_add(2, place, ct.reshape(*place.shape)).reshape(x.shape)]


def _max_pool2d_jvp(t, ins, y, kernel_size, stride, padding, dilation, ceil_mode):
    x = ins[0]
    shape = x.shape if x.ndim == 4 else (1, *x.shape)
    at, _ = _pool("max_pool2d", x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    place = torch.from_numpy(_chosen(x._array.reshape(shape), at))
    return t[0].reshape(*shape[:2], -1).gather(2, place).reshape(y.shape)


rule("max_pool2d", _max_pool2d, inputs=("self",), vjp=_max_pool2d_vjp, jvp=_max_pool2d_jvp,
     saves={"self": ("self",)}, method=False, node="MaxPool2DWithIndicesBackward0")


def _divisors(shape, kernel_size, stride, padding, out, count_include_pad, divisor_override):
    """By what each window's sum is divided: int64, (outputs,)."""
    if divisor_override is not None:
        return np.full(out[0] * out[1], divisor_override)
    sides = []
    for n, k, s, p, o in zip(shape[-2:], pair(kernel_size), stride, pair(padding), out,
                             strict=True):
        start = np.arange(o) * s - p
        end = np.minimum(start + k, n + p)     # a window of ceil_mode may hang over the padding
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, n)
        sides.append(end - start)
    return (sides[0][:, None] * sides[1]).reshape(-1)


def _avg_parts(shape, kernel_size, stride, padding, ceil_mode, count_include_pad, override):
    at, out = _pool("avg_pool2d", shape, kernel_size, stride, padding, 1, ceil_mode)
    if override == 0:
        raise Argument("divisor must be not zero")
    step = pair(kernel_size) if stride is None or stride in ([], ()) else pair(stride)
    return at, out, _divisors(shape, kernel_size, step, padding, out, count_include_pad, override)


def _avg_pool2d(self, kernel_size, stride=(), padding=0, ceil_mode=False, count_include_pad=True,
                divisor_override=None):
    only_floats("avg_pool2d", self)
    at, out, divisors = _avg_parts(self.shape, kernel_size, stride, padding, ceil_mode,
                                   count_include_pad, divisor_override)
    x = carry(self)
    total = np.sum(windows(four(x), at, 0), axis=2)
    y = total / (divisors if x.dtype == object else divisors.astype(x.dtype))
    return y.astype(self.dtype).reshape(*self.shape[:-2], *out)


def _avg_pool2d_vjp(ct, ins, y, kernel_size, stride, padding, ceil_mode, count_include_pad,
                    divisor_override):
    x = ins[0]
    shape = x.shape if x.ndim == 4 else (1, *x.shape)
    at, _, divisors = _avg_parts(x.shape, kernel_size, stride, padding, ceil_mode,
                                 count_include_pad, divisor_override)
    each = ct.reshape(*shape[:2], 1, at.shape[1]) / torch.from_numpy(divisors)
    return [fold(each.expand(*shape[:2], *at.shape), at, shape).reshape(x.shape)]


rule("avg_pool2d", _avg_pool2d, inputs=("self",), vjp=_avg_pool2d_vjp, jvp="linear", method=False,
     function=False, saves={"self": ("self",)})
