"""One unit of work: makes its cases, asks the library and the reference, puts the questions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import msgspec
import numpy as np

from conformance.accuracy.expected import Draw, Expectation
from conformance.accuracy.formats import FORMATS, check_wide, is_complex, is_floating
from conformance.backends.protocol import NotExpressible, UnmappedError
from conformance.cases import generate
from conformance.cases.case import Case
from conformance.cases.generate import cases_of, cotangents_for, home_dtype, mixed_cases
from conformance.engine.plan import Unit
from conformance.findings import errored
from conformance.judging import Collector
from conformance.observation import TensorObs
from conformance.oracles import behaviour
from conformance.oracles.alias import alias, view_or_copy
from conformance.oracles.base import Comparison, Context, Sample
from conformance.oracles.determinism import determinism
from conformance.oracles.dtype import dtype
from conformance.oracles.error import error
from conformance.oracles.layout import layout
from conformance.oracles.shape import shape
from conformance.oracles.value import value
from conformance.oracles.vjp import second_order, vjp
from conformance.promotion import PromotionError
from conformance.render import program_text
from conformance.specs import OpSpec, Specs
from conformance.verdicts import Times, UnitResult, Verdict

PLAIN = {"value": value, "dtype": dtype, "shape": shape, "vjp": vjp, "alias": alias}
SECOND_DTYPES = ("float32", "float64")  # the derivative's formula is the same in every dtype
WIDEST = {"float64", "complex128"}  # judged in long double, which not every platform has
MOST_SECOND = 4
MOST_TWICE = 3
DERIVATIVES = {"vjp": ("autograd",), "second_order": ("autograd",)}
ALWAYS = frozenset({"value", "dtype", "shape", "determinism"})
# the oracles to which a case of this kind says anything
ASKED_BY = {"error": {"error"}, "layout": {"layout", "alias"}, "length": {"layout", "alias"}}


def signatures(op: OpSpec, table: Any = None) -> Iterator[tuple[str, ...]]:
    """The dtype signatures of an operation: each dtype, then ("mixed",) for pairs."""
    yield from generate.signatures(op)


def run_unit(
    unit: Unit,
    backend: Any,
    reference: Any,
    specs: Specs,
    only_cases: Sequence[str] | None = None,
    skip: Collection[str] = frozenset(),
    progress: Callable[[str], None] = lambda case: None,
) -> UnitResult:
    """Answers and findings of one unit; calls `progress(case id)` before each case."""
    start = perf_counter()
    before, own = backend.library_s, 0.0
    if unit.kind == "scenario":
        seconds = reference.library_s
        answers, findings, records = _scenarios(
            unit, backend, reference, specs, only_cases, skip, progress
        )
        own = reference.library_s - seconds
    else:
        runner = OpUnit(unit, backend, reference, specs.ops[unit.name], specs)
        answers, findings, records = runner.run(only_cases, skip, progress)
        own += runner.expectation.seconds
    library = backend.library_s - before
    wall = perf_counter() - start
    return UnitResult(
        unit=unit.id,
        answers=tuple(answers),
        findings=tuple(findings),
        times=Times(
            library_s=library, reference_s=own, harness_s=max(0.0, wall - library - own)
        ),
        records=tuple(records),
    )


def program_of(unit: Unit, case: str, backend: Any, reference: Any, specs: Specs) -> str:
    """The program text of one case of a unit, without running the library."""
    op = specs.ops[unit.name]
    asked = _within(op, backend.capabilities)
    for made in _cases(asked, unit, "layouts" in backend.capabilities):
        if made.id == case:
            return program_text(op, made)
    ctx = Context(op, backend, reference, Expectation(reference, backend.promotion))
    return behaviour.texts(ctx, unit)[case]


def _within(op: OpSpec, capabilities: Collection[str]) -> OpSpec:
    """The operation with those calls only whose needs the backend meets."""
    return msgspec.structs.replace(
        op,
        calls=tuple(call for call in op.calls if set(call.needs) <= set(capabilities)),
        errors=tuple(call for call in op.errors if set(call.needs) <= set(capabilities)),
    )


def _cases(op: OpSpec, unit: Unit, layouts: bool) -> Iterator[Case]:
    if unit.dtypes == ("mixed",):
        yield from mixed_cases(op, unit.seed)
    else:
        yield from cases_of(op, unit.dtypes[0], unit.tier, unit.seed, layouts)


def _scenarios(unit, backend, reference, specs, only, skip, progress):
    from conformance.scenarios import run_scenario

    answers, findings, records = [], [], []
    for name in only or [s.name for s in specs.scenarios.values() if s.group == unit.name]:
        if name in skip:
            continue
        progress(name)
        found = run_scenario(specs.scenarios[name], backend, reference)
        answers += found[0]
        findings += found[1]
        records += found[2] if len(found) > 2 else []
    return answers, findings, records


class OpUnit:
    """One operation, one dtype signature, one backend."""

    def __init__(
        self, unit: Unit, backend: Any, reference: Any, op: OpSpec, specs: Specs
    ) -> None:
        self.unit, self.backend, self.reference, self.op = unit, backend, reference, op
        self.specs = specs
        self.expectation = Expectation(reference, backend.promotion)
        self.ctx = Context(op, backend, reference, self.expectation)
        self.wanted = set(unit.oracles)
        self.seconds = self.twice = 0
        self.records: list[dict[str, Any]] = []
        self.collectors: dict[tuple[str, ...], Collector] = {}

    # the course of a unit --------------------------------------------------------------

    def run(self, only, skip, progress):
        reason = self.backend.supports(self.op, self.unit.dtypes)
        missing = [n for n in self.op.needs if n not in self.backend.capabilities]
        if missing and not reason:
            reason = f"needs {', '.join(missing)}"
        if reason:
            return self._unasked(Verdict.NOT_APPLICABLE, reason)
        if check_wide() and not WIDEST.isdisjoint(self.unit.dtypes):
            return self._unasked(Verdict.NOT_RUN, check_wide())
        if self.unit.dtypes != ("mixed",):
            self._expect(self.unit.dtypes)
        asked = _within(self.op, self.backend.capabilities)
        for case in _cases(asked, self.unit, "layouts" in self.backend.capabilities):
            if case.id in skip or (only is not None and case.id not in only):
                continue
            if case.kind in ASKED_BY and self.wanted.isdisjoint(ASKED_BY[case.kind]):
                continue
            progress(case.id)
            self._case(case)
        self._behaviour(only, skip, progress)
        answers, findings = [], []
        for collector in self.collectors.values():
            more = collector.finish()
            answers += more[0]
            findings += more[1]
        return answers, findings, self.records

    def collector(self, dtypes: tuple[str, ...]) -> Collector:
        if dtypes not in self.collectors:
            self.collectors[dtypes] = Collector(self.ctx, dtypes, self._again)
        return self.collectors[dtypes]

    def questions(self, dtype_name: str) -> list[str]:
        """The oracles that are wanted and have something to ask in this dtype."""
        return [name for name in oracles_in(self.op, dtype_name) if name in self.wanted]

    def _differentiable(self, dtype_name: str) -> bool:
        return differentiable_in(self.op, dtype_name)

    def _unasked(self, verdict: Verdict, reason: str):
        collector = self.collector(self.unit.dtypes)
        names = ["value", "dtype"] if self.unit.dtypes == ("mixed",) else None
        for oracle in names or self.questions(self.unit.dtypes[0]):
            if oracle in self.wanted:
                collector.verdict(oracle, verdict, reason)
        answers, findings = collector.finish()
        return answers, findings, []

    def _expect(self, dtypes: tuple[str, ...]) -> None:
        collector = self.collector(dtypes)
        for oracle in self.questions(dtypes[0]):
            needs = DERIVATIVES.get(oracle, behaviour.NEEDS.get(oracle, ()))
            missing = [n for n in needs if n not in self.backend.capabilities]
            if missing:
                collector.verdict(oracle, Verdict.NOT_APPLICABLE, f"needs {', '.join(missing)}")
            elif not (oracle == "layout" and not self._has_layouts(dtypes[0])):
                collector.expect(oracle)

    def _has_layouts(self, dtype_name: str) -> bool:
        """Whether any case of the unit varies memory or length at all."""
        lengths = generate.elementwise(self.op) and dtype_name == home_dtype(self.op)
        return lengths or "layouts" in self.backend.capabilities

    # one case --------------------------------------------------------------------------

    def _case(self, case: Case) -> None:
        collector = self.collector(case.dtypes if case.kind == "mixed" else self.unit.dtypes)
        if case.kind == "mixed":
            names = [d.removesuffix("[]") for d in case.dtypes if not d.startswith("weak:")]
            reason = self.backend.supports(self.op, names)
            if reason:
                collector.verdict("dtype", Verdict.NOT_APPLICABLE, reason)
                return
        try:
            common = self.expectation.common(self.op, case)
        except PromotionError as problem:  # the library's rules do not know one of the dtypes
            collector.verdict("dtype", Verdict.NOT_APPLICABLE, str(problem))
            return
        if common not in generate.DTYPES:
            why = f"computes in {common}, which is not among the dtypes of the specification"
            collector.verdict("dtype", Verdict.NOT_APPLICABLE, why)
            return
        if common in WIDEST and check_wide():
            collector.verdict("dtype", Verdict.NOT_RUN, check_wide())
            return
        try:
            sample = self.sample(case)
            collector.add(self.compare(sample))
        except NotExpressible as problem:
            self._inexpressible(collector, case, problem)
        except UnmappedError as problem:
            self._unmapped(collector, case, problem)

    def _unmapped(self, collector: Collector, case: Case, problem: UnmappedError) -> None:
        """The adapter knows no kind for what the library raised: our gap, and only this case's."""
        oracles = [o for o in oracles_of_case(self.unit, case.id) if o in collector.questions]
        for oracle in oracles or self.unit.oracles[:1]:
            collector.verdict(oracle, Verdict.ERRORED, str(problem))
        text = program_text(self.op, case)
        collector.errors.append(errored(self.ctx, (oracles or self.unit.oracles)[0], case, text, str(problem)))

    def _inexpressible(self, collector: Collector, case: Case, problem: NotExpressible) -> None:
        """The library's call has no such argument: said, and never counted as compared."""
        oracle = "error" if case.kind == "error" else "value"
        question = collector.expect(oracle)
        question.why = f"no argument {', '.join(problem.names)} in its call"
        if not question.compared:
            question.verdicts.add(Verdict.NOT_APPLICABLE)

    def sample(self, case: Case, cotangents: Any = None) -> Sample:
        """Run one case on the library and in wide precision."""
        if case.kind == "error":
            return self._refusal(case)
        wants = not self.wanted.isdisjoint({"vjp", "layout", "second_order", "determinism"})
        wants = wants and "autograd" in self.backend.capabilities and case.kind != "mixed" and bool(case.differentiable())
        wants = wants and self._differentiable(case.dtypes[0])
        if cotangents is None and wants:
            draw = Draw(lambda outputs: self._drawn(case, outputs))
            expected = self.expectation.expected(self.op, case, draw)
            seen = self.backend.evaluate(self.op, case, draw.cotangents, draw.second)
            return Sample(case, seen, expected, draw.cotangents, draw.second)
        if cotangents is not None and all(c is None for c in cotangents):
            cotangents = None
        second = self._second(case) if cotangents is not None else None
        seen = self.backend.evaluate(self.op, case, cotangents, second)
        expected = self.expectation.expected(self.op, case, cotangents, second)
        return Sample(case, seen, expected, cotangents, second)

    def _drawn(self, case: Case, outputs: tuple[TensorObs, ...]) -> tuple[Any, Any]:
        """Cotangents for outputs of these shapes, and vectors for the second derivative."""
        names = self.expectation.dtypes(self.op, case, len(outputs))
        shaped = [
            np.empty(o.shape, generate.np_dtype(n)) for o, n in zip(outputs, names, strict=True)
        ]
        cotangents = cotangents_for(case, shaped)
        if all(c is None for c in cotangents):
            return None, None
        return cotangents, self._second(case)

    def _refusal(self, case: Case) -> Sample:
        """An error case: with stage "vjp" the refusal comes from the backward."""
        seen = self.backend.evaluate(self.op, case, None, None)
        expected = Expectation(self.reference, self.backend.promotion).refusal(self.op, case)
        return Sample(case, seen, expected)

    def _second(self, case: Case) -> list[np.ndarray | None] | None:
        """Vectors for the second derivative: on a few ordinary cases of two dtypes."""
        if "second_order" not in self.wanted or case.dtypes[0] not in SECOND_DTYPES:
            return None
        ordinary = case.kind == "shape" or (case.kind == "value" and not generate.elementwise(self.op))
        size = sum(o.data.size for _, o in case.operands())
        if not ordinary or self.seconds >= MOST_SECOND or not 0 < size <= 64:
            return None
        if not all(_moderate(o.data) for _, o in case.differentiable()):
            return None  # products of three extreme numbers: the vjp is asked about those
        self.seconds += 1
        like = [o.data for _, o in case.differentiable()]
        return cotangents_for(replace(case, id=case.id + "/second"), like)

    def compare(self, sample: Sample) -> Iterator[Comparison]:
        case = sample.case
        if case.kind == "error":
            yield from error(self.ctx, sample)
            return
        if case.kind == "mixed":
            names = ["value", "dtype"]
        elif case.kind in ("layout", "length"):
            if "layout" in self.wanted:
                yield from layout(self.ctx, sample)
            names = ["alias"]
        else:
            names = list(PLAIN)
        if "aliasing" not in self.backend.capabilities:
            names = [name for name in names if name != "alias"]
        for name in names:
            if name in self.wanted:
                yield from PLAIN[name](self.ctx, sample)
        if "second_order" in self.wanted:
            yield from second_order(self.ctx, sample)
        if (
            "determinism" in self.wanted and case.kind == "value" and self.twice < MOST_TWICE
        ):
            self.twice += 1
            again = self.backend.evaluate(self.op, case, sample.cotangents, sample.second)
            yield from determinism(self.ctx, sample, again)
        if case.kind == "mixed" and sample.seen.outputs:
            self._promotion_record(sample)
        elif self.unit.dtypes == (home_dtype(self.op),) and {"alias"} <= self.wanted & {*names}:
            record = view_or_copy(self.ctx, sample)
            if record and record not in self.records:
                self.records.append(record)

    def _promotion_record(self, sample: Sample) -> None:
        if self.op.name != "add":
            return
        left, right = sample.case.dtypes
        got, want = sample.seen.outputs[0].dtype, sample.expected.dtypes[0]
        verdict = Verdict.CONFORMS if got == want else Verdict.DIVERGES
        self.records.append(
            {
                "kind": "promotion", "backend": self.backend.name, "left": left, "right": right,
                "result": got, "expected": want, "verdict": verdict.value,
            }
        )  # fmt: skip

    def _again(self, oracle: str, case: Case, cotangents: Any) -> list[Comparison]:
        """The comparisons of one oracle for a reduced case."""
        try:
            found = list(self.compare(self.sample(case, cotangents)))
        except NotExpressible:
            return []
        return [c for c in found if c.oracle == oracle]

    # what programs show ------------------------------------------------------------------

    def _behaviour(self, only, skip, progress) -> None:
        if self.unit.dtypes != (home_dtype(self.op),):
            return
        collector = self.collector(self.unit.dtypes)
        for oracle in behaviour.questions(self.op):
            if oracle not in self.wanted:
                continue
            if any(n not in self.backend.capabilities for n in behaviour.NEEDS[oracle]):
                continue
            for case_id, comparisons in behaviour.ask(oracle, self.ctx, self.unit, self.specs):
                if case_id in skip or (only is not None and case_id not in only):
                    continue
                progress(case_id)
                collector.add(comparisons())


def _moderate(data: np.ndarray) -> bool:
    """Whether every number is a zero, or may be squared without leaving the dtype's range."""
    fmt = FORMATS[data.dtype.name]
    size = np.abs(data.astype(fmt.wide))
    inside = (size == 0) | ((size >= fmt.tiny**0.5) & (size <= fmt.max**0.5))
    return bool(inside.all())


def oracles_of(op: OpSpec) -> list[str]:
    """The oracles that have something to ask about an operation in any of its dtypes."""
    found = dict.fromkeys(o for name in generate.dtypes_of(op) for o in oracles_in(op, name))
    return list(found)


def oracles_for(op: OpSpec, signature: tuple[str, ...]) -> list[str]:
    """The oracles of a unit with that dtype signature."""
    return ["value", "dtype"] if signature == ("mixed",) else oracles_in(op, signature[0])


def oracles_of_case(unit: Unit, case: str) -> tuple[str, ...]:
    """Those of a unit's oracles to which one of its cases contributes, by the case's name."""
    kind = case.removeprefix(f"{unit.name}-").split("-")
    if "error" in kind:
        wanted = ("error",)
    elif "layout" in kind or "length" in kind:
        wanted = ("layout", "alias")
    elif kind[0] in behaviour.NEEDS:
        wanted = (kind[0],)
    elif "mixed" in kind:
        wanted = ("value", "dtype")
    else:
        wanted = (*PLAIN, "second_order", "determinism")
    return tuple(o for o in wanted if o in unit.oracles) or unit.oracles


def oracles_in(op: OpSpec, dtype_name: str) -> list[str]:
    """The oracles that have something to ask about an operation in one dtype."""
    found = ["value", "dtype", "shape", "alias", "layout", "determinism"]
    if differentiable_in(op, dtype_name):
        found.append("vjp")
        if dtype_name in SECOND_DTYPES:
            found.append("second_order")
    if dtype_name == home_dtype(op):
        if op.errors:
            found.append("error")
        found += behaviour.questions(op)
    return found


def differentiable_in(op: OpSpec, dtype_name: str) -> bool:
    """Whether the operation has a cotangent to ask for in this dtype."""
    floats = is_floating(dtype_name) or is_complex(dtype_name)
    return floats and op.grad != () and not _integral_result(op)


def _integral_result(op: OpSpec) -> bool:
    words = (op.result,) if isinstance(op.result, str) else op.result
    return all(w in ("bool", "int64") for w in words)
