"""Each oracle's question, put to answers that are wrong in one way and to such that are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_verdicts import SPECS, Library, ask, on_grads, on_outputs, table, verdict

from conformance.backends.eager_verbs import EagerVerbs
from conformance.backends.session import Session, run_program
from conformance.observation import Evaluation, Raised
from conformance.oracles.traces import compare, unchanged_after_errors
from conformance.program import Program
from conformance.verdicts import Verdict

WRONG, FINE = Verdict.DIVERGES, Verdict.CONFORMS
HONEST = Library()


def judged(op, change, oracle, **more):
    """The verdict about an operation without predictions, whose evaluations are changed."""
    return verdict(table(op), Library(change), oracle, **more)


# --- value -----------------------------------------------------------------------------

VALUES = {
    "nan for a number": ("exp", lambda y, x: np.where(x == 1, np.nan, y), WRONG),
    "number for a nan": ("exp", lambda y, x: np.where(np.isnan(x), 0, y), WRONG),
    "nan with another payload": ("exp", lambda y, x: np.where(np.isnan(x), -y, y), FINE),
    "inf for the largest number": ("neg", lambda y, x: np.where(y > 3e38, np.inf, y), WRONG),
    "largest number for inf": ("exp", lambda y, x: np.minimum(y, 3.4028235e38), WRONG),
    "zero of the other sign": ("neg", lambda y, x: np.where(y == 0, -y, y), WRONG),
    "subnormals flushed": ("neg", lambda y, x: np.where(np.abs(y) < 1.2e-38, y * 0, y), WRONG),
    "one ulp where exact is promised": ("neg", lambda y, x: np.nextafter(y, np.float32(9)), WRONG),
    "one ulp where three are allowed": ("exp", lambda y, x: np.where(
        (y > 1e-30) & (y < 1e30), np.nextafter(y, np.float32(0)), y), FINE),
    "ten ulp where three are allowed": ("exp", lambda y, x: y * np.float32(1 + 2.0**-20), WRONG),
}  # fmt: skip


@pytest.mark.parametrize("what", VALUES)
def test_value(what):
    op, change, expected = VALUES[what]
    changed = on_outputs(lambda y, x: change(y, x).astype(np.float32))
    assert judged(op, changed, "value") is expected


def test_value_of_integers_and_of_several_results():
    assert judged("neg", on_outputs(lambda y, x: y), "value", dtypes=("int8",)) is FINE
    off = on_outputs(lambda y, x: np.where(x == 100, y, y + (x == 7)).astype(y.dtype))
    assert judged("neg", off, "value", dtypes=("int8",)) is WRONG

    def swapped(seen, case):
        return replace(seen, outputs=seen.outputs[::-1])

    def dropped(seen, case):
        return replace(seen, outputs=seen.outputs[:1])

    several = "max.dim"
    assert judged(several, lambda seen, case: seen, "value") is FINE
    assert judged(several, dropped, "value") is WRONG
    assert judged(several, swapped, "value") is WRONG


def refused(seen, case, kind="domain", stage="forward"):
    return Evaluation(raised=Raised(kind, "Error", "no"), stage=stage, inputs=())


def test_value_of_a_call_that_is_refused_without_reason():
    assert judged("exp", refused, "value") is WRONG


# --- dtype and shape -------------------------------------------------------------------


def retyped(name):
    def change(seen, case):
        return replace(seen, **{name: tuple(
            replace(o, value=o.value.astype("float64"), dtype="float64")
            for o in getattr(seen, name) or ()
        ) or None})  # fmt: skip

    return change


@pytest.mark.parametrize("name", ["outputs", "grads"])
def test_dtype_of_results_and_of_cotangents(name):
    oracles = {"oracles": ("dtype", "vjp")}  # cotangents are asked for by vjp
    change = retyped(name)
    if name == "outputs":
        def change(seen, case):  # an empty tuple of outputs is a refused call's
            return retyped("outputs")(seen, case) if seen.outputs else seen
    answers, findings = ask(table("exp"), Library(change), **oracles)
    assert answers["dtype"].verdict is WRONG
    assert {f.what for f in findings if f.oracle == "dtype"} == {
        "y" if name == "outputs" else "ct.self"
    }
    answers, _ = ask(table("exp"), HONEST, **oracles)
    assert answers["dtype"].verdict is FINE


def test_shape_of_results_and_of_cotangents():
    def longer(obs):
        return replace(obs, value=obs.value[None], shape=(1, *obs.shape))

    assert judged("exp", lambda s, c: replace(s, outputs=tuple(map(longer, s.outputs))), "shape") is (
        WRONG
    )
    answers, _ = ask(
        table("exp"),
        Library(lambda s, c: replace(s, grads=tuple(map(longer, s.grads))) if s.grads else s),
        oracles=("shape", "vjp"),
    )
    assert answers["shape"].verdict is WRONG
    assert judged("exp", lambda s, c: s, "shape") is FINE


@pytest.mark.parametrize(("op", "expected"), [("t", WRONG), ("exp", FINE)])
def test_strides_are_promised_for_views_only(op, expected):
    def other(seen, case):
        return replace(
            seen, outputs=tuple(replace(o, strides=(1,) * len(o.shape)) for o in seen.outputs)
        )

    assert judged(op, other, "shape") is expected


# --- derivatives -----------------------------------------------------------------------

COTANGENTS = {
    "halved where the input is zero": (lambda g, x: np.where(x == 0, g / 2, g), WRONG),
    "nan where the input is": (lambda g, x: g, FINE),
    "zero of the other sign": (lambda g, x: np.where(g == 0, -g, g), FINE),
    "of the other sign": (lambda g, x: -g, WRONG),
}


@pytest.mark.parametrize("what", COTANGENTS)
def test_vjp(what):
    change, expected = COTANGENTS[what]
    assert judged("sin", on_grads(lambda g, x: change(g, x).astype(g.dtype)), "vjp") is expected


def test_an_undefined_cotangent_is_a_zero_one():
    def none(seen, case):
        return replace(seen, grads=(None,) * len(seen.grads)) if seen.grads else seen

    assert judged("floor", none, "vjp") is FINE
    assert judged("exp", none, "vjp") is WRONG


def test_a_backward_that_is_refused():
    def no_backward(seen, case):
        if seen.grads is None:
            return seen
        return replace(seen, grads=None, raised=Raised("domain", "Error", "no"), stage="vjp")

    assert judged("exp", no_backward, "vjp") is WRONG


def test_second_order():
    def doubled(seen, case):
        if not seen.seconds:
            return seen
        return replace(
            seen, seconds=tuple(s and replace(s, value=s.value + s.value) for s in seen.seconds)
        )

    assert judged("sin", doubled, "second_order") is WRONG
    assert judged("sin", lambda seen, case: seen, "second_order") is FINE


# --- layout ----------------------------------------------------------------------------


def when(condition, change):
    return lambda seen, case: on_outputs(change)(seen, case) if condition(case) else seen


def plus(amount):
    return lambda y, *ins: y + np.float32(amount)


def last_of_a_tail(y, *ins):
    if y.size % 8:
        y.reshape(-1)[-1] += np.float32(1)
    return y


LAYOUTS = {
    "wrong in strided memory only": (when(lambda c: c.layout == "strided", plus(1)), WRONG),
    "wrong in every memory alike": (when(lambda c: True, plus(1)), FINE),
    "another rounding in strided memory": (
        when(lambda c: c.layout == "strided", lambda y, *i: np.nextafter(y, np.float32(0))), FINE),
    "wrong in the tail of a SIMD loop": (
        when(lambda c: c.kind == "length", last_of_a_tail), WRONG),
    "wrong at one length": (
        when(lambda c: c.layout == "length 17", plus(1)), WRONG),
}  # fmt: skip


@pytest.mark.parametrize("what", LAYOUTS)
def test_layout(what):
    change, expected = LAYOUTS[what]
    assert judged("exp", change, "layout") is expected


def test_layout_of_cotangents():
    wrong = on_grads(lambda g, *ins: g + np.float32(1))
    assert judged("exp", lambda s, c: wrong(s, c) if c.layout == "transposed" else s, "layout") is (
        WRONG
    )


# --- determinism -----------------------------------------------------------------------


class Flipping(Library):
    """Every other evaluation is changed."""

    calls = 0

    def evaluate(self, *args):
        self.calls += 1
        change, self.change = self.change, (lambda seen, case: seen)
        seen = super().evaluate(*args)
        self.change = change
        return change(seen, args[1]) if self.calls % 2 else seen


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda y, x: np.where(y == 1, np.nextafter(y, np.float32(2)), y), WRONG),
        (lambda y, x: np.where(y == 0, -y, y), WRONG),
        (lambda y, x: np.where(np.isnan(y), -y, y), FINE),  # a nan is a nan
        (lambda y, x: y, FINE),
    ],
)
def test_determinism(change, expected):
    assert verdict(table("exp"), Flipping(on_outputs(change)), "determinism") is expected


def test_determinism_of_cotangents():
    change = on_grads(lambda g, x: np.where(x == 2, np.nextafter(g, np.float32(9)), g))
    answers, _ = ask(table("exp"), Flipping(change), oracles=("determinism", "vjp"))
    assert answers["determinism"].verdict is WRONG


# --- alias and error -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "shares", "expected"),
    [("t", None, WRONG), ("t", "self", FINE), ("exp", "self", WRONG), ("exp", None, FINE)],
)
def test_alias(op, shares, expected):
    def change(seen, case):
        return replace(seen, aliases=(shares,) * len(seen.outputs))

    assert judged(op, change, "alias") is expected


def test_alias_of_a_reshape_depends_on_the_layout():
    assert judged("reshape", lambda s, c: s, "alias") is FINE
    always = lambda s, c: replace(s, aliases=("self",) * len(s.outputs))
    never = lambda s, c: replace(s, aliases=(None,) * len(s.outputs))
    assert judged("reshape", always, "alias") is WRONG
    assert judged("reshape", never, "alias") is WRONG


def test_what_is_empty_shares_nothing():
    def never(seen, case):
        empty = all(o.value.size == 0 for o in seen.outputs)
        return replace(seen, aliases=(None,) * len(seen.outputs)) if empty else seen

    assert judged("t", never, "alias") is FINE


def other_kind(seen, case):
    return refused(seen, case, "graph_freed") if seen.raised else seen


def accepted(seen, case):
    return Evaluation(outputs=(), aliases=()) if seen.raised else seen


def half_done(seen, case):
    if not seen.raised or not seen.inputs:
        return seen
    return replace(seen, inputs=tuple(replace(i, value=i.value + 1) for i in seen.inputs))


@pytest.mark.parametrize(
    ("change", "expected"),
    [(other_kind, WRONG), (accepted, WRONG), (half_done, WRONG), (lambda s, c: s, FINE)],
)
def test_error(change, expected):
    assert judged("add", change, "error") is expected


# --- programs --------------------------------------------------------------------------


class Programs(Library):
    """A library whose programs run with other verbs."""

    def __init__(self, verbs):
        super().__init__()
        self.verbs = verbs

    def session(self, ops):
        return Session(self.verbs(self, ops))


class OnePath(EagerVerbs):
    """A sum passes its cotangent to the first operand only."""

    def attempt(self, callee, args, kwargs):
        if callee == "add":
            args = (args[0], args[1].detach() if hasattr(args[1], "detach") else args[1])
        return super().attempt(callee, args, kwargs)


class WeightOnce(EagerVerbs):
    """The gradient of one leaf of three is overwritten, not added to."""

    def _made(self, array, requires_grad, layout="contiguous"):
        made = super()._made(array, requires_grad, layout)
        if requires_grad:
            self.leaves = [*getattr(self, "leaves", []), made]
        return made

    def backward(self, *args, **kwargs):
        kept = self.leaves[1]
        kept.grad = None
        super().backward(*args, **kwargs)


class Retains(EagerVerbs):
    def backward(self, y, ct=None, *, retain_graph=None, create_graph=False):
        super().backward(y, ct, retain_graph=True, create_graph=create_graph)


class Forgets(EagerVerbs):
    def backward(self, y, ct=None, *, retain_graph=None, create_graph=False):
        super().backward(y, ct, retain_graph=False, create_graph=create_graph)


class Unchecked(EagerVerbs):
    """Writes hide from the version counter: what was saved is used as it is now."""

    def attempt(self, callee, args, kwargs):
        if callee == "mul_" and not args[0].is_leaf:
            args[0].data.mul_(*args[1:])
            return args[0]
        return super().attempt(callee, args, kwargs)


@pytest.mark.parametrize(
    ("verbs", "op", "oracle", "expected"),
    [
        (EagerVerbs, "exp", "accumulation", FINE),
        (OnePath, "exp", "accumulation", WRONG),
        (WeightOnce, "conv2d", "accumulation", WRONG),
        (EagerVerbs, "conv2d", "accumulation", FINE),
        (EagerVerbs, "exp", "lifetime", FINE),
        (Retains, "exp", "lifetime", WRONG),
        (Retains, "add", "lifetime", FINE),  # nothing saved, nothing freed
        (Forgets, "exp", "lifetime", WRONG),
        (EagerVerbs, "exp", "inplace", FINE),
        (Unchecked, "exp", "inplace", WRONG),
        (Unchecked, "log", "inplace", WRONG),
    ],
)
def test_programs(verbs, op, oracle, expected):
    assert verdict(table(op), Programs(verbs), oracle) is expected


def trace(text, verbs=EagerVerbs):
    program = Program.parse(text.strip())
    return program, run_program(Programs(verbs), program, (), SPECS.ops)


class Shifts(EagerVerbs):
    """One fault, chosen by the callee that shows it."""

    def attempt(self, callee, args, kwargs):
        result = super().attempt(callee, args, kwargs)
        if callee == "exp":
            return result * 1.0009765625
        if callee == "view":
            return result.clone()
        return result.detach() if callee == "sin" else result


@pytest.mark.parametrize(
    ("line", "observable"),
    [
        ("y = exp(x)", "y"), ("y = view(x, [3, 2])", "memory"), ("y = sin(x)", "y.requires_grad"),
        ("y = neg(x)", ""),
    ],
)  # fmt: skip
def test_traces_show_the_first_thing_that_differs(line, observable):
    text = f"x = leaf([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])\n{line}"
    program, want = trace(text)
    _, got = trace(text, Shifts)
    found = compare(got, want, program, SPECS.ops, HONEST.capabilities)
    assert found.compared > 20
    assert [d.observable for d in found.differences][:1] == ([observable] if observable else [])


def test_a_refused_step_that_changed_something_is_seen():
    class Leaves(EagerVerbs):
        def attempt(self, callee, args, kwargs):
            result = super().attempt(callee, args, kwargs)
            if type(result) is Raised:
                args[0].data.add_(1.0)
            return result

    text = "x = leaf([1.0, 2.0])\ny = add(x, ones([3]))"
    assert not unchanged_after_errors(trace(text)[1]).differences
    (found,) = unchanged_after_errors(trace(text, Leaves)[1]).differences[:1]
    assert (found.line, found.observable) == (2, "x")
