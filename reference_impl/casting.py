"""Conversion between dtypes, and copying values into a tensor."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.formats import preserve_format
from reference_impl.rule import composite, rule
from reference_impl.tensor import mark_meta


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
        if isinstance(a, dt.dtype):
            dtype = a
        elif hasattr(a, "dtype") and hasattr(a, "_array"):
            dtype = a.dtype
        elif isinstance(a, bool):
            copy = a
        elif a is not None:
            device = a
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
