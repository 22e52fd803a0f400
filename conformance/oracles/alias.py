"""View or copy as promised: whose memory does each result share?"""

from conformance.oracles.base import Comparisons, Context, Sample, fact


def alias(ctx: Context, sample: Sample) -> Comparisons:
    """One fact per output: the input whose memory it shares, or None for memory of its own.

    `(a)` in the schema allows a view; whether this layout gives one is the reference's answer
    (reshape, contiguous). Without `(a)` no result may share memory with an input.
    """
    seen, expected = sample.seen, sample.expected
    if seen.aliases is None or expected.seen is None or expected.seen.aliases is None:
        return
    single = len(seen.aliases) == 1
    for place, (got, want) in enumerate(zip(seen.aliases, expected.seen.aliases, strict=False)):
        if seen.outputs[place].value.size == 0:
            continue  # an empty tensor has no memory to share
        if not ctx.op.parsed.is_view and not ctx.op.parsed.mutates:
            want = None
        what = "y" if single else f"y.{place}"
        yield fact(sample, "alias", what, got or "own memory", want or "own memory", "alias")
