"""Every verdict of the closed list is reached, by what deserves it and by nothing less."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import msgspec
import numpy as np
import pytest

from conformance.backends.protocol import UnmappedError
from conformance.backends.reference import ReferenceBackend
from conformance.engine.plan import Unit
from conformance.findings import cluster
from conformance.loading import load_specs
from conformance.oracles.divergences import holds_for
from conformance.results import findings as findings_of
from conformance.running import Request, run
from conformance.specs import Divergence
from conformance.store import Store
from conformance.units import run_unit
from conformance.verdicts import Finding, Verdict

SPECS = load_specs()
REFERENCE = ReferenceBackend()


class Library(ReferenceBackend):
    """The reference under another name, with what it answers changed.

    change: (evaluation, case) -> evaluation.
    """

    def __init__(self, change=lambda seen, case: seen, name="mylib", version="1.5", lacks=()):
        super().__init__(name)
        self.change, self.version = change, version
        self.capabilities = frozenset(ReferenceBackend.capabilities - set(lacks))

    def evaluate(self, op, case, cotangents=None, second=None):
        return self.change(super().evaluate(op, case, cotangents, second), case)


def on_outputs(change):
    """change: (values, inputs of the case) -> values."""

    def changed(seen, case):
        ins = [o.data for _, o in case.operands()]
        with np.errstate(all="ignore"):
            outputs = tuple(replace(o, value=change(o.value.copy(), *ins)) for o in seen.outputs)
        return replace(seen, outputs=outputs)

    return changed


def on_grads(change):
    def changed(seen, case):
        ins = [o.data for _, o in case.operands()]
        with np.errstate(all="ignore"):
            grads = tuple(replace(g, value=change(g.value.copy(), *ins)) for g in seen.grads or ())
        return replace(seen, grads=grads) if grads else seen

    return changed


def ask(op, backend, *, dtypes=("float32",), oracles=("value",), tier="smoke", **more):
    """{oracle: answer}, findings: of one operation (a name, or a changed table)."""
    op = SPECS.ops[op] if isinstance(op, str) else op
    unit = Unit(
        id="u", backend=backend.name, kind="op", name=op.name, dtypes=dtypes, oracles=oracles,
        tier=tier, seed=0,
    )  # fmt: skip
    specs = msgspec.structs.replace(SPECS, ops={**SPECS.ops, op.name: op})
    result = run_unit(unit, backend, REFERENCE, specs, **more)
    return {a.oracle: a for a in result.answers}, result.findings


def verdict(op, backend, oracle="value", **more):
    return ask(op, backend, oracles=(oracle,), **more)[0][oracle].verdict


def table(name, *entries):
    """The operation with these predictions instead of its own."""
    entries = tuple(
        Divergence(**{"backend": "mylib", "stance": "documented", "why": "x", "source": "x", **e})
        for e in entries
    )
    return msgspec.structs.replace(SPECS.ops[name], divergence=entries)


# --- the verdicts of one unit ----------------------------------------------------------


def test_conforms():
    answers, findings = ask("exp", Library())
    assert (answers["value"].verdict, findings) == (Verdict.CONFORMS, ())
    assert answers["value"].compared > 100
    assert answers["value"].worst <= answers["value"].allowed


def test_diverges_with_one_wrong_element_of_many():
    def wrong(y, x):
        return np.where(x == 2, y + np.float32(1e-3), y)

    answers, findings = ask("exp", Library(on_outputs(wrong)))
    assert answers["value"].verdict is Verdict.DIVERGES
    assert all("tensor([2.0]" in f.program for f in findings)


def test_vacuous_when_nothing_was_compared():
    answers, _ = ask("exp", Library(), only_cases=["no-such-case"])
    assert (answers["value"].verdict, answers["value"].compared) == (Verdict.VACUOUS, 0)


def test_not_applicable_names_the_capability():
    op = msgspec.structs.replace(table("exp"), needs=("mutation",))
    answers, _ = ask(op, Library(lacks=["mutation"]))
    assert answers["value"].verdict is Verdict.NOT_APPLICABLE
    assert answers["value"].why == "needs mutation"
    answers, _ = ask("exp", Library(lacks=["autograd"]), oracles=("value", "vjp"))
    assert answers["value"].verdict is Verdict.CONFORMS
    assert answers["vjp"].verdict is Verdict.NOT_APPLICABLE
    assert "autograd" in answers["vjp"].why


def test_errored_when_the_adapter_fails():
    def fail(seen, case):
        raise UnmappedError("WeirdError: nobody knows")

    answers, findings = ask("exp", Library(fail))
    assert answers["value"].verdict is Verdict.ERRORED
    assert "nobody knows" in findings[0].message


# --- predictions -----------------------------------------------------------------------

HALF = {"oracle": "vjp", "points": ("at_bound",), "rule": "half_at_bound"}


def halved(where=lambda x: (x == -1) | (x == 1)):
    """A clamp to [-1, 1] whose cotangent is halved at some places, the bounds by default."""

    def change(seen, case):
        if (case.args.get("min"), case.args.get("max")) != (-1.0, 1.0):
            return seen
        return on_grads(lambda g, x: np.where(where(x), g / 2, g))(seen, case)

    return Library(change)


def clamp(**more):
    """Calls with the bounds -1 and 1 only, and one prediction about them."""
    op = table("clamp", {**HALF, **more})
    return msgspec.structs.replace(op, args=({"min": -1.0, "max": 1.0},))


def test_known_divergence_when_all_of_a_prediction_is_seen():
    answers, findings = ask(clamp(), halved(), oracles=("vjp",))
    assert answers["vjp"].verdict is Verdict.KNOWN_DIVERGENCE
    (found,) = findings
    assert (found.verdict, found.rule) == (Verdict.KNOWN_DIVERGENCE, "half_at_bound")
    assert found.points[0] == "at_bound"
    assert found.count >= 2


def test_stale_divergence_when_nothing_of_it_is_seen():
    answers, _ = ask(clamp(), Library(), oracles=("vjp",))
    assert answers["vjp"].verdict is Verdict.STALE_DIVERGENCE
    assert "none seen" in answers["vjp"].why


def test_diverges_when_less_is_seen_than_predicted():
    answers, _ = ask(clamp(), halved(lambda x: x == 1), oracles=("vjp",))
    assert answers["vjp"].verdict is Verdict.DIVERGES
    assert "as the norm says" in answers["vjp"].why


def test_diverges_when_a_prediction_names_too_many_points():
    op = clamp(points=("at_bound", "integral"))  # 0 lies inside the bounds
    assert verdict(op, halved(), "vjp") is Verdict.DIVERGES


def test_diverges_when_more_is_seen_than_predicted():
    assert verdict(clamp(), halved(lambda x: np.abs(x) <= 1), "vjp") is Verdict.DIVERGES


def test_diverges_when_something_else_is_seen_at_the_points():
    tripled = Library(on_grads(lambda g, x: np.where(np.abs(x) == 1, g * 3, g)))
    assert verdict(clamp(), tripled, "vjp") is Verdict.DIVERGES


def either(rules):
    one_each = Library(
        on_grads(lambda g, x: np.where(x == 1, g / 2, np.where(x == -1, g * 0, g)))
    )
    return verdict(clamp(rule=rules), one_each, "vjp")


def test_either_of_two_rules_may_be_seen():
    assert either(("half_at_bound", "vanished")) is Verdict.KNOWN_DIVERGENCE
    assert either("half_at_bound") is Verdict.DIVERGES
    assert either("vanished") is Verdict.DIVERGES


def test_as_norm_allows_that_only_some_elements_show_it():
    some = halved(lambda x: x == 1)
    assert verdict(clamp(rule=("as_norm", "half_at_bound")), some, "vjp") is (
        Verdict.KNOWN_DIVERGENCE
    )
    # it excuses nothing else, and is stale like any other when nothing at all differs
    assert verdict(clamp(rule=("as_norm", "vanished")), some, "vjp") is Verdict.DIVERGES


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"versions": "<2"}, Verdict.KNOWN_DIVERGENCE),
        ({"versions": ">=2"}, Verdict.DIVERGES),
        ({"versions": "==1.5.*"}, Verdict.KNOWN_DIVERGENCE),
        ({"dtypes": ("float32", "float64")}, Verdict.KNOWN_DIVERGENCE),
        ({"dtypes": ("float64",)}, Verdict.DIVERGES),
        ({"what": "ct.self"}, Verdict.KNOWN_DIVERGENCE),
        ({"what": "ct.min"}, Verdict.DIVERGES),
        ({"oracle": "value"}, Verdict.DIVERGES),
        ({"backend": "yourlib"}, Verdict.DIVERGES),
        ({"backend": "my"}, Verdict.DIVERGES),
    ],
)
def test_a_prediction_holds_where_it_says_only(more, expected):
    assert verdict(clamp(**more), halved(), "vjp") is expected


def test_a_prediction_for_a_library_holds_for_its_devices_and_options():
    entry = clamp().divergence[0]
    for name, holds in (("mylib", True), ("mylib:cpu:x64", True), ("mylib2", False)):
        assert holds_for(entry, name, "1.5", "vjp", ("float32",), "ct.self") is holds
    newer = msgspec.structs.replace(entry, versions="<2")
    assert holds_for(newer, "mylib", "2.0.dev20260101", "vjp", ("float32",), "ct.self") is False
    assert holds_for(newer, "mylib", "1.9rc1", "vjp", ("float32",), "ct.self")


def test_unspecified_when_the_norm_leaves_it_open():
    assert verdict(clamp(stance="unspecified"), halved(), "vjp") is Verdict.UNSPECIFIED
    assert verdict(clamp(stance="unspecified"), Library(), "vjp") is Verdict.STALE_DIVERGENCE


# --- extremal values: gelu's derivative squares its input ---------------------------------

HUGE = 1e20  # its square is no float32


def test_unspecified_where_the_formula_leaves_the_range_of_the_dtype():
    answers, findings = ask(table("gelu"), Library(), oracles=("vjp",))
    assert answers["vjp"].verdict is Verdict.UNSPECIFIED
    assert {f.rule for f in findings} == {"formula_in_dtype"}


@pytest.mark.parametrize(
    "shown",
    [
        lambda g, x: np.where(np.abs(x) > HUGE, 7, g),  # not what the formula gives
        lambda g, x: np.where(x == 3, np.nan, g),  # the formula stays in range
        lambda g, x: np.where(np.abs(x) > HUGE, 0, g),  # vanished, where the formula gives nan
    ],
)
def test_extremal_values_excuse_nothing_else(shown):
    assert verdict(table("gelu"), Library(on_grads(shown)), "vjp") is Verdict.DIVERGES


def test_an_operation_without_intermediate_results_is_not_excused():
    nan_at_huge = Library(on_outputs(lambda y, x: np.where(np.abs(x) > HUGE, np.nan, y)))
    assert verdict(table("sin"), nan_at_huge) is Verdict.DIVERGES
    nan_for_overflow = Library(on_outputs(lambda y, x: np.where(np.isfinite(x) & np.isinf(y), np.nan, y)))
    assert verdict(table("exp"), nan_for_overflow) is Verdict.DIVERGES
    inf_at_huge = Library(on_outputs(lambda y, x: np.where(np.abs(x) > HUGE, np.inf, y)))
    assert verdict(table("neg"), inf_at_huge) is Verdict.DIVERGES


# --- the verdicts that only the engine can give ---------------------------------------


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """The same run with one worker and with two."""

    class Quiet:
        def started(self, *args): ...
        def answered(self, *args): ...

    backends = "fake:honest", "fake:segfault:float32-value-1", "fake:unavailable", "fake:value_tail"
    made = []
    for jobs in (1, 2):
        out = tmp_path_factory.mktemp(f"jobs{jobs}")
        request = Request(
            out=out, backends=backends, ops="sqrt", oracles=("value",), tier="smoke", jobs=jobs
        )
        with Store.read(run(request, Quiet())) as store:
            made.append((list(store.answers()), findings_of(store)))
    return made


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ("fake:honest", Verdict.CONFORMS),
        ("fake:segfault:float32-value-1", Verdict.CRASHED),
        ("fake:unavailable", Verdict.NOT_RUN),
        ("fake:value_tail", Verdict.DIVERGES),
    ],
)
def test_a_run_reaches(stores, backend, expected):
    answers, _ = stores[0]
    mine = [a for a in answers if a.backend == backend]
    assert expected in {a.verdict for a in mine}
    if expected is Verdict.NOT_RUN:
        assert all(a.why and not a.compared for a in mine)
    if expected is Verdict.CRASHED:
        assert any(a.compared for a in mine), "the cases that do not crash are answered"


def test_findings_have_the_same_ids_whatever_the_number_of_workers(stores):
    one, two = (sorted(msgspec.json.encode(f) for f in found) for _, found in stores)
    assert one == two and len(one) > 2
    answers = [sorted(msgspec.json.encode(a) for a in answers) for answers, _ in stores]
    assert answers[0] == answers[1]


# --- findings ---------------------------------------------------------------------------


def test_ids_are_of_the_cause_and_not_of_the_place():
    wrong = Library(on_outputs(lambda y, x: np.where(x == 2, y + np.float32(1), y)))
    few = Library(on_outputs(lambda y, x: np.where(x == 3, y + np.float32(1), y)))
    ids = [{f.id for f in ask("exp", b)[1]} for b in (wrong, wrong, few)]
    assert ids[0] == ids[1] != set()
    assert ids[2] & ids[0], "another element of the same kind is the same cause"
    assert {f.id for f in ask("log1p", wrong)[1]}.isdisjoint(ids[0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_one_wrong_pattern_of_a_whole_domain_is_found_and_told_alone(dtype):
    def wrong(y, x):
        bad = y.copy()
        bad[x == 21.0] = 3
        return bad

    answers, findings = ask("tanh", Library(on_outputs(wrong)), dtypes=(dtype,))
    assert answers["value"].compared > 65536
    (found,) = findings
    assert f'tensor([21.0], dtype="{dtype}")' in found.program
    assert (found.where, found.observed["value"], found.expected["value"]) == ((0,), "3.0", "1.0")


def test_what_one_element_does_not_show_is_told_with_all_of_them():
    """A fault of the tail is gone in a tensor of one element; the finding keeps the tensor."""

    def tail(y, x):
        if y.size > 8:
            y.reshape(-1)[-1] += np.float32(1)
        return y

    _, findings = ask("tanh", Library(on_outputs(tail)))
    assert findings
    assert all(len(f.where) and f.where != (0,) for f in findings)


def made(dtype, cause="c", backend="mylib", count=1, severity=Verdict.DIVERGES, op="exp"):
    return Finding(
        id=f"{op}-value-{dtype}-0f0f", op=op, oracle="value", backend=backend, verdict=severity,
        dtypes=(dtype,), points=(), observed=1, expected=2, program=f"y = {dtype}", count=count,
        message="m", cause=cause,
    )  # fmt: skip


def test_cluster_merges_the_dtypes_of_a_cause_and_keeps_others_apart():
    found = cluster(
        [
            made("float64", count=2), made("float32", count=3), made("bfloat16"),
            made("float32", "d"), made("float32", backend="yourlib"),
        ]
    )  # fmt: skip
    assert len(found) == 3
    (first,) = [f for f in found if f.cause == "c" and f.backend == "mylib"]
    assert (first.dtypes, first.count) == (("float32",), 6)
    assert set(first.more_dtypes) == {("float64",), ("bfloat16",)}


def test_cluster_gives_the_same_in_any_order_worst_first():
    found = [
        made(dtype, cause, backend, count, severity, op)
        for count, dtype in enumerate(("float32", "int8", "float16", "float64"), 1)
        for cause, severity in (("a", Verdict.DIVERGES), ("b", Verdict.ERRORED))
        for backend in ("mylib", "yourlib")
        for op in ("exp", "abs")
    ]
    found = [msgspec.structs.replace(f, cause=f"{f.op}|{f.cause}") for f in found]
    expected = cluster(found)
    assert [f.verdict.severity for f in expected] == sorted(f.verdict.severity for f in expected)
    assert len(expected) == 8
    for seed in range(20):
        shuffled = Random(seed).sample(found, len(found))
        assert cluster(shuffled) == expected


def test_clustered_once_is_clustered():
    found = cluster([made("float64"), made("float32")])
    assert [f.count for f in cluster(found)] == [2]
