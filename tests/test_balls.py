"""The wide format is certified against balls of arbitrary precision, and mended where it errs."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from flint import arb, ctx

from conformance import units
from conformance.accuracy import balls
from conformance.accuracy.balls import CERTIFIED, Ball, Undecided, certify, to_odd
from conformance.accuracy.expected import Expectation
from conformance.accuracy.formats import FORMATS, wide_dtype
from conformance.accuracy.ulp import round_to, ulp
from conformance.backends.reference import ReferenceBackend
from conformance.cases.case import Case, Operand
from conformance.cases.generate import (
    Maker,
    cotangents_for,
    dtypes_of,
    elementwise,
    with_operand,
)
from conformance.engine.plan import Unit
from conformance.loading import load_specs
from conformance.oracles.behaviour import differentiable
from conformance.verdicts import Verdict

OPS = load_specs().ops
REAL = [
    name for name, op in OPS.items()
    if elementwise(op) and "float64" in dtypes_of(op) and op.result not in ("bool", "int64")
]  # fmt: skip
# cotangents whose formula takes 1 - y or y + 1 of a result y near 1 or -1: the digits of the exact
# derivative are gone in any fixed format, and `Expectation` takes them from the balls
CANCELS = {
    ("sigmoid", "ct.self"), ("tanh", "ct.self"), ("expm1", "ct.self"), ("asin", "ct.self"),
    ("acos", "ct.self"), ("gelu", "ct.self"), ("silu", "ct.self"),
}  # fmt: skip
# what long double loses by amplification of rounding errors (x*x in an exponent, q - 1 in a power)
AMPLIFIES = {
    ("gelu", "y"), ("erf", "ct.self"), ("erfc", "ct.self"), ("erfc", "y"), ("pow", "ct.self"),
}  # fmt: skip


@pytest.fixture(scope="module")
def expectation():
    return Expectation(ReferenceBackend(), "torch")


def certificates(expectation, name, dtype, seed=0):
    """(case, cotangents, certificate) for every call of the points of one operation."""
    op = OPS[name]
    for case in Maker(op, dtype, seed).points():
        cts = None
        if differentiable(op):
            like = expectation.run(op, expectation.widen(op, case, dtype))
            cts = cotangents_for(case, [np.zeros(o.shape, dtype) for o in like.outputs])
        yield case, cts, certify(expectation, op, case, cts)


@pytest.mark.parametrize("name", REAL)
def test_long_double_is_accurate_for_float64(expectation, name):
    for _, _, found in certificates(expectation, name, "float64"):
        for what, error in found.error.items():
            if (name, what) not in CANCELS | AMPLIFIES:
                assert np.nanmax(error, initial=0) <= CERTIFIED, what


@pytest.mark.parametrize("name", REAL)
def test_double_is_accurate_for_float32(expectation, name):
    for _, _, found in certificates(expectation, name, "float32"):
        for what, error in found.error.items():
            if (name, what) not in CANCELS | {("pow", "ct.self")}:
                assert np.nanmax(error, initial=0) <= CERTIFIED, what


COMPLEX = [
    name for name, op in OPS.items()
    if elementwise(op) and "complex64" in dtypes_of(op) and op.result not in ("bool", "int64")
]  # fmt: skip


@pytest.mark.parametrize("name", COMPLEX)
def test_double_is_accurate_for_complex64(expectation, name):
    """Held against long double: a wide format that errs does not err alike in two of them."""
    op, most = OPS[name], FORMATS["float32"].max
    for case in Maker(op, "complex64", 0).points():
        wide = expectation.widen(op, case, "complex64")
        args, cts = wide.args, None
        for path, operand in wide.operands():
            if operand.data.dtype.kind == "c":
                wider = replace(operand, data=operand.data.astype(np.clongdouble))
                args = with_operand(args, path, wider)
        if differentiable(op):
            like = [o.value for o in expectation.run(op, wide).outputs]
            cts = cotangents_for(case, [np.zeros(a.shape, a.dtype) for a in like])
        run = balls.runner(expectation, op)
        narrow = run(wide, cts)
        two = {"c": np.clongdouble, "f": np.longdouble}
        widest = None if cts is None else [c.astype(two[c.dtype.kind]) for c in cts]
        for what, exact in run(replace(wide, args=args), widest).items():
            if exact is None or (name, what) in CANCELS | {("tan", "ct.self")}:
                continue
            size = np.abs(exact)
            fine = np.isfinite(exact) & (size <= most)
            assert np.isfinite(narrow[what][fine]).all(), what
            unit = ulp(size[fine], FORMATS["float32"])
            error = np.abs(narrow[what][fine] - exact[fine]) / unit
            assert np.max(error, initial=0) <= 2 * CERTIFIED, what


def test_most_elements_are_decided(expectation):
    """A certificate over nothing would be none: what is left is nan, infinite or a negative zero."""
    decided = compared = 0
    for name in REAL:
        for _, _, found in certificates(expectation, name, "float64"):
            for what, error in found.error.items():
                compared += int(np.isfinite(found.value[what]).sum())
                decided += int(np.isfinite(error).sum())
    assert decided > 0.8 * compared > 10_000


@pytest.mark.parametrize(("name", "what"), sorted(CANCELS | AMPLIFIES))
def test_where_long_double_errs_the_expectation_does_not(expectation, name, what):
    """The list above is no excuse: each entry errs somewhere, and the expected value is mended."""
    op, erred = OPS[name], 0
    seeds = range(4)  # some of the numbers are random
    for case, cts, found in (c for s in seeds for c in certificates(expectation, name, "float64", s)):
        erred += int((found.error[what] > CERTIFIED).sum())
        expected = expectation.expected(op, case, cts)
        arrays = dict(zip(found.error, (*expected.outputs, *(expected.grads or ())), strict=True))
        widened = None if cts is None else [c.astype(np.longdouble) for c in cts]
        wide = expectation.widen(op, case, "float64")
        again = balls.exact(
            balls.runner(expectation, op), op, wide, "float64", widened, {what: arrays[what]}
        )
        assert np.nanmax(again.error[what], initial=0) <= balls.KEPT
    assert erred


def points(name, *columns, dtype="float64", **args):
    op = OPS[name]
    names = [a.name for a in op.parsed.tensors]
    operands = {
        n: Operand(np.array(c, dtype), "contiguous", True)
        for n, c in zip(names, columns, strict=False)
    }
    return op, Case(f"{name}-{dtype}-value-1", name, {**operands, **args}, (dtype,))


def test_derivative_of_tanh_far_out_against_mpmath(expectation):
    op, case = points("tanh", [25.0, -40.0, 300.0])
    ones = [np.ones(3)]
    found = expectation.expected(op, case, ones).grads[0].astype(np.float64)
    with mpmath.workdps(400):
        want = [float(mpmath.sech(x) ** 2) for x in (25, -40, 300)]
    assert found.tolist() == want
    assert expectation.run(op, expectation.widen(op, case, "float64"), ones).grads[0].value[2] == 0


def test_sine_of_large_numbers_against_mpmath(expectation):
    numbers = [1e22, 2.0**1000, 1.7976931348623157e308, 6381956970095103 * 2.0**797]
    op, case = points("sin", numbers)
    found = expectation.expected(op, case).outputs[0].astype(np.float64)
    with mpmath.workdps(400):
        assert found.tolist() == [float(mpmath.sin(x)) for x in numbers]


def test_sign_of_zero_and_special_values_are_those_of_ieee_754(expectation):
    op, case = points("reciprocal", [-0.0, 0.0, np.inf, -np.inf, np.nan, -4.0])
    found = expectation.expected(op, case).outputs[0]
    assert found.tolist()[:2] == [-np.inf, np.inf]
    assert np.signbit(found[:4]).tolist() == [True, False, False, True]
    assert np.isnan(found[4]) and found[5] == -0.25
    op, case = points("atan2", [-0.0, 0.0], [-1.0, -1.0])
    assert np.signbit(expectation.expected(op, case).outputs[0]).tolist() == [True, False]


def test_cotangent_of_a_broadcast_operand_is_one_sum(expectation):
    """1e20 + 1 - 1e20 in long double is 0: only balls add it up."""
    op, case = points("mul", [1.0], [2.0**80, 1.0, -(2.0**80)])
    found = expectation.expected(op, case, [np.ones(3)])
    assert found.grads[0].tolist() == [1.0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_wrong_wide_value_is_seen_and_mended(expectation, dtype):
    op, case = points("exp", [0.5, 1.0, 2.0], dtype=dtype)
    wide = expectation.widen(op, case, dtype)
    run = balls.runner(expectation, op)
    right = run(wide, None)["y"]
    wrong = right * (1 + wide_dtype(dtype).type(2.0**-55 if dtype == "float64" else 2.0**-26))
    found = balls.exact(run, op, wide, dtype, None, {"y": wrong})
    assert (found.error["y"] > CERTIFIED).all()
    assert np.array_equal(round_to(found.value["y"], dtype), round_to(right, dtype))
    assert balls.exact(run, op, wide, dtype, None, {"y": right}).worst <= CERTIFIED


def test_balls_are_for_elementwise_real_operations(expectation):
    op, case = points("exp", [1j], dtype="complex64")
    with pytest.raises(ValueError, match="complex64"):
        certify(expectation, op, case)


# --- one ball --------------------------------------------------------------------------


def uncertain(low, high):
    with ctx.workprec(64):
        return balls._made(arb((low + high) / 2, (high - low) / 2))


@pytest.mark.parametrize(
    "ask",
    [
        lambda b: b < 1, lambda b: b >= 1, lambda b: b == 1, lambda b: b != 1, lambda b: b > 1,
        lambda b: b <= 1, lambda b: bool(b - 1), lambda b: Ball(math.nan) < 1,
    ],
)  # fmt: skip
def test_what_is_uncertain_is_not_answered(ask):
    with pytest.raises(Undecided):
        ask(uncertain(0.5, 1.5))


def test_what_is_certain_is_answered():
    b = uncertain(0.5, 1.5)
    assert b < 2 and b <= 1.75 and b > 0.25 and b >= 0.25 and b != 3 and b
    assert not b > 2 and (b == 3) is False
    assert Ball(2) == 2.0 and not Ball(0) and Ball(1.5) > Ball(-1)


@pytest.mark.parametrize(
    ("number", "floor", "ceil", "trunc", "rint"),
    [(2.5, 2, 3, 2, 2), (-2.5, -3, -2, -2, -2), (3.5, 3, 4, 3, 4), (-0.25, -1, 0, 0, 0),
     (7, 7, 7, 7, 7), (0.75, 0, 1, 0, 1)],
)  # fmt: skip
def test_whole_numbers(number, floor, ceil, trunc, rint):
    array = balls.balls(np.array([number]))
    for function, want in ((np.floor, floor), (np.ceil, ceil), (np.trunc, trunc), (np.rint, rint)):
        assert function(array)[0] == want


def test_numpy_calls_the_methods():
    x = balls.balls(np.array([0.5]))
    for name in (
        "exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "tanh", "sinh", "cosh",
        "arcsin", "arccos", "arctan", "exp2", "log2", "log10",
    ):  # fmt: skip
        function = getattr(np, name)
        assert float(function(x)[0].value) == pytest.approx(float(function(0.5)), abs=1e-14), name


@pytest.mark.parametrize(
    ("base", "exponent", "want"),
    [(0, 0, 1), (-2, 3, -8), (-2, 2, 4), (2, -1, 0.5), (4, 0.5, 2), (1, 2.0**70, 1)],
)
def test_powers(base, exponent, want):
    assert Ball(base) ** Ball(exponent) == want


def test_long_double_enters_exactly():
    third = np.longdouble(1) / 3
    assert np.longdouble(float(third)) != third
    assert Ball(third) != Ball(float(third))
    assert to_odd(Ball(third).value, np.dtype(np.longdouble)) == third


def test_rounding_to_odd_is_innocuous():
    """A number just above a tie of float64 stays above it in the wide format."""
    with ctx.workprec(400):
        for away in (1, -1):
            ball = arb(1) + arb(2) ** -53 + away * arb(2) ** -300
            odd = to_odd(ball, np.dtype(np.longdouble))
            assert float(odd) == (1 + 2.0**-52 if away > 0 else 1.0)
        tiny = arb(2) ** -1074 * (arb(1) / 2 + arb(2) ** -200)
        assert float(to_odd(tiny, np.dtype(np.longdouble))) == 5e-324
        assert to_odd(-(arb(2) ** 20000), np.dtype(np.longdouble)) == -np.inf


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble])
def test_rounding_to_odd_keeps_what_is_representable(dtype):
    rng = np.random.default_rng(0)
    for number in rng.normal(size=50) * 2.0 ** rng.integers(-300, 300, 50):
        number = dtype(number) * (1 + np.finfo(dtype).eps)
        assert to_odd(Ball(number).value, np.dtype(dtype)) == number


def test_rounding_to_odd_against_rationals():
    with ctx.workprec(200):
        for n in range(1, 60):
            odd = to_odd(arb(n) / 7, np.dtype(np.float64))
            exact = Fraction(n, 7)
            if exact.denominator == 1:
                assert odd == exact
                continue
            gap = abs(Fraction(float(odd)) - exact)
            assert gap < Fraction(float(np.spacing(odd)))
            assert odd.view(np.uint64) & 1


def test_a_platform_without_a_wider_format_is_named_and_nothing_is_judged_there(monkeypatch):
    monkeypatch.setattr(units, "check_wide", lambda: "long double has 52 bits on this platform")
    reference = ReferenceBackend()

    def answers(*dtypes):
        unit = Unit(
            id="u", backend="reference", kind="op", name="add", dtypes=dtypes,
            oracles=("value", "dtype", "vjp"), tier="smoke", seed=0,
        )  # fmt: skip
        result = units.run_unit(unit, ReferenceBackend(), reference, load_specs())
        return {(a.dtypes, a.oracle): a for a in result.answers}

    for answer in answers("float64").values():
        assert (answer.verdict, answer.compared) == (Verdict.NOT_RUN, 0)
        assert "52 bits" in answer.why
    assert Verdict.NOT_RUN not in {a.verdict for a in answers("float32").values()}
    mixed = answers("mixed")
    assert mixed[("float32", "float64"), "dtype"].verdict is Verdict.NOT_RUN
    assert mixed[("float32", "int8"), "dtype"].verdict is Verdict.CONFORMS
