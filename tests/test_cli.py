"""The command line, end to end on the reference: exit status, files, interruption, bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from test_engine import unit
from test_store import BACKENDS, CONFIG, answer, damaged, result

from conformance.cli import status_of
from conformance.loading import load_specs
from conformance.store import Store
from conformance.verdicts import Verdict

ROOT = Path(__file__).parents[1]
SMALL = ("--backend", "reference", "--tier", "smoke", "--op", "neg,exp", "--jobs", "2")


def conformance(*arguments):
    return status_of([str(a) for a in arguments])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a small, complete run."""
    folder = tmp_path_factory.mktemp("finished")
    assert conformance("run", *SMALL, "--out", folder) == 0
    return folder


def without_times(folder):
    document = json.loads((folder / "results.json").read_text())
    assert document.pop("time").keys() == {"wall_s", "library_s", "reference_s", "harness_s"}
    return document


def test_run_writes_store_results_and_page(finished):
    assert {"run.sqlite", "results.json", "index.html"} <= {p.name for p in finished.iterdir()}
    document = without_times(finished)
    assert document["run"]["complete"]
    assert {a["op"] for a in document["answers"]} == {"neg", "exp"}
    assert sum(a["compared"] for a in document["answers"]) > 0


def test_the_same_seed_gives_the_same_results_whatever_the_number_of_jobs(finished, tmp_path):
    assert conformance("run", *SMALL[:-1], "1", "--out", tmp_path) == 0
    assert without_times(tmp_path) == without_times(finished)


def test_shards_together_answer_what_the_whole_run_answers(finished, tmp_path):
    whole = without_times(finished)["answers"]
    parts = []
    for part in (1, 2):
        assert conformance("run", *SMALL, "--shard", f"{part}/2", "--out", tmp_path / f"{part}") == 0
        parts += without_times(tmp_path / f"{part}")["answers"]
    key = lambda a: (a["op"], a["oracle"], a["dtypes"])
    assert sorted(parts, key=key) == sorted(whole, key=key)


def test_summary_names_counts_time_gate_and_report(tmp_path, capsys):
    conformance("run", *SMALL, "--oracle", "dtype", "--out", tmp_path)
    text = capsys.readouterr().out
    assert "reference: reference" in text
    assert "CONFORMS" in text
    assert "harness" in text
    assert "gate: passes" in text
    assert f"report: {tmp_path / 'index.html'}" in text


def test_a_backend_that_is_not_there_is_listed_as_not_run(tmp_path, capsys):
    from conformance.backends import registry

    absent = next((n for n in ("jax:gpu", "torch:cuda") if _unavailable(n)), None)
    if absent is None:
        pytest.skip("every optional device is present")
    assert conformance(
        "run", *SMALL, "--backend", registry.canonical(absent), "--out", tmp_path
    ) == 0
    assert f"{absent}: NOT_RUN" in capsys.readouterr().out
    document = without_times(tmp_path)
    assert list(document["run"]["not_run"]) == [absent]
    missing = [a for a in document["answers"] if a["backend"] == absent]
    assert {a["verdict"] for a in missing} == {"NOT_RUN"}
    assert {(a["op"], a["oracle"]) for a in missing} == {
        (a["op"], a["oracle"]) for a in document["answers"] if a["backend"] == "reference"
    }


def _unavailable(name):
    from conformance.backends import registry

    if not registry.installed(name):
        return True
    if name == "torch:cuda":
        return not Path("/dev/nvidia0").exists()
    from importlib.metadata import entry_points

    return not any(e.name.startswith("xla_cuda") for e in entry_points(group="jax_plugins"))


# -- interruption -----------------------------------------------------------------------------

LONG = ("--backend", "reference", "--tier", "smoke", "--op", "exp,log,sin,cos,neg", "--jobs", "1")


def start(folder):
    command = [sys.executable, "-m", "conformance", "run", *LONG, "--out", str(folder)]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for_answers(folder, process):
    """Until a few units are answered and a few are not."""
    for _ in range(600):
        time.sleep(0.05)
        assert process.poll() is None, "it finished before it could be interrupted"
        if (folder / "run.sqlite").exists():
            with Store.read(folder) as store:
                if store.counts()[0] >= 3:
                    return store.counts()[0]
    raise AssertionError("no answer within 30 s")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_loses_nothing_and_is_finished_by_resume(tmp_path, how):
    process = start(tmp_path)
    answered = wait_for_answers(tmp_path, process)
    process.send_signal(how)
    _, errors = process.communicate(timeout=30)
    if how == signal.SIGINT:
        assert process.returncode == 2
        assert "--resume finishes the rest" in errors
        assert "Traceback" not in errors
    with Store.read(tmp_path) as store:
        done, planned = store.counts()
        assert answered <= done < planned
        before = list(store.answers())
    assert conformance("gate", tmp_path) == 1, "a run cut short is never a clean one"
    assert conformance("run", *LONG, "--resume", "--out", tmp_path) in (0, 1)
    with Store.read(tmp_path) as store:
        assert store.complete
        after = list(store.answers())
    assert all(a in after for a in before)
    whole = tmp_path / "whole"
    conformance("run", *LONG, "--out", whole)
    assert without_times(tmp_path) == without_times(whole)


def test_resume_of_another_selection_is_refused(finished, capsys):
    before = (finished / "run.sqlite").read_bytes()
    assert conformance("run", *SMALL, "--seed", "1", "--resume", "--out", finished) == 2
    assert "its seed is 0 and not 1" in capsys.readouterr().err
    assert (finished / "run.sqlite").read_bytes() == before


# -- the other commands -------------------------------------------------------------------------


def failing_store(folder):
    work = unit("float32", name="exp")
    from engine_fakes import finding

    with Store.create(folder / "run.sqlite", CONFIG, BACKENDS, [work]) as store:
        store.add(result(work, answer(work, Verdict.DIVERGES), found=[finding(work)]), 0.1)
    return folder


def test_gate_fails_passes_with_a_baseline_and_writes_one(tmp_path, capsys):
    folder = failing_store(tmp_path / "run")
    assert conformance("gate", folder) == 1
    assert "DIVERGES exp-value-float32-0f0f (one): y[0]: 0.5" in capsys.readouterr().out
    baseline = tmp_path / "baseline.json"
    assert conformance("gate", folder, "--write-baseline", baseline) == 0
    assert conformance("gate", folder, "--baseline", baseline) == 0
    assert "1 findings accepted by the baseline" in capsys.readouterr().out


def test_diff_tells_the_same_run_from_another(finished, tmp_path, capsys):
    assert conformance("diff", finished, finished) == 0
    assert conformance("diff", finished, failing_store(tmp_path)) == 1
    assert "answers are only in the first run" in capsys.readouterr().out


def test_report_writes_each_form(finished, tmp_path):
    folder = failing_store(tmp_path / "run")
    junit, markdown, html = tmp_path / "j.xml", tmp_path / "m.md", tmp_path / "r.html"
    status = conformance(
        "report", folder, "--junit", junit, "--markdown", markdown, "--html", html
    )
    assert status == 0
    suites = ElementTree.parse(junit).getroot()
    assert [s.get("failures") for s in suites] == ["1"]
    (case,) = suites.iter("testcase")
    assert case.get("classname") == "one.exp"
    assert case.find("failure").get("type") == "DIVERGES"
    assert "Gate: **fails**" in markdown.read_text()
    assert "exp\\-value" not in markdown.read_text(), "ids stay copyable"
    assert html.read_text().startswith("<!doctype html>") or "<html" in html.read_text()[:300]


def test_report_of_a_library_s_words_is_plain_text(tmp_path):
    import msgspec
    from engine_fakes import finding

    evil = "</script><img src=x> [a](b) *c* | d \x00"
    work = unit("float32", name="exp")
    found = msgspec.structs.replace(finding(work), message=evil)
    with Store.create(tmp_path / "run.sqlite", CONFIG, BACKENDS, [work]) as store:
        store.add(result(work, answer(work, Verdict.DIVERGES), found=[found]), 0.1)
    junit, markdown = tmp_path / "j.xml", tmp_path / "m.md"
    assert conformance("report", tmp_path, "--junit", junit, "--markdown", markdown) == 0
    ElementTree.parse(junit)
    assert "<img" not in markdown.read_text().replace("\\<", "")


def test_explain_shows_norm_schema_and_what_the_run_found(finished, capsys):
    op = load_specs().ops["neg"]
    assert conformance("explain", "neg", "--run", finished) == 0
    text = capsys.readouterr().out
    assert op.schema in text
    assert op.norm in text
    assert "answers" in text


@pytest.mark.parametrize("what", ["ops", "oracles", "backends", "scenarios"])
def test_list_shows_every_name(what, capsys):
    assert conformance("list", what) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 1


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--op", "negg"], "unknown op 'negg' (did you mean 'neg'?)"),
        (["run", "--backend", "troch"], "unknown backend 'troch'"),
        (["run", "--oracle", "valeu"], "unknown oracle 'valeu' (did you mean 'value'?)"),
        (["run", "--tier", "standart"], "unknown tier 'standart' (did you mean 'standard'?)"),
        (["run", "--scenario", "no_such_thing_at_all"], "unknown scenario"),
        (["run", "--shard", "3/2"], "give I/N"),
        (["run", "--python", "torch"], "give LIB=PATH"),
        (["run", "--python", "torhc=/bin/python"], "unknown backend 'torhc'"),
        (["run", "--jobs", "0"], "--jobs"),
        (["run", "--no-such-option"], "--no-such-option"),
        (["run", "--baseline", "{tmp}/none.json"], "cannot be read"),
        (["run", *SMALL, "--out", "{tmp}/file/x"], "cannot write here"),
        (["run", *SMALL, "--resume", "--out", "{tmp}/new"], "no such run"),
        (["gate", "{tmp}/nowhere"], "no such run"),
        (["diff", "{tmp}/nowhere", "{tmp}/nowhere"], "no such run"),
        (["report", "{tmp}"], "no such run"),
        (["repro", "{tmp}", "x"], "no such run"),
        (["explain", "negg"], "did you mean 'neg'?"),
        (["list", "opps"], "did you mean 'ops'?"),
        (["rnu"], "rnu"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, message, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    given = [a.replace("{tmp}", str(tmp_path)) for a in arguments]
    if given[0] == "run" and "--out" not in given:
        given += ["--out", str(tmp_path / "out")]
    assert conformance(*given) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert len(output.err.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "run.sqlite").exists()


@pytest.mark.parametrize("kind", ["truncated", "foreign", "text", "newer"])
@pytest.mark.parametrize("command", ["run", "resume", "gate", "report"])
def test_a_file_that_is_no_store_is_refused_and_left_alone(command, kind, tmp_path, capsys):
    path = tmp_path / "run.sqlite"
    damaged(path, kind)
    before = path.read_bytes()
    given = {
        "run": ["run", *SMALL, "--out", tmp_path],
        "resume": ["run", *SMALL, "--resume", "--out", tmp_path],
        "gate": ["gate", tmp_path],
        "report": ["report", tmp_path],
    }[command]
    assert conformance(*given) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert path.read_bytes() == before


def test_a_library_that_does_not_import_is_one_line(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('libc10.so: not found')\n")
    done = subprocess.run(
        [sys.executable, "-m", "conformance", "run", "--op", "neg", "--backend", "torch",
         "--out", str(tmp_path / "out")],
        cwd=ROOT, text=True, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "torch is installed but does not import: ImportError: libc10.so" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "run.sqlite").exists()


def test_another_python_hosts_a_library(tmp_path):
    assert conformance(
        "run", *SMALL, "--python", f"reference={sys.executable}", "--out", tmp_path
    ) == 0
