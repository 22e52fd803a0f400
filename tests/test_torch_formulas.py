"""The formulas by which torch's predictions are made, held to torch itself, bit by bit."""

import numpy as np
import pytest

from conformance.accuracy.formats import np_dtype
from conformance.cases.points import Seen, classify, whole_domain
from conformance.oracles import torch_formulas
from conformance.oracles.formulas import Operands
from conformance.oracles.steps import Machine
from conformance.oracles.torch_rules import _up_to

torch = pytest.importorskip("torch")
vectors = pytest.mark.skipif(
    "AVX" not in torch.backends.cpu.get_cpu_capability(), reason="no vector kernels on this CPU"
)
HALVES = ("float16", "bfloat16")


def bits_of(tensor):
    return tensor.view(torch.int16).numpy().view(np.uint16)


def tensor_of(data):
    bits = torch.from_numpy(data.view(np.int16).copy())
    return bits.view(getattr(torch, data.dtype.name))


def formula(op, machine, x, y=None):
    """What the formula of an operation's value gives, in the wide dtype."""
    second = None if y is None else machine.number(y)
    operands = Operands(x=machine.number(x), y=second, z=None, ct=None, args={})
    return torch_formulas.FORMULAS["torch", op, "y"](operands).a


@vectors
@pytest.mark.parametrize("dtype", HALVES)
def test_erf_of_every_number(dtype):
    x = whole_domain(dtype)
    x = x[~np.isnan(x.astype(np.float32))]
    found = formula("erf", Machine("float32"), x)
    np.testing.assert_array_equal(
        found.astype(np.float32).astype(np_dtype(dtype)).view(np.uint16),
        bits_of(torch.erf(tensor_of(x))),
    )


@vectors
@pytest.mark.parametrize("dtype", HALVES)
def test_floor_divide_of_pairs(dtype):
    rng = np.random.default_rng(3)
    x, y = (np.exp(rng.uniform(-8, 8, 4096)).astype(np_dtype(dtype)) for _ in range(2))
    found = formula("floor_divide", Machine(dtype), x, -y)
    seen = torch.floor_divide(tensor_of(x), tensor_of(-y)).double().numpy()
    # where the quotient leaves the range, the vector kernel mends what fmod makes of it
    kept = np.abs(x.astype(float) / y.astype(float)) < 2**10
    np.testing.assert_array_equal(found[kept], seen[kept])
    exact = np.floor(x[kept].astype(float) / -y[kept].astype(float))
    assert (found[kept] != exact.astype(np_dtype(dtype)).astype(float)).any()


class Comparison:
    def __init__(self, observed):
        self.observed = np.array([observed])


class Prediction:
    norm = np.array([1.0])

    def __init__(self, observed):
        self.comparison = Comparison(observed)


@pytest.mark.parametrize(
    ("observed", "predicted"), [(1.25, 1.25), (0.5, 0.5), (1.75, 1.5), (-3.0, 0.5), (np.nan, 1.0)]
)
def test_an_error_is_predicted_up_to_its_cause(observed, predicted):
    assert _up_to(Prediction(observed), np.array([0.5]))[0] == predicted


@pytest.mark.parametrize(
    ("shapes", "refused"),
    [
        (((3,), (2, 1), (2, 1)), False),
        (((3,), (2, 1), ()), True),
        (((3,), (), (2, 1)), True),
        (((2, 3), (3,), (2, 1)), False),
        (((), (1,), ()), True),
    ],
)
def test_wider_bound_is_where_torch_refuses(shapes, refused):
    seen = Seen((), {}, shapes=shapes)
    assert bool(classify(["wider_bound"], seen)["wider_bound"]) is refused
    leaves = [torch.zeros(shape, requires_grad=True) for shape in shapes]
    y = torch.clamp(*leaves)
    if refused:
        with pytest.raises(RuntimeError, match="broadcast shape"):
            y.backward(torch.ones_like(y))
    else:
        y.backward(torch.ones_like(y))
