"""What every oracle gives back, before answers and findings are made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.cases.case import Case


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """One thing compared with another, element by element or as a fact.

    what: "y", "y.1", "ct.self", "dtype", "strides", … — what was compared.
    compared: how many elements or facts; over: boolean mask of what is outside the bound
    (shape of observed; 0-dim for a fact).
    error: worst error in units of the bound, None for a fact. allowed: the bound.
    observed/expected: ndarrays or plain facts.
    points: point word -> mask over the same elements, or True.
    """

    case: Case
    oracle: str
    what: str
    compared: int
    over: np.ndarray
    observed: Any
    expected: Any
    worst: float | None = None
    allowed: float | None = None
    unit: str = ""
    message: str = ""
    points: dict[str, Any] | None = None
