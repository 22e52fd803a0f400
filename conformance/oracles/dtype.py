"""Is the result's dtype what the library's own promotion rules say?"""

from conformance.oracles.base import Comparisons, Context, Sample, fact


def dtype(ctx: Context, sample: Sample) -> Comparisons:
    """One fact per output, and one per cotangent (a cotangent has its input's dtype)."""
    if sample.seen.raised is not None and sample.seen.stage == "forward":
        return
    single = len(sample.seen.outputs) == 1
    pairs = zip(sample.seen.outputs, sample.expected.dtypes, strict=False)
    for place, (out, want) in enumerate(pairs):
        yield fact(sample, "dtype", "y" if single else f"y.{place}", out.dtype, want, "dtype")
    if sample.seen.grads is None:
        return
    for (name, operand), grad in zip(
        sample.case.differentiable(), sample.seen.grads, strict=True
    ):
        if grad is not None:
            yield fact(sample, "dtype", f"ct.{name}", grad.dtype, operand.dtype, "dtype")
