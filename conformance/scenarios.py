"""Runs a scenario on a library and on the reference, and judges what was seen.

Three things hold both to account: the claims that a person drew from the norm, the reference's
whole trace, and the rule that a refused step leaves everything as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from packaging.specifiers import SpecifierSet

from conformance.backends.protocol import Backend, UnmappedError
from conformance.backends.session import run_program
from conformance.loading import load_specs
from conformance.observation import StepObs, Trace
from conformance.oracles.claims import Claim, judge, parse_claim
from conformance.oracles.traces import (
    Compared,
    Difference,
    bits_of,
    compare,
    tensors,
    unchanged_after_errors,
)
from conformance.plain import plain, words
from conformance.program import Program
from conformance.specs import OpSpec, Scenario, ScenarioDivergence
from conformance.verdicts import Answer, Finding, Verdict


class ScenarioRun(NamedTuple):
    """records: one `scenario_trace` per backend that ran, see `trace_rows`."""

    answers: list[Answer]
    findings: list[Finding]
    records: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, eq=False)
class _Wrong:
    """One thing that is not as it must be. norm: whether a claim, not the reference, says so."""

    line: int
    observable: str
    observed: Any
    expected: Any
    norm: bool


def run_scenario(
    scenario: Scenario,
    backend: Backend,
    reference: Backend,
    ops: Mapping[str, OpSpec] | None = None,
) -> ScenarioRun:
    """One answer, at most one finding per cause, and the traces as records.

    backend: the library; it may be the reference itself. ops: the tables (default: installed).
    Whatever the harness or an adapter raises becomes an `ERRORED` answer that names it.
    """
    ops = load_specs().ops if ops is None else ops
    program = Program.parse(scenario.program)
    missing = _missing(scenario, backend)
    if missing:
        return _not_applicable(scenario, backend, missing)
    try:
        seen = run_program(backend, program, scenario.needs, ops)
    except Exception as error:  # noqa: BLE001 - becomes a verdict that fails the gate
        return _errored(scenario, backend, program, error)
    if seen.missing:
        return _not_applicable(scenario, backend, seen.missing[0])
    model = None
    if backend.library != reference.library and not _missing(scenario, reference):
        try:
            model = run_program(reference, program, scenario.needs, ops)
        except Exception as error:  # noqa: BLE001 - becomes a verdict that fails the gate
            return _errored(scenario, backend, program, error, "the reference: ")
        model = None if model.missing else model
    records = [_record(scenario, program, seen, backend.name)]
    if model:
        records.append(_record(scenario, program, model, reference.name))
        broken, _ = _hold_to_account(scenario.claims, model, reference.capabilities)
        if broken:
            return _ours(scenario, backend, broken, records)
    return _judge(scenario, backend, program, seen, model, ops, records)


def trace_rows(trace: Trace, program: Program) -> list[dict[str, Any]]:
    """What a library did at each line, as plain data.

    A row: line, text, observed (what is new or changed after the line, by observable, as
    `conformance.plain` writes it); raised (kind, type, message) and warnings where there are any.
    """
    texts = program.text.splitlines()
    rows = []
    before = StepObs(line=0)
    for step in trace.steps:
        known = dict(tensors(before))
        observed = {
            path: plain(obs)
            for path, obs in tensors(step)
            if path not in known or bits_of(known[path]) != bits_of(obs)
        }
        for path in known.keys() - dict(tensors(step)).keys():
            observed[path] = None
        observed |= {name: plain(value) for name, value in step.values.items()}
        row = {"line": step.line, "text": texts[step.line - 1].strip(), "observed": observed}
        if step.raised:
            kind, type_, message = step.raised.kind, step.raised.type, step.raised.message
            row["raised"] = {"kind": kind, "type": type_, "message": message}
        if step.warnings:
            row["warnings"] = list(step.warnings)
        rows.append(row)
        before = step
    return rows


def applies_to(divergence: ScenarioDivergence, backend: Backend) -> bool:
    """Whether the prediction is about this backend: name or prefix of it, and version."""
    name = f"{backend.name}:"
    return name.startswith(f"{divergence.backend}:") and SpecifierSet(
        divergence.versions
    ).contains(backend.version, prereleases=True)


# --- judging -----------------------------------------------------------------------------------


def _judge(
    scenario: Scenario,
    backend: Backend,
    program: Program,
    seen: Trace,
    model: Trace | None,
    ops: Mapping[str, OpSpec],
    records: list[dict[str, Any]],
) -> ScenarioRun:
    predicted = [d for d in scenario.divergence if applies_to(d, backend)]
    overrides = {key: text for d in predicted for key, text in d.claims.items()}
    claims = {k: text for k, text in scenario.claims.items() if k not in overrides}
    wrong, compared = _hold_to_account(claims, seen, backend.capabilities)
    facts = unchanged_after_errors(seen)
    if model:
        against = compare(seen, model, program, ops, backend.capabilities)
        facts = Compared(
            facts.compared + against.compared, facts.differences + against.differences
        )
    covered = [_covers(parse_claim(key, text), seen) for key, text in overrides.items()]
    found = [
        d
        for d in facts.differences
        if (d.line, d.observable) not in covered and not _is_open(d, scenario)
    ]
    wrong += [_Wrong(d.line, d.observable, d.observed, d.expected, False) for d in found]
    differs = any((d.line, d.observable) in covered for d in facts.differences)
    failed, more = _hold_to_account(overrides, seen, backend.capabilities)
    compared += facts.compared + more
    answer = {
        "op": f"scenario:{scenario.name}",
        "oracle": scenario.oracle,
        "dtypes": (),
        "backend": backend.name,
        "compared": compared,
    }
    if not compared:
        why = "no claim can be observed on this backend"
        return ScenarioRun([Answer(**answer, verdict=Verdict.VACUOUS, why=why)], [], records)
    if failed and not wrong and not differs:
        stale = _stale(scenario, backend, answer, failed, predicted, seen, records)
        if stale:
            return stale
    if wrong or failed:
        return _differs(scenario, backend, answer, [*wrong, *failed], records)
    if not predicted:
        return ScenarioRun([Answer(**answer, verdict=Verdict.CONFORMS)], [], records)
    return _predicted(scenario, backend, answer, overrides, predicted[0], seen, model, records)


def _hold_to_account(
    claims: Mapping[str, str], trace: Trace, capabilities: Any
) -> tuple[list[_Wrong], int]:
    """(claims that do not hold, how much was compared)."""
    judged = [judge(parse_claim(key, text), trace, capabilities) for key, text in claims.items()]
    wrong = [
        _Wrong(j.line, j.claim.observable or "raised", j.observed, j.expected, True)
        for j in judged
        if j.holds is False
    ]
    return wrong, sum(j.compared for j in judged)


def _is_open(difference: Difference, scenario: Scenario) -> bool:
    return difference.observable.split(".")[0] in scenario.open


def _covers(claim: Claim, trace: Trace) -> tuple[int, str]:
    last = trace.steps[-1].line if trace.steps else 0
    return claim.line or last, claim.observable or "raised"


def _stale(
    scenario: Scenario,
    backend: Backend,
    answer: dict[str, Any],
    failed: list[_Wrong],
    predicted: list[ScenarioDivergence],
    seen: Trace,
    records: list[dict[str, Any]],
) -> ScenarioRun | None:
    """A prediction failed where nothing differs: None if the norm's own claims fail as well."""
    own = {k: scenario.claims[k] for d in predicted for k in d.claims if k in scenario.claims}
    broken, _ = _hold_to_account(own, seen, backend.capabilities)
    if broken:
        return None
    why = f"predicted {_claims_text(predicted)}, which no longer happens"
    verdict = Verdict.STALE_DIVERGENCE
    finding = _finding(scenario, backend, verdict, failed, why, predicted[0])
    return ScenarioRun([Answer(**answer, verdict=verdict, why=why)], [finding], records)


def _differs(
    scenario: Scenario,
    backend: Backend,
    answer: dict[str, Any],
    wrong: list[_Wrong],
    records: list[dict[str, Any]],
) -> ScenarioRun:
    """Outside the norm, and nothing documented explains it."""
    wrong = sorted(wrong, key=lambda w: (w.line, not w.norm))
    finding = _finding(scenario, backend, Verdict.DIVERGES, wrong, "", None)
    return ScenarioRun(
        [Answer(**answer, verdict=Verdict.DIVERGES, why=finding.message)], [finding], records
    )


def _predicted(
    scenario: Scenario,
    backend: Backend,
    answer: dict[str, Any],
    overrides: Mapping[str, str],
    divergence: ScenarioDivergence,
    seen: Trace,
    model: Trace | None,
    records: list[dict[str, Any]],
) -> ScenarioRun:
    verdict = Verdict.KNOWN_DIVERGENCE
    if divergence.stance == "unspecified":
        verdict = Verdict.UNSPECIFIED
    facts = []
    for key, text in overrides.items():
        claim = parse_claim(key, text)
        judged = judge(claim, seen, backend.capabilities)
        expected: Any = scenario.claims.get(key, "the norm's")
        if model:
            expected = judge(claim, model, backend.capabilities).observed
        name = claim.observable or "raised"
        facts.append(_Wrong(judged.line, name, judged.observed, expected, True))
    finding = _finding(scenario, backend, verdict, facts, divergence.why, divergence)
    return ScenarioRun([Answer(**answer, verdict=verdict, why=divergence.why)], [finding], records)


# --- answers and findings ------------------------------------------------------------------------


def _missing(scenario: Scenario, backend: Backend) -> str:
    return next((need for need in scenario.needs if need not in backend.capabilities), "")


def _not_applicable(scenario: Scenario, backend: Backend, capability: str) -> ScenarioRun:
    why = f"{backend.library} has no {capability}"
    return ScenarioRun([_plain_answer(scenario, backend, Verdict.NOT_APPLICABLE, why)], [], [])


def _plain_answer(scenario: Scenario, backend: Backend, verdict: Verdict, why: str) -> Answer:
    return Answer(
        op=f"scenario:{scenario.name}",
        oracle=scenario.oracle,
        dtypes=(),
        backend=backend.name,
        verdict=verdict,
        compared=0,
        why=why,
    )


def _errored(
    scenario: Scenario, backend: Backend, program: Program, error: Exception, who: str = ""
) -> ScenarioRun:
    text = " ".join(str(error).split())
    why = who + (text if isinstance(error, UnmappedError) else f"{type(error).__name__}: {text}")
    wrong = [_Wrong(0, "harness", why, "a trace", False)]
    finding = _finding(scenario, backend, Verdict.ERRORED, wrong, why, None)
    return ScenarioRun([_plain_answer(scenario, backend, Verdict.ERRORED, why)], [finding], [])


def _ours(
    scenario: Scenario, backend: Backend, broken: list[_Wrong], records: list[dict[str, Any]]
) -> ScenarioRun:
    """The reference breaks a claim: our bug, so nothing can be said about the library."""
    wrong = sorted(broken, key=lambda w: w.line)
    why = f"the reference breaks a claim: {_sentence(scenario, wrong[0])}"
    finding = _finding(scenario, backend, Verdict.ERRORED, wrong, why, None)
    return ScenarioRun(
        [_plain_answer(scenario, backend, Verdict.ERRORED, why)], [finding], records
    )


def _finding(
    scenario: Scenario,
    backend: Backend,
    verdict: Verdict,
    wrong: list[_Wrong],
    why: str,
    divergence: ScenarioDivergence | None,
) -> Finding:
    first = wrong[0]
    cause = f"{scenario.name} {backend.name} {verdict} {first.line} {first.observable}"
    mark = hashlib.sha256(cause.encode()).hexdigest()[:4]
    return Finding(
        id=f"{scenario.name}-{scenario.oracle}-{mark}",
        op=f"scenario:{scenario.name}",
        oracle=scenario.oracle,
        backend=backend.name,
        verdict=verdict,
        dtypes=(),
        points=(),
        observed=plain(first.observed),
        expected=plain(first.expected),
        program=scenario.program.strip("\n"),
        count=len(wrong),
        message=why if verdict is Verdict.ERRORED else _sentence(scenario, first),
        what=first.observable,
        stance=divergence.stance if divergence else "",
        why=why,
        source=divergence.source if divergence else "",
        norm=scenario.norm,
    )


def _sentence(scenario: Scenario, wrong: _Wrong) -> str:
    """`accumulate_twice line 4: x.grad = [2.0], expected [4.0] (norm torch:…)`."""
    who = f"norm {scenario.norm}" if wrong.norm else "reference"
    what = f"{wrong.observable} = {words(wrong.observed)}"
    expected = words(wrong.expected)
    if wrong.observable == "raised":
        what, expected = _deed(wrong.observed), _deed(wrong.expected)
    return f"{scenario.name} line {wrong.line}: {what}, expected {expected} ({who})"


def _deed(seen: Any) -> str:
    """What a line did: `raises graph_freed`, `ok`."""
    text = words(seen) if seen not in ("", []) else "ok"
    return text if " " in text or text == "ok" else f"raises {text}"


def _claims_text(predicted: list[ScenarioDivergence]) -> str:
    return "; ".join(f"{key} {text}" for d in predicted for key, text in d.claims.items())


def _record(
    scenario: Scenario, program: Program, trace: Trace, backend: str
) -> dict[str, Any]:
    return {
        "kind": "scenario_trace",
        "scenario": scenario.name,
        "group": scenario.group,
        "backend": backend,
        "lines": trace_rows(trace, program),
    }
