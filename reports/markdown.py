"""A summary of a run in Markdown, for a pull request or a CI job's page."""

from __future__ import annotations

from collections import Counter

from conformance.gate import judge
from conformance.results import findings as merged_findings
from conformance.store import Store
from conformance.verdicts import Finding, Verdict

MOST_SHOWN = 50


def render(store: Store) -> str:
    """Verdict, versions, counts by backend, what was not run, the findings."""
    judgement = judge(store)
    lines = ["# Conformance", ""]
    answered, planned = store.counts()
    state = "complete" if answered == planned else f"**{answered} of {planned} units answered**"
    lines += [f"Gate: **{'passes' if judgement.passes else 'fails'}** ({state}).", ""]
    lines += _counts(store)
    packages = ", ".join(f"{name} {version}" for name, version in store.packages().items())
    meta = store.meta()
    lines += [f"Tier {meta['tier']}, seed {meta['seed']}. {packages}.", ""]
    absent = store.not_run()
    if absent:
        lines += ["## Not run", "", *[f"- `{n}`: {_text(why)}" for n, why in absent.items()], ""]
    findings = merged_findings(store)
    for title, chosen in (
        ("What fails", [f for f in findings if f.verdict.fails_gate]),
        ("Known differences", [f for f in findings if not f.verdict.fails_gate]),
    ):
        if chosen:
            lines += [f"## {title}", "", *_findings(chosen), ""]
    return "\n".join(lines).rstrip() + "\n"


def _counts(store: Store) -> list[str]:
    counts: Counter[tuple[Verdict, str]] = Counter()
    for answer in store.answers():
        counts[answer.verdict, answer.backend] += 1
    names = [info.name for info in store.backends()]
    lines = [
        f"| verdict | {' | '.join(f'`{n}`' for n in names)} |",
        "| --- |" + " ---: |" * len(names),
    ]
    for verdict in Verdict:
        row = [counts[verdict, name] for name in names]
        if any(row):
            lines.append(f"| {verdict} | {' | '.join(str(n) if n else '' for n in row)} |")
    return [*lines, ""]


def _findings(findings: list[Finding]) -> list[str]:
    lines = [
        f"- {f.verdict} `{f.id}` ({f.backend}, {f.count} alike): {_text(f.message)}"
        for f in findings[:MOST_SHOWN]
    ]
    if len(findings) > MOST_SHOWN:
        lines.append(f"- … and {len(findings) - MOST_SHOWN} more in `results.json`")
    return lines


def _text(text: str) -> str:
    """A library's words as plain text: nothing in them is Markdown or HTML."""
    flat = " ".join(text.split())
    for char in "\\`*_[]<>|#&":
        flat = flat.replace(char, "\\" + char)
    return flat
