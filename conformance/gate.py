"""From a run to an exit status; a baseline accepts findings by cause and remembers counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from conformance.results import findings as merged_findings
from conformance.store import Store
from conformance.storefile import write_atomically
from conformance.verdicts import Answer, Finding, Verdict

FORMAT = "conformance-baseline/1"


class BaselineError(Exception):
    """The file is not a baseline; one line."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that a person has accepted: its cause, and what it looked like."""

    id: str
    op: str
    oracle: str
    backend: str
    verdict: Verdict
    points: tuple[str, ...] = ()
    what: str = ""
    message: str = ""

    @property
    def cause(self) -> tuple[str, ...]:
        return (self.id, self.op, self.oracle, self.backend, str(self.verdict))


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many elements or facts an oracle compared for one operation on one backend."""

    op: str
    oracle: str
    backend: str
    compared: int


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """tier: counts are held against runs of the same tier only."""

    format: str
    tier: str
    findings: tuple[Accepted, ...]
    compared: tuple[Count, ...]


@dataclass(slots=True)
class Judgement:
    """failures: one line per reason to fail; none means that the gate passes.

    notes: lines that people should see, though they fail nothing. new: failing findings that
    no baseline accepts, worst first.
    """

    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    new: list[Finding] = field(default_factory=list)

    @property
    def passes(self) -> bool:
        return not self.failures

    @property
    def status(self) -> int:
        return 0 if self.passes else 1


def judge(store: Store, baseline: Baseline | None = None) -> Judgement:
    """Whether the run may pass, and why not."""
    result = Judgement()
    answers, findings = list(store.answers()), merged_findings(store)
    answered, planned = store.counts()
    if answered < planned:
        result.failures.append(
            f"the run is not complete: {answered} of {planned} units answered; --resume finishes it"
        )
    elif not sum(answer.compared for answer in answers):
        result.failures.append("nothing was compared")
    accepted = {entry.cause for entry in baseline.findings} if baseline else set()
    failing = [f for f in findings if f.verdict.fails_gate]
    result.new = [f for f in failing if _accepted(f).cause not in accepted]
    known = [f for f in failing if _accepted(f).cause in accepted]
    result.failures += [f"{f.verdict} {f.id} ({f.backend}): {f.message}" for f in result.new]
    result.failures += _unexplained(answers, failing)
    if known:
        result.notes.append(f"{len(known)} findings accepted by the baseline")
    if baseline:
        _compare(result, baseline, store, answers, findings)
    return result


def _unexplained(answers: list[Answer], failing: list[Finding]) -> list[str]:
    """Failing answers that no finding speaks for: nothing can have accepted them."""
    # not by dtype: a cause is told once, by the dtype that shows it best
    spoken = {(f.op, f.oracle, f.backend, f.verdict) for f in failing}
    whole_unit = {  # a crash or an error speaks for every oracle of its unit
        (f.op, f.backend, f.dtypes) for f in failing
        if f.verdict in (Verdict.CRASHED, Verdict.ERRORED)
    }  # fmt: skip
    groups: Counter[tuple[str, str, str, Verdict, str]] = Counter()
    for a in answers:
        if not a.verdict.fails_gate:
            continue
        if (a.op, a.oracle, a.backend, a.verdict) in spoken:
            continue
        if a.verdict in (Verdict.CRASHED, Verdict.ERRORED) and (
            (a.op, a.backend, a.dtypes) in whole_unit
        ):
            continue
        groups[a.op, a.oracle, a.backend, a.verdict, a.why] += 1
    return [
        f"{verdict} {op} {oracle} ({backend})"
        + (f", {count} dtypes" if count > 1 else "")
        + (f": {why}" if why else "")
        for (op, oracle, backend, verdict, why), count in sorted(groups.items())
    ]


def _compare(
    result: Judgement,
    baseline: Baseline,
    store: Store,
    answers: list[Answer],
    findings: list[Finding],
) -> None:
    """Baseline entries that are no longer true, as far as this run asked about them."""
    asked = {(a.op, a.oracle, a.backend) for a in answers if a.verdict is not Verdict.NOT_RUN}
    seen = {_accepted(f).cause for f in findings}
    stale = [
        entry for entry in baseline.findings
        if entry.cause not in seen and (entry.op, entry.oracle, entry.backend) in asked
    ]  # fmt: skip
    result.notes += [
        f"stale in the baseline: {entry.id} ({entry.backend}) is no longer seen; "
        "--write-baseline drops it"
        for entry in stale
    ]
    tier = store.meta()["tier"]
    if tier != baseline.tier:
        result.notes.append(
            f"counts not held against the baseline: it is of tier {baseline.tier}, this is {tier}"
        )
        return
    if store.meta()["shard"]:
        result.notes.append("counts not held against the baseline: this is one shard of a run")
        return
    now = count(answers)
    for entry in baseline.compared:
        key = (entry.op, entry.oracle, entry.backend)
        if key in asked and now[key] < entry.compared:
            result.failures.append(
                f"compares less than the baseline: {entry.op} {entry.oracle} ({entry.backend}): "
                f"{now[key]} now, {entry.compared} then"
            )
    gone = sorted(
        {
            f"{entry.op} {entry.oracle} ({entry.backend})"
            for entry in baseline.compared
            if (entry.op, entry.oracle, entry.backend) not in asked and _selected(store, entry)
        }
    )
    result.failures += [f"no longer asked, though in the baseline: {line}" for line in gone]


def _selected(store: Store, entry: Count) -> bool:
    """Whether a run of this selection should have asked what the baseline counted."""
    selection = store.meta()["selection"]
    backends = {info.name for info in store.backends() if info.available}
    return (
        entry.backend in backends
        and not selection.get("ops")
        and not selection.get("scenarios")
        and (not selection.get("oracles") or entry.oracle in selection["oracles"])
    )


def count(answers: list[Answer]) -> Counter[tuple[str, str, str]]:
    """How much was compared, by (op, oracle, backend)."""
    total: Counter[tuple[str, str, str]] = Counter()
    for answer in answers:
        total[answer.op, answer.oracle, answer.backend] += answer.compared
    return total


def baseline_of(store: Store) -> Baseline:
    """A baseline that accepts all that the run found."""
    failing = [_accepted(f) for f in merged_findings(store) if f.verdict.fails_gate]
    counts = count(list(store.answers()))
    return Baseline(
        format=FORMAT,
        tier=store.meta()["tier"],
        findings=tuple(failing),
        compared=tuple(
            Count(op=op, oracle=oracle, backend=backend, compared=compared)
            for (op, oracle, backend), compared in sorted(counts.items())
            if compared
        ),
    )


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Raises StoreError when it cannot be written."""
    text = msgspec.json.format(msgspec.json.encode(baseline), indent=1).decode()
    write_atomically(path, text + "\n")


def read_baseline(path: Path) -> Baseline:
    """Raises BaselineError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        baseline = msgspec.json.decode(data, type=Baseline)
    except msgspec.DecodeError as error:
        raise BaselineError(
            f"{path}: not a baseline ({error}); `conformance gate DIR --write-baseline FILE` "
            "makes one"
        ) from None
    if baseline.format != FORMAT:
        raise BaselineError(f"{path}: format {baseline.format!r}, expected {FORMAT!r}")
    return baseline


def _accepted(finding: Finding) -> Accepted:
    return Accepted(
        id=finding.id,
        op=finding.op,
        oracle=finding.oracle,
        backend=finding.backend,
        verdict=finding.verdict,
        points=finding.points,
        what=finding.what,
        message=finding.message,
    )
