"""Same input, same bits, twice?"""

from conformance.accuracy.ulp import same_bits
from conformance.observation import Evaluation
from conformance.oracles.base import Comparison, Comparisons, Context, Sample


def determinism(ctx: Context, sample: Sample, again: Evaluation) -> Comparisons:
    """Outputs and cotangents of a second evaluation of the same case, bit by bit."""
    first, second = sample.seen, again
    pairs = [
        (f"y.{i}", a.value, b.value)
        for i, (a, b) in enumerate(zip(first.outputs, second.outputs, strict=True))
    ]
    for i, (a, b) in enumerate(zip(first.grads or (), second.grads or (), strict=True)):
        if a is not None and b is not None:
            pairs.append((f"ct.{i}", a.value, b.value))
    for what, one, two in pairs:
        yield Comparison(
            sample=sample, oracle="determinism", what=what, compared=int(one.size),
            over=~same_bits(two, one), observed=two, expected=one, category="bits",
        )  # fmt: skip
