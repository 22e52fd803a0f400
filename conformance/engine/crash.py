"""Answers and findings for what could not be answered: crashes, hangs, failures of ours."""

from __future__ import annotations

import hashlib

import msgspec

from conformance.engine.plan import Unit
from conformance.verdicts import Answer, Finding, Times, UnitResult, Verdict, worst


class Crash(msgspec.Struct, frozen=True, kw_only=True):
    """case: the case that was running, "" when none had begun. how: "SIGSEGV", "no answer …".

    words: the last line that the process printed. program, oracles: see messages.Described.
    """

    case: str
    how: str
    words: str = ""
    program: str = ""
    oracles: tuple[str, ...] = ()


def with_crashes(
    unit: Unit, result: UnitResult | None, crashes: list[Crash], gave_up: bool
) -> UnitResult:
    """The unit's result after crashes.

    result: answers of all the cases that did not crash, None when nobody could give them.
    gave_up: whether cases were left unasked because too many had crashed.
    """
    answers = {(a.op, a.oracle, a.dtypes): a for a in result.answers} if result else {}
    asked = {(a.op, a.oracle) for a in result.answers} if result else set()
    findings = list(result.findings) if result else []
    for crash in crashes:
        op = f"scenario:{crash.case}" if unit.kind == "scenario" else unit.name
        oracles = crash.oracles or unit.oracles
        oracles = tuple(o for o in oracles if (op, o) in asked) or oracles
        why = f"{crash.how} in {crash.case or 'the start of the unit'}"
        for oracle in oracles:
            key = (op, oracle, unit.dtypes)
            answers[key] = _crashed(unit, op, oracle, answers.get(key), why)
        findings.append(_finding(unit, op, oracles[0], crash, why))
    if gave_up:
        why = f"not asked: {len(crashes)} cases of this unit had crashed before"
        told = {op for op, _, _ in answers} if unit.kind == "scenario" else set()
        for op, oracle in _questions(unit):
            key = (op, oracle, unit.dtypes)
            if key not in answers and op not in told:
                answers[key] = _crashed(unit, op, oracle, None, why)
    return UnitResult(
        unit=unit.id,
        answers=tuple(answers.values()),
        findings=tuple(findings),
        times=result.times if result else Times(),
    )


def errored(unit: Unit, message: str, traceback: str) -> UnitResult:
    """The harness failed: every answer of the unit is `ERRORED`, and the traceback is kept."""
    answers = tuple(
        Answer(
            op=op,
            oracle=oracle,
            dtypes=unit.dtypes,
            backend=unit.backend,
            verdict=Verdict.ERRORED,
            compared=0,
            why=message,
        )
        for op, oracle in _questions(unit)
    )
    oracles = unit.oracles
    op = unit.name if unit.kind == "op" else f"scenario:{unit.name}"
    cause = f"{unit.backend}|{op}|errored|{message}"
    finding = Finding(
        id=finding_id(op, oracles[0], unit.dtypes, cause),
        cause=cause,
        op=op,
        oracle=oracles[0],
        backend=unit.backend,
        verdict=Verdict.ERRORED,
        dtypes=unit.dtypes,
        points=(),
        observed=traceback,
        expected=None,
        program="",
        count=1,
        message=f"the checker failed: {message}",
    )
    return UnitResult(unit=unit.id, answers=answers, findings=(finding,), times=Times())


def _questions(unit: Unit) -> list[tuple[str, str]]:
    """(op, oracle) of all answers that the unit might have given."""
    if unit.kind == "op":
        return [(unit.name, oracle) for oracle in unit.oracles]
    # which question each scenario asks is in the tables; for all of them stands the first
    return [(f"scenario:{case}", unit.oracles[0]) for case in unit.cases]


def finding_id(op: str, oracle: str, dtypes: tuple[str, ...], cause: str) -> str:
    """`op-oracle-dtype-xxxx` with a hash of the cause."""
    dtype = dtypes[0].replace(":", "_") if dtypes else "program"
    mark = hashlib.sha256(f"{op} {oracle} {cause}".encode()).hexdigest()[:4]
    return f"{op.removeprefix('scenario:')}-{oracle}-{dtype}-{mark}"


def _crashed(unit: Unit, op: str, oracle: str, known: Answer | None, why: str) -> Answer:
    if known is not None:
        verdict = worst([known.verdict, Verdict.CRASHED])
        return msgspec.structs.replace(known, verdict=verdict, why=why)
    return Answer(
        op=op,
        oracle=oracle,
        dtypes=unit.dtypes,
        backend=unit.backend,
        verdict=Verdict.CRASHED,
        compared=0,
        why=why,
    )


def _finding(unit: Unit, op: str, oracle: str, crash: Crash, why: str) -> Finding:
    said = f" (last words: {crash.words})" if crash.words else ""
    cause = f"{unit.backend}|{op}|crashed|{crash.how}"  # whatever the case and the dtype
    return Finding(
        id=finding_id(op, oracle, unit.dtypes, cause),
        cause=cause,
        op=op,
        oracle=oracle,
        backend=unit.backend,
        verdict=Verdict.CRASHED,
        dtypes=unit.dtypes,
        points=(),
        observed=crash.how,
        expected="an answer",
        program=crash.program,
        count=1,
        message=f"the process ended or never answered: {why}{said}",
    )
