"""Rules of divergence: each predicts the numbers that its library showed, and nothing beside."""

from types import SimpleNamespace

import numpy as np
import pytest

from conformance.accuracy.expected import Expectation
from conformance.accuracy.formats import np_dtype
from conformance.backends.reference import ReferenceBackend
from conformance.cases.case import Case, Operand
from conformance.loading import load_specs
from conformance.observation import Evaluation
from conformance.oracles.base import Comparison, Context, Sample
from conformance.oracles.divergences import RULES
from conformance.oracles.numbers import as_dtype, judge_of
from conformance.oracles.prediction import Prediction

SPECS = load_specs()
REFERENCE = ReferenceBackend()
INF, NAN = float("inf"), float("nan")
KINDS = {"y": ("value", "value"), "ct": ("vjp", "vjp"), "second": ("second", "second_order")}


def comparison(name, dtype, args, seen=None, what="y", ct=None, second=None, library="jax"):
    """Context and comparison of one call: lists are tensors; `seen` is None: as the norm says."""
    op = SPECS.ops[name]
    tensors = {a.name for a in op.parsed.tensors}
    given = {
        n: Operand(np.array(v, np_dtype(dtype)), "contiguous", True) if n in tensors else v
        for n, v in args.items()
    }
    case = Case("case", name, given, (dtype,))
    expectation = Expectation(REFERENCE, "torch")
    backend = SimpleNamespace(name=library, version="0")
    ctx = Context(op, backend, REFERENCE, expectation)
    vectors = [None if v is None else [np.array(v, np_dtype(dtype))] for v in (ct, second)]
    expected = expectation.expected(op, case, *vectors)
    sample = Sample(case, Evaluation(), expected, *vectors)
    kind, _, of = what.partition(".")
    names = [n for n, _ in case.differentiable()]
    place = 0 if kind == "y" else names.index(of) if of in names else len(names)
    exact = {"y": expected.outputs, "ct": expected.grads, "second": expected.seconds}[kind][place]
    observed = exact if seen is None else np.array(seen)
    observed = np.asarray(observed).astype(np_dtype(dtype))
    key, oracle = KINDS[kind]
    judged = judge_of(ctx, sample, key).judge(place, observed, as_dtype(exact, observed))
    return ctx, Comparison(
        sample, oracle, what, 1, np.asarray(judged.over), observed, as_dtype(exact, observed)
    )


def predicted(word, *args, **kwargs):
    return RULES[word](Prediction(*comparison(*args, **kwargs)))


TINY, LEAST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).smallest_subnormal)


def test_flushed_sum_counts_subnormal_operands_as_zeros():
    x, y = [[INF, 1.0], [2.0, 3.0]], [[LEAST], [1.0]]
    args = {"self": x, "mat2": y}
    found = predicted("flushed_sum", "mm", "float32", args, seen=[[NAN], [3.0]])
    np.testing.assert_array_equal(found, [[NAN], [3.0]])
    # what is seen is no excuse for itself
    found = predicted("flushed_sum", "mm", "float32", args, seen=[[INF], [4.0]])
    np.testing.assert_array_equal(found, [[NAN], [3.0]])


def test_flushed_sum_allows_flushed_products():
    x = {"self": [1e-20, TINY], "tensor": [1e-19, 0.5]}
    found = predicted("flushed_sum", "dot", "float32", x, seen=0.0)
    assert found == 0.0
    found = predicted("flushed_sum", "dot", "float32", x, seen=1e-30)
    assert found != 1e-30


def conv(image, seen):
    args = {"input": [[image]], "weight": [[[[1.0, 1.0]]]], "dilation": 2}
    return predicted("padded_pairs", "conv2d", "bfloat16", args, seen=seen, library="torch")


def test_padded_pairs_spoil_what_lies_left_of_an_infinity():
    # taps at 0 and 2, 1 and 3; each is read with its right neighbour
    norm = [[[[2.0, INF]]]]
    np.testing.assert_array_equal(conv([[1.0, INF, 1.0, 1.0]], norm), [[[[NAN, INF]]]])
    np.testing.assert_array_equal(conv([[1.0, 1.0, 1.0, 1.0]], [[[[2.0, 2.0]]]]), [[[[2.0, 2.0]]]])


def test_padded_pairs_make_nan_of_the_last_odd_kernels_infinity():
    weight = np.ones((6, 1, 1, 1))
    weight[2], weight[3] = INF, INF
    args = {"input": np.ones((1, 2, 1, 1)), "weight": weight, "groups": 2}
    found = predicted(
        "padded_pairs", "conv2d", "bfloat16", args,
        what="ct.input", ct=np.ones((1, 6, 1, 1)), library="torch",
    )  # fmt: skip
    np.testing.assert_array_equal(found.reshape(-1), [NAN, INF])


def test_moments_cancel_where_one_element_differs():
    # as torch 2.13 gives it in bfloat16: the exact cotangent is 200 times less
    args = {"input": [[0, 0, 0, 2.0]], "normalized_shape": [4]}
    seen = [[0.43359375, 0.72265625, 0.72265625, 0.00135803]]
    for last in (0.00135803, 0.5):
        seen[0][3] = last
        found = predicted(
            "moments_cancel", "layer_norm", "bfloat16", args, seen=seen,
            what="ct.input", ct=[[1, 1.5, 1.5, 0.75]], library="torch",
        )  # fmt: skip
        assert (abs(found[0, 3] - last) < 1e-5) == (last < 0.5)


def test_moments_overflow_as_what_they_are_added_to():
    x = [2.1181517, -1.8018187, 2.9853702, 1e-3]
    weight = [3.4028235e38, 1.7741491, -1.8740959, 1.6662095]
    args = {"input": [x], "normalized_shape": [4], "weight": weight, "bias": [0.0] * 4}
    seen = [[NAN, INF, NAN, NAN]]
    found = predicted(
        "moments_cancel", "layer_norm", "float32", args, seen=seen,
        what="ct.input", ct=[[1, 0.5, -3, 2]], library="torch",
    )  # fmt: skip
    np.testing.assert_array_equal(found, seen)


def test_quotients_cancel_with_the_size_of_their_terms():
    args = {"self": [1e-3, 2.0, 3.0], "dim": 0}
    given = {"what": "second.self", "ct": 1.0, "second": [1.0, 1.0, 1.0], "library": "torch"}
    _, c = comparison("prod", "float32", args, **given)
    for off, explained in ((1e-4, True), (1.0, False)):
        seen = np.asarray(c.expected, float) + [off, 0, 0]
        found = predicted("quotients_cancel", "prod", "float32", args, seen=seen, **given)
        assert (found[0] == np.float32(seen[0])) == explained


@pytest.mark.parametrize("seen", [INF, -INF, NAN])
def test_deviations_overflow_to_whatever_infinity(seen):
    args = {"self": [3e38, 0.0, 0.0, -3e38], "dim": [0], "correction": 1}
    given = {"what": "ct.self", "seen": [seen] * 4}
    found = predicted("deviations_overflow", "var", "float32", args, ct=-3.0, **given)
    np.testing.assert_array_equal(found, [seen] * 4)
    moderate = {**args, "self": [1e30, 0.0, 0.0, -1e30]}
    found = predicted("deviations_overflow", "var", "float32", moderate, ct=-3.0, **given)
    assert np.isfinite(found).all()


def test_exponentials_overflow_beside_an_infinite_maximum():
    args = {"self": [INF, 1e30, 1.0], "dim": [0]}
    found = predicted("exponentials_overflow", "logsumexp", "float32", args, what="ct.self", ct=2.0)
    np.testing.assert_array_equal(found, [NAN, NAN, 0.0])


def test_flushed_extreme_leaves_the_sign_of_zero_open():
    x = {"self": [[[-0.0, LEAST], [-1.0, -2.0]]], "kernel_size": 2}
    for zero in (0.0, -0.0):
        found = predicted("flushed_extreme", "max_pool2d", "float32", x, seen=[[[zero]]])
        assert found == 0 and np.signbit(found) == np.signbit(zero)
    assert predicted("flushed_extreme", "max_pool2d", "float32", x, seen=[[[LEAST]]]) == 0


def test_the_padding_of_a_pool_is_as_large_as_an_infinity_below_zero():
    x = {"self": [[[-INF]]], "kernel_size": 2, "stride": 1, "padding": 1}
    found = predicted(
        "window_restarts_at_nan", "max_pool2d", "float32", x, what="ct.self", ct=np.ones((1, 2, 2))
    )
    # of the windows whose first element is padding only the one that begins with it has it
    assert found == 1.0


def test_a_formula_may_be_off_by_what_its_functions_are():
    # log(1 + x) beyond sqrt(2) - 1: 1.4 ulp by the rounded sum, what the logarithm does besides
    for seen, explained in ((0.35363823, True), (0.353638, False)):
        found = predicted("own_formula", "log1p", "float32", {"self": [0.42423993]}, seen=[seen])
        assert (found == np.float32(seen)) == explained


def test_the_second_derivative_counts_the_rounding_of_the_saved_result():
    x, unit = 3.6432173, 2.0**-24
    given = {"what": "second.ct", "ct": [1.5], "second": [1.0]}
    _, c = comparison("tanh", "float32", {"self": [x]}, **given)
    assert not c.over
    y = np.tanh(np.float64(np.float32(x))) * (1 + 4 * unit)
    assert not comparison("tanh", "float32", {"self": [x]}, seen=[1 - y * y], **given)[1].over
    wrong = (1 - y * y) * 1.01
    assert comparison("tanh", "float32", {"self": [x]}, seen=[wrong], **given)[1].over


def test_a_subnormal_part_of_an_exponent_counts_as_zero():
    # 0 ** z has a derivative of 0 where z is real and not negative, and none beside the axis
    args = {"self": 0, "exponent": [complex(TINY, LEAST)]}
    given = {"what": "ct.exponent", "ct": [-3 - 1j]}
    assert np.isnan(comparison("pow.Scalar", "complex64", args, **given)[1].expected)
    assert predicted("flush_subnormals", "pow.Scalar", "complex64", args, **given) == 0
