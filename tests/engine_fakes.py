"""Runners for the engine's own tests: they answer, or do to their process what a library might."""

from __future__ import annotations

import os
import signal
import sys
import time

from conformance.engine.plan import BackendInfo
from conformance.verdicts import Answer, Finding, Times, UnitResult, Verdict

HOSTED: dict[str, str] = {}


class FakeRunner:
    """Cases are words: "ok", or what happens when the case runs."""

    def __init__(self, backend: str) -> None:
        if backend == "broken":
            raise ImportError("libnothing.so: cannot open\nshared object file")
        if backend == "dies":
            os._exit(7)
        why = "no such device: buy one" if backend == "absent" else ""
        self.info = BackendInfo(
            name=backend, library="fake", version="1.0", device="cpu", promotion="torch", why=why,
            packages={"fake": "1.0"},
        )

    def describe(self, unit, case):
        if case == "segfault_twice":
            os.kill(os.getpid(), signal.SIGSEGV)
        if unit.kind == "scenario":
            return f"y = {case}()", ("lifetime",)
        return f"y = {case}()", unit.oracles

    def run(self, unit, skip, progress):
        cases = unit.cases or tuple(unit.dtypes)
        answers, findings = {}, []
        for number, case in enumerate(cases):
            name = f"{case}" if unit.kind == "scenario" else f"{number}-{case}"
            if name in skip:
                continue
            progress(name)
            verdict = _happen(case)
            op = f"scenario:{case}" if unit.kind == "scenario" else unit.name
            for oracle in ("lifetime",) if unit.kind == "scenario" else unit.oracles:
                old = answers.get((op, oracle))
                answers[op, oracle] = Answer(
                    op=op, oracle=oracle, dtypes=unit.dtypes, backend=unit.backend,
                    verdict=verdict if old is None else min(
                        verdict, old.verdict, key=lambda v: v.severity),
                    compared=1 + (old.compared if old else 0), worst=0.5, allowed=1.0, unit="ulp",
                )
            if verdict is Verdict.DIVERGES:
                findings.append(finding(unit))
        return UnitResult(
            unit=unit.id, answers=tuple(answers.values()), findings=tuple(findings),
            times=Times(library_s=0.002, reference_s=0.001, harness_s=0.001),
        )


def finding(unit, mark="0f0f"):
    return Finding(
        id=f"{unit.name}-value-float32-{mark}", op=unit.name, oracle="value",
        backend=unit.backend, verdict=Verdict.DIVERGES, dtypes=unit.dtypes, points=("nan",),
        observed=[{"value": "0.5", "hex": "0x1.0000000000000p-1"}],
        expected=[{"value": "1.0", "hex": "0x1.0000000000000p+0"}],
        program='x = tensor([1.0], dtype="float32")\ny = exp(x)', count=1, what="y", where=(0,),
        message="y[0]: 0.5, expected 1.0",
    )


def _happen(case: str) -> Verdict:
    if case.startswith("segfault"):
        print("about to fall over", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if case == "abort":
        os.abort()
    if case == "hang":
        while True:
            time.sleep(60)
    if case == "hog":
        _ = bytearray(b"x") * (1 << 30)
        time.sleep(60)
    if case == "prints":
        os.write(1, b"\x00garbage on the wire\n" * 100)
        sys.stdin.read()
    if case == "raises":
        raise RuntimeError("an adapter's\nmistake")
    if case == "exits":
        sys.exit(3)
    if case == "slow":
        time.sleep(0.3)
    if case == "which":
        HOSTED.setdefault("pid", str(os.getpid()))
    return Verdict.DIVERGES if case == "wrong" else Verdict.CONFORMS
