"""Checks per CPU-second, ours against those that PyTorch ships, measured in the same run.

Both sides are asked about the operations that OpInfo has with a NumPy reference and the tables
have too, in the same dtype; both make their inputs inside the measured time, on one thread.

forward: OpInfo's own samples, `op(sample)` against `op.ref(sample)` by
`torch.testing.assert_close`; ours, the cases of the tables, each asked for value, dtype, shape
and memory. A *check* is one answer that can be wrong by itself: for `assert_close` that is a
sample; ours are one thing compared of one call, a call gives several (`Comparison`).

gradients: a sample through `torch.autograd.gradcheck(fast_mode=True)`; ours, the cases of the vjp
oracle. A check is one number of a derivative that is compared: fast mode compares one random
projection per pair of input and output (torch/autograd/gradcheck.py, `_fast_gradcheck`), ours is
every element of every cotangent.

The same calls are counted too (`calls`), and the elements of results (`elements`): OpInfo takes
few ways to call an operation with many random numbers each, the tables many ways with few
numbers, each chosen.

    pip install -e '.[torch,bench]' -c constraints.txt
    python benchmarks/checks_per_second.py
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before any library reads it

import argparse
import gc
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import process_time
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.testing._internal.common_methods_invocations import op_db

from conformance.backends.registry import open_backend
from conformance.cases.generate import dtypes_of
from conformance.engine.plan import Unit, match
from conformance.loading import load_specs
from conformance.specs import OpSpec, Specs
from conformance.units import OpUnit, differentiable_in

GOAL = 10.0
FORWARD, GRADIENT = ("value", "dtype", "shape", "alias"), ("vjp",)


@dataclass(slots=True)
class Rate:
    """calls: of the operation, compared; checks: what could be wrong by itself (see above);
    elements: numbers compared; failed: calls that were not compared or did not agree; seconds:
    CPU time of all of it."""

    calls: int = 0
    checks: int = 0
    elements: int = 0
    failed: int = 0
    seconds: float = 0.0

    def per_second(self, what: str) -> float:
        return getattr(self, what) / self.seconds if self.seconds else 0.0

    def timed(self, work: Callable[[], None]) -> None:
        start = process_time()
        work()
        self.seconds += process_time() - start


# --- theirs ------------------------------------------------------------------------------


def tensors(value: Any) -> list[torch.Tensor]:
    """Every tensor in a nested list or tuple, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [found for item in value for found in tensors(item)]
    return []


def opinfo_forward(info: Any, dtype: torch.dtype, rate: Rate, inputs: str) -> None:
    for sample in getattr(info, inputs)("cpu", dtype):
        plain = sample.numpy()
        try:
            want = info.ref(plain.input, *plain.args, **plain.kwargs)
            got = info(sample.input, *sample.args, **sample.kwargs)
            if not isinstance(want, (list, tuple)):
                want = torch.as_tensor(np.ascontiguousarray(want)).reshape(np.shape(want))
            else:
                want = [torch.as_tensor(np.ascontiguousarray(w)) for w in want]
            torch.testing.assert_close(got, type(got)(want) if isinstance(got, tuple) else want,
                                       equal_nan=True, check_dtype=False)  # fmt: skip
        except Exception:  # noqa: BLE001 - OpInfo lists which samples its own tests skip
            rate.failed += 1
            continue
        rate.calls += 1
        rate.checks += 1
        rate.elements += sum(t.numel() for t in tensors(got))


def opinfo_gradients(info: Any, dtype: torch.dtype, rate: Rate, inputs: str) -> None:
    for sample in getattr(info, inputs)("cpu", dtype, requires_grad=True):
        values = (sample.input, *sample.args)
        places = [
            i for i, v in enumerate(values) if isinstance(v, torch.Tensor) and v.requires_grad
        ]
        lists = [v for v in values if isinstance(v, (list, tuple)) and tensors(v)]
        if lists or not places:  # cat: gradcheck wants every tensor to be an argument
            call, inputs = _of_lists(info, sample)
        else:
            call, inputs = _of_places(info, sample, values, places)
        if not inputs:
            continue
        try:
            torch.autograd.gradcheck(call, inputs, fast_mode=True)
        except Exception:  # noqa: BLE001 - non-differentiable samples that OpInfo's tests skip
            rate.failed += 1
            continue
        with torch.no_grad():
            results = len(tensors(call(*inputs)))
        rate.calls += 1
        rate.checks += len(inputs) * results
        rate.elements += sum(t.numel() for t in inputs)


def _of_places(info: Any, sample: Any, values: tuple, places: list[int]) -> tuple[Any, tuple]:
    def call(*given: torch.Tensor) -> Any:
        full = list(values)
        for place, value in zip(places, given, strict=True):
            full[place] = value
        return info.gradcheck_wrapper(info, *full, **sample.kwargs)

    return call, tuple(values[i] for i in places)


def _of_lists(info: Any, sample: Any) -> tuple[Any, tuple]:
    inputs = tuple(t for t in tensors(sample.input) if t.requires_grad)

    def call(*given: torch.Tensor) -> Any:
        return info.gradcheck_wrapper(info, list(given), *sample.args, **sample.kwargs)

    return call, inputs if len(inputs) == len(tensors(sample.input)) else ()


# --- ours --------------------------------------------------------------------------------


class Counting(OpUnit):
    """A unit that counts what it compares.

    asked: the oracle whose elements are counted.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.asked = self.unit.oracles[0]
        self.calls: set[str] = set()
        self.things = self.elements = 0

    def compare(self, sample: Any) -> Iterator[Any]:
        for comparison in super().compare(sample):
            if comparison.compared:
                self.things += 1
                self.calls.add(sample.case.id)
                if comparison.oracle == self.asked:
                    self.elements += comparison.compared
            yield comparison


def ours(
    op: OpSpec, oracles: tuple[str, ...], dtype: str, backends: tuple, specs: Specs, rate: Rate
) -> None:
    unit = Unit(
        id="", backend="torch", kind="op", name=op.name, dtypes=(dtype,), oracles=oracles,
        tier="standard", seed=0,
    )  # fmt: skip
    runner = Counting(unit, *backends, op, specs)
    runner.run(None, frozenset(), lambda case: None)
    rate.calls += len(runner.calls)
    rate.checks += runner.elements if oracles == GRADIENT else runner.things
    rate.elements += runner.elements


# --- both ----------------------------------------------------------------------------------


def shared_operations(specs: Specs, globs: str) -> list[tuple[list[Any], list[OpSpec]]]:
    """(OpInfos with a NumPy reference, operations of the tables) by the schema's name."""
    tables: dict[str, list[OpSpec]] = {}
    for name in match("op", globs, specs.ops):
        tables.setdefault(specs.ops[name].parsed.name, []).append(specs.ops[name])
    infos: dict[str, list[Any]] = {}
    for info in op_db:
        if info.ref is not None:
            for name in dict.fromkeys((info.aten_name, info.name.replace(".", "_"))):
                if name in tables:
                    infos.setdefault(name, []).append(info)
                    break
    return [(infos[name], tables[name]) for name in sorted(infos)]


def measure(
    pairs: list, oracles: tuple[str, ...], dtype: str, backends: tuple, specs: Specs, inputs: str
) -> tuple[Rate, Rate]:
    """(ours, theirs). inputs: the OpInfo method that makes its samples."""
    theirs, own = Rate(), Rate()
    kind = getattr(torch, dtype)
    check = opinfo_gradients if oracles == GRADIENT else opinfo_forward
    for infos, ops in pairs:
        ops = [op for op in ops if dtype in dtypes_of(op)]
        if oracles == GRADIENT:
            infos = [i for i in infos if i.supports_autograd]
            ops = [op for op in ops if differentiable_in(op, dtype)]
        infos = [i for i in infos if kind in i.supported_dtypes("cpu")]
        if not infos or not ops:
            continue
        for info in infos:
            theirs.timed(lambda info=info: check(info, kind, theirs, inputs))
        for op in ops:
            own.timed(lambda op=op: ours(op, oracles, dtype, backends, specs, own))
    return own, theirs


# what, oracles, dtype, how OpInfo makes its inputs (its own NumPy tests take `reference_inputs`)
ROWS = (
    ("forward, float32", FORWARD, "float32", "sample_inputs"),
    ("forward, float32, reference inputs", FORWARD, "float32", "reference_inputs"),
    ("forward, int64", FORWARD, "int64", "sample_inputs"),
    ("gradients, float64", GRADIENT, "float64", "sample_inputs"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--op", default="*", help="comma-separated globs of the tables' operations")
    globs = parser.parse_args().op
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    specs = load_specs()
    backends = open_backend("torch"), open_backend("reference")
    pairs = shared_operations(specs, globs)
    table = Table(title=f"per CPU-second over {len(pairs)} operations, torch {torch.__version__}, "
                        f"one thread; goal: {GOAL:.0f} times the checks")  # fmt: skip
    for heading in ("what", "counted", "ours", "theirs", "ratio"):
        table.add_column(heading, justify="left" if heading in ("what", "counted") else "right")
    measure(pairs[:3], GRADIENT, "float64", backends, specs, "sample_inputs")  # first calls
    gc.collect()
    gc.freeze()  # as a worker does; it is the same for both sides
    for what, oracles, dtype, inputs in ROWS:
        own, theirs = measure(pairs, oracles, dtype, backends, specs, inputs)
        for counted in ("checks", "calls", "elements"):
            rates = own.per_second(counted), theirs.per_second(counted)
            table.add_row(
                what if counted == "checks" else "",
                counted,
                f"{rates[0]:,.0f}",
                f"{rates[1]:,.0f}",
                f"{rates[0] / rates[1]:.2f}" if rates[1] else "-",
                style="bold" if counted == "checks" else None,
                end_section=counted == "elements",
            )
        print(f"{what}: {own.calls:,} calls in {own.seconds:.1f} s, theirs {theirs.calls:,} in "
              f"{theirs.seconds:.1f} s, {theirs.failed} of OpInfo's samples not counted (not "
              "comparable as they are)")  # fmt: skip
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
