"""What oracles look at and what they give back, before answers and findings are made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conformance.accuracy.bounds import Bound
from conformance.accuracy.expected import Expectation, Expected
from conformance.accuracy.formats import is_complex
from conformance.cases.case import Case
from conformance.observation import Evaluation
from conformance.specs import OpSpec


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """One operation on one backend.

    backend: the library under test; reference: a backend over `reference_impl`;
    expectation: expected results under this library's promotion rules.
    """

    op: OpSpec
    backend: Any
    reference: Any
    expectation: Expectation

    def bound(self, key: str, dtype: str = "") -> Bound:
        """The table's bound for "value", "vjp" or "second" in a dtype.

        Complex products and quotients are not correctly rounded part by part even where real
        ones are: `complex` in the table is the bound for those, for values and cotangents.
        """
        if key == "second" and "second" not in self.op.bound:
            return second_order_bound(self.bound("vjp", dtype))
        if is_complex(dtype) and "complex" in self.op.bound:
            return Bound.parse(self.op.bound["complex"])
        return Bound.parse(self.op.bound.get(key, "exact"))


def second_order_bound(vjp: Bound) -> Bound:
    """The derivative of a formula with C roundings has at most 4 C (Baur & Strassen 1983).

    An exact or ulp-bounded vjp is a formula of at most K roundings.
    """
    roundings = vjp.factor if vjp.kind in ("stable", "product", "log", "ulp") else 1
    if vjp.kind == "dot":
        return vjp
    return Bound("log" if vjp.kind == "log" else "stable", factor=4 * max(roundings, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One case, what the backend answered, and what the norm says.

    cotangents: one per output, None for outputs without gradient; None if no vjp was asked.
    program: the text that was run, when the case is a program rather than one call.
    """

    case: Case
    seen: Evaluation
    expected: Expected
    cotangents: list[np.ndarray | None] | None = None
    second: list[np.ndarray | None] | None = None
    program: str = ""
    judges: dict[str, Any] = field(default_factory=dict, repr=False)  # see `numbers.judge_of`


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """One thing compared with another, element by element or as a fact.

    what: "y", "y.1", "ct.self", "dtype", "strides", … - what was compared.
    compared: how many elements or facts were compared. over: boolean mask of what is outside
    the bound; 0-dim for a fact. observed, expected: ndarrays of the mask's shape (expected in
    the wide dtype), or plain facts.
    errors, allowed, unit: error of each element and the bound; None for facts.
    skipped: elements on which the bound promises nothing.
    category: what kind of difference this would be, for clustering ("raised", "dtype", …);
    "" lets the numbers decide.
    line: observed and expected in words, for facts.
    """

    sample: Sample
    oracle: str
    what: str
    compared: int
    over: np.ndarray
    observed: Any
    expected: Any
    errors: np.ndarray | None = None
    allowed: float | None = None
    unit: str = ""
    skipped: int = 0
    category: str = ""

    @property
    def is_fact(self) -> bool:
        return not isinstance(self.observed, np.ndarray)


Comparisons = Iterator[Comparison]


def fact(
    sample: Sample, oracle: str, what: str, observed: Any, expected: Any, category: str = ""
) -> Comparison:
    """A comparison of two plain facts: equal or not."""
    return Comparison(
        sample=sample,
        oracle=oracle,
        what=what,
        compared=1,
        over=np.asarray(observed != expected),
        observed=observed,
        expected=expected,
        category=category or what,
    )
