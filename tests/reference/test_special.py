"""Special functions in every precision, against mpmath; integer corner cases against the norm."""

import mpmath
import numpy as np
import pytest

from reference_impl import array_functions as special
from reference_impl.errors import Domain

POINTS = [0.0, 1e-300, 1e-9, 0.3, 0.5, 1.0, 1.4999, 1.5, 1.5001, 2.0, 3.7, 5.5, 9.0, 20.0, 24.0,
          -1e-9, -0.4, -1.5, -1.6, -4.0, -30.0]  # fmt: skip


@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_long_double_is_good_enough_to_judge_double(name):
    exact = getattr(mpmath, name)
    got = getattr(special, name)(np.array(POINTS, np.longdouble))
    with mpmath.workdps(60):
        for x, y in zip(POINTS, got, strict=True):
            want = exact(mpmath.mpf(x))
            error = abs(as_mpf(y) - want)
            # a sixty-fourth of the spacing of double
            assert error <= abs(want) * mpmath.mpf(2) ** -59, (name, x)


def as_mpf(y):
    """A long double as an mpf, exactly."""
    high = float(y)
    return mpmath.mpf(high) + mpmath.mpf(float(y - np.longdouble(high)))


@pytest.mark.parametrize("name", ["erf", "erfc"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_special_values(name, dtype):
    got = getattr(special, name)(np.array([np.inf, -np.inf, np.nan, -0.0], dtype))
    assert got.dtype == dtype
    want = [1, -1, np.nan, -0.0] if name == "erf" else [0, 2, np.nan, 1]
    np.testing.assert_array_equal(got, np.array(want, dtype))
    assert np.signbit(got[3]) == (name == "erf")


def test_sigmoid_is_the_documented_formula():
    got = special.sigmoid(np.array([-1000.0, 40.0, 1000.0, np.inf, -np.inf, 0.0]))
    assert got.tolist() == [0, 1, 1, 1, 0, 0.5]


def test_a_power_of_one_half_is_no_root():
    x = np.array([-0.0, -np.inf])
    got = special.power(x, np.array(0.5))
    assert got.tolist() == [0, np.inf] and not np.signbit(got[0])


def test_integer_powers_truncate_and_wrap():
    x = np.array([2, 1, -1, -1, 0, 3, -128, 2], np.int8)
    y = np.array([-1, -5, -3, -2, 0, 5, 1, 7], np.int8)
    assert special.power(x, y).tolist() == [0, 1, -1, 1, 1, -13, -128, -128]
    assert special.power(x, y).dtype == np.int8


def test_remainder_takes_the_sign_of_the_divisor_and_a_zero_that_of_the_dividend():
    x, y = np.array([5.0, -5.0, 5.0, -5.0, -6.0]), np.array([3.0, 3.0, -3.0, -3.0, 3.0])
    got = special.remainder(x, y)
    assert got.tolist() == [2, 1, -1, -2, 0] and np.signbit(got[4])


def test_integers_have_no_infinity_to_divide_into():
    ones, zeros = np.ones(2, np.int32), np.zeros(2, np.int32)
    for call in (special.fmod, special.remainder):
        with pytest.raises(Domain):
            call(ones, zeros)
    with pytest.raises(Domain):
        special.divide(ones, zeros, "floor")


@pytest.mark.parametrize("dtype", [np.int8, np.int64])
def test_truncating_division_of_integers_is_exact(dtype):
    top = np.iinfo(dtype).max
    x = np.array([7, -7, 7, -7, top, -top, top - 1], dtype)
    y = np.array([2, 2, -2, -2, 3, 3, top], dtype)
    want = [int(abs(int(a)) // abs(int(b))) * (1 if (a < 0) == (b < 0) else -1)
            for a, b in zip(x, y, strict=True)]  # fmt: skip
    assert special.divide(x, y, "trunc").tolist() == want


def test_sign_of_nan_is_zero_and_sgn_is_a_phase():
    assert special.sign(np.array([np.nan, -np.inf, -0.0, 2.0])).tolist() == [0, -1, 0, 1]
    z = np.array([3 + 4j, 0j, -2 + 0j])
    assert special.sgn(z).tolist() == [0.6 + 0.8j, 0j, -1 + 0j]
