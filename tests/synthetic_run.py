"""A made-up run for the tests of the report: any size, every verdict, hostile text.

Nothing here is a claim about a library; only the page's handling of it is under test.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from conformance.engine.plan import BackendInfo, Unit
from conformance.specs import Specs
from conformance.store import RunConfig, Store
from conformance.verdicts import Answer, Finding, Times, UnitResult, Verdict

EVIL = "</script><img src=x onerror=alert(1)><b>\"'&amp;{{7*7}}"
PACKAGES = {"numpy": "2.4.6", "torch": "2.13.0", "jax": "0.10.2"}
BACKENDS = tuple(
    BackendInfo(name=name, library=name.split(":")[0], version=version, device=device,
                options=options, packages=PACKAGES, why=why)
    for name, version, device, options, why in (
        ("torch", "2.13.0", "cpu", (), ""),
        ("jax", "0.10.2", "cpu", (), ""),
        ("jax:cpu:x64", "0.10.2", "cpu", ("x64",), ""),
        ("torch:cuda", "", "", (), "this machine has no CUDA device"),
    )
)  # fmt: skip
RAN = BACKENDS[:3]
DTYPES = ("float16", "bfloat16", "float32", "float64", "int32", "bool")
USUAL = (Verdict.CONFORMS,) * 60 + (
    Verdict.KNOWN_DIVERGENCE, Verdict.KNOWN_DIVERGENCE, Verdict.NOT_APPLICABLE,
    Verdict.NOT_APPLICABLE, Verdict.NOT_APPLICABLE, Verdict.UNSPECIFIED,
)  # fmt: skip
RARE = (Verdict.DIVERGES, Verdict.STALE_DIVERGENCE, Verdict.CRASHED, Verdict.VACUOUS,
        Verdict.ERRORED, Verdict.NOT_RUN)  # fmt: skip


def number(value: float) -> dict[str, str]:
    return {"value": repr(value), "hex": value.hex()}


def write(
    path: Path, specs: Specs, *, ops: int = 0, findings: int = 24, waiting: int = 0,
    only: frozenset[Verdict] = frozenset(Verdict), seed: int = 7,
) -> tuple[list[Answer], list[Finding]]:
    """Write a store at `path`; returns what went into it.

    ops: how many operations, made-up names after those of the tables; 0 = the tables'.
    waiting: units left unanswered. only: the verdicts that may occur.
    """  # fmt: skip
    draw = random.Random(seed)
    names = list(specs.ops)
    names = (names + [f"made_up_{i:03d}" for i in range(ops)])[: ops or None]
    answers = [a for a in all_answers(draw, names, specs) if a.verdict in only]
    found = [finding(draw, draw.choice(names), i) for i in range(findings)]
    found = [f for f in (*found, evil(names[0])) if f.verdict in only]
    units = [
        Unit(id=f"u{i:03d}", backend="torch", kind="op", name=names[0], dtypes=(str(i),),
             oracles=("value",), tier="standard", seed=0)
        for i in range(1 + waiting)
    ]  # fmt: skip
    config = RunConfig(seed=0, tier="standard", selection={}, shard="", code="0")
    with Store.create(path, config, BACKENDS, units) as store:
        store.add(
            UnitResult(
                unit="u000", answers=tuple(answers), findings=tuple(found),
                records=(*traces(), *promotions(), *aliases()),
                times=Times(library_s=150.5, reference_s=30.25, harness_s=33.45),
            ),
            wall_s=214.2,
        )  # fmt: skip
        store.add_wall(214.2, 2**30)
    return answers, found


def all_answers(draw: random.Random, names: list[str], specs: Specs) -> list[Answer]:
    answers = [
        answer(draw, op, oracle, dtype, backend.name)
        for op in names
        for oracle in specs.vocabulary["oracles"]
        for dtype in DTYPES
        for backend in RAN
        if draw.random() < 0.8
    ]
    return answers + [
        Answer(op=f"scenario:{name}", oracle=oracle, dtypes=(), backend=backend.name,
               verdict=verdict, compared=9 if verdict is Verdict.CONFORMS else 0,
               why="" if verdict is Verdict.CONFORMS else "jax has no retained_graph")
        for name, oracle in (("backward_twice", "lifetime"), (EVIL, "error"))
        for backend, verdict in zip(
            RAN, (Verdict.CONFORMS, Verdict.NOT_APPLICABLE, Verdict.NOT_APPLICABLE), strict=True)
    ]  # fmt: skip


def answer(draw: random.Random, op: str, oracle: str, dtype: str, backend: str) -> Answer:
    verdict = draw.choice(RARE) if draw.random() < 0.002 else draw.choice(USUAL)
    if backend.startswith("jax") and oracle in ("accumulation", "lifetime", "alias", "inplace"):
        verdict = Verdict.NOT_APPLICABLE
    measured = oracle in ("value", "vjp", "second_order") and verdict is not Verdict.NOT_APPLICABLE
    over = verdict is Verdict.DIVERGES
    return Answer(
        op=op, oracle=oracle, dtypes=(dtype,), backend=backend, verdict=verdict,
        compared=draw.choice((12, 840, 65536)),
        worst=(draw.choice((0.0, 10 ** draw.uniform(-3, 0.4))) + 40 * over) if measured else None,
        allowed=4.0 if measured else None, unit="ulp" if measured else "",
        why=f"{backend} differs" if verdict is not Verdict.CONFORMS else "",
    )  # fmt: skip


def finding(draw: random.Random, op: str, place: int) -> Finding:
    known = draw.random() < 0.7
    x = draw.uniform(-1, 1)
    return Finding(
        id=f"{op}-vjp-float32-{place:04x}", op=op, oracle="vjp",
        backend=draw.choice(RAN).name,
        verdict=Verdict.KNOWN_DIVERGENCE if known else Verdict.DIVERGES,
        dtypes=("float32",), points=(draw.choice(("at_bound", "tie", "nan", "signed_zero")),),
        observed=number(0.5), expected=number(1.0), what="ct.self",
        program=f"x = leaf([{x!r}])\ny = exp(x)\nbackward(y, ones_like(y))",
        count=draw.randint(1, 400),
        message=f"{op} vjp float32: x = {x:.4g}: cotangent 0.5, expected 1.0",
        rule="half_at_bound" if known else "", stance="documented" if known else "",
        why="a tie is split evenly between the operands" if known else "",
        source="https://example.org/rule" if known else "", more_dtypes=(("float64",),),
    )  # fmt: skip


def evil(op: str) -> Finding:
    return Finding(
        id=f"{op}-value-{EVIL}", op=op, oracle="value", backend="torch", verdict=Verdict.DIVERGES,
        dtypes=("float32", "weak:float"), points=("nan",), program=f"x = leaf([1.0])\n{EVIL}",
        observed={"raised": "shape_mismatch", "type": EVIL, "message": EVIL},
        expected=[number(-0.0), number(float("nan"))], count=3, message=EVIL, where=(0, 1),
        source="javascript:alert(1)", why=EVIL, stance="bug", norm=f"torch:{EVIL}",
    )  # fmt: skip


def traces() -> list[dict[str, Any]]:
    program = (
        ("x = leaf([1.0, 2.0])", {"x": [number(1.0), number(2.0)]}),
        ("y = exp(x)", {"y": [number(2.7182817), number(7.389056)]}),
        ("backward(y, ones_like(y))", {"x.grad": [number(2.7182817), number(7.389056)]}),
        ("backward(y, ones_like(y))", None),
    )
    lines = [{"line": i, "text": t, "observed": o} for i, (t, o) in enumerate(program, 1)]
    lines[3] |= {"raised": {"kind": "graph_freed", "type": "RuntimeError", "message": EVIL}}
    return [
        {"kind": "scenario_trace", "scenario": name, "group": "graph_lifetime", "backend": backend,
         "lines": lines}
        for name in ("backward_twice", EVIL)
        for backend in ("reference", "torch")
    ]  # fmt: skip


def promotions() -> list[dict[str, Any]]:
    sides = (*DTYPES, "float32[]", "weak:int", "weak:float")
    return [
        {"kind": "promotion", "backend": backend, "left": left, "right": right,
         "result": "float64" if backend == "torch" and left == "int32" else "float32",
         "expected": "float32", "verdict": "CONFORMS"}
        for backend in ("torch", "jax") for left in sides for right in sides
    ]  # fmt: skip


def aliases() -> list[dict[str, Any]]:
    return [
        {"kind": "alias", "backend": backend, "op": "reshape", "call": call, "expected": "view",
         "observed": seen, "shapes": [[2, 3]], "layout": layout, "verdict": "CONFORMS"}
        for call in ("reshape(x, [6])", EVIL)
        for backend, seen, layout in (
            ("torch", "view", "contiguous"), ("jax", "copy", "contiguous"),
            ("torch", "view", "offset"),
        )
    ]  # fmt: skip
