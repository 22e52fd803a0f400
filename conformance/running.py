"""`conformance run`: from a selection to an answered store."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from conformance import __version__
from conformance.backends import registry
from conformance.engine.plan import BackendInfo, plan, select, select_oracles, shard
from conformance.engine.pool import Answered, Limits, Pool
from conformance.engine.process import DEFAULT_RUNNER
from conformance.loading import check_rules, load_specs
from conformance.store import RunConfig, Store
from conformance.storefile import StoreError
from conformance.verdicts import Answer, Verdict


class RunError(Exception):
    """The run cannot start as asked: one line."""


class Watcher(Protocol):
    """What is told about the course of a run."""

    def started(self, backends: Sequence[BackendInfo], planned: int, waiting: int) -> None: ...

    def answered(self, answered: Answered) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked. backends: () means every library that is installed. ops, scenarios:
    comma-separated globs or None. shard: (I, N), from 1, or None. pythons: library -> path."""

    out: Path
    backends: tuple[str, ...] = ()
    ops: str | None = None
    scenarios: str | None = None
    oracles: tuple[str, ...] = ()
    tier: str = "standard"
    seed: int = 0
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    shard: tuple[int, int] | None = None
    resume: bool = False
    pythons: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    runner: str = DEFAULT_RUNNER
    environment: Mapping[str, str] = field(default_factory=dict)

    def config(self, backends: Sequence[str]) -> RunConfig:
        return RunConfig(
            seed=self.seed,
            tier=self.tier,
            selection={
                "backends": list(backends),
                "ops": self.ops,
                "scenarios": self.scenarios,
                "oracles": list(self.oracles),
            },
            shard="{}/{}".format(*self.shard) if self.shard else "",
            code=__version__,
        )


def run(request: Request, watcher: Watcher) -> Path:
    """Answer every unit and return the store's path.

    Everything that can be refused is refused before anything is written. On KeyboardInterrupt
    what was answered is in the store. Raises RunError, StoreError, SelectionError, PoolError,
    SpecErrors, UnknownBackend.
    """
    from reference_impl import HELPERS, RULES  # half a second that other commands need not wait

    start = time.monotonic()
    specs = load_specs()
    check_rules(specs, RULES, HELPERS)
    select(specs, request.ops, request.scenarios)
    select_oracles(specs, request.oracles)
    names = [registry.canonical(name) for name in request.backends]
    names = list(dict.fromkeys(names or registry.default_backends()))
    path = _prepare(request)
    with Pool(
        request.jobs, request.limits, request.pythons, request.runner, request.environment
    ) as pool:
        backends = pool.probe(names)
        units = plan(
            specs, backends, request.ops, request.scenarios, request.oracles, request.tier,
            request.seed,
        )  # fmt: skip
        if request.shard:
            units = shard(units, *request.shard)
        if not units:
            raise RunError(_nothing(request, backends))
        opening = Store.resume if request.resume else Store.create
        with opening(path, request.config(names), backends, units) as store:
            _answer(pool, store, backends, watcher, start)
    return path


def _answer(
    pool: Pool,
    store: Store,
    backends: Sequence[BackendInfo],
    watcher: Watcher,
    start: float,
) -> None:
    waiting = store.waiting()
    watcher.started(backends, store.counts()[1], len(waiting))
    try:
        for answered in pool.run(waiting):
            store.add(answered.result, answered.wall_s)
            watcher.answered(answered)
    finally:
        store.add_unasked(list(not_run(store)))
        store.add_wall(time.monotonic() - start, pool.peak_memory)


def not_run(store: Store) -> Iterator[Answer]:
    """For each backend that is not there, the questions that the others were asked."""
    absent = [info for info in store.backends() if not info.available]
    asked = sorted({(a.op, a.oracle) for a in store.answers() if a.verdict is not Verdict.NOT_RUN})
    for info in absent:
        for op, oracle in asked:
            yield Answer(
                op=op,
                oracle=oracle,
                dtypes=(),
                backend=info.name,
                verdict=Verdict.NOT_RUN,
                compared=0,
                why=info.why,
            )


def _prepare(request: Request) -> Path:
    """The store's path, once it is sure that the folder can be written."""
    path = request.out / "run.sqlite"
    try:
        request.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=request.out):
            pass
    except OSError as error:
        raise StoreError(
            f"{request.out}: cannot write here ({error.strerror}); give another --out"
        ) from None
    if request.resume or path.exists():
        Store.read(path).close()
    return path


def _nothing(request: Request, backends: Sequence[BackendInfo]) -> str:
    absent = [f"{info.name}: {info.why}" for info in backends if not info.available]
    if len(absent) == len(backends):
        return f"no backend to run: {'; '.join(absent)}"
    if request.shard:
        return "shard {}/{} has no unit; use fewer shards".format(*request.shard)
    return "the selection has no unit: no such scenario answers these oracles"
