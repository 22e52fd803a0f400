"""The process in which a library runs random programs, so that its crash is not ours."""

from __future__ import annotations

import os
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from conformance.backends.eager import EagerBackend
from conformance.backends.protocol import BackendBroken, BackendUnavailable, UnknownBackend
from conformance.backends.registry import open_backend
from conformance.cases.strategies import Seeded
from conformance.engine.process import THREADS
from conformance.fuzzing.judging import Failure, Pair
from conformance.fuzzing.shrinking import shrink
from conformance.loading import load_specs
from conformance.program import Program, Step

REPORT_S = 1.0
SHRUNK_PER_CAUSE = 3  # further programs that fail alike are counted, not shrunk


@dataclass(slots=True)
class Tally:
    """What was run. kinds, raised: how often each kind of step and of error occurred.

    failing: number of programs by cause. cpu_s: seconds of this process.
    """

    programs: int = 0
    steps: int = 0
    thorough: int = 0
    cpu_s: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    raised: Counter[str] = field(default_factory=Counter)
    failing: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.programs += other.programs
        self.steps += other.steps
        self.thorough += other.thorough
        self.cpu_s += other.cpu_s
        self.kinds += other.kinds
        self.raised += other.raised
        self.failing += other.failing


@dataclass(frozen=True, slots=True)
class Found:
    """A failing program, shrunk. number: which program of the run it was."""

    number: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class Task:
    """stop: number of the first program that is not run; None: until `until` (time.time())."""

    backend: str
    seed: int
    first: int
    stop: int | None
    until: float | None
    steps: int


def pair_of(backend: str) -> Pair:
    """Raises what `open_backend` raises, and BackendUnavailable for a library without torch's
    surface: programs write in place, set flags and read `.grad`."""
    library = open_backend(backend)
    if not isinstance(library, EagerBackend):
        raise BackendUnavailable(
            "random programs write in place, and so need a library with torch's surface"
        )
    return Pair(open_backend("reference"), library, load_specs().ops)


def said(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, (BackendBroken, BackendUnavailable, UnknownBackend)):
        return text
    return f"{type(error).__name__}: {text}"


def work(task: Task, progress: Any, replies: Connection) -> None:
    """Run programs and send Tally and Found; progress.value is the program that is running."""
    os.environ.update({k: v for k, v in THREADS.items() if k not in os.environ})
    try:
        pair = pair_of(task.backend)
    except Exception as error:  # noqa: BLE001 - whatever a library does when it is imported
        replies.send(said(error))
        return
    replies.send("")
    try:
        _run(pair, task, progress, replies)
    except Exception as error:  # noqa: BLE001 - ours, not the library's: said with its place
        traceback.print_exc()
        replies.send(f"program {progress.value} of seed {task.seed}: {said(error)}")


def _run(pair: Pair, task: Task, progress: Any, replies: Connection) -> None:
    tally, told, cpu = Tally(), time.monotonic(), time.process_time()
    shrunk: Counter[str] = Counter()
    number = task.first
    while (task.stop is None or number < task.stop) and (
        task.until is None or time.time() < task.until
    ):
        progress.value = number
        failing = one(pair, task, number, tally)
        if failing and shrunk[failing[1].cause] < SHRUNK_PER_CAUSE:
            shrunk[failing[1].cause] += 1
            before = time.process_time()
            replies.send(Found(number, shortest(pair, *failing)))
            cpu += time.process_time() - before  # the account is of running programs
        number += 1
        if time.monotonic() - told > REPORT_S:
            now = time.process_time()
            tally.cpu_s, cpu = now - cpu, now
            replies.send(tally)
            tally, told = Tally(), time.monotonic()
    tally.cpu_s = time.process_time() - cpu
    replies.send(tally)
    replies.send(None)


def one(pair: Pair, task: Task, number: int, tally: Tally) -> tuple[list[Step], Failure] | None:
    """Make, run and judge one program."""
    played = pair.play(Seeded(task.seed, number), task.steps)
    tally.programs += 1
    tally.steps += len(played.steps)
    tally.kinds += played.kinds
    tally.raised += played.raised
    if not played.suspect:
        return None
    tally.thorough += 1
    failure = pair.failure(played.steps)
    if failure is None:
        return None
    tally.failing[failure.cause] += 1
    return played.steps, failure


def shortest(pair: Pair, steps: Sequence[Step], failure: Failure) -> Failure:
    def fails(candidate: Sequence[Step]) -> bool:
        found = pair.failure(candidate)
        return found is not None and found.cause == failure.cause

    best = pair.failure(shrink(steps, fails))
    assert best is not None, "a program that failed does no longer"
    return best


def steps_of(backend: str, seed: int, number: int, steps: int) -> list[Step]:
    """The program of that number, made without the library (it may have crashed)."""
    reference = open_backend("reference")
    pair = Pair(reference, reference, load_specs().ops)
    return pair.make(Seeded(seed, number), steps).steps


def answer(backend: str, programs: Connection) -> None:
    """Send "" or why the backend cannot be opened; then, for each program, its Failure or None."""
    os.environ.update({k: v for k, v in THREADS.items() if k not in os.environ})
    try:
        pair = pair_of(backend)
    except Exception as error:  # noqa: BLE001 - whatever a library does when it is imported
        programs.send(said(error))
        return
    programs.send("")
    while True:
        programs.send(pair.failure(programs.recv().steps))


def probe(backend: str, programs: Connection) -> None:
    """Answer for each program that comes whether the library ends without a crash on it.

    Every program runs in a copy of this process.
    """
    os.environ.update({k: v for k, v in THREADS.items() if k not in os.environ})
    pair = pair_of(backend)
    while (program := programs.recv()) is not None:
        child = os.fork()
        if child == 0:
            pair.survives(program)
            os._exit(0)
        programs.send(_status(child))


def _status(child: int, limit_s: float = 20.0) -> str:
    """How a child ended; "" for well."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "" if status == 0 else f"status {os.waitstatus_to_exitcode(status)}"
        time.sleep(0.002)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "no answer"


__all__ = ["Found", "Program", "Tally", "Task", "answer", "probe", "steps_of", "work"]
