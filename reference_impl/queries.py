"""Functions that ask something about tensors and answer in plain Python."""

import math

import numpy as np

from reference_impl.errors import ArgumentType, NotScalar
from reference_impl.rule import composite
from reference_impl.tensor import Tensor

inf, nan, pi, e = math.inf, math.nan, math.pi, math.e


def is_tensor(obj):
    return isinstance(obj, Tensor)


def is_storage(obj):
    from reference_impl.storages import UntypedStorage
    return isinstance(obj, UntypedStorage)


def typename(obj):
    """What type() of a tensor says; of anything else its class with its module."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if isinstance(obj, type) else type(obj)
    return f"{kind.__module__}.{kind.__qualname__}"


def is_floating_point(input):
    return input.is_floating_point()


def is_complex(input):
    return input.is_complex()


def is_inference(input):
    return input.is_inference()


def is_signed(input):
    return input.is_signed()


def numel(input):
    return input.numel()


def is_nonzero(input):
    """Whether the single element is not zero. Raises NotScalar."""
    if input.numel() != 1:
        word = "more than one value" if input.numel() else "no values"
        raise NotScalar(f"Boolean value of Tensor with {word} is ambiguous")
    return bool(input.item())


def equal(input, other):
    """Whether two tensors have the same size and elements (nan is unequal to itself)."""
    if not isinstance(other, Tensor):
        raise ArgumentType(f"equal(): argument 'other' (position 2) must be Tensor, not "
                           f"{type(other).__name__}")
    return input._size == other._size and bool(np.all(input._array == other._array))


composite("equal", equal, helper=True)

