"""Images of another size: nearest, linear, cubic, and with a filter against aliasing.

Shapes: input (N, C, *size), output (N, C, *output_size), of one to three dimensions. Each output
element is a weighted sum of a few input elements, its taps, along every dimension by itself; so
one dimension is (taps, outputs) of places and of weights. The adjoint spreads the same weights.
16-bit floats are carried in float32; the bytes of a picture are too, and rounded at the end.
"""


import numpy as np

from reference_impl.errors import Argument, ShapeMismatch, shape_text
from reference_impl.rule import rule
from reference_impl.rules.nn import only_floats
from reference_impl.rules.reductions import carry

SIDES = ("D", "H", "W")


# ── along one dimension ────────────────────────────────────────────────────────────────────────

def step(n, o, align_corners, factor, kind):
    """How far apart in the input two neighbours of the output are."""
    if align_corners:
        return kind(n - 1) / kind(o - 1) if o > 1 else kind(0)
    return kind(1 / factor) if factor is not None and factor > 0 else kind(n) / kind(o)


def nearest(n, o, align_corners, factor, kind):
    # the kernel counts in float32 whatever the dtype
    at = np.arange(o).astype(np.float32) * step(n, o, False, factor, np.float32)
    return np.minimum(np.floor(at).astype(np.int64), n - 1)[None], None


def nearest_exact(n, o, align_corners, factor, kind):
    middle = np.arange(o).astype(np.float32) + np.float32(0.5)
    at = middle * step(n, o, False, factor, np.float32)
    return np.minimum(np.floor(at).astype(np.int64), n - 1)[None], None


def source(n, o, align_corners, factor, kind):
    scale, i = step(n, o, align_corners, factor, kind), np.arange(o).astype(kind)
    return scale * i if align_corners else scale * (i + kind(0.5)) - kind(0.5)


def guarded(at, n):
    """The element before each place, and how far the place is from it."""
    before = np.minimum(np.floor(at), n - 1)
    return before.astype(np.int64), np.clip(at - before, 0, 1)


def linear(n, o, align_corners, factor, kind):
    if n == o:
        return np.arange(o)[None], None
    before, away = guarded(np.maximum(source(n, o, align_corners, factor, kind), 0), n)
    after = np.minimum(before + 1, n - 1)
    return np.stack([before, after]), np.stack([1 - away, away])


def inner(x, a):
    """The cubic convolution kernel up to a distance of 1."""
    return ((a + 2) * x - (a + 3)) * x * x + 1


def outer(x, a):
    """The same between the distances 1 and 2."""
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a


def cubic(n, o, align_corners, factor, kind):
    before, t = guarded(source(n, o, align_corners, factor, kind), n)
    at = np.clip(before + np.arange(-1, 3)[:, None], 0, n - 1)
    a = kind(-0.75)
    return at, np.stack([outer(t + 1, a), inner(t, a), inner(1 - t, a), outer(2 - t, a)])


def triangle(x):
    return np.maximum(1 - np.abs(x), 0)


def keys(x):
    x, a = np.abs(x), x.dtype.type(-0.5)
    return np.where(x < 1, inner(x, a), np.where(x < 2, outer(x, a), 0))


def lanczos(x):
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


def filtered(window, taps):
    """Taps under a filter that is as wide as the elements it stands for, when there are fewer."""
    def along(n, o, align_corners, factor, kind):
        scale = step(n, o, align_corners, factor, kind)
        support = kind(taps / 2) * max(scale, kind(1))
        inverse = 1 / scale if scale >= 1 else kind(1)
        center = scale * (np.arange(o).astype(kind) + kind(0.5))
        first = np.maximum((center - support + kind(0.5)).astype(np.int64), 0)
        end = np.minimum((center + support + kind(0.5)).astype(np.int64), n)
        j = np.arange(max(end - first, default=0))[:, None]
        at = first + j
        weights = window(((at - center + kind(0.5)) * inverse).astype(kind)) * (at < end)
        total = weights.sum(0)
        weights = np.divide(weights, total, out=weights.astype(kind), where=total != 0)
        return np.where(at < end, at, n), weights       # n is one zero behind the image
    return along


# ── along all of them ──────────────────────────────────────────────────────────────────────────

def apply(x, axis, at, weights):
    if weights is None:
        return np.take(x, at[0], axis)
    shape = [1] * x.ndim
    shape[axis] = -1
    if (at == x.shape[axis]).any():
        x = np.concatenate([x, np.zeros_like(np.take(x, [0], axis))], axis)
    return sum(np.take(x, places, axis) * w.reshape(shape)
               for places, w in zip(at, weights, strict=True))


def spread(g, axis, at, weights, n):
    """The adjoint of apply."""
    g = np.moveaxis(g, axis, 0)
    y = np.zeros((n + 1, *g.shape[1:]), g.dtype)
    for t, places in enumerate(at):
        part = g if weights is None else g * weights[t].reshape(-1, *[1] * (g.ndim - 1))
        np.add.at(y, places, part)
    return np.moveaxis(y[:n], 0, axis)


def sizes(shape, output_size, scale_factors, count):
    """The output's size. Raises Argument, ShapeMismatch."""
    if (output_size is None) == (scale_factors is None):
        raise Argument("Must specify exactly one of output_size and scale_factors")
    given, word = ((output_size, "output_size") if scale_factors is None else
                   (scale_factors, "scale_factors"))
    if len(given) != count or len(shape) != count + 2:
        raise ShapeMismatch(f"Expected static_cast<int64_t>({word}->size()) == spatial_dimensions "
                            "to be true, but got false.")
    size = shape[2:]
    out = [int(n) for n in given] if scale_factors is None else [
        int(n * f) for n, f in zip(size, scale_factors, strict=True)]
    if min(*size, *out) <= 0:
        before, after = (", ".join(f"{side}: {n}" for side, n in zip(
            SIDES[-count:], ns, strict=True)) for ns in (size, out))
        word = " and" if count == 1 else ""
        raise ShapeMismatch("Input and output sizes should be greater than 0, but got input "
                            f"({before}){word} output ({after})")
    if 0 in shape[1:]:
        raise ShapeMismatch(f"Non-empty {count + 2}D data tensor expected but got a tensor with "
                            f"sizes {shape_text(shape)}")
    return out


def resampling(name, count, along, label, node, bytes_too, with_corners=True):
    """The rule `name` and its adjoint, `name`_backward."""
    def every(size, out, align_corners, factors, x):
        kind = x.dtype.type if x.dtype.kind == "f" else np.float32
        return [along(n, o, align_corners, f, kind) for n, o, f in zip(
            size, out, factors or (None,) * count, strict=True)]

    def forward(self, output_size, align_corners, scale_factors):
        out = sizes(self.shape, output_size, scale_factors, count)
        if not (bytes_too and self.dtype == np.uint8):
            only_floats(label, self)
        y = x = carry(self)
        if x.dtype == np.uint8 and along not in (nearest, nearest_exact):
            y = x = x.astype(np.float32)
        taps = every(x.shape[2:], out, align_corners, scale_factors, x)
        for d in reversed(range(count)):
            y = apply(y, d + 2, *taps[d])
        if self.dtype == np.uint8 and y.dtype != np.uint8:
            return np.clip(np.floor(y + np.float32(0.5)), 0, 255).astype(np.uint8)
        return y.astype(self.dtype)

    def adjoint(grad_output, output_size, input_size, align_corners, scale_factors):
        y = g = carry(grad_output)
        taps = every(input_size[2:], g.shape[2:], align_corners, scale_factors, g)
        for d in range(count):
            y = spread(y, d + 2, *taps[d], input_size[d + 2])
        return y.astype(grad_output.dtype)

    if not with_corners:
        full, full_adjoint = forward, adjoint

        def forward(self, output_size, scale_factors):
            return full(self, output_size, False, scale_factors)

        def adjoint(grad_output, output_size, input_size, scale_factors):
            return full_adjoint(grad_output, output_size, input_size, False, scale_factors)

    facts = {"method": False, "function": False, "helper": True, "jvp": "linear",
             "layout": "input format"}
    back = rule(f"{name}_backward", adjoint, inputs=("grad_output",),
                vjp=lambda ct, ins, y, input_size, **a: [there(ct, **a)], **facts)
    there = rule(name, forward, inputs=("self",), node=f"{node}Backward0",
                 vjp=lambda ct, ins, y, **a: [back(ct, input_size=ins[0].shape, **a)], **facts)


for _count in (1, 2, 3):
    for _name, _along, _node in (("upsample_nearest", nearest, "UpsampleNearest"),
                                 ("_upsample_nearest_exact", nearest_exact, "UpsampleNearestExact")):
        resampling(f"{_name}{_count}d", _count, _along, "compute_indices_weights_nearest",
                   f"{_node}{_count}D", True, with_corners=False)
for _count, _name, _bytes in ((1, "linear", False), (2, "bilinear", True), (3, "trilinear", False)):
    resampling(f"upsample_{_name}{_count}d", _count, linear, "compute_indices_weights_linear",
               f"Upsample{_name.capitalize()}{_count}D", _bytes)
resampling("upsample_bicubic2d", 2, cubic, "compute_indices_weights_cubic", "UpsampleBicubic2D", True)
for _name, _along in (("bilinear", filtered(triangle, 2)), ("bicubic", filtered(keys, 4)),
                      ("lanczos", filtered(lanczos, 6))):
    resampling(f"_upsample_{_name}2d_aa", 2, _along, "compute_index_ranges_weights",
               f"Upsample{_name.capitalize()}2DAa", True)
