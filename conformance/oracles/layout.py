"""Same result for every memory layout, and for every length around the SIMD width?"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from conformance.accuracy.ulp import same_bits
from conformance.cases.case import Case, Operand
from conformance.cases.generate import with_operand
from conformance.observation import Evaluation
from conformance.oracles.base import Comparison, Comparisons, Context, Sample
from conformance.oracles.value import value
from conformance.oracles.vjp import vjp

WHOLE_VECTORS = 128  # a multiple of every SIMD width: no tail


def layout(ctx: Context, sample: Sample) -> Comparisons:
    """Values and cotangents that leave their bound because of where the numbers lie.

    An element is at fault when it is outside its bound and differs from what the same library
    gives for the same numbers in contiguous memory (or, for one value repeated to some length,
    in whole SIMD vectors): a wrong function is the value oracle's matter. Bits alone may differ:
    PyTorch's notes on numerical accuracy promise no more.
    """
    baseline = None  # hardly ever needed
    for c in (*value(ctx, sample, "layout"), *vjp(ctx, sample, "layout")):
        if c.is_fact or not c.over.any():
            yield c
            continue
        if baseline is None:
            plain, cotangents = _plain_case(sample), _plain_cotangents(sample)
            baseline = ctx.backend.evaluate(ctx.op, plain, cotangents)
        same = _baseline(sample, baseline, c)
        yield c if same is None else replace(c, over=c.over & ~same_bits(c.observed, same))


def _plain_case(sample: Sample) -> Case:
    """The same numbers, contiguous; one repeated value as a run of whole vectors."""
    case = sample.case
    args = case.args
    for name, operand in case.operands():
        data = operand.data
        if case.kind == "length":
            data = np.resize(data, WHOLE_VECTORS)
        args = with_operand(args, name, Operand(data, "contiguous", operand.differentiable))
    return replace(case, args=args, layout="contiguous")


def _plain_cotangents(sample: Sample) -> list[np.ndarray | None] | None:
    if sample.cotangents is None or sample.case.kind != "length":
        return sample.cotangents
    return [None if c is None else np.resize(c, WHOLE_VECTORS) for c in sample.cotangents]


def _baseline(sample: Sample, ev: Evaluation, c: Comparison) -> np.ndarray | None:
    """What the library gave in plain memory for the array that was compared, if it is there."""
    found = dict(_arrays(sample, ev)).get(c.what)
    if found is None:
        return None
    if sample.case.kind == "length":
        found = found[: c.observed.size].reshape(c.observed.shape)
    return found if found.shape == c.observed.shape else None


def _arrays(sample: Sample, ev: Evaluation) -> Iterator[tuple[str, np.ndarray]]:
    for place, out in enumerate(ev.outputs):
        yield ("y" if len(ev.outputs) == 1 else f"y.{place}"), out.value
    names = [name for name, _ in sample.case.differentiable()]
    for name, grad in zip(names, ev.grads or (), strict=False):
        if grad is not None:
            yield f"ct.{name}", grad.value
