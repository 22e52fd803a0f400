"""torch.random: a Generator, and the stream of random numbers that everybody shares.

The stream is NumPy's PCG64, not torch's Mersenne Twister: a seed gives the same numbers every
time here, but not torch's numbers (which torch does not promise across releases either).
"""

import contextlib

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.errors import Argument
from reference_impl.grad_mode import state
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
        whole = self._stream.bit_generator.state
        inner = whole["state"]
        # PCG64 keeps the second half of a word of which 32 bits were asked for
        words = [self._seed.to_bytes(8, "little"), inner["state"].to_bytes(16, "little"),
                 inner["inc"].to_bytes(16, "little"), whole["has_uint32"].to_bytes(4, "little"),
                 whole["uinteger"].to_bytes(4, "little")]
        return make_tensor(np.frombuffer(b"".join(words), np.uint8).copy(), dt.uint8)

    def set_state(self, new_state):
        """Go back to a place that get_state told. Raises Argument for anything else."""
        if not isinstance(new_state, Tensor) or new_state.dtype is not dt.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        raw = new_state.numpy().tobytes()
        if len(raw) != 48:
            raise Argument(f"RNG state is wrong size: {len(raw)} bytes, expected 48")
        self.manual_seed(int.from_bytes(raw[:8], "little"))
        whole = self._stream.bit_generator.state
        whole["state"] = {"state": int.from_bytes(raw[8:24], "little"),
                          "inc": int.from_bytes(raw[24:40], "little")}
        whole["has_uint32"] = int.from_bytes(raw[40:44], "little")
        whole["uinteger"] = int.from_bytes(raw[44:], "little")
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


@contextlib.contextmanager
def fork_rng(devices=None, enabled=True, device_type="cpu"):
    """Within it the shared stream may be drawn from; afterwards it is where it was."""
    before = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(before)


def stream_of(generator):
    if state.batched:
        raise Argument("vmap: We do not yet support calling random operations inside of vmap. Please "
                       "perform random operations outside of vmap as a workaround")
    return (default_generator if generator is None else generator)._stream
