"""What the scripts for all libraries have in common: literals, and calls from templates."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from conformance import template
from conformance.backends.arguments import defaults
from conformance.backends.calls import resolve
from conformance.backends.numbers import to_array
from conformance.program import Invoke, Name
from conformance.render import nested, number
from conformance.specs import OpSpec
from conformance.verbs import VERBS


class ReproError(Exception):
    """There is no such finding, or no script can show it; one line."""


class Writer:
    """Turns the calls of a program into source text of one library.

    verbs: verb -> format text over the verb's parameters; subclasses add what needs code.
    """

    library: str
    verbs: Mapping[str, str]

    def __init__(self, ops: Mapping[str, OpSpec]) -> None:
        self.ops = ops
        self.imports: set[str] = set()

    def tensor(self, array: np.ndarray, layout: str = "contiguous", grad: bool = False) -> str:
        raise NotImplementedError

    def dtype(self, name: str) -> str:
        raise NotImplementedError

    def template(self, op: OpSpec) -> str:
        raise NotImplementedError

    def value(self, value: Any) -> str:
        """A literal, a variable or a nested call."""
        if isinstance(value, Name):
            return value.id
        if isinstance(value, Invoke):
            return self.call(value)
        if isinstance(value, list):
            return f"[{', '.join(self.value(v) for v in value)}]"
        if isinstance(value, tuple):
            inner = ", ".join(self.value(v) for v in value)
            return f"({inner}{',' * (len(value) == 1)})"
        if isinstance(value, (bool, int, float, complex)):
            return self.number(value)
        return repr(value)

    def number(self, value: Any) -> str:
        return self.noted(number(value))

    def noted(self, text: str) -> str:
        """The text, remembering which names of `math` it uses."""
        for name in ("inf", "nan"):
            if name in text:
                self.imports.add(f"from math import {name}")
        return text

    def array(self, array: np.ndarray) -> str:
        """Nested lists of numbers; where there are no elements, what keeps the shape."""
        if array.size == 0:
            self.imports.add("import numpy as np")
            return f"np.zeros({array.shape})"
        return self.noted(nested(array))

    def call(self, call: Invoke) -> str:
        if call.callee not in VERBS:
            return self.operation(call)
        given = self.bound(call)
        if hasattr(self, f"verb_{call.callee}"):
            return getattr(self, f"verb_{call.callee}")(**given)
        if call.callee not in self.verbs:
            raise ReproError(f"{self.library} has no form of {call.callee}")
        if call.callee.startswith("np_"):
            self.imports.add("import numpy as np")
        texts = {name: self.value(value) for name, value in given.items()}
        return self.verbs[call.callee].format(**texts)

    def bound(self, call: Invoke) -> dict[str, Any]:
        """The arguments of a verb by name, defaults filled in."""
        bound = _signature(call.callee).bind(*call.args, **call.kwargs)
        bound.apply_defaults()
        return {
            name: list(value) if name == "args" else value
            for name, value in bound.arguments.items()
        }

    def operation(self, call: Invoke) -> str:
        """The library's own call, from the template of the table."""
        op, given = resolve(
            call.callee, call.args, call.kwargs, self.ops, lambda v: isinstance(v, (Name, Invoke))
        )
        text = self.template(op)
        if not text:
            raise ReproError(f"{self.library} has no {op.name}")
        arguments = {**defaults(op.parsed), **given}
        texts = {}
        for argument in op.parsed.arguments:
            if argument.name not in arguments:
                continue
            value = arguments[argument.name]
            if argument.type.startswith("ScalarType") and isinstance(value, str):
                texts[argument.name] = self.dtype(value)
            elif argument.is_tensor and isinstance(value, list):
                texts[argument.name] = self.tensor(to_array(value, None))
            elif argument.type == "Tensor?[]":
                parts = [":" if v is None else self.value(v) for v in value]
                texts[argument.name] = self._index(parts)
            else:
                texts[argument.name] = self.value(value)
        names = tuple(a.name for a in op.parsed.arguments)
        parsed = template.parse(text, names)
        head = parsed.callee.split(".")[0]
        if head == "operator":
            self.imports.add("import operator")
        return parsed.render(texts)

    @staticmethod
    def _index(parts: list[str]) -> str:
        inner = ", ".join("slice(None)" if part == ":" else part for part in parts)
        return f"({inner}{',' * (len(parts) == 1)})"


def _signature(verb: str) -> inspect.Signature:
    scope: dict[str, Any] = {}
    exec(f"def verb{VERBS[verb].signature}: ...", scope)  # noqa: S102 - our own closed table
    return inspect.signature(scope["verb"])


NUMPY_VERBS = {
    "np_reshape": "{a}.reshape({shape})",
    "np_ravel": "{a}.ravel()",
    "np_flatten": "{a}.flatten()",
    "np_getitem": "np.asarray({a}[{index}])",
    "np_setitem": "{a}[{index}] = {value}",
    "slice": "slice({start}, {stop}, {step})",
    "ellipsis": "...",
}
