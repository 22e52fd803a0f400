"""Running programs: evaluates each step's call, binds its results, observes what is live.

The interpreter is the same for every library; what the callees mean is in a `Verbs` object
(`eager_verbs.py`, `jax_verbs.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol

import numpy as np

from conformance.backends.calls import Overloads
from conformance.backends.errors import ErrorTable
from conformance.backends.protocol import Backend, MissingCapability
from conformance.observation import Raised, StepObs, TensorObs, Trace
from conformance.program import Invoke, Name, Program, ProgramError, Step
from conformance.specs import OpSpec
from conformance.verbs import VERBS


class Unbound(Exception):
    """A step names a variable that an earlier refusal left without a value."""


class Verbs(Protocol):
    """What callees mean in one library."""

    warnings: ErrorTable

    def attempt(self, callee: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The result of the call, or a Raised."""
        ...

    def guard(self, name: str) -> AbstractContextManager[Any]: ...

    def observe(self, values: Iterable[tuple[str, Any]]) -> dict[str, TensorObs]:
        """All given tensors and NumPy arrays, without changing any state."""
        ...

    def is_array(self, value: Any) -> bool:
        """Whether it is a tensor of the library or a NumPy array."""
        ...


class Session:
    """One namespace of live variables of one backend; see `protocol.Session`."""

    def __init__(self, verbs: Verbs) -> None:
        self.verbs = verbs
        self.variables: dict[str, Any] = {}

    def run(self, step: Step) -> StepObs:
        """Run one step and observe. Raises UnmappedError, MissingCapability, NotExpressible,
        Unbound, and ProgramError when the number of targets is wrong."""
        with warnings.catch_warnings(record=True) as caught, ExitStack() as guards:
            warnings.simplefilter("always")
            for name in step.guards:
                guards.enter_context(self.verbs.guard(name))
            result = self._call(step.call)
        values = {} if type(result) is Raised else self._bind(step, result)
        # only warnings of the closed list are part of a norm; others may come and go
        kinds = (self.verbs.warnings.kind(w.message) for w in caught)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            live = self.verbs.observe(self._arrays())
        return StepObs(
            line=step.line,
            live=live,
            values=values,
            raised=result if type(result) is Raised else None,
            warnings=tuple(kind for kind in kinds if kind),
        )

    def _call(self, call: Invoke) -> Any:
        args = []
        for value in call.args:
            args.append(self._value(value))
            if type(args[-1]) is Raised:
                return args[-1]
        kwargs = {}
        for name, value in call.kwargs.items():
            kwargs[name] = self._value(value)
            if type(kwargs[name]) is Raised:
                return kwargs[name]
        return self.verbs.attempt(call.callee, tuple(args), kwargs)

    def _value(self, value: Any) -> Any:
        """A literal, the value of a variable or of a nested call; a Raised inside comes out."""
        if isinstance(value, Name):
            if value.id not in self.variables:
                raise Unbound(value.id)
            return self.variables[value.id]
        if isinstance(value, Invoke):
            return self._call(value)
        if isinstance(value, (list, tuple)):
            items = []
            for item in value:
                items.append(self._value(item))
                if type(items[-1]) is Raised:
                    return items[-1]
            return type(value)(items)
        return value

    def _bind(self, step: Step, result: Any) -> dict[str, object]:
        """Bind the targets. Returns the results among them that are no arrays."""
        if len(step.targets) == 1 and not step.unpacks:
            bound = {step.targets[0]: result}
        elif step.targets:
            if not isinstance(result, (tuple, list)) or len(result) != len(step.targets):
                raise ProgramError(
                    f"line {step.line}: {step.callee} does not give {len(step.targets)} results"
                )
            bound = dict(zip(step.targets, result, strict=True))
        else:
            bound = {}
        self.variables.update(bound)
        return {
            name: value
            for name, value in bound.items()
            if not self.verbs.is_array(value)
            and (value is None or isinstance(value, (bool, int, float, complex, str, tuple)))
            and not (isinstance(value, tuple) and any(map(self.verbs.is_array, value)))
        }

    def _arrays(self) -> Iterable[tuple[str, Any]]:
        for name, value in self.variables.items():
            if self.verbs.is_array(value):
                yield name, value
            elif isinstance(value, (tuple, list)):
                for place, item in enumerate(value):
                    if self.verbs.is_array(item):
                        yield f"{name}.{place}", item


def run_program(
    backend: Backend, program: Program, needs: Iterable[str], ops: Mapping[str, OpSpec]
) -> Trace:
    """Run a program from its first step to its last.

    needs: capabilities without which it means nothing; those of its verbs are added. A missing
    one gives a Trace whose `missing` names it. A step that raises binds nothing and the program
    goes on; it ends at the first step that names a variable which so was never bound.
    Raises ProgramError for a callee or a variable that does not exist at all, NotExpressible,
    and UnmappedError.
    """
    check_names(program, ops)
    wanted = set(needs)
    for callee in _callees(program):
        if callee in VERBS:
            wanted.update(VERBS[callee].needs)
    if "immutability" in wanted:  # then it writes in order to be refused
        wanted.discard("mutation")
    missing = tuple(sorted(wanted - backend.capabilities))
    if missing:
        return Trace(backend.name, (), missing)
    session = backend.session(ops)
    steps: list[StepObs] = []
    try:
        for step in program.steps:
            steps.append(session.run(step))
    except MissingCapability as error:
        return Trace(backend.name, tuple(steps), error.names)
    except Unbound:
        pass  # an earlier step of the trace says why
    return Trace(backend.name, tuple(steps))


def check_names(program: Program, ops: Mapping[str, OpSpec]) -> None:
    """Raises ProgramError for an unknown callee or a variable used before it is assigned."""
    operations = Overloads.of(ops).by_name
    for callee in _callees(program):
        if callee not in VERBS and callee not in operations:
            raise ProgramError(f"no verb and no operation is called {callee!r}")
    assigned: set[str] = set()
    for step in program.steps:
        for name in _names(step.call):
            if name not in assigned:
                raise ProgramError(f"line {step.line}: {name!r} is used before it is assigned")
        assigned.update(step.targets)


def _callees(program: Program) -> set[str]:
    return program.callees() | {guard for step in program.steps for guard in step.guards}


def _names(value: Any) -> Iterable[str]:
    if isinstance(value, Name):
        yield value.id
    elif isinstance(value, Invoke):
        for item in (*value.args, *value.kwargs.values()):
            yield from _names(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _names(item)


class Memory:
    """Which arrays lie in the same memory: groups numbered by first appearance.

    Every owner is kept alive, so that an address means one memory for the whole session.
    """

    def __init__(self) -> None:
        self._extents: list[tuple[int, int, int]] = []  # first byte, byte after the last, group
        self._empty: dict[Any, int] = {}  # memory without bytes, by its owner
        self._kept: dict[Any, Any] = {}
        self._groups = 0

    def group(self, low: int, high: int, key: Any, owner: Any) -> int:
        """The group of the bytes [low, high); key identifies the owner where there are none."""
        self._kept[key] = owner
        if high <= low:
            if key not in self._empty:
                self._empty[key] = self._new()
            return self._empty[key]
        for first, last, number in self._extents:
            if low < last and first < high:
                if low < first or high > last:
                    self._extents.append((low, high, number))
                return number
        number = self._new()
        self._extents.append((low, high, number))
        return number

    def of_array(self, array: np.ndarray) -> int:
        """The group of the memory that a NumPy array is a view of."""
        while isinstance(array.base, np.ndarray):
            array = array.base
        low, high = np.lib.array_utils.byte_bounds(array) if array.size else (0, 0)
        return self.group(low, high, id(array), array)

    def _new(self) -> int:
        self._groups += 1
        return self._groups - 1


def observe_numpy(array: np.ndarray, memory: Memory) -> TensorObs:
    return TensorObs(
        value=array.copy(order="C"),
        dtype=array.dtype.name,
        shape=array.shape,
        strides=tuple(s // array.itemsize for s in array.strides),
        storage=memory.of_array(array),
    )
