"""Every rule broken on purpose must be caught by the questions about its own operation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from conformance.backends.reference import ReferenceBackend
from conformance.cases.generate import home_dtype
from conformance.engine.plan import Unit
from conformance.loading import load_specs
from conformance.oracles.behaviour import differentiable
from conformance.units import run_unit
from conformance.verdicts import Verdict
from reference_impl.errors import Refusal
from reference_impl.rule import RULES
from reference_impl.tensor import Tensor

SPECS = load_specs()
ORACLES = ("value", "shape", "vjp", "alias", "error")
SCALE = 1 + 2.0**-4  # far outside every bound, yet nothing that shape or dtype would show


def rule_of(name: str) -> Any:
    op = SPECS.ops[name]
    # `slicing` is called as `slice`, which is the view rule
    for key in (op.parsed.qualified, op.name, op.parsed.name):
        if key in RULES and not (name == "slicing" and key != "slice"):
            return RULES[key]
    raise KeyError(name)


class Mutant(ReferenceBackend):
    """The reference with one attribute of one rule replaced while this backend evaluates."""

    def __init__(self, rule: Any, attribute: str, wrong: Any) -> None:
        super().__init__("reference")
        self.rule, self.attribute, self.wrong = rule, attribute, wrong

    @contextmanager
    def broken(self) -> Iterator[None]:
        right = getattr(self.rule, self.attribute)
        setattr(self.rule, self.attribute, self.wrong)
        try:
            yield
        finally:
            setattr(self.rule, self.attribute, right)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        with self.broken():
            return super().evaluate(*args, **kwargs)


def off(thing: Any) -> Any:
    """The same thing with other numbers in it."""
    if isinstance(thing, (tuple, list)):
        return type(thing)(off(item) for item in thing)
    if isinstance(thing, Tensor):
        return thing * SCALE + 2.0**-4 if thing.dtype.is_differentiable else thing
    if thing is None:
        return None
    array = np.asarray(thing)
    if array.dtype.kind == "b":
        return ~array
    if array.dtype.kind in "iu":
        return array + array.dtype.type(1)
    with np.errstate(all="ignore"):
        return (array * array.dtype.type(SCALE) + array.dtype.type(2.0**-4)).astype(array.dtype)


def shifted(geometry: Any) -> Any:
    """A view's geometry with the last dimension longer than one standing still."""

    def one(g: Any) -> Any:
        size, stride, offset = g
        stride = list(stride)
        for dim in reversed(range(len(stride))):
            if size[dim] > 1:
                stride[dim] = 0 if stride[dim] else 1
                return tuple(size), tuple(stride), offset
        return tuple(size), tuple(stride), offset

    def wrong(*args: Any, **kwargs: Any) -> Any:
        found = geometry(*args, **kwargs)
        return [one(g) for g in found] if isinstance(found, list) else one(found)

    return wrong


def verdicts(name: str, backend: Any) -> set[Verdict]:
    op = SPECS.ops[name]
    reference = ReferenceBackend("reference")
    unit = Unit(
        id=name, backend="reference", kind="op", name=name, dtypes=(home_dtype(op),),
        oracles=ORACLES, tier="smoke", seed=0,
    )  # fmt: skip
    try:
        return {a.verdict for a in run_unit(unit, backend, reference, SPECS).answers}
    except Refusal:  # a view that leaves its storage cannot even be laid out: the unit is ERRORED
        return {Verdict.ERRORED}


FORWARD = sorted(SPECS.ops)
BACKWARD = [n for n in FORWARD if differentiable(SPECS.ops[n]) and rule_of(n).vjp is not None]


@pytest.mark.parametrize("name", FORWARD)
def test_wrong_forward_is_caught(name: str) -> None:
    rule = rule_of(name)
    right = rule.forward
    if rule.kind == "view":
        wrong = shifted(right)
    else:
        def wrong(*args: Any, **kwargs: Any) -> Any:
            return off(right(*args, **kwargs))
    found = verdicts(name, Mutant(rule, "forward", wrong))
    assert found & {Verdict.DIVERGES, Verdict.ERRORED}


@pytest.mark.parametrize("name", BACKWARD)
def test_wrong_vjp_is_caught(name: str) -> None:
    rule = rule_of(name)
    right = rule.vjp

    def wrong(*args: Any, **kwargs: Any) -> Any:
        return off(list(right(*args, **kwargs)))

    found = verdicts(name, Mutant(rule, "vjp", wrong))
    assert Verdict.DIVERGES in found


@pytest.mark.parametrize("name", FORWARD)
def test_right_rule_conforms(name: str) -> None:
    """The counter-example's counter-example: unbroken, the reference passes its own checks."""
    found = verdicts(name, ReferenceBackend("reference"))
    assert not found & {Verdict.DIVERGES, Verdict.ERRORED, Verdict.VACUOUS}
