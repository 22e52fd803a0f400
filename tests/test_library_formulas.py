"""Predictions that follow a library's own steps: arithmetic of a machine, and jax's rules."""

import numpy as np
import pytest

from conformance.loading import load_specs
from conformance.oracles import steps
from conformance.oracles.formulas import FORMULAS, Operands
from conformance.oracles.jax_rules import BLOCK, _running
from conformance.oracles.steps import Machine, where

TINY = float(np.finfo(np.float32).tiny)


def test_every_step_is_rounded_to_the_dtype():
    half = Machine("float16")
    assert (half.number(2048.0) + 1).a == 2048.0  # the ulp is 2 there
    assert (half.number(300.0) * 300).a == np.inf
    assert Machine("float32").number(0.1).a == np.float32(0.1)


def test_arithmetic_flushes_and_moving_does_not():
    machine = Machine("float32", flush=True)
    small = machine.number([TINY / 2, -TINY / 2])
    assert not (small + 0).kept.any()
    assert np.signbit((small * 1).kept).tolist() == [False, True]
    assert small.equals(0).all()
    assert (-small).kept.tolist() == [-TINY / 2, TINY / 2]
    assert where(np.array([True, False]), small, 0).kept.tolist() == [TINY / 2, 0.0]
    assert (machine.number(TINY) / 2).kept == 0
    assert (Machine("float32").number(TINY) / 2).kept == TINY / 2


def test_bfloat16_flushes_before_its_own_rounding():
    # 0.998 of the smallest normal number rounds up to it in bfloat16, and is subnormal in float32
    product = Machine("bfloat16", flush=True).number(2 * TINY) * 0.5
    assert product.kept == TINY
    barely = Machine("bfloat16", flush=True).number(1.9921875 * TINY) * 0.5
    assert barely.kept == 0


def test_a_nudge_moves_functions_and_not_arithmetic():
    machine = Machine("float64", nudge=1e-6)
    assert (machine.number(2.0) * 3).a == 6.0
    assert steps.sqrt(machine.number(4.0)).a == 2.0
    assert steps.exp(machine.number(0.0)).a == np.float64(1 + 1e-6)


def jax_value(op, dtype, *numbers):
    machine = Machine(dtype, flush=True)
    x, y = (*(machine.number([n]) for n in numbers), None)[:2]
    return float(FORMULAS["jax", op, "y"](Operands(x, y, None, None, {})).a[0])


def test_halves_are_rounded_away_from_zero():
    machine = Machine("float32")
    found = steps.round_away(machine.number([0.5, 1.5, -2.5, 0.49, -0.2])).a
    assert found.tolist() == [1.0, 2.0, -3.0, 0.0, -0.0]
    assert np.signbit(found[-1])
    assert jax_value("floor_divide", "bfloat16", 129.0, 1.4609375) == 89.0  # 88.5 before


def test_log1p_is_off_where_its_approximation_ends():
    """https://github.com/jax-ml/jax/issues/39707: 129 ulp at -0.4141892, none at -0.29."""
    for x, ulps in ((-0.4141892, 129), (-0.29, 0), (0.41, 0)):
        exact = np.log1p(np.longdouble(x))
        off = abs(jax_value("log1p", "float64", x) - exact) / np.spacing(np.float64(abs(exact)))
        assert abs(off - ulps) < 2


def test_erfc_is_that_of_a_rounded_square():
    seen = 8.75634967359857e-18  # 20 ulp above the exact one
    assert abs(jax_value("erfc", "float64", 6.07349405451853) / seen - 1) < 1e-15
    assert jax_value("erfc", "float32", 6.1141596) == np.float32(5.299744e-18)
    assert jax_value("erfc", "float32", 9.3) == 0.0  # flushed
    assert jax_value("erfc", "float32", -3.0) == np.float32(1.9999779)


def test_a_fused_product_is_not_flushed():
    machine = Machine("float32", flush=True)
    x = machine.number([TINY])
    assert (x * 0.5 + x * 1.5).a == 1.5 * TINY
    assert steps.fused(x, 0.5, x * 1.5).a == 2 * TINY


@pytest.mark.parametrize("length", [1, BLOCK, BLOCK + 1, 1000])
def test_running_sums_in_blocks_add_up(length):
    x = np.arange(1, length + 1, dtype=np.float64)
    assert (_running(x) == np.cumsum(x)).all()


def test_running_sums_are_rounded_within_and_over_blocks():
    x = np.full(BLOCK + 1, 0.001, np.float16)
    found = _running(x)
    total = np.float16(0)
    for place in range(BLOCK):
        total = np.float16(total + x[place])
        assert found[place] == total
    assert found[BLOCK] == np.float16(x[BLOCK] + total)


def test_every_formula_belongs_to_an_operation_and_to_what_it_returns():
    ops = load_specs().ops
    for _, name, what in FORMULAS:
        assert name in ops, name
        kind, _, tensor = what.partition(".")
        if kind == "ct":
            assert tensor in [a.name for a in ops[name].parsed.tensors], (name, what)
