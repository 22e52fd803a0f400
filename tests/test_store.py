"""The store: nothing answered is lost, nothing foreign is touched, results.json is stable."""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from engine_fakes import finding
from test_engine import unit

from conformance.engine.plan import BackendInfo
from conformance.results import findings, results, write_results
from conformance.store import RunConfig, Store
from conformance.storefile import StoreError
from conformance.verdicts import Answer, Times, UnitResult, Verdict

CONFIG = RunConfig(seed=3, tier="smoke", selection={"ops": None}, shard="", code="0.1.0")
BACKENDS = [
    BackendInfo(
        name="one", library="fake", version="1.0", device="cpu", packages={"fake": "1.0"}
    ),
    BackendInfo(name="two", why="no such device"),
]
UNITS = [unit("ok", name="exp"), unit("ok", name="log"), unit("wrong", name="sum")]


def answer(work, verdict=Verdict.CONFORMS, **more):
    fields = {
        "op": work.name, "oracle": "value", "dtypes": work.dtypes, "backend": work.backend,
        "verdict": verdict, "compared": 4, "worst": 0.5, "allowed": 1.0, "unit": "ulp",
    }
    return Answer(**{**fields, **more})


def result(work, *answers, found=(), records=()):
    return UnitResult(
        unit=work.id, answers=answers or (answer(work),), findings=tuple(found),
        times=Times(library_s=2.0, reference_s=1.0, harness_s=1.0), records=tuple(records),
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.sqlite"


def make(path, units=UNITS):
    return Store.create(path, CONFIG, BACKENDS, units)


def test_answers_come_back_as_they_went_in(path):
    with make(path) as store:
        odd = answer(UNITS[0], worst=math.inf, why="tab\tand 'quote'", dtypes=("weak:float", "int8"))
        store.add(result(UNITS[0], odd), 0.1)
    with Store.read(path.parent) as store:
        assert list(store.answers()) == [odd]
        assert store.counts() == (1, 3)
        assert not store.complete
        assert [u.name for u in store.waiting()] == ["log", "sum"]


def test_a_unit_is_answered_once(path):
    with make(path) as store:
        store.add(result(UNITS[0]), 0.1)
        with pytest.raises(StoreError, match="not waiting"):
            store.add(result(UNITS[0]), 0.1)
        assert len(list(store.answers())) == 1


def test_nothing_answered_is_lost_when_the_process_is_killed(path, tmp_path):
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from test_store import make, result, UNITS\n"
        f"store = make(Path({str(path)!r}))\n"
        "store.add(result(UNITS[0]), 0.1)\n"
        "store.add(result(UNITS[1]), 0.1)\n"
        "store._db.execute('BEGIN IMMEDIATE')\n"
        "store._db.execute(\"DELETE FROM answers\")\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    with Store.resume(path, CONFIG, BACKENDS, UNITS) as store:
        assert [u.name for u in store.waiting()] == ["sum"]
        assert len(list(store.answers())) == 2
        store.add(result(UNITS[2]), 0.1)
        assert store.complete


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 4}, "its seed is 3 and not 4"),
        ({"tier": "deep"}, 'its tier is "smoke" and not "deep"'),
        ({"selection": {"ops": "exp"}}, "its selection is"),
        ({"shard": "1/2"}, 'its shard is "" and not "1/2"'),
    ],
)
def test_resuming_another_run_is_refused(path, change, message):
    make(path).close()
    other = RunConfig(**{**CONFIG.as_dict(), **change})
    with pytest.raises(StoreError, match="cannot resume") as caught:
        Store.resume(path, other, BACKENDS, UNITS)
    assert message in str(caught.value)


def test_resuming_with_another_library_version_is_refused(path):
    make(path).close()
    newer = [BackendInfo(name="one", version="1.1", packages={"fake": "1.1"}), BACKENDS[1]]
    with pytest.raises(StoreError, match=r"one is not as it was \(then 1.0, now 1.1"):
        Store.resume(path, CONFIG, newer, UNITS)


def test_resuming_other_units_is_refused(path):
    make(path).close()
    with pytest.raises(StoreError, match="tables of operations"):
        Store.resume(path, CONFIG, BACKENDS, UNITS[:2])


def damaged(path, kind):
    with make(path) as store:
        for work in UNITS:
            store.add(result(work), 0.1)
    data = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("these are my notes\n" * 20)
    elif kind == "scrambled":
        path.write_bytes(data[:4096] + bytes(len(data) - 4096))
    elif kind == "newer":
        path.write_bytes(data[:60] + (99).to_bytes(4, "big") + data[64:])
    elif kind == "foreign":
        path.unlink()
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE accounts (name TEXT)")
        db.close()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "truncated"),
        ("empty", "not a store"),
        ("text", "not a store"),
        ("scrambled", "damaged"),
        ("newer", "store format 99"),
        ("foreign", "another program"),
    ],
)
def test_what_is_not_a_sound_store_is_named_and_left_alone(path, kind, message):
    damaged(path, kind)
    before = path.read_bytes()
    for attempt in (
        lambda: Store.read(path),
        lambda: make(path),
        lambda: Store.resume(path, CONFIG, BACKENDS, UNITS),
    ):
        with pytest.raises(StoreError) as caught:
            attempt()
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["run.sqlite"]


def test_a_missing_run_says_how_to_make_one(tmp_path):
    with pytest.raises(StoreError, match="no such run; `conformance run --out"):
        Store.read(tmp_path / "nowhere")


def test_a_new_run_keeps_the_one_before(path):
    with make(path) as store:
        store.add(result(UNITS[0]), 0.1)
    make(path).close()
    with Store.read(path) as store, Store.read(path.with_name("previous.sqlite")) as old:
        assert store.counts() == (0, 3)
        assert old.counts() == (1, 3)


def test_a_finished_store_is_one_file(path):
    with make(path) as store:
        store.add(result(UNITS[0]), 0.1)
        store.add_wall(1.5, 1000)
    assert [p.name for p in path.parent.iterdir()] == ["run.sqlite"]


def fill(path, order, wall):
    with make(path) as store:
        for place in order:
            work = UNITS[place]
            found = [finding(work)] if work.name == "sum" else []
            verdict = Verdict.DIVERGES if found else Verdict.CONFORMS
            record = {"kind": "note", "n": place}
            store.add(result(work, answer(work, verdict), found=found, records=[record]), wall)
        store.add_wall(wall, 5)
        write_results(store, path.with_name("results.json"))
    return json.loads(path.with_name("results.json").read_text())


def test_results_are_the_same_whatever_order_the_answers_came_in(tmp_path):
    one = fill(tmp_path / "a" / "run.sqlite", [0, 1, 2], 1.0)
    two = fill(tmp_path / "b" / "run.sqlite", [2, 0, 1], 7.0)
    assert one.pop("time") != two.pop("time")
    assert one == two


def test_results_have_the_documented_form(path):
    document = fill(path, [0, 1, 2], 1.0)
    assert document["format"] == "conformance-results/1"
    run = document["run"]
    assert (run["complete"], run["seed"], run["tier"]) == (True, 3, "smoke")
    assert run["packages"] == {"fake": "1.0"}
    assert run["not_run"] == {"two": "no such device"}
    assert document["backends"] == [
        {"name": "one", "version": "1.0", "device": "cpu", "options": []}
    ]
    assert document["answers"][0] == {
        "op": "exp", "oracle": "value", "dtypes": ["ok"], "backend": "one",
        "verdict": "CONFORMS", "compared": 4, "worst": 0.5, "allowed": 1.0, "unit": "ulp",
        "why": "",
    }  # fmt: skip
    (found,) = document["findings"]
    assert (found["op"], found["verdict"], found["count"]) == ("sum", "DIVERGES", 1)
    assert document["time"] == {
        "wall_s": 1.0, "library_s": 6.0, "reference_s": 3.0, "harness_s": 3.0
    }


def test_numbers_that_json_has_not_become_text(path):
    with make(path) as store:
        store.add(result(UNITS[0], answer(UNITS[0], worst=math.inf)), 0.1)
        assert results(store)["answers"][0]["worst"] == "inf"
        write_results(store, path.with_name("results.json"))
    text = path.with_name("results.json").read_text()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_findings_whose_short_ids_meet_are_told_apart(path):
    one, two = unit("wrong", name="sum"), unit("wrong", name="sum", backend="two")
    with make(path, [one, two]) as store:
        store.add(result(one, found=[finding(one)]), 0.1)
        store.add(result(two, found=[finding(two)]), 0.1)
        found = findings(store)
    assert len({f.id for f in found}) == len(found) == 2


def test_an_unwritable_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        make(tmp_path / "file" / "run.sqlite")
