"""torch.testing of the reference against torch's own, word by word."""

import pytest

import reference_impl

torch = pytest.importorskip("torch")

PAIRS = [
    "T([1., 2.]), T([1., 3.])", "T([1., 2.]), T([1., 2.]).double()", "T([1., 2.]), T([1.])",
    "T([1.]), [1.]", "1.0, 1.1", "1, 1.5", "T(1.), T(1.1)", "{'a': [T([1.])]}, {'a': [T([2.])]}",
    "[1], [1, 2]", "{'a': 1}, {'b': 1}", "T([2, 4]), T([2, 8])", "T([nan]), T([nan])",
    "T([nan]), T([nan]), equal_nan=True", "T([True]), T([False])", "True, False", "None, 1",
    "T([[1., 2.]]).t(), T([[1.], [2.]]), check_stride=True", "T([1.]), T([1.]), rtol=0.1",
    "T([1 + 2j]), T([1 + 3j])", "T(1.), 1.", "'a', 'a'", "T([1.]), T([2.]), msg='said'",
    "T([1.]), T([2.]), msg=str.upper", "T([1.]), T([1.000001])", "inf, 1.0",
]  # fmt: skip
MADE = [
    "2, 3, dtype=torch.float32", "(2, 3), dtype=torch.int64, noncontiguous=True",
    "3, dtype=torch.complex64, requires_grad=True", "3, dtype=torch.int8, requires_grad=True",
    "3, dtype=torch.float32, low=3, high=2", "3, dtype=torch.int32, low=3, high=3",
    "(2, 3, 4, 5), dtype=torch.float32, memory_format=torch.channels_last",
    "0, 3, dtype=torch.float64", "3, dtype=torch.float32, low=nan", "(), dtype=torch.bfloat16",
    "4, dtype=torch.float64, low=-1e308, high=1e308", "3, dtype=torch.bool",
    "2, dtype=torch.float32, noncontiguous=True, memory_format=torch.contiguous_format",
]  # fmt: skip
NAMES = {"nan": float("nan"), "inf": float("inf")}


def answer(library, call, tell):
    try:
        return tell(eval(call, {**NAMES, "torch": library, "T": library.tensor}))
    except (AssertionError, TypeError, ValueError) as error:
        return type(error).__name__, str(error).replace("reference_impl.tensor.", "torch.")


@pytest.mark.parametrize("pair", PAIRS)
def test_assert_close_says_what_torch_says(pair):
    call = f"torch.testing.assert_close({pair})"
    assert answer(reference_impl, call, repr) == answer(torch, call, repr)


@pytest.mark.parametrize("arguments", MADE)
def test_make_tensor_makes_and_refuses_what_torch_does(arguments):
    def tell(t):
        return str(t.dtype), tuple(t.shape), tuple(t.stride()), t.requires_grad
    call = f"torch.testing.make_tensor({arguments}, device='cpu')"
    assert answer(reference_impl, call, tell) == answer(torch, call, tell)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool", "float16", "bfloat16", "float64"])
def test_make_tensor_keeps_to_its_limits(dtype):
    kind = getattr(reference_impl, dtype)
    drawn = reference_impl.testing.make_tensor(2000, dtype=kind, device="cpu").double()
    low, high = {"uint8": (0, 9), "bool": (0, 1), "int8": (-9, 9)}.get(dtype, (-9, 9))
    assert low <= drawn.min() <= low + 0.5
    assert high - 0.5 <= drawn.max() <= high
    made = reference_impl.testing.make_tensor(2000, dtype=kind, device="cpu", exclude_zero=True)
    assert made.ne(0).all()


def test_there_is_no_gpu():
    assert not reference_impl.cuda.is_available()
    assert reference_impl.cuda.device_count() == 0
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        reference_impl.cuda.current_device()
