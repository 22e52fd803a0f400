"""What a rounding unit does: in the inputs, and in the result that a graph saves.

These changes are what a stable computation may be off by (see `bounds.judge_stable`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from conformance.accuracy.expected import Arrays, Expectation, Expected, widen_array
from conformance.accuracy.formats import Format, real_format, wide_dtype
from conformance.cases.case import Case
from conformance.cases.generate import elementwise, with_operand
from conformance.observation import Evaluation
from conformance.specs import OpSpec


def change(
    e: Expectation,
    op: OpSpec,
    case: Case,
    expected: Expected,
    pick: Callable[[Evaluation], Arrays],
    cotangents: Any = None,
    second: Any = None,
) -> Arrays:
    """Sum over all inputs of the change that a relative change of one unit roundoff makes.

    pick: which arrays of an evaluation (outputs, grads, seconds). Elementwise operations
    change all elements of an operand at once, others one element at a time. Cotangents and
    second-order vectors are inputs too. Wide arrays of the shapes that `pick` returns.
    """
    unit = real_format(expected.common).unit
    wide = e.widen(op, case, expected.common)
    base = pick(expected.seen)
    total = [None if b is None else np.zeros(b.shape, _real(b)) for b in base]

    def add(ev: Evaluation) -> None:
        for place, step in enumerate(_steps(base, pick(ev))):
            if step is not None:
                total[place] = total[place] + step

    for name, operand in wide.operands():
        if operand.data.dtype != wide_dtype(expected.common):
            continue
        for data in _nudged(operand.data, unit, elementwise(op)):
            moved = with_operand(wide.args, name, replace(operand, data=data))
            add(e.run(op, wide.with_args(moved), cotangents, second))
    for which in (cotangents, second):
        for place, array in enumerate(which or ()):
            if array is None:
                continue
            for data in _nudged(widen_array(array), unit, elementwise(op)):
                swapped = [*which[:place], data, *which[place + 1 :]]
                pair = (swapped, second) if which is cotangents else (cotangents, swapped)
                add(e.run(op, wide, *pair))
    return tuple(total)


def joint_change(
    e: Expectation,
    op: OpSpec,
    case: Case,
    expected: Expected,
    pick: Callable[[Evaluation], Arrays],
    cotangents: Any = None,
    second: Any = None,
) -> Arrays:
    """What one change of every input at once, by plus or minus one unit roundoff, makes.

    To first order it is at most `change`, whatever the signs, so what it allows `change`
    allows. It costs two runs, of two choices of signs, instead of one per element.
    """
    unit = real_format(expected.common).unit
    wide = e.widen(op, case, expected.common)
    base = pick(expected.seen)
    most: list[np.ndarray | None] = [None] * len(base)
    for rng in (np.random.default_rng(0), np.random.default_rng(1)):
        args = wide.args
        for name, operand in wide.operands():
            if operand.data.dtype == wide_dtype(expected.common):
                data = _shaken(operand.data, unit, rng)
                args = with_operand(args, name, replace(operand, data=data))
        vectors = [
            None if v is None else [
                None if a is None else _shaken(widen_array(a), unit, rng) for a in v
            ]
            for v in (cotangents, second)
        ]  # fmt: skip
        moved = pick(e.run(op, wide.with_args(args), *vectors))
        for place, step in enumerate(_steps(base, moved)):
            if step is not None:
                before = most[place]
                most[place] = step if before is None else np.maximum(before, step)
    return tuple(
        None if b is None else np.zeros(b.shape, _real(b)) if m is None else m
        for b, m in zip(base, most, strict=True)
    )


def change_of_result(
    e: Expectation,
    op: OpSpec,
    case: Case,
    expected: Expected,
    pick: Callable[[Evaluation], Arrays],
    cotangents: Any,
    second: Any = None,
) -> Arrays:
    """What one unit roundoff in the saved result does to cotangents, or to their derivatives.

    The graph keeps the rounded result, not the exact one: tanh's 1 - y*y is computed from
    a y that is off by half an ulp, in the vjp and in what the vjp's derivative makes of it.
    The rule's forward gives the moved result, all of it at once in elementwise operations,
    else one element after the other, whose changes are added up.
    """
    from reference_impl import RULES

    rule = RULES[op.parsed.qualified] if op.parsed.qualified in RULES else RULES[op.name]
    wide = e.widen(op, case, expected.common)
    base = pick(expected.seen)
    total = [None if b is None else np.zeros(b.shape, _real(b)) for b in base]
    off = _rounded_off(expected.seen.outputs[0].value, real_format(expected.common))
    for moved in [off] if elementwise(op) else _one_by_one(off):
        with _giving(rule, moved):
            found = pick(e.run(op, wide, cotangents, second))
        for place, step in enumerate(_steps(base, found)):
            if step is not None:
                total[place] = total[place] + step
    return tuple(total)


def _rounded_off(y: np.ndarray, fmt: Format) -> np.ndarray:
    """What a rounding may add to each result: a unit roundoff, or half the smallest subnormal."""
    with np.errstate(all="ignore"):
        share = np.maximum(fmt.unit, fmt.smallest / 2 / np.abs(y))
        return np.where(np.isfinite(y) & (y != 0), y * share, 0).astype(y.dtype)


def _one_by_one(a: np.ndarray) -> Iterator[np.ndarray]:
    """For each element that is not zero, zeros with that element."""
    for place in np.flatnonzero(a):
        one = np.zeros_like(a)
        one.flat[place] = a.flat[place]
        yield one


@contextmanager
def _giving(rule: Any, change: np.ndarray) -> Iterator[None]:
    """The rule's results of the shape of `change` are off by it; the first of several results."""
    right = rule.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        found = right(*args, **kwargs)
        first = found[0] if isinstance(found, tuple) else found
        if np.shape(first) == change.shape:
            first = np.asarray(first + change)
        return (first, *found[1:]) if isinstance(found, tuple) else first

    rule.forward = forward
    try:
        yield
    finally:
        rule.forward = right


def _real(array: np.ndarray) -> np.dtype:
    return array.real.dtype


def _steps(base: Arrays, moved: Arrays) -> list[np.ndarray | None]:
    """How far each element moved; 0 where that is nan, None where an array is missing."""
    found: list[np.ndarray | None] = []
    for b, m in zip(base, moved, strict=True):
        if b is None or m is None:
            found.append(None)
            continue
        with np.errstate(all="ignore"):
            step = np.abs(m - b)
        found.append(np.where(np.isnan(step), 0, step))
    return found


def _shaken(data: np.ndarray, unit: float, rng: np.random.Generator) -> np.ndarray:
    """Every finite element of `data` times 1 + unit or 1 - unit."""
    signs = rng.integers(0, 2, data.shape) * 2 - 1
    step = data.real.dtype.type(unit)
    with np.errstate(all="ignore"):
        return np.asarray(np.where(np.isfinite(data), data * (1 + signs * step), data))


def _nudged(data: np.ndarray, unit: float, together: bool):
    """`data` times 1 + unit, all elements at once or one at a time."""
    step = data.real.dtype.type(unit)
    with np.errstate(all="ignore"):
        moved = np.asarray(np.where(np.isfinite(data), data * (1 + step), data))
    if together:
        yield moved
        return
    for place in range(data.size):
        if data.flat[place] == moved.flat[place] or np.isnan(data.flat[place]):
            continue
        one = data.copy()
        one.flat[place] = moved.flat[place]
        yield one
