"""View or copy as promised: whose memory does each result share?"""

from __future__ import annotations

from typing import Any

from conformance.oracles.base import Comparisons, Context, Sample, fact
from conformance.render import invocation
from conformance.verdicts import Verdict


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


def view_or_copy(ctx: Context, sample: Sample) -> dict[str, Any] | None:
    """The report's record of one call that may return a view; None where there is none to make.

    call: as in a program. shapes, layout: of the input tensors. expected, observed: "view",
    "copy", or "mixed" where the outputs are not alike.
    """
    seen, expected = sample.seen, sample.expected.seen
    may_be_view = ctx.op.parsed.is_view or ctx.op.chapter == "views"
    if not may_be_view or seen.aliases is None or expected is None or expected.aliases is None:
        return None
    if not seen.aliases or any(out.value.size == 0 for out in seen.outputs):
        return None
    want = expected.aliases if ctx.op.parsed.is_view else (None,) * len(expected.aliases)
    observed, promised = _kind(seen.aliases), _kind(want)
    operands = [operand for _, operand in sample.case.operands()]
    layouts = {operand.layout for operand in operands} - {"contiguous"}
    verdict = Verdict.CONFORMS if seen.aliases == tuple(want) else Verdict.DIVERGES
    return {
        "kind": "alias",
        "backend": ctx.backend.name,
        "op": ctx.op.name,
        "call": invocation(ctx.op, sample.case),
        "shapes": [list(operand.data.shape) for operand in operands],
        "layout": " ".join(sorted(layouts)) or "contiguous",
        "expected": promised,
        "observed": observed,
        "verdict": str(verdict),
    }


def _kind(aliases: Any) -> str:
    kinds = {"copy" if name is None else "view" for name in aliases}
    return kinds.pop() if len(kinds) == 1 else "mixed"
