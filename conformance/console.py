"""What `run` and `gate` show: a progress bar on a terminal, plain lines elsewhere; the summary."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.table import Table

from conformance.engine.plan import BackendInfo
from conformance.engine.pool import Answered
from conformance.gate import Judgement
from conformance.results import findings as merged_findings
from conformance.store import Store
from conformance.verdicts import Verdict

MOST_SHOWN = 10
EVERY_S = 15.0  # between plain lines
COLOURS = {
    **dict.fromkeys((v for v in Verdict if v.fails_gate), "red"),
    Verdict.KNOWN_DIVERGENCE: "yellow",
    Verdict.UNSPECIFIED: "yellow",
    Verdict.CONFORMS: "green",
}


class Progress:
    """The watcher of a run."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or make_console()
        self._bar: Bar | None = None
        self._start = self._said = time.monotonic()
        self._done = self._failing = self._planned = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def started(self, backends: Sequence[BackendInfo], planned: int, waiting: int) -> None:
        for info in backends:
            if info.available:
                version = f"{info.library} {info.version} on {info.device}"
                self._line(f"{info.name}: {version}")
            else:
                self._line(f"{info.name}: NOT_RUN, {info.why}")
        self._planned, self._done = planned, planned - waiting
        if self._done:
            self._line(f"resuming: {self._done} of {planned} units are answered")
        if self.console.is_terminal:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[failing]}"),
                console=self.console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(
                "asking", total=planned, completed=self._done, failing=""
            )
        else:
            self._line(f"{waiting} units to ask")

    def answered(self, answered: Answered) -> None:
        self._done += 1
        self._failing += any(a.verdict.fails_gate for a in answered.result.answers)
        failing = f"{self._failing} fail" if self._failing else ""
        if self._bar:
            name = escape(f"{answered.unit.backend} {answered.unit.name}")
            self._bar.update(
                self._task, completed=self._done, description=f"{name:<32.32}", failing=failing
            )
        elif time.monotonic() - self._said > EVERY_S:
            self._said = time.monotonic()
            seconds = self._said - self._start
            self._line(
                f"{self._done} of {self._planned} units, {seconds:.0f} s"
                + (f", {failing}" if failing else "")
            )

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def make_console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, 100))


def summarize(store: Store, judgement: Judgement, html: Path) -> None:
    """Counts by verdict and backend, the findings, the time, the gate, the report."""
    console = make_console()
    console.print(_table(store))
    findings = [f for f in merged_findings(store) if f.verdict.fails_gate]
    for finding in findings[:MOST_SHOWN]:
        console.print(
            f"{finding.verdict} {finding.message}\n  conformance repro {store.path.parent} "
            f"{finding.id}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    if len(findings) > MOST_SHOWN:
        console.print(f"… and {len(findings) - MOST_SHOWN} findings more, all in the report")
    console.print(time_line(store), highlight=False, soft_wrap=True)
    say_judgement(judgement, console, listed=True)
    console.print(f"report: {html}", markup=False, highlight=False, soft_wrap=True)


def time_line(store: Store) -> str:
    """How the workers' time splits, and the memory that they took together at most."""
    times = store.times()
    spent = times["library_s"] + times["reference_s"] + times["harness_s"]
    share = {k: times[k] / spent if spent else 0.0 for k in times}
    peak = store.meta().get("peak_memory", 0) / 2**30
    return (
        f"{times['wall_s']:.1f} s; workers: libraries {share['library_s']:.0%}, reference "
        f"{share['reference_s']:.0%}, harness {share['harness_s']:.0%} of {spent:.1f} s; "
        f"peak memory {peak:.1f} GiB"
    )


def say_judgement(
    judgement: Judgement, console: Console | None = None, listed: bool = False
) -> None:
    """The gate in words. listed: the findings stand above already."""
    console = console or make_console()
    own = {f"{f.verdict} {f.id} ({f.backend}): {f.message}" for f in judgement.new}
    lines = [line for line in judgement.failures if not (listed and line in own)]
    for line in [*judgement.notes, *lines[:MOST_SHOWN]]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if len(lines) > MOST_SHOWN:
        console.print(f"… and {len(lines) - MOST_SHOWN} reasons more")
    if judgement.passes:
        console.print("gate: passes", style="green")
    else:
        count = len(judgement.failures)
        console.print(f"gate: fails, {count} reason{'s' * (count > 1)}", style="red")


def _table(store: Store) -> Table:
    counts: Counter[tuple[str, Verdict]] = Counter()
    compared: Counter[str] = Counter()
    for answer in store.answers():
        counts[answer.backend, answer.verdict] += 1
        compared[answer.backend] += answer.compared
    backends = [info.name for info in store.backends()]
    table = Table(title="answers", title_justify="left")
    table.add_column("verdict")
    for name in backends:
        table.add_column(escape(name), justify="right")
    for verdict in Verdict:
        row = [counts[name, verdict] for name in backends]
        if any(row):
            cells = [f"{n:,}" if n else "" for n in row]
            table.add_row(verdict, *cells, style=COLOURS.get(verdict, "dim"))
    table.add_row("compared", *[f"{compared[name]:,}" for name in backends], style="dim")
    return table
