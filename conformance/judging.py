"""Comparisons in, answers and findings out: the one place where verdicts are decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from conformance.accuracy import orders
from conformance.accuracy.formats import real_format
from conformance.accuracy.ulp import round_to, same_bits
from conformance.cases.generate import elementwise
from conformance.findings import finding, groups, points_of, smallest
from conformance.oracles import divergences
from conformance.oracles.base import Comparison, Context
from conformance.oracles.numbers import judge_of
from conformance.specs import Divergence
from conformance.verdicts import Answer, Finding, Verdict, worst

KEYS = {"y": "value", "ct": "vjp", "second": "second"}
MOST_EXAMPLES = 12  # findings per oracle and unit; the rest only count


@dataclass(slots=True)
class Tally:
    """What one divergence entry predicted and what came of it, over all cases of a unit.

    predicted: elements where its prediction differs from the norm; seen: of those, where the
    library did as predicted; norm: where it did as the norm says.
    """

    predicted: int = 0
    seen: int = 0
    norm: int = 0
    example: tuple[Comparison, int, str] | None = None


@dataclass(slots=True)
class Question:
    """Everything about one oracle of the unit."""

    compared: int = 0
    skipped: int = 0
    worst: float | None = None
    allowed: float | None = None
    unit: str = ""
    verdicts: set[Verdict] = field(default_factory=set)
    causes: dict[tuple[str, str, str], list[Any]] = field(default_factory=dict)
    tallies: dict[int, Tally] = field(default_factory=dict)
    open: int = 0
    extremal: tuple[Comparison, int] | None = None
    why: str = ""
    refused: bool = False


class Collector:
    """Takes the comparisons of one unit and gives its answers and findings.

    again: runs a reduced case through the same oracle (see `findings.smallest`).
    """

    def __init__(self, ctx: Context, dtypes: tuple[str, ...], again: Callable[..., Any]) -> None:
        self.ctx, self.dtypes, self.again = ctx, dtypes, again
        self.questions: dict[str, Question] = {}
        self._speaking: dict[tuple[str, tuple[str, ...], str], list[tuple[int, Divergence]]] = {}
        self.errors: list[Finding] = []  # of the harness or the adapter, not of the library

    def expect(self, oracle: str) -> Question:
        """Say that an oracle will be asked: with nothing compared it will be VACUOUS."""
        return self.questions.setdefault(oracle, Question())

    def verdict(self, oracle: str, verdict: Verdict, why: str) -> None:
        """A verdict that compares nothing: NOT_APPLICABLE, ERRORED, …"""
        question = self.expect(oracle)
        question.verdicts.add(verdict)
        question.why = why

    def add(self, comparisons: Iterable[Comparison]) -> None:
        for comparison in comparisons:
            self._add(comparison)

    def _add(self, c: Comparison) -> None:
        q = self.expect(c.oracle)
        q.compared += c.compared
        q.skipped += c.skipped
        q.refused |= c.is_fact and c.category == "raised"
        entries = self._entries(c.oracle, c.sample.case.dtypes, c.what)
        if c.is_fact and not entries and not c.over:
            return
        left = np.asarray(c.over)
        for number, entry in entries:
            left = self._apply(q, number, entry, c, left)
        if left.any() and not c.is_fact and not c.category:
            left = self._extremal(q, c, left)
        self._measure(q, c, np.asarray(c.over) & ~left)
        if left.any():
            q.verdicts.add(Verdict.DIVERGES)
            self._note(q, c, left)

    @staticmethod
    def _measure(q: Question, c: Comparison, explained: np.ndarray) -> None:
        """The worst finite error, relative to its bound, of what no prediction explains."""
        if c.unit == "exact" and q.worst is None:
            q.worst, q.allowed, q.unit = 0.0, 0.0, "exact"
        if c.errors is None or c.unit == "exact":
            return
        counted = np.isfinite(c.errors) & ~explained
        worst_ = float(np.max(c.errors, initial=0.0, where=counted))
        now = worst_ / max(c.allowed or 1, 1e-9)
        if q.worst is None or q.unit == "exact" or now > q.worst / max(q.allowed or 1, 1e-9):
            q.worst, q.allowed, q.unit = worst_, c.allowed, c.unit

    def _entries(
        self, oracle: str, dtypes: tuple[str, ...], what: str
    ) -> list[tuple[int, Divergence]]:
        """The entries of the table that speak about such a comparison, with their numbers."""
        key = (oracle, dtypes, what)
        if key not in self._speaking:
            name, version = self.ctx.backend.name, self.ctx.backend.version
            self._speaking[key] = [
                (i, e)
                for i, e in enumerate(self.ctx.op.divergence)
                if divergences.holds_for(e, name, version, oracle, dtypes, what)
            ]
        return self._speaking[key]

    def _apply(
        self, q: Question, number: int, entry: Divergence, c: Comparison, left: np.ndarray
    ) -> np.ndarray:
        """Hold the comparison to one divergence entry; returns what it does not explain."""
        masks = points_of(self.ctx, c, entry.points)
        named = np.zeros(np.shape(c.over), bool)
        for mask in masks.values():
            named = named | mask
        if not named.any():
            return left
        tally = q.tallies.setdefault(number, Tally())
        prediction = divergences.Prediction(self.ctx, c)
        predicted = np.zeros(named.shape, bool)
        seen = np.zeros(named.shape, bool)
        by_rule = ""
        for word in entry.rules:
            if c.is_fact and word not in divergences.OF_FACTS:
                continue  # it speaks of numbers, and this is a refusal
            value = divergences.RULES[word](prediction)
            if isinstance(value, str) and not c.is_fact:
                continue  # it speaks of a refusal, and these are numbers
            agrees = self._agrees(c, value, c.observed)
            differs = ~self._agrees(c, c.expected, self._as_observed(c, value))
            predicted |= named & differs
            hit = named & differs & agrees
            if hit.any() and not by_rule:
                by_rule = word
            seen |= hit
        if "as_norm" in entry.rules:
            predicted &= seen
        explained = left & seen
        tally.predicted += int(predicted.sum())
        tally.seen += int(seen.sum())
        tally.norm += int((predicted & ~seen & ~np.asarray(c.over)).sum())
        if explained.any() and tally.example is None:
            tally.example = (c, int(np.flatnonzero(explained.reshape(-1))[0]), by_rule)
        return left & ~explained

    def _extremal(self, q: Question, c: Comparison, left: np.ndarray) -> np.ndarray:
        """Elements where an intermediate result leaves the range of the dtype: UNSPECIFIED.

        No norm promises a result whose intermediate results overflow or vanish (PyTorch's notes
        on numerical accuracy, "Extremal values", say so outright). It is a prediction all the
        same: what enters the element is finite, the norm's own formula, rounded step by step in
        the dtype, gives nan, an infinity or zero (or loses digits to the subnormal range), and
        the library shows just that; or the formula gives just that nan or infinity in another
        order of its sums (see `orders`). Returns what is left to explain.
        """
        if c.observed.dtype.kind in "biu":
            return left
        if elementwise(self.ctx.op):
            masks = points_of(self.ctx, c, ("nan", "inf", "huge"))
            eligible = left & ~masks["nan"] & (~masks["inf"] | masks["huge"])
        else:  # what is not finite somewhere in the inputs has not reached a finite element
            eligible = left & np.isfinite(c.expected)
        explained = np.zeros(left.shape, bool)
        fmt = real_format(c.sample.expected.common)
        prediction = divergences.Prediction(self.ctx, c)
        if eligible.any():
            native = np.asarray(divergences.formula_in_dtype(prediction))
            with np.errstate(all="ignore"):
                lost = ~np.isfinite(native) | (native == 0) | (np.abs(c.expected) < 4 * fmt.tiny)
                same = (native == c.observed) | (~np.isfinite(native) & ~np.isfinite(c.observed))
            # where the formula in the dtype gives what the norm says, nothing excuses the library
            lost &= ~self._agrees(c, c.expected, self._as_observed(c, native))
            explained = eligible & lost & (same | self._agrees(c, native, c.observed))
        if not elementwise(self.ctx.op):
            for order in orders.ORDERS:
                open_ = left & ~explained & ~np.isfinite(c.observed)
                if not open_.any():
                    break
                with orders.adding(order, fmt) as decided:
                    native = np.asarray(divergences.formula_in_dtype(prediction))
                if not any(decided):
                    break
                explained |= open_ & same_bits(c.observed, self._as_observed(c, native))
        if explained.any():
            q.open += int(explained.sum())
            q.verdicts.add(Verdict.UNSPECIFIED)
            if q.extremal is None:
                q.extremal = (c, int(np.flatnonzero(explained.reshape(-1))[0]))
        return left & ~explained

    def _agrees(self, c: Comparison, want: Any, got: Any) -> np.ndarray:
        """Where `got` is within the comparison's own bound of `want`."""
        if c.is_fact:
            return np.asarray(got == want)
        if c.oracle == "determinism" or c.category in ("position", "bits"):
            return ~np.asarray(c.over)
        kind = c.what.split(".")[0]
        judge = judge_of(self.ctx, c.sample, KEYS[kind])
        place = divergences.Prediction(self.ctx, c).place()
        return ~np.asarray(judge.judge(place, np.asarray(got), np.asarray(want)).over)

    @staticmethod
    def _as_observed(c: Comparison, value: Any) -> Any:
        if c.is_fact:
            return value
        value = np.asarray(value)
        return value if value.dtype == c.observed.dtype else round_to(value, c.observed.dtype.name)

    def _note(self, q: Question, c: Comparison, left: np.ndarray) -> None:
        for (category, point), places in groups(self.ctx, c, left).items():
            key = (c.what, category, point)
            if key in q.causes:
                q.causes[key][2] += len(places)
            else:
                q.causes[key] = [c, self._worst_place(c, places), len(places)]

    @staticmethod
    def _worst_place(c: Comparison, places: list[int]) -> int:
        """The shortest inputs make the clearest example; the first place is deterministic."""
        return places[0]

    # what comes out --------------------------------------------------------------------

    def finish(self) -> tuple[list[Answer], list[Finding]]:
        answers, findings = [], list(self.errors)
        value = self.questions.get("value", Question())
        for oracle, q in self.questions.items():
            if value.refused and not q.compared and not q.verdicts:
                q.verdicts.add(Verdict.NOT_APPLICABLE)
                q.why = "the call is refused, which is the value oracle's question"
            findings += self._divergence_findings(oracle, q)
            findings += self._cause_findings(q)
            findings += self._open_findings(oracle, q)
            verdict = self._verdict(q)
            answers.append(
                Answer(
                    op=self.ctx.op.name,
                    oracle=oracle,
                    dtypes=self.dtypes,
                    backend=self.ctx.backend.name,
                    verdict=verdict,
                    compared=q.compared,
                    worst=q.worst,
                    allowed=q.allowed,
                    unit=q.unit,
                    why=q.why or (f"{q.skipped} elements left open by the bound" if q.skipped else ""),
                )
            )
        return answers, findings

    @staticmethod
    def _verdict(q: Question) -> Verdict:
        verdicts = set(q.verdicts)
        if q.compared:
            verdicts.add(Verdict.CONFORMS)
        return worst(verdicts)

    def _cause_findings(self, q: Question) -> list[Finding]:
        found = []
        for (_, category, point), (c, place, count) in list(q.causes.items())[:MOST_EXAMPLES]:
            reduced, where = smallest(
                self.ctx, c, place, lambda case, cts, o=c.oracle: self.again(o, case, cts)
            )
            found.append(
                finding(
                    self.ctx, reduced, where, verdict=Verdict.DIVERGES, category=category,
                    point=point, count=count,
                )
            )  # fmt: skip
        return found

    def _open_findings(self, oracle: str, q: Question) -> list[Finding]:
        if q.extremal is None:
            return []
        q.why = q.why or f"{q.open} elements whose intermediate results leave the dtype's range"
        c, place = q.extremal
        reduced, where = smallest(
            self.ctx, c, place, lambda case, cts, o=oracle: self.again(o, case, cts)
        )
        found = finding(
            self.ctx, reduced, where, verdict=Verdict.UNSPECIFIED, category="extremal values",
            point="", count=q.open, rule="formula_in_dtype",
        )  # fmt: skip
        why = "an intermediate result leaves the range of the dtype; no norm promises the rest"
        source = "https://docs.pytorch.org/docs/2.13/notes/numerical_accuracy.html#extremal-values"
        return [msgspec.structs.replace(found, stance="unspecified", why=why, source=source)]

    def _divergence_findings(self, oracle: str, q: Question) -> list[Finding]:
        found = []
        for number, tally in q.tallies.items():
            entry = self.ctx.op.divergence[number]
            if not tally.predicted:
                continue
            if tally.seen == 0:
                verdict = Verdict.STALE_DIVERGENCE
                q.why = f"divergence {entry.rule!r} predicts {tally.predicted} elements, none seen"
            elif tally.norm:
                verdict = Verdict.DIVERGES
                q.why = (
                    f"divergence {entry.rule!r}: {tally.seen} elements as predicted, "
                    f"{tally.norm} at the same points as the norm says"
                )
            elif entry.stance == "unspecified":
                verdict = Verdict.UNSPECIFIED
            else:
                verdict = Verdict.KNOWN_DIVERGENCE
            q.verdicts.add(verdict)
            if tally.example is not None:
                c, place, word = tally.example
                reduced, where = smallest(
                    self.ctx, c, place, lambda case, cts, o=oracle: self.again(o, case, cts)
                )
                found.append(
                    finding(
                        self.ctx, reduced, where, verdict=verdict, category=word,
                        point=",".join(entry.points), count=tally.seen, rule=word, entry=entry,
                    )
                )  # fmt: skip
        return found
