"""Units in the last place, rounding, and bounds: each accepts at its bound and refuses beyond."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.accuracy import bounds, formats
from conformance.accuracy.bounds import Bound, BoundError, gamma
from conformance.accuracy.formats import FORMATS, np_dtype, wide_dtype
from conformance.accuracy.residuals import cholesky, solve
from conformance.accuracy.ulp import error_in_ulp, round_to, same_bits, ulp
from conformance.cases.case import Operand

NAMES = list(FORMATS)
INF, NAN = math.inf, math.nan


def wide(numbers, dtype):
    return np.array(numbers, wide_dtype(dtype))


def got(numbers, dtype):
    return np.array(numbers).astype(np_dtype(dtype))


# --- formats ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "precision", "emax"),
    [("float16", 11, 15), ("bfloat16", 8, 127), ("float32", 24, 127), ("float64", 53, 1023)],
)
def test_formats_are_those_of_ieee_754(name, precision, emax):
    fmt = FORMATS[name]
    assert fmt.precision == precision
    assert fmt.max == float(Fraction(2) ** emax * (2 - Fraction(2) ** (1 - precision)))
    assert Fraction(fmt.tiny) == Fraction(2) ** (1 - emax)
    assert Fraction(fmt.smallest) == Fraction(2) ** (2 - emax - precision)
    assert fmt.min_exponent == 2 - emax - precision
    assert fmt.threshold == (2.0 ** (emax + 1) if emax < 1023 else INF)


def test_this_platform_can_judge_float64():
    assert formats.check_wide() == ""


def test_a_platform_without_wide_format_says_so(monkeypatch):
    class Narrow:
        nmant = 52

    monkeypatch.setattr(formats.np, "finfo", lambda dtype: Narrow)
    assert "52 bits" in formats.check_wide()


# --- ulp -------------------------------------------------------------------------------


def goldberg(x: Fraction, fmt) -> Fraction:
    """Spacing of the format's numbers in the binade of x: the definition, with rationals."""
    exponent = 0
    size = min(abs(x), Fraction(fmt.max))
    if size < Fraction(fmt.tiny):
        return Fraction(fmt.smallest)
    while Fraction(2) ** (exponent + 1) <= size:
        exponent += 1
    while Fraction(2) ** exponent > size:
        exponent -= 1
    return Fraction(2) ** (exponent - fmt.precision + 1)


@pytest.mark.parametrize("dtype", NAMES)
def test_ulp_is_the_spacing_of_the_binade(dtype):
    fmt = FORMATS[dtype]
    numbers = [1.0, 1.5, 2 - 2 * fmt.unit, 2.0, 0.75, fmt.max, fmt.tiny, fmt.tiny * 1.5, -3.0]
    for x, unit in zip(numbers, ulp(wide(numbers, dtype), fmt), strict=True):
        assert Fraction(float(unit)) == goldberg(Fraction(x), fmt), x


@pytest.mark.parametrize("dtype", NAMES)
def test_ulp_below_the_normal_range_is_the_smallest_number(dtype):
    fmt = FORMATS[dtype]
    numbers = wide([0.0, fmt.smallest, fmt.smallest / 4, fmt.tiny - fmt.smallest], dtype)
    assert (ulp(numbers, fmt) == fmt.smallest).all()


@pytest.mark.parametrize("dtype", NAMES)
def test_ulp_beyond_the_largest_number_is_that_of_the_largest(dtype):
    fmt = FORMATS[dtype]
    most = np.array(fmt.max, wide_dtype(dtype)) * 4
    assert ulp(most, fmt) == ulp(np.array(fmt.max, wide_dtype(dtype)), fmt)


@pytest.mark.parametrize("dtype", NAMES)
def test_the_next_number_is_one_ulp_off(dtype):
    numbers = got([1.25, 3.0, -0.1, 1e-3], dtype)
    above = np.nextafter(numbers, got(9.0, dtype))
    exact = numbers.astype(wide_dtype(dtype))
    assert error_in_ulp(above, exact, dtype).tolist() == [1.0] * 4
    assert error_in_ulp(numbers, exact, dtype).tolist() == [0.0] * 4


def test_error_counts_fractions_of_an_ulp():
    exact = np.array([1 + 2.0**-25, 2.0**-149 * 0.75])
    assert error_in_ulp(got([1.0, 2.0**-149], "float32"), exact, "float32").tolist() == [0.25, 0.25]


@pytest.mark.parametrize("dtype", NAMES)
def test_special_values_are_told_apart(dtype):
    def error(seen, exact, **more):
        return float(error_in_ulp(got([seen], dtype), wide([exact], dtype), dtype, **more)[0])

    assert error(NAN, NAN) == error(INF, INF) == error(-INF, -INF) == error(0.0, 0.0) == 0
    for seen, exact in (
        (NAN, 1.0), (1.0, NAN), (NAN, INF), (INF, NAN), (INF, -INF), (1.0, INF), (0.0, -0.0),
        (-0.0, 0.0),
    ):  # fmt: skip
        assert error(seen, exact) == INF, (seen, exact)
    assert error(0.0, -0.0, signed_zero=False) == 0
    # a number that vanishes keeps its sign, and is off by its own size
    assert error(-0.0, -FORMATS[dtype].smallest) == 1.0
    assert error(0.0, -FORMATS[dtype].smallest) == INF


@pytest.mark.parametrize("dtype", NAMES)
def test_an_infinity_stands_for_the_first_number_out_of_range(dtype):
    fmt = FORMATS[dtype]
    edge = np.ldexp(np.ones((), wide_dtype(dtype)), int(np.frexp(fmt.max)[1]))
    last = np.array(fmt.max, wide_dtype(dtype))
    exact = np.array([last, (last + edge) / 2, edge, 8 * edge, 8 * edge])
    seen = got([INF, INF, INF, INF, -INF], dtype)
    assert error_in_ulp(seen, exact, dtype).tolist() == [1.0, 0.5, 0.0, 0.0, INF]
    # the largest number instead of an overflow is as far off as it is from the exact value
    assert error_in_ulp(got([fmt.max], dtype), np.array([edge]), dtype)[0] == 1.0


def test_an_error_beyond_all_numbers_is_infinite_and_says_nothing(recwarn):
    exact = np.array([5e-324], np.longdouble)
    assert error_in_ulp(np.array([1e300]), exact, "float64")[0] == INF
    assert not recwarn.list


# --- rounding --------------------------------------------------------------------------


def nearest_even(x: Fraction, fmt) -> float:
    """Rounded once with rationals, to nearest and to even at a tie; beyond the limit infinity."""
    if x == 0:
        return 0.0
    unit = goldberg(x, fmt)
    whole, rest = divmod(abs(x), unit)
    if rest > unit / 2 or (rest == unit / 2 and whole % 2):
        whole += 1
    size = whole * unit
    return math.copysign(float(size) if size <= Fraction(fmt.max) else INF, x)


def around_ties(fmt):
    """Numbers at ties of every binade's edges, and a hair to either side of them."""
    for exponent in (0, 1, 5, -3, -126, -130, 126, 127):
        for whole in (1, 2, 3, 127, 128, 129, 255):
            tie = (Fraction(whole) + Fraction(1, 2)) * Fraction(2) ** (exponent - 7)
            for hair in (0, 1, -1):
                x = float(tie * (1 + hair * Fraction(1, 2**52)))
                yield from (x, -x)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_rounding_once_agrees_with_rationals(dtype):
    fmt = FORMATS[dtype]
    numbers = [x for x in around_ties(fmt) if math.isfinite(x)]
    rng = np.random.default_rng(0)
    numbers += (rng.normal(size=2000) * 2.0 ** rng.integers(-140, 127, 2000)).tolist()
    rounded = round_to(np.array(numbers), dtype).astype(float)
    for x, seen in zip(numbers, rounded, strict=True):
        assert seen == nearest_even(Fraction(x), fmt), x.hex()


def test_bfloat16_is_not_rounded_twice():
    """Just above a tie in float64, at the tie in float32: rounding twice goes to even, down."""
    x = np.array([1 + 2.0**-8 + 2.0**-40, -(1 + 2.0**-8 + 2.0**-40), 1 + 2.0**-8])
    assert round_to(x, "bfloat16").astype(float).tolist() == [1 + 2.0**-7, -1 - 2.0**-7, 1.0]
    import ml_dtypes

    assert float(x[0].astype(np.float32).astype(ml_dtypes.bfloat16)) == 1.0


def test_every_bfloat16_is_kept():
    every = np.arange(2**16, dtype=np.uint16).view(np_dtype("bfloat16"))
    with np.errstate(invalid="ignore"):  # signalling nans are among them
        assert same_bits(round_to(every.astype(np.float64), "bfloat16"), every).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_rounding_overflows_half_an_ulp_above_the_largest(dtype):
    fmt = FORMATS[dtype]
    edge = fmt.max * (1 + fmt.unit / (2 - 2 * fmt.unit))  # halfway to 2**(emax + 1)
    below = np.nextafter(edge, 0)
    assert round_to(np.array([below, edge, -edge, 1e300]), dtype).astype(float).tolist() == [
        fmt.max, INF, -INF, INF,
    ]  # fmt: skip
    assert np.isnan(round_to(np.array([NAN]), dtype).astype(float))[0]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_double_rounds_to_bfloat16_once(x):
    assert float(round_to(np.array([x]), "bfloat16")[0]) == nearest_even(
        Fraction(x), FORMATS["bfloat16"]
    )


def test_same_bits():
    a = np.array([NAN, 0.0, 1.0, INF])
    assert same_bits(a, a.copy()).all()
    assert same_bits(np.array([0.0]), np.array([-0.0])).tolist() == [False]
    assert same_bits(np.array([0.0]), np.array([-0.0]), signed_zero=False).all()
    assert not same_bits(np.array([1 + 0j]), np.array([complex(1, -0.0)])).any()
    assert same_bits(np.array([True]), np.array([True])).all()


# --- bounds ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("exact", Bound("exact")), ("ulp=2.5", Bound("ulp", 2.5)), ("stable=4", Bound("stable", 4)),
        ("log=1", Bound("log", 1)), ("residual=30", Bound("residual", 30)),
        ("dot=reduced", Bound("dot", length="reduced")),
    ],
)  # fmt: skip
def test_bounds_are_read(text, bound):
    assert Bound.parse(text) == bound


@pytest.mark.parametrize("text", ["", "exact=1", "ulp", "ulp=", "ulp=few", "dot", "rtol=1e-3"])
def test_what_is_no_bound_is_refused(text):
    with pytest.raises(BoundError):
        Bound.parse(text)


def test_gamma_is_void_when_all_digits_may_be_lost():
    assert gamma(3, 2.0**-24) == 3 * 2.0**-24 / (1 - 3 * 2.0**-24)
    with pytest.raises(ValueError, match="void"):
        gamma(2**24, 2.0**-24)


def over(judged):
    return judged.over.tolist()


@pytest.mark.parametrize("dtype", NAMES)
def test_exact_accepts_the_rounded_value_only(dtype):
    x = got([1.25, -3.0], dtype)
    exact = x.astype(wide_dtype(dtype)) * (1 + wide_dtype(dtype).type(FORMATS[dtype].unit / 4))
    assert over(bounds.judge_exact(x, exact, dtype, True)) == [False, False]
    off = np.nextafter(x, got(9.0, dtype))
    assert over(bounds.judge_exact(off, exact, dtype, True)) == [True, True]


def test_exact_tells_zeros_apart_where_it_is_asked_to():
    zero = got([0.0], "float32")
    for signed in (True, False):
        assert over(bounds.judge_exact(zero, np.array([-0.0]), "float32", signed)) == [signed]


def test_exact_integers_and_booleans():
    seen = np.array([1, -128], np.int8)
    assert over(bounds.judge_exact(seen, np.array([1, 127], np.int8), "int8", True)) == [False, True]
    flags = np.array([True]), np.array([False])
    assert over(bounds.judge_exact(*flags, "bool", True)) == [True]


def test_exact_float64_near_a_tie_either_neighbour_is_right():
    """The expected long double is itself rounded: it cannot decide a tie. Further off it can."""
    tie = np.array([1 + np.longdouble(2) ** -53])
    for seen, wrong in ((1.0, False), (1 + 2.0**-52, False), (1 - 2.0**-53, True)):
        assert over(bounds.judge_exact(np.array([seen]), tie, "float64", True)) == [wrong]


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_ulp_accepts_at_the_bound_and_refuses_beyond(factor):
    one = got([1.0], "float32")
    at = np.array([1 + factor * 2.0**-23])
    beyond = np.array([1 + (factor + 2.0**-10) * 2.0**-23])
    assert over(bounds.judge_ulp(one, at, "float32", factor, True)) == [False]
    judged = bounds.judge_ulp(one, beyond, "float32", factor, True)
    assert over(judged) == [True]
    assert (judged.allowed, judged.unit) == (factor, "ulp")
    assert judged.worst == factor + 2.0**-10


@pytest.mark.parametrize(("dtype", "bits"), [("float16", 13), ("bfloat16", 16)])
def test_ulp_of_halves_is_one_rounding_of_a_float32_result(dtype, bits):
    """K ulp of float32 are K * 2**-bits ulp of the 16-bit type, and the last rounding is half one."""
    assert bounds.ulp_allowance(4, dtype) == 0.5 + 4 * 2.0**-bits
    assert bounds.ulp_allowance(4, dtype, once=False) == 4
    assert bounds.ulp_allowance(4, "float32") == 4
    one, unit = got([1.0], dtype), 2 * FORMATS[dtype].unit
    at = np.array([1 + (0.5 + 4 * 2.0**-bits) * unit])
    assert over(bounds.judge_ulp(one, at, dtype, 4, True)) == [False]
    beyond = np.array([1 + (0.5 + 4.01 * 2.0**-bits) * unit])
    assert over(bounds.judge_ulp(one, beyond, dtype, 4, True)) == [True]


@pytest.mark.parametrize("dtype", NAMES)
def test_dot_accepts_at_gamma_and_refuses_beyond(dtype):
    fmt, n = FORMATS[dtype], 7
    unit = FORMATS["float32"].unit if dtype in formats.HALVES else fmt.unit
    exact = wide([0.0], dtype)  # a sum that cancels: the bound is about its terms
    scale = wide([64.0], dtype)
    allowed = gamma(n, unit) * 64.0 + n * fmt.smallest / 2
    allowed += 0.5 * fmt.smallest if dtype in formats.HALVES else 0  # the last rounding
    judged = bounds.judge_dot(got([0.0], dtype), exact + allowed, scale, dtype, n)
    assert judged.unit == "dot" and judged.compared == 1
    for share, wrong in ((0.99, False), (1.02, True)):
        seen = wide([share * allowed], dtype)
        assert over(bounds.judge_dot(seen.astype(wide_dtype(dtype)), exact, scale, dtype, n)) == [
            wrong
        ]


def test_dot_of_nothing_large_is_not_excused_by_an_infinite_scale():
    """Where the terms overflow, their order decides: such elements are skipped, and counted."""
    huge = FORMATS["float32"].max
    seen = got([INF, INF, 1.0], "float32")
    exact, scale = np.array([1.0, 1.0, 1.0]), np.array([4 * huge, 1.0, 1.0])
    judged = bounds.judge_dot(seen, exact, scale, "float32", 3)
    assert over(judged) == [False, True, False]
    assert (judged.skipped, judged.compared) == (1, 2)


def test_dot_tells_nan_and_infinities():
    seen = got([NAN, 1.0, INF, -INF, NAN, INF], "float32")
    exact = np.array([1.0, NAN, INF, INF, NAN, 2.0**130])
    judged = bounds.judge_dot(seen, exact, np.ones(6), "float32", 3)
    assert over(judged) == [True, True, False, True, False, False]


def test_a_mean_is_excused_by_the_sum_that_it_divides():
    seen, exact, scale = got([INF], "float32"), np.array([1.0]), np.array([1e38])
    assert over(bounds.judge_dot(seen, exact, scale, "float32", 5)) == [True]
    assert over(bounds.judge_dot(seen, exact, scale, "float32", 5, divisor=5)) == [False]


def test_an_infinite_term_is_outweighed_by_no_overflow():
    exact, scale = np.array([INF, INF]), np.full(2, 1e39)
    judged = bounds.judge_dot(got([NAN, -INF], "float32"), exact, scale, "float32", 5)
    assert over(judged) == [False, True]


def test_a_complex_overflow_leaves_the_other_part_open():
    exact = np.array([-6e38 + 2e38j, -1e38 + 2e38j])
    seen = np.array([complex(-INF, INF), complex(-1e38, INF)], np.complex64)
    judged = bounds.judge_stable(seen, exact, np.zeros(2), "complex64", 4)
    assert over(judged) == [False, True]


def test_dot_counts_the_roundings_of_terms_of_halves():
    exact, scale = np.array([0.0]), np.array([1.0])
    off = np.array([1.5 * FORMATS["bfloat16"].unit])
    assert over(bounds.judge_dot(off, exact, scale, "bfloat16", 2)) == [True]
    assert over(bounds.judge_dot(off, exact, scale, "bfloat16", 2, rounded=2)) == [False]


@pytest.mark.parametrize("dtype", NAMES)
@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_stable_accepts_at_the_bound_and_refuses_beyond(dtype, factor):
    fmt = FORMATS[dtype]
    exact, change = wide([1.0], dtype), wide([10 * fmt.unit], dtype)
    allowed = factor * 10 * fmt.unit + (factor / 2 + 0.5) * 2 * fmt.unit
    for share, wrong in ((1.0, False), (1.0625, True)):
        seen = exact + wide([share * allowed], dtype)
        judged = bounds.judge_stable(seen, exact, change, dtype, factor)
        assert over(judged) == [wrong]
        assert judged.worst == pytest.approx(share, rel=1e-4)


def test_stable_overflow_is_right_within_the_allowance_of_the_limit_only():
    fmt = FORMATS["float32"]
    exact = np.array([fmt.max, fmt.max / 2, -fmt.max])
    judged = bounds.judge_stable(got([INF] * 3, "float32"), exact, np.zeros(3), "float32", 2)
    assert over(judged) == [False, True, True]


def test_complex_functions_are_judged_by_their_modulus_and_class():
    exact = np.array([1 + 1e-9j] * 4 + [complex(INF, NAN), complex(NAN, 1), complex(0, INF)])
    seen = np.array(
        [1 + 1e-9j, 1 + 6e-8j, 1 + 1e-3j, complex(NAN, 0), complex(1, INF), complex(1, 1), complex(NAN, 0)]
    ).astype(np.complex64)
    judged = bounds.judge_ulp(seen, exact, "complex64", 1, True)
    # a part may be off by an ulp of the modulus; an infinity is one whatever its other part is
    assert over(judged) == [False, False, True, True, False, True, True]


def test_complex_parts_of_a_move_are_compared_bit_by_bit():
    seen = np.array([complex(1, 0.0), complex(NAN, 1)]).astype(np.complex64)
    exact = np.array([complex(1, -0.0), complex(NAN, 1)])
    assert over(bounds.judge_exact(seen, exact, "complex64", True)) == [True, False]
    assert over(bounds.judge_exact(seen, exact, "complex64", True, moved=False)) == [False, False]


def test_judged_parts_of_complex_take_the_worse():
    def judge(g, e):
        return bounds.Judged(np.abs(g - e), np.abs(g - e) > 1, 1.0, "x", skipped=int(g[0] == 9))

    judged = bounds.judge_parts(judge, np.array([9 + 2j, 0j]), np.array([9 + 0j, 1j]))
    assert (judged.worst, over(judged), judged.skipped) == (2.0, [True, False], 1)
    assert judged.compared == 1


# --- residuals -------------------------------------------------------------------------


def spd(n=5, dtype=np.float64):
    base = np.random.default_rng(1).normal(size=(n, n)).astype(dtype)
    if np.dtype(dtype).kind == "c":
        base = base + 1j * np.random.default_rng(2).normal(size=(n, n))
    return (base @ base.conj().T + n * np.eye(n)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
@pytest.mark.parametrize("upper", [False, True])
def test_residual_of_a_factor_is_small_and_of_a_perturbed_one_large(dtype, upper):
    a = spd(dtype=dtype)
    factor = np.linalg.cholesky(a)
    factor = factor.conj().T if upper else factor
    args = {"self": Operand(a), "upper": upper}
    assert cholesky(args, factor) < 1
    factor = factor.copy()
    factor[2, 2] *= 1 + 200 * np.finfo(dtype).eps
    assert cholesky(args, factor) > 1
    # the other triangle is another factor
    assert cholesky({**args, "upper": not upper}, factor) > 1000


def test_residual_of_a_known_matrix():
    """A = [[4]], L = [[2 + e]]: |4 - L^2| / (1 * 4 * eps) is (4e + e^2) / 4 eps."""
    eps, e = 2.0**-52, 2.0**-50
    found = cholesky({"self": Operand(np.array([[4.0]]))}, np.array([[2 + e]]))
    assert float(found) == pytest.approx((4 * e + e * e) / (4 * eps))


@pytest.mark.parametrize("right", [(5,), (5, 3)])
def test_residual_of_a_solution_and_of_a_perturbed_one(right):
    a, b = spd(), np.random.default_rng(3).normal(size=right)
    args = {"A": Operand(a), "B": Operand(b)}
    x = np.linalg.solve(a, b)
    assert solve(args, x) < 1
    x = x.copy()
    x.reshape(-1)[0] += 1000 * np.finfo(float).eps * np.abs(x).sum()
    assert solve(args, x) > 1


def test_residuals_of_a_batch_are_told_apart_and_nan_is_never_small():
    a = np.stack([spd(), spd() * 1e20])
    factor = np.linalg.cholesky(a)
    factor[1, 0, 0] *= 1 + 1e-9
    found = cholesky({"self": Operand(a)}, factor)
    assert found.shape == (2,) and found[0] < 1 < found[1]
    factor[0, 0, 0] = NAN
    assert not cholesky({"self": Operand(a)}, factor)[0] <= 30


def test_residual_of_an_empty_matrix_is_nothing():
    empty = np.zeros((0, 0))
    assert cholesky({"self": Operand(empty)}, empty) == 0
    assert solve({"A": Operand(empty), "B": Operand(np.zeros((0, 2)))}, np.zeros((0, 2))) == 0
