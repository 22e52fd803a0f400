"""What changed between two runs: versions, answers, findings."""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance.results import findings as merged_findings
from conformance.store import Store
from conformance.verdicts import Answer, Finding


@dataclass(slots=True)
class Difference:
    """versions: (name, before, after). changed: (before, after). Only what both runs asked counts.

    only_before, only_after: how many questions one run asked and the other did not.
    """

    versions: list[tuple[str, str, str]] = field(default_factory=list)
    answers: list[tuple[Answer, Answer]] = field(default_factory=list)
    new: list[Finding] = field(default_factory=list)
    gone: list[Finding] = field(default_factory=list)
    changed: list[tuple[Finding, Finding]] = field(default_factory=list)
    only_before: int = 0
    only_after: int = 0

    @property
    def same(self) -> bool:
        return not (
            self.answers or self.new or self.gone or self.changed
            or self.only_before or self.only_after
        )  # fmt: skip


def compare(before: Store, after: Store) -> Difference:
    """What holds of `after` and not of `before`, and the other way round."""
    out = Difference()
    old_versions, new_versions = _versions(before), _versions(after)
    for name in sorted(old_versions.keys() | new_versions.keys()):
        old, new = old_versions.get(name, "absent"), new_versions.get(name, "absent")
        if old != new:
            out.versions.append((name, old, new))
    old_answers, new_answers = _answers(before), _answers(after)
    shared = old_answers.keys() & new_answers.keys()
    out.only_before = len(old_answers) - len(shared)
    out.only_after = len(new_answers) - len(shared)
    out.answers = [
        (old_answers[key], new_answers[key])
        for key in sorted(shared)
        if _said(old_answers[key]) != _said(new_answers[key])
    ]
    asked = {(op, oracle, backend) for op, oracle, _, backend in shared}
    old_findings, new_findings = _findings(before, asked), _findings(after, asked)
    out.new = [f for key, f in new_findings.items() if key not in old_findings]
    out.gone = [f for key, f in old_findings.items() if key not in new_findings]
    out.changed = [
        (old, new_findings[key])
        for key, old in old_findings.items()
        if key in new_findings and _seen(old) != _seen(new_findings[key])
    ]
    return out


def lines(difference: Difference) -> list[str]:
    """For people, most important first."""
    out: list[str] = []
    out += [f"version  {name}: {old} -> {new}" for name, old, new in difference.versions]
    out += [f"new      {_line(f)}" for f in difference.new]
    out += [f"changed  {_line(new)} (before: {old.message})" for old, new in difference.changed]
    out += [f"gone     {_line(f)}" for f in difference.gone]
    out += [
        f"answer   {new.op} {new.oracle} {','.join(new.dtypes)} ({new.backend}): "
        f"{old.verdict} -> {new.verdict}"
        + (f", compared {old.compared} -> {new.compared}" if old.compared != new.compared else "")
        for old, new in difference.answers
    ]
    if difference.only_before:
        out.append(f"missing  {difference.only_before} answers are only in the first run")
    if difference.only_after:
        out.append(f"added    {difference.only_after} answers are only in the second run")
    if difference.same:
        out.append("no difference in any answer or finding")
    else:
        out.append(
            f"{len(difference.new)} new, {len(difference.changed)} changed and "
            f"{len(difference.gone)} gone findings; {len(difference.answers)} answers changed"
        )
    return out


def _versions(store: Store) -> dict[str, str]:
    versions = store.packages()
    for info in store.backends():
        shown = f"{info.version} on {info.device}" if info.available else f"not run ({info.why})"
        versions[f"backend {info.name}"] = shown
    return versions


def _answers(store: Store) -> dict[tuple[str, str, tuple[str, ...], str], Answer]:
    return {(a.op, a.oracle, a.dtypes, a.backend): a for a in store.answers()}


def _said(answer: Answer) -> tuple[object, ...]:
    return (answer.verdict, answer.compared)


def _findings(store: Store, asked: set[tuple[str, str, str]]) -> dict[tuple[str, str], Finding]:
    return {
        (f.id, f.backend): f for f in merged_findings(store) if (f.op, f.oracle, f.backend) in asked
    }


def _seen(finding: Finding) -> tuple[object, ...]:
    return (finding.verdict, finding.observed, finding.expected, finding.count)


def _line(finding: Finding) -> str:
    return f"{finding.verdict} {finding.id} ({finding.backend}): {finding.message}"
