"""torch.testing: tensors to test with, and comparing what came out. Norm: torch docs, torch.testing."""

import collections.abc
import math

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import device as make_device
from reference_impl.creation import empty, from_numpy, full
from reference_impl.dtypes import finfo, iinfo
from reference_impl.formats import contiguous_format
from reference_impl.random import default_generator
from reference_impl.tensor import Tensor

__all__ = ["assert_close", "make_tensor"]

# relative and absolute tolerance by dtype, the table in the documentation of assert_close; others: 0
TOLERANCES = {dt.float16: (1e-3, 1e-5), dt.bfloat16: (1.6e-2, 1e-5), dt.float32: (1.3e-6, 1e-5),
              dt.float64: (1e-7, 1e-7), dt.complex32: (1e-3, 1e-5), dt.complex64: (1.3e-6, 1e-5),
              dt.complex128: (1e-7, 1e-7)}


def make_tensor(*shape, dtype, device, low=None, high=None, requires_grad=False, noncontiguous=False,
                exclude_zero=False, memory_format=None):
    """A tensor of numbers drawn evenly from [low, high).

    low, high: by default 0 and 2 for bool, 0 and 10 for unsigned, -9 and 10 for signed integers,
    -9 and 9 for floats and the parts of complex numbers. exclude_zero: zeros become 1, or the
    smallest normal number. Raises ValueError for an empty or nan range, for two memory layouts, and
    for an integer tensor that is to require grad.
    """
    shape = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if noncontiguous and memory_format is not None:
        raise ValueError(f"The parameters `noncontiguous` and `memory_format` are mutually exclusive, "
                         f"but got {noncontiguous=} and {memory_format=}")
    if requires_grad and not dtype.is_differentiable:
        raise ValueError("`requires_grad=True` is not supported for boolean and integral dtypes, but "
                         f"got {dtype=}")
    lowest, highest, usual = _range(dtype)
    low = usual[0] if low is None else low
    high = usual[1] if high is None else high
    if low != low or high != high:      # noqa: PLR0124 - nan, of any type of number
        raise ValueError(f"`low` and `high` cannot be NaN, but got {low=} and {high=}")
    if low > high or low == high and not dtype.is_differentiable:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    low, high = max(low, lowest), min(high, highest)
    made = _drawn(shape, dtype, low, high)
    if noncontiguous and made.numel() > 1:
        made = made.repeat_interleave(2, dim=-1)[..., ::2]
    elif memory_format is not None and memory_format is not contiguous_format:
        made = made.clone(memory_format=memory_format)
    if exclude_zero:
        least = finfo(dtype).tiny if dtype.is_differentiable else 1
        made.masked_fill_(made == 0, complex(least, least) if dtype.is_complex else least)
    made = made.to(make_device(device))
    return made.requires_grad_() if requires_grad else made


def _range(dtype):
    """(lowest, highest allowed limit, usual limits) of a dtype."""
    if dtype is dt.bool:
        return 0, 2, (0, 2)
    if dtype.is_differentiable:
        return finfo(dtype).min, finfo(dtype).max, (-9, 9)
    info = iinfo(dtype)
    return info.min, info.max + 1, (0 if info.min == 0 else -9, 10)


def _drawn(shape, dtype, low, high):
    stream = default_generator._stream
    if dtype.is_differentiable:
        def part():      # halves first: the range may be wider than the largest number
            return (stream.uniform(low / 2, high / 2, shape) if high > low
                    else np.full(shape, low / 2)) * 2
        numbers = part() + 1j * part() if dtype.is_complex else part()
    else:
        low, high = math.ceil(low), math.ceil(high)
        kind = np.uint64 if high > 2**63 else np.int64
        numbers = stream.integers(low, high - 1, shape, dtype=kind, endpoint=True)
    return empty(shape, dtype=dtype).copy_(from_numpy(np.asarray(numbers)))


def assert_close(actual, expected, *, allow_subclasses=True, rtol=None, atol=None, equal_nan=False,
                 check_device=True, check_dtype=True, check_layout=True, check_stride=False, msg=None):
    """Raise AssertionError unless |actual - expected| <= atol + rtol * |expected| everywhere.

    Compares tensors, numbers, None, and sequences and mappings of these. rtol, atol: by dtype when
    neither is given. msg: instead of the message, or a function of it. Raises ValueError when only one
    tolerance is given, TypeError for what cannot be compared.
    """
    if (rtol is None) != (atol is None):
        raise ValueError("Both 'rtol' and 'atol' must be either specified or omitted, but got no "
                         f"{'atol' if atol is None else 'rtol'}.")
    checks = {"device": check_device, "dtype": check_dtype, "layout": check_layout,
              "stride()": check_stride}
    try:
        _compare(actual, expected, (), (rtol, atol, equal_nan, checks, allow_subclasses))
    except AssertionError as error:
        if msg is None:
            raise
        raise AssertionError(msg(str(error)) if callable(msg) else msg) from None


def _compare(actual, expected, path, options):
    numbers = (int, float, complex, np.number)
    if isinstance(actual, (bool, np.bool_)) and isinstance(expected, (bool, np.bool_)):
        if bool(actual) is not bool(expected):
            _fail(f"Booleans mismatch: {actual} is not {expected}", path)
    elif isinstance(actual, numbers) and isinstance(expected, numbers):
        _compare_numbers(actual, expected, path, options)
    elif actual is None or expected is None:
        if actual is not expected:
            _fail(f"None mismatch: {actual} is not {expected}", path)
    elif isinstance(actual, Tensor) and isinstance(expected, Tensor):
        _compare_tensors(actual, expected, path, options)
    elif isinstance(actual, np.ndarray) and isinstance(expected, np.ndarray):
        _compare_tensors(from_numpy(actual.copy()), from_numpy(expected.copy()), path, options)
    elif _are(actual, expected, collections.abc.Mapping):
        _compare_keys(actual, expected, path)
        for key in actual:
            _compare(actual[key], expected[key], (*path, key), options)
    elif _are(actual, expected, collections.abc.Sequence):
        if len(actual) != len(expected):
            _fail(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", path)
        for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
            _compare(a, b, (*path, i), options)
    else:
        raise TypeError(f"No comparison pair was able to handle inputs of type {type(actual)} and "
                        f"{type(expected)}.")


def _are(actual, expected, kind):
    return isinstance(actual, kind) and isinstance(expected, kind) and not isinstance(actual, str)


def _compare_keys(actual, expected, path):
    missing, more = sorted(set(expected) - set(actual), key=str), sorted(set(actual) - set(expected), key=str)
    if missing or more:
        lines = ["The keys of the mappings do not match:"]
        if missing:
            lines.append(f"Missing keys in the actual mapping: {missing}")
        if more:
            lines.append(f"Additional keys in the actual mapping: {more}")
        _fail("\n".join(lines), path)


def _compare_numbers(actual, expected, path, options):
    if options[3]["dtype"] and type(actual) is not type(expected):
        _fail(f"The (d)types do not match: {type(actual)} != {type(expected)}.", path)
    rtol, atol = _tolerances((full((), v).to(_dtype(v)) for v in (actual, expected)), options)
    if not _close(np.asarray(actual), np.asarray(expected), rtol, atol, options[2]):
        _fail(_about_numbers(actual, expected, rtol, atol), path)


def _dtype(number):
    if isinstance(number, (complex, np.complexfloating)):
        return dt.complex128
    return dt.float64 if isinstance(number, (float, np.floating)) else dt.int64


def _compare_tensors(actual, expected, path, options):
    if actual._size != expected._size:
        _differ("shape", actual.shape, expected.shape, path)
    for name, wanted in options[3].items():
        if not wanted:
            continue
        a, b = ((t.stride() if name == "stride()" else getattr(t, name)) for t in (actual, expected))
        if a != b:
            _differ(name, a, b, path)
    if actual._meta or expected._meta:
        return
    rtol, atol = _tolerances((actual, expected), options)
    a, b = (t.detach().to(_wide(t.dtype)).numpy(force=True) for t in (actual, expected))
    close = _close(a, b, rtol, atol, options[2])
    if close.all():
        return
    if a.ndim == 0:
        _fail(_about_numbers(actual.item(), expected.item(), rtol, atol), path)
    _fail(_about_elements(a, b, close, rtol, atol), path)


def _wide(dtype):
    """A dtype that NumPy has, without loss."""
    if dtype.is_complex:
        return dt.complex128 if dtype is dt.complex128 else dt.complex64
    if dtype.is_floating_point:
        return dtype if dtype is dt.float64 else dt.float32
    return dt.uint64 if dtype is dt.uint64 else dt.int64


def _tolerances(tensors, options):
    """(rtol, atol): as given, else the loosest of the dtypes'."""
    rtol, atol, *_ = options
    if rtol is not None:
        return rtol, atol
    found = [TOLERANCES.get(t.dtype, (0.0, 0.0)) for t in tensors]
    return max(r for r, _ in found), max(a for _, a in found)


def _close(a, b, rtol, atol, equal_nan):
    with np.errstate(all="ignore"):
        if rtol == atol == 0 and a.dtype.kind not in "fc":
            return np.asarray(a == b)
        return np.asarray(np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan))


def _fail(text, path):
    where = "".join(f"[{key!r}]" for key in path)
    raise AssertionError(f"{text}\n\nThe failure occurred for item {where}" if path else text)


def _differ(name, a, b, path):
    _fail(f"The values for attribute '{name}' do not match: {a} != {b}.", path)


def _word(rtol, atol):
    return "equal" if rtol == atol == 0 else "close"


def _allowed(limit, rtol, atol):
    return "" if rtol == atol == 0 else f" (up to {limit} allowed)"


def _about_numbers(actual, expected, rtol, atol):
    off = abs(actual - expected)
    share = off / abs(expected) if expected else math.inf
    return (f"Scalars are not {_word(rtol, atol)}!\n\nExpected {expected} but got {actual}.\n"
            f"Absolute difference: {off}{_allowed(atol, rtol, atol)}\n"
            f"Relative difference: {share}{_allowed(rtol, rtol, atol)}")


def _about_elements(a, b, close, rtol, atol):
    wrong, total = int((~close).sum()), close.size
    with np.errstate(all="ignore"):
        off = np.where(close, 0, np.abs(a - b))
        share = off / np.abs(b)
    share = np.where(close, 0, share)
    lines = [f"Tensor-likes are not {_word(rtol, atol)}!", "",
             f"Mismatched elements: {wrong} / {total} ({wrong / total:.1%})"]
    for name, amount, limit in (("absolute", off, atol), ("relative", share, rtol)):
        place = tuple(int(i) for i in np.unravel_index(int(np.argmax(amount)), amount.shape))
        lines.append(f"Greatest {name} difference: {amount[place].item()} at index {place}"
                     f"{_allowed(limit, rtol, atol)}")
    return "\n".join(lines)
