"""From differences to findings: one per cause, told by its smallest example."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from conformance.accuracy.formats import FORMATS, np_dtype
from conformance.accuracy.ulp import round_to
from conformance.cases.generate import DTYPES, elementwise, with_operand
from conformance.cases.points import Seen, classify
from conformance.oracles.base import Comparison, Context, Sample
from conformance.plain import plain, words
from conformance.render import program_text, variable
from conformance.verdicts import Finding, Verdict

# The order in which a point counts as *the* reason; the most particular first.
PRIMARY = (
    "zero_divisor", "shift_out_of_range", "narrow_scalar", "singular", "at_bound", "tie",
    "half_way", "int_min", "int_max", "zero_product", "outside_index",
    "outside_dim", "repeated_dim", "other_rank", "integer_mask", "broadcast_mask", "cut_scalar",
    "legacy_empty", "inferred_size", "wide_dim", "past_the_end", "flattened", "repeated_index",
    "other_dtype", "mixed_dtypes", "constant", "degenerate",
    "ill_conditioned", "nan", "inf", "subnormal", "overflow", "signed_zero", "huge", "tiny",
    "negative_divisor",
    "beyond_bound", "one", "integral", "negative", "empty", "zero_dim", "weak_scalar",
    "accumulated",
)  # fmt: skip


def seen_of(ctx: Context, comparison: Comparison) -> Seen:
    """What the point predicates look at: inputs in the dtype in which the operation computes.

    For elementwise operations the inputs are broadcast, and stand element by element beside a
    result; else predicates answer for the case as a whole.
    """
    case = comparison.sample.case
    arrays = [o.data for _, o in case.operands()]
    whole = tuple(w for w, on in case.points.items() if on is True)
    exact = comparison.expected if isinstance(comparison.expected, np.ndarray) else None
    common = comparison.sample.expected.common
    aligned = False
    if elementwise(ctx.op) and arrays:
        fixed = [n.split(".")[0] in ctx.op.fixed for n, _ in case.operands()]
        with np.errstate(all="ignore"):
            arrays = [
                a if skip else a.astype(np_dtype(common))
                for a, skip in zip(arrays, fixed, strict=True)
            ]
        literals = [
            np.asarray(v).astype(np_dtype(common))
            for n, v in case.args.items()
            if n in ("self", "other") and isinstance(v, (bool, int, float, complex))
        ]
        try:
            arrays = list(np.broadcast_arrays(*arrays, *literals))
            aligned = True
        except ValueError:
            pass  # a case of shapes that do not fit has only points of the whole
    shapes = tuple(o.data.shape for _, o in case.operands())
    return Seen(tuple(arrays), case.args, exact, whole, whole=not aligned, shapes=shapes)


NUMERIC = ("nan", "inf", "subnormal", "overflow", "signed_zero", "huge", "tiny")


def reasons(ctx: Context, comparison: Comparison) -> tuple[str, ...]:
    """The points that may count as the reason of a difference, the most particular first.

    A fact (a dtype, a shape) has only the points that the table declares for the call.
    """
    if comparison.is_fact:
        return tuple(w for w in PRIMARY if w in comparison.sample.case.points)
    mine = {*ctx.op.points, *NUMERIC, *comparison.sample.case.points}
    return tuple(w for w in PRIMARY if w in mine)


def points_of(ctx: Context, comparison: Comparison, words_: Iterable[str]) -> dict[str, Any]:
    """Mask per point word over the compared elements (any-reduced where shapes differ)."""
    found = classify(list(words_), seen_of(ctx, comparison))
    shape = np.shape(comparison.over)
    fitted = {}
    for word, mask in found.items():
        fits = elementwise(ctx.op) and mask.shape == shape
        fitted[word] = mask if fits else np.full(shape, bool(mask.any()))
    return fitted


def categories(comparison: Comparison) -> np.ndarray:
    """What kind of difference each element shows, as words; shape of the comparison."""
    got, want = comparison.observed, comparison.expected
    if comparison.is_fact or comparison.category:
        return np.full(np.shape(comparison.over), comparison.category, dtype=object)
    if got.dtype.kind in "biu":
        return np.full(got.shape, "wrong value", dtype=object)
    if got.dtype.kind == "c":
        names = np.full(got.shape, "inaccurate", dtype=object)
        names[np.isnan(got) != np.isnan(want)] = "nan"
        return names
    fmt = FORMATS[got.dtype.name]
    wide = got.astype(want.dtype)
    names = np.full(got.shape, "inaccurate", dtype=object)
    with np.errstate(all="ignore"):
        names[np.abs(wide - want) > 0.01 * np.abs(want)] = "wrong value"
        names[(wide == 0) & (want == 0)] = "sign of zero"
        names[(wide == 0) & (want != 0) & (np.abs(want) < fmt.tiny)] = "flushed to zero"
        names[np.isinf(wide) & np.isfinite(want)] = "infinite"
        names[np.isfinite(wide) & np.isinf(want)] = "finite instead of infinite"
        names[np.isnan(wide) & ~np.isnan(want)] = "nan"
        names[~np.isnan(wide) & np.isnan(want)] = "number instead of nan"
    return names


def primary(masks: dict[str, Any], place: Any) -> tuple[str, ...]:
    """The points that hold at one element, the most particular first."""
    return tuple(w for w in PRIMARY if w in masks and bool(np.asarray(masks[w])[place]))


def groups(
    ctx: Context, comparison: Comparison, mask: np.ndarray
) -> dict[tuple[str, str], list[int]]:
    """Flat indices of the elements in `mask`, by (category, primary point)."""
    order = reasons(ctx, comparison)
    masks = points_of(ctx, comparison, order)
    names = categories(comparison).reshape(-1)
    flat = {w: np.asarray(m).reshape(-1) for w, m in masks.items()}
    found: dict[tuple[str, str], list[int]] = {}
    for place in np.flatnonzero(np.asarray(mask).reshape(-1)):
        point = next((w for w in order if flat[w][place]), "")
        found.setdefault((names[place], point), []).append(int(place))
    return found


def smallest(ctx: Context, comparison: Comparison, place: int, again: Any) -> tuple[Any, int]:
    """The sample reduced to one element where that still shows it, and the element's index.

    again: runs a case and its cotangents and gives the comparisons of the same oracle.
    """
    sample = comparison.sample
    if not elementwise(ctx.op) or comparison.is_fact or comparison.oracle == "determinism":
        return comparison, place
    shape = np.shape(comparison.over)
    if int(np.prod(shape)) <= 1 or sample.case.kind == "length":
        return comparison, place
    where = np.unravel_index(place, shape)
    args = sample.case.args
    for name, operand in sample.case.operands():
        try:
            data = np.broadcast_to(operand.data, shape)[where].reshape(1)
        except ValueError:
            return comparison, place
        args = with_operand(args, name, replace(operand, data=data.copy(), layout="contiguous"))
    case = replace(sample.case, args=args, layout="contiguous")
    cts = sample.cotangents
    if cts is not None:
        cts = [None if c is None else c[where].reshape(1) for c in cts]
    for other in again(case, cts):
        if other.what == comparison.what and np.asarray(other.over).any():
            return other, 0
    return comparison, place


def finding(
    ctx: Context,
    comparison: Comparison,
    place: int,
    *,
    verdict: Verdict,
    category: str,
    point: str,
    count: int,
    rule: str = "",
    entry: Any = None,
) -> Finding:
    """One finding about the element at flat index `place` of the comparison."""
    sample = comparison.sample
    dtypes = sample.case.dtypes
    shape = np.shape(comparison.over)
    where = tuple(int(i) for i in np.unravel_index(place, shape)) if shape else ()
    got, want = comparison.observed, comparison.expected
    if not comparison.is_fact:
        got, want = got[where], _rounded(got, want, where)
    masks = points_of(ctx, comparison, reasons(ctx, comparison))
    cause = "|".join(
        (ctx.op.name, comparison.oracle, ctx.backend.name, verdict.value,
         comparison.what.split(".")[0], category, point, rule)
    )  # fmt: skip
    digest = hashlib.sha256(cause.encode()).hexdigest()[:4]
    operand = "" if sample.program else _words_of_inputs(ctx, sample, where, shape)
    kind = comparison.what.split(".")[0]
    text = sample.program or program_text(
        ctx.op,
        sample.case,
        sample.cotangents if kind in ("ct", "second", "backward") else None,
        sample.second if kind == "second" else None,
    )
    layout = "" if sample.case.layout == "contiguous" else f" [{sample.case.layout}]"
    message = (
        f"{ctx.op.name} {comparison.oracle} {','.join(dtypes)}{layout}"
        f"{f' [{point}]' if point else ''}: {operand}{comparison.what} = {words(got)}, "
        f"expected {words(want)} (norm {ctx.op.norm})"
    )
    return Finding(
        id=f"{ctx.op.name}-{comparison.oracle}-{'_'.join(_plain(d) for d in dtypes)}-{digest}",
        op=ctx.op.name,
        oracle=comparison.oracle,
        backend=ctx.backend.name,
        verdict=verdict,
        dtypes=dtypes,
        points=primary(masks, where),
        observed=plain(got),
        expected=plain(want),
        program=text,
        count=count,
        message=message,
        what=comparison.what,
        where=where,
        layout=sample.case.layout,
        rule=rule,
        stance=entry.stance if entry else "",
        why=entry.why if entry else "",
        source=entry.source if entry else "",
        norm=ctx.op.norm,
        cause=cause,
    )


def errored(ctx: Context, oracle: str, case: Any, program: str, problem: str) -> Finding:
    """A case that the adapter could not report on: an exception that is on none of its lists."""
    kind = problem.split(":")[0]
    cause = f"{ctx.op.name}|{oracle}|{ctx.backend.name}|{Verdict.ERRORED.value}|{kind}"
    digest = hashlib.sha256(cause.encode()).hexdigest()[:4]
    return Finding(
        id=f"{ctx.op.name}-{oracle}-{'_'.join(_plain(d) for d in case.dtypes)}-{digest}",
        op=ctx.op.name,
        oracle=oracle,
        backend=ctx.backend.name,
        verdict=Verdict.ERRORED,
        dtypes=case.dtypes,
        points=(),
        observed=problem,
        expected=None,
        program=program,
        count=1,
        message=f"{ctx.op.name} {oracle} {case.id}: the adapter maps no error kind to: {problem}",
        norm=ctx.op.norm,
        cause=cause,
    )


def _plain(word: str) -> str:
    return word.replace("[]", "0d").replace(":", "")


def _rounded(got: np.ndarray, want: np.ndarray, where: tuple[int, ...]) -> Any:
    """The expected element as the dtype would hold it, so that bits stand beside bits."""
    if want.dtype == got.dtype or got.dtype.kind not in "fcV":
        return want[where]
    return round_to(want[where], got.dtype.name)[()]


def _words_of_inputs(ctx: Context, sample: Sample, where: Any, shape: Any) -> str:
    """`x = -1.0, other = 2.0: ` for one element of an elementwise operation."""
    if not elementwise(ctx.op):
        return ""
    parts = []
    for name, operand in sample.case.operands():
        try:
            value = np.broadcast_to(operand.data, shape)[where]
        except ValueError:
            return ""
        parts.append(f"{variable(name)} = {words(value)}")
    return ", ".join(parts) + ": " if parts else ""


def cluster(findings: Sequence[Finding]) -> list[Finding]:
    """One finding per cause: the first dtype's example stands for all, counts are added.

    Sorted by severity, then operation, oracle, backend and id; the same whatever order the
    findings came in.
    """
    order = {name: place for place, name in enumerate(DTYPES)}

    def place(f: Finding) -> Any:
        preferred = 0 if f.dtypes[:1] == ("float32",) else 1
        return (preferred, [order.get(d, 99) for d in f.dtypes], f.dtypes, f.id, f.program)

    by_cause: dict[tuple[str, str], list[Finding]] = {}
    for found in findings:
        by_cause.setdefault((found.cause or found.id, found.backend), []).append(found)
    merged = []
    for same in by_cause.values():
        first, *rest = sorted(same, key=place)
        others = dict.fromkeys(f.dtypes for f in rest if f.dtypes != first.dtypes)
        total = sum(f.count for f in same)
        merged.append(msgspec.structs.replace(first, count=total, more_dtypes=tuple(others)))
    return sorted(merged, key=lambda f: (f.verdict.severity, f.op, f.oracle, f.backend, f.id))
