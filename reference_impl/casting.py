"""Conversion between dtypes, and copying values into a tensor."""

from reference_impl import dtypes as dt
from reference_impl.rule import composite, rule

rule("_to_copy", lambda self, *, dtype=None: self.astype(dtype.np), inputs=("self",),
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
    if device is not None:
        from reference_impl import creation
        creation.device(device)
    if dtype is None or dtype is input.dtype:
        return input.clone() if copy else input
    from reference_impl.dispatch import FUNCTIONS
    return FUNCTIONS["_to_copy"](input, dtype=dtype)


composite("to", to, function=False, helper=True)
