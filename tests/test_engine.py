"""The engine: whatever happens to a worker costs one unit, and is named."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from conformance.engine.crash import finding_id
from conformance.engine.plan import BackendInfo, SelectionError, Unit, plan, shard
from conformance.engine.pool import MAX_CRASHES, Limits, Pool, PoolError
from conformance.specs import OpSpec, Scenario, Specs
from conformance.verdicts import Verdict

HERE = Path(__file__).parent
RUNNER = "engine_fakes:FakeRunner"
ENVIRONMENT = {"PYTHONPATH": str(HERE)}


def unit(*cases, backend="one", name="exp", kind="op", oracles=("value", "vjp")):
    return Unit(
        id=f"{backend}|{kind}|{name}|{','.join(cases)}", backend=backend, kind=kind, name=name,
        dtypes=cases if kind == "op" else (), oracles=oracles, tier="smoke", seed=0,
        cases=cases if kind == "scenario" else (),
    )


def ask(*units, jobs=2, **limits):
    with Pool(jobs, Limits(**limits), runner=RUNNER, environment=ENVIRONMENT) as pool:
        return {answered.unit.id: answered.result for answered in pool.run(units)}


def one(*cases, **options):
    kind = options.pop("kind", "op")
    work = unit(*cases, kind=kind)
    return ask(work, unit("ok", name="log"), **options)[work.id]


def verdicts(result):
    return {answer.verdict for answer in result.answers}


def test_units_of_several_backends_are_all_answered():
    units = [unit("ok", backend=b, name=f"op{i}") for b in ("one", "two") for i in range(5)]
    results = ask(*units)
    assert set(results) == {u.id for u in units}
    assert all(verdicts(r) == {Verdict.CONFORMS} for r in results.values())


def test_segfault_costs_one_answer_and_names_the_case_and_the_signal():
    result = one("ok", "segfault", "ok")
    assert verdicts(result) == {Verdict.CRASHED}
    assert {a.compared for a in result.answers} == {2}, "the other cases are still asked"
    (finding,) = result.findings
    assert finding.verdict is Verdict.CRASHED
    assert finding.observed == "SIGSEGV"
    assert "1-segfault" in finding.message
    assert "about to fall over" in finding.message
    assert finding.program == "y = 1-segfault()"


def test_abort_is_told_from_a_segfault():
    (finding,) = one("abort").findings
    assert finding.observed == "SIGABRT"


def test_hang_is_ended_after_the_limit_of_one_case():
    start = time.monotonic()
    result = one("hang", "ok", case_s=1.0)
    assert time.monotonic() - start < 20
    assert verdicts(result) == {Verdict.CRASHED}
    assert result.findings[0].observed == "no answer within 1 s"


def test_the_time_limit_holds_for_a_case_and_not_for_the_unit():
    assert verdicts(one("slow", "slow", "slow", "slow", "slow", case_s=1.0)) == {Verdict.CONFORMS}


def test_memory_hog_is_killed():
    result = one("hog", memory=600 << 20)
    assert verdicts(result) == {Verdict.CRASHED}
    assert "of memory" in result.findings[0].observed


def test_a_unit_with_many_crashes_is_given_up_and_says_so():
    result = one(*["segfault"] * (MAX_CRASHES + 2))
    assert len(result.findings) == MAX_CRASHES
    assert verdicts(result) == {Verdict.CRASHED}
    assert all(f.program for f in result.findings)


def test_crashed_scenario_leaves_the_other_scenarios_of_its_group():
    result = one("ok", "segfault", kind="scenario")
    assert {a.op: a.verdict for a in result.answers} == {
        "scenario:ok": Verdict.CONFORMS,
        "scenario:segfault": Verdict.CRASHED,
    }
    assert [a.oracle for a in result.answers] == ["lifetime", "lifetime"]


def test_scenarios_left_unasked_after_too_many_crashes_are_listed():
    crashing = [f"segfault{i}" for i in range(MAX_CRASHES)]
    result = one(*crashing, "ok", kind="scenario")
    last = {a.op: a for a in result.answers}["scenario:ok"]
    assert last.verdict is Verdict.CRASHED
    assert "not asked" in last.why


def test_a_case_that_crashes_when_it_is_described_is_still_reported():
    result = one("ok", kind="op")
    assert verdicts(result) == {Verdict.CONFORMS}
    work = Unit(
        id="x", backend="one", kind="scenario", name="g", dtypes=(), oracles=("lifetime",),
        tier="smoke", seed=0, cases=("segfault_twice", "ok"),
    )
    result = ask(work)["x"]
    assert {a.op: a.verdict for a in result.answers} == {
        "scenario:ok": Verdict.CONFORMS,
        "scenario:segfault_twice": Verdict.CRASHED,
    }


def test_what_a_library_prints_or_reads_does_not_touch_the_wire():
    assert verdicts(one("prints", "ok")) == {Verdict.CONFORMS}


@pytest.mark.parametrize("case", ["raises", "exits"])
def test_an_exception_in_the_harness_is_errored_with_its_traceback(case):
    result = one(case)
    assert verdicts(result) == {Verdict.ERRORED}
    (finding,) = result.findings
    assert "Traceback" in finding.observed
    assert "\n" not in finding.message


def test_a_backend_that_is_absent_says_why_and_one_that_does_not_import_is_an_error():
    with Pool(2, runner=RUNNER, environment=ENVIRONMENT) as pool:
        fine, absent = pool.probe(["one", "absent"])
        assert fine.available
        assert absent.why == "no such device: buy one"
        with pytest.raises(PoolError, match=r"ImportError: libnothing.so: cannot open shared"):
            pool.probe(["broken"])
        with pytest.raises(PoolError, match="exit status 7"):
            pool.probe(["dies"])


def test_workers_are_kept_and_not_more_than_jobs_live_at_once():
    units = [unit("which", name=f"op{i}") for i in range(30)]
    with Pool(1, runner=RUNNER, environment=ENVIRONMENT) as pool:
        pool.probe(["one"])
        seen = set()
        for _ in pool.run(units):
            seen |= {w.process.pid for w in pool._workers}
            assert len(pool._workers) <= 1
    assert len(seen) == 1


def test_a_worker_that_has_grown_is_replaced_between_units():
    units = [unit("ok", name=f"op{i}") for i in range(3)]
    with Pool(1, Limits(recycle=1), runner=RUNNER, environment=ENVIRONMENT) as pool:
        assert len(list(pool.run(units))) == 3
        assert not pool._workers


def test_workers_end_with_the_process_that_started_them(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\n"
        "from conformance.engine.plan import Unit\n"
        "from conformance.engine.pool import Pool\n"
        "from test_engine import unit, RUNNER, ENVIRONMENT\n"
        "pool = Pool(1, runner=RUNNER, environment=ENVIRONMENT)\n"
        "pool.probe(['one'])\n"
        "print(pool._workers[0].process.pid, flush=True)\n"
        "list(pool.run([unit('hang')]))\n"
    )
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    parent = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    with parent:
        worker = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.5)
        parent.kill()
        parent.wait()
    psutil.wait_procs([worker], timeout=10)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_another_python_that_does_not_exist_is_one_line():
    pool = Pool(1, pythons={"one": "/no/such/python"}, runner=RUNNER)
    with pool, pytest.raises(PoolError, match="cannot start /no/such/python"):
        pool.probe(["one"])


def test_finding_id_names_op_oracle_dtype_and_cause():
    assert finding_id("exp", "value", ("float32",), "a").startswith("exp-value-float32-")
    assert finding_id("exp", "value", ("float32",), "a") != finding_id(
        "exp", "value", ("float32",), "b"
    )


# -- planning ---------------------------------------------------------------------------------


def op(name):
    return OpSpec(
        name=name, schema=f"{name}(Tensor self) -> Tensor", shapes="same", dtypes="all",
        result="same", bound={"value": "exact"}, norm="torch:x", torch=f"torch.{name}(self)",
    )


def scenario(name, group, oracle="lifetime"):
    return Scenario(
        name=name, group=group, title=name, oracle=oracle, program="x = leaf([1.0])",
        norm="torch:x", claims={},
    )


SPECS = Specs(
    ops={name: op(name) for name in ("exp", "expand", "log", "sum")},
    scenarios={
        "twice": scenario("twice", "life"), "retained": scenario("retained", "life"),
        "adds": scenario("adds", "accumulation", "accumulation"),
    },
    vocabulary={"oracles": {"value": "?", "vjp": "?", "accumulation": "?", "lifetime": "?"}},
    norms={},
    promotion={"torch": {}},
)
BACKENDS = [
    BackendInfo(name="torch", promotion="torch"),
    BackendInfo(name="torch:cuda", why="no GPU"),
]


def planned(**selection):
    return plan(
        SPECS, BACKENDS, signatures=lambda op, table: [("float32",), ("int8",)], **selection
    )


def test_plan_has_a_unit_per_op_signature_and_per_scenario_group():
    ids = [u.id for u in planned()]
    assert ids == sorted(ids)
    assert len(ids) == 4 * 2 + 2
    assert "torch|op|exp|float32" in ids
    assert "torch|scenario|life" in ids


def test_plan_selects_by_comma_separated_globs():
    assert {u.name for u in planned(ops="exp*, sum")} == {"exp", "expand", "sum"}
    (group,) = planned(scenarios="tw*")
    assert group.cases == ("twice",)


def test_plan_keeps_only_scenarios_that_answer_the_oracles():
    assert {u.name for u in planned(oracles=["accumulation"]) if u.kind == "scenario"} == {
        "accumulation"
    }


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"ops": "exq"}, "unknown op 'exq' (did you mean 'exp'?)"),
        ({"ops": "exp,logg"}, "unknown op 'logg' (did you mean 'log'?)"),
        ({"scenarios": "retaine"}, "unknown scenario 'retaine' (did you mean 'retained'?)"),
        ({"oracles": ["valu"]}, "unknown oracle 'valu' (did you mean 'value'?)"),
        ({"tier": "smok"}, "unknown tier 'smok' (did you mean 'smoke'?)"),
    ],
)
def test_unknown_names_offer_the_nearest(selection, message):
    with pytest.raises(SelectionError) as caught:
        planned(**selection)
    assert message in str(caught.value)


def test_shards_split_the_units_without_loss():
    units = planned()
    parts = [shard(units, i, 3) for i in (1, 2, 3)]
    assert sorted(u.id for part in parts for u in part) == [u.id for u in units]
