"""The gate: each verdict's effect, baselines, counts that shrink; the difference of two runs."""

from __future__ import annotations

import msgspec
import pytest
from engine_fakes import finding
from test_engine import unit
from test_store import BACKENDS, CONFIG, answer, result

from conformance.diff import compare, lines
from conformance.gate import (
    BaselineError,
    baseline_of,
    judge,
    read_baseline,
    write_baseline,
)
from conformance.store import RunConfig, Store
from conformance.verdicts import FAILING, Verdict

WORK = unit("float32", name="exp")


@pytest.fixture
def run(tmp_path):
    """Makes a store of one unit per (op, answer fields, findings)."""
    made = []

    def build(*answers, found=(), works=(WORK,), config=CONFIG, backends=BACKENDS):
        path = tmp_path / f"{len(made)}" / "run.sqlite"
        store = Store.create(path, config, backends, list(works))
        made.append(store)
        store.add(result(works[0], *answers, found=found), 0.1)
        return store

    yield build
    for store in made:
        store.close()


@pytest.mark.parametrize("verdict", list(Verdict))
def test_each_verdict_passes_or_fails_as_the_list_says(run, verdict):
    fine = answer(WORK, oracle="dtype")
    store = run(fine, answer(WORK, verdict))
    assert judge(store).passes == (verdict not in FAILING)
    assert judge(store).status == int(verdict in FAILING)


def test_a_run_that_compared_nothing_fails(run):
    store = run(answer(WORK, Verdict.NOT_APPLICABLE, compared=0))
    assert judge(store).failures == ["nothing was compared"]


def test_a_run_that_was_cut_short_fails(run):
    store = run(works=(WORK, unit("float32", name="log")))
    assert "1 of 2 units" in judge(store).failures[0]


def failing_run(run, **more):
    return run(answer(WORK, Verdict.DIVERGES), found=[finding(WORK, **more)])


def test_accepted_findings_pass_and_new_ones_fail(run, tmp_path):
    store = failing_run(run)
    assert not judge(store).passes
    write_baseline(baseline_of(store), tmp_path / "baseline.json")
    accepted = read_baseline(tmp_path / "baseline.json")
    assert accepted.format == "conformance-baseline/1"
    assert judge(store, accepted).passes
    other = failing_run(run, mark="1a1a")
    judgement = judge(other, accepted)
    assert [f.id for f in judgement.new] == ["exp-value-float32-1a1a"]
    assert not judgement.passes


def test_an_accepted_finding_that_gets_worse_fails(run):
    store = failing_run(run)
    crashed = msgspec.structs.replace(finding(WORK), verdict=Verdict.CRASHED)
    worse = run(answer(WORK, Verdict.CRASHED), found=[crashed])
    assert not judge(worse, baseline_of(store)).passes


def test_an_answer_that_fails_without_a_finding_cannot_be_accepted(run):
    store = run(answer(WORK), answer(WORK, Verdict.VACUOUS, oracle="vjp", compared=0, why="no case"))
    judgement = judge(store, baseline_of(store))
    assert judgement.failures == ["VACUOUS exp vjp (one): no case"]


def test_stale_entries_are_reported(run):
    baseline = baseline_of(failing_run(run))
    judgement = judge(run(answer(WORK)), baseline)
    assert judgement.passes
    assert "stale in the baseline: exp-value-float32-0f0f" in judgement.notes[0]


def test_counts_that_shrink_fail(run):
    baseline = baseline_of(run(answer(WORK, compared=10)))
    assert judge(run(answer(WORK, compared=11)), baseline).passes
    judgement = judge(run(answer(WORK, compared=9)), baseline)
    assert judgement.failures == [
        "compares less than the baseline: exp value (one): 9 now, 10 then"
    ]


def test_a_question_that_is_no_longer_asked_fails(run):
    baseline = baseline_of(run(answer(WORK), answer(WORK, oracle="vjp")))
    judgement = judge(run(answer(WORK)), baseline)
    assert judgement.failures == ["no longer asked, though in the baseline: exp vjp (one)"]


def test_a_smaller_selection_is_not_held_to_the_whole_baseline(run):
    baseline = baseline_of(run(answer(WORK), answer(WORK, oracle="vjp")))
    smaller = RunConfig(**{**CONFIG.as_dict(), "selection": {"ops": None, "oracles": ["value"]}})
    assert judge(run(answer(WORK), config=smaller), baseline).passes


def test_counts_of_another_tier_are_not_compared(run):
    baseline = baseline_of(run(answer(WORK, compared=10)))
    deep = RunConfig(**{**CONFIG.as_dict(), "tier": "deep"})
    judgement = judge(run(answer(WORK, compared=9), config=deep), baseline)
    assert judgement.passes
    assert "of tier smoke, this is deep" in judgement.notes[0]


@pytest.mark.parametrize(
    "text",
    ["", "not json", "[]", '{"format": "conformance-results/1"}',
     '{"format": "conformance-baseline/9", "tier": "smoke", "findings": [], "compared": []}'],
)  # fmt: skip
def test_a_file_that_is_no_baseline_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(BaselineError) as caught:
        read_baseline(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# -- diff -------------------------------------------------------------------------------------


def test_the_same_run_has_no_difference(run):
    difference = compare(failing_run(run), failing_run(run))
    assert difference.same
    assert lines(difference) == ["no difference in any answer or finding"]


def test_new_gone_and_changed_findings_and_answers_are_named(run):
    fine, failing = run(answer(WORK)), failing_run(run)
    appeared = compare(fine, failing)
    assert [f.id for f in appeared.new] == ["exp-value-float32-0f0f"]
    assert any("CONFORMS -> DIVERGES" in line for line in lines(appeared))
    vanished = compare(failing, fine)
    assert [f.id for f in vanished.gone] == ["exp-value-float32-0f0f"]
    moved = msgspec.structs.replace(finding(WORK), observed=[0.75], message="y[0]: 0.75")
    changed = compare(failing, run(answer(WORK, Verdict.DIVERGES), found=[moved]))
    assert len(changed.changed) == 1
    assert any("y[0]: 0.75 (before: y[0]: 0.5" in line for line in lines(changed))


def test_versions_are_shown_but_are_no_difference_of_their_own(run):
    newer = [msgspec.structs.replace(BACKENDS[0], version="1.1", packages={"fake": "1.1"})]
    difference = compare(run(answer(WORK)), run(answer(WORK), backends=newer))
    assert ("fake", "1.0", "1.1") in difference.versions
    assert difference.same


def test_a_question_that_only_one_run_asked_is_a_difference(run):
    difference = compare(run(answer(WORK), answer(WORK, oracle="vjp")), run(answer(WORK)))
    assert (difference.only_before, difference.only_after) == (1, 0)
    assert not difference.same
