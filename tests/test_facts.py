"""Facts of the tables, held to the norm itself: PyTorch's schemas and what its graph keeps."""

from __future__ import annotations

import operator

import pytest

from conformance import template
from conformance.backends.arguments import Bound
from conformance.cases.case import Case, Operand
from conformance.cases.generate import cases_of, dtypes_of
from conformance.loading import load_specs

OPS = load_specs().ops
NAMES = sorted(OPS)
DIFFERENTIABLE = [n for n in NAMES if OPS[n].grad and {"float32", "float64"} & set(dtypes_of(OPS[n]))]
# a Python statement: PyTorch has no operator of that name
STATEMENTS = {n for n in NAMES if OPS[n].torch.startswith("operator.")}


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is not installed: its facts cannot be asked")


@pytest.mark.parametrize("name", [n for n in NAMES if n not in STATEMENTS])
def test_schema_line_is_torchs_own(torch, name):
    parsed = OPS[name].parsed
    packet = getattr(torch.ops.aten, parsed.name)
    overload = getattr(packet, parsed.overload or "default")
    assert OPS[name].schema == str(overload._schema).removeprefix("aten::")


@pytest.mark.parametrize("name", NAMES)
def test_torch_template_names_a_function_that_exists(torch, name):
    Bound.of(OPS[name], OPS[name].torch, {"torch": torch})


@pytest.mark.parametrize("name", [n for n in NAMES if OPS[n].jax])
def test_jax_template_names_a_function_that_exists(name):
    jax = pytest.importorskip("jax", reason="jax is not installed: its names cannot be asked")
    names = tuple(a.name for a in OPS[name].parsed.arguments)
    template.parse(OPS[name].jax, names).bind({"jax": jax, "operator": operator})


class Call:
    """One call on torch in which only one input requires grad."""

    def __init__(self, torch, op, case: Case, wanted: str):
        self.torch, self.made = torch, {}
        bound = Bound.of(op, op.torch, {"torch": torch})

        def tensor(path: str, operand: Operand):
            made = torch.from_numpy(operand.data.copy())
            if path == wanted:
                made.requires_grad_()
            if path in bound.writes:
                made = made.clone()
            self.made[path] = made
            return made

        arguments = bound.arguments(case, tensor, lambda word: getattr(torch, word))
        result = bound.call(arguments)
        if result is None:
            result = [self.made[name] for name in bound.writes]
        many = isinstance(result, (tuple, list))
        outputs = [t for t in (result if many else [result]) if isinstance(t, torch.Tensor)]
        self.output = next((t for t in outputs if t.requires_grad), None)

    def saved(self) -> set[str]:
        """Names of the tensors that the node of the output keeps."""
        node, kept = self.output.grad_fn, set()
        for attribute in dir(node):
            if not attribute.startswith("_saved_"):
                continue
            value = getattr(node, attribute)
            values = value if isinstance(value, (tuple, list)) else [value]
            if any(isinstance(v, self.torch.Tensor) for v in values):
                kept.add(attribute.removeprefix("_saved_"))
        return kept

    def refuses_a_second_backward(self) -> bool:
        ones = self.torch.ones_like(self.output)
        self.output.backward(ones)
        try:
            self.output.backward(ones)
        except RuntimeError as error:
            assert "backward through the graph a second time" in str(error)
            return True
        return False


def first_case(torch, op) -> Case | None:
    """An ordinary case of the table, preferably in float64, that torch accepts."""
    for dtype in ("float64", "float32"):
        if dtype not in dtypes_of(op):
            continue
        for case in cases_of(op, dtype, "smoke", 0, False):
            if case.kind == "error" or not case.differentiable():
                continue
            if all(operand.data.size for _, operand in case.operands()):
                return case
    return None


def composite(torch, op) -> bool:
    """Whether PyTorch writes the operation with others, which then have the nodes."""
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    return has(f"aten::{op.parsed.qualified}", "CompositeImplicitAutograd")


@pytest.mark.parametrize("name", [n for n in DIFFERENTIABLE if n not in STATEMENTS])
def test_saves_are_what_torchs_graph_keeps(torch, name):
    op = OPS[name]
    case = first_case(torch, op)
    assert case is not None, f"{name}: no case to ask torch with"
    asked = 0
    for path, _ in case.differentiable():
        call = Call(torch, op, case, path)
        if call.output is None:
            assert not op.saves.get(path.split(".")[0]), f"{name}: torch gives {path} no gradient"
            continue
        asked += 1
        said = set(op.saves.get(path.split(".")[0], ()))
        if not composite(torch, op):
            kept = {n for n in call.saved() if n in known_names(op)}
            assert said == kept, f"{name}: for {path} torch keeps {sorted(kept)}"
        assert call.refuses_a_second_backward() == bool(said), f"{name}.{path}: {sorted(said)}"
    assert asked, f"{name}: torch differentiated nothing"


def known_names(op) -> set[str]:
    return {
        "result",
        *(a.name for a in op.parsed.tensors),
        *(r.name for r in op.parsed.returns),
    }


@pytest.mark.parametrize("name", NAMES)
def test_reference_keeps_what_the_table_says(name):
    from reference_impl import RULES

    rule = RULES.get(name)
    if rule is None or rule.kind == "composite":
        pytest.skip("composite: its nodes are those of other operations")
    assert kept(OPS[name], rule.saves) == kept(OPS[name], OPS[name].saves)


def kept(op, saves) -> dict[str, set[str]]:
    """What is kept for each input; a rule calls the results "result", "result.0", "result.1"."""
    names = {r.name: f"result.{i}" for i, r in enumerate(op.parsed.returns) if r.name}
    return {k: {names.get(n, n) for n in v} for k, v in saves.items() if v}
