"""Padding: chapter "Padding" of torch.nn.functional.

`pad` lists, from the last dimension on, how much to add before and behind; negative numbers cut
off. Every mode but the constant one reads each element of the result from one of the input, so it
is a choice of indices per dimension, and its gradient adds up what went to one place.
"""

import numpy as np

from reference_impl.creation import zeros
from reference_impl.data import tensor
from reference_impl.errors import Argument, NotImplementedFor, ShapeMismatch, shape_text
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.scalars import number_as


def pairs(pad, ndim):
    """(before, behind) of each dimension, the first dimension first."""
    got = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    return [(0, 0)] * (ndim - len(got)) + got[::-1]


def constant_pad_nd(self, pad, value=0):
    """Raises Argument, ShapeMismatch for a pad that does not fit or leaves less than nothing."""
    if len(pad) % 2:
        raise Argument("Length of pad must be even but instead it equals "
                       f"{len(pad)}")
    if len(pad) // 2 > self.ndim:
        raise Argument("Length of pad should be no more than twice the number of dimensions of the "
                       f"input. Pad length is {len(pad)} while the input has {self.ndim} "
                       "dimensions.")
    each = pairs(pad, self.ndim)
    size = tuple(n + a + b for n, (a, b) in zip(self.shape, each, strict=True))
    if min(size, default=0) < 0:
        raise ShapeMismatch("narrow(): length must be non-negative.")
    out = np.full(size, number_as(value, self.dtype), self.dtype)
    inner = tuple(slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(size, each, strict=True))
    kept = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(self.shape, each,
                                                                        strict=True))
    out[inner] = self[kept]
    return out


rule("constant_pad_nd", constant_pad_nd, inputs=("self",), method=False, helper=True,
     layout="input format",
     vjp=lambda ct, ins, y, pad, value: [OPERATIONS["constant_pad_nd"].function(
         ct, [-p for p in pad])],
     jvp=lambda t, ins, y, pad, value: OPERATIONS["constant_pad_nd"].function(t[0], pad))

# --- by indices: which element of the input stands where ---


def mirrored(n, before, behind):
    """A reflection at the first and the last element, neither of which is repeated."""
    at = np.abs(np.arange(-before, n + behind))
    return np.where(at >= n, 2 * (n - 1) - at, at)


def repeated(n, before, behind):
    return np.clip(np.arange(-before, n + behind), 0, n - 1)


def around(n, before, behind):
    """What is left after cutting, and then its other end."""
    kept = np.arange(max(-before, 0), n - max(-behind, 0))
    return np.concatenate([kept[len(kept) - max(before, 0):], kept, kept[:max(behind, 0)]])


INDICES = {"reflect": mirrored, "replicate": repeated, "circular": around}
NAMES = {"reflect": "reflection_pad", "replicate": "replication_pad"}
NODES = {"reflect": "ReflectionPad{}DBackward0", "replicate": "ReplicationPad{}DBackward0"}
AXES = {1: "W", 2: "H W", 3: "D H W"}


def check_size(x, mode, each):
    """Raises ShapeMismatch, NotImplementedFor for an input that cannot be padded so."""
    count = len(each)
    if mode == "circular":
        for d, (before, behind) in enumerate(each, x.ndim - count):
            if max(before, behind) > x.shape[d]:
                raise ShapeMismatch("Padding value causes wrapping around more than once.")
            if before + behind + x.shape[d] < 0:
                raise ShapeMismatch("Negative padding value is resulting in an empty dimension")
        return
    if 0 in x.shape[x.ndim - count - 1:]:
        raise ShapeMismatch(f"Expected {count + 1}D or {count + 2}D (batch mode) tensor with "
                            "possibly 0 batch size and other non-zero dimensions for input, but "
                            f"got: {shape_text(x.shape)}")
    if x.dtype.kind == "b":
        raise NotImplementedFor(f"\"{NAMES[mode]}{count}d\" not implemented for 'Bool'")
    for d, both in enumerate(each, x.ndim - count):
        if mode == "reflect" and max(both) >= x.shape[d]:
            raise ShapeMismatch(
                f"Argument #{4 + 2 * (x.ndim - 1 - d)}: Padding size should be less than the "
                f"corresponding input dimension, but got: padding ({both[0]}, {both[1]}) at "
                f"dimension {d} of input {shape_text(x.shape)}")
    sizes = [n + a + b for n, (a, b) in zip(x.shape[-count:], each, strict=True)]
    if min(sizes) < 1:
        given, made = (", ".join(f"{a}: {n}" for a, n in zip(AXES[count].split(), ns, strict=True))
                       for ns in (x.shape[-count:], sizes))
        raise ShapeMismatch(f"input ({given}) is too small. Calculated output {made}")


def indexed(self, pad, mode):
    """The elements of self at the places that `mode` chooses, dimension by dimension."""
    each = pairs(pad, len(pad) // 2)
    check_size(self, mode, each)
    out = self
    for d, both in zip(range(-len(each), 0), each, strict=True):
        out = np.take(out, INDICES[mode](self.shape[d], *both), axis=d)
    return out


def indexed_vjp(ct, ins, y, pad, mode):
    each, size = pairs(pad, len(pad) // 2), ins[0].shape
    out = ct
    for d, both in zip(range(-1, -len(each) - 1, -1), each[::-1], strict=True):
        shape = list(out.shape)
        shape[d] = size[d]
        at = tensor(INDICES[mode](size[d], *both))
        out = zeros(*shape, dtype=ct.dtype).index_add(d, at, out)
    return [out]


_indexed = rule("_pad_by_index", indexed, inputs=("self",), method=False, layout=lambda pad, mode:
                "contiguous" if mode == "circular" else "input format", jvp="linear",
                node=lambda pad, mode: NODES[mode].format(len(pad) // 2) if mode in NODES
                else "CopySlices", vjp=indexed_vjp)


def pad(input, pad, mode="constant", value=None):
    """torch.nn.functional.pad. Raises Argument, ShapeMismatch, NotImplementedError."""
    pad = tuple(pad)
    if len(pad) % 2:
        raise Argument("Padding length must be divisible by 2")
    if len(pad) > 2 * input.ndim:
        raise Argument("Padding length should be less than or equal to two times the input "
                       f"dimension but got padding length {len(pad)} and input of dimension "
                       f"{input.ndim}")
    if mode == "constant":
        return OPERATIONS["constant_pad_nd"].function(input, pad, 0.0 if value is None else value)
    if mode not in INDICES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value:
        raise Argument(f'Padding mode "{mode}" doesn\'t take in value argument')
    if not 1 <= len(pad) // 2 <= 3 or input.ndim - len(pad) // 2 not in (1, 2):
        raise NotImplementedError(f"Padding size {len(pad)} is not supported for {input.ndim}D "
                                  "input tensor.")
    return _indexed(input, pad, mode)


composite("pad", pad, method=False, function=False, helper=True)
