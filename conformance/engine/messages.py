"""What the pool and a worker say to each other: msgpack frames over pipes, and a notice board."""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from collections.abc import Iterator
from typing import IO

import msgspec

from conformance.engine.plan import BackendInfo, Unit
from conformance.verdicts import UnitResult


class Open(msgspec.Struct, frozen=True, tag=True):
    """Open a backend. runner: `module:function`, see `conformance.engine.host`."""

    backend: str
    runner: str


class Run(msgspec.Struct, frozen=True, tag=True):
    """Answer a unit, all cases but those in `skip`."""

    unit: Unit
    skip: tuple[str, ...] = ()


class Describe(msgspec.Struct, frozen=True, tag=True):
    """Say what a case of a unit does, without running it."""

    unit: Unit
    case: str


class Opened(msgspec.Struct, frozen=True, tag=True):
    info: BackendInfo


class Broken(msgspec.Struct, frozen=True, tag=True):
    """The backend is installed but cannot be used; one line."""

    message: str


class Done(msgspec.Struct, frozen=True, tag=True):
    result: UnitResult


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The harness or the adapter raised while answering."""

    message: str
    traceback: str


class Described(msgspec.Struct, frozen=True, tag=True):
    """program: text of the case. oracles: the questions that the case would have answered."""

    program: str
    oracles: tuple[str, ...]


Request = Open | Run | Describe
Reply = Opened | Broken | Done | Failed | Described

_LENGTH = struct.Struct("<I")


def send(stream: IO[bytes], message: Request | Reply) -> None:
    body = msgspec.msgpack.encode(message)
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


def receive(stream: IO[bytes]) -> Request | None:
    """The next request, blocking; None at the end of the stream."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = stream.read(length)
    if len(body) < length:
        return None
    return msgspec.msgpack.decode(body, type=Request)


class Frames:
    """Collects bytes of a non-blocking pipe and gives back whole replies."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Reply]:
        self._bytes += chunk
        while len(self._bytes) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._bytes)
            end = _LENGTH.size + length
            if len(self._bytes) < end:
                return
            body = bytes(self._bytes[_LENGTH.size : end])
            del self._bytes[:end]
            yield msgspec.msgpack.decode(body, type=Reply)


class Board:
    """Shared memory where a worker notes the case that it starts.

    It outlives the worker, so that a crash is known by its case; noting costs a memory write,
    no system call. Layout: u64 count of notes, u32 length, the text in UTF-8.
    """

    SIZE = 4096
    _HEAD = struct.Struct("<QI")

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, self.SIZE)

    @classmethod
    def create(cls) -> tuple[Board, int]:
        """A cleared board, and the descriptor to hand to a worker (the caller closes it)."""
        with tempfile.TemporaryFile() as file:
            file.truncate(cls.SIZE)
            fd = os.dup(file.fileno())
        return cls(fd), fd

    def note(self, text: str) -> None:
        data = text.encode()[: self.SIZE - self._HEAD.size]
        count, _ = self._HEAD.unpack_from(self._memory)
        start = self._HEAD.size
        self._memory[start : start + len(data)] = data
        self._HEAD.pack_into(self._memory, 0, count + 1, len(data))

    def clear(self) -> None:
        self.note("")

    @property
    def count(self) -> int:
        return self._HEAD.unpack_from(self._memory)[0]

    @property
    def text(self) -> str:
        _, length = self._HEAD.unpack_from(self._memory)
        start = self._HEAD.size
        return bytes(self._memory[start : start + length]).decode(errors="replace")

    def close(self) -> None:
        self._memory.close()
