"""torch.nn.functional, chapter "Vision functions"."""

import warnings

from reference_impl.errors import ArgumentType, ArgumentValue
from reference_impl.nn.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from reference_impl.rule import OPERATIONS

__all__ = ["affine_grid", "channel_shuffle", "grid_sample", "interpolate", "native_channel_shuffle",
           "pixel_shuffle", "pixel_unshuffle", "upsample", "upsample_bilinear", "upsample_nearest"]


def op(name):
    return OPERATIONS[name].function


pixel_shuffle, pixel_unshuffle, channel_shuffle, native_channel_shuffle = (op(name) for name in (
    "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle"))

# ── interpolate ────────────────────────────────────────────────────────────────────────────────

AREA = {3: adaptive_avg_pool1d, 4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}
WITHOUT_CORNERS = {
    "nearest": {d: f"upsample_nearest{d - 2}d" for d in AREA},
    "nearest-exact": {d: f"_upsample_nearest_exact{d - 2}d" for d in AREA}}
WITH_CORNERS = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5, "lanczos": 4}


def _per_dimension(value, word, input, shown):
    """One value for each spatial dimension. Raises ArgumentValue for another number of them."""
    count = input.ndim - 2
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ArgumentValue(
            f"Input and {shown} must have the same number of spatial dimensions, but got input with "
            f"spatial dimensions of {list(input.shape[2:])} and {word} {value}. Please provide "
            f"input tensor in (N, C, d1, d2, ...,dK) format and "
            + ("output size in (o1, o2, ...,oK) format." if shown == "output" else
               "scale_factor in (s1, s2, ...,sK) format."))
    return list(value)


def _targets(input, size, scale_factor, recompute):
    """(output size, scale factors), of which one is None."""
    if size is not None and scale_factor is not None:
        raise ArgumentValue("only one of size or scale_factor should be defined")
    if size is not None:
        if recompute:
            raise ArgumentValue("recompute_scale_factor is not meaningful with an explicit size.")
        out = _per_dimension(size, "output size of", input, "output")
        if not all(isinstance(n, int) for n in out):
            raise ArgumentType("expected size to be one of int or Tuple[int] or Tuple[int, int] or "
                               f"Tuple[int, int, int], but got size with types "
                               f"{[type(n) for n in out]}")
        return out, None
    if scale_factor is None:
        raise ArgumentValue("either size or scale_factor should be defined")
    factors = _per_dimension(scale_factor, "scale_factor of shape", input, "scale_factor")
    if recompute:
        return [int(n * f) for n, f in zip(input.shape[2:], factors, strict=True)], None
    return None, factors


def interpolate(input, size=None, scale_factor=None, mode="nearest", align_corners=None,
                recompute_scale_factor=None, antialias=False):
    """The image (N, C, *) at another size. Raises ArgumentValue, ArgumentType."""
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ArgumentValue("align_corners option can only be set with the interpolating modes: "
                            "linear | bilinear | bicubic | trilinear")
    recompute = recompute_scale_factor or (mode == "area" and size is None)
    out, factors = _targets(input, size, scale_factor, recompute)
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.ndim == 4):
        raise ArgumentValue("Anti-alias option is restricted to bilinear, bicubic, and lanczos "
                            "modes and requires a 4-D tensor as input")
    if mode == "area" and input.ndim in AREA:
        return AREA[input.ndim](input, out)
    if mode in WITHOUT_CORNERS and input.ndim in AREA:
        return op(WITHOUT_CORNERS[mode][input.ndim])(input, out, factors)
    if WITH_CORNERS.get(mode) == input.ndim:
        if mode == "lanczos" and (align_corners or not antialias):
            raise ArgumentValue("Lanczos mode does not support align_corners=True" if align_corners
                                else "Lanczos mode requires antialias=True")
        name = f"upsample_{mode}{input.ndim - 2}d"
        return op(f"_{name}_aa" if antialias else name)(input, out, bool(align_corners), factors)
    if input.ndim in AREA and mode in ("linear", "bilinear", "trilinear"):
        raise NotImplementedError(f"Got {input.ndim}D input, but {mode} mode needs "
                                  f"{WITH_CORNERS[mode]}D input")
    raise NotImplementedError(
        f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.ndim}D) for the modes: "
        "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact "
        f"(got {mode})")


def _deprecated(name, instead):
    warnings.warn(f"`nn.functional.{name}` is deprecated. Use `nn.functional.{instead}` instead.",
                  UserWarning, stacklevel=3)


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    _deprecated("upsample", "interpolate")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    _deprecated("upsample_nearest", "interpolate")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input, size=None, scale_factor=None):
    _deprecated("upsample_bilinear", "interpolate")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


# ── grids ──────────────────────────────────────────────────────────────────────────────────────

MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")


def _corners(align_corners):
    if align_corners is None:
        warnings.warn("Default grid_sample and affine_grid behavior has changed to "
                      "align_corners=False since 1.3.0. Please specify align_corners=True if the "
                      "old behavior is desired. See the documentation of grid_sample for details.",
                      UserWarning, stacklevel=3)
    return bool(align_corners)


def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """input (N, C, *size) read at the places of grid (N, *out, d). Raises ArgumentValue."""
    if mode not in MODES:
        raise ArgumentValue("nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' "
                            f"or 'bicubic', but got: '{mode}'")
    if padding_mode not in PADDINGS:
        raise ArgumentValue("nn.functional.grid_sample(): expected padding_mode to be 'zeros', "
                            f"'border', or 'reflection', but got: '{padding_mode}'")
    return op("grid_sampler")(input, grid, MODES.index(mode), PADDINGS.index(padding_mode),
                              _corners(align_corners))


def affine_grid(theta, size, align_corners=None):
    """The grid for grid_sample that maps by theta (N, d, d + 1). Raises ArgumentValue."""
    align_corners = _corners(align_corners)
    if not theta.is_floating_point():
        raise ArgumentValue(f"Expected theta to have floating point type, but got {theta.dtype}")
    d = len(size) - 2
    if d not in (2, 3):
        raise NotImplementedError("affine_grid only supports 4D and 5D sizes, for 2D and 3D affine "
                                  f"transforms, respectively. Got size {size}.")
    if theta.ndim != 3 or theta.shape[1:] != (d, d + 1):
        raise ArgumentValue(f"Expected a batch of {d}D affine matrices of shape Nx{d}x{d + 1} for "
                            f"size {size}. Got {theta.shape}.")
    if align_corners and min(size[2:]) == 1:
        warnings.warn("Since version 1.3.0, affine_grid behavior has changed for unit-size grids "
                      "when align_corners=True. This is not an intended use case of affine_grid. "
                      "See the documentation of affine_grid for details.", UserWarning, stacklevel=2)
    elif min(size) <= 0:
        raise ArgumentValue(f"Expected non-zero, positive output size. Got {size}")
    return op("affine_grid_generator")(theta, size, align_corners)
