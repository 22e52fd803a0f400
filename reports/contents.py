"""Reads a run's store for the reports; nothing else of the run is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from conformance import gate, results
from conformance.store import Store
from conformance.verdicts import Answer, Finding, Verdict

# Neither says anything about the library's behaviour, so they are no question it was asked.
UNASKED = frozenset({Verdict.NOT_APPLICABLE, Verdict.NOT_RUN})


@dataclass(frozen=True, slots=True)
class Contents:
    """What a run left in its store.

    run: the "run" of `results.json` and "peak_memory" in bytes. backends: those that ran, most
    asked first, as dicts of `BackendInfo`. failures: one line per reason for which the gate
    fails, as `conformance gate` prints them without a baseline. records: JSON dicts with a
    "kind". times: seconds by `wall_s`, `library_s`, `reference_s`, `harness_s`.
    """

    run: Mapping[str, Any]
    backends: tuple[Mapping[str, Any], ...]
    answers: tuple[Answer, ...]
    findings: tuple[Finding, ...]
    failures: tuple[str, ...]
    records: tuple[Mapping[str, Any], ...] = ()
    times: Mapping[str, float] = field(default_factory=dict)


def read(path: Path) -> Contents:
    """Everything of the store at `path` (the file, or its folder). Raises StoreError."""
    with Store.read(path) as store:
        answers = tuple(store.answers())
        asked = Counter(a.backend for a in answers if a.verdict not in UNASKED)
        ran = [msgspec.to_builtins(info) for info in store.backends() if info.available]
        return Contents(
            run={**results.run_facts(store), "peak_memory": store.meta().get("peak_memory", 0)},
            backends=tuple(sorted(ran, key=lambda b: (-asked[b["name"]], b["name"]))),
            answers=answers,
            findings=tuple(results.findings(store)),
            failures=tuple(gate.judge(store).failures),
            records=tuple(store.records()),
            times=store.times(),
        )
