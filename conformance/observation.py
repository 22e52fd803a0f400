"""What was seen: plain data, so that no library's tensor crosses a seam."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class TensorObs:
    """One tensor after one step.

    value: an owned contiguous ndarray of the tensor's shape (bfloat16 as ml_dtypes.bfloat16).
    strides: in elements; None where the library shows none. offset: in elements.
    storage: alias group, numbered from 0 by first appearance within the trace; None where the
    library has no observable memory. Fields that a library does not have are None.
    """

    value: np.ndarray
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None = None
    offset: int | None = None
    storage: int | None = None
    version: int | None = None
    requires_grad: bool | None = None
    is_leaf: bool | None = None
    grad_fn: str | None = None
    grad: TensorObs | None = None


@dataclass(frozen=True, slots=True)
class Raised:
    """A refusal: the error kind from the closed list, and the library's own words."""

    kind: str
    type: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class StepObs:
    """Everything visible after one step: live variables by name, and what was raised.

    line: line of the program text, from 1. warnings: kinds from the closed list.
    values: non-tensor results bound by the step (bools, ints, dtype names), by variable.
    """

    line: int
    live: dict[str, TensorObs] = field(default_factory=dict)
    values: dict[str, object] = field(default_factory=dict)
    raised: Raised | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """All observations of one program on one backend, one entry per step run."""

    backend: str
    steps: tuple[StepObs, ...]
    missing: tuple[str, ...] = ()  # capabilities that the program needs and the backend lacks


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """One operation called once: its outputs, and the cotangents of its inputs if asked for.

    outputs: one TensorObs per result tensor (a tuple result is flattened in order).
    scalars: non-tensor results (bool, int), in order. grads: one per differentiable input in
    the order of `Case.inputs` (None where the library says the gradient is undefined/absent).
    aliases: for every output, the name of the input whose memory it shares, or None; the whole
    is None where the library has no observable memory.
    inputs: every operand after the call, in the order of `Case.operands`, where the call was
    refused or writes to its inputs; else None.
    raised: set instead of outputs when the call was refused; stage says where:
    "forward", "vjp", "second".
    """

    outputs: tuple[TensorObs, ...] = ()
    scalars: tuple[object, ...] = ()
    grads: tuple[TensorObs | None, ...] | None = None
    seconds: tuple[TensorObs | None, ...] | None = None
    aliases: tuple[str | None, ...] | None = None
    inputs: tuple[TensorObs, ...] | None = None
    raised: Raised | None = None
    stage: str = "forward"
