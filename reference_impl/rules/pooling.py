"""Pooling over sliding windows of one, two or three dimensions.

Shapes: input (N, C, *size) or (C, *size); kernel_size, stride, padding and dilation are one number
or one for each dimension. Indices are places in the flattened image of one channel.
"""

import math

import numpy as np

import reference_impl as torch
from reference_impl.errors import Argument, NotImplementedFor, ShapeMismatch, shape_text
from reference_impl.rule import composite, rule
from reference_impl.rules.nn import only_floats
from reference_impl.rules.reductions import carry
from reference_impl.rules.windows import batch, fold, places, several, windows

NUMBERS = ("no", "one", "two", "three")
AXES = ("T", "H", "W")


def per_dimension(name, count, **given):
    """Each argument as one number per dimension. Raises Argument for any other number of them."""
    for word, value in given.items():
        value = several(value, count)
        if len(value) != count:
            either = "be either" if word == "dilation" else "either be"
            omitted = "omitted, " if word == "stride" else ""
            what = "Ints" if name.startswith("fractional") else f"{NUMBERS[count]} ints"
            single = "single Int or" if name.startswith("fractional") else "single int, or a"
            raise Argument(f"{name}: {word} must {either} {omitted}a {single} tuple of {what}")
        yield value


def _told(letter, values):
    axes = AXES[-len(values):]
    return " ".join(f"{letter}{axis}: {v}" for axis, v in zip(axes, values, strict=True))


def _outputs(n, k, s, p, d, ceil_mode):
    """Windows along one dimension; with ceil_mode the last one must begin inside."""
    if s == 0:
        raise Argument("stride should not be zero")
    if p < 0:
        raise Argument(f"pad must be non-negative, but got pad: {p}")
    if p > (d * (k - 1) + 1) // 2:
        raise Argument("pad should be at most half of effective kernel size, but got "
                       f"pad={p}, kernel_size={k} and dilation={d}")
    span = n + 2 * p - d * (k - 1) - 1
    out = -(-span // s) + 1 if ceil_mode else span // s + 1
    return out - 1 if ceil_mode and (out - 1) * s >= n + p else out


def check_image(name, shape, count):
    if len(shape) not in (count + 1, count + 2):
        raise ShapeMismatch(f"{name}: non-empty {count + 1}D or {count + 2}D (batch mode) tensor "
                            "expected for input")
    if 0 not in shape[-count - 1:]:
        return
    if count == 3:
        raise ShapeMismatch(f"{name}(): Expected input's non-batch dimensions to have positive "
                            f"length, but input has a shape of {shape_text(shape)} and non-batch "
                            f"dimension {shape[-4:].index(0)} has length zero!")
    raise ShapeMismatch(f"{name}: Expected 3D or 4D (batch mode) tensor with optional 0 dim "
                        f"batch size for input, but got:{shape_text(shape)}")


def geometry(name, count, shape, kernel_size, stride, padding, dilation, ceil_mode):
    """(size, kernel, stride, padding, dilation, out) of a pooling's windows."""
    if stride is None or (not isinstance(stride, int) and len(stride) == 0):
        stride = kernel_size
    kernel, stride, padding, dilation = per_dimension(
        name, count, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation)
    if len(shape) in (count + 1, count + 2):
        out = tuple(_outputs(*one, ceil_mode) for one in zip(
            shape[-count:], kernel, stride, padding, dilation, strict=True))
    for word, letter, value in (("kernel size", "k", kernel), ("stride", "d", stride),
                                ("dilation", "dilation", dilation)):
        if min(value) <= 0:
            raise Argument(f"{word} should be greater than zero, but got {_told(letter, value)}")
    check_image(name, shape, count)
    size = shape[-count:]
    if name == "avg_pool3d" and any(n < k for n, k in zip(size, kernel, strict=True)):
        raise ShapeMismatch(f"input image ({_told('', size)}) smaller than kernel size "
                            f"({_told('k', kernel)})")
    if min(out) < 1:
        before, after = ("x".join(map(str, (shape[-count - 1], *n))) for n in (size, out))
        raise ShapeMismatch(f"Given input size: ({before}). Calculated output size: ({after}). "
                            "Output size is too small")
    return size, kernel, stride, padding, dilation, out


# ── the largest of each window ─────────────────────────────────────────────────────────────────

def best(cols, inside):
    """Which element of each window (N, C, kernel, outputs) is chosen: the first largest one, or
    the last nan; a window of nothing but -inf chooses its first element inside the image."""
    if cols.dtype.kind in "iu":
        # no number below the least one exists to stand for "outside"
        largest = np.max(np.where(inside, cols, np.iinfo(cols.dtype).min), 2, keepdims=True)
        return np.argmax(inside & (cols == largest), axis=2)
    cols = np.where(inside, cols, -np.inf)
    first = np.argmax(np.where(cols == np.max(cols, 2, keepdims=True), 1.0 + inside, 0.0), axis=2)
    nan = np.isnan(cols)
    last = cols.shape[2] - 1 - np.argmax(nan[:, :, ::-1], axis=2)
    return np.where(nan.any(2), last, first)


def largest(x, at, count):
    """Values and places (N, C, outputs) of the largest element of each window, x an ndarray."""
    x = carry(batch(x, count))
    if not x.size:
        none = (*x.shape[:2], at.shape[1])
        return np.empty(none, x.dtype), np.empty(none, np.int64)
    cols = windows(x, at, 0)
    chosen = best(cols, at < math.prod(x.shape[2:]))
    values = np.take_along_axis(cols, chosen[:, :, None], 2)[:, :, 0]
    return values, at[chosen, np.arange(at.shape[1])]


def lines(shape, count):
    """The shape with its last `count` dimensions as one; without a -1, which an empty batch forbids."""
    return *shape[:-count], math.prod(shape[-count:])


def spread(ct, indices, shape, count):
    """Zeros of `shape` (of the image) with ct added at the indices; Tensors."""
    flat = torch.zeros(*lines(shape, count), dtype=ct.dtype)
    taken = lines(indices.shape, count)
    return flat.scatter_add(-1, indices.reshape(taken), ct.reshape(taken)).reshape(shape)


def picked(x, indices, count):
    """The elements of the image x at the indices: the adjoint of spread; Tensors."""
    flat = x.reshape(lines(x.shape, count))
    return flat.gather(-1, indices.reshape(lines(indices.shape, count))).reshape(indices.shape)


def max_vjp(count):
    def vjp(ct, ins, y, **arguments):
        return [spread(ct[0], y[1], ins[0].shape, count)]
    return vjp


def max_jvp(count):
    def jvp(t, ins, y, **arguments):
        return picked(t[0], y[1], count), None
    return jvp


def max_pooling(count):
    name = f"max_pool{count}d"

    def both(self, kernel_size, stride, padding, dilation, ceil_mode):
        only_floats(name, self, also="iu" if count > 1 else "")
        *where, out = geometry(name, count, self.shape, kernel_size, stride, padding, dilation,
                               ceil_mode)
        values, indices = largest(self, places(*where, out), count)
        shape = (*self.shape[:-count], *out)
        return values.astype(self.dtype).reshape(shape), indices.reshape(shape)

    def with_indices(self, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False):
        return both(self, kernel_size, stride, padding, dilation, ceil_mode)

    def forward(self, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False):
        return both(self, kernel_size, stride, padding, dilation, ceil_mode)[0]

    def vjp(ct, ins, y, **arguments):
        indices = torch.from_numpy(both(ins[0]._array, **arguments)[1])
        return [spread(ct, indices, ins[0].shape, count)]

    def jvp(t, ins, y, **arguments):
        return picked(t[0], torch.from_numpy(both(ins[0]._array, **arguments)[1]), count)

    node = f"MaxPool{count}DWithIndicesBackward0"
    rule(name if count > 1 else "_max_pool1d", forward, inputs=("self",), vjp=vjp, jvp=jvp,
         saves={"self": ("self",)}, method=False, node=node, layout="input format",
         helper=count != 2)
    if count > 1:
        rule(f"{name}_with_indices", with_indices, inputs=("self",), vjp=max_vjp(count),
             jvp=max_jvp(count), saves={"self": ("self", "result.1")}, method=False, node=node,
             layout="input format", helper=True, differentiable=(0,))
        max_backward(name, count)


def max_backward(name, count):
    """What the graph of the pooling computes, as torch also offers it by name."""
    def forward(grad_output, self, kernel_size, stride, padding, dilation, ceil_mode, indices):
        images, total = math.prod(self.shape[:-count]), math.prod(self.shape[-count:])
        taken = images, math.prod(indices.shape[-count:])
        y = np.zeros((images, total), carry(grad_output).dtype)
        np.add.at(y, (np.arange(images)[:, None], indices.reshape(taken)),
                  grad_output.reshape(taken))
        return y.astype(grad_output.dtype).reshape(self.shape)

    rule(f"{name}_with_indices_backward", forward, inputs=("self", "grad_output", "indices"),
         saves={"grad_output": ("indices",), "self": ()}, method=False, function=False,
         layout="input format", helper=True,
         node=f"MaxPool{count}DWithIndicesBackwardBackward0",
         vjp=lambda ct, ins, y, **a: [ct.new_zeros(ins[0].shape), picked(ct, ins[2], count), None],
         jvp=lambda t, ins, y, **a: spread(t[1], ins[2], y.shape, count))


for _count in (1, 2, 3):
    max_pooling(_count)


def _check_pool1d(self, ceil_mode, **arguments):
    if self.ndim not in (2, 3) or 0 in self.shape[-2:]:
        raise ShapeMismatch("max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim "
                            f"batch size for input, but got:{shape_text(self.shape)}")
    for word, value in arguments.items():
        value = several(value, 1)
        if len(value) != 1:
            raise Argument(f"max_pool1d() {word} must be an int, list of ints or tuple of ints of "
                           f"size 1 but got size {len(value)}")
        if value[0] < 0 and word == "padding":
            raise Argument(f"max_pool1d() padding must be non-negative, but got {value[0]}")
        if value[0] <= 0 and word != "padding":
            raise Argument(f"max_pool1d() {word} must be greater than zero, but got {value[0]}")
    kernel, stride, padding, dilation = (several(v, 1)[0] for v in arguments.values())
    if padding > kernel // 2:
        raise Argument("max_pool1d() padding should be at most half of kernel size, but got "
                       f"padding={padding} and kernel_size={kernel}")
    out = _outputs(self.shape[-1], kernel, stride, padding, dilation, ceil_mode)
    if out <= 0:
        raise ShapeMismatch(f"max_pool1d() Invalid computed output size: {out}")


def _max_pool1d(self, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False):
    """torch.max_pool1d: only where a gradient is wanted it is max_pool2d of one row."""
    stride = kernel_size if stride is None or stride in ((), []) else stride
    _check_pool1d(self, ceil_mode, kernel_size=kernel_size, stride=stride, padding=padding,
                  dilation=dilation)
    if torch.is_grad_enabled() and self.requires_grad:
        return _max_pool1d_with_indices(self, kernel_size, stride, padding, dilation, ceil_mode)[0]
    if not self.dtype.is_floating_point:
        raise NotImplementedFor(f"\"max_pool1d_impl\" not implemented for '{self.dtype.scalar_name}'")
    return torch._max_pool1d(self, kernel_size, stride, padding, dilation, ceil_mode)


def row(value, other):
    """An argument of one dimension as one of two, of which the first has the value `other`."""
    return (other, *several(value, 1))


def check_row(name, self):
    if self.ndim not in (2, 3):
        raise ShapeMismatch(f"Expected 2 to 3 dimensions, but got {self.ndim}-dimensional tensor "
                            f"for argument #1 'self' (while checking arguments for {name})")


def _max_pool1d_with_indices(self, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False):
    check_row("max_pool1d", self)
    stride = kernel_size if stride is None or stride in ((), []) else stride
    values, indices = torch.max_pool2d_with_indices(
        self.unsqueeze(-2), row(kernel_size, 1), row(stride, 1), row(padding, 0), row(dilation, 1),
        ceil_mode)
    return values.squeeze(-2), indices.squeeze(-2)


composite("max_pool1d", _max_pool1d, method=False, helper=True)
composite("max_pool1d_with_indices", _max_pool1d_with_indices, method=False, helper=True)


# ── the mean of each window ────────────────────────────────────────────────────────────────────

def _divisors(size, kernel, stride, padding, dilation, out, count_include_pad, override):
    """By what each window's sum is divided: int64, (outputs,)."""
    if override is not None:
        return np.full(math.prod(out), override)
    total = np.ones((), np.int64)
    for n, k, s, p, o in zip(size, kernel, stride, padding, out, strict=True):
        start = np.arange(o) * s - p
        end = np.minimum(start + k, n + p)     # a window of ceil_mode may hang over the padding
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, n)
        total = total[..., None] * (end - start)
    return total.reshape(-1)


def divided(total, divisors):
    """total / divisors, of integers rounded towards zero."""
    if total.dtype.kind in "iu":
        return np.sign(total) * np.sign(divisors) * (np.abs(total) // np.abs(divisors))
    return total / (divisors if total.dtype == object else divisors.astype(total.dtype))


def avg_pooling(count, **facts):
    name = f"avg_pool{count}d"

    def parts(shape, kernel_size, stride, padding, ceil_mode, count_include_pad, override):
        """Places of the windows, their divisors, and the output's size."""
        if override == 0:
            raise Argument("divisor must be not zero")
        where = geometry(name, count, shape, kernel_size, stride, padding, 1, ceil_mode)
        return places(*where), _divisors(*where, count_include_pad, override), where[-1]

    def forward(self, kernel_size, stride=(), padding=0, ceil_mode=False, count_include_pad=True,
                divisor_override=None):
        if self.dtype != np.int64:
            only_floats(name, self)
        at, divisors, out = parts(self.shape, kernel_size, stride, padding, ceil_mode,
                                  count_include_pad, divisor_override)
        total = np.sum(windows(carry(batch(self, count)), at, 0), axis=2)
        return divided(total, divisors).astype(self.dtype).reshape(*self.shape[:-count], *out)

    def vjp(ct, ins, y, kernel_size, stride, padding, ceil_mode, count_include_pad,
            divisor_override):
        x = ins[0]
        shape = x.shape if x.ndim == count + 2 else (1, *x.shape)
        at, divisors, _ = parts(x.shape, kernel_size, stride, padding, ceil_mode,
                                count_include_pad, divisor_override)
        each = ct.reshape(*shape[:2], 1, at.shape[1]) / torch.from_numpy(divisors)
        return [fold(each.expand(*shape[:2], *at.shape), at, shape).reshape(x.shape)]

    rule(name, forward, inputs=("self",), vjp=vjp, jvp="linear", method=False, function=False,
         saves={"self": ("self",)}, node=f"AvgPool{count}DBackward0", layout="input format", **facts)


avg_pooling(2)
avg_pooling(3, helper=True)


def _avg_pool1d(self, kernel_size, stride=(), padding=0, ceil_mode=False, count_include_pad=True):
    check_row("avg_pool1d", self)
    stride = kernel_size if stride is None or stride in ((), []) else stride
    for word, value in (("kernel_size", kernel_size), ("stride", stride), ("padding", padding)):
        only_one("avg_pool1d", word, value)
    return torch.nn.functional.avg_pool2d(self.unsqueeze(-2), row(kernel_size, 1), row(stride, 1),
                                          row(padding, 0), ceil_mode, count_include_pad).squeeze(-2)


def only_one(name, word, value):
    if len(several(value, 1)) != 1:
        raise Argument(f"{name}() argument '{word}' should contain one int (got {len(value)})")


composite("avg_pool1d", _avg_pool1d, method=False, helper=True)
