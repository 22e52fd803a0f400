"""What the page shows, as plain JSON values: from one run's contents and the spec tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from conformance.program import ProgramError
from conformance.specs import OpSpec, Scenario, Specs
from conformance.verdicts import Answer, Finding, Verdict
from reports.bits import annotate
from reports.contents import UNASKED, Contents

# Verdict -> (sign in its mark, "" where the mark is a drawn shape; meaning for people).
# Those that fail the gate have letters.
VERDICTS: dict[Verdict, tuple[str, str]] = {
    Verdict.ERRORED: ("E", "the harness or the adapter failed"),
    Verdict.CRASHED: ("C", "the library killed its process or never answered"),
    Verdict.VACUOUS: ("V", "nothing was compared"),
    Verdict.DIVERGES: ("D", "outside the bound, and nothing documented explains it"),
    Verdict.STALE_DIVERGENCE: ("S", "a documented divergence that no longer happens"),
    Verdict.KNOWN_DIVERGENCE: ("", "exactly what a documented divergence predicts"),
    Verdict.UNSPECIFIED: ("?", "the norm leaves it open; recorded, not judged"),
    Verdict.NOT_APPLICABLE: ("–", "the backend lacks a capability that the case needs"),
    Verdict.NOT_RUN: ("", "no such device, library or time"),
    Verdict.CONFORMS: ("", "within the bound at every element compared"),
}

def page(run: Contents, specs: Specs, script: Callable[[Finding, Specs], str]) -> dict[str, Any]:
    """The blocks of the page, each embedded as JSON on its own and parsed when first needed.

    script: makes the reproduction script of a finding.
    """
    return {
        "core": {
            "run": _run(run),
            "summary": summary(run),
            "backends": [dict(b) for b in run.backends],
            "verdicts": [
                {"name": str(v), "code": code, "fails": v.fails_gate, "meaning": meaning}
                for v, (code, meaning) in VERDICTS.items()
            ],
            "vocabulary": {
                group: dict(specs.vocabulary.get(group, {}))
                for group in ("oracles", "points", "capabilities", "error_kinds", "stances")
            },
            "answers": columns(run.answers),
            "chapters": _chapters(run.answers, specs),
        },
        "ops": {name: op_facts(op, specs.norms) for name, op in _seen_ops(run.answers, specs)},
        "findings": [_finding(f, specs, script) for f in _worst_first(run.findings)],
        "scenarios": _scenarios(run, specs),
        "promotion": _of_kind(run.records, "promotion"),
        "alias": _of_kind(run.records, "alias"),
    }


def summary(run: Contents) -> dict[str, Any]:
    """The first screen: the verdict in words, per backend and for the whole run."""
    counts = Counter(a.verdict for a in run.answers)
    failing = [f for f in run.findings if f.verdict.fails_gate]
    failed = sum(n for v, n in counts.items() if v.fails_gate)
    return {
        "complete": bool(run.run["complete"]),
        "passes": not run.failures,
        "failures": list(run.failures),
        "failed": failed,
        "failing_findings": len(failing),
        "answers": len(run.answers),
        "compared": sum(a.compared for a in run.answers),
        "counts": [
            {"name": str(v), "count": counts[v], "fails": v.fails_gate, "code": VERDICTS[v][0],
             "meaning": VERDICTS[v][1]}
            for v in VERDICTS
        ],
        "backends": [_backend_line(b, run) for b in run.backends],
        "not_run": [
            {"name": name, "why": why} for name, why in run.run["not_run"].items()
        ],
    }


def _backend_line(backend: Mapping[str, Any], run: Contents) -> dict[str, Any]:
    name = backend["name"]
    mine = Counter(a.verdict for a in run.answers if a.backend == name)
    asked = sum(n for v, n in mine.items() if v not in UNASKED)
    return {
        **{k: backend.get(k, "") for k in ("name", "version", "device")},
        "options": list(backend.get("options", ())),
        "asked": asked,
        "conforms": mine[Verdict.CONFORMS],
        "known": mine[Verdict.KNOWN_DIVERGENCE],
        "open": mine[Verdict.UNSPECIFIED],
        "failed": sum(n for v, n in mine.items() if v.fails_gate),
        "not_applicable": mine[Verdict.NOT_APPLICABLE],
        "not_run": mine[Verdict.NOT_RUN],
        "findings": sum(f.backend == name and f.verdict.fails_gate for f in run.findings),
    }


def columns(answers: Iterable[Answer]) -> dict[str, Any]:
    """Answers as columns of small integers into tables of words: a tenth of the size of rows."""
    ordered = sorted(answers, key=lambda a: (a.op, a.oracle, a.dtypes, a.backend))
    tables: dict[str, dict[Any, int]] = {
        k: {} for k in ("op", "oracle", "dtypes", "backend", "verdict", "unit", "why")
    }
    columns_: dict[str, list[Any]] = {k: [] for k in (*tables, "compared", "worst", "allowed")}
    for answer in ordered:
        for key, table in tables.items():
            word = getattr(answer, key)
            columns_[key].append(table.setdefault(word, len(table)))
        columns_["compared"].append(answer.compared)
        columns_["worst"].append(_number(answer.worst))
        columns_["allowed"].append(_number(answer.allowed))
    return {"tables": {k: list(t) for k, t in tables.items()}, "columns": columns_}


def op_facts(op: OpSpec, norms: Mapping[str, Any]) -> dict[str, Any]:
    """One operation's table, with its norm references turned into links."""
    return {
        "schema": op.schema,
        "shapes": op.shapes,
        "dtypes": op.dtypes,
        "result": op.result,
        "bound": op.bound,
        "points": op.points,
        "saves": op.saves,
        "mixed": op.mixed,
        "inplace": op.parsed.mutates,
        "base": op.base,
        "needs": op.needs,
        "notes": op.notes,
        "calls": {k: v for k, v in (("torch", op.torch), ("jax", op.jax)) if v},
        "norm": norm_link(op.norm, norms),
        "divergence": [msgspec.to_builtins(d) for d in op.divergence],
    }


def norm_link(norm: str, norms: Mapping[str, Any]) -> dict[str, str]:
    """{"text", "url", "version"} of "torch:torch.clamp"; url "" where the table has no such norm."""
    source, _, rest = norm.partition(":")
    entry = norms.get(source)
    if not rest or entry is None:
        return {"text": norm, "url": "", "version": ""}
    entry = entry if isinstance(entry, Mapping) else msgspec.to_builtins(entry)
    return {
        "text": norm,
        "url": str(entry["url"]).replace("{}", rest),
        "version": str(entry.get("version", "")),
    }


def _run(run: Contents) -> dict[str, Any]:
    return {**{k: _json(v) for k, v in run.run.items() if k != "not_run"}, "times": dict(run.times)}


def _chapters(answers: Iterable[Answer], specs: Specs) -> list[dict[str, Any]]:
    """Rows of the matrix, grouped: operations by chapter, scenarios by group."""
    groups: dict[tuple[int, str], list[str]] = {}
    for name in sorted({a.op for a in answers}):
        kind, bare = (1, name.removeprefix("scenario:")) if name.startswith("scenario:") else (0, "")
        if kind:
            known = specs.scenarios.get(bare)
            group = known.group if known else "scenarios"
        else:
            op = specs.ops.get(name)
            group = (op.chapter if op else "") or "operations"
        groups.setdefault((kind, group), []).append(name)
    return [
        {"kind": ("op", "scenario")[kind], "name": group, "rows": rows}
        for (kind, group), rows in sorted(groups.items())
    ]


def _seen_ops(answers: Iterable[Answer], specs: Specs) -> list[tuple[str, OpSpec]]:
    seen = {a.op for a in answers}
    return [(name, op) for name, op in specs.ops.items() if name in seen]


def _worst_first(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda f: (f.verdict.severity, f.op, f.oracle, f.backend, f.id))


def _finding(
    finding: Finding, specs: Specs, script: Callable[[Finding, Specs], str]
) -> dict[str, Any]:
    plain = msgspec.to_builtins(finding)
    dtype = next((d for d in finding.dtypes if not d.startswith("weak:")), "").removesuffix("[]")
    norm = finding.norm or _norm_of(finding.op, specs)
    return {
        **plain,
        "observed": _json(annotate(plain["observed"], dtype)),
        "expected": _json(annotate(plain["expected"], dtype)),
        "norm": norm_link(norm, specs.norms),
        "script": _script(finding, specs, script),
    }


def _script(finding: Finding, specs: Specs, script: Callable[[Finding, Specs], str]) -> str:
    """A store may be older than the tables: what cannot be said in today's words is said so."""
    try:
        return script(finding, specs)
    except ProgramError as error:
        return f"# {finding.id}: no script: {error}\n"


def _norm_of(op: str, specs: Specs) -> str:
    if op.startswith("scenario:"):
        known: Scenario | OpSpec | None = specs.scenarios.get(op.removeprefix("scenario:"))
    else:
        known = specs.ops.get(op)
    return known.norm if known else ""


def _scenarios(run: Contents, specs: Specs) -> list[dict[str, Any]]:
    """Every scenario that the run has an answer or a trace for, with its traces by backend."""
    traces: dict[str, dict[str, Any]] = {}
    for record in run.records:
        if record.get("kind") == "scenario_trace":
            traces.setdefault(record["scenario"], {})[record["backend"]] = record["lines"]
    answered = {a.op.removeprefix("scenario:") for a in run.answers if a.op.startswith("scenario:")}
    found = []
    for name in sorted(answered | set(traces)):
        spec = specs.scenarios.get(name)
        found.append(
            {
                "name": name,
                "traces": _json(traces.get(name, {})),
                **({} if spec is None else _scenario_facts(spec, specs)),
            }
        )
    return found


def _scenario_facts(spec: Scenario, specs: Specs) -> dict[str, Any]:
    return {
        "group": spec.group,
        "title": spec.title,
        "oracle": spec.oracle,
        "program": spec.program.strip("\n"),
        "claims": spec.claims,
        "needs": spec.needs,
        "why": spec.why,
        "norm": norm_link(spec.norm, specs.norms),
        "divergence": [msgspec.to_builtins(d) for d in spec.divergence],
    }


def _of_kind(records: Iterable[Mapping[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [{k: _json(v) for k, v in r.items() if k != "kind"} for r in records if r["kind"] == kind]


def _number(value: float | None) -> float | str | None:
    """JSON has no inf and nan; they travel as text."""
    if value is None or math.isfinite(value):
        return value if value is None else float(f"{value:.4g}")
    return str(value)


def _json(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(k): _json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(v) for v in value]
    return value
