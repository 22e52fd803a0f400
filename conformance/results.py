"""`results.json`: the whole run as one stable document, and findings merged by their cause."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec

from conformance.findings import cluster
from conformance.store import Store, finite
from conformance.storefile import write_atomically
from conformance.verdicts import Finding

FORMAT = "conformance-results/1"


def run_facts(store: Store) -> dict[str, Any]:
    """What `results.json` has under "run": the same for the same question, but for times."""
    meta = store.meta()
    answered, planned = store.counts()
    return {
        "complete": store.complete,
        "seed": meta["seed"],
        "tier": meta["tier"],
        "packages": store.packages(),
        "selection": meta["selection"],
        "shard": meta["shard"],
        "code": meta["code"],
        "planned": planned,
        "answered": answered,
        "not_run": store.not_run(),
    }


def results(store: Store) -> dict[str, Any]:
    """The document `results.json`."""
    return {
        "format": FORMAT,
        "run": run_facts(store),
        "backends": [
            {
                "name": info.name,
                "version": info.version,
                "device": info.device,
                "options": list(info.options),
            }
            for info in store.backends()
            if info.available
        ],
        "answers": [finite(msgspec.to_builtins(answer)) for answer in store.answers()],
        "findings": [finite(msgspec.to_builtins(finding)) for finding in findings(store)],
        "time": store.times(),
    }


def write_results(store: Store, path: Path) -> None:
    """Write `results.json` in one step: readers see the old file or the new one."""
    body = json.dumps(results(store), ensure_ascii=False, allow_nan=False, indent=1)
    write_atomically(path, body + "\n")


def findings(store: Store) -> list[Finding]:
    """One per cause, worst first: the same cause in other dtypes is in `more_dtypes`."""
    return _distinct(cluster(list(store.findings())))


def _distinct(findings: list[Finding]) -> list[Finding]:
    """Two causes whose short hashes meet get ids that tell them apart, the same in every run."""
    by_id: dict[str, list[Finding]] = {}
    for finding in findings:
        by_id.setdefault(finding.id, []).append(finding)
    out = []
    for finding in findings:
        if len(by_id[finding.id]) > 1:
            cause = f"{finding.backend} {finding.verdict} {finding.what} {finding.points} "
            cause += f"{finding.rule} {finding.layout} {finding.cause}"
            mark = hashlib.sha256(cause.encode()).hexdigest()[:4]
            finding = msgspec.structs.replace(finding, id=f"{finding.id}-{mark}")
        out.append(finding)
    return out
