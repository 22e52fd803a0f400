"""`evaluate` for libraries with PyTorch's eager surface: torch itself and the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from conformance.backends.arguments import Bound
from conformance.backends.errors import ErrorTable, LibraryCalls
from conformance.backends.session import Session
from conformance.cases.case import Case, Operand
from conformance.cases.layouts import place
from conformance.observation import Evaluation, Raised, TensorObs
from conformance.specs import OpSpec

Vectors = Sequence["np.ndarray | None"]
Draw = Callable[[tuple[TensorObs, ...]], "tuple[Vectors | None, Vectors | None]"]


class EagerBackend(LibraryCalls):
    """Everything that torch and the reference have in common.

    api: the library's module. Subclasses say how arrays go in and out, what identifies a
    storage, and which table maps exceptions.
    """

    name: str
    library: str
    version: str
    device: str = "cpu"
    options: tuple[str, ...] = ()
    capabilities: frozenset[str]
    promotion: str = "torch"
    api: Any
    warnings: ErrorTable

    def __init__(self) -> None:
        super().__init__()
        self._bound: dict[str, Bound] = {}

    @property
    def module(self) -> str:
        """What a script imports in torch's place."""
        return self.api.__name__

    # what differs between libraries

    def from_array(self, storage: np.ndarray) -> Any:
        """A new tensor that owns its memory, from an array of any dtype of the lists."""
        raise NotImplementedError

    def to_array(self, tensor: Any) -> np.ndarray:
        """An owned C-contiguous array with the tensor's values."""
        raise NotImplementedError

    def storage_of(self, tensor: Any) -> Any:
        """A hashable that is equal for two tensors exactly when they share a storage."""
        raise NotImplementedError

    def extent(self, tensor: Any) -> tuple[int, int, Any, Any]:
        """Of its storage: first byte, byte after the last, an identity, and what owns it."""
        raise NotImplementedError

    def dtype_name(self, tensor: Any) -> str:
        raise NotImplementedError

    def has_gpu(self) -> bool:
        """What the library itself says."""
        raise NotImplementedError

    # the protocol

    def supports(self, op: OpSpec, dtypes: Sequence[str]) -> str:
        return "" if op.torch else f"{self.library} has no {op.name}"

    def bound(self, op: OpSpec) -> Bound:
        """Raises TemplateError when the library lacks the function that the table names."""
        found = self._bound.get(op.name)
        if found is None:
            found = self._bound[op.name] = Bound.of(op, op.torch, {"torch": self.api})
        return found

    def dtype(self, name: str) -> Any:
        return getattr(self.api, name)

    def build(self, operand: Operand) -> Any:
        """A fresh tensor that lies in memory as the operand's layout says."""
        if operand.layout == "contiguous":
            return self.from_array(operand.data)
        placed = place(operand.data, operand.layout)
        storage = self.from_array(placed.storage)
        return self.api.as_strided(storage, placed.shape, placed.strides, placed.offset)

    def evaluate(
        self,
        op: OpSpec,
        case: Case,
        cotangents: Vectors | Draw | None = None,
        second: Vectors | None = None,
    ) -> Evaluation:
        """As the protocol says; `cotangents` may also be a function that is given the outputs
        and gives (cotangents, second), for who does not know the outputs' shapes beforehand."""
        bound = self.bound(op)
        inputs: dict[str, Any] = {}  # every input as the operation gets it
        leaves: list[Any] = []  # those a cotangent is asked for

        def tensor(path: str, operand: Operand) -> Any:
            made = self.build(operand)
            if cotangents is not None and operand.differentiable:
                leaf = made.requires_grad_()
                leaves.append(leaf)
                if path in bound.writes:  # a leaf may not be written: write to a copy of it
                    made = self.build(operand)
                    made.copy_(leaf)
            inputs[path] = made
            return made

        arguments = bound.arguments(case, tensor, self.dtype)
        result = self.attempt(bound.call, arguments)
        if type(result) is Raised:
            return Evaluation(raised=result, inputs=self._observe_all(inputs.values()))
        if result is None:  # x[i] = v is a statement: its result is what it wrote to
            result = tuple(inputs[name] for name in bound.writes)
        tensors, scalars = self.flatten(result)
        groups = {self.storage_of(t): (i, path) for i, (path, t) in enumerate(inputs.items())}
        outputs, aliases = [], []
        for t in tensors:
            number, path = groups.setdefault(self.storage_of(t), (len(groups), None))
            outputs.append(self._placed(t, number))
            aliases.append(path)
        seen: dict[str, Any] = {
            "outputs": tuple(outputs),
            "scalars": tuple(scalars),
            "aliases": tuple(aliases),
        }
        if bound.writes:
            seen["inputs"] = self._observe_all(inputs.values())
        if callable(cotangents):
            cotangents, second = cotangents(seen["outputs"])
        if cotangents is None:
            return Evaluation(**seen)
        return self._differentiate(seen, tensors, leaves, cotangents, second)

    def _differentiate(
        self,
        seen: dict[str, Any],
        tensors: list[Any],
        leaves: list[Any],
        cotangents: Sequence[np.ndarray | None],
        second: Sequence[np.ndarray | None] | None,
    ) -> Evaluation:
        chosen = [
            (t, self._cotangent(t, ct, second is not None))
            for t, ct in zip(tensors, cotangents, strict=True)
            if ct is not None
        ]
        cts = [ct for _, ct in chosen]
        grads = self._grad(chosen, leaves, second is not None)
        if type(grads) is Raised:
            return Evaluation(**seen, raised=grads, stage="vjp")
        seen["grads"] = tuple(self._numbers(g) for g in grads)
        if second is None:
            return Evaluation(**seen)
        vectors = [
            (g, self._cotangent(g, v, False))
            for g, v in zip(grads, second, strict=True)
            if g is not None and v is not None
        ]
        seconds = self._grad(vectors, [*leaves, *cts], False)
        if type(seconds) is Raised:
            return Evaluation(**seen, raised=seconds, stage="second")
        seen["seconds"] = tuple(self._numbers(s) for s in seconds)
        return Evaluation(**seen)

    def _grad(self, pairs: list[tuple[Any, Any]], inputs: list[Any], graph: bool) -> Any:
        """autograd.grad over the outputs that have a gradient at all; None elsewhere. Or Raised."""
        pairs = [(t, ct) for t, ct in pairs if t.requires_grad]
        if not pairs or not inputs:
            return (None,) * len(inputs)
        outputs, cotangents = zip(*pairs, strict=True)
        return self.attempt(
            self.api.autograd.grad,
            outputs,
            inputs,
            cotangents,
            create_graph=graph,
            allow_unused=True,
        )

    def _cotangent(self, tensor: Any, ct: np.ndarray, wanted: bool) -> Any:
        """The cotangent in the dtype that the library gave its output."""
        made = self.from_array(ct)
        if made.dtype != tensor.dtype:
            made = made.to(tensor.dtype)
        return made.requires_grad_() if wanted else made

    def flatten(self, result: Any) -> tuple[list[Any], list[Any]]:
        """Tensors, and other results, of a possibly nested tuple, each in order."""
        if isinstance(result, self.api.Tensor):
            return [result], []
        if isinstance(result, (tuple, list)):
            tensors: list[Any] = []
            scalars: list[Any] = []
            for item in result:
                more, others = self.flatten(item)
                tensors += more
                scalars += others
            return tensors, scalars
        return [], [result]

    def _observe_all(self, tensors: Any) -> tuple[TensorObs, ...]:
        return tuple(self.observe(t) for t in tensors)

    def _numbers(self, tensor: Any) -> TensorObs | None:
        """What is asked of a cotangent: its numbers, dtype and shape."""
        if tensor is None:
            return None
        return TensorObs(self.to_array(tensor), self.dtype_name(tensor), tuple(tensor.shape))

    def _placed(self, tensor: Any, storage: int) -> TensorObs:
        """What is asked of a result: its numbers, and how they lie in which memory."""
        return TensorObs(
            value=self.to_array(tensor),
            dtype=self.dtype_name(tensor),
            shape=tuple(tensor.shape),
            strides=tuple(tensor.stride()),
            offset=tensor.storage_offset(),
            storage=storage,
        )

    def observe(
        self,
        tensor: Any,
        storage: int | None = None,
        grad: Callable[[Any], TensorObs | None] | None = None,
    ) -> TensorObs:
        """Everything visible of one tensor; its `.grad` as `grad(tensor)` says."""
        grad_fn = self._node_name(tensor)  # before the flags: a stale view is renewed by it
        refused = grad_fn is not None and grad_fn.startswith("raises")  # torch's is_leaf does too
        return TensorObs(
            value=self.to_array(tensor),
            dtype=self.dtype_name(tensor),
            shape=tuple(tensor.shape),
            strides=tuple(tensor.stride()),
            offset=tensor.storage_offset(),
            storage=storage,
            version=tensor._version,
            grad_fn=grad_fn,
            requires_grad=tensor.requires_grad,
            is_leaf=None if refused else tensor.is_leaf,
            grad=None if grad is None or refused else grad(tensor),
        )

    def _node_name(self, tensor: Any) -> str | None:
        """Name of the graph node, or "raises KIND": a view whose base was written in place in a
        forbidden way refuses to say."""
        try:
            node = tensor.grad_fn
        except RuntimeError as error:
            return f"raises {self.errors.raised(error).kind}"
        return None if node is None else node.name()

    def session(self, ops: Mapping[str, OpSpec]) -> Session:
        from conformance.backends.eager_verbs import EagerVerbs  # which needs this module

        return Session(EagerVerbs(self, ops))
