"""The tangent of an input, or the cotangent of an output, that has none: zeros that times anything
are zeros.

The rule y' = x' w + x w' must give x' w where w is a constant, an infinite x included. So what
stands for w' is not 0 * x = nan but nothing at all, as torch's zero tensors ("ZeroTensor" in its
source): a product or quotient with it is nothing again, a sum with it the other summand. Any other
operation sees a tensor of zeros.
"""

from reference_impl.creation import zeros, zeros_like
from reference_impl.geometry import broadcast_shapes
from reference_impl.promotion import NUMBER, result_dtype
from reference_impl.tensor import Tensor


class ZeroTangent(Tensor):
    """Zeros of known shape and dtype."""

    def __mul__(self, other):
        return _common(self, other)

    __rmul__ = __truediv__ = __mul__

    def __neg__(self):
        return self

    def __add__(self, other):
        if isinstance(other, NUMBER):
            return Tensor.__add__(self, other)
        return _like_common(other, self)

    __radd__ = __add__

    def __sub__(self, other):
        if isinstance(other, NUMBER):
            return Tensor.__sub__(self, other)
        return -_like_common(other, self)

    def __rsub__(self, other):
        if isinstance(other, NUMBER):
            return Tensor.__rsub__(self, other)
        return _like_common(other, self)

    def conj(self):
        return self


def zero_tangent(x):
    """Nothing, in the shape and dtype of `x`; of a Python number, it yields in promotion as well."""
    made = _nothing(zeros_like(x.detach()))
    if x._wrapped:
        made._wrapped = True
    return made


def no_cotangent(size, dtype):
    """Nothing, as the cotangent of an output that took no part."""
    return _nothing(zeros(size, dtype=dtype))


def _nothing(t):
    t.__class__ = ZeroTangent
    return t


def _common(*operands):
    """Nothing, in the shape and dtype that an operation on these gives."""
    shape = broadcast_shapes(*(x._size for x in operands if isinstance(x, Tensor)))
    return _nothing(zeros(shape, dtype=result_dtype(operands)))


def _like_common(t, nothing):
    """`t` in the shape and dtype that its sum with `nothing` has."""
    if isinstance(t, ZeroTangent):
        return _common(t, nothing)
    shape = broadcast_shapes(t._size, nothing._size)
    return (t if t._size == shape else t.expand(shape)).to(result_dtype((t, nothing)))
