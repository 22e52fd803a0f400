"""Programs as scripts for torch, and for the reference, which has torch's surface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from conformance.backends.numbers import to_array
from conformance.cases.layouts import place
from conformance.program import Program, Step
from conformance.repro_text import NUMPY_VERBS, ReproError, Writer
from conformance.specs import OpSpec

STATEMENTS = frozenset({"setitem", "set_grad", "zero_grad", "np_setitem"})


class EagerWriter(Writer):
    """library: the module that is imported as `torch`. device: as torch names it."""

    verbs: ClassVar[Mapping[str, str]] = {
        **NUMPY_VERBS,
        "ones_like": "torch.ones_like({x})",
        "zeros_like": "torch.zeros_like({x})",
        "grad_of": "{x}.grad",
        "set_grad": "{x}.grad = {value}",
        "zero_grad": "{x}.grad = None",
        "retain_grad": "{x}.retain_grad()",
        "requires_grad_": "{x}.requires_grad_({flag})",
        "data": "{x}.data",
        "getitem": "{x}[{index}]",
        "setitem": "{x}[{index}] = {value}",
        "is_leaf": "{x}.is_leaf",
        "requires_grad": "{x}.requires_grad",
        "has_grad_fn": "({x}.grad_fn is not None)",
        "grad_fn_name": "({x}.grad_fn and {x}.grad_fn.name())",
        "version": "{x}._version",
        "is_contiguous": "{x}.is_contiguous()",
        "same_object": "({a} is {b})",
        "shape_of": "tuple({x}.shape)",
        "dtype_of": "str({x}.dtype).removeprefix('torch.')",
        "type_of": "type({x}).__name__",
        "type_name": "{x}.type()",
        "type_of_shape": "type({x}.shape).__name__",
        "item": "{x}.item()",
        "cuda_is_available": "torch.cuda.is_available()",
        "numpy": "{x}.numpy()",
        "from_numpy": "torch.from_numpy({a})",
        "asarray": "torch.as_tensor({a})",
        "array": "torch.tensor({a})",
    }

    def __init__(self, ops: Mapping[str, OpSpec], library: str, device: str) -> None:
        super().__init__(ops)
        self.library, self.device = library, device
        self.imports.add("import torch" if library == "torch" else f"import {library} as torch")

    def template(self, op: OpSpec) -> str:
        return op.torch

    def dtype(self, name: str) -> str:
        return f"torch.{name}"

    def tensor(self, array: np.ndarray, layout: str = "contiguous", grad: bool = False) -> str:
        more = f", dtype={self.dtype(array.dtype.name)}"
        if self.device != "cpu":
            more += f', device="{self.device}"'
        if layout == "contiguous":
            more += ", requires_grad=True" if grad else ""
            if array.size == 0:
                return f"torch.zeros({array.shape}{more})"
            return f"torch.tensor({self.array(array)}{more})"
        placed = place(array, layout)
        storage = f"torch.tensor({self.array(placed.storage)}{more})"
        text = f"{storage}.as_strided({placed.shape}, {placed.strides}, {placed.offset})"
        return f"{text}.requires_grad_()" if grad else text

    # verbs that need more than a format

    def verb_leaf(self, data, dtype, layout):
        return self._made(data, dtype, layout, True)

    def verb_tensor(self, data, dtype, layout, requires_grad):
        return self._made(data, dtype, layout, requires_grad)

    def _made(self, data: Any, dtype: str | None, layout: str, grad: bool) -> str:
        try:
            array = to_array(data, dtype)
        except (TypeError, ValueError):
            array = np.empty(0, dtype=object)
        if array.dtype == object:  # a copy of a NumPy array of the program
            return f"torch.tensor({self.value(data)}{', requires_grad=True' * grad})"
        return self.tensor(array, layout, grad)

    def verb_zeros(self, size, dtype, requires_grad):
        return self._filled("zeros", size, "", dtype, requires_grad)

    def verb_ones(self, size, dtype, requires_grad):
        return self._filled("ones", size, "", dtype, requires_grad)

    def verb_full(self, size, value, dtype, requires_grad):
        dtype = dtype or to_array(value, None).dtype.name
        return self._filled("full", size, f", {self.value(value)}", dtype, requires_grad)

    def _filled(self, kind, size, value, dtype, grad):
        size = (size,) if isinstance(size, int) else tuple(size)
        more = f", dtype={self.dtype(dtype)}" if dtype else ""
        more += f', device="{self.device}"' if self.device != "cpu" else ""
        return f"torch.{kind}({size}{value}{more}{', requires_grad=True' * bool(grad)})"

    def verb_arange(self, start, end, step, dtype, requires_grad):
        numbers = np.arange(*((0, start) if end is None else (start, end)), step)
        return self.tensor(to_array(numbers.tolist(), dtype), grad=bool(requires_grad))

    def verb_eye(self, n, dtype, requires_grad):
        return self.tensor(to_array(np.eye(n).tolist(), dtype or "float32"), grad=requires_grad)

    def verb_to(self, x, dtype):
        return f"{self.value(x)}.to({self.dtype(dtype)})"

    def verb_backward(self, y, ct, retain_graph, create_graph):
        given = [self.value(ct)] if ct is not None else []
        return f"{self.value(y)}.backward({', '.join(given + _kept(retain_graph, create_graph))})"

    def verb_grad(self, y, xs, ct, retain_graph, create_graph, allow_unused):
        given = [self.value(y), self.value(xs)]
        given += [self.value(ct)] if ct is not None else []
        given += _kept(retain_graph, create_graph)
        given += ["allow_unused=True"] if allow_unused else []
        text = f"torch.autograd.grad({', '.join(given)})"
        return text if isinstance(xs, (list, tuple)) else f"{text}[0]"

    def verb_shares_memory(self, a, b):
        self.imports.add("import numpy as np")
        one, two = self.value(a), self.value(b)
        # .data is a detached tensor of a tensor, and a memoryview of an array
        return f"np.shares_memory(np.asarray({one}.data), np.asarray({two}.data))"

    def verb_np_array(self, data, dtype):
        self.imports.add("import numpy as np")
        return f"np.array({self.value(data)}{f', dtype={dtype!r}' if dtype else ''})"

    def verb_np_arange(self, start, end, step, dtype):
        self.imports.add("import numpy as np")
        bounds = [0, start] if end is None else [start, end]
        return f"np.arange({bounds[0]}, {bounds[1]}, {step}{f', dtype={dtype!r}' if dtype else ''})"

    def verb_np_apply(self, name, args):
        self.imports.add("import numpy as np")
        return f"np.{name}({', '.join(self.value(a) for a in args)})"


def _kept(retain_graph: Any, create_graph: Any) -> list[str]:
    kept = [] if retain_graph is None else [f"retain_graph={retain_graph}"]
    return kept + (["create_graph=True"] if create_graph else [])


def lines(writer: EagerWriter, program: Program, risky: frozenset[int], last: int) -> list[str]:
    """The program up to line `last`; a step in `risky` may raise, and says so as `seen`."""
    out: list[str] = []
    for step in program.steps:
        if step.line > last:
            break
        body = _indented(_line(writer, step), step.guards)
        if step.line in risky:
            body = ["try:", *[f"    {line}" for line in body], '    seen = "no error"']
            body += ["except Exception as error:", '    seen = f"{type(error).__name__}: {error}"']
        out += body
    return out


def _line(writer: EagerWriter, step: Step) -> str:
    text = writer.call(step.call)
    if not step.targets:
        return text
    if step.callee in STATEMENTS:
        raise ReproError(f"line {step.line}: {step.callee} has no result")
    comma = "," if step.unpacks and len(step.targets) == 1 else ""
    return f"{', '.join(step.targets)}{comma} = {text}"


def _indented(line: str, guards: tuple[str, ...]) -> list[str]:
    out = [f"{'    ' * depth}with torch.{guard}():" for depth, guard in enumerate(guards)]
    return [*out, f"{'    ' * len(guards)}{line}"]
