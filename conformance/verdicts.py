"""The closed list of verdicts, and the answers and findings that carry them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec


class Verdict(StrEnum):
    """What an answer says, worst first; the order is the order of severity."""

    ERRORED = "ERRORED"
    CRASHED = "CRASHED"
    VACUOUS = "VACUOUS"
    DIVERGES = "DIVERGES"
    STALE_DIVERGENCE = "STALE_DIVERGENCE"
    KNOWN_DIVERGENCE = "KNOWN_DIVERGENCE"
    UNSPECIFIED = "UNSPECIFIED"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    NOT_RUN = "NOT_RUN"
    CONFORMS = "CONFORMS"

    @property
    def severity(self) -> int:
        """0 is worst."""
        return _ORDER[self]

    @property
    def fails_gate(self) -> bool:
        return self in FAILING


_ORDER = {verdict: place for place, verdict in enumerate(Verdict)}
FAILING = frozenset(
    {
        Verdict.ERRORED,
        Verdict.CRASHED,
        Verdict.VACUOUS,
        Verdict.DIVERGES,
        Verdict.STALE_DIVERGENCE,
    }
)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of an answer from those of its cases; none at all is `VACUOUS`."""
    return min(verdicts, key=lambda v: v.severity, default=Verdict.VACUOUS)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One oracle's answer about one operation (or scenario), dtype signature and backend.

    op: operation name, or `scenario:NAME`.
    compared: number of elements or facts compared; 0 only for verdicts that compare nothing.
    worst, allowed: the largest error seen and the bound, in `unit` ("ulp", "dot", "stable",
    "residual", "exact"); None where the oracle compares facts rather than numbers.
    why: one line for a verdict that is not CONFORMS (missing capability, no device, message).
    """

    op: str
    oracle: str
    dtypes: tuple[str, ...]
    backend: str
    verdict: Verdict
    compared: int
    worst: float | None = None
    allowed: float | None = None
    unit: str = ""
    why: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One cause of non-conformance, or one confirmed known divergence.

    id: `op-oracle-dtype-xxxx`; xxxx hashes the cause, not the place in a list, so that it is
    the same in every run that sees the same cause.
    observed, expected: plain JSON values; floats as {"value": "0.5", "hex": "0x1.0p-1"}.
    program: the smallest program text that shows it (see conformance.program).
    where: index of the first differing element in the observed value, () for a scalar fact.
    count: how many cases or elements show the same cause.
    message: the one-line explanation shown to people.
    rule, source, stance: of the divergence that explains it, else "".
    cause: what findings of several dtypes share; see conformance.findings.cluster.
    more_dtypes: the other dtype signatures that show the same cause.
    """

    id: str
    op: str
    oracle: str
    backend: str
    verdict: Verdict
    dtypes: tuple[str, ...]
    points: tuple[str, ...]
    observed: Any
    expected: Any
    program: str
    count: int
    message: str
    what: str = ""
    where: tuple[int, ...] = ()
    layout: str = "contiguous"
    rule: str = ""
    stance: str = ""
    why: str = ""
    source: str = ""
    norm: str = ""
    cause: str = ""
    more_dtypes: tuple[tuple[str, ...], ...] = ()


class Times(msgspec.Struct, kw_only=True):
    """CPU-wall seconds spent inside the library under test, the reference, and elsewhere."""

    library_s: float = 0.0
    reference_s: float = 0.0
    harness_s: float = 0.0

    def __add__(self, other: Times) -> Times:
        return Times(
            library_s=self.library_s + other.library_s,
            reference_s=self.reference_s + other.reference_s,
            harness_s=self.harness_s + other.harness_s,
        )


class UnitResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker sends back for one unit of work.

    records: plain dicts with a "kind" ("scenario_trace", …) for the report; nobody judges them.
    """

    unit: str
    answers: tuple[Answer, ...]
    findings: tuple[Finding, ...]
    times: Times
    records: tuple[dict[str, Any], ...] = ()
