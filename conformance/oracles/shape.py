"""Is the shape, and for views the stride and the offset, right?"""

from conformance.oracles.base import Comparisons, Context, Sample, fact


def shape(ctx: Context, sample: Sample) -> Comparisons:
    """Shapes of outputs and cotangents; strides and offsets of views where they are visible."""
    seen, expected = sample.seen, sample.expected
    if (seen.raised is not None and seen.stage == "forward") or expected.seen is None:
        return
    single = len(seen.outputs) == 1
    for place, (out, want) in enumerate(zip(seen.outputs, expected.seen.outputs, strict=False)):
        what = "y" if single else f"y.{place}"
        yield fact(sample, "shape", what, out.shape, want.shape, "shape")
        if ctx.op.parsed.is_view and out.strides is not None and out.shape == want.shape:
            yield fact(sample, "shape", f"{what}.strides", out.strides, want.strides, "strides")
            yield fact(sample, "shape", f"{what}.offset", out.offset, want.offset, "offset")
    if seen.grads is None:
        return
    for (name, operand), grad in zip(sample.case.differentiable(), seen.grads, strict=True):
        if grad is not None:
            yield fact(
                sample, "shape", f"ct.{name}", grad.shape, operand.data.shape, "shape"
            )
