"""Special values are what their words say, and every predicate recognises what it is named for."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.accuracy.formats import FORMATS, is_complex, is_floating, np_dtype
from conformance.cases.generate import DTYPES, LENGTHS, rng_of
from conformance.cases.points import (
    DECLARED,
    FILLERS,
    PREDICATES,
    Seen,
    classify,
    core_values,
    fill,
    special_values,
    whole_domain,
)
from conformance.loading import load_specs

VOCABULARY = load_specs().vocabulary
FLOATS = tuple(FORMATS)
INTEGERS = ("uint8", "int8", "int32", "int64")


def mask(word, *inputs, **more):
    """What a predicate says about arrays that stand element by element beside each other."""
    arrays = tuple(a if isinstance(a, np.ndarray) else np.array(a) for a in inputs)
    return classify([word], Seen(arrays, more.pop("args", {}), **more))[word].tolist()


def floats(*numbers, dtype="float32"):
    with np.errstate(over="ignore"):
        return np.array(numbers).astype(np_dtype(dtype))


# --- each word has one function, and it recognises ---------------------------------------

F = FORMATS["float32"]
NAN, INF = np.nan, np.inf
TELLING = {
    "nan": ((floats(NAN, 1, INF),), [True, False, False]),
    "inf": ((floats(NAN, 1, -INF),), [False, False, True]),
    "signed_zero": ((floats(0.0, -0.0, 1),), [True, True, False]),
    "subnormal": ((floats(F.smallest, -F.tiny / 2, F.tiny, 0),), [True, True, False, False]),
    "huge": ((floats(1e20, -3e38, 1e18, INF),), [True, True, False, False]),
    "tiny": ((floats(1e-20, -F.smallest, 1e-18, 0),), [True, True, False, False]),
    "one": ((floats(1, -1, 2),), [True, True, False]),
    "negative": ((floats(-1, -0.0, 1, -INF),), [True, False, False, True]),
    "integral": ((floats(3, 2.5, INF, NAN),), [True, False, False, False]),
    "half_way": ((floats(2.5, -0.5, 2, 0.25),), [True, True, False, False]),
    "tie": ((floats(1, 2, NAN), floats(1, 3, NAN)), [True, False, False]),
    "int_min": ((np.array([-128, 127, 0], np.int8),), [True, False, False]),
    "int_max": ((np.array([-128, 127, 0], np.int8),), [False, True, False]),
    "zero_divisor": ((floats(0, 1, 1), floats(1, 0, -0.0)), [False, True, True]),
    "negative_divisor": ((floats(-1, 1), floats(1, -1)), [False, True]),
    "negative_exponent": ((floats(-1, 1), floats(1, -1)), [False, True]),
    "zero_exponent": ((floats(0, 1), floats(1, -0.0)), [False, True]),
    "exp_limit": ((floats(88.72, -89.0, 80, 90, NAN),), [True, True, False, False, False]),
    "shift_out_of_range": (
        (np.array([1, 1, 1, 1], np.int8), np.array([7, 8, -1, 0], np.int8)),
        [False, True, True, False],
    ),
    "empty": ((floats(),), True),
    "zero_dim": ((floats(1), np.float32(1).reshape(())), True),
    "always": ((floats(1),), True),
}  # fmt: skip
WITH_ARGUMENTS = {
    "at_bound": [True, False, True, False],
    "beyond_bound": [False, True, False, True],
}


def test_every_predicate_is_tried_here():
    tried = {*TELLING, *WITH_ARGUMENTS, *DECLARED, "overflow", "zero_product", "wider_bound"}
    assert tried == set(PREDICATES) == set(VOCABULARY["points"])


@pytest.mark.parametrize("word", TELLING)
def test_predicate(word):
    inputs, expected = TELLING[word]
    assert mask(word, *inputs) == expected


@pytest.mark.parametrize("word", WITH_ARGUMENTS)
def test_bounds_of_the_call(word):
    x = floats(-1, -2, 3, 4)
    assert mask(word, x, args={"min": -1.0, "max": 3.0}) == WITH_ARGUMENTS[word]
    assert mask(word, x, args={"max": None, "min": None}) is False
    # bounds that are tensors stand beside it
    assert mask(word, x, floats(-1, -1, -1, -1), floats(3, 3, 3, 3)) == WITH_ARGUMENTS[word]


def test_overflow_is_of_the_exact_result_of_finite_inputs():
    x, exact = floats(1e38, INF, 1), np.array([1e39, INF, 2.0])
    assert mask("overflow", x, exact=exact) == [True, False, False]
    assert mask("overflow", x) is False


def test_subnormal_results_count_too():
    x, exact = floats(1, 1e-38, 1), np.array([1e-40, 1.0, 0.0])
    assert mask("subnormal", x, exact=exact) == [True, True, False]


def test_zero_product_is_of_a_whole_slice():
    assert mask("zero_product", floats(1, 0, 2), whole=True) is True
    assert mask("zero_product", floats(1, 1, 2), whole=True) is False


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        (((3,), (3,), (3,)), False), (((3, 1), (4,), (1,)), True), (((), (2,), (2,)), False),
        (((2,), (2,)), False), (((2,), (3,), (2,)), False),
    ],
)  # fmt: skip
def test_wider_bound_is_of_the_shapes_of_the_call(shapes, expected):
    assert mask("wider_bound", floats(1), shapes=shapes) is expected


@pytest.mark.parametrize("word", DECLARED)
def test_declared_points_hold_where_the_table_says_so(word):
    assert mask(word, floats(1), declared=(word,)) is True
    assert mask(word, floats(1), declared=("nan",)) is False


def test_a_declared_point_holds_for_the_whole_case():
    assert mask("nan", floats(1, 2), declared=("nan",)) is True


def test_without_partners_a_predicate_answers_for_the_whole():
    assert mask("nan", floats(1, NAN), floats(1, 2, 3), whole=True) is True
    assert mask("nan", floats(1), floats(1, 2, 3), whole=True) is False
    assert mask("tie", floats(1, 2, 1), whole=True) is True
    assert mask("tie", floats(1, 2, 3), whole=True) is False
    assert mask("zero_divisor", floats(1, 2), floats(0), whole=True) is True


@pytest.mark.parametrize("word", ["nan", "inf", "signed_zero", "subnormal", "huge", "tiny"])
def test_points_of_floats_say_nothing_of_integers(word):
    assert not np.any(mask(word, np.array([0, 1, 127], np.int8)))


def test_either_part_of_a_complex_number_counts():
    z = np.array([complex(NAN, 1), complex(1, INF), complex(1, 2)], np.complex64)
    assert mask("nan", z) == [True, False, False]
    assert mask("inf", z) == [False, True, False]


def test_unknown_points_are_refused():
    with pytest.raises(KeyError):
        mask("somewhere", floats(1))


# --- special values make every point that they are for -----------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("values", [special_values, core_values])
def test_special_values_of_floats_make_their_points(dtype, values):
    for word in ("nan", "inf", "signed_zero", "subnormal", "huge", "tiny", "one", "negative",
                 "integral", "half_way"):  # fmt: skip
        assert any(mask(word, values(dtype))), word


@pytest.mark.parametrize("dtype", INTEGERS)
def test_special_values_of_integers_make_their_points(dtype):
    for values in (special_values, core_values):
        for word in ("int_min", "int_max", "one"):
            assert any(mask(word, values(dtype))), word
    assert (special_values(dtype) == 0).any()


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_ladder_has_both_signs_the_limits_and_the_edges_of_the_range(dtype):
    fmt, values = FORMATS[dtype], special_values(dtype)
    wide = values.astype(np.longdouble)
    zeros = values[wide == 0]
    assert sorted(np.signbit(zeros).tolist()) == [False, True]
    for number in (fmt.max, fmt.tiny, fmt.smallest, fmt.max / 2, 2.0 ** (fmt.precision - 1)):
        assert (wide == number).any() and (wide == -number).any(), number
    finite = np.abs(wide[np.isfinite(wide)])
    top = float(np.log(fmt.max))
    near = finite[(finite > 0.9 * top) & (finite < 1.1 * top)]
    assert near.size, "where exp overflows"
    assert len(values) == len({v.tobytes() for v in values}), "nothing twice"


def test_special_values_of_bool_and_complex():
    assert special_values("bool").tolist() == [False, True]
    z = special_values("complex64")
    for part in (z.real, z.imag):
        assert np.isnan(part).any() and np.isinf(part).any()
        assert ((part == 0) & np.signbit(part)).any()
    assert (np.isinf(z.real) & np.isnan(z.imag)).any()


@pytest.mark.parametrize(
    ("dtype", "count"),
    [("bool", 2), ("uint8", 256), ("int8", 256), ("float16", 65536), ("bfloat16", 65536)],
)
def test_a_whole_domain_has_every_pattern(dtype, count):
    values = whole_domain(dtype)
    assert values.dtype == np_dtype(dtype)
    assert len({v.tobytes() for v in values}) == len(values) == count


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_a_large_domain_is_not_enumerated(dtype):
    with pytest.raises(KeyError):
        whole_domain(dtype)


# --- fillers ------------------------------------------------------------------------------


@pytest.mark.parametrize("word", FILLERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_fillers_give_the_shape_and_dtype_and_depend_on_the_seed_only(word, dtype):
    square = word in ("spd", "well_conditioned")
    if square and not (is_floating(dtype) or is_complex(dtype)):
        pytest.skip("matrices of integers are not factored")
    for shape in ((3, 3), (2, 4, 4), (0, 0)) if square else ((), (0,), (5,), (2, 3), (2, 0)):
        first, again = (fill(word, rng_of(0, word), shape, dtype) for _ in range(2))
        assert (first.shape, first.dtype) == (shape, np_dtype(dtype))
        assert first.tobytes() == again.tobytes()
    assert word in VOCABULARY["values"]


def many(word, dtype="float32", shape=(40,)):
    return fill(word, rng_of(0), shape, dtype)


def test_ordinary_numbers_are_finite_and_differ():
    for dtype in FLOATS:
        numbers = many("ordinary", dtype).astype(float)
        assert np.isfinite(numbers).all() and np.abs(numbers).max() < 100
    assert len(np.unique(many("ordinary"))) == 40
    assert many("ordinary", "uint8").min() >= 0 > many("ordinary", "int8").min()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int8", "int64"])
def test_distinct_numbers_are_distinct_in_every_dtype(dtype):
    assert len(np.unique(many("distinct", dtype).astype(float))) == 40


def test_fillers_are_what_they_say():
    assert len(np.unique(many("ties"))) < 10
    assert (many("positive") > 0).all() and (many("positive", "int8") > 0).all()
    assert ((many("probabilities") > 0) & (many("probabilities") < 1)).all()
    whole = many("small_integers", "bfloat16").astype(float)
    assert (whole == np.round(whole)).all() and np.abs(whole).max() <= 4
    assert any(mask("nan", many("points"))) or any(mask("inf", many("points")))


def test_nonfinite_has_at_most_one_special_value_a_row():
    rows = many("nonfinite", shape=(10, 6))
    special = ~np.isfinite(rows) | (rows == 0)
    assert (special.sum(axis=1) == 1).all()
    for word in ("nan", "inf", "signed_zero"):
        assert np.any(mask(word, rows))
    assert not np.any(mask("huge", rows)) and not np.any(mask("tiny", rows))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_matrices_are_conditioned_as_said(dtype):
    spd, fine = (many(word, dtype, (4, 5, 5)) for word in ("spd", "well_conditioned"))
    assert np.allclose(spd, spd.conj().swapaxes(-1, -2))
    assert (np.linalg.eigvalsh(spd) > 0).all()
    assert (np.linalg.cond(fine) < 100).all()


def test_unknown_fillers_are_refused():
    with pytest.raises(KeyError):
        many("pretty")


def test_lengths_lie_around_every_simd_width():
    assert {7, 8, 9, 16, 17, 33, 65} <= set(LENGTHS)
