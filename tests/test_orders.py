"""Sums and products in another order: what they give where the order decides."""

import numpy as np
import pytest

import reference_impl as ref
from conformance.accuracy import bounds
from conformance.accuracy.formats import FORMATS
from conformance.accuracy.orders import ORDERS, adding

HUGE = np.float32(FORMATS["float32"].max)
FLOAT32 = FORMATS["float32"]


def sums(terms, fmt=FLOAT32):
    found = []
    for order in ORDERS:
        with adding(order, fmt) as decided, np.errstate(all="ignore"):
            found.append(float(np.sum(np.asarray(terms, np.float32))))
    return found, decided


def test_a_sum_without_overflow_has_one_result():
    assert sums([1.0, -2.0, 3.5]) == ([2.5] * 3, [0])


def test_an_overflow_on_the_way_has_the_sign_of_its_terms():
    found, decided = sums([HUGE, HUGE, -HUGE])
    assert found == [np.inf, np.inf, np.inf] and decided == [1]
    assert sums([-HUGE, -HUGE, HUGE])[0] == [-np.inf] * 3


def test_overflows_of_both_signs_may_meet():
    found, _ = sums([HUGE, HUGE, -HUGE, -HUGE])
    np.testing.assert_array_equal(found, [np.nan, np.inf, -np.inf])


def test_an_infinite_term_is_not_a_matter_of_order():
    assert sums([np.inf, 1.0, -1.0]) == ([np.inf] * 3, [0])
    assert np.isnan(sums([np.inf, -np.inf])[0]).all()
    assert np.isnan(sums([np.nan, HUGE, HUGE])[0]).all()


def test_an_infinite_term_meets_an_overflow():
    found, _ = sums([-np.inf, HUGE, HUGE])
    np.testing.assert_array_equal(found, [np.nan, np.inf, -np.inf])


def test_a_short_dtype_overflows_although_its_sums_are_carried_wider():
    assert sums([6e4, 6e4, -6e4], FORMATS["float16"])[0] == [np.inf] * 3


def test_the_reference_adds_in_the_order_asked_for():
    x, before = ref.tensor([HUGE, -HUGE, HUGE]), np.sum
    with np.errstate(all="ignore"):
        with adding(ORDERS[0], FLOAT32):
            assert ref.mean(x).item() == np.inf
        assert np.sum is before
        assert np.isfinite(ref.mean(x).item())


def product(got, exact, grown, shrunk, dtype="float16"):
    arrays = [np.array([a], np.float64) for a in (exact, 0.0, grown, shrunk)]
    seen = np.array([got], np.float16)
    judged = bounds.judge_product(seen, arrays[0], arrays[1], dtype, 1.0, *arrays[2:])
    return bool(judged.over[0]), judged.skipped


@pytest.mark.parametrize(
    ("got", "grown", "shrunk", "over", "skipped"),
    [
        (np.inf, 1e6, 1e-3, False, 1),  # the factors above 1 came first
        (np.inf, 1e3, 1e-3, True, 0),
        (-np.inf, 1e6, 1e-3, True, 0),  # of the wrong sign
        (0.0, 1e3, 1e-9, False, 1),  # the factors below 1 came first
        (0.0, 1e3, 1e-3, True, 0),
        (np.nan, 1e6, 1e-9, False, 1),  # both apart
        (np.nan, 1e6, 1e-3, True, 0),
        (2.5, 1e6, 1e-3, True, 0),  # a wrong number is no matter of order
    ],
)
def test_partial_products_that_leave_the_range(got, grown, shrunk, over, skipped):
    assert product(got, 1.0, grown, shrunk) == (over, skipped)
