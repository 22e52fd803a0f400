"""Another dtype for a tensor: of its values (to), or of its bytes (view)."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.bits import CONJUGATE
from reference_impl.dtypes import check_dtype
from reference_impl.errors import BitSet, ShapeMismatch, ViewImpossible
from reference_impl.formats import preserve_format
from reference_impl.rule import composite, rule
from reference_impl.tensor import make_alias, mark_meta


def cast(self, *, dtype=None):
    if dtype is dt.float8_e4m3fn:        # torch saturates here, and only here
        limit = dt.finfo(dtype).max
        with np.errstate(all="ignore"):
            return np.clip(self.real.astype(np.float32), -limit, limit).astype(dtype.np)
    return self.astype(dtype.np)


rule("_to_copy", cast, inputs=("self",),
     method=False, layout="preserve", node="ToCopyBackward0",
     vjp=lambda ct, ins, y, dtype: [ct],
     jvp="linear")


def to(input, *args, dtype=None, device=None, copy=False, non_blocking=False, memory_format=None):
    """The tensor in another dtype; itself when nothing changes and copy is False."""
    for a in args:
        if isinstance(a, (dt.dtype, type)):
            dtype = a
        elif hasattr(a, "dtype") and hasattr(a, "_array"):
            dtype = a.dtype
        elif isinstance(a, bool):
            copy = a
        elif a is not None:
            device = a
    dtype = check_dtype(dtype)
    if memory_format is None:
        memory_format = preserve_format
    if device is not None:
        from reference_impl import creation
        moved = creation.device(device).type == "meta"
        if input._meta and not moved:
            raise NotImplementedError("Cannot copy out of meta tensor; no data!")
        if moved and not input._meta:
            return mark_meta(input.to(dtype or input.dtype, copy=True, memory_format=memory_format))
    lies = memory_format is preserve_format or input.is_contiguous(memory_format=memory_format)
    if dtype is None or dtype is input.dtype:
        return input if lies and not copy else input.clone(memory_format=memory_format)
    from reference_impl.dispatch import FUNCTIONS
    cast = FUNCTIONS["_to_copy"](input, dtype=dtype)
    return cast if lies else cast.clone(memory_format=memory_format)


composite("to", to, function=False, helper=True)


def bytes_viewed(input, dtype):
    """The same bytes read as another dtype. The last dimension shrinks or grows.

    Not differentiable, and thus no view in the sense of `_base`; writes are counted in common.
    """
    if input._bits:
        what = ("conjugate view tensors" if input._bits & CONJUGATE else
                "tensors with negative bit set")
        raise BitSet(f"torch.Tensor.view is not supported for {what} when converting to a "
                     "different dtype.")
    old, new = input.dtype.itemsize, dtype.itemsize
    size, stride, offset = list(input._size), list(input._stride), input._offset
    if old != new:
        _check_resize(input, dtype, old, new)
        if old > new:
            factor = old // new
            size[-1] *= factor
            stride = [s * factor for s in stride[:-1]] + [1]
            offset *= factor
        else:
            factor = new // old
            size[-1] //= factor
            stride = [s // factor for s in stride[:-1]] + [1]
            offset //= factor
    return make_alias(input._storage, dtype, tuple(size), tuple(stride), offset, input._counter)


def _check_resize(x, dtype, old, new):
    names = f"{x.dtype.scalar_name} as {dtype.scalar_name} (different element sizes)"
    if not x._size:
        raise ShapeMismatch(f"self.dim() cannot be 0 to view {names}")
    if x._stride[-1] != 1:
        raise ViewImpossible(f"self.stride(-1) must be 1 to view {names}, but got "
                             f"{x._stride[-1]}")
    if new > old:
        factor = new // old
        if x._size[-1] % factor:
            raise ShapeMismatch(f"self.size(-1) must be divisible by {factor} to view {names}, but "
                                f"got {x._size[-1]}")
        if x._offset % factor:
            raise ViewImpossible(f"self.storage_offset() must be divisible by {factor} to view "
                                 f"{names}, but got {x._offset}")
        for d, s in enumerate(x._stride[:-1]):
            if s % factor:
                raise ViewImpossible(f"self.stride({d}) must be divisible by {factor} to view "
                                     f"{names}, but got {s}")

