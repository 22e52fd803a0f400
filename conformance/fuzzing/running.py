"""Running a program step by step with little overhead, and what is visible as plain tuples.

`Seen` holds everything that `conformance.oracles.traces.compare` looks at. Where two are equal
there is no difference; where they are not, the program runs again under `run_program`, and
`compare` says whether they differ and in what.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import numpy as np

from conformance.accuracy.formats import FORMATS, is_complex
from conformance.backends.session import Session
from conformance.observation import Raised
from conformance.program import Invoke, Step

Seen = tuple[Any, ...]
_NOTHING: AbstractContextManager[None] = nullcontext()


class Runner(Session):
    """A session without observations after each step."""

    def guarded(self, guards: tuple[str, ...]) -> AbstractContextManager[Any]:
        if not guards:
            return _NOTHING
        stack = ExitStack()
        for name in guards:
            stack.enter_context(self.verbs.guard(name))
        return stack

    def call(self, call: Invoke) -> Any:
        """The result, or a Raised. Raises as Session.run does."""
        return self._call(call)

    def bind(self, step: Step, result: Any) -> dict[str, object]:
        return self._bind(step, result)

    def step(self, step: Step) -> Any:
        with self.guarded(step.guards):
            return self._call(step.call)

    def seen(self) -> dict[str, Seen]:
        """Variable -> its facts, the bytes of its values, and its gradient's, and its memory."""
        return {name: self._look(value) for name, value in self._arrays()}

    def _look(self, value: Any) -> Seen:
        verbs: Any = self.verbs
        backend = verbs.backend
        group = verbs._group(value)
        if isinstance(value, np.ndarray):
            return ((value.dtype.name, value.shape, value.strides), value.tobytes(), None, group)
        node = backend._node_name(value)  # before the flags: a stale view is renewed by it
        refused = node is not None and node.startswith("raises")
        leaf = None if refused else value.is_leaf
        grad = None
        if not refused and (leaf or value.retains_grad):
            grad = value.grad
        facts = (
            backend.dtype_name(value),
            tuple(value.shape),
            value.stride(),
            value.storage_offset(),
            value.requires_grad,
            leaf,
            node is not None,
            value._version,
        )
        bits = backend.to_array(value).tobytes()
        return (facts, bits, None if grad is None else self._look(grad), group)


def same(got: dict[str, Seen], want: dict[str, Seen], rounded: bool) -> bool:
    """Whether nothing visible differs; rounded: whether values may, by two units in last place.

    False does not mean that something is wrong: memory groups are numbered, versions counted
    from the start, and bounds may be wider.
    """
    if got.keys() != want.keys():
        return False
    return all(_same(got[name], seen, rounded) for name, seen in want.items())


def _same(got: Seen, want: Seen, rounded: bool) -> bool:
    if got[0] != want[0] or got[3] != want[3] or (got[2] is None) != (want[2] is None):
        return False
    if got[1] != want[1] and not (rounded and _near(got[1], want[1], got[0][0])):
        return False
    return want[2] is None or _same(got[2], want[2], rounded)


def _near(got: bytes, want: bytes, dtype: str) -> bool:
    real = {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
    if real not in FORMATS or is_complex(dtype) or real == "bfloat16":
        return False
    a, b = np.frombuffer(got, real), np.frombuffer(want, real)
    with np.errstate(all="ignore"):
        return bool((np.abs(a - b) <= 2 * np.spacing(np.minimum(np.abs(a), np.abs(b)))).all())


def groups(seen: dict[str, Seen]) -> Iterator[tuple[str, int]]:
    for name, one in seen.items():
        path: str = name
        at: Seen | None = one
        while at is not None:
            yield path, at[3]
            path, at = f"{path}.grad", at[2]


def is_raised(result: Any) -> bool:
    return type(result) is Raised
