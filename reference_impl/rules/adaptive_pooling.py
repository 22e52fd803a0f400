"""Pooling whose windows follow from the size of the output, and the way back from the largest.

Shapes: input (N, C, *size) or (C, *size), output with `output_size` in the place of `size`.
"""

import math

import numpy as np

import reference_impl as torch
from reference_impl.dtypes import from_numpy_dtype
from reference_impl.errors import Argument, DtypeMismatch, ShapeMismatch, shape_text
from reference_impl.rule import composite, rule
from reference_impl.rules.nn import only_floats
from reference_impl.rules.pooling import (
    NUMBERS,
    best,
    check_row,
    divided,
    largest,
    max_jvp,
    max_vjp,
    only_one,
    per_dimension,
    picked,
    spread,
)
from reference_impl.rules.reductions import carry
from reference_impl.rules.windows import batch, combined, fold, several, windows


def regions(size, out):
    """Places (kernel, outputs) along each dimension of the regions that cover an image evenly:
    output i sees the elements from floor(i n / o) to ceil((i + 1) n / o)."""
    for n, o in zip(size, out, strict=True):
        start = np.arange(o) * n // max(o, 1)
        end = -((-np.arange(1, o + 1) * n) // max(o, 1))
        along = start + np.arange(max(end - start, default=1))[:, None]
        yield np.where(along < end, along, n)


def check_output(name, shape, output_size, count, shown):
    """output_size as a tuple, after torch's checks of it and of the image's shape."""
    out = several(output_size, count)
    if len(out) != count:
        raise Argument(f"{name}: output_size must be {count}" if "avg" in name else
                       f"{name}(): internal error: output_size.size() must be {count}")
    if len(shape) not in (count + 1, count + 2):
        raise ShapeMismatch(f"{name}(): Expected {count + 1}D or {count + 2}D tensor, but got{shown} "
                            f"{shape_text(shape)}")
    for d in range(len(shape) - count - ("max" in name), len(shape)):
        if shape[d] == 0:
            raise ShapeMismatch(f"{name}(): Expected input to have non-zero size for non-batch "
                                f"dimensions, but input has sizes {shape_text(shape)} with "
                                f"dimension {d} being empty")
    return out


# ── the mean, and the largest element, of each region ──────────────────────────────────────────

def adaptive_avg(count):
    name = f"adaptive_avg_pool{count}d"

    def parts(size, out):
        at = combined(size, list(regions(size, out)))
        return at, (at < math.prod(size)).sum(0)

    def forward(self, output_size):
        out = several(output_size, count)
        only_floats(name if count == 2 else f"{name}_cpu", self)
        at, divisors = parts(self.shape[-count:], out)
        total = np.sum(windows(carry(batch(self, count)), at, 0), axis=2)
        return divided(total, divisors).astype(self.dtype).reshape(*self.shape[:-count], *out)

    def vjp(ct, ins, y, output_size):
        x = ins[0]
        shape = x.shape if x.ndim == count + 2 else (1, *x.shape)
        at, divisors = parts(shape[2:], several(output_size, count))
        each = ct.reshape(*shape[:2], 1, at.shape[1]) / torch.from_numpy(divisors)
        return [fold(each.expand(*shape[:2], *at.shape), at, shape).reshape(x.shape)]

    pool = rule(f"_{name}", forward, inputs=("self",), vjp=vjp, jvp="linear", method=False,
                saves={"self": ("self",)}, node=f"AdaptiveAvgPool{count}DBackward0",
                layout="input format")

    def public(self, output_size):
        out = check_output(name, self.shape, output_size, count, "")
        if min(out) < 0:
            told = ", ".join(map(str, out))
            raise Argument(f"{name}: elements of output_size must be greater than or equal to 0 "
                           f"but received {{{told}}}")
        if max(out) == min(out) == 1 and self.dtype.is_floating_point:
            return self.mean(tuple(range(-1, -count - 1, -1)), keepdim=True)
        return pool(self, out)
    composite(name, public, method=False, function=False, helper=True)


def adaptive_max(count):
    name = f"adaptive_max_pool{count}d"

    def forward(self, output_size):
        out = check_output(name, self.shape, output_size, count, ":")
        only_floats(name if count == 2 else f"{name}_cpu", self)
        if min(out) < 0:
            raise Argument(f"Trying to create tensor with negative dimension {min(out)}: "
                           f"{shape_text((*self.shape[:-count], *out))}")
        size = self.shape[-count:]
        values, indices = largest(self, combined(size, list(regions(size, out))), count)
        shape = (*self.shape[:-count], *out)
        return values.astype(self.dtype).reshape(shape), indices.reshape(shape)
    rule(name, forward, inputs=("self",), vjp=max_vjp(count), jvp=max_jvp(count), method=False,
         function=False, helper=True, saves={"self": ("self", "result.1")}, differentiable=(0,),
         node=f"AdaptiveMaxPool{count}DBackward0", layout="input format")


for _count in (2, 3):
    adaptive_avg(_count)
    adaptive_max(_count)


def _adaptive_avg_pool1d(self, output_size):
    check_row("adaptive_avg_pool1d", self)
    only_one("adaptive_avg_pool1d", "output_size", output_size)
    return torch.nn.functional.adaptive_avg_pool2d(
        self.unsqueeze(-2), (1, *several(output_size, 1))).squeeze(-2)


def _adaptive_max_pool1d(self, output_size):
    check_row("adaptive_max_pool1d", self)
    only_one("adaptive_max_pool1d", "output_size", output_size)
    check_output("adaptive_max_pool1d", self.shape, output_size, 1, ":")
    values, indices = torch.nn.functional.adaptive_max_pool2d(
        self.unsqueeze(-2), (1, *several(output_size, 1)), return_indices=True)
    return values.squeeze(-2), indices.squeeze(-2)


composite("adaptive_avg_pool1d", _adaptive_avg_pool1d, method=False, helper=True)
composite("adaptive_max_pool1d", _adaptive_max_pool1d, method=False, helper=True)


# ── windows at random places ───────────────────────────────────────────────────────────────────

def _starts(sample, n, o, k):
    """Where each of o windows of k elements begins (…, o): steps of about (n - k) / (o - 1), begun
    at a random phase; the last one ends with the image."""
    step = (n - k) / (o - 1) if o > 1 else 0
    step = np.asarray(step, sample.dtype)
    i = np.arange(o).astype(sample.dtype)
    at = ((i + sample[..., None]) * step).astype(np.int64)
    at -= (sample[..., None] * step).astype(np.int64)
    at[..., o - 1:] = n - k
    return at


def fractional(count):
    name = f"fractional_max_pool{count}d"
    axes = ("time", "height", "width")[-count:]
    said = f"{name}()" if count == 2 else f"{name}_out()"

    def check(self, kernel, out, samples):
        shape = self.shape
        if len(shape) not in (count + 1, count + 2):
            raise ShapeMismatch(f"{said}: Expected {count + 1}D or {count + 2}D tensor, but got: "
                                f"{shape_text(shape)}")
        for d in range(len(shape) - count, len(shape)):
            if shape[d] == 0:
                raise ShapeMismatch(f"{said}: Expected input to have non-zero size for non-batch "
                                    f"dimensions, but got{shape_text(shape)} with dimension {d} "
                                    "being empty.")
        for axis, n, k, o in zip(axes, shape[-count:], kernel, out, strict=True):
            if o + k - 1 > n:
                raise ShapeMismatch(f"{said}: pool {axis} {k} too large relative to input {axis} "
                                    f"{n}")
        if samples.dtype != self.dtype:
            raise DtypeMismatch("Expect _random_samples to have the same dtype as input")
        if samples.ndim != 3:
            raise ShapeMismatch("Expect _random_samples to have 3 dimensions, got "
                                f"{samples.ndim}")
        n, c = batch(self, count).shape[:2]
        if samples.shape[0] < n:
            raise ShapeMismatch("Expect _random_samples.size(0) no less then input batch size.")
        if samples.shape[1] != c:
            raise ShapeMismatch("Expect _random_samples.size(1) equals to input channel size.")
        if samples.shape[2] != count:
            raise ShapeMismatch(f"Expect _random_samples.size(2) equals to {count}; got "
                                f"{samples.shape[2]}.")

    def forward(self, kernel_size, output_size, random_samples):
        kernel, out = per_dimension(name, count, kernel_size=kernel_size, output_size=output_size)
        check(self, kernel, out, random_samples)
        only_floats(name, self)
        x = carry(batch(self, count))
        size = x.shape[2:]
        at = np.zeros((*x.shape[:2],) + (1,) * 2 * count, np.int64)
        for d, (n, k, o) in enumerate(zip(size, kernel, out, strict=True)):
            # of two dimensions the first sample is the width's
            sample = carry(random_samples)[:x.shape[0], :, 1 - d if count == 2 else d]
            shape = [1] * 2 * count
            shape[d], shape[count + d] = k, o
            along = _starts(sample, n, o, k)[:, :, None] + np.arange(k)[:, None]
            at = at * n + along.reshape(*x.shape[:2], *shape)
        at = at.reshape(*x.shape[:2], math.prod(kernel), math.prod(out))
        flat = x.reshape(*x.shape[:2], 1, math.prod(size))
        cols = np.take_along_axis(np.broadcast_to(flat, (*at.shape[:3], flat.shape[3])), at, 3)
        chosen = best(cols, np.True_)[:, :, None]
        values, indices = (np.take_along_axis(a, chosen, 2)[:, :, 0] for a in (cols, at))
        shape = (*self.shape[:-count], *out)
        return values.astype(self.dtype).reshape(shape), indices.reshape(shape)

    rule(name, forward, inputs=("self", "random_samples"), method=False, function=False,
         helper=True, saves={"self": ("self", "result.1")}, differentiable=(0,),
         vjp=lambda ct, ins, y, **a: [*max_vjp(count)(ct, ins, y), None], jvp=max_jvp(count),
         node=f"FractionalMaxPool{count}DBackward0")


# ── max_unpool: the way back ───────────────────────────────────────────────────────────────────

def unpooling(count):
    name = f"max_unpool{count}d"
    axes = ("depth", "height", "width")[-count:]

    def check(self, indices, **sizes):
        for word, value in sizes.items():
            if len(value) != count:
                of = "" if word == "output_size" else ":"
                raise Argument(f"There should be exactly {NUMBERS[count]} elements "
                               f"({', '.join(axes)}) in {word}, but got{of} {len(value)} elements.")
        if indices.dtype != np.int64:
            got = f" but got: {from_numpy_dtype(indices.dtype).scalar_name}" if count == 2 else ""
            raise DtypeMismatch(f"elements in indices should be type int64{got}")
        if self.ndim not in (count + 1, count + 2):
            raise ShapeMismatch(f"Input to max_unpooling{count}d should be a {count + 1}d or "
                                f"{count + 2}d Tensor, but got a tensor with {self.ndim} "
                                "dimensions.")
        if self.shape != indices.shape:
            raise ShapeMismatch("Expected shape of indices to be same as that of the input tensor "
                                f"({shape_text(self.shape)}) but got indices tensor with shape: "
                                f"{shape_text(indices.shape)}")
        for d in range(1 if self.ndim == count + 2 else 0, self.ndim):
            if self.shape[d] == 0 and (count == 3 or d > 0):
                raise ShapeMismatch(f"max_unpooling{count}d_forward_out_cpu(): Expected input to "
                                    "have non-zero size for non-batch dimensions, but got "
                                    f"{shape_text(self.shape)} with dimension {d} being empty.")

    def put(self, indices, out):
        only_floats(name, self)
        total = math.prod(out)
        wrong = indices[(indices < 0) | (indices >= total)]
        if wrong.size:
            volume = "x".join(map(str, out))
            raise Argument(f"Found an invalid max index: {wrong[0]} (output volumes are of size "
                           f"{volume})")
        first = self.shape[:-count]
        y = np.zeros((*first, total), self.dtype)
        if self.size:
            np.put_along_axis(y, indices.reshape(*first, -1), self.reshape(*first, -1), -1)
        return y.reshape(*first, *out)

    if count == 2:
        def forward(self, indices, output_size):
            check(self, indices, output_size=output_size)
            return put(self, indices, output_size)
    else:
        def forward(self, indices, output_size, stride, padding):
            check(self, indices, output_size=output_size, stride=stride, padding=padding)
            if min(stride) <= 0:
                raise Argument("strides should be greater than zero, but got stride: "
                               f"{shape_text(stride)}")
            return put(self, indices, output_size)
    rule(name, forward, inputs=("self", "indices"), method=False, function=False, helper=True,
         saves={"self": ("indices",)}, node=f"MaxUnpool{count}DBackward0",
         layout="input format" if count == 2 else "contiguous",
         vjp=lambda ct, ins, y, **a: [picked(ct, ins[1], count), None],
         jvp=lambda t, ins, y, **a: spread(t[0], ins[1], y.shape, count))


for _count in (2, 3):
    fractional(_count)
    unpooling(_count)
