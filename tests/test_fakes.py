"""Every fake does what it says, and nothing else: its fault is there, and the honest one has none."""

import subprocess
import sys

import numpy as np
import pytest

from conformance.backends.fakes import FAKES
from conformance.backends.protocol import BackendBroken, BackendUnavailable, UnknownBackend
from conformance.backends.registry import known, open_backend
from conformance.backends.session import run_program
from conformance.cases.case import Case, Operand
from conformance.engine.plan import Unit
from conformance.loading import load_specs
from conformance.program import Program
from conformance.units import run_unit


@pytest.fixture(scope="module")
def ops():
    return load_specs().ops


def evaluation(name, ops, op="exp", cotangents=True, size=9, kind="value", second=False, **args):
    if not args:
        numbers = np.linspace(-2, 2, size, dtype=np.float32)
        args = {"self": Operand(numbers, "contiguous", True)}
    case = Case(f"{op}-float32-{kind}-1", op, args, ("float32",))
    ct = [np.ones(next(iter(args.values())).data.shape, np.float32)] if cotangents else None
    return open_backend(name).evaluate(ops[op], case, ct, ct if second else None)


def trace(name, ops, text):
    return run_program(open_backend(name), Program.parse(text), (), ops)


def raised(found):
    return [step.raised and step.raised.kind for step in found.steps]


def test_honest_fake_is_the_reference(ops):
    honest, reference = evaluation("fake:honest", ops), evaluation("reference", ops)
    assert honest.outputs[0].value.tobytes() == reference.outputs[0].value.tobytes()
    assert honest.grads[0].value.tobytes() == reference.grads[0].value.tobytes()


def test_every_fake_names_an_oracle_that_must_catch_it():
    oracles = set(load_specs().vocabulary["oracles"])
    asked = {fake.oracle for fake in FAKES.values()} - {"", "crash"}
    assert asked == oracles, "each oracle has something that it must catch"


def test_fakes_are_on_no_list_of_backends():
    assert not [name for name in known() if name.startswith("fake")]


@pytest.mark.parametrize("name", ["value_tail", "nan_tail"])
def test_tail_is_wrong_at_the_last_element_only(name, ops):
    good, bad = (evaluation(n, ops).outputs[0].value for n in ("fake:honest", f"fake:{name}"))
    assert np.flatnonzero(good != bad).tolist() == [8]
    whole = [evaluation(n, ops, size=16).outputs[0].value for n in ("fake:honest", f"fake:{name}")]
    assert (whole[0] == whole[1]).all()


def test_one_evaluation_is_wrong_as_said(ops):
    good = evaluation("fake:honest", ops, second=True)
    assert evaluation("fake:dtype", ops).outputs[0].dtype == "float64"
    assert evaluation("fake:shape", ops).outputs[0].shape == (1, 9)
    vjp = evaluation("fake:vjp_at_zero", ops).grads[0].value
    assert np.flatnonzero(vjp != good.grads[0].value).tolist() == [4]
    second = evaluation("fake:second_order", ops, second=True).seconds[0].value
    assert (second == 2 * good.seconds[0].value).all()


def test_views_are_wrong_as_said(ops):
    x = Operand(np.arange(6, dtype=np.float32).reshape(2, 3))
    honest = evaluation("fake:honest", ops, "t", False, self=x)
    assert (honest.outputs[0].strides, honest.aliases) == ((1, 3), ("self",))
    assert evaluation("fake:stride", ops, "t", False, self=x).outputs[0].strides == (2, 1)
    assert evaluation("fake:alias", ops, "t", False, self=x).aliases == (None,)


def test_layout_is_ignored(ops):
    x = Operand(np.arange(6, dtype=np.float32).reshape(2, 3), "transposed")
    assert evaluation("fake:honest", ops, "neg", False, self=x).outputs[0].value[0, 1] == -1
    assert evaluation("fake:layout", ops, "neg", False, self=x).outputs[0].value[0, 1] == -3


def test_refusals_are_wrong_as_said(ops):
    args = {n: Operand(np.ones(k, np.float32)) for n, k in (("self", 2), ("other", 3))}
    assert evaluation("fake:error_accepted", ops, "add", False, **args).raised is None
    assert evaluation("fake:error_kind", ops, "add", False, **args).raised.kind == "domain"
    half = evaluation("fake:half_done", ops, "add", False, **args)
    assert half.raised.kind == "shape_mismatch"
    assert half.inputs[0].value[0] != 1


def test_every_other_call_differs(ops):
    backend, x = open_backend("fake:nondeterministic"), Operand(np.ones(3, np.float32))
    case = Case("i", "exp", {"self": x}, ("float32",))
    bits = [backend.evaluate(ops["exp"], case).outputs[0].value.tobytes() for _ in range(4)]
    assert bits[0] == bits[2] != bits[1] == bits[3]


TWICE = """
x = leaf([1.0, 2.0])
y = exp(x)
backward(y, ones([2]), retain_graph=True)
backward(y, ones([2]))
backward(y, ones([2]))
"""


def test_graph_lifetime_is_wrong_as_said(ops):
    assert raised(trace("fake:honest", ops, TWICE)) == [None] * 4 + ["graph_freed"]
    assert raised(trace("fake:never_frees", ops, TWICE)) == [None] * 5
    assert raised(trace("fake:always_frees", ops, TWICE)) == [None] * 3 + ["graph_freed"] * 2


def test_accumulation_is_wrong_as_said(ops):
    good, bad = (trace(n, ops, TWICE).steps for n in ("fake:honest", "fake:overwrites"))
    once = good[2].live["x"].grad.value
    assert (good[3].live["x"].grad.value == 2 * once).all()
    assert (bad[3].live["x"].grad.value == once).all()


def test_gradients_share_memory(ops):
    text = "a = leaf([1.0])\nb = leaf([2.0])\nc = ones([1])\nbackward(add(a, b), c)\nbackward(b, c)"
    good, bad = (trace(n, ops, text).steps[-1].live for n in ("fake:honest", "fake:grad_aliases"))
    assert good["a"].grad.storage != good["b"].grad.storage
    assert bad["a"].grad.storage == bad["b"].grad.storage == bad["c"].storage


def test_forbidden_writes_pass(ops):
    text = "x = leaf([1.0])\nadd_(x, 1.0)\ny = exp(x)\nmul_(y, 2.0)\nbackward(y)"
    assert raised(trace("fake:honest", ops, text))[1] == "leaf_written_in_place"
    assert raised(trace("fake:honest", ops, text))[-1] == "saved_tensor_modified"
    assert raised(trace("fake:inplace", ops, text)) == [None] * 5


def test_refused_step_has_written(ops):
    text = "x = ones([2])\ny = add(x, ones([3]))"
    seen = trace("fake:half_done", ops, text).steps[-1]
    assert seen.raised.kind == "shape_mismatch"
    assert seen.live["x"].value[0] != 1


def test_views_of_programs_are_copies(ops):
    text = "x = ones([2, 3])\ny = t(x)\nzero_(y)"
    assert trace("fake:alias", ops, text).steps[-1].live["x"].value.all()


@pytest.mark.parametrize(
    ("name", "error"),
    [("import_failure", BackendBroken), ("unavailable", BackendUnavailable), ("x", UnknownBackend)],
)
def test_some_cannot_be_opened(name, error):
    with pytest.raises(error):
        open_backend(f"fake:{name}")


def test_option_restricts_the_fault_to_case_ids(ops):
    name = "fake:value_tail:length"
    good = evaluation("fake:honest", ops).outputs[0].value
    assert (evaluation(name, ops).outputs[0].value == good).all()
    assert (evaluation(name, ops, kind="length").outputs[0].value != good).any()


@pytest.mark.parametrize(
    ("name", "status"), [("segfault", -11), ("abort", -6), ("killed", -9), ("exit", 3)]
)
def test_some_cost_the_process(name, status):
    code = f"from conformance.backends.fakes import FAKES; FAKES[{name!r}].before()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == status


def test_hanging_fake_never_answers():
    code = (
        "from conformance.backends.fakes import FAKES; print(1, flush=True); FAKES['hang'].before()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"1\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.kill()


def test_greedy_fake_ends_at_the_limit():
    code = (
        "import resource as r; from conformance.backends.fakes import FAKES;"
        "r.setrlimit(r.RLIMIT_AS, (2**31, 2**31)); FAKES['memory'].before()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert "MemoryError" in done.stderr


SHOWN_BY = {  # fake -> an operation that shows its fault; others show theirs by exp
    "stride": "t",
    "alias": "t",
    "error_accepted": "sub",
    "error_kind": "sub",
    "half_done": "sub",
    "inplace": "mul_",
    "grad_aliases": "sub",
}


def answers(backend, op, oracle):
    unit = Unit(
        id="u", backend=backend, kind="op", name=op, dtypes=("float32",), oracles=(oracle,),
        tier="smoke", seed=0,
    )  # fmt: skip
    result = run_unit(unit, open_backend(backend), open_backend("reference"), load_specs())
    return {answer.oracle: answer.verdict for answer in result.answers}


@pytest.mark.parametrize(
    "name", [n for n, fake in FAKES.items() if fake.oracle not in ("", "crash")]
)
def test_oracle_catches_the_fake_and_clears_the_honest_one(name):
    op, oracle = SHOWN_BY.get(name, "exp"), FAKES[name].oracle
    assert answers(f"fake:{name}", op, oracle)[oracle] == "DIVERGES"
    assert answers("fake:honest", op, oracle)[oracle] == "CONFORMS"
