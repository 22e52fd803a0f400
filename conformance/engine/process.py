"""The pool's end of one worker process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from conformance.engine.messages import Board, Frames, Open, Reply, Request, send

DEFAULT_RUNNER = "conformance.engine.host:Host"

# One thread per worker: the pool's jobs are the parallelism, and the order of a sum must not
# depend on the number of cores. What the user has set wins.
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Worker:
    """A started process; `replies` never blocks, `ask` sends one small request.

    backend: the name it hosts. busy_since: time.monotonic() of the last request or note.
    """

    def __init__(
        self,
        backend: str,
        python: str = sys.executable,
        runner: str = DEFAULT_RUNNER,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.backend = backend
        self.board, board_fd = Board.create()
        # Appending, so that it can be cut while in use; closed by close().
        self._stderr = tempfile.TemporaryFile("a+b")  # noqa: SIM115
        code = (
            "import sys\n"
            f"sys.path.extend({_path(python)!r})\n"
            "from conformance.engine.worker import main\n"
            f"main({os.getpid()}, {board_fd})"
        )
        try:
            self.process = subprocess.Popen(
                [python, "-P", "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                pass_fds=(board_fd,),
                env={**THREADS, **os.environ, **(environment or {})},
                start_new_session=True,  # Ctrl-C on the terminal is the pool's business
            )
        finally:
            os.close(board_fd)
        os.set_blocking(self.process.stdout.fileno(), False)
        self._frames = Frames()
        self._count = self.board.count
        self.ended = False
        self.ask(Open(backend=backend, runner=runner))

    def fileno(self) -> int:
        return self.process.stdout.fileno()

    def ask(self, request: Request) -> None:
        self.busy_since = time.monotonic()
        try:
            send(self.process.stdin, request)
        except BrokenPipeError:
            self.ended = True

    def replies(self) -> list[Reply]:
        """The whole replies that have come; sets `ended` when there will be no more."""
        found: list[Reply] = []
        while True:
            try:
                chunk = os.read(self.fileno(), 1 << 20)
            except BlockingIOError:
                return found
            if not chunk:
                self.ended = True
                return found
            found.extend(self._frames.feed(chunk))

    def stuck_for(self) -> float:
        """Seconds since the last request or the last case that it noted."""
        if self.board.count != self._count:
            self._count = self.board.count
            self.busy_since = time.monotonic()
        return time.monotonic() - self.busy_since

    def memory(self, children: bool = True) -> int:
        """Resident bytes of the process, and of its children; 0 when it has gone."""
        try:
            process = psutil.Process(self.process.pid)
            others = process.children(recursive=True) if children else ()
            return sum(one.memory_info().rss for one in (process, *others))
        except psutil.Error:
            return 0

    def trim_log(self) -> None:
        self._stderr.truncate(0)

    def last_words(self) -> str:
        """The last line that it printed, for the message about its end."""
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - 4096))
        lines = self._stderr.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def kill(self) -> None:
        """End it and everything it started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # it has gone already
        self.close()

    def close(self) -> None:
        """Wait for its end (the end of its input ends it when idle) and free what it held."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it died with a request unread
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()
        self._stderr.close()
        self.board.close()

    def end(self) -> str:
        """How a process that has ended did so: "SIGSEGV", "exit status 1"."""
        status = self.process.wait()
        if status < 0:
            return signal.Signals(-status).name
        return f"exit status {status}"


def _path(python: str) -> list[str]:
    """Where a worker finds this package.

    Another Python uses its own installed packages; only a source tree is lent to it, never a
    site-packages folder that was built for this one.
    """
    root = str(Path(__file__).resolve().parents[2])
    if python == sys.executable:
        return [root]
    return [] if Path(root).name in ("site-packages", "dist-packages") else [root]
