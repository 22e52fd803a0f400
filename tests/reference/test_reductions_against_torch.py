"""Reductions of the reference against torch itself."""

import numpy as np
import pytest
from against_torch import agree, numbers, torch

import reference_impl

ZEROS = numbers(3, 4)
ZEROS[0, 1] = ZEROS[1, 0] = ZEROS[1, 2] = 0.0
DIMS = [[0], [1], [0, 1], [-1]]


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "logsumexp"])
def test_reduction_over_several_dimensions(name, dim, keepdim):
    agree(lambda lib, x: getattr(lib, name)(x, dim, keepdim=keepdim), numbers(3, 4))


@pytest.mark.parametrize("correction", [0, 1, 0.5])
@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("name", ["var", "std"])
def test_variance(name, dim, correction):
    agree(lambda lib, x: getattr(lib, name)(x, dim, correction=correction), numbers(3, 4))


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("name", ["prod", "cumsum", "max", "min"])
def test_reduction_over_one_dimension(name, dim):
    agree(lambda lib, x: getattr(lib, name)(x, dim), numbers(3, 4))


@pytest.mark.parametrize("dim", [0, 1])
def test_product_with_zeros(dim):
    agree(lambda lib, x: lib.prod(x, dim), ZEROS)


@pytest.mark.parametrize("name", ["amax", "amin"])
def test_ties_share_the_cotangent(name):
    agree(lambda lib, x: getattr(lib, name)(x, [1]), np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]))


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "logsumexp"])
def test_zero_dim_tensor_has_a_dimension(name):
    agree(lambda lib, x: getattr(lib, name)(x, [0]), np.array(2.0))


@pytest.mark.parametrize("values", [
    [np.nan, 1.0, 2.0], [1.0, np.nan, np.nan], [3.0, 3.0, 1.0], [-np.inf, -np.inf, -np.inf],
    [0.0, -0.0, 0.0],
])  # fmt: skip
@pytest.mark.parametrize("name", ["argmax", "argmin", "max", "min"])
def test_which_element_is_chosen(name, values):
    ours = getattr(reference_impl, name)(reference_impl.tensor(values), 0)
    theirs = getattr(torch, name)(torch.tensor(values), 0)
    if isinstance(ours, tuple):
        ours, theirs = ours[1], theirs[1]
    assert ours.item() == theirs.item()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int64", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["sum", "prod", "cumsum", "all", "any"])
def test_result_dtype(name, dtype):
    ours = getattr(reference_impl, name)(
        reference_impl.ones(2, 3, dtype=getattr(reference_impl, dtype)), 0)
    theirs = getattr(torch, name)(torch.ones(2, 3, dtype=getattr(torch, dtype)), 0)
    assert str(ours.dtype) == str(theirs.dtype)


@pytest.mark.parametrize("call", [
    lambda lib: lib.sum(lib.ones(2, 3), [2]),
    lambda lib: lib.sum(lib.ones(2, 3), [1, -1]),
    lambda lib: lib.mean(lib.ones(2, 3, dtype=lib.int64), [0]),
    lambda lib: lib.amax(lib.ones(0, 3), [0]),
    lambda lib: lib.argmax(lib.ones(0, 3)),
    lambda lib: lib.argmax(lib.ones(2, dtype=lib.bool), 0),
    lambda lib: lib.var(lib.ones(2, dtype=lib.int64), [0], correction=1),
    lambda lib: lib.max(lib.ones(2, 3), 2),
    lambda lib: lib.logsumexp(lib.ones(2, 3), [0, 0]),
])  # fmt: skip
def test_refusals_have_the_same_type(call):
    with pytest.raises(Exception) as theirs:
        call(torch)
    with pytest.raises(Exception) as ours:
        call(reference_impl)
    assert isinstance(ours.value, theirs.type)
