"""Adapters: names, one evaluation, programs step by step, refusals."""

import importlib.util
import inspect
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from conformance.backends import registry
from conformance.backends.arguments import defaults
from conformance.backends.protocol import (
    Backend,
    BackendBroken,
    BackendUnavailable,
    NotExpressible,
    UnknownBackend,
    UnmappedError,
)
from conformance.backends.session import run_program
from conformance.cases.case import Case, Operand
from conformance.loading import load_specs
from conformance.program import Program, ProgramError
from conformance.schema import Schema
from conformance.verbs import GUARDS, VERBS

HAS = {name: importlib.util.find_spec(name) is not None for name in ("torch", "jax")}
EAGER = [
    "reference",
    pytest.param("torch", marks=pytest.mark.skipif(not HAS["torch"], reason="no torch")),
]
ALL = [*EAGER, pytest.param("jax", marks=pytest.mark.skipif(not HAS["jax"], reason="no jax"))]


@pytest.fixture(scope="module")
def specs():
    return load_specs()


@pytest.fixture(scope="module")
def ops(specs):
    return specs.ops


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """name -> backend; jax with a compilation cache of the tests' own."""
    found = {}

    def get(name):
        if name not in found:
            if name == "jax":
                from conformance.backends.jax_backend import JaxBackend

                found[name] = JaxBackend("jax", cache=tmp_path_factory.mktemp("jax"))
            else:
                found[name] = registry.open_backend(name)
        return found[name]

    return get


def floats(*numbers, layout="contiguous", grad=True, dtype=np.float32):
    return Operand(np.array(numbers, dtype), layout, grad)


def case(op, **args):
    return Case(id=f"{op}-test", op=op, args=args, dtypes=("float32",))


def run(backend, ops, text, needs=()):
    return run_program(backend, Program.parse(text), needs, ops)


# names


@pytest.mark.parametrize(
    ("name", "short"),
    [("torch:cpu", "torch"), ("jax", "jax"), ("jax:cpu", "jax"), ("jax:cpu:x64", "jax:cpu:x64")],
)
def test_canonical_name_is_the_shortest(name, short):
    assert registry.canonical(name) == short


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("troch", "torch"), ("jax:cpu:x46", "jax:cpu:x64"), ("torch:cud", "torch:cuda")],
)
def test_unknown_name_offers_the_nearest(name, nearest):
    with pytest.raises(UnknownBackend, match=f"unknown backend '{name}'.*mean '{nearest}'"):
        registry.open_backend(name)


def test_registry_imports_no_library():
    code = (
        "import sys, conformance.backends.registry as r; r.default_backends(); r.known();"
        "sys.exit(bool({'torch', 'jax', 'jaxlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_library_that_is_not_installed_says_which_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'tensor-conformance\[torch\]'"):
        registry.open_backend("torch")
    assert registry.default_backends()[0] == "reference"


def test_library_that_does_not_import_is_broken(monkeypatch):
    def fail(module):
        raise ImportError("libtorch_cpu.so: cannot open shared object file")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(registry.importlib, "import_module", fail)
    with pytest.raises(BackendBroken, match=r"torch is installed but .* ImportError: libtorch_cpu"):
        registry.open_backend("torch")


def test_third_party_backend_is_opened_by_entry_point(monkeypatch):
    class Entry:
        name = "mylib"

        def load(self):
            return lambda name, device, options: (name, device, options)

    monkeypatch.setattr(registry, "entry_points", lambda group: [Entry()])
    assert registry.open_backend("mylib:gpu:a+b") == ("mylib:gpu:a+b", "gpu", ("a", "b"))
    assert "mylib" in registry.known()


@pytest.mark.skipif(not HAS["torch"], reason="no torch")
def test_absent_gpu_is_named(opened):
    if opened("torch").has_gpu():
        pytest.skip("there is one")
    with pytest.raises(BackendUnavailable, match="torch: no CUDA device"):
        registry.open_backend("torch:cuda")


@pytest.mark.parametrize("name", ALL)
def test_backend_offers_the_protocol_and_known_capabilities(name, opened, specs):
    backend = opened(name)
    assert isinstance(backend, Backend)
    assert backend.capabilities <= set(specs.vocabulary["capabilities"])


# arguments


def test_defaults_of_a_schema():
    schema = Schema.parse(
        "f(Tensor self, int? dim, *, Scalar alpha=1, int r=Mean, int[] k=[]) -> Tensor"
    )
    assert defaults(schema) == {"dim": None, "alpha": 1, "r": "mean", "k": []}


@pytest.mark.skipif(not HAS["jax"], reason="no jax")
def test_argument_that_the_library_lacks_is_not_dropped(opened, ops):
    x = floats(1.0, 2.0)
    with pytest.raises(NotExpressible, match="alpha"):
        opened("jax").evaluate(ops["add"], case("add", self=x, other=x, alpha=2))
    opened("jax").evaluate(ops["add"], case("add", self=x, other=x, alpha=1))


# one evaluation


@pytest.mark.parametrize("name", ALL)
def test_evaluate_gives_value_cotangent_and_second_order(name, opened, ops):
    x, ct, v = (np.array(a, np.float32) for a in ([1.0, -2.0], [3.0, 5.0], [7.0, 11.0]))
    seen = opened(name).evaluate(
        ops["mul"], case("mul", self=Operand(x, "contiguous", True), other=Operand(x)), [ct], [v]
    )
    assert seen.outputs[0].value.tolist() == (x * x).tolist()
    assert seen.grads[0].value.tolist() == (ct * x).tolist()  # other is a constant
    by_input, by_cotangent = seen.seconds
    assert by_input is None or not by_input.value.any()
    assert by_cotangent.value.tolist() == (v * x).tolist()


@pytest.mark.parametrize("name", ALL)
def test_complex_cotangents_follow_torch(name, opened, ops):
    z, w, ct = (np.array([a], np.complex64) for a in (1 + 2j, 3 - 1j, 1 + 1j))
    seen = opened(name).evaluate(
        ops["mul"], case("mul", self=Operand(z, "contiguous", True), other=Operand(w)), [ct]
    )
    assert seen.grads[0].value.tolist() == (ct * np.conj(w)).tolist()


@pytest.mark.parametrize("name", ALL)
def test_bfloat16_goes_in_and_out_bit_by_bit(name, opened, ops):
    bits = np.array([0x0001, 0x8000, 0x7F80, 0x3F81, 0xC2F7], np.uint16)
    x = bits.view(ml_dtypes.bfloat16)
    seen = opened(name).evaluate(ops["neg"], case("neg", self=Operand(x)))
    assert seen.outputs[0].dtype == "bfloat16"
    assert seen.outputs[0].value.view(np.uint16).tolist() == (bits ^ 0x8000).tolist()


@pytest.mark.parametrize("name", EAGER)
@pytest.mark.parametrize(
    ("layout", "strides", "offset"),
    [
        ("contiguous", (3, 1), 0),
        ("transposed", (1, 2), 0),
        ("strided", (6, 2), 0),
        ("offset", (3, 1), 3),
    ],
)
def test_inputs_lie_in_memory_as_the_layout_says(name, layout, strides, offset, opened):
    backend, data = opened(name), np.arange(6, dtype=np.float32).reshape(2, 3)
    seen = backend.observe(backend.build(Operand(data, layout)))
    assert (seen.strides, seen.offset, seen.value.tolist()) == (strides, offset, data.tolist())


@pytest.mark.parametrize("name", EAGER)
def test_outputs_name_the_input_they_share_memory_with(name, opened, ops):
    x = Operand(np.arange(6, dtype=np.float32).reshape(2, 3))
    view = opened(name).evaluate(ops["t"], case("t", self=x))
    copy = opened(name).evaluate(ops["neg"], case("neg", self=x))
    assert (view.aliases, copy.aliases) == (("self",), (None,))


@pytest.mark.parametrize("name", EAGER)
def test_writing_operation_is_differentiated_through_a_copy_of_the_leaf(name, opened, ops):
    x, ct = floats(1.0, 2.0, layout="strided"), np.array([1.0, 10.0], np.float32)
    seen = opened(name).evaluate(ops["mul_"], case("mul_", self=x, other=3.0), [ct])
    assert seen.outputs[0].value.tolist() == [3.0, 6.0]
    assert seen.aliases == ("self",)
    assert seen.inputs[0].value.tolist() == [3.0, 6.0]
    assert seen.grads[0].value.tolist() == [3.0, 30.0]


@pytest.mark.parametrize("name", ALL)
def test_refusal_has_a_kind_and_shows_the_inputs(name, opened, ops):
    seen = opened(name).evaluate(
        ops["add"], case("add", self=floats(1.0, 2.0), other=floats(1.0, 2.0, 3.0))
    )
    assert seen.raised.kind == "shape_mismatch"
    assert not seen.outputs
    assert [i.value.size for i in seen.inputs] == [2, 3]


def test_exception_on_no_row_is_unmapped(opened, ops):
    backend = opened("reference")
    with pytest.raises(UnmappedError, match="KeyError"):
        backend.attempt(lambda: {}["x"])


@pytest.mark.parametrize("name", ALL)
def test_library_time_is_counted(name, opened, ops):
    before = opened(name).library_s
    opened(name).evaluate(ops["exp"], case("exp", self=floats(1.0)))
    assert opened(name).library_s > before


@pytest.mark.parametrize("module", ["torch_errors", "jax_errors"])
def test_error_tables_use_words_of_the_closed_list(module, specs):
    found = importlib.import_module(f"conformance.backends.{module}")
    table = getattr(found, module.upper())
    assert {kind for _, _, kind in table.rows} <= set(specs.vocabulary["error_kinds"])


@pytest.mark.skipif(not HAS["jax"], reason="no jax")
def test_one_process_hosts_one_jax(opened):
    opened("jax")
    with pytest.raises(BackendUnavailable, match="one process"):
        registry.open_backend("jax:cpu:x64")


# verbs


def test_vocabulary_lists_the_verbs(specs):
    assert specs.vocabulary["verbs"] == {verb.name: verb.meaning for verb in VERBS.values()}
    for verb in VERBS.values():
        assert set(verb.needs) <= set(specs.vocabulary["capabilities"]), verb.name


@pytest.mark.parametrize("name", ALL)
def test_every_verb_has_one_function_with_its_signature(name, opened, ops):
    backend = opened(name)
    verbs = backend.session(ops).verbs
    for verb in VERBS.values():
        method = getattr(type(verbs), verb.name, None)
        if verb.name in GUARDS or not set(verb.needs) <= backend.capabilities:
            continue
        assert method is not None, verb.name
        declared = eval(f"lambda self, {verb.signature[1:-1]}: 0")
        assert inspect.signature(method) == inspect.signature(declared), verb.name


# programs


@pytest.mark.parametrize("name", EAGER)
def test_second_backward_raises_and_the_program_goes_on(name, opened, ops):
    trace = run(opened(name), ops, """
x = leaf([1.0, 2.0])
y = exp(x)
backward(y, ones_like(y))
backward(y, ones_like(y))
z = neg(x)
""")  # fmt: skip
    assert [s.raised and s.raised.kind for s in trace.steps] == [None] * 3 + ["graph_freed", None]
    assert trace.steps[3].live["x"].grad.value.tolist() == trace.steps[1].live["y"].value.tolist()
    assert trace.steps[1].live["y"].grad_fn == "ExpBackward0"


@pytest.mark.parametrize("name", EAGER)
def test_memory_groups_are_numbered_by_first_appearance(name, opened, ops):
    trace = run(opened(name), ops, """
a = np_arange(6)
t = from_numpy(np_reshape(a, [2, 3]))
u = neg(t)
setitem(u, (0, slice(None)), 7)
v = getitem(t, (1, slice(0, 2)))
same = shares_memory(a, v)
setitem(v, 0, 9)
""")  # fmt: skip
    last = trace.steps[-1].live
    assert {n: o.storage for n, o in last.items()} == {"a": 0, "t": 0, "u": 1, "v": 0}
    assert last["a"].value.tolist() == [0, 1, 2, 9, 4, 5]
    assert last["u"].value.tolist() == [[7, 7, 7], [-3, -4, -5]]
    assert (last["t"].version, last["v"].version, last["u"].version) == (1, 1, 1)
    assert trace.steps[5].values == {"same": True}


@pytest.mark.parametrize("name", EAGER)
def test_observing_neither_warns_nor_counts_as_a_write(name, opened, ops):
    trace = run(opened(name), ops, """
x = leaf([1.0])
y = exp(x)
g = grad_of(y)
with no_grad():
    z = exp(x)
""")  # fmt: skip
    assert [s.warnings for s in trace.steps] == [(), (), ("grad_of_non_leaf",), ()]
    assert trace.steps[-1].live["y"].version == 0
    assert trace.steps[-1].live["z"].is_leaf
    assert trace.steps[2].values == {"g": None}


@pytest.mark.parametrize("name", EAGER)
def test_leaf_written_in_place_is_refused(name, opened, ops):
    trace = run(
        opened(name),
        ops,
        "x = leaf([1.0])\nadd_(x, 1.0)\nsetitem(x, 0, 2.0)\nsetitem(data(x), 0, 3.0)",
    )
    kinds = [s.raised and s.raised.kind for s in trace.steps]
    assert kinds == [None, "leaf_written_in_place", "leaf_written_in_place", None]
    assert trace.steps[-1].live["x"].value.tolist() == [3.0]


@pytest.mark.parametrize("name", ALL)
def test_program_ends_where_a_refusal_left_a_name_unbound(name, opened, ops):
    trace = run(
        opened(name), ops, "x = tensor([1.0, 2.0])\ny = add(x, ones([3]))\nz = neg(y)\nw = neg(x)"
    )
    assert len(trace.steps) == 2
    assert trace.steps[1].raised.kind == "shape_mismatch"


@pytest.mark.parametrize("name", ALL)
def test_python_scalars_stand_in_tensor_slots(name, opened, ops):
    trace = run(
        opened(name), ops, "x = tensor([1, 2], dtype='int32')\ny = mul(2.5, x)\nz = mul(x, 3)"
    )
    assert trace.steps[-1].live["y"].value.tolist() == [2.5, 5.0]
    assert trace.steps[-1].live["z"].dtype == "int32"


@pytest.mark.parametrize(
    "text", ["x = frobnicate(1)", "y = neg(x)\nx = ones([2])", "x = neg(1, 2, 3)"]
)
def test_program_that_means_nothing_is_refused(text, opened, ops):
    with pytest.raises(ProgramError):
        run(opened("reference"), ops, text)


@pytest.mark.skipif(not HAS["jax"], reason="no jax")
class TestProgramsOnJax:
    def test_backward_shows_the_cotangents_as_grad(self, opened, ops):
        trace = run(
            opened("jax"),
            ops,
            "x = leaf([1.0, 2.0])\ny = mul(x, x)\nbackward(y, ones_like(y))",
            ["autograd"],
        )
        assert trace.steps[-1].live["x"].grad.value.tolist() == [2.0, 4.0]

    def test_second_cotangent_of_a_leaf_is_a_missing_capability(self, opened, ops):
        text = (
            "x = leaf([1.0])\ny = mul(x, x)\nbackward(y, ones_like(y))\nbackward(y, ones_like(y))"
        )
        trace = run(opened("jax"), ops, text)
        assert trace.missing == ("accumulated_grad",)
        assert len(trace.steps) == 3

    def test_verb_without_meaning_is_a_missing_capability(self, opened, ops):
        assert run(opened("jax"), ops, "x = ones([2])\nadd_(x, 1.0)").missing == ("mutation",)
        assert run(opened("jax"), ops, "x = ones([2])\nv = version(x)").missing == ("versions",)

    def test_pullback_is_called_twice(self, opened, ops):
        trace = run(opened("jax"), ops, """
x = tensor([3.0])
f = vjp_of("mul", x, x)
a, b = pull(f, ones([1]))
c, d = pull(f, full([1], 2.0))
""")  # fmt: skip
        live = trace.steps[-1].live
        assert [live[n].value.item() for n in "abcd"] == [3.0, 3.0, 6.0, 6.0]

    def test_gradient_of_a_gradient(self, opened, ops):
        trace = run(opened("jax"), ops, """
x = leaf([2.0])
y = mul(mul(x, x), x)
g = grad(y, x, ones([1]), create_graph=True)
h = grad(g, x, ones([1]))
""")  # fmt: skip
        assert trace.steps[-1].live["h"].value.tolist() == [12.0]

    def test_x64_is_an_option_of_its_own_process(self):
        code = (
            "from conformance.backends.registry import open_backend as o;"
            "b = o('jax:cpu:x64'); import numpy as np;"
            "from conformance.loading import load_specs as l;"
            "from conformance.cases.case import *;"
            "x = Operand(np.array([2.0**60 + 1], np.float64));"
            "e = b.evaluate(l().ops['neg'], Case('i', 'neg', {'self': x}, ('float64',)));"
            "assert e.outputs[0].dtype == 'float64' and 'float64' in b.capabilities"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def test_wide_types_need_x64(self, opened, ops):
        assert opened("jax").supports(ops["exp"], ("float32",)) == ""
        assert "float64" in opened("jax").supports(ops["exp"], ("float64",))
