"""Closed lists: every word has the function behind it, and no function has a word of its own."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from conformance import units
from conformance.accuracy.bounds import Bound
from conformance.backends.registry import LIBRARIES
from conformance.cases import generate, layouts, points
from conformance.cases.case import Case, Operand
from conformance.engine.plan import TIERS
from conformance.loading import load_specs
from conformance.oracles import divergences
from conformance.oracles.numbers import Judge
from conformance.verdicts import Verdict

VOCABULARY = load_specs().vocabulary


def test_points_have_a_predicate():
    assert set(VOCABULARY["points"]) == set(points.PREDICATES)
    assert set(points.DECLARED) <= set(points.PREDICATES)


def test_values_have_a_filler():
    assert set(VOCABULARY["values"]) == set(points.FILLERS)


@pytest.mark.parametrize("word", VOCABULARY["layouts"])
def test_layouts_place_the_same_numbers(word):
    data = np.arange(6.0).reshape(2, 3)
    if word == "expanded":
        data = np.broadcast_to(data[:1], (2, 3))
    placed = layouts.place(np.ascontiguousarray(data), word)
    item = placed.storage.itemsize
    view = np.lib.stride_tricks.as_strided(
        placed.storage[placed.offset :], placed.shape, [item * s for s in placed.strides]
    )
    assert np.array_equal(view, data)


def test_shapes_have_a_maker():
    assert set(VOCABULARY["shapes"]) == set(generate.OPERANDS) | {"calls"}


def test_dtypes_have_members():
    names = {word for word, meaning in VOCABULARY["dtypes"].items() if word == meaning}
    assert names == set(generate.DTYPES)
    assert set(VOCABULARY["dtypes"]) == names | set(generate.DTYPE_SETS)


@pytest.mark.parametrize("word", VOCABULARY["bounds"])
def test_bounds_are_understood(word):
    parameter = {"exact": "", "dot": "=reduced"}.get(word, "=4")
    assert Bound.parse(word + parameter).kind == word


def counted(word):
    operands = {name: Operand(np.zeros((3, 4))) for name in ("input", "weight")}
    judge = object.__new__(Judge)
    judge.bound = Bound("dot", length=word)
    judge.sample = SimpleNamespace(
        case=Case("i", "op", operands, ("float64",)),
        expected=SimpleNamespace(outputs=(np.zeros(2),)),
    )
    return judge.length()


def test_lengths_are_counted():
    numbers = {"reduced": 6, "inner": 4, "window": 4, "repeats": 1, "summed": 1}
    assert {word: counted(word) for word in VOCABULARY["lengths"]} == numbers
    with pytest.raises(KeyError):
        counted("breadth")


def test_every_oracle_is_asked_of_some_operation_and_nothing_else_is():
    specs = load_specs()
    asked = {oracle for op in specs.ops.values() for oracle in units.oracles_of(op)}
    assert asked == set(VOCABULARY["oracles"])
    assert {scenario.oracle for scenario in specs.scenarios.values()} <= asked


def test_divergence_rules_have_a_function():
    assert set(VOCABULARY["divergence_rules"]) == set(divergences.RULES)


def test_libraries_and_devices_are_those_of_the_registry():
    assert set(VOCABULARY["libraries"]) == set(LIBRARIES)
    assert set(VOCABULARY["devices"]) == {d for lib in LIBRARIES.values() for d in lib.devices}


def test_tiers_are_those_of_the_planner():
    assert tuple(VOCABULARY["tiers"]) == TIERS


def test_every_error_kind_is_expected_somewhere():
    specs = load_specs()
    claimed = {
        text.split()[1]
        for scenario in specs.scenarios.values()
        for claims in (scenario.claims, *(d.claims for d in scenario.divergence))
        for text in claims.values()
        if text.startswith("raises ")
    }
    expected = {call.expects for op in specs.ops.values() for call in op.errors}
    refused = {refusal.expects for op in specs.ops.values() for refusal in op.refuses}
    assert set(VOCABULARY["error_kinds"]) == claimed | expected | refused


def test_verdicts_are_not_words_of_a_list():
    words = {word for entries in VOCABULARY.values() for word in entries}
    assert not words & set(Verdict)
