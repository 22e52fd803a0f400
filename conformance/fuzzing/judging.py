"""One program on two libraries: made on the reference, repeated on the other, compared.

`Pair.play` is the fast way for programs that agree, `Pair.differences` the thorough one.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from conformance.backends.protocol import Backend, NotExpressible, UnmappedError
from conformance.backends.session import Unbound, run_program
from conformance.cases.strategies import Choices
from conformance.fuzzing.building import Build
from conformance.fuzzing.running import Runner, is_raised, unlike
from conformance.fuzzing.steps import fill
from conformance.fuzzing.text import program_of
from conformance.oracles.traces import Difference, compare, unchanged_after_errors
from conformance.plain import words
from conformance.program import Program, ProgramError, Step
from conformance.specs import OpSpec


@dataclass(slots=True)
class Played:
    """suspect: what the fast comparison saw, "" for nothing; else `differences` decides."""

    steps: list[Step]
    kinds: Counter[str]
    raised: Counter[str]
    suspect: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The first difference of a program. cause: the same for programs that fail alike."""

    program: Program
    line: int
    observable: str
    observed: str
    expected: str
    cause: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.observable} = {self.observed}, expected {self.expected}"


class Pair:
    """reference: on which programs are made. library: what is held to it."""

    def __init__(self, reference: Backend, library: Backend, ops: Mapping[str, OpSpec]) -> None:
        self.reference, self.library, self.ops = reference, library, ops
        self.inexact = frozenset(
            name.partition(".")[0]
            for name, op in ops.items()
            if set(op.bound.values()) != {"exact"}
        )

    def runner(self, backend: Backend) -> Runner:
        return Runner(backend.session(self.ops).verbs)  # type: ignore[attr-defined]

    def play(self, draw: Choices, steps: int) -> Played:
        """Make a program of up to so many steps, and run it on both."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            match = _Match(self.runner(self.reference), self.runner(self.library), caught, self)
            build = Build(match.ours, self.ops, draw, smooth=draw.chance(20))
            build.after = match.step
            try:
                fill(build, 3 + draw.below(max(1, steps - 2)))
            except UnmappedError:  # of the reference: the last step shows it
                match.suspect = "error"
        return Played(build.steps, build.kinds, Counter(build.raised), match.suspect)

    def make(self, draw: Choices, steps: int) -> Build:
        """The same program as `play` makes, on the reference alone."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            build = Build(self.runner(self.reference), self.ops, draw, smooth=draw.chance(20))
            fill(build, 3 + draw.below(max(1, steps - 2)))
        return build

    def survives(self, program: Program) -> None:
        """Run it on the library, whatever it answers."""
        with suppress(UnmappedError, NotExpressible, ProgramError):
            run_program(self.library, program, (), self.ops)

    def differences(self, program: Program) -> list[Difference]:
        """All that differs in the whole traces. Raises UnmappedError, NotExpressible and
        ProgramError.

        A backward pass that is refused midway has given some gradients already, in torch as in
        the reference: what a refusal changes in both alike is held to the reference only.
        """
        want = run_program(self.reference, program, (), self.ops)
        got = run_program(self.library, program, (), self.ops)
        found = compare(got, want, program, self.ops, self.library.capabilities).differences
        halves = {(d.line, d.observable) for d in unchanged_after_errors(want).differences}
        return found + [
            d
            for d in unchanged_after_errors(got).differences
            if (d.line, d.observable) not in halves
        ]

    def failure(self, steps: Sequence[Step]) -> Failure | None:
        """What is wrong with the program, or None."""
        program = program_of(steps)
        try:
            found = self.differences(program)
        except (UnmappedError, NotExpressible, ProgramError) as error:
            if isinstance(error, ProgramError) and len(steps) > 1:
                return self.failure(steps[:-1])  # another number of results: what came before?
            text = f"{type(error).__name__}: {error}"
            return Failure(program, len(program.steps), "error", text, "an answer", text[:60])
        if not found:
            return None
        first = min(found, key=lambda d: (d.line or len(program.text), _rank(d.observable)))
        step = next((s for s in program.steps if s.line == first.line), None)
        return Failure(
            program, first.line, first.observable, words(first.observed), words(first.expected),
            cause_of(first, step.callee if step else ""),
        )  # fmt: skip


def _rank(observable: str) -> int:
    """Refusals before facts, facts before values: what comes first explains the rest."""
    if observable in ("raised", "lines", "variables"):
        return 0
    return 1 if "." in observable or observable == "memory" else 2


def cause_of(difference: Difference, callee: str) -> str:
    """What programs that fail alike have in common: "backward: .grad", "view: raised a, not b"."""
    if difference.observable == "raised":
        ours, theirs = difference.expected or "nothing", difference.observed or "nothing"
        return f"{callee}: raised {theirs}, not {ours}"
    _, dot, rest = difference.observable.partition(".")
    if difference.observable in ("memory", "lines", "variables", "warnings"):
        return f"{callee}: {difference.observable}"
    return f"{callee}: .{rest}" if dot else f"{callee}: value"


@dataclass(slots=True)
class _Match:
    """Repeats every step of the reference on the library."""

    ours: Runner
    theirs: Runner
    caught: list[Any]
    pair: Pair
    suspect: str = ""
    rounded: bool = False
    before: dict[str, Any] = field(default_factory=dict)

    def step(self, step: Step, result: Any, bound: dict[str, object]) -> None:
        """Called after each step of the reference; the first that is unlike ends the repetition."""
        if not self.suspect:
            self.suspect = self._unlike(step, result, bound)

    def _unlike(self, step: Step, result: Any, bound: dict[str, object]) -> str:
        if step.callee in self.pair.inexact or self.pair.inexact & _nested(step):
            self.rounded = True
        try:
            got = self.theirs.step(step)
            if is_raised(got) or is_raised(result):
                if not (is_raised(got) and is_raised(result) and got.kind == result.kind):
                    return "refusal"
            elif self.theirs.bind(step, got) != bound:
                return "result"
        except (UnmappedError, NotExpressible, ProgramError, Unbound):
            return "error"
        if any(self.theirs.verbs.warnings.kind(w.message) for w in self.caught):
            return "warning"
        self.caught.clear()
        before, self.before = self.before, self.theirs.seen()
        if is_raised(got) and self.before != before:
            return "half done"
        return unlike(self.before, self.ours.seen(), self.rounded)


def _nested(step: Step) -> frozenset[str]:
    return frozenset(
        value.callee
        for value in (*step.call.args, *step.call.kwargs.values())
        if hasattr(value, "callee")
    )
