"""How one logical array may lie in memory: storages, strides and offsets, in elements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """storage: 1-d ndarray; the element at index i lies at offset + sum(i * strides)."""

    storage: np.ndarray
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides in elements; a dimension of size 0 counts as 1 (as torch does)."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def applies(layout: str, shape: tuple[int, ...]) -> bool:
    """Whether the layout differs from contiguous for this shape (else it tests nothing)."""
    if layout in ("contiguous", "offset"):
        return True
    if 0 in shape or not shape:
        return False
    if layout == "strided":
        return True
    if layout in ("transposed", "reversed_dims"):
        return len(shape) >= 2 and min(shape[-2:]) > 1
    if layout == "expanded":
        return shape[0] > 1
    raise KeyError(layout)


def place(data: np.ndarray, layout: str) -> Placement:
    """A storage whose view of that layout holds `data`; gaps are filled with other numbers.

    data: any shape, C order. For "expanded" the first slice is what every slice holds, so the
    caller must have made the slices of `data` equal.
    Raises KeyError for an unknown layout.
    """
    shape = data.shape
    if layout == "contiguous" or not applies(layout, shape):
        return Placement(data.reshape(-1).copy(), shape, contiguous_strides(shape), 0)
    if layout == "offset":
        storage = np.concatenate([_filler(data, 3), data.reshape(-1), _filler(data, 2)])
        return Placement(storage, shape, contiguous_strides(shape), 3)
    if layout == "strided":
        storage = np.repeat(data.reshape(-1), 2)
        storage[1::2] = _filler(data, data.size)
        return Placement(storage, shape, tuple(2 * s for s in contiguous_strides(shape)), 0)
    if layout in ("transposed", "reversed_dims"):
        order = list(range(data.ndim))
        order = order[::-1] if layout == "reversed_dims" else [*order[:-2], order[-1], order[-2]]
        turned = np.ascontiguousarray(data.transpose(order))
        inner = contiguous_strides(turned.shape)
        strides = [0] * data.ndim
        for place_, dim in enumerate(order):
            strides[dim] = inner[place_]
        return Placement(turned.reshape(-1), shape, tuple(strides), 0)
    if layout == "expanded":
        inner = contiguous_strides(shape[1:])
        return Placement(data[0].reshape(-1).copy(), shape, (0, *inner), 0)
    raise KeyError(layout)


def _filler(data: np.ndarray, count: int) -> np.ndarray:
    """Numbers that would be noticed if they were read: 99 where the dtype holds it."""
    return np.full(count, 1 if data.dtype == np.bool_ else 99).astype(data.dtype)
