"""Scenarios: what the claims say, what is compared, and that every kind of wrong is caught.

The fakes run the reference and change what is shown, one thing each; a checker that let any of
them pass would let a library pass that does the same.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from conformance.backends.protocol import UnmappedError
from conformance.backends.reference import ReferenceBackend
from conformance.loading import load_specs
from conformance.observation import Raised, StepObs, TensorObs, Trace
from conformance.oracles.claims import FIELDS, ClaimError, judge, parse_claim
from conformance.oracles.traces import slack_by_line
from conformance.program import Program
from conformance.scenarios import run_scenario
from conformance.specs import Scenario, ScenarioDivergence
from conformance.verdicts import Verdict

SPECS = load_specs()
GROUPS = sorted({s.group for s in SPECS.scenarios.values()})
EVERYTHING = frozenset(filter(None, FIELDS.values())) | {"aliasing", "warnings", "float64"}


@pytest.fixture(scope="module")
def reference():
    return ReferenceBackend()


class Fake(ReferenceBackend):
    """The reference under another name; `change(step number, observation)` rewrites its steps."""

    library = "fake"

    def __init__(self, change=lambda number, obs: obs, without=(), version="1.0"):
        super().__init__("fake:cpu")
        self.change, self.version = change, version
        self.capabilities = self.capabilities - set(without)

    def session(self, ops):
        inner, change = super().session(ops), self.change

        class Rewritten:
            count = 0

            def run(self, step):
                self.count += 1
                return change(self.count, inner.run(step))

        return Rewritten()


def scenario(program, claims, **more):
    fields = {"name": "made_up", "group": "tests", "title": "", "oracle": "accumulation"}
    return Scenario(**fields, program=program, norm="torch:torch.exp", claims=claims, **more)


def verdict_of(made, fake, reference):
    run = run_scenario(made, fake, reference, SPECS.ops)
    assert len(run.answers) == 1
    return run.answers[0].verdict, run


# --- the tables ----------------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS)
def test_the_reference_bears_out_every_claim(group, reference):
    for made in (s for s in SPECS.scenarios.values() if s.group == group):
        run = run_scenario(made, reference, reference, SPECS.ops)
        expected = {Verdict.CONFORMS, Verdict.NOT_APPLICABLE}
        assert run.answers[0].verdict in expected, run.answers[0].why
        if run.answers[0].verdict is Verdict.NOT_APPLICABLE:
            assert made.group == "jax_functional", made.name


def test_torch_shows_what_the_scenarios_say(reference):
    pytest.importorskip("torch")
    from conformance.backends.torch_backend import TorchBackend

    theirs = [s for s in SPECS.scenarios.values() if s.group != "jax_functional"]
    answers = answers_of(TorchBackend("torch"), reference, theirs)
    assert set(answers.values()) == {Verdict.CONFORMS}


def test_jax_shows_what_it_documents_of_itself(reference, tmp_path):
    pytest.importorskip("jax")
    from conformance.backends.jax_backend import JaxBackend

    own = [s for s in SPECS.scenarios.values() if s.group == "jax_functional"]
    differing = [s for s in SPECS.scenarios.values() if s.divergence]
    answers = answers_of(JaxBackend("jax", cache=tmp_path), reference, own + differing)
    assert {answers[s.name] for s in own} == {Verdict.CONFORMS}
    assert {answers[s.name] for s in differing} == {Verdict.KNOWN_DIVERGENCE}


def answers_of(backend, reference, scenarios):
    """scenario name -> verdict; fails at the first that fails the gate."""
    found = {}
    for made in scenarios:
        answer = run_scenario(made, backend, reference, SPECS.ops).answers[0]
        assert not answer.verdict.fails_gate, answer.why
        found[made.name] = answer.verdict
    return found


def test_there_are_enough_scenarios_of_every_kind():
    own = [s for s in SPECS.scenarios.values() if not s.group.startswith("tutorial")]
    assert len(own) >= 60
    assert {"accumulation", "graph_lifetime", "aliasing", "leaves", "inplace"} <= set(GROUPS)
    assert len(SPECS.scenarios) - len(own) >= 40


# --- what is caught ------------------------------------------------------------------------------

PROGRAM = """
x = leaf([1.0, 2.0])
y = exp(x)
v = view(y, [2, 1])
c = lt(x, 1.5)
n = version(y)
backward(y, ones_like(y))
backward(y, ones_like(y))
"""
CLAIMS = {"1": "ok"}


def with_live(name, **fields):
    """A rewriting that changes fields of one variable wherever it is live."""

    def change(number, obs):
        if name not in obs.live:
            return obs
        return replace(obs, live={**obs.live, name: replace(obs.live[name], **fields)})

    return change


def at_step(step, make):
    return lambda number, obs: make(obs) if number == step else obs


def double_gradient(number, obs):
    grad = obs.live["x"].grad
    if grad is None:
        return obs
    return with_live("x", grad=replace(grad, value=grad.value * 2))(number, obs)


WRONG = {
    "value": with_live("y", value=np.float32([2.75, 7.389056])),
    "nan": with_live("y", value=np.float32([np.nan, 7.389056])),
    "a bool": with_live("c", value=np.array([True, True])),
    "dtype": with_live("y", dtype="float64"),
    "shape": with_live("y", shape=(1, 2)),
    "strides": with_live("y", strides=(2,)),
    "offset": with_live("y", offset=1),
    "memory not shared": with_live("v", storage=99),
    "memory shared": with_live("c", storage=0),
    "version": at_step(4, lambda o: with_live("y", version=3)(4, o)),
    "requires_grad": with_live("y", requires_grad=False),
    "is_leaf": with_live("y", is_leaf=True),
    "grad_fn": with_live("y", grad_fn=None),
    "gradient lost": with_live("x", grad=None),
    "gradient doubled": double_gradient,
    "nothing raised": at_step(7, lambda o: replace(o, raised=None)),
    "another kind raised": at_step(
        7, lambda o: replace(o, raised=Raised("not_scalar", "RuntimeError", ""))
    ),
    "raised for nothing": at_step(2, lambda o: replace(o, raised=Raised("domain", "E", ""))),
    "a warning": at_step(2, lambda o: replace(o, warnings=("grad_of_non_leaf",))),
    "a result": at_step(5, lambda o: replace(o, values={"n": 1})),
    "a result of another type": at_step(5, lambda o: replace(o, values={"n": False})),
    "a variable missing": lambda number, o: replace(
        o, live={k: t for k, t in o.live.items() if k != "v"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_library_that_is_wrong_about_one_thing_diverges(what, reference):
    verdict, run = verdict_of(scenario(PROGRAM, CLAIMS), Fake(WRONG[what]), reference)
    assert verdict is Verdict.DIVERGES
    (finding,) = run.findings
    assert finding.op == "scenario:made_up"
    assert finding.program == PROGRAM.strip()
    assert finding.message.startswith("made_up line ")


def test_a_library_that_is_right_conforms(reference):
    verdict, run = verdict_of(scenario(PROGRAM, CLAIMS), Fake(), reference)
    assert verdict is Verdict.CONFORMS
    assert run.answers[0].compared > 100
    assert not run.findings


def test_one_ulp_is_allowed_where_an_operation_is_inexact_and_only_there(reference):
    def nudged(name):
        def change(number, obs):
            if name not in obs.live:
                return obs
            seen = obs.live[name]
            value = np.nextafter(seen.value, np.float32(np.inf))
            return replace(obs, live={**obs.live, name: replace(seen, value=value)})

        return change

    program = "x = leaf([1.0, 2.0])\nm = mul(x, x)\ny = exp(x)"
    made = scenario(program, {"x.shape": "is (2,)"})
    assert verdict_of(made, Fake(nudged("y")), reference)[0] is Verdict.CONFORMS
    assert verdict_of(made, Fake(nudged("m")), reference)[0] is Verdict.DIVERGES


def test_slack_counts_inexact_operations_and_their_vjps():
    program = Program.parse("x = leaf([1.0])\ny = mul(x, x)\nz = exp(y)\nbackward(z)")
    slack = slack_by_line(program, SPECS.ops, Trace("reference", ()))
    assert slack[1] == slack[2] == 0
    assert 0 < slack[3] < slack[4]


def test_a_refusal_that_leaves_something_behind_diverges(reference):
    program = "x = tensor([1.0, 2.0])\nv = view(x, [3])"
    made = scenario(program, {"2": "raises shape_mismatch"})
    half_done = at_step(2, lambda o: with_live("x", value=np.float32([0.0, 2.0]))(2, o))
    verdict, run = verdict_of(made, Fake(half_done), reference)
    assert verdict is Verdict.DIVERGES
    assert run.findings[0].what == "x"


# --- verdicts ------------------------------------------------------------------------------------


def test_a_broken_claim_is_a_finding_with_norm_and_place(reference):
    made = scenario(PROGRAM, {"x.grad": "equals exp([1.0, 2.0])"})
    verdict, run = verdict_of(made, Fake(double_gradient), reference)
    assert verdict is Verdict.DIVERGES
    assert "line 6: x.grad = [5.4365" in run.findings[0].message
    assert "expected [2.718" in run.findings[0].message


def test_a_claim_that_the_reference_breaks_is_our_error(reference):
    made = scenario(PROGRAM, {"x.grad": "equals [1.0, 1.0]"})
    verdict, run = verdict_of(made, Fake(), reference)
    assert verdict is Verdict.ERRORED
    assert "the reference breaks a claim: made_up line 7: x.grad" in run.answers[0].why


def test_a_missing_capability_is_named(reference):
    made = scenario(PROGRAM, CLAIMS, needs=("mutation",))
    verdict, run = verdict_of(made, Fake(without=["mutation"]), reference)
    assert verdict is Verdict.NOT_APPLICABLE
    assert run.answers[0].why == "fake has no mutation"


def test_the_capability_of_a_verb_is_asked_for_too(reference):
    verdict, run = verdict_of(scenario(PROGRAM, CLAIMS), Fake(without=["versions"]), reference)
    assert verdict is Verdict.NOT_APPLICABLE
    assert "versions" in run.answers[0].why


def test_an_adapter_that_fails_is_errored(reference):
    def unmapped(number, obs):
        raise UnmappedError("RuntimeError: never heard of it")

    verdict, run = verdict_of(scenario(PROGRAM, CLAIMS), Fake(unmapped), reference)
    assert verdict is Verdict.ERRORED
    assert run.answers[0].why == "RuntimeError: never heard of it"
    assert run.findings[0].verdict is Verdict.ERRORED


def test_nothing_compared_is_vacuous(reference):
    fake = Fake(without=["strides"])
    fake.capabilities |= {"functional_update"}
    made = scenario("x = leaf([1.0])", {"x.strides": "is (1,)"}, needs=("functional_update",))
    verdict, _ = verdict_of(made, fake, reference)
    assert verdict is Verdict.VACUOUS


def predicted(**changes):
    fields = {
        "backend": "fake",
        "claims": {"x.grad": "equals mul(2, exp([1.0, 2.0]))", "x.grad@6": "equals mul(2, exp([1.0, 2.0]))"},
        "stance": "documented",
        "why": "it doubles",
        "source": "https://example.org",
    }
    divergence = ScenarioDivergence(**{**fields, **changes})
    return scenario(PROGRAM, {"x.grad": "equals exp([1.0, 2.0])"}, divergence=(divergence,))


def test_exactly_what_was_predicted_is_known(reference):
    verdict, run = verdict_of(predicted(), Fake(double_gradient), reference)
    assert verdict is Verdict.KNOWN_DIVERGENCE
    assert run.findings[0].why == "it doubles"
    assert run.findings[0].source == "https://example.org"


def test_a_difference_where_the_norm_is_silent_is_unspecified(reference):
    verdict, _ = verdict_of(predicted(stance="unspecified"), Fake(double_gradient), reference)
    assert verdict is Verdict.UNSPECIFIED


def test_a_prediction_that_no_longer_happens_is_stale(reference):
    verdict, run = verdict_of(predicted(), Fake(), reference)
    assert verdict is Verdict.STALE_DIVERGENCE
    assert run.findings[0].verdict is Verdict.STALE_DIVERGENCE


def test_something_else_than_predicted_diverges(reference):
    tripled = predicted(claims={"x.grad": "equals mul(3, exp([1.0, 2.0]))"})
    assert verdict_of(tripled, Fake(double_gradient), reference)[0] is Verdict.DIVERGES


def test_another_refusal_than_predicted_is_not_taken_for_a_stale_prediction(reference):
    divergence = msgspec.structs.replace(
        predicted().divergence[0], claims={"7": "raises saved_tensor_modified"}
    )
    made = scenario(PROGRAM, CLAIMS, divergence=(divergence,))
    other = at_step(7, lambda o: replace(o, raised=Raised("not_scalar", "E", "")))
    verdict, run = verdict_of(made, Fake(other), reference)
    assert verdict is Verdict.DIVERGES
    assert "line 7: raises not_scalar, expected raises saved_tensor" in run.findings[0].message
    assert verdict_of(made, Fake(), reference)[0] is Verdict.STALE_DIVERGENCE


def test_a_prediction_excuses_nothing_beside_it(reference):
    def more(number, obs):
        return with_live("c", value=np.array([True, True]))(number, double_gradient(number, obs))

    assert verdict_of(predicted(), Fake(more), reference)[0] is Verdict.DIVERGES


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"backend": "fake:cpu"}, Verdict.KNOWN_DIVERGENCE),
        ({"backend": "fake:cuda"}, Verdict.DIVERGES),
        ({"versions": ">=1.0,<2"}, Verdict.KNOWN_DIVERGENCE),
        ({"versions": ">=2"}, Verdict.DIVERGES),
    ],
)
def test_a_prediction_holds_for_its_backend_and_versions(changes, verdict, reference):
    assert verdict_of(predicted(**changes), Fake(double_gradient), reference)[0] is verdict


def test_what_the_norm_leaves_open_is_shown_and_not_compared(reference):
    other = at_step(1, lambda o: replace(o, values={"here": True}))
    made = scenario("here = cuda_is_available()", {"here": "is_a bool"})
    assert verdict_of(made, Fake(other), reference)[0] is Verdict.DIVERGES
    made = msgspec.structs.replace(made, open=("here",))
    assert verdict_of(made, Fake(other), reference)[0] is Verdict.CONFORMS
    number = at_step(1, lambda o: replace(o, values={"here": 1}))
    assert verdict_of(made, Fake(number), reference)[0] is Verdict.DIVERGES


def test_records_show_what_each_library_did_at_each_line(reference):
    _, run = verdict_of(scenario(PROGRAM, CLAIMS), Fake(), reference)
    assert [r["backend"] for r in run.records] == ["fake:cpu", "reference"]
    rows = run.records[0]["lines"]
    assert [row["text"] for row in rows] == PROGRAM.strip().splitlines()
    assert set(rows[1]["observed"]) == {"y"}
    assert rows[4]["observed"] == {"n": 0}
    assert set(rows[5]["observed"]) == {"x.grad"}
    assert rows[6]["raised"]["kind"] == "graph_freed"
    msgspec.json.encode(run.records)


# --- the language of claims ----------------------------------------------------------------------


def tensor(value, **facts):
    value = np.asarray(value)
    return TensorObs(value, value.dtype.name, value.shape, **facts)


def holds(key, text, live, values=None, **step):
    trace = Trace("t", (StepObs(1, live, values or {}, **step),))
    return judge(parse_claim(key, text), trace, EVERYTHING).holds


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("equals [1.0, 2.0]", np.float32([1, 2]), True),
        ("equals [1, 2]", np.float32([1, 2]), True),
        ("equals [1.0, 2.0]", np.float32([[1, 2]]), False),
        ("equals [0.1]", np.float32([0.1]), True),
        ("equals [0.1]", np.nextafter(np.float32([0.1]), np.float32(1)), False),
        ("equals [2.5]", np.int64([2]), False),
        ("equals [nan, -inf]", np.float32([np.nan, -np.inf]), True),
        ("equals [0.0]", np.float32([-0.0]), True),
        ("equals [-0.0]", np.float32([0.0]), False),
        ("equals exp([0.0, 1.0])", np.float32([1, np.e]), True),
        ("equals exp([0.0, 1.0])", np.float32([1, 2.7183]), False),
        ("equals mul(2, exp([1.0]))", np.float64([2 * np.e]), True),
        ("equals div([1.0], [3.0])", np.float32([1 / 3]), True),
        ("equals full([2, 2], 3)", np.int64([[3, 3], [3, 3]]), True),
        ("equals eye(2)", np.float32([[1, 0], [0, 1]]), True),
        ("equals [1+2j]", np.complex64([1 + 2j]), True),
        ("equals [1-2j]", np.complex64([1 + 2j]), False),
        ("equals []", np.float32([]), True),
        ("equals [True]", np.array([True]), True),
        ("rounds_to [0.7311]", np.float32([0.731058]), True),
        ("rounds_to [0.7311]", np.float32([0.731151]), False),
        ("rounds_to [1.0000]", np.float64([0.99998]), True),
        ("is None", np.float32([1]), False),
    ],
)
def test_values(text, value, expected):
    assert holds("x", text, {"x": tensor(value)}) is expected


def test_facts_results_and_lines():
    x = tensor(np.float32([1]), strides=(1,), storage=0, version=2, requires_grad=False)
    live = {"x": x, "y": replace(x, grad=x), "z": replace(x, storage=1)}
    assert holds("x.strides", "is (1,)", live)
    assert not holds("x.version", "is 2.0", live)
    assert not holds("x.requires_grad", "is 0", live)
    assert holds("x.dtype", "is float32", live)
    assert holds("x.grad", "is None", live)
    assert not holds("y.grad", "is None", live)
    assert holds("y.grad.version", "is 2", live)
    assert holds("x", "shares_memory_with y", live)
    assert holds("y.grad", "shares_memory_with x", live)
    assert holds("x", "separate_from z", live)
    assert not holds("x", "separate_from y.grad", live)
    assert holds("x", "same_as z", live)
    assert holds("w", "absent", live)
    assert not holds("w", "is None", live)
    assert holds("n", "is_a bool", {}, {"n": True})
    assert not holds("n", "is_a bool", {}, {"n": 1})
    assert holds("1", "ok", {})
    assert not holds("1", "ok", {}, warnings=("grad_of_non_leaf",))
    assert holds("1", "warns grad_of_non_leaf", {}, warnings=("grad_of_non_leaf",))
    assert holds("1", "raises domain", {}, raised=Raised("domain", "E", ""))
    assert not holds("1", "raises domain", {}, raised=Raised("singular", "E", ""))
    assert not holds("2", "ok", {})


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    [
        ("x", "equal [1.0]", "'equal' is no verb"),
        ("x", "equals [1.0", "never closed"),
        ("x", "equals exq([1.0])", "no function 'exq'"),
        ("x", "equals [[1.0], [1.0, 2.0]]", "rows of different lengths"),
        ("x", "equals [one]", "'one' is not a number"),
        ("x", "rounds_to [one]", "'one' is not a decimal number"),
        ("x", "is_a tensor", "'tensor' is none of bool"),
        ("x", "separate_from 3", "not a variable"),
        ("x.gard", "is None", "no field 'gard'"),
        ("x.dtype.shape", "is None", "only `grad` has fields"),
        ("x y", "is None", "is not a line or an observable"),
        ("4", "equals [1.0]", "says nothing of a line"),
        ("4", "ok really", "`ok` stands alone"),
        ("4", "raises", "take one kind"),
    ],
)
def test_what_is_no_claim_is_refused(key, text, reason):
    with pytest.raises(ClaimError, match=reason.replace("(", r"\(")):
        parse_claim(key, text)
