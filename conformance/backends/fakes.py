"""Backends that are wrong on purpose: the reference with one fault each.

`fake:NAME` opens one; an option (`fake:segfault:length`) restricts the fault to cases whose id
holds that word. `FAKES` says for each which oracle must catch it; where none does, the checker
is broken. They are deterministic, and open to tests only: no list of backends shows them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from conformance.backends.eager_verbs import EagerVerbs
from conformance.backends.protocol import BackendBroken, BackendUnavailable, UnknownBackend
from conformance.backends.reference import ReferenceBackend
from conformance.backends.session import Session
from conformance.cases.case import Case, Operand
from conformance.cases.layouts import contiguous_strides, place
from conformance.observation import Evaluation, Raised, TensorObs
from conformance.specs import OpSpec
from reference_impl.errors import GraphFreed

SIMD = 8  # float32 elements of a 256-bit register; what is left over is the tail


@dataclass(frozen=True, slots=True)
class Fake:
    """oracle: the one that must catch it; "crash" and "open" for those that never answer.

    evaluation: (evaluation, case) -> what is reported instead. case: (case) -> what is evaluated
    instead. verbs: the class that runs programs instead. before: called before each evaluation.
    """

    meaning: str
    oracle: str
    evaluation: Callable[[Evaluation, Case], Evaluation] | None = None
    case: Callable[[Case], Case] | None = None
    verbs: type[EagerVerbs] = EagerVerbs
    before: Callable[[], None] | None = None


class FakeBackend(ReferenceBackend):
    library = "fake"

    def __init__(self, name: str, fake: Fake, words: tuple[str, ...] = ()) -> None:
        super().__init__(name)
        self.fake, self.words, self.calls = fake, words, 0

    def evaluate(
        self,
        op: OpSpec,
        case: Case,
        cotangents: Sequence[np.ndarray | None] | None = None,
        second: Sequence[np.ndarray | None] | None = None,
    ) -> Evaluation:
        fake = self.fake
        if self.words and not any(word in case.id for word in self.words):
            return super().evaluate(op, case, cotangents, second)
        if fake.before:
            fake.before()
        seen = super().evaluate(op, fake.case(case) if fake.case else case, cotangents, second)
        if fake is FAKES["nondeterministic"]:
            self.calls += 1
            return _outputs(seen, _last_bit) if self.calls % 2 else seen
        return fake.evaluation(seen, case) if fake.evaluation else seen

    def session(self, ops: Mapping[str, OpSpec]) -> Session:
        if self.fake.before and not self.words:  # a program has no case id to hold a word
            self.fake.before()
        return Session(self.fake.verbs(self, ops))


def make_fake(name: str, fake: str, words: tuple[str, ...] = ()) -> FakeBackend:
    """Raises UnknownBackend; BackendBroken and BackendUnavailable for the two that do so."""
    if fake == "import_failure":
        raise BackendBroken(
            "fake is installed but does not import: ImportError: libfake.so: undefined symbol"
        )
    if fake == "unavailable":
        raise BackendUnavailable("fake: no such device")
    if fake not in FAKES:
        raise UnknownBackend(f"unknown backend {name!r} (fakes: {', '.join(FAKES)})")
    return FakeBackend(name, FAKES[fake], words)


# faults of one evaluation --------------------------------------------------------------------


def _outputs(seen: Evaluation, change: Callable[[TensorObs], TensorObs]) -> Evaluation:
    return replace(seen, outputs=tuple(change(output) for output in seen.outputs))


def _in_tail(change: Callable[[np.ndarray], Any]) -> Callable[[TensorObs], TensorObs]:
    """Change the last element of every array whose length leaves a SIMD tail."""

    def changed(obs: TensorObs) -> TensorObs:
        if obs.value.size < SIMD or obs.value.size % SIMD == 0:
            return obs
        value = obs.value.copy()
        value.reshape(-1)[-1] = change(value.reshape(-1)[-1:])
        return replace(obs, value=value)

    return changed


def _off(last: np.ndarray) -> Any:
    if last.dtype.kind in "fcV":
        with np.errstate(all="ignore"):
            return last[0] * last.dtype.type(1.03125) + last.dtype.type(2.0**-10)
    return ~last[0] if last.dtype.kind == "b" else last[0] ^ 1


def _nan(last: np.ndarray) -> Any:
    return np.nan if last.dtype.kind in "fcV" else last[0]


def _last_bit(obs: TensorObs) -> TensorObs:
    """The lowest bit of every element turned."""
    value = obs.value.copy()
    if value.size:
        value.reshape(-1).view(np.uint8)[:: value.itemsize] ^= 1
    return replace(obs, value=value)


def _wider(obs: TensorObs) -> TensorObs:
    wide = {"float32": "float64", "float16": "float32", "int32": "int64", "bool": "uint8"}
    name = wide.get(obs.dtype, "float32")
    with np.errstate(all="ignore"):
        return replace(obs, value=obs.value.astype(name), dtype=name)


def _extra_dimension(obs: TensorObs) -> TensorObs:
    return replace(
        obs,
        value=obs.value[None],
        shape=(1, *obs.shape),
        strides=(obs.value.size, *(obs.strides or ())),
    )


def _row_major(obs: TensorObs) -> TensorObs:
    return replace(obs, strides=contiguous_strides(obs.shape), offset=0)


def _vjp_at_zero(seen: Evaluation, case: Case) -> Evaluation:
    """Half the cotangent wherever the input is zero: a kink taken for a symmetric one."""
    grads = []
    for grad, (_, operand) in zip(seen.grads or (), case.differentiable(), strict=False):
        if grad is not None:
            zero = operand.data == 0
            half = grad.value * grad.value.dtype.type(0.5)
            grad = replace(grad, value=np.where(zero, half, grad.value))
        grads.append(grad)
    return replace(seen, grads=tuple(grads)) if grads else seen


def _second_doubled(seen: Evaluation, case: Case) -> Evaluation:
    doubled = tuple(s and replace(s, value=s.value + s.value) for s in seen.seconds or ())
    return replace(seen, seconds=doubled) if doubled else seen


def _nothing_shared(seen: Evaluation, case: Case) -> Evaluation:
    return replace(seen, aliases=(None,) * len(seen.outputs))


def _never_refused(seen: Evaluation, case: Case) -> Evaluation:
    if seen.raised is None:
        return seen
    return Evaluation(outputs=tuple(seen.inputs or ())[:1], aliases=(None,))


def _half_done(seen: Evaluation, case: Case) -> Evaluation:
    if seen.raised is None or not seen.inputs:
        return seen
    return replace(seen, inputs=tuple(_last_bit(obs) for obs in seen.inputs))


def _other_kind(seen: Evaluation, case: Case) -> Evaluation:
    if seen.raised is None:
        return seen
    other = "domain" if seen.raised.kind != "domain" else "argument"
    return replace(seen, raised=replace(seen.raised, kind=other))


def _ignore_strides(case: Case) -> Case:
    """What a kernel sees that reads memory from its beginning, in order."""

    def flat(value: Any) -> Any:
        if isinstance(value, list):
            return [flat(item) for item in value]
        if not isinstance(value, Operand) or value.layout == "contiguous":
            return value
        storage = np.resize(place(value.data, value.layout).storage, value.data.size)
        return replace(value, data=storage.reshape(value.data.shape), layout="contiguous")

    return replace(case, args={name: flat(value) for name, value in case.args.items()})


# faults of programs --------------------------------------------------------------------------


class _TrackingLeaves(EagerVerbs):
    """Remembers every tensor that backward may give a `.grad`."""

    def __init__(self, backend: Any, ops: Mapping[str, OpSpec]) -> None:
        super().__init__(backend, ops)
        self.leaves: list[Any] = []

    def _made(self, array: np.ndarray, requires_grad: bool, layout: str = "contiguous") -> Any:
        made = super()._made(array, requires_grad, layout)
        if requires_grad:
            self.leaves.append(made)
        return made


class _Overwrites(_TrackingLeaves):
    def backward(self, y, ct=None, *, retain_graph=None, create_graph=False):
        before = [leaf.grad for leaf in self.leaves]
        for leaf in self.leaves:
            leaf.grad = None
        super().backward(y, ct, retain_graph=retain_graph, create_graph=create_graph)
        for leaf, grad in zip(self.leaves, before, strict=True):
            leaf.grad = grad if leaf.grad is None else leaf.grad


class _GradAliases(_TrackingLeaves):
    """Every `.grad` of one shape and dtype is the same memory as the first such."""

    def backward(self, y, ct=None, *, retain_graph=None, create_graph=False):
        super().backward(y, ct, retain_graph=retain_graph, create_graph=create_graph)
        shared: dict[Any, Any] = {}
        if ct is not None:
            shared[tuple(ct.shape), ct.dtype] = ct.detach()
        for leaf in self.leaves:
            if leaf.grad is not None:
                first = shared.setdefault((tuple(leaf.grad.shape), leaf.grad.dtype), leaf.grad)
                if first is not leaf.grad:
                    first.copy_(leaf.grad.detach())
                    leaf.grad = first.detach()


class _NeverFrees(EagerVerbs):
    def backward(self, y, ct=None, *, retain_graph=None, create_graph=False):
        super().backward(y, ct, retain_graph=True, create_graph=create_graph)


class _AlwaysFrees(EagerVerbs):
    """Refuses every second backward, also when the graph was retained or saved nothing."""

    def __init__(self, backend: Any, ops: Mapping[str, OpSpec]) -> None:
        super().__init__(backend, ops)
        self.done: list[Any] = []

    def backward(self, y, ct=None, *, retain_graph=None, create_graph=False):
        if any(y is other for other in self.done):
            raise GraphFreed("Trying to backward through the graph a second time")
        super().backward(y, ct, retain_graph=retain_graph, create_graph=create_graph)
        self.done.append(y)


class _Copies(EagerVerbs):
    """Every view is a copy."""

    def attempt(self, callee: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        result = super().attempt(callee, args, kwargs)
        op = self.ops.get(callee)
        if type(result) is Raised or op is None or not op.parsed.is_view:
            return result
        if isinstance(result, (tuple, list)):
            return type(result)(item.clone() for item in result)
        return result.clone()


class _NotRefused(EagerVerbs):
    """What must be refused is silently left undone."""

    kinds: frozenset[str] = frozenset()

    def attempt(self, callee: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        result = super().attempt(callee, args, kwargs)
        if type(result) is not Raised or (self.kinds and result.kind not in self.kinds):
            return result
        return args[0] if callee.endswith("_") else None


class _InplaceNotRefused(_NotRefused):
    kinds = frozenset(
        {"leaf_written_in_place", "saved_tensor_modified", "view_written_in_place",
         "overlapping_write"}
    )  # fmt: skip


class _HalfDone(EagerVerbs):
    """A refused step has already changed the first tensor it was given."""

    def attempt(self, callee: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        result = super().attempt(callee, args, kwargs)
        if type(result) is Raised:
            for arg in args:
                if isinstance(arg, self.api.Tensor) and arg.numel():
                    array = arg.detach().numpy(force=True)
                    array.reshape(-1).view(np.uint8)[:1] ^= 1
                    break
        return result


# faults that cost the process ----------------------------------------------------------------


def _segfault() -> None:
    ctypes.string_at(0)


def _hang() -> None:
    while True:
        time.sleep(3600)


def _eat_memory() -> None:
    kept = []
    while True:
        kept.append(np.ones(8 * 2**20))  # 64 MiB, written to


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


FAKES = {
    "honest": Fake("no fault: what the others are compared with", ""),
    "value_tail": Fake(
        "many ulp off at the last element of a SIMD tail", "value",
        lambda seen, case: _outputs(seen, _in_tail(_off)),
    ),
    "nan_tail": Fake(
        "nan at the last element of a SIMD tail", "value",
        lambda seen, case: _outputs(seen, _in_tail(_nan)),
    ),
    "dtype": Fake("results in a wider dtype", "dtype", lambda s, c: _outputs(s, _wider)),
    "shape": Fake("an extra dimension", "shape", lambda s, c: _outputs(s, _extra_dimension)),
    "stride": Fake("views claim to be row-major", "shape", lambda s, c: _outputs(s, _row_major)),
    "vjp_at_zero": Fake("half the cotangent where the input is zero", "vjp", _vjp_at_zero),
    "second_order": Fake("second derivatives doubled", "second_order", _second_doubled),
    "alias": Fake("views are copies", "alias", _nothing_shared, verbs=_Copies),
    "error_accepted": Fake("nothing is refused", "error", _never_refused, verbs=_NotRefused),
    "error_kind": Fake("refused for another reason", "error", _other_kind),
    "half_done": Fake("a refused call has written already", "error", _half_done, verbs=_HalfDone),
    "layout": Fake("strides and offset are ignored", "layout", case=_ignore_strides),
    "nondeterministic": Fake("every other call differs in the last bit of each element", "determinism"),
    "overwrites": Fake("backward replaces .grad", "accumulation", verbs=_Overwrites),
    "grad_aliases": Fake(".grad of different leaves is one memory", "accumulation",
                         verbs=_GradAliases),
    "never_frees": Fake("the graph is never freed", "lifetime", verbs=_NeverFrees),
    "always_frees": Fake("every second backward is refused", "lifetime", verbs=_AlwaysFrees),
    "inplace": Fake("forbidden writes pass in silence", "inplace", verbs=_InplaceNotRefused),
    "segfault": Fake("reads address 0", "crash", before=_segfault),
    "abort": Fake("calls abort(3)", "crash", before=os.abort),
    "killed": Fake("is killed, as by the kernel when memory is short", "crash", before=_kill),
    "hang": Fake("never answers", "crash", before=_hang),
    "memory": Fake("allocates without end", "crash", before=_eat_memory),
    "exit": Fake("leaves the process with status 3", "crash", before=lambda: os._exit(3)),
}  # fmt: skip
