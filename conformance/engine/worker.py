"""A worker process: hosts one backend, answers units until its input ends.

Started by the pool as `worker.main(parent, board)`, with requests on standard input and replies
on standard output. POSIX only: descriptors are inherited.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import signal
import sys
import traceback
from typing import IO

from conformance.backends.protocol import BackendBroken, UnknownBackend
from conformance.engine.host import Runner
from conformance.engine.messages import (
    Board,
    Broken,
    Describe,
    Described,
    Done,
    Failed,
    Open,
    Opened,
    Run,
    receive,
    send,
)


def main(parent: int, board: int) -> None:
    """parent: process id of the pool. board: inherited descriptor of the notice board."""
    requests, replies = _take_over_pipes()
    _die_with(parent)
    _serve(requests, replies, Board(board))


def _serve(requests: IO[bytes], replies: IO[bytes], board: Board) -> None:
    first = receive(requests)
    if not isinstance(first, Open):
        return
    try:
        runner = _runner(first)
    except Exception as error:  # noqa: BLE001 - whatever a library does when it is imported
        traceback.print_exc()
        send(replies, Broken(message=_one_line(error)))
        return
    gc.collect()
    gc.freeze()  # a library's hundred thousands of objects stay: do not walk them again and again
    send(replies, Opened(info=runner.info))
    while (request := receive(requests)) is not None:
        try:
            if isinstance(request, Run):
                board.clear()
                reply = Done(result=runner.run(request.unit, request.skip, board.note))
            elif isinstance(request, Describe):
                reply = Described(*runner.describe(request.unit, request.case))
            else:
                raise TypeError(f"unexpected request {request!r}")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - becomes ERRORED
            reply = Failed(message=_one_line(error), traceback=traceback.format_exc())
        send(replies, reply)


def _runner(request: Open) -> Runner:
    module, _, name = request.runner.partition(":")
    return getattr(importlib.import_module(module), name)(request.backend)


def _take_over_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The pipes under private descriptors: a library that prints or reads cannot touch them."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return requests, replies


def _die_with(parent: int) -> None:
    """Ask the kernel to kill this process when the pool dies, even in the middle of a hang.

    Only Linux has this (prctl(2), PR_SET_PDEATHSIG = 1); elsewhere the end of the input ends an
    idle worker.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, (BackendBroken, UnknownBackend)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
