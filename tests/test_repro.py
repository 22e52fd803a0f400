"""Reproduction scripts, run: they exit 1 while the difference is there, and 0 once it has gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from conformance.loading import load_specs
from conformance.plain import plain
from conformance.program import Program
from conformance.repro import ReproError, find, make, script
from conformance.store import Store
from conformance.verbs import VERBS
from conformance.verdicts import Finding, Verdict

ROOT = Path(__file__).parents[1]
SPECS = load_specs()


def finding(op, program, observed, expected, **more):
    """Of a difference made up for the test: what torch and jax really do is `observed`."""
    fields = {
        "id": f"{op}-{more.get('oracle', 'value')}-float32-0a0a", "op": op, "oracle": "value",
        "backend": "torch", "verdict": Verdict.DIVERGES, "dtypes": ("float32",), "points": (),
        "observed": plain(observed), "expected": plain(expected), "program": program, "count": 1,
        "message": f"{op}: {observed}, expected {expected}", "what": "y", "where": (0,),
        "norm": "torch:torch.x",
    }
    return Finding(**{**fields, **more})


def run(found, tmp_path):
    """(exit status, output) of the finding's script, in a process that has the library only."""
    text = make(found, SPECS)
    path = tmp_path / "repro.py"
    path.write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, path], text=True, capture_output=True, env=environment, check=False
    )
    assert "Traceback" not in done.stderr, f"{text}\n{done.stderr}"
    return done.returncode, done.stdout, text


LEAF = 'x = leaf([0.5, -1.0], dtype="float32")\n'
CLAMP = 'x = leaf([0.5], dtype="float32")\ny = clamp(x, min=-1.0, max=1.0)\n'
BACKWARD = 'backward(y, tensor([1.0], dtype="float32"))'
# Every kind of finding: what the library does (observed), and something else (expected).
CASES = {
    "value": finding("neg", LEAF + "y = neg(x)", -0.5, 0.5),
    "vjp": finding("clamp", CLAMP + BACKWARD, 1.0, 0.5, oracle="vjp", what="ct.self"),
    "nan": finding("sqrt", 'x = tensor([-1.0], dtype="float32")\ny = sqrt(x)', float("nan"), 0.0),
    "sign of zero": finding(
        "neg", 'x = tensor([0.0], dtype="float32")\ny = neg(x)', -0.0, 0.0
    ),
    "integer": finding("neg", 'x = tensor([3], dtype="int32")\ny = neg(x)', -3, 3),
    "ulp": finding(
        "exp", 'x = tensor([1.0], dtype="float32")\ny = exp(x)', 2.7182817459106445, 2.71827
    ),
    "zero-dimensional": finding(
        "neg", 'x = tensor(2.0, dtype="float32")\ny = neg(x)', -2.0, 2.0, where=()
    ),
    "dtype": finding("neg", LEAF + "y = neg(x)", "float32", "float64", oracle="dtype"),
    "shape": finding("neg", LEAF + "y = neg(x)", (2,), (2, 1), oracle="shape"),
    "alias": finding(
        "neg", LEAF + "y = neg(x)", "own memory", "self", oracle="alias", where=()
    ),
    "bfloat16": finding(
        "neg", 'x = tensor([0.5], dtype="bfloat16")\ny = neg(x)', -0.5, 0.25,
        dtypes=("bfloat16",),
    ),
    "two inputs": finding(
        "mul",
        'x = leaf([3.0], dtype="float32")\nother = leaf([2.0], dtype="float32")\n'
        "y = mul(x, other)\n" + BACKWARD,
        3.0, 2.0, oracle="vjp", what="ct.other",
    ),
    "complex": finding(
        "mul",
        'x = leaf([1.0+2.0j], dtype="complex64")\nother = tensor([3.0+1.0j], dtype="complex64")\n'
        'y = mul(x, other)\nbackward(y, tensor([1.0+1.0j], dtype="complex64"))',
        4 + 2j, 2 + 4j, oracle="vjp", what="ct.self", dtypes=("complex64",),
    ),
    "second order": finding(
        "exp",
        'x = leaf([0.0], dtype="float32")\ny = exp(x)\nct = leaf([3.0], dtype="float32")\n'
        "(g_x,) = grad([y], [x], [ct], create_graph=True, allow_unused=True)\n"
        "second_x, second_ct = grad([g_x], [x, ct], [tensor([1.0], dtype=\"float32\")], "
        "allow_unused=True)",
        3.0, 1.0, oracle="second_order", what="second.self",
    ),
}  # fmt: skip


DRIVER = """
import contextlib, io, json, runpy, sys
outcome = {}
for path in sys.argv[1:]:
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_path(path)
        status = "ended without an exit status"
    except SystemExit as end:
        status = int(end.code or 0)
    except Exception as error:
        status = f"{type(error).__name__}: {error}"
    outcome[path] = [status, out.getvalue()]
print(json.dumps(outcome))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Statuses and outputs of all scripts of a backend; one process per backend, for speed."""
    known = {}

    def all_of(backend):
        if backend not in known:
            known[backend] = _run_all(backend, tmp_path_factory.mktemp(backend))
        return known[backend]

    return all_of


def _run_all(backend, folder):
    paths = []
    for name, case in CASES.items():
        there = msgspec.structs.replace(case, backend=backend)
        gone = msgspec.structs.replace(there, expected=there.observed)
        if name == "ulp":  # within the bound, though not the same bits
            gone = msgspec.structs.replace(there, expected=plain(2.7182815074920654), observed=plain(2.5))
        for word, found in (("there", there), ("gone", gone)):
            paths.append(folder / f"{name} {word}.py")
            paths[-1].write_text(make(found, SPECS))
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *map(str, paths)],
        text=True, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {Path(path).stem: end for path, end in json.loads(done.stdout).items()}


@pytest.mark.parametrize("backend", ["torch", "jax", "reference"])
@pytest.mark.parametrize("name", CASES)
def test_script_exits_1_while_the_difference_is_there_and_0_once_it_has_gone(
    name, backend, outcomes
):
    if backend != "reference":
        pytest.importorskip(backend)
    status, output = outcomes(backend)[f"{name} there"]
    assert status == 1, output
    assert "seen" in output
    assert "expected" in output
    status, output = outcomes(backend)[f"{name} gone"]
    assert status == 0, output


def test_script_needs_the_library_only(tmp_path):
    for name, found in CASES.items():
        for backend in ("torch", "jax", "jax:cpu:x64"):
            text = make(msgspec.structs.replace(found, backend=backend), SPECS)
            assert "conformance" not in text.split("import", 1)[1], name
            assert len(text.splitlines()) <= 32


def test_a_library_with_torchs_functions_is_imported_in_its_place(tmp_path):
    found = finding("neg", "x = tensor([1.0], dtype=\"float32\")\ny = neg(x)", -1.0, 2.0)
    found = msgspec.structs.replace(found, backend="mine")
    text = make(found, SPECS, {"mine": "reference_impl"})
    assert "import reference_impl as torch" in text
    path = tmp_path / "script.py"
    path.write_text(text)
    assert subprocess.run([sys.executable, path], check=False).returncode == 1
    with pytest.raises(ReproError, match="mine is called by its adapter only"):
        make(found, SPECS, {})


@pytest.mark.parametrize("layout", ["transposed", "strided", "offset", "expanded"])
def test_script_builds_the_memory_layout_of_the_finding(layout, tmp_path):
    pytest.importorskip("torch")
    data = "[[1.0, 2.0], [1.0, 2.0]]" if layout == "expanded" else "[[1.0, 2.0], [3.0, 4.0]]"
    program = f'x = tensor({data}, dtype="float32", layout="{layout}")\ny = neg(x)'
    found = finding("neg", program, -2.0, 2.0, oracle="layout", layout=layout, where=(0, 1))
    status, _, text = run(found, tmp_path)
    assert status == 1
    assert "as_strided" in text


@pytest.mark.parametrize(
    ("observed", "expected", "status"),
    [("no error", "shape_mismatch", 0), ("dim_out_of_range", "shape_mismatch", 0),
     ("shape_mismatch", "dim_out_of_range", 1)],
)  # fmt: skip
def test_script_of_a_refusal_knows_the_kind_by_the_library_s_words(
    observed, expected, status, tmp_path
):
    pytest.importorskip("torch")
    program = (
        'x = tensor([1.0, 2.0], dtype="float32")\nother = tensor([1.0, 2.0, 3.0], dtype="float32")\n'
        "y = add(x, other)"
    )
    found = finding(
        "add", program, observed, expected, oracle="error", what="raised", where=()
    )
    assert run(found, tmp_path)[0] == status


def test_script_of_something_that_must_not_be_refused(tmp_path):
    pytest.importorskip("torch")
    program = (
        'x = leaf([1.0], dtype="float32")\ny = exp(x)\nbackward(y, tensor([1.0]))\n'
        "backward(y, tensor([1.0]))"
    )
    raised = finding(
        "exp", program, "graph_freed", "", oracle="lifetime", what="line 4", where=()
    )
    assert run(raised, tmp_path)[0] == 1
    kept = program.replace("backward(y, tensor([1.0]))\n", "backward(y, tensor([1.0]), retain_graph=True)\n")
    assert run(msgspec.structs.replace(raised, program=kept), tmp_path)[0] == 0


def test_script_of_a_traced_value(tmp_path):
    pytest.importorskip("torch")
    program = 'x = leaf([1.0, 2.0])\ny = mul(x, 3.0)\nbackward(y, tensor([1.0, 1.0]))'
    found = finding(
        "mul", program, "[3.0, 3.0]", "[6.0, 6.0]", oracle="accumulation",
        what="line 3: x.grad", where=(),
    )
    assert run(found, tmp_path)[0] == 1
    assert run(msgspec.structs.replace(found, expected="[3.0, 3.0]"), tmp_path)[0] == 0


def test_backward_without_a_cotangent_is_jax_grad(tmp_path):
    pytest.importorskip("jax")
    program = "x = leaf([1.0])\ny = mul(x, 3.0)\nbackward(y)"
    found = finding(
        "scenario:univariate_gradient", program, {"raised": "not_scalar"}, "ok", backend="jax",
        oracle="accumulation", what="raised", message="line 3: raised", where=(), dtypes=(),
    )  # fmt: skip
    status, output, _ = run(found, tmp_path)
    assert status == 1
    assert "scalar-output" in output


def test_script_of_a_crash_runs_in_a_process_of_its_own(tmp_path):
    pytest.importorskip("torch")
    found = finding(
        "neg", LEAF + "y = neg(x)", "SIGSEGV", "an answer", verdict=Verdict.CRASHED, what=""
    )
    status, output, _ = run(found, tmp_path)
    assert status == 0
    assert "exit status 0" in output


# Verbs that only one library has: these scenarios have a script for the other one only.
NOT_TORCH = frozenset({"functional_update", "vjp_function", "immutability"})


def needs_of(scenario):
    callees = Program.parse(scenario.program).callees()
    return {*scenario.needs, *(need for c in callees if c in VERBS for need in VERBS[c].needs)}


def test_every_scenario_that_torch_runs_has_a_script():
    """They are compiled here, not run: the scenarios themselves are run elsewhere."""
    missing = {}
    for name, scenario in SPECS.scenarios.items():
        if needs_of(scenario) & NOT_TORCH:
            continue
        last = scenario.program.strip("\n").count("\n") + 1
        found = finding(
            f"scenario:{name}", scenario.program, "graph_freed", "ok", oracle=scenario.oracle,
            what="raised", message=f"{name} line {last}: ", where=(), dtypes=(),
        )  # fmt: skip
        try:
            compile(make(found, SPECS), name, "exec")
        except ReproError as error:
            missing[name] = str(error)
    assert not missing


def test_a_message_cannot_end_the_comment(tmp_path):
    pytest.importorskip("torch")
    evil = msgspec.structs.replace(CASES["value"], message="a\nimport os; os._exit(77)\n")
    assert run(evil, tmp_path)[0] == 1


def test_what_cannot_be_shown_says_why():
    errored = msgspec.structs.replace(CASES["value"], verdict=Verdict.ERRORED)
    with pytest.raises(ReproError, match="the checker itself failed"):
        make(errored, SPECS)
    assert script(errored, SPECS).startswith("# neg-value-float32-0a0a: no script: the checker")


def test_an_unknown_finding_offers_the_nearest(tmp_path):
    from test_engine import unit
    from test_store import BACKENDS, CONFIG, answer, result

    work = unit("float32", name="neg")
    with Store.create(tmp_path / "run.sqlite", CONFIG, BACKENDS, [work]) as store:
        store.add(result(work, answer(work, Verdict.DIVERGES), found=[CASES["value"]]), 0.1)
        assert find(store, "neg-value-float32-0a0a").op == "neg"
        with pytest.raises(ReproError, match="did you mean 'neg-value-float32-0a0a'"):
            find(store, "neg-value-float32-0b0b")
