"""Is each element within its bound of the correctly rounded result?"""

from conformance.oracles.base import Comparisons, Context, Sample, fact
from conformance.oracles.numbers import as_dtype, judge_of


def value(ctx: Context, sample: Sample, oracle: str = "value") -> Comparisons:
    """Every element of every output; nan, infinities and signed zeros told apart."""
    seen, expected = sample.seen, sample.expected
    if _refused(seen) or expected.raised and expected.stage == "forward":
        kind = seen.raised.kind if _refused(seen) else ""
        yield fact(sample, oracle, "y", kind, expected.raised, "raised")
        return
    judge = judge_of(ctx, sample, "value")
    single = len(seen.outputs) == 1
    if len(seen.outputs) != len(expected.outputs):
        yield fact(sample, oracle, "results", len(seen.outputs), len(expected.outputs))
        return
    for place, (out, exact) in enumerate(zip(seen.outputs, expected.outputs, strict=True)):
        if out.value.shape != exact.shape:
            continue  # the shape oracle says so; no element has a partner
        what = "y" if single else f"y.{place}"
        yield judge.compare(oracle, what, place, out.value, as_dtype(exact, out.value))
    for place, (got, want) in enumerate(
        zip(seen.scalars, expected.seen.scalars if expected.seen else (), strict=True)
    ):
        yield fact(sample, oracle, f"scalar.{place}", got, want)


def _refused(seen) -> bool:
    return seen.raised is not None and seen.stage == "forward"
