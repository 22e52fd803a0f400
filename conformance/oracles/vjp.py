"""Is the cotangent of each input right, at kinks, ties and special values too?"""

import numpy as np

from conformance.oracles.base import Comparisons, Context, Sample, fact
from conformance.oracles.numbers import as_dtype, judge_of


def vjp(ctx: Context, sample: Sample, oracle: str = "vjp") -> Comparisons:
    """Every element of every input's cotangent against the rule in wide precision."""
    seen, expected = sample.seen, sample.expected
    if sample.cotangents is None or (seen.raised is not None and seen.stage == "forward"):
        return
    failed = (seen.raised.kind if seen.raised else ""), expected.raised
    if any(failed):
        yield fact(sample, oracle, "backward", failed[0], failed[1], "raised")
        return
    if seen.grads is None or expected.grads is None:
        return
    yield from _each(ctx, sample, oracle, "vjp", seen.grads, expected.grads)


def second_order(ctx: Context, sample: Sample) -> Comparisons:
    """The derivative of the vjp: reverse over reverse, for inputs and cotangents."""
    seen, expected = sample.seen, sample.expected
    if sample.second is None or (seen.raised is not None and seen.stage == "forward"):
        return
    failed = (seen.raised.kind if seen.raised else ""), expected.raised
    if any(failed):
        yield fact(sample, "second_order", "backward", failed[0], failed[1], "raised")
        return
    if seen.seconds is None or expected.seconds is None:
        return
    yield from _each(ctx, sample, "second_order", "second", seen.seconds, expected.seconds)


def _each(ctx, sample, oracle, key, observed, wanted) -> Comparisons:
    judge = judge_of(ctx, sample, key)
    names = [name for name, _ in sample.case.differentiable()]
    arrays = [operand.data for _, operand in sample.case.differentiable()]
    if key == "second":
        chosen = [i for i, c in enumerate(sample.cotangents or []) if c is not None]
        names += ["ct" if len(chosen) == 1 else f"ct{i}" for i in chosen]
        arrays += [sample.cotangents[i] for i in chosen]
    for place, (name, like) in enumerate(zip(names, arrays, strict=True)):
        got, exact = observed[place], wanted[place]
        if got is None and exact is None:
            if key == "second":  # both say that the vjp does not depend on it
                yield fact(sample, oracle, f"second.{name}", None, None, "dependence")
            continue
        # an undefined cotangent is a zero one (torch returns None where nothing depends)
        value = np.zeros(like.shape, like.dtype) if got is None else got.value
        if exact is None:
            exact = np.zeros(like.shape, np.result_type(like.dtype, np.float64))
        if value.shape != exact.shape:
            continue  # the shape oracle says so
        prefix = "ct" if key == "vjp" else "second"
        yield judge.compare(oracle, f"{prefix}.{name}", place, value, as_dtype(exact, value))
