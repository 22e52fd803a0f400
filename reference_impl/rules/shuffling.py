"""Channels into pixels and back: pixel_shuffle, pixel_unshuffle, channel_shuffle.

Shapes: (*, C, H, W), of channel_shuffle (N, C, *).
"""

from reference_impl.errors import Argument, ShapeMismatch, shape_text
from reference_impl.rule import rule


def check_image(name, self, word, factor):
    if self.ndim < 3:
        raise ShapeMismatch(f"{name} expects input to have at least 3 dimensions, but got input "
                            f"with {self.ndim} dimension(s)")
    if factor <= 0:
        raise Argument(f"{name} expects a positive {word}, but got {factor}")


def pixel_shuffle(self, upscale_factor):
    """(*, C r^2, H, W) -> (*, C, H r, W r): r^2 channels become a square of pixels."""
    check_image("pixel_shuffle", self, "upscale_factor", upscale_factor)
    r, first = upscale_factor, self.shape[:-3]
    c, h, w = self.shape[-3:]
    if c % (r * r):
        raise ShapeMismatch("pixel_shuffle expects its input's 'channel' dimension to be divisible "
                            f"by the square of upscale_factor, but input.size(-3)={c} is not "
                            f"divisible by {r * r}")
    n, c = len(first), c // (r * r)
    parts = self.reshape(*first, c, r, r, h, w)
    order = [*range(n), n, n + 3, n + 1, n + 4, n + 2]
    return parts.transpose(order).reshape(*first, c, h * r, w * r)


def pixel_unshuffle(self, downscale_factor):
    """(*, C, H r, W r) -> (*, C r^2, H, W): the way back."""
    check_image("pixel_unshuffle", self, "downscale_factor", downscale_factor)
    r, first = downscale_factor, self.shape[:-3]
    c, h, w = self.shape[-3:]
    for side, n, d in (("height", h, -2), ("width", w, -1)):
        if n % r:
            raise ShapeMismatch(f"pixel_unshuffle expects {side} to be divisible by "
                                f"downscale_factor, but input.size({d})={n} is not divisible by {r}")
    n = len(first)
    parts = self.reshape(*first, c, h // r, r, w // r, r)
    order = [*range(n), n, n + 2, n + 4, n + 1, n + 3]
    return parts.transpose(order).reshape(*first, c * r * r, h // r, w // r)


def channel_shuffle(self, groups):
    """Channels of `groups` groups dealt out in turn: the first of each, then the second, ..."""
    if self.ndim <= 2:
        raise ShapeMismatch("channel_shuffle expects input with > 2 dims, but got input with sizes "
                            f"{shape_text(self.shape)}")
    if groups <= 0:
        raise Argument("Number of groups to divide channels in must be positive. Value of groups:"
                       f"{groups}")
    n, c = self.shape[:2]
    if c % groups:
        raise ShapeMismatch("Number of channels must be divisible by groups. Got "
                            f"{c} channels and {groups} groups.")
    parts = self.reshape(n, groups, c // groups, *self.shape[2:])
    return parts.swapaxes(1, 2).reshape(self.shape)


FACTS = {"inputs": ("self",), "method": False, "helper": True, "jvp": "linear",
         "layout": "input format"}
_shuffle = rule("pixel_shuffle", pixel_shuffle, **FACTS, vjp=lambda ct, ins, y, upscale_factor: [
    _unshuffle(ct, upscale_factor)])
_unshuffle = rule("pixel_unshuffle", pixel_unshuffle, **FACTS,
                  vjp=lambda ct, ins, y, downscale_factor: [_shuffle(ct, downscale_factor)])


def channel_shuffle_vjp(ct, ins, y, groups):
    """Dealt out to C / groups groups, the channels are back."""
    return [_channels(ct, ct.shape[1] // groups if ct.shape[1] else groups)]


_channels = rule("channel_shuffle", channel_shuffle, **FACTS, vjp=channel_shuffle_vjp)
rule("native_channel_shuffle", channel_shuffle, **FACTS, vjp=channel_shuffle_vjp)
