"""Same result for every memory layout, and for every length around the SIMD width?"""

import numpy as np

from conformance.accuracy.ulp import same_bits
from conformance.oracles.base import Comparison, Comparisons, Context, Sample
from conformance.oracles.value import value
from conformance.oracles.vjp import vjp


def layout(ctx: Context, sample: Sample) -> Comparisons:
    """Values and cotangents within their bounds whatever the memory looks like.

    For one value repeated to some length, every element must also have the same bits: a SIMD
    body and its tail are one function.
    """
    yield from value(ctx, sample, "layout")
    yield from vjp(ctx, sample, "layout")
    if sample.case.kind != "length":
        return
    outputs = [("y", o.value) for o in sample.seen.outputs]
    names = [name for name, _ in sample.case.differentiable()]
    grads = zip(names, sample.seen.grads or (), strict=False)
    outputs += [(f"ct.{n}", g.value) for n, g in grads if g is not None and _uniform(sample)]
    for what, array in outputs:
        if array.size < 2:
            continue
        first = np.broadcast_to(array.reshape(-1)[:1], array.shape)
        over = ~same_bits(array, first)
        yield Comparison(
            sample=sample, oracle="layout", what=what, compared=int(array.size), over=over,
            observed=array, expected=np.asarray(first), category="position",
        )  # fmt: skip


def _uniform(sample: Sample) -> bool:
    """Whether all cotangents are one number, so that all results must be one number too."""
    return all(c is None or np.unique(c).size <= 1 for c in sample.cotangents or [])
