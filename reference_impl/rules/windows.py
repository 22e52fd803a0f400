"""Sliding windows over one, two or three dimensions: where they look, and taking them apart.

Shapes: input (N, C, *size) or (C, *size). A window is a set of places in one flattened image, so
that "which elements does output o see" is one integer array `at` of shape (kernel, outputs);
taking windows apart and adding them up again are index_select and scatter_add. Where a window
hangs over the edge the place is the number of elements of the image: one element more is put there.
"""

import math

import numpy as np

import reference_impl as torch
from reference_impl.errors import Argument, ShapeMismatch, shape_text
from reference_impl.geometry import wrap_dim
from reference_impl.rule import rule


def several(value, count):
    """One number per dimension, of an argument given as a number, a list of one, or of all."""
    if isinstance(value, (int, np.integer)):
        return (int(value),) * count
    value = tuple(value)
    return value * count if len(value) == 1 else value


def pair(value):
    return several(value, 2)


def places(size, kernel, stride, padding, dilation, out):
    """Place in the flattened image of every window element: int64, (kernel, outputs)."""
    return combined(size, [(np.arange(k) * step)[:, None] + np.arange(o) * s - p for k, s, p, step, o
                           in zip(kernel, stride, padding, dilation, out, strict=True)])


def combined(size, along):
    """The same from the places along each dimension, each (kernel, outputs); others are outside."""
    count = len(size)
    at, inside = np.zeros((1,) * 2 * count, np.int64), np.ones((1,) * 2 * count, bool)
    for d, (n, one) in enumerate(zip(size, along, strict=True)):
        shape = [1] * 2 * count
        shape[d], shape[count + d] = one.shape
        one = one.reshape(shape)
        at = at * n + one
        inside = inside & (one >= 0) & (one < n)
    at = np.where(inside, at, math.prod(size))
    return at.reshape(math.prod(at.shape[:count]), math.prod(at.shape[count:]))


def windows(x, at, edge):
    """x (N, C, *size) -> (N, C, kernel, outputs), with `edge` beyond the border; ndarrays."""
    flat = x.reshape(*x.shape[:2], -1) if x.size else np.empty(
        (*x.shape[:2], math.prod(x.shape[2:])), x.dtype)
    flat = np.concatenate([flat, np.full((*x.shape[:2], 1), edge, x.dtype)], axis=2)
    return flat[:, :, at]


def unfold(x, at):
    """The same on Tensors, with zeros beyond the border."""
    n, c = x.shape[:2]
    flat = torch.cat([x.reshape(n, c, math.prod(x.shape[2:])),
                      torch.zeros(n, c, 1, dtype=x.dtype)], 2)
    return flat.index_select(2, torch.from_numpy(at.reshape(-1))).reshape(n, c, *at.shape)


def fold(cols, at, shape):
    """Adds windows (N, C, kernel, outputs) up into an image of `shape`; the adjoint of unfold."""
    n, c, total = shape[0], shape[1], math.prod(shape[2:])
    index = torch.from_numpy(at.reshape(1, 1, -1)).expand(n, c, at.size)
    flat = torch.zeros(n, c, total + 1, dtype=cols.dtype)
    flat = flat.scatter_add(2, index, cols.reshape(n, c, at.size))
    return flat.narrow(2, 0, total).reshape(shape)


def folded(cols, at, shape):
    """The same on ndarrays."""
    n, c, total = shape[0], shape[1], math.prod(shape[2:])
    out = np.zeros((total + 1, n, c), cols.dtype)
    np.add.at(out, at.reshape(-1), np.moveaxis(cols.reshape(n, c, at.size), 2, 0))
    return np.moveaxis(out[:total], 0, 2).reshape(shape)


def batch(x, count):
    """(C, *size) as a batch of one."""
    return x if x.ndim == count + 2 else x.reshape(1, *x.shape)


# ── im2col, col2im: torch.nn.functional.unfold and fold ────────────────────────────────────────

def _blocks(size, kernel_size, dilation, padding, stride):
    """Geometry of the sliding blocks of an image, and their number along each dimension."""
    kernel, dilation, padding, stride = (several(v, 2) for v in (
        kernel_size, dilation, padding, stride))
    for name, value, least in (("kernel size", kernel, 1), ("dilation", dilation, 1),
                               ("padding", padding, 0), ("stride", stride, 1)):
        if min(value) < least:
            word = "non-negative" if least == 0 else "greater than zero"
            raise Argument(f"{name} should be {word}, but got {value}")
    out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in zip(
        size, kernel, dilation, padding, stride, strict=True))
    return kernel, stride, padding, dilation, out


def _told(kernel, dilation, padding):
    return f"kernel_size={kernel}, dilation={dilation}, padding={padding}"


def im2col(self, kernel_size, dilation, padding, stride):
    """(N, C, H, W) -> (N, C * kernel, blocks)."""
    if self.ndim < 3:
        wrap_dim(2, self.ndim)
    if self.ndim not in (3, 4) or 0 in self.shape[-3:]:
        raise ShapeMismatch("Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and "
                            "other non-zero dimensions for input, but got: "
                            f"{shape_text(self.shape)}")
    size = self.shape[-2:]
    kernel, stride, padding, dilation, out = _blocks(size, kernel_size, dilation, padding, stride)
    if min(out) < 1:
        raise ShapeMismatch(f"Given input with spatial size {size}, "
                            f"{_told(kernel, dilation, padding)}, calculated shape of the array of "
                            f"sliding blocks as {out}, but its components must be at least one.")
    x = batch(self, 2)
    cols = windows(x, places(size, kernel, stride, padding, dilation, out), 0)
    y = cols.reshape(x.shape[0], x.shape[1] * math.prod(kernel), math.prod(out))
    return y if self.ndim == 4 else y[0]


def col2im(self, output_size, kernel_size, dilation, padding, stride):
    """(N, C * kernel, blocks) -> (N, C, H, W), what meets at one place added up."""
    if self.ndim not in (2, 3) or 0 in self.shape[-2:]:
        raise ShapeMismatch("Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch "
                            "size and non-zero dimensions for input, but got: "
                            f"{shape_text(self.shape)}")
    size, d = several(output_size, 2), self.ndim - 2
    kernel, stride, padding, dilation, out = _blocks(size, kernel_size, dilation, padding, stride)
    if self.shape[d] % math.prod(kernel):
        raise ShapeMismatch(f"Expected size of input's dimension {d} to be divisible by the product "
                            f"of kernel_size, but got input.size({d})={self.shape[d]} and "
                            f"kernel_size={kernel}.")
    if self.shape[d + 1] != math.prod(out):
        raise ShapeMismatch(
            f"Given output_size={size}, {_told(kernel, dilation, padding)}, stride={stride}, "
            f"expected size of input's dimension {d + 1} to match the calculated number of sliding "
            f"blocks {out[0]} * {out[1]} = {math.prod(out)}, but got input.size({d + 1})="
            f"{self.shape[d + 1]}.")
    x = self if self.ndim == 3 else self[None]
    shape = (x.shape[0], x.shape[1] // math.prod(kernel), *size)
    y = folded(x, places(size, kernel, stride, padding, dilation, out), shape)
    return y if self.ndim == 3 else y[0]


_im2col = rule("im2col", im2col, inputs=("self",), method=False, function=False, helper=True,
               node="Im2ColBackward0", jvp="linear", vjp=lambda ct, ins, y, **a: [
                   _col2im(ct, ins[0]._size[-2:], **a)])
_col2im = rule("col2im", col2im, inputs=("self",), method=False, function=False, helper=True,
               node="Col2ImBackward0", jvp="linear", vjp=lambda ct, ins, y, output_size, **a: [
                   _im2col(ct, **a)])
