"""What one call cannot show: accumulation, graph lifetime, in-place writes, writes through views.

For every operation these oracles write short programs around it, run them on the library and
on the reference, and compare everything that is visible after every step. What the tables say
(`saves`, `base`) is claimed of both, so that library and reference cannot be wrong together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from conformance.accuracy.formats import is_complex, is_floating
from conformance.accuracy.ulp import same_bits
from conformance.backends.session import run_program
from conformance.cases.case import Case
from conformance.cases.generate import Maker, cotangents_for, elementwise, fill, home_dtype
from conformance.engine.plan import Unit
from conformance.observation import TensorObs, Trace
from conformance.oracles.base import Comparison, Comparisons, Context, Sample, fact
from conformance.oracles.traces import Difference, compare, unchanged_after_errors
from conformance.plain import words
from conformance.program import Program
from conformance.render import cotangent, inputs_of, invocation, variable
from conformance.specs import OpSpec, Specs

NEEDS = {
    "accumulation": ("accumulated_grad",),
    "lifetime": ("retained_graph",),
    "inplace": ("mutation",),
    "alias": ("aliasing",),
}


@dataclass(frozen=True, slots=True)
class Probe:
    """A program around one call.

    claims: line -> error kind that must be raised there ("" for none). doubles: line -> earlier
    line whose gradients it must have doubled.
    """

    name: str
    text: str
    claims: dict[int, str]
    doubles: dict[int, int] = field(default_factory=dict)


def differentiable(op: OpSpec) -> bool:
    home = home_dtype(op)
    words = (op.result,) if isinstance(op.result, str) else op.result
    floats = is_floating(home) or is_complex(home)
    return floats and op.grad != () and any(w not in ("bool", "int64") for w in words)


def questions(op: OpSpec) -> list[str]:
    """The oracles of this file that have something to ask about an operation."""
    found = []
    if differentiable(op) and not op.parsed.mutates:
        found += ["accumulation", "lifetime"]
    if op.parsed.mutates or (differentiable(op) and op.saves) or differentiable(op):
        found.append("inplace")
    return found


def ask(
    oracle: str, ctx: Context, unit: Unit, specs: Specs
) -> Iterator[tuple[str, Callable[[], Comparisons]]]:
    """(case id, how to run it) for every probe of one oracle."""
    for name, case, probe in _probes(oracle, ctx, unit):

        def run(name: str = name, case: Case = case, probe: Probe = probe) -> Comparisons:
            return _run(oracle, ctx, replace(case, id=name), probe, specs)

        yield name, run


def texts(ctx: Context, unit: Unit) -> dict[str, str]:
    """The program text of every probe of a unit, by case id."""
    wanted = [oracle for oracle in questions(ctx.op) if oracle in unit.oracles]
    found = [p for oracle in wanted for p in _probes(oracle, ctx, unit)]
    return {name: probe.text for name, _, probe in found}


def _probes(oracle: str, ctx: Context, unit: Unit) -> Iterator[tuple[str, Case, Probe]]:
    case = first_case(ctx.op, unit.seed)
    if case is not None:
        for number, probe in enumerate(PROBES[oracle](ctx, case)):
            yield f"{ctx.op.name}-{oracle}-{number + 1}", case, probe


def first_case(op: OpSpec, seed: int) -> Case | None:
    """A small ordinary call of the operation in its home dtype, inputs of 2 to 16 elements."""
    make = Maker(op, home_dtype(op), seed)
    if elementwise(op):
        arrays = [
            fill("positive", make.rng("probe", i), (3,), op.fixed.get(a.name, make.dtype))
            for i, a in enumerate(op.parsed.tensors[: len(_operands(op))])
        ]
        return make.case({**make.named(arrays), **op.args[0]}, "probe")
    for number, call in enumerate(op.calls):
        if call.dtypes and make.dtype not in call.dtypes:
            continue
        values = call.values if call.values != "points" else op.values
        case = make.call(call, "ordinary" if values == "points" else values, "probe", key=number)
        if any(o.differentiable and o.data.size for _, o in case.operands()) or op.grad == ():
            return case
    return None


def _operands(op: OpSpec) -> list[str]:
    count = {"same": 1, "broadcast": 2, "ternary": 3}[op.shapes]
    return [a.name for a in op.parsed.tensors][:count]


class Lines:
    """The common parts of the probes, as program lines."""

    def __init__(self, ctx: Context, case: Case) -> None:
        self.ctx, self.case, self.op = ctx, case, ctx.op
        wide = ctx.expectation.run(
            ctx.op, ctx.expectation.widen(ctx.op, case, ctx.expectation.common(ctx.op, case))
        )
        self.count = len(wide.outputs)
        names = ctx.expectation.dtypes(ctx.op, case, self.count)
        like = [
            np.zeros(o.shape, "float32" if n == "bfloat16" else n)
            for o, n in zip(wide.outputs, names, strict=True)
        ]
        self.cotangents = cotangents_for(case, like)
        self.chosen = [i for i, c in enumerate(self.cotangents) if c is not None]

    @property
    def inputs(self) -> list[str]:
        return inputs_of(self.case, leaf=True)

    def call(self, name: str, renamed: dict[str, str] | None = None) -> str:
        outs = [name] if self.count == 1 else [f"{name}_{i}" for i in range(self.count)]
        return f"{', '.join(outs)} = {invocation(self.op, self.case, renamed)}"

    def output(self, name: str) -> str:
        """The first output that has a gradient."""
        return name if self.count == 1 else f"{name}_{self.chosen[0]}"

    def backward(self, name: str, more: str = "") -> str:
        ct = cotangent(self.cotangents[self.chosen[0]])
        return f"backward({self.output(name)}, {ct}{more})"

    @property
    def saved(self) -> set[str]:
        return {word for words in self.op.saves.values() for word in words}


def accumulation(ctx: Context, case: Case) -> Iterator[Probe]:
    """Twice into the same leaf; along two paths; a leaf used in every slot."""
    lines = Lines(ctx, case)
    if not lines.chosen:
        return
    body = [*lines.inputs, lines.call("y"), lines.backward("y")]
    body += [lines.call("z"), lines.backward("z")]
    yield Probe("two passes", "\n".join(body), {}, {len(body): len(body) - 2})
    out = lines.output("y"), lines.output("z")
    ct = cotangent(lines.cotangents[lines.chosen[0]])
    leaves = [variable(n) for n, o in case.operands() if o.differentiable]
    body = [*lines.inputs, lines.call("y"), lines.backward("y")]
    once = len(body)
    body += [f"zero_grad({leaf})" for leaf in leaves]
    body += [lines.call("y"), lines.call("z"), f"w = add({out[0]}, {out[1]})", f"backward(w, {ct})"]
    yield Probe("two paths", "\n".join(body), {len(body): ""}, {len(body): once})


def lifetime(ctx: Context, case: Case) -> Iterator[Probe]:
    """A second backward raises exactly when something was saved; retain_graph keeps it."""
    lines = Lines(ctx, case)
    if not lines.chosen:
        return
    body = [*lines.inputs, lines.call("y"), lines.backward("y"), lines.backward("y")]
    claims = {len(body): "graph_freed" if lines.saved else ""}
    yield Probe("twice", "\n".join(body), claims)
    keep = lines.backward("y", ", retain_graph=True")
    body = [*lines.inputs, lines.call("y"), keep, keep]
    yield Probe("retained", "\n".join(body), {len(body): ""}, {len(body): len(body) - 1})


def inplace(ctx: Context, case: Case) -> Iterator[Probe]:
    """Overwriting what was saved is refused at backward; what was not saved may be written."""
    op = ctx.op
    if op.parsed.mutates:
        yield from _written(ctx, case)
        return
    lines = Lines(ctx, case)
    if not lines.chosen:
        return
    several = op.parsed.is_view and any(r.is_tensor_list for r in op.parsed.returns)
    targets = [n for n, o in case.operands() if o.differentiable and "." not in n]
    for name in targets:
        x = variable(name)
        body = [*lines.inputs, f"c = clone({x})", lines.call("y", {name: "c"})]
        body += ["mul_(c, 2.0)", lines.backward("y")]
        kind = "saved_tensor_modified" if _keeps(lines, name) else ""
        if several:  # one of several views does not follow a write to what they are views of
            kind = "view_written_in_place"
        yield Probe(f"{name} overwritten", "\n".join(body), {len(body): kind})
    if op.parsed.is_view:
        return  # a write to a view's result is the alias scenarios' and random programs' field
    body = [*lines.inputs, lines.call("y"), f"mul_({lines.output('y')}, 2.0)"]
    body.append(lines.backward("y"))
    kind = "saved_tensor_modified" if "result" in lines.saved else ""
    yield Probe("result overwritten", "\n".join(body), {len(body): kind})


def _keeps(lines: Lines, name: str) -> bool:
    """Whether any cotangent that is asked for needs the saved operand `name`."""
    wanted = {n.split(".")[0] for n, o in lines.case.operands() if o.differentiable}
    return any(name in words for slot, words in lines.op.saves.items() if slot in wanted)


def _written(ctx: Context, case: Case) -> Iterator[Probe]:
    """An in-place operation: on a copy its history is recorded; on a leaf it is refused."""
    target = ctx.op.parsed.mutates[0]
    x = variable(target)
    inputs = inputs_of(case, leaf=True)
    differentiable_target = any(n == target and o.differentiable for n, o in case.operands())
    call = invocation(ctx.op, case, {target: "c"})
    body = [*inputs, f"c = clone({x})", call]
    if differentiable_target:
        shape = dict(case.operands())[target].data.shape
        ct = np.full(shape, 0.5, dtype="float32")
        body.append(f"backward(c, {cotangent(ct)})")
    yield Probe("history", "\n".join(body), {len(body): ""})
    if differentiable_target:
        body = [*inputs, invocation(ctx.op, case)]
        yield Probe("leaf", "\n".join(body), {len(body): "leaf_written_in_place"})


PROBES: dict[str, Callable[[Context, Case], Iterator[Probe]]] = {
    "accumulation": accumulation,
    "lifetime": lifetime,
    "inplace": inplace,
}


def _run(
    oracle: str, ctx: Context, case: Case, probe: Probe, specs: Specs
) -> Iterator[Comparison]:
    """Everything that library and reference show, and the table's claims on both."""
    program = Program.parse(probe.text)
    library = run_program(ctx.backend, program, (), specs.ops)
    reference = run_program(ctx.reference, program, (), specs.ops)
    sample = _sample(ctx, replace(case, kind="program"), probe.text)
    for line, kind in probe.claims.items():
        for who, trace in (("", library), ("reference ", reference)):
            yield fact(sample, oracle, f"{who}line {line}", raised_at(trace, line), kind, "raised")
    for line, doubled in probe.doubles.items():
        yield from _doubles(sample, oracle, library, line, doubled)
    found = compare(library, reference, program, specs.ops, ctx.backend.capabilities)
    for part in (found, unchanged_after_errors(library)):
        kept = [d for d in part.differences if not _is_number(d)]
        for d in kept[:1]:  # what follows from the first difference is no cause of its own
            yield fact(
                sample, oracle, f"line {d.line}: {d.observable}", words(d.observed),
                words(d.expected), "trace",
            )  # fmt: skip
        yield Comparison(
            sample=sample, oracle=oracle, what="trace",
            compared=part.compared - len(part.differences),
            over=np.asarray(False), observed="agrees", expected="agrees",
        )  # fmt: skip


def _is_number(d: Difference) -> bool:
    """Whether a difference is one of numbers or strides: what other oracles ask, with bounds."""
    if d.observable.endswith((".strides", ".offset")):
        return True
    both = (d.observed, d.expected)
    return all(isinstance(v, (np.ndarray, TensorObs)) for v in both)


def _doubles(
    sample: Sample, oracle: str, trace: Trace, after: int, before: int
) -> Iterator[Comparison]:
    """Every .grad after line `after` is exactly twice what it was after line `before`.

    Adding a number to itself is exact, so no bound is needed: g + g has one right answer.
    """
    by_line = {step.line: step for step in trace.steps}
    if after not in by_line or before not in by_line:
        return
    for name, seen in by_line[after].live.items():
        once = by_line[before].live.get(name)
        if seen.grad is None or once is None or once.grad is None:
            continue
        with np.errstate(all="ignore"):
            want = once.grad.value + once.grad.value
        got = seen.grad.value
        yield Comparison(
            sample=sample, oracle=oracle, what=f"{name}.grad", compared=int(got.size),
            over=~same_bits(got, want), observed=got, expected=want, category="accumulated",
        )  # fmt: skip


def _sample(ctx: Context, case: Case, text: str) -> Sample:
    expected = ctx.expectation.nothing(case)
    return Sample(case=case, seen=expected.seen, expected=expected, program=text)


def raised_at(trace: Trace, line: int) -> str:
    """Kind of the refusal at a line, "" when it ran, "not reached" when the trace ended."""
    for step in trace.steps:
        if step.line == line:
            return step.raised.kind if step.raised else ""
    return "not reached"
