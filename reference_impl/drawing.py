"""Random numbers: the functions that draw them. The methods that fill are in random_fills.py.

Which numbers come is the stream's affair (random.py); which are possible, and what is refused, is
torch's (aten/src/ATen/native/DistributionTemplates.h).
"""

import warnings

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import (
    deliver,
    empty_like,
    finish,
    named_size,
    requested,
    sizes_of,
    zeros_like,
)
from reference_impl.errors import Argument, ArgumentType, DtypeUnsupported, NotImplementedFor
from reference_impl.geometry import broadcast_shapes
from reference_impl.inplace import write
from reference_impl.random import stream_of
from reference_impl.rule import OPERATIONS, rule
from reference_impl.tensor import Tensor

FLOATS, REALS = (dt.FLOAT,), (dt.BOOL, dt.INT, dt.FLOAT)
C_NAMES = {"bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short",
           "int32": "int", "int64": "long", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
           "float32": "float", "float64": "double"}


def limits_of(dtype):
    """The smallest and the largest number of a dtype, as Python integers or floats."""
    if dtype is dt.bool:
        return 0, 1
    info = dt.iinfo(dtype) if dtype.category == dt.INT else dt.finfo(dtype)
    return info.min, info.max


def graph_rule(name, node, inputs=("self",)):
    """What the graph sees of a function that draws: nothing that depends on its inputs."""
    def forward(self=None, std=None, *, values):
        return values
    rule(name, forward, inputs=inputs, method=False, function=False, node=node, layout="preserve",
         vjp=lambda ct, ins, y, **_: [None if x is None else zeros_like(ct) for x in ins],
         jvp=lambda t, ins, y, **_: zeros_like(y))


# --- numbers of one distribution, as an array ---


def uniform_array(stream, size, dtype, low=0.0, high=1.0):
    """Numbers of [low, high) that the dtype can hold."""
    if dtype.is_complex:
        real = dtype.to_real()
        parts = [uniform_array(stream, size, real, low, high).astype(np.float64) for _ in range(2)]
        return (parts[0] + 1j * parts[1]).astype(dtype.np)
    bits = min(dt.finfo_digits(dtype), 53)
    unit = stream.integers(0, 2 ** bits, size).astype(np.float64) / 2 ** bits
    return (low + unit * (high - low)).astype(dtype.np)


def normal_array(stream, size, dtype, mean=0.0, std=1.0):
    if dtype.is_complex:     # variance 1 in all, half of it in each part
        half = std / np.sqrt(2)
        return (mean + stream.normal(0, half, size) + 1j * stream.normal(0, half, size)).astype(
            dtype.np)
    return (mean + std * stream.standard_normal(size)).astype(dtype.np)


def check_integers(dtype, low, last):
    """Refuse a range of integers that the dtype cannot hold; warn where it cannot tell them apart."""
    if dtype.category not in REALS:
        raise DtypeUnsupported("check_random_bounds handles only integral, floating-point and "
                               "boolean types")
    least, most = limits_of(dtype)
    name = C_NAMES.get(dtype.name, dtype.name)
    for word, value in (("from", low), ("to - 1", last)):
        if not least <= value <= most:
            raise Argument(f"{word} is out of bounds for {name}")
        digits = dt.finfo_digits(dtype) if dtype.category == dt.FLOAT else 64
        if abs(value) > 2 ** digits:
            warnings.warn(f"{word} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision "
                          f"limitations {name} can support discrete uniform distribution only "
                          "within this range. This warning will become an error in later versions "
                          "in a future release", UserWarning, stacklevel=4)


def within(dtype, low, high):
    """The ends of [low, high) moved inwards, so that no float is rounded out of it."""
    if dtype.category != dt.FLOAT:
        return low, high
    first, last = (int(np.asarray(x).astype(dtype.np)) for x in (low + 1, high - 1))
    if first < low:
        low = first + _spacing(dtype, low + 1)
    if last >= high:
        high = last - _spacing(dtype, high - 1)
    return low, high


def _spacing(dtype, n):
    """The distance of the integers near n that the dtype can hold."""
    return 1 << (abs(n).bit_length() - dt.finfo_digits(dtype))


def integer_array(stream, low, last, size, dtype):
    """Integers from low to last, both included."""
    wide = np.uint64 if dtype is dt.uint64 else np.int64
    return np.asarray(stream.integers(low, last, size, wide, endpoint=True)).astype(dtype.np)


def check_order(low, high):
    if low >= high:
        raise Argument(f"random_ expects 'from' to be less than 'to', but got from={low} >= "
                       f"to={high}")


# --- functions that draw a new tensor ---


def _drawn(name, draw, kernel):
    def function(*size, generator=None, out=None, dtype=None, layout=None, device=None,
                 requires_grad=False, pin_memory=False, **named):
        dtype = requested(dtype, out, layout, device) or dt.get_default_dtype()
        if not dtype.is_differentiable:
            raise NotImplementedFor(f"\"{kernel}\" not implemented for '{dtype.scalar_name}'")
        size = named_size(size, named, name)
        return _delivered(draw(stream_of(generator), size, dtype), dtype, out, requires_grad, device)
    function.__name__ = function.__qualname__ = name
    return function


def _delivered(array, dtype, out, requires_grad=False, device=None):
    if out is not None and out._size != np.shape(array):
        out.resize_(np.shape(array))
    return deliver(np.asarray(array), dtype, out, requires_grad, device)


rand = _drawn("rand", uniform_array, "check_uniform_bounds")
randn = _drawn("randn", normal_array, "normal_kernel_cpu")


def _limits_and_size(given, **named):
    """(low, high, size) of a call randint([low,] high, size), any of them by name."""
    named = {k: x for k, x in named.items() if x is not None}
    names = ("low", "high", "size")[-max(2, len(given) + len(named)):]
    bound = dict(zip(names, given, strict=False)) | named
    if not given and "high" not in named and "low" in named:
        raise ArgumentType('randint() missing 2 required positional argument: "high", "size"')
    if len(given) + len(named) > 3 or len(bound) < len(given) + len(named) or set(bound) != set(names):
        raise ArgumentType("randint() received an invalid combination of arguments - got ("
                           + ", ".join([type(x).__name__ for x in given]
                                       + [f"{k}={type(x).__name__}" for k, x in named.items()])
                           + "), but expected ([int low,] int high, tuple of ints size)")
    return bound.get("low", 0), bound["high"], bound["size"]


def randint(*given, low=None, high=None, size=None, generator=None, out=None, dtype=None,
            layout=None, device=None, requires_grad=False, pin_memory=False):
    """Integers of [low, high): randint(high, size) or randint(low, high, size).

    Raises Argument where low >= high or the dtype cannot hold them, ArgumentType for other arguments.
    """
    low, high, size = _limits_and_size(given, low=low, high=high, size=size)
    for word, value in (("low", low), ("high", high)):
        if isinstance(value, float):
            raise ArgumentType(f"randint(): argument '{word}' must be int, not float")
    if isinstance(size, int):
        raise ArgumentType("randint(): argument 'size' must be tuple of ints, not int")
    dtype = requested(dtype, out, layout, device) or dt.int64
    low, high = int(low), int(high)
    check_order(low, high)
    check_integers(dtype, low, high - 1)
    low, high = within(dtype, low, high)
    array = integer_array(stream_of(generator), low, high - 1, sizes_of((size,), "randint"), dtype)
    return _delivered(array, dtype, out, requires_grad, device)


def randperm(n, *, generator=None, out=None, dtype=None, layout=None, device=None,
             requires_grad=False, pin_memory=False):
    """0 to n - 1 in random order. Raises Argument for an n that the dtype cannot count to."""
    dtype = requested(dtype, out, layout, device) or dt.int64
    if n < 0:
        raise Argument(f"Trying to create tensor with negative dimension {n}: [{n}]")
    if dtype.category == dt.FLOAT and n > 2 ** dt.finfo_digits(dtype) + 1:
        raise Argument(f"n cannot be greater than {2 ** dt.finfo_digits(dtype) + 1} for "
                       f"{dtype.scalar_name} type.")
    if dtype.category == dt.INT and n > 1 + dt.iinfo(dtype).max:
        raise Argument(f"value cannot be converted to type {dtype.name}_t without overflow")
    array = stream_of(generator).permutation(n).astype(dtype.np)
    return _delivered(array, dtype, out, requires_grad, device)


def _like(fill):
    def function(input, *args, dtype=None, requires_grad=False, device=None, layout=None,
                 memory_format=None, **named):
        made = empty_like(input, dtype=dtype, device=device, memory_format=memory_format)
        fill(made, *args, **named)
        return finish(made, requires_grad)
    return function


rand_like = _like(lambda t, generator=None: write(t, uniform_array(
    stream_of(generator), t._size, t.dtype)))
randn_like = _like(lambda t, generator=None: write(t, normal_array(
    stream_of(generator), t._size, t.dtype)))


def randint_like(input, low, high=None, *, generator=None, **options):
    """Integers of [low, high) in the size and dtype of `input`."""
    low, high = (0, low) if high is None else (low, high)
    return _like(lambda t: t.random_(int(low), int(high), generator=generator))(input, **options)


def normal(mean, std=1.0, size=None, *, generator=None, out=None, dtype=None, layout=None,
           device=None, requires_grad=False, pin_memory=False):
    """Normal numbers, with mean and std given as tensors, or as numbers together with a size.

    Raises Argument for a negative std, DtypeUnsupported for a complex one.
    """
    tensors = [x for x in (mean, std) if isinstance(x, Tensor)]
    if isinstance(std, Tensor) and std.dtype.is_complex:
        raise DtypeUnsupported("normal expects standard deviation to be non-complex")
    if isinstance(std, Tensor):
        if bool((std < 0).any()):
            raise Argument("normal expects all elements of std >= 0.0")
    elif std < 0:
        raise Argument(f"normal expects std >= 0.0, but found std {std:g}")
    if size is not None:
        shape = sizes_of((size,), "normal")
        dtype = requested(dtype, out, layout, device) or dt.get_default_dtype()
    elif tensors:
        shape = broadcast_shapes(*(t._size for t in tensors))
        dtype = tensors[0].dtype
    else:
        raise ArgumentType("normal() received an invalid combination of arguments - got "
                           f"({type(mean).__name__}, {type(std).__name__}): a size is missing")
    a, b = (x.detach()._array if isinstance(x, Tensor) else x for x in (mean, std))
    array = normal_array(stream_of(generator), shape, dtype, a, b)
    if out is not None or size is not None:
        return _delivered(array, dtype, out, requires_grad, device)
    given = [x if isinstance(x, Tensor) else None for x in (mean, std)]
    number = 1 + (given[0] is None) + 2 * (None not in given)
    return OPERATIONS[f"_normal{number}"].function(*given, values=array)


for _number in (1, 2, 3):
    graph_rule(f"_normal{_number}", f"NormalBackward{_number}", ("self?", "std?"))


def _floats_only(kernel, t):
    if t.dtype.category != dt.FLOAT:
        raise NotImplementedFor(f"\"{kernel}\" not implemented for '{t.dtype.scalar_name}'")


def bernoulli(input, p=None, *, generator=None, out=None):
    """1 with the probability that `input` holds (or p), else 0, in its dtype."""
    if p is None:
        _floats_only("bernoulli_tensor_cpu_p_", input)
    chance = np.asarray(input.detach()._array if p is None else p, np.float64)
    if ((chance < 0) | (chance > 1)).any():
        raise Argument("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    array = (stream_of(generator).random(input._size) < chance).astype(input.dtype.np)
    if out is not None:
        return _delivered(array, input.dtype, out)
    return OPERATIONS["_bernoulli"].function(input, values=array)


def poisson(input, generator=None):
    """Numbers of events when `input` are expected. Raises Argument for a negative rate."""
    _floats_only("poisson_cpu", input)
    rate = input.detach()._array.astype(np.float64)
    if (rate < 0).any():
        raise Argument("invalid Poisson rate, expected rate to be non-negative")
    array = stream_of(generator).poisson(rate).astype(input.dtype.np)
    return OPERATIONS["_poisson"].function(input, values=array)


graph_rule("_bernoulli", "BernoulliBackward0")
graph_rule("_poisson", "PoissonBackward0")


NO_WEIGHTS = "probability tensor contains either `inf`, `nan` or element < 0"


def multinomial(input, num_samples, replacement=False, *, generator=None, out=None):
    """Indices drawn with the weights that each row of `input` holds."""
    if input.ndim not in (1, 2):
        raise Argument("prob_dist must be 1 or 2 dim")
    if not input.dtype.is_floating_point:
        raise DtypeUnsupported("multinomial only supports floating-point dtypes for input, got: "
                               f"{input.dtype.scalar_name}")
    if num_samples <= 0:
        raise Argument("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > input._size[-1]:
        raise Argument("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if input._size[-1] > 2 ** 24:      # more than float32 counts
        raise Argument("number of categories cannot exceed 2^24")
    if out is not None and out.dtype is not dt.int64:
        raise DtypeUnsupported(f"multinomial expects Long tensor out, got: {out.dtype.scalar_name}")
    rows = input.detach()._array.reshape(-1, input._size[-1]).astype(np.float64)
    with_replacement = replacement and num_samples > 1
    if (rows < 0).any():
        raise Argument("invalid multinomial distribution (encountering probability entry < 0)"
                       if with_replacement else NO_WEIGHTS)
    if not np.isfinite(rows).all():
        raise Argument("invalid multinomial distribution (encountering probability entry = "
                       "infinity or NaN)" if with_replacement else NO_WEIGHTS)
    if (rows.sum(1) <= 0).any():
        raise Argument("invalid multinomial distribution (sum of probabilities <= 0)")
    stream = stream_of(generator)
    if replacement:
        drawn = [stream.choice(len(r), num_samples, True, r / r.sum()) for r in rows]
    else:
        # The largest w / e, with e exponential, is i with probability w_i / sum(w), the second
        # largest is the next draw, and so on; what has no weight comes last.
        keys = rows / stream.exponential(size=rows.shape)
        drawn = np.argsort(-keys, axis=1, kind="stable")[:, :num_samples]
    array = np.array(drawn, np.int64).reshape((*input._size[:-1], num_samples))
    return _delivered(array, dt.int64, out)


Tensor.bernoulli, Tensor.multinomial = bernoulli, multinomial
