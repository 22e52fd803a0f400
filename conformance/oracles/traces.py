"""One trace held against another: everything that was observed, step by step.

Only what the library's capabilities let it show is compared; what it shows must agree with the
reference: value, dtype, shape, strides, who shares memory with whom, how versions moved, flags,
gradients, refusals and warnings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conformance.accuracy.formats import FORMATS, REAL_OF, np_dtype, real_format
from conformance.accuracy.ulp import error_in_ulp, same_bits
from conformance.observation import StepObs, TensorObs, Trace
from conformance.oracles.claims import FIELDS, NARROW, is_numpy
from conformance.program import Invoke, Program
from conformance.specs import OpSpec

FACTS = ("dtype", "shape", "strides", "offset", "requires_grad", "is_leaf", "grad_fn")
DIFFERENTIATING = frozenset({"backward", "grad", "pull"})
NUMPY_ULPS = 4.0  # NumPy's own elementary functions (numpy/_core/tests/data, "4 ulp")


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """observable: "x", "x.grad", "x.dtype", "raised", "warnings", "memory"; at `line`."""

    line: int
    observable: str
    observed: Any
    expected: Any


@dataclass(slots=True, eq=False)
class Compared:
    """compared: number of elements and facts that were looked at."""

    compared: int = 0
    differences: list[Difference] = field(default_factory=list)

    def fact(self, line: int, observable: str, observed: Any, expected: Any) -> None:
        self.compared += 1
        if observed != expected:
            self.differences.append(Difference(line, observable, observed, expected))


def compare(
    library: Trace,
    reference: Trace,
    program: Program,
    ops: Mapping[str, OpSpec],
    capabilities: Collection[str],
) -> Compared:
    """Everything both traces show, at every step that either ran."""
    out = Compared()
    out.fact(0, "lines", [s.line for s in library.steps], [s.line for s in reference.steps])
    targets = {step.line: step.targets for step in program.steps}
    slack = slack_by_line(program, ops, reference)
    moved = _Versions(), _Versions()
    for got, want in zip(library.steps, reference.steps, strict=False):
        out.fact(got.line, "raised", _kind(got), _kind(want))
        if "warnings" in capabilities:
            out.fact(got.line, "warnings", sorted(got.warnings), sorted(want.warnings))
        _compare_live(got, want, slack[got.line], capabilities, out)
        if "aliasing" in capabilities:
            out.fact(got.line, "memory", groups(got), groups(want))
        if "versions" in capabilities:
            names = () if got.raised or want.raised else targets.get(got.line, ())
            a, b = (m.after(s, names) for m, s in zip(moved, (got, want), strict=True))
            for name in sorted(a.keys() & b.keys()):
                out.fact(got.line, f"{name}.version", a[name], b[name])
    return out


def unchanged_after_errors(trace: Trace) -> Compared:
    """A refused step leaves every live variable as it was: bits, flags, gradients, memory."""
    out = Compared()
    before = StepObs(line=0)
    for step in trace.steps:
        if step.raised:
            out.fact(step.line, "variables", sorted(step.live), sorted(before.live))
            for name in sorted(step.live.keys() & before.live.keys()):
                _compare_tensor(name, step.line, step.live[name], before.live[name], 0.0, None, out)
            out.fact(step.line, "memory", groups(step), groups(before))
        before = step
    return out


def groups(step: StepObs) -> list[list[str]]:
    """The variables (and gradients) that share memory, as sorted groups of two or more."""
    found: dict[int, list[str]] = {}
    for path, seen in tensors(step):
        if seen.storage is not None:
            found.setdefault(seen.storage, []).append(path)
    return sorted(sorted(group) for group in found.values() if len(group) > 1)


def slack_by_line(
    program: Program, ops: Mapping[str, OpSpec], reference: Trace
) -> dict[int, float]:
    """Ulps by which two right libraries may differ after each line; 0 is the same bits.

    Each side may err by the bounds of the operations called so far (and of their vjps, once
    something was differentiated) and, once anything is inexact, by one rounding more per call.
    """
    largest = max(
        (obs.value.size for step in reference.steps for _, obs in tensors(step)), default=1
    )
    values = vjps = calls = 0.0
    found = {}
    for step in program.steps:
        for callee in _callees(step.call):
            calls += 1
            if callee in DIFFERENTIATING:
                values += vjps
            elif callee == "np_apply":
                values += NUMPY_ULPS
            elif callee in ops:
                bound = ops[callee].bound
                values += _ulps(bound["value"], largest)
                vjps += _ulps(bound.get("vjp", "exact"), largest)
        found[step.line] = 2 * (values + calls) if values else 0.0
    return found


def _callees(call: Invoke) -> Iterator[str]:
    def inner(value: Any) -> Iterator[str]:
        if isinstance(value, Invoke):
            yield from _callees(value)
        elif isinstance(value, (list, tuple)):
            for item in value:
                yield from inner(item)

    yield call.callee
    for value in (*call.args, *call.kwargs.values()):
        yield from inner(value)


def _ulps(bound: str, largest: int) -> float:
    kind, _, parameter = bound.partition("=")
    if kind == "exact":
        return 0.0
    if kind == "dot":  # gamma_n is n roundings; no sum is longer than the largest tensor
        return float(largest)
    return float(parameter) * (largest if kind == "residual" else 1)


def bits_of(seen: TensorObs) -> tuple[Any, ...]:
    """What makes two observations of a tensor's value the same: dtype, shape and bits."""
    return seen.dtype, seen.shape, seen.value.tobytes()


def _kind(step: StepObs) -> str:
    return step.raised.kind if step.raised else ""


def tensors(step: StepObs) -> Iterator[tuple[str, TensorObs]]:
    """(observable, tensor) of every live variable and of its gradients."""
    for name, seen in step.live.items():
        path: str = name
        at: TensorObs | None = seen
        while at is not None:
            yield path, at
            path, at = f"{path}.grad", at.grad


class _Versions:
    """How far each variable's version counter moved since the name was bound."""

    def __init__(self) -> None:
        self.first: dict[str, int] = {}

    def after(self, step: StepObs, rebound: Collection[str]) -> dict[str, int]:
        moved = {}
        for name, seen in step.live.items():
            if seen.version is None:
                continue
            if name in rebound or name not in self.first:
                self.first[name] = seen.version
            moved[name] = seen.version - self.first[name]
        return moved


def _compare_live(
    got: StepObs, want: StepObs, slack: float, capabilities: Collection[str], out: Compared
) -> None:
    out.fact(got.line, "variables", sorted(got.live), sorted(want.live))
    for name in sorted(got.live.keys() & want.live.keys()):
        _compare_tensor(
            name, got.line, got.live[name], want.live[name], slack, capabilities, out
        )
    for name in sorted(got.values.keys() | want.values.keys()):
        seen, expected = (s.values.get(name, "absent") for s in (got, want))
        out.compared += 1
        if not _same_result(seen, expected, slack, capabilities):
            out.differences.append(Difference(got.line, name, seen, expected))


def _compare_tensor(
    path: str,
    line: int,
    got: TensorObs,
    want: TensorObs,
    slack: float,
    capabilities: Collection[str] | None,
    out: Compared,
) -> None:
    """capabilities: None where both come from the same backend."""
    dtype = want.dtype if is_numpy(want) else _narrowed(want.dtype, capabilities)
    for name in FACTS:
        need = FIELDS[name]
        if need and capabilities is not None and need not in capabilities:
            continue
        seen, expected = getattr(got, name), getattr(want, name)
        if name == "dtype":
            expected = dtype
        if name == "grad_fn":  # names are an implementation's own; claims look at them
            seen, expected = seen is not None, expected is not None
        out.fact(line, f"{path}.{name}", seen, expected)
    if got.shape == want.shape and got.dtype == dtype:
        right = _close(got.value, want.value, got.dtype, slack)
        out.compared += max(right.size, 1)
        if not right.all():
            out.differences.append(Difference(line, path, got.value, want.value))
    if capabilities is not None and FIELDS["grad"] not in capabilities:
        return
    if got.grad is not None and want.grad is not None:
        _compare_tensor(f"{path}.grad", line, got.grad, want.grad, slack, capabilities, out)
    else:
        out.compared += 1
        if got.grad is not want.grad:
            out.differences.append(Difference(line, f"{path}.grad", got.grad, want.grad))


def _narrowed(dtype: Any, capabilities: Collection[str] | None) -> Any:
    """Without 64-bit types a library documents that it takes the 32-bit ones."""
    if capabilities is None or "float64" in capabilities or not isinstance(dtype, str):
        return dtype
    return NARROW.get(dtype, dtype)


def _close(got: np.ndarray, want: np.ndarray, dtype: str, slack: float) -> np.ndarray:
    if got.dtype != want.dtype:
        want = want.astype(got.dtype)
    real = REAL_OF.get(dtype, dtype)
    if not slack or real not in FORMATS:
        return np.asarray(same_bits(got, want))
    wide = real_format(real).wide

    def error(part: Any) -> np.ndarray:
        return error_in_ulp(part(got), part(want).astype(wide), real)

    if dtype in REAL_OF:
        return np.maximum(error(np.real), error(np.imag)) <= slack
    return error(np.asarray) <= slack


def _same_result(
    seen: Any, expected: Any, slack: float, capabilities: Collection[str]
) -> bool:
    if isinstance(seen, float) and isinstance(expected, float):
        both = np.array([seen]), np.array([expected])
        # a Python float was a float32 more often than not: its ulp is the one that counts
        unit = np_dtype("float32") if slack else np_dtype("float64")
        name = "float32" if slack else "float64"
        return bool(_close(*(b.astype(unit) for b in both), name, slack).all())
    return bool(type(seen) is type(expected) and seen == _narrowed(expected, capabilities))
