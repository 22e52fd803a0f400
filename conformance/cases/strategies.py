"""Where the choices of a generator come from: a seeded stream, or Hypothesis.

A generator that asks `Draw` for every choice is at once a fast deterministic one (`Seeded`) and a
Hypothesis strategy that shrinks (`drawn`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Draw(Protocol):
    """below(n): a whole number from 0 to n - 1."""

    def below(self, n: int) -> int: ...


class Choices:
    """What is made of `below`."""

    def below(self, n: int) -> int:
        raise NotImplementedError

    def chance(self, percent: int) -> bool:
        return self.below(100) >= 100 - percent

    def pick(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def weighted(self, weights: Mapping[T, int]) -> T:
        """A key, as often as its weight says. Raises ValueError where all weights are zero."""
        place = self.below(sum(weights.values()))
        for key, weight in weights.items():
            if place < weight:
                return key
            place -= weight
        raise ValueError("no choice has a weight")


class Seeded(Choices):
    """The stream of one program of one run: the same for the same seed and number."""

    def __init__(self, seed: int, number: int) -> None:
        self._random = random.Random(seed * 0x9E3779B97F4A7C15 + number).random

    def below(self, n: int) -> int:
        return int(self._random() * n)


class _Drawn(Choices):
    def __init__(self, draw: Callable[..., Any], integers: Callable[..., Any]) -> None:
        self._draw, self._integers = draw, integers

    def below(self, n: int) -> int:
        return self._draw(self._integers(0, n - 1))


def drawn(make: Callable[[Choices], T]) -> Any:
    """A Hypothesis strategy for what `make` makes; it shrinks towards the first choices."""
    from hypothesis import strategies as st  # costs a third of a second, and only tests need it

    @st.composite
    def strategy(draw: Callable[..., Any]) -> T:
        return make(_Drawn(draw, st.integers))

    return strategy()
