"""Neural network functions of the reference against torch itself."""

import numpy as np
import pytest
from against_torch import agree, numbers, torch

import reference_impl

TARGETS = {(3, 4): [0, 1, 3], (4,): 2, (2, 4, 3): [[0, 1, 3], [1, 1, 2]]}
REDUCTIONS = ["mean", "sum", "none"]


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, dim):
    agree(lambda lib, x: getattr(lib, name)(x, dim), numbers(3, 4))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("row", [[-np.inf, 1.0], [-np.inf, -np.inf], [np.inf, 1.0], [np.nan, 1.0]])
def test_softmax_of_special_rows(name, row):
    ours = getattr(reference_impl, name)(reference_impl.tensor(row), 0).numpy()
    np.testing.assert_array_equal(ours, getattr(torch, name)(torch.tensor(row), 0).numpy())


def test_layer_norm():
    agree(lambda lib, x, w, b: lib.nn.functional.layer_norm(x, [4], w, b), numbers(2, 3, 4),
          numbers(4), numbers(4, seed=1))
    agree(lambda lib, x, w: lib.nn.functional.layer_norm(x, [3, 4], w, eps=0.1), numbers(2, 3, 4),
          numbers(3, 4))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_mse_loss(reduction):
    agree(lambda lib, x, t: lib.nn.functional.mse_loss(x, t, reduction=reduction), numbers(3, 4),
          numbers(3, 4, seed=1))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.3}, {"ignore_index": 1}])
@pytest.mark.parametrize("weight", [None, [1.0, 0.5, 2.0, 3.0]])
@pytest.mark.parametrize("shape", TARGETS)
def test_cross_entropy_of_indices(shape, weight, options, reduction):
    def call(lib, x):
        w = None if weight is None else lib.tensor(weight, dtype=lib.float64)
        return lib.nn.functional.cross_entropy(x, lib.tensor(TARGETS[shape]), w,
                                               reduction=reduction, **options)
    agree(call, numbers(*shape))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("shape", TARGETS)
def test_cross_entropy_of_probabilities(shape, smoothing, reduction):
    agree(lambda lib, x, t: lib.nn.functional.cross_entropy(
        x, t, reduction=reduction, label_smoothing=smoothing),
        numbers(*shape), np.abs(numbers(*shape, seed=1)))


def test_linear():
    agree(lambda lib, x, w, b: lib.nn.functional.linear(x, w, b), numbers(2, 3, 4), numbers(5, 4),
          numbers(5))
    agree(lambda lib, x, w: lib.nn.functional.linear(x, w), numbers(4), numbers(5, 4))


@pytest.mark.parametrize("options", [
    {}, {"stride": 2}, {"padding": 1}, {"dilation": 2}, {"groups": 2},
    {"stride": [2, 1], "padding": [0, 1], "dilation": [1, 2]},
])  # fmt: skip
def test_conv2d(options):
    channels = 4 // options.get("groups", 1)
    agree(lambda lib, x, w, b: lib.nn.functional.conv2d(x, w, b, **options), numbers(2, 4, 5, 6),
          numbers(6, channels, 3, 2), numbers(6))


@pytest.mark.parametrize("options", [
    {}, {"stride": 1}, {"padding": 1}, {"ceil_mode": True},
    {"ceil_mode": True, "padding": 1, "stride": 2},
])  # fmt: skip
@pytest.mark.parametrize("kernel", [2, [3, 2]])
def test_pooling(kernel, options):
    if options.get("padding") and kernel != 2:
        options = {**options, "padding": [1, 1]}
    agree(lambda lib, x: lib.nn.functional.max_pool2d(x, kernel, **options) * x.sum(),
          numbers(2, 3, 5, 5))
    for more in ({}, {"count_include_pad": False}, {"divisor_override": 3}):
        agree(lambda lib, x, m=more: lib.nn.functional.avg_pool2d(x, kernel, **options, **m),
              numbers(2, 3, 5, 5))


@pytest.mark.parametrize("values", [[[3.0, 3.0], [1.0, 2.0]], [[np.nan, 1.0], [np.nan, 2.0]]])
def test_max_pool_chooses_the_first_maximum_and_the_last_nan(values):
    for lib in (reference_impl, torch):
        x = lib.tensor([values], requires_grad=True)
        y = lib.nn.functional.max_pool2d(x, 2)
        y.backward(lib.ones_like(y))
        place = np.argmax(x.grad.numpy().reshape(-1))
        assert place == (2 if np.isnan(values[0][0]) else 0)


@pytest.mark.parametrize("signs", [[1, -1, -1, -1], [-1, 1, 1, 1], [1, 1, 1, -1]])
def test_max_pool_gives_the_first_of_equal_zeros(signs):
    zeros = np.copysign(0.0, signs).reshape(1, 1, 2, 2).repeat(9, 1).astype(np.float32)
    for lib in (reference_impl, torch):
        y = lib.nn.functional.max_pool2d(lib.tensor(zeros), 2).numpy()
        assert (np.signbit(y) == (signs[0] < 0)).all()


@pytest.mark.parametrize("call", [
    lambda lib, F: F.cross_entropy(lib.ones(2, 3), lib.tensor([0, 3])),
    lambda lib, F: F.cross_entropy(lib.ones(2, 3), lib.tensor([0, 1, 2])),
    lambda lib, F: F.cross_entropy(lib.ones(2, 3), lib.tensor([0, 1]), label_smoothing=2.0),
    lambda lib, F: F.mse_loss(lib.ones(2), lib.ones(2), reduction="median"),
    lambda lib, F: F.layer_norm(lib.ones(2, 3), [4]),
    lambda lib, F: F.conv2d(lib.ones(1, 2, 4, 4), lib.ones(3, 3, 2, 2)),
    lambda lib, F: F.max_pool2d(lib.ones(1, 1, 4, 4), 5),
    lambda lib, F: lib.softmax(lib.ones(2, 3, dtype=lib.int64), 1),
])  # fmt: skip
def test_refusals_have_the_same_type(call):
    with pytest.raises(Exception) as theirs:
        call(torch, torch.nn.functional)
    with pytest.raises(Exception) as ours:
        call(reference_impl, reference_impl.nn.functional)
    assert isinstance(ours.value, theirs.type)
