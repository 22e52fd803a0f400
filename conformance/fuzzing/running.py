"""Running a program step by step with little overhead, and what is visible as plain tuples.

`Seen` holds everything that `conformance.oracles.traces.compare` looks at. Where two are equal
there is no difference; where they are not, the program runs again under `run_program`, and
`compare` says whether they differ and in what.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import numpy as np

from conformance.accuracy.formats import FORMATS, is_complex
from conformance.backends.session import Session, Verbs
from conformance.observation import Raised
from conformance.program import Invoke, Step

Seen = tuple[Any, ...]
_NOTHING: AbstractContextManager[None] = nullcontext()


class Runner(Session):
    """A session without observations after each step."""

    def __init__(self, verbs: Verbs) -> None:
        super().__init__(verbs)
        self._first: dict[str, int] = {}  # version of a variable when it was bound

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
        for name in step.targets:
            self._first.pop(name, None)
        return self._bind(step, result)

    def step(self, step: Step) -> Any:
        with self.guarded(step.guards):
            return self._call(step.call)

    def seen(self) -> dict[str, Seen]:
        """Variable -> its facts, the bytes of its values, and its gradient's, and its memory."""
        return {name: (self._moved(name, value), *self._look(value)) for name, value in self._arrays()}

    def _moved(self, name: str, value: Any) -> int:
        """How far the version counter moved since the name was bound."""
        version = 0 if isinstance(value, np.ndarray) else value._version
        return version - self._first.setdefault(name, version)

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
        )
        bits = backend.to_array(value).tobytes()
        return (facts, bits, None if grad is None else self._look(grad), group)


def unlike(got: dict[str, Seen], want: dict[str, Seen], rounded: bool) -> str:
    """What differs in anything visible, "" for nothing. rounded: values may, by two units in the
    last place.

    Something is not yet a difference: memory groups are numbered here, and bounds may be wider.
    """
    if got.keys() != want.keys():
        return "variables"
    for name, seen in want.items():
        if got[name][0] != seen[0]:
            return "version"
        if found := _unlike(got[name][1:], seen[1:], rounded):
            return found
    return ""


def _unlike(got: Seen, want: Seen, rounded: bool) -> str:
    if got[0] != want[0]:
        return "facts"
    if got[3] != want[3]:
        return "memory"
    if (got[2] is None) != (want[2] is None):
        return "gradient"
    if got[1] != want[1] and not (rounded and _near(got[1], want[1], got[0][0])):
        return "values"
    return "" if want[2] is None else _unlike(got[2], want[2], rounded)


def _near(got: bytes, want: bytes, dtype: str) -> bool:
    real = {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
    if real not in FORMATS or is_complex(dtype) or real == "bfloat16":
        return False
    a, b = np.frombuffer(got, real), np.frombuffer(want, real)
    with np.errstate(all="ignore"):
        return bool((np.abs(a - b) <= 2 * np.spacing(np.minimum(np.abs(a), np.abs(b)))).all())


def is_raised(result: Any) -> bool:
    return type(result) is Raised
