"""`conformance fuzz`: random programs on the reference and on a library, held to each other.

Committed regressions are replayed first. Then programs are made and run in a process of their own;
when a library ends it, the program that did so is shrunk like any other failure.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.fuzzing.judging import Failure
from conformance.fuzzing.script import script
from conformance.fuzzing.shrinking import shrink
from conformance.fuzzing.text import program_of, words
from conformance.fuzzing.worker import Found, Tally, Task, answer, probe, steps_of, work
from conformance.program import Program, ProgramError, Step
from conformance.storefile import write_atomically

REGRESSIONS = Path(__file__).parent / "regressions"
FORMAT = "conformance-regression/1"
STUCK_S = 60.0
MOST_CRASHES = 5
# Every kind of error that a program in torch's language can meet. Not here: `immutable` (jax),
# and what the backends count as a wider kind (`not_differentiable`, `device_unsupported`).
REACHED = words(
    "graph_freed saved_tensor_modified leaf_written_in_place view_written_in_place not_scalar "
    "no_grad_required grad_dtype grad_flag cotangent_mismatch numpy_of_grad view_impossible "
    "overlapping_write shape_mismatch dtype_unsupported dtype_mismatch cast_refused "
    "value_overflow storage_out_of_bounds index_out_of_range dim_out_of_range dim_repeated "
    "empty_reduction domain singular argument unused_input"
)


class FuzzError(Exception):
    """The run cannot be made; one line."""


@dataclass(frozen=True, slots=True)
class Request:
    """programs: how many, or None for as long as `minutes` says. steps: at most, per program."""

    backend: str
    programs: int | None
    minutes: float | None
    seed: int
    steps: int
    out: Path


@dataclass(slots=True)
class Account:
    """What a run did. broken: regressions that no longer behave as they are recorded."""

    backend: str
    tally: Tally = field(default_factory=Tally)
    found: list[Found] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    replayed: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def passes(self) -> bool:
        return not (self.found or self.broken)


# regressions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Regression:
    """A program that once failed. cause: how it fails still; "" where it must not fail any more.

    why: whose fault it is, or was.
    """

    name: str
    backend: str
    program: Program
    cause: str
    why: str

    @classmethod
    def read(cls, path: Path) -> Regression:
        """Raises FuzzError, naming the file."""
        try:
            data = json.loads(path.read_text())
            if data.get("format") != FORMAT:
                raise ValueError(f"format is {data.get('format')!r}, not {FORMAT!r}")
            program = Program.parse("\n".join(data["program"]))
            return cls(path.stem, data["backend"], program, data["cause"], data["why"])
        except (OSError, ValueError, KeyError, ProgramError) as error:
            raise FuzzError(f"{path}: not a regression: {error}") from None

    def write(self, folder: Path) -> Path:
        path = folder / f"{self.name}.json"
        data = {
            "format": FORMAT,
            "backend": self.backend,
            "cause": self.cause,
            "why": self.why,
            "program": self.program.text.splitlines(),
        }
        write_atomically(path, json.dumps(data, indent=1) + "\n")
        return path


def regressions(folder: Path, backend: str) -> list[Regression]:
    """Those in a folder that concern a backend. Raises FuzzError for a file that is none."""
    found = [Regression.read(path) for path in sorted(folder.glob("*.json"))]
    library = backend.partition(":")[0]
    return [r for r in found if r.backend.partition(":")[0] == library]


def replay(regression: Regression, failure: Failure | None) -> str:
    """What is not as recorded; "" where all is. failure: what the program does now."""
    cause = failure.cause if failure else ""
    if cause == regression.cause:
        return ""
    expected = f"to fail with {regression.cause!r}" if regression.cause else "no difference"
    seen = f"{cause!r} ({failure})" if failure else "no difference"
    return f"{regression.name}: expected {expected}, found {seen}"


def name_of(failure: Failure) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", failure.cause.lower()).strip("_")[:50].strip("_")
    return f"{slug}_{hashlib.sha256(failure.program.text.encode()).hexdigest()[:8]}"


def replay_all(backend: str, folder: Path = REGRESSIONS) -> tuple[int, list[str]]:
    """How many regressions were replayed on a backend, in a process of their own, and which of
    them are not as recorded. Raises FuzzError."""
    chosen = regressions(folder, backend)
    if not chosen:
        return 0, []
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=answer, args=(backend, theirs), daemon=True)
    process.start()
    theirs.close()
    broken = []
    try:
        if message := ours.recv():
            raise FuzzError(f"{backend}: {message}")
        for regression in chosen:
            ours.send(regression.program)
            broken.append(replay(regression, ours.recv()))
    except EOFError:
        process.join()
        broken.append(f"{chosen[len(broken)].name}: exit status {process.exitcode}")
    finally:
        process.kill()
        process.join()
    return len(chosen), [line for line in broken if line]


# a run -----------------------------------------------------------------------------------------


def fuzz(request: Request, say: Callable[[str], None]) -> Account:
    """Run programs and write what fails to `out`. Raises FuzzError."""
    account = Account(request.backend)
    until = time.time() + request.minutes * 60 if request.minutes else None
    first, crashes = 0, 0
    while True:
        task = Task(request.backend, request.seed, first, request.programs, until, request.steps)
        crash = _attend(task, account, request, say)
        if crash is None:
            break
        first, how = crash
        _keep(account, request, Found(first, _crashed(request, first, how)), say)
        first += 1
        crashes += 1
        if crashes == MOST_CRASHES:
            say(f"{request.backend}: {crashes} crashes; the run ends here")
            break
    return account


def _attend(
    task: Task, account: Account, request: Request, say: Callable[[str], None]
) -> tuple[int, str] | None:
    """Collect what a worker sends until it is done; (program, how) when it died or hung."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    progress = context.Value("q", task.first, lock=False)
    process = context.Process(target=work, args=(task, progress, theirs), daemon=True)
    process.start()
    theirs.close()
    moved, at = time.monotonic(), progress.value
    opened = False
    try:
        while True:
            if progress.value != at:
                moved, at = time.monotonic(), progress.value
            if not ours.poll(1.0):
                if time.monotonic() - moved > STUCK_S and opened:
                    return at, "no answer"
                continue
            try:
                message = ours.recv()
            except EOFError:
                process.join()
                return progress.value, f"exit status {process.exitcode}"
            moved = time.monotonic()
            if message is None:
                return None
            if isinstance(message, str):
                if message:
                    raise FuzzError(f"{task.backend}: {message}")
                opened = True
            elif isinstance(message, Tally):
                account.tally.add(message)
            else:
                _keep(account, request, message, say)
    finally:
        process.kill()
        process.join()
        ours.close()


def _keep(
    account: Account, request: Request, found: Found, say: Callable[[str], None]
) -> None:
    """Remember a failure, say it and write its file; once per shrunk program."""
    failure = found.failure
    if any(f.failure.program.text == failure.program.text for f in account.found):
        return
    account.found.append(found)
    why = f"program {found.number} of seed {request.seed}: {failure}"
    regression = Regression(
        name_of(failure), account.backend, failure.program, failure.cause, why
    )
    folder = request.out / "regressions"
    folder.mkdir(parents=True, exist_ok=True)
    account.files.append(regression.write(folder))
    say(f"\n{failure.cause} ({why})")
    say(script(account.backend, failure))


def _crashed(request: Request, number: int, how: str) -> Failure:
    """The shortest part of a program that still ends the process."""
    steps = steps_of(request.backend, request.seed, number, request.steps)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=probe, args=(request.backend, theirs), daemon=True)
    process.start()
    theirs.close()

    def ends(candidate: Sequence[Step]) -> bool:
        ours.send(program_of(candidate))
        return bool(ours.recv())

    try:
        if ends(steps):
            steps = shrink(steps, ends, most=400)
    except (EOFError, OSError):
        how += "; not shrunk: the process that tries programs ended"
    finally:
        process.kill()
        process.join()
    program = program_of(steps)
    last = program.steps[-1]
    return Failure(program, last.line, "process", how, "an answer", f"{last.callee}: crash")


def account_lines(account: Account) -> Iterator[str]:
    """What was run, for people."""
    tally = account.tally
    rate = tally.programs / tally.cpu_s if tally.cpu_s else 0.0
    yield (
        f"{account.backend}: {tally.programs} programs, {tally.steps} steps, {rate:.0f} programs "
        f"per CPU-second; {account.replayed} regressions replayed"
    )
    yield "steps:  " + _counts(tally.kinds)
    yield "errors: " + _counts({k: tally.raised.get(k, 0) for k in REACHED})
    if tally.failing:
        yield "programs that fail, by cause: " + _counts(tally.failing)
    for line in account.broken:
        yield f"regression {line}"
    for path in account.files:
        yield f"{path}"


def _counts(counts: Any) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count}" for name, count in ordered)
