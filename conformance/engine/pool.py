"""Runs units in worker processes; survives whatever a library does to its process.

One thread: a selector waits for replies, between them deadlines and memory are looked at. Every
job slot keeps one worker, and that worker keeps one backend while units of it are left.
"""

from __future__ import annotations

import selectors
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

import msgspec

from conformance.engine.crash import Crash, errored, with_crashes
from conformance.engine.messages import (
    Broken,
    Describe,
    Described,
    Done,
    Failed,
    Opened,
    Reply,
    Run,
)
from conformance.engine.plan import BackendInfo, Unit
from conformance.engine.process import DEFAULT_RUNNER, Worker
from conformance.verdicts import UnitResult

MAX_CRASHES = 5  # cases of one unit that may crash before the rest of it is given up
GIB = 1 << 30


class PoolError(Exception):
    """A backend cannot be hosted at all: one line that says what and why."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """case_s: seconds that one case may take. start_s: the same for opening a backend.

    memory: resident bytes at which a worker is killed. recycle: resident bytes at which it is
    replaced after the unit it has answered (jax keeps every compiled program).
    """

    case_s: float = 120.0
    start_s: float = 300.0
    memory: int = 6 * GIB
    recycle: int = 3 * GIB // 2


@dataclass(slots=True)
class _Job:
    unit: Unit
    crashes: list[Crash] = field(default_factory=list)
    started: float = 0.0
    result: UnitResult | None = None
    gave_up: bool = False
    describing: int = 0


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A unit with its result. wall_s: from the first request to the last reply."""

    unit: Unit
    result: UnitResult
    wall_s: float


class Pool:
    """jobs: how many workers live at a time. pythons: library name -> interpreter.

    runner, environment: see `process.Worker`. Use as a context manager; leaving it ends the
    workers. peak_memory: the largest resident size seen over all workers together, in bytes.
    """

    def __init__(
        self,
        jobs: int,
        limits: Limits | None = None,
        pythons: Mapping[str, str] | None = None,
        runner: str = DEFAULT_RUNNER,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.jobs = jobs
        self.limits = limits or Limits()
        self.peak_memory = 0
        self._pythons = dict(pythons or {})
        self._runner = runner
        self._environment = dict(environment or {})
        self._workers: list[Worker] = []
        self._jobs: dict[Worker, _Job] = {}
        self._looked = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self._workers):
            self._drop(worker, kill=True)  # they hold nothing that is not in a reply

    def probe(self, backends: Iterable[str]) -> list[BackendInfo]:
        """Ask each backend what it is; the workers stay, warm, up to the number of jobs.

        Raises PoolError when a library is installed but cannot be used.
        """
        found: dict[str, BackendInfo] = {}
        waiting = deque(dict.fromkeys(backends))
        opening: list[Worker] = []
        order = list(waiting)
        while waiting or opening:
            while waiting and len(opening) < self.jobs:
                if len(self._workers) >= self.jobs:
                    idle = next((w for w in self._workers if w not in opening), None)
                    self._drop(idle)
                opening.append(self._start(waiting.popleft()))
            for worker, replies in self._wait(opening):
                info = self._opened(worker, replies)
                if info is None:
                    continue
                opening.remove(worker)
                found[worker.backend] = info
                if not info.available:
                    self._drop(worker)
        return [found[name] for name in order]

    def run(self, units: Iterable[Unit]) -> Iterator[Answered]:
        """Answers in the order in which they come. Raises PoolError."""
        waiting: dict[str, deque[_Job]] = {}
        for unit in units:
            waiting.setdefault(unit.backend, deque()).append(_Job(unit))
        opening: dict[Worker, _Job] = {}
        while self._jobs or opening or any(waiting.values()):
            self._fill(waiting, opening)
            for worker, replies in self._wait([*self._jobs, *opening]):
                if worker in opening:
                    if self._opened(worker, replies) is not None:
                        self._begin(worker, opening.pop(worker))
                    continue
                job = self._jobs[worker]
                for reply in replies:
                    if self._take(worker, job, reply):
                        yield self._answered(job)
                if worker.ended and worker in self._jobs:
                    if self._crash(worker, job, f"{worker.end()}"):
                        yield self._answered(job)
                    else:
                        waiting[job.unit.backend].appendleft(job)
            for worker, how in self._over_limits(opening):
                job = self._jobs[worker]
                if self._crash(worker, job, how):
                    yield self._answered(job)
                else:
                    waiting[job.unit.backend].appendleft(job)

    # -- workers ------------------------------------------------------------------------------

    def _start(self, backend: str) -> Worker:
        python = self._pythons.get(backend.split(":")[0], sys.executable)
        try:
            worker = Worker(backend, python, self._runner, self._environment)
        except OSError as error:
            raise PoolError(f"{backend}: cannot start {python}: {error.strerror}") from None
        self._workers.append(worker)
        return worker

    def _drop(self, worker: Worker, kill: bool = False) -> None:
        self._workers.remove(worker)
        self._jobs.pop(worker, None)
        worker.kill() if kill else worker.close()

    def _fill(self, waiting: dict[str, deque[_Job]], opening: dict[Worker, _Job]) -> None:
        """Give work to idle workers, and free slots to the backend with most work per worker."""
        for worker in list(self._workers):
            if worker in self._jobs or worker in opening:
                continue
            if waiting.get(worker.backend):
                self._begin(worker, waiting[worker.backend].popleft())
            elif len(self._workers) >= self.jobs and any(waiting.values()):
                self._drop(worker)
        while len(self._workers) < self.jobs and any(waiting.values()):
            busy = [worker.backend for worker in self._workers]
            backend = max(
                (name for name, jobs in waiting.items() if jobs),
                key=lambda name: (len(waiting[name]) / (1 + busy.count(name)), name),
            )
            job = waiting[backend].popleft()
            opening[self._start(backend)] = job

    def _begin(self, worker: Worker, job: _Job) -> None:
        self._jobs[worker] = job
        job.started = job.started or time.monotonic()
        worker.board.clear()
        if job.gave_up:  # nothing more is run; what the crashed cases do is still wanted
            job.describing = 1
            worker.ask(Describe(unit=job.unit, case=job.crashes[0].case))
        else:
            worker.ask(Run(unit=job.unit, skip=tuple(c.case for c in job.crashes)))

    def _wait(self, workers: Iterable[Worker]) -> list[tuple[Worker, list[Reply]]]:
        """Those that have said something or ended, after at most a quarter of a second."""
        with selectors.DefaultSelector() as selector:
            for worker in workers:
                selector.register(worker, selectors.EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(timeout=0.25)]
        return [(worker, worker.replies()) for worker in ready]

    def _opened(self, worker: Worker, replies: list[Reply]) -> BackendInfo | None:
        """What an opening worker has said; None while it has not. Raises PoolError."""
        for reply in replies:
            if isinstance(reply, Opened):
                return reply.info
            if isinstance(reply, Broken):
                self._drop(worker)
                raise PoolError(reply.message)
        if worker.ended:
            how, words = worker.end(), worker.last_words()
            self._drop(worker)
            raise PoolError(f"{worker.backend}: its process ended while it opened: {how}: {words}")
        return None

    # -- jobs ---------------------------------------------------------------------------------

    def _take(self, worker: Worker, job: _Job, reply: Reply) -> bool:
        """Advance a job by a reply; True when it is answered and its worker is free again."""
        if isinstance(reply, Failed) and not job.describing:
            job.result = errored(job.unit, reply.message, reply.traceback)
        elif isinstance(reply, Done):
            job.result = reply.result
        if isinstance(reply, Described):
            place = job.describing - 1
            job.crashes[place] = msgspec.structs.replace(
                job.crashes[place], program=reply.program, oracles=reply.oracles
            )
        if job.describing < len(job.crashes):
            job.describing += 1
            worker.ask(Describe(unit=job.unit, case=job.crashes[job.describing - 1].case))
            return False
        del self._jobs[worker]
        if worker.memory(children=False) > self.limits.recycle:
            self._drop(worker)
        else:
            worker.trim_log()
        return True

    def _crash(self, worker: Worker, job: _Job, how: str) -> bool:
        """Record the end of a worker under a job; True when the job is given up."""
        case, words = worker.board.text, worker.last_words()
        self._drop(worker, kill=True)
        if job.describing:  # even saying what the case is was too much for it
            return True
        known = {crash.case for crash in job.crashes}
        if case not in known:
            job.crashes.append(Crash(case=case, how=how, words=words))
        job.gave_up = not case or case in known or len(job.crashes) >= MAX_CRASHES
        return not case

    def _answered(self, job: _Job) -> Answered:
        result = job.result
        if job.crashes or result is None:
            result = with_crashes(job.unit, result, job.crashes, job.gave_up)
        return Answered(unit=job.unit, result=result, wall_s=time.monotonic() - job.started)

    def _over_limits(self, opening: Iterable[Worker]) -> list[tuple[Worker, str]]:
        """Workers under a job that must be killed, and why. Raises PoolError for opening ones."""
        now = time.monotonic()
        if now - self._looked < 0.25:
            return []
        self._looked = now
        limits, found, total = self.limits, [], 0
        for worker in opening:
            if worker.stuck_for() > limits.start_s:
                raise PoolError(f"{worker.backend}: did not open within {limits.start_s:g} s")
        for worker in self._workers:
            used = worker.memory()
            total += used
            if worker not in self._jobs:
                continue
            if worker.stuck_for() > limits.case_s:
                found.append((worker, f"no answer within {limits.case_s:g} s"))
            elif used > limits.memory:
                bound = limits.memory / GIB
                found.append((worker, f"more than {bound:g} GiB of memory"))
        self.peak_memory = max(self.peak_memory, total)
        return found
