"""Images read at any places: grid_sampler in two and three dimensions, and grids of affine maps.

Shapes: input (N, C, *size), grid (N, *out, d) with one place in [-1, 1]^d for each output element,
the last dimension of the image (x) first; output (N, C, *out).
"""

import functools
import itertools
import math
import operator

import numpy as np

import reference_impl as torch
from reference_impl.autograd import grad
from reference_impl.errors import Argument, DtypeMismatch, ShapeMismatch, shape_text
from reference_impl.grad_mode import enable_grad, no_grad, state
from reference_impl.rule import composite, rule
from reference_impl.rules.elementwise import where
from reference_impl.rules.nn import only_floats
from reference_impl.rules.resampling import inner, outer

BILINEAR, NEAREST, BICUBIC = 0, 1, 2
ZEROS, BORDER, REFLECTION = 0, 1, 2


# ── places, with Tensor operations, so that they have derivatives ──────────────────────────────

def pixels(place, n, align_corners):
    """[-1, 1] as pixels: from middle to middle of the outermost ones, or over all of them."""
    return (place + 1) / 2 * (n - 1) if align_corners else ((place + 1) * n - 1) / 2


def reflected(at, n, align_corners):
    low, high = (0, 2 * (n - 1)) if align_corners else (-1, 2 * n - 1)
    if low == high:
        return at * 0
    span = (high - low) / 2
    away = (at - low / 2).abs()
    rest, turns = away.fmod(span), (away.detach() / span).floor()
    return where(turns % 2 == 0, rest + low / 2, span - rest + low / 2)


def clipped(at, n):
    """Into the image; no slope on the border itself, and nan is the first pixel."""
    held = at.detach().nan_to_num(0).clamp(0, n - 1)
    return where((at > 0) & (at < n - 1), at, held)


def padded(at, n, padding_mode, align_corners):
    if padding_mode == ZEROS:
        return at
    return clipped(reflected(at, n, align_corners) if padding_mode == REFLECTION else at, n)


def one_dimension(at, n, mode, padding_mode, align_corners):
    """The taps along one dimension: a list of (whole places, weights), weights None for 1."""
    if mode == BICUBIC:
        before = at.detach().floor()
        t, a = at - before, -0.75
        weights = outer(t + 1, a), inner(t, a), inner(1 - t, a), outer(2 - t, a)
        return [(padded(before + i, n, padding_mode, align_corners), w)
                for i, w in zip(range(-1, 3), weights, strict=True)]
    at = padded(at, n, padding_mode, align_corners)
    if mode == NEAREST:
        return [(at.detach().round(), None)]
    before = at.detach().floor()
    return [(before, 1 - (at - before)), (before + 1, at - before)]


def sampled(input, grid, interpolation_mode, padding_mode, align_corners):
    """The values of input at the places of grid."""
    size, out = input.shape[2:], grid.shape[1:-1]
    n, c, count = *input.shape[:2], len(size)
    flat = input.reshape(n, c, math.prod(size))
    places = grid.reshape(n, math.prod(out), count).unbind(2)[::-1]
    taps = [one_dimension(pixels(at, extent, align_corners), extent, interpolation_mode,
                          padding_mode, align_corners)
            for at, extent in zip(places, size, strict=True)]
    total = 0
    for chosen in itertools.product(*taps):
        at, inside = 0, None
        for (one, _), extent in zip(chosen, size, strict=True):
            within = (one >= 0) & (one < extent)
            inside = within if inside is None else inside & within
            at = at * extent + where(within, one, 0).to(torch.int64)
        value = flat.gather(2, at.unsqueeze(1).expand(n, c, at.shape[1]))
        value = where(inside.unsqueeze(1), value, 0)
        weights = [w for _, w in chosen if w is not None]
        if weights:
            value = value * functools.reduce(operator.mul, weights).unsqueeze(1)
        total = total + value
    return total.reshape(n, c, *out)


# ── the rules ──────────────────────────────────────────────────────────────────────────────────

def check(input, grid, interpolation_mode):
    count = input.ndim - 2
    for d in range(2, input.ndim):
        if input.shape[d] == 0:
            raise ShapeMismatch("grid_sampler(): expected input to have non-empty spatial "
                                f"dimensions, but input has sizes {shape_text(input.shape)} with "
                                f"dimension {d} being empty")
    if input.shape[0] != grid.shape[0]:
        raise ShapeMismatch("grid_sampler(): expected grid and input to have same batch size, but "
                            f"got input with sizes {shape_text(input.shape)} and grid with sizes "
                            f"{shape_text(grid.shape)}")
    if grid.shape[-1] != count:
        raise ShapeMismatch(f"grid_sampler(): expected grid to have size {count} in last dimension, "
                            f"but got grid with sizes {shape_text(grid.shape)}")
    if count not in (2, 3) or grid.ndim != input.ndim:
        raise ShapeMismatch("grid_sampler(): expected 4D or 5D input and grid with same number of "
                            f"dimensions, but got input with sizes {shape_text(input.shape)} and "
                            f"grid with sizes {shape_text(grid.shape)}")
    if count == 3 and interpolation_mode == BICUBIC:
        raise Argument("grid_sampler(): bicubic interpolation only supports 4D input")
    if input.dtype is not grid.dtype:
        raise DtypeMismatch(f"expected scalar type {input.dtype.scalar_name} but found "
                            f"{grid.dtype.scalar_name}")


def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    check(input, grid, interpolation_mode)
    of = SAMPLERS[input.ndim - 2]
    return of(input, grid, interpolation_mode, padding_mode, align_corners)


def sampler(count):
    label = "grid_sampler_2d_cpu_kernel_impl" if count == 2 else "grid_sampler_3d_cpu"

    def forward(input, grid, interpolation_mode, padding_mode, align_corners):
        only_floats(label, input)
        with no_grad():
            tensors = (torch.from_numpy(a) for a in (input, grid))
            y = sampled(*tensors, interpolation_mode, padding_mode, align_corners)
        return y._array

    def vjp(ct, ins, y, **arguments):
        """The derivatives of `sampled`, of which a graph is made for the purpose."""
        further = state.enabled
        with enable_grad():
            x, places = ins if further else (t.detach().requires_grad_() for t in ins)
            value = sampled(x, places, **arguments)
            wanted = [t for t in (x, places) if t.requires_grad]
            found = grad(value, wanted, ct, create_graph=further, allow_unused=True)
        made = dict(zip(map(id, wanted), found, strict=True))
        return [t.new_zeros(t.shape) if made.get(id(t)) is None else made[id(t)]
                for t in (x, places)]

    return rule(f"grid_sampler_{count}d", forward, inputs=("input", "grid"), vjp=vjp, method=False,
                helper=True, saves=("input", "grid"), node=f"GridSampler{count}DBackward0")


SAMPLERS = {count: sampler(count) for count in (2, 3)}
composite("grid_sampler", grid_sampler, method=False, helper=True)


# ── grids of affine maps ───────────────────────────────────────────────────────────────────────

def base(size, align_corners, dtype):
    """The places of the output's own pixels, x first, then a 1: (*size, d + 1)."""
    along = []
    for n in size:
        places = np.linspace(-1, 1, n) if n > 1 else np.zeros(n)
        along.append(places if align_corners else places * (n - 1) / max(n, 1))
    meshed = np.meshgrid(*along, indexing="ij")[::-1]
    return np.stack([*meshed, np.ones(size)], -1).astype(dtype)


def affine_grid(theta, size, align_corners):
    """theta (N, d, d + 1), size (N, C, *out) -> (N, *out, d): where each output pixel comes from."""
    if len(size) not in (4, 5):
        raise ShapeMismatch("AffineGridGenerator needs 4d (spatial) or 5d (volumetric) inputs.")
    places = base(tuple(size[2:]), align_corners, theta.dtype)
    if theta.shape[0] != size[0]:
        wanted = [size[0], places.shape[-1]]
        raise ShapeMismatch("Expected size for first two dimensions of batch2 tensor to be: "
                            f"{wanted} but got: {[theta.shape[0], theta.shape[2]]}.")
    flat = places.reshape(-1, places.shape[-1])
    return (flat @ np.swapaxes(theta, 1, 2)).reshape(size[0], *size[2:], len(size) - 2)


def affine_grid_vjp(ct, ins, y, size, align_corners):
    places = torch.from_numpy(base(tuple(size[2:]), align_corners, ct._array.dtype))
    flat = places.reshape(-1, places.shape[-1])
    spread = ct.reshape(ct.shape[0], flat.shape[0], ct.shape[-1])
    return [(flat.t() @ spread).transpose(1, 2)]


rule("affine_grid_generator", affine_grid, inputs=("theta",), vjp=affine_grid_vjp, jvp="linear",
     method=False, helper=True)
