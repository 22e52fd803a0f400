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
    from reference_impl.interchange import UntypedStorage
    from reference_impl.legacy import TypedStorage
    return isinstance(obj, (TypedStorage, UntypedStorage))


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
    if input._array.size != 1:
        word = "no values" if input._array.size == 0 else "more than one value"
        raise NotScalar(f"Boolean value of Tensor with {word} is ambiguous")
    return bool(input.item())


def equal(input, other):
    """Whether two tensors have the same size and elements (nan is unequal to itself)."""
    if not isinstance(other, Tensor):
        raise ArgumentType(f"equal(): argument 'other' (position 2) must be Tensor, not "
                           f"{type(other).__name__}")
    return input._size == other._size and bool(np.all(input._array == other._array))


composite("equal", equal, helper=True)


def is_conj(input):
    """Whether conjugation is pending. Never here: it is carried out at once."""
    return False


def is_neg(input):
    """Whether negation is pending. Never here: it is carried out at once."""
    return False


composite("is_conj", is_conj, helper=True)
composite("is_neg", is_neg, helper=True)
composite("resolve_neg", lambda input: input, helper=True)
