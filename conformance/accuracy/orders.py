"""What a formula gives for another order of its sums, where that decides about an overflow.

No norm says in which order a library adds. Where the positive terms of a sum, or the negative
ones, add up to more than the largest number, some order meets an infinity on the way, although the
sum itself may be small; where both do, partial sums of both kinds may meet, and give nan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from conformance.accuracy.formats import Format

# From the sums of the positive and of the negative terms: added apart, or one kind before the
# other. Any other order ends as one of these, or without an infinity on the way.
ORDERS: tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], ...] = (
    lambda plus, minus: plus + minus,
    lambda plus, minus: np.where(np.isinf(plus), plus, plus + minus),
    lambda plus, minus: np.where(np.isinf(minus), minus, plus + minus),
)


@contextmanager
def adding(
    order: Callable[[np.ndarray, np.ndarray], np.ndarray], fmt: Format
) -> Iterator[list[int]]:
    """`np.sum`, with which the reference adds, as if in that order; only where it overflows.

    fmt: the dtype whose largest number counts, though the terms may be carried in a wider one.
    Gives a list that holds, per sum, how many elements of its result the order decides.
    """
    right = np.sum
    decided: list[int] = []

    def sum_(a: Any, *args: Any, **kwargs: Any) -> Any:
        found = right(a, *args, **kwargs)
        terms = np.asarray(a)
        if terms.dtype.kind != "f" or not terms.size:
            return found
        with np.errstate(all="ignore"):
            plus = _up_to(right(np.where(terms > 0, terms, 0), *args, **kwargs), fmt)
            minus = _up_to(right(np.where(terms < 0, terms, 0), *args, **kwargs), fmt)
            finite = [right(terms == of, *args, **kwargs) == 0 for of in (np.inf, -np.inf)]
            overflows = (np.isinf(plus) & finite[0]) | (np.isinf(minus) & finite[1])
            overflows &= right(np.isnan(terms), *args, **kwargs) == 0
            decided.append(int(overflows.sum()))
            return np.where(overflows, order(plus, minus), found)

    np.sum = sum_
    try:
        yield decided
    finally:
        np.sum = right


def _up_to(total: np.ndarray, fmt: Format) -> np.ndarray:
    return np.where(np.abs(total) > fmt.max, np.copysign(np.inf, total), total)
