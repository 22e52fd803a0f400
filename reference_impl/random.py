"""Random numbers: a Generator, the functions that draw, and the methods that fill.

The stream is NumPy's PCG64, not torch's Mersenne Twister: a seed gives the same numbers every
time here, but not torch's numbers (which torch does not promise across releases either).
"""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import (
    check_dtype,
    empty_like,
    finish,
    named_size,
    sizes_of,
)
from reference_impl.errors import Argument, DtypeUnsupported
from reference_impl.geometry import broadcast_shapes
from reference_impl.grad_mode import state
from reference_impl.graph import edges_of, make_node
from reference_impl.inplace import check_history, rebase, write
from reference_impl.rule import RULES
from reference_impl.tensor import Tensor, make_tensor

SEED = 67280421310721        # torch's first seed, too


class Generator:
    """torch.Generator: a stream of random numbers of its own."""

    def __init__(self, device="cpu"):
        from reference_impl.creation import device as make_device
        self.device = make_device(device)
        self.manual_seed(SEED)

    def manual_seed(self, seed):
        """Start the stream that belongs to `seed` (negative seeds count modulo 2**64)."""
        self._seed = int(seed) % 2 ** 64
        self._stream = np.random.Generator(np.random.PCG64(self._seed))
        return self

    def initial_seed(self):
        return self._seed

    def seed(self):
        """Start a stream that nobody can foretell; returns its seed."""
        self.manual_seed(int(np.random.SeedSequence().entropy) % 2 ** 63)
        return self._seed

    def get_state(self):
        """The place in the stream, as a uint8 tensor."""
        inner = self._stream.bit_generator.state["state"]
        words = [self._seed.to_bytes(8, "little"), inner["state"].to_bytes(16, "little"),
                 inner["inc"].to_bytes(16, "little")]
        return make_tensor(np.frombuffer(b"".join(words), np.uint8).copy(), dt.uint8)

    def set_state(self, new_state):
        """Go back to a place that get_state told. Raises Argument for anything else."""
        if not isinstance(new_state, Tensor) or new_state.dtype is not dt.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        raw = new_state.numpy().tobytes()
        if len(raw) != 40:
            raise Argument(f"RNG state is wrong size: {len(raw)} bytes, expected 40")
        self.manual_seed(int.from_bytes(raw[:8], "little"))
        whole = self._stream.bit_generator.state
        whole["state"] = {"state": int.from_bytes(raw[8:24], "little"),
                          "inc": int.from_bytes(raw[24:], "little")}
        self._stream.bit_generator.state = whole
        return self


default_generator = Generator()


def manual_seed(seed):
    return default_generator.manual_seed(seed)


def seed():
    return default_generator.seed()


def initial_seed():
    return default_generator.initial_seed()


def get_rng_state():
    return default_generator.get_state()


def set_rng_state(new_state):
    default_generator.set_state(new_state)


def stream_of(generator):
    if state.batched:
        raise Argument("vmap: We do not yet support calling random operations inside of vmap. Please "
                       "perform random operations outside of vmap as a workaround")
    return (default_generator if generator is None else generator)._stream


def _uniform(stream, size, dtype, low=0.0, high=1.0):
    """Numbers of [low, high) that the dtype can hold: rounding up to `high` is undone."""
    if dtype.is_complex:
        real = dtype.to_real()
        parts = [_uniform(stream, size, real, low, high).astype(np.float64) for _ in range(2)]
        return (parts[0] + 1j * parts[1]).astype(dtype.np)
    bits = min(dt.finfo_digits(dtype), 53)
    unit = stream.integers(0, 2 ** bits, size).astype(np.float64) / 2 ** bits
    return (low + unit * (high - low)).astype(dtype.np)


def _normal(stream, size, dtype, mean=0.0, std=1.0):
    if dtype.is_complex:     # variance 1 in all, half of it in each part
        half = std / np.sqrt(2)
        return (mean + stream.normal(0, half, size) + 1j * stream.normal(0, half, size)).astype(
            dtype.np)
    return (mean + std * stream.standard_normal(size)).astype(dtype.np)


def _made(array, dtype, out, requires_grad, device):
    made = make_tensor(np.asarray(array), dtype)
    if out is not None:
        return out.resize_(made._size).copy_(made)
    return finish(made, requires_grad, device)


def _drawn(name, draw):
    def function(*size, generator=None, out=None, dtype=None, device=None, requires_grad=False,
                 layout=None, pin_memory=False, **named):
        dtype = check_dtype(dtype) or (out.dtype if out is not None else dt.get_default_dtype())
        if not dtype.is_differentiable:
            raise DtypeUnsupported(f'"{name}" not implemented for \'{dtype.scalar_name}\'')
        array = draw(stream_of(generator), named_size(size, named), dtype)
        return _made(array, dtype, out, requires_grad, device)
    return function


rand = _drawn("rand", _uniform)
randn = _drawn("randn", _normal)
rand.__name__, randn.__name__ = "rand", "randn"


def _integers(stream, low, high, size, dtype):
    if low >= high:
        raise Argument(f"random_ expects 'from' to be less than 'to', but got from={low} >= "
                       f"to={high}")
    if dtype.category == dt.INT:
        limits = np.iinfo(dtype.np)
        for word, value in (("from", low), ("to - 1", high - 1)):
            if not limits.min <= value <= limits.max:
                raise Argument(f"{word} is out of bounds for {dtype.name}")
    if dtype is dt.uint64:
        return stream.integers(low, high, size, dtype=np.uint64)
    return np.asarray(stream.integers(low, high, size)).astype(dtype.np)


def randint(low, high=None, size=None, *, generator=None, out=None, dtype=None, device=None,
            requires_grad=False, layout=None, pin_memory=False):
    """Integers of [low, high): randint(high, size) or randint(low, high, size)."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    dtype = check_dtype(dtype) or (out.dtype if out is not None else dt.int64)
    array = _integers(stream_of(generator), int(low), int(high), sizes_of((size,)), dtype)
    return _made(array, dtype, out, requires_grad, device)


def randperm(n, *, generator=None, out=None, dtype=None, device=None, requires_grad=False,
             layout=None, pin_memory=False):
    """0 to n - 1 in random order. Raises Argument for a negative n."""
    if n < 0:
        raise Argument(f"n must be non-negative, got {n}")
    dtype = check_dtype(dtype) or (out.dtype if out is not None else dt.int64)
    array = stream_of(generator).permutation(n).astype(dtype.np)
    return _made(array, dtype, out, requires_grad, device)


def _like(fill):
    def function(input, *args, dtype=None, requires_grad=False, device=None, layout=None,
                 memory_format=None, **named):
        made = empty_like(input, dtype=dtype, device=device, memory_format=memory_format)
        fill(made, *args, **named)
        return finish(made, requires_grad)
    return function


rand_like = _like(lambda t: uniform_(t))
randn_like = _like(lambda t: normal_(t))


def randint_like(input, low, high=None, **options):
    """Integers of [low, high) in the size and dtype of `input`."""
    low, high = (0, low) if high is None else (low, high)
    return _like(lambda t: random_(t, low, high))(input, **options)


def _number(x):
    return x.item() if isinstance(x, Tensor) and not x._size else x


def normal(mean, std=1.0, size=None, *, generator=None, out=None, dtype=None, device=None,
           requires_grad=False):
    """Normal numbers, with mean and std given as tensors, or as numbers together with a size."""
    tensors = [x for x in (mean, std) if isinstance(x, Tensor)]
    if isinstance(std, Tensor) and std.dtype.is_complex:
        raise DtypeUnsupported("normal expects standard deviation to be non-complex")
    lowest = std._array.min(initial=0) if isinstance(std, Tensor) else std
    if lowest < 0:
        raise Argument("normal expects all elements of std >= 0.0" if isinstance(std, Tensor) else
                       f"normal expects std >= 0.0, but found std {std}")
    if size is not None:
        shape, dtype = sizes_of((size,)), dtype or dt.get_default_dtype()
    else:
        shape = broadcast_shapes(*(t._size for t in tensors))
        dtype = tensors[0].dtype
    a, b = (x._array if isinstance(x, Tensor) else x for x in (mean, std))
    array = _normal(stream_of(generator), shape, dtype, a, b)
    return _made(array, dtype, out, requires_grad, device)


def bernoulli(input, p=None, *, generator=None, out=None):
    """1 with the probability that `input` holds, else 0, in its dtype."""
    chance = input._array if p is None else p
    if ((np.asarray(chance) < 0) | (np.asarray(chance) > 1)).any():
        raise Argument("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    hit = stream_of(generator).random(input._size) < chance
    made = empty_like(input)
    made._array[...] = hit
    return made if out is None else out.resize_(made._size).copy_(made)


def multinomial(input, num_samples, replacement=False, *, generator=None, out=None):
    """Indices drawn with the weights that each row of `input` holds."""
    if not input.dtype.is_floating_point:
        raise DtypeUnsupported("multinomial only supports floating-point dtypes for input, got: "
                               f"{input.dtype.scalar_name}")
    if not replacement and num_samples > input._size[-1]:
        raise Argument("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    rows = input._array.reshape(-1, input._size[-1]).astype(np.float64)
    if not np.isfinite(rows).all() or (rows < 0).any():
        raise Argument("probability tensor contains either `inf`, `nan` or element < 0")
    if (rows.sum(1) <= 0).any():
        raise Argument("invalid multinomial distribution (sum of probabilities <= 0)")
    stream = stream_of(generator)
    drawn = [stream.choice(len(r), num_samples, replacement, r / r.sum()) for r in rows]
    array = np.array(drawn, np.int64).reshape((*input._size[:-1], num_samples))
    return _made(array, dt.int64, out, False, None)


# methods that fill: for the graph they are a fill with something that does not depend on self


def _filling(name, draw, accepts):
    def method(self, *args, generator=None, **named):
        if self.dtype.category not in accepts:
            raise DtypeUnsupported(f'"{name}" not implemented for \'{self.dtype.scalar_name}\'')
        node = None
        if state.enabled and self.requires_grad:
            check_history(self)
            node = make_node(RULES["_fill_number"], [self], edges_of([self]), {}, [self], False)
        write(self, draw(self, stream_of(generator), *args, **named))
        if node is not None:
            rebase(self, node)
        return self
    method.__name__ = method.__qualname__ = name
    setattr(Tensor, name, method)
    return method


FLOATS, NUMBERS = (dt.FLOAT, dt.COMPLEX), (dt.BOOL, dt.INT, dt.FLOAT)


def _check_range(low, high):
    if low > high:
        raise Argument(f"uniform_ expects to return a [from, to) range, but found from={low} > "
                       f"to={high}")


def _fill_uniform(t, stream, low=0.0, high=1.0, **named):
    low, high = named.get("from", low), named.get("to", high)
    _check_range(low, high)
    return _uniform(stream, t._size, t.dtype, low, high)


def _fill_normal(t, stream, mean=0.0, std=1.0):
    if std < 0:
        raise Argument(f"normal expects std >= 0.0, but found std {std}")
    return _normal(stream, t._size, t.dtype, mean, std)


def _fill_random(t, stream, low=None, high=None, **named):
    low, high = named.get("from", low), named.get("to", high)
    if high is None:
        low, high = (0, low) if low is not None else (0, _beyond(t.dtype))
    return _integers(stream, int(low), int(high), t._size, t.dtype)


def _beyond(dtype):
    """random_() without bounds: all that the type can count exactly."""
    if dtype is dt.bool:
        return 2
    if dtype.category == dt.INT:
        return int(np.iinfo(dtype.np).max) + (dtype is not dt.int64)
    return 2 ** dt.finfo_digits(dtype) + 1


uniform_ = _filling("uniform_", _fill_uniform, FLOATS)
normal_ = _filling("normal_", _fill_normal, FLOATS)
random_ = _filling("random_", _fill_random, NUMBERS)
_filling("bernoulli_", lambda t, stream, p=0.5: stream.random(t._size) < (
    p._array if isinstance(p, Tensor) else p), (*NUMBERS, dt.COMPLEX))
_filling("exponential_", lambda t, stream, lambd=1.0: stream.exponential(
    1 / lambd, t._size), (dt.FLOAT,))
_filling("cauchy_", lambda t, stream, median=0.0, sigma=1.0:
         median + sigma * stream.standard_cauchy(t._size), (dt.FLOAT,))
_filling("log_normal_", lambda t, stream, mean=1.0, std=2.0: stream.lognormal(
    mean, std, t._size), (dt.FLOAT,))
_filling("geometric_", lambda t, stream, p: stream.geometric(p, t._size), NUMBERS)
Tensor.bernoulli = bernoulli
Tensor.multinomial = multinomial
