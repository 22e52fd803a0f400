"""What an adapter around a library must offer. It reports what it saw; it never judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from conformance.cases.case import Case
from conformance.observation import Evaluation, StepObs
from conformance.program import Step
from conformance.specs import OpSpec


class BackendUnavailable(Exception):
    """The library, device or option is not here. The message names what and how to get it."""


class BackendBroken(Exception):
    """The library is installed but does not import. The message names the ImportError."""


class UnknownBackend(Exception):
    """No such backend name. The message offers the nearest valid one."""


class NotExpressible(Exception):
    """The library's call takes no such argument: the case does not apply to it.

    names: the schema's argument names that would be lost.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(f"the library's call has no {', '.join(names)}")
        self.names = names


class MissingCapability(Exception):
    """A step asks for what the library does not have; `names` are words of `capabilities`."""

    def __init__(self, *names: str) -> None:
        super().__init__(", ".join(names))
        self.names = names


class Session(Protocol):
    """Runs one program, step by step, in one namespace of live variables."""

    def run(self, step: Step) -> StepObs:
        """Execute one step and observe every live variable.

        A refusal by the library becomes `StepObs.raised` with a kind of the closed list; an
        exception that the adapter cannot map is raised as `UnmappedError`.
        """
        ...


class UnmappedError(Exception):
    """The library raised something that is on no list of the adapter: verdict `ERRORED`."""


@runtime_checkable
class Backend(Protocol):
    """One library, device and set of options."""

    name: str
    library: str
    version: str
    device: str
    options: tuple[str, ...]
    capabilities: frozenset[str]
    promotion: str  # which table of specs/promotion holds for it

    def supports(self, op: OpSpec, dtypes: Sequence[str]) -> str:
        """"" when the library documents this op for these dtypes, else one line why not."""
        ...

    def evaluate(
        self,
        op: OpSpec,
        case: Case,
        cotangents: Sequence[np.ndarray | None] | None = None,
        second: Sequence[np.ndarray | None] | None = None,
    ) -> Evaluation:
        """Call the operation once on fresh inputs.

        cotangents: one per output tensor; given, the cotangents of `case.differentiable()` are
        reported in `grads`. second: one vector per differentiable input, in that order; given
        too, `seconds` are the cotangents, for (each differentiable input, then each non-None
        output cotangent), of the map from these to `grads`, contracted with `second`.
        An input that the operation writes to is, when it is differentiable, a copy of a leaf.
        Cotangents are cast to the dtype that the library gave its output; complex ones follow
        torch's convention everywhere. Time spent inside the library is added to `library_s`.
        Raises NotExpressible, and UnmappedError for an exception on no list.
        """
        ...

    def session(self, ops: Mapping[str, OpSpec]) -> Session:
        """A fresh namespace in which programs may call the verbs and these operations."""
        ...

    library_s: float
