"""Numbers at even distances: arange, range, linspace, logspace.

Which roundings happen is torch's kernels' choice (aten/src/ATen/native/cpu/RangeFactoriesKernel.cpp,
RangeFactories.cpp), as integers depend on it: each formula says its own.
"""

import math
import warnings

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import deliver, requested
from reference_impl.errors import (
    Argument,
    ArgumentType,
    ArgumentValue,
    DtypeMismatch,
    NotImplementedFor,
    ShapeMismatch,
    shape_text,
)
from reference_impl.scalars import number_as
from reference_impl.tensor import Tensor

LARGEST = 2 ** 63 - 1
# in which dtype products and sums are rounded: a product and the sum it goes into only once
WIDE = {np.dtype(narrow): np.dtype(wide) for narrow, wide in (
    (np.float32, np.float64), (np.float64, np.longdouble), (np.complex64, np.complex128),
    (np.complex128, np.clongdouble))}


def plain(x, name, position):
    """A Python number, or what a tensor without dimensions holds. Raises ArgumentType."""
    if isinstance(x, Tensor) and not x._size:
        return x.item()
    if not isinstance(x, (int, float, complex, np.number, np.bool_)):
        raise ArgumentType(f"{name}(): argument '{position}' must be Number, not "
                           f"{type(x).__name__}")
    return x


def is_whole(x):
    return isinstance(x, (int, np.integer, np.bool_))


def check_bounds(start, end, step):
    """Raises Argument where no range goes from start to end in such steps."""
    if not step:
        raise Argument("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise Argument(f"unsupported range: {start:g} -> {end:g}")
    if (end - start) * step < 0:
        raise Argument("upper bound and lower bound inconsistent with step sign")


def check_kind(name, dtype, kinds):
    if dtype.category not in kinds:
        raise NotImplementedFor(f"\"{name}_cpu\" not implemented for '{dtype.scalar_name}'")


def steps_from(start, step, count, dtype):
    """start + i * step for i < count: integers as such, floats in the next wider type."""
    if dtype.category == dt.INT:
        start, step = (int(number_as(x, np.int64)) for x in (start, step))
        return (start + np.arange(count, dtype=np.int64) * step).astype(dtype.np)
    wide = np.float32 if dtype.itemsize < 4 else np.float64
    if dtype is dt.exact or dtype is dt.extended:
        wide = dtype.np
    with np.errstate(all="ignore"):
        return (wide(start) + np.arange(count).astype(wide) * wide(step)).astype(dtype.np)


def arange(start=None, end=None, step=1, *, out=None, dtype=None, layout=None, device=None,
           requires_grad=False, pin_memory=False):
    """start, start + step, ... below end. Integers give int64.

    Raises Argument for a step of 0 or of the wrong sign, and for bounds that are not finite.
    """
    if start is None and end is None:
        raise ArgumentType("arange() received an invalid combination of arguments - got ()")
    if end is None or start is None:
        start, end = 0, start if end is None else end
    start, end, step = (plain(x, "arange", n) for x, n in (
        (start, "start"), (end, "end"), (step, "step")))
    whole = is_whole(start) and is_whole(end) and is_whole(step)
    dtype = requested(dtype, out, layout, device) or (
        dt.int64 if whole else dt.get_default_dtype())
    check_kind("arange", dtype, (dt.INT, dt.FLOAT, dt.EXACT))
    if any(isinstance(x, complex) for x in (start, end, step)):
        raise Argument("value cannot be converted to type double without overflow")
    check_bounds(start, end, step)
    if dtype is dt.int64:
        start, end, step = int(start), int(end), int(step)
        if not step:
            raise ArgumentValue("step must be nonzero")
        count = -((start - end) // step)
    else:
        count = math.ceil((float(end) - float(start)) / float(step)) if math.isfinite(
            (float(end) - float(start)) / float(step)) else LARGEST + 1
    if not 0 <= count <= LARGEST:
        raise Argument("invalid size, possible overflow?")
    if out is not None and out.numel() not in (0, count):
        warnings.warn(
            f"The number of elements in the out tensor of shape {shape_text(out._size)} is "
            f"{out.numel()} which does not match the computed number of elements {count}. Note that "
            f"this may occur as a result of rounding error. The out tensor will be resized to a "
            f"tensor of shape ({count},).", UserWarning, stacklevel=2)
    return deliver(steps_from(start, step, count, dtype), dtype, out, requires_grad, device)


def range_(start, end, step=1, *, out=None, dtype=None, layout=None, device=None,
           requires_grad=False, pin_memory=False):
    """start, start + step, ... up to end, which counts. Deprecated by torch; see arange."""
    warnings.warn("torch.range is deprecated and will be removed in a future release because its "
                  "behavior is inconsistent with Python's range builtin. Instead, use torch.arange, "
                  "which produces values in [start, end).", UserWarning, stacklevel=2)
    start, end, step = (plain(x, "range", n) for x, n in (
        (start, "start"), (end, "end"), (step, "step")))
    dtype = requested(dtype, out, layout, device) or dt.get_default_dtype()
    check_kind("range", dtype, (dt.INT, dt.FLOAT, dt.EXACT))
    check_bounds(start, end, step)
    count = math.floor((float(end) - float(start)) / float(step)) + 1
    return deliver(steps_from(start, step, count, dtype), dtype, out, requires_grad, device)


range_.__name__ = range_.__qualname__ = "range"


def _ends(name, start, end, steps, out, dtype, layout, device):
    """The two ends as Python numbers, and the dtype of the result."""
    for other, x in (("start", start), ("end", end)):
        if isinstance(x, Tensor) and x._size:
            raise ShapeMismatch(f"{name} only supports 0-dimensional start and end tensors, but got "
                                f"{other} with {x.ndim} dimension(s).")
    if isinstance(start, str) or isinstance(end, str) or not is_whole(steps):
        got = ", ".join(type(x).__name__ for x in (start, end, steps))
        raise ArgumentType(f"{name}() received an invalid combination of arguments - got ({got})")
    start, end = plain(start, name, "start"), plain(end, name, "end")
    default = dt.get_default_dtype()
    asked = requested(dtype, out, layout, device)
    if isinstance(start, complex) or isinstance(end, complex):
        default = dt.default_complex()
        if asked is not None and not asked.is_complex:
            raise DtypeMismatch(f"torch.{name}(): inferred dtype {default.scalar_name} can't be "
                                f"safely cast to passed dtype {asked.scalar_name}")
    dtype = asked or default
    check_kind(name, dtype, (dt.INT, dt.FLOAT, dt.COMPLEX, dt.EXACT))
    if dtype is dt.complex32:
        check_kind(name, dtype, ())
    if steps < 0:
        raise Argument("number of steps must be non-negative")
    return start, end, dtype


def even(start, end, steps, dtype, wide=None):
    """`steps` numbers from start to end, as an array of the dtype they are computed in.

    Each half counts from its own end. Integers are computed in double. A product and the sum it
    goes into are rounded once, as a fused multiplication and addition does it.
    """
    kind = np.dtype(np.float64) if dtype.category == dt.INT else dtype.np
    start, end = (number_as(x, dtype.np).astype(kind) for x in (start, end))
    if steps == 1:
        return start.reshape(1)
    with np.errstate(all="ignore"):
        step = (end - start) / np.asarray(max(steps - 1, 1)).astype(kind)
        wide, count = wide or WIDE.get(kind, kind), np.arange(steps)
        up = start.astype(wide) + step.astype(wide) * count.astype(kind).astype(wide)
        down = end.astype(wide) - step.astype(wide) * (steps - 1 - count).astype(kind).astype(wide)
        return np.where(count < steps // 2, up, down).astype(kind)


def linspace(start, end, steps, *, out=None, dtype=None, layout=None, device=None,
             requires_grad=False, pin_memory=False):
    """`steps` numbers from start to end, both included; tensors without dimensions will do.

    Raises Argument, DtypeMismatch (complex ends for a real dtype), ShapeMismatch.
    """
    start, end, dtype = _ends("linspace", start, end, steps, out, dtype, layout, device)
    with np.errstate(all="ignore"):
        array = _truncated(even(start, end, steps, dtype), dtype)
    return deliver(array, dtype, out, requires_grad, device)


def _truncated(array, dtype):
    """Through int64, so that what an unsigned type cannot hold wraps as it does in torch."""
    return (array.astype(np.int64) if dtype.category == dt.INT else array).astype(dtype.np)


def logspace(start, end, steps, base=10.0, *, out=None, dtype=None, layout=None, device=None,
             requires_grad=False, pin_memory=False):
    """base ** linspace(start, end, steps), whose exponents are rounded in a wider dtype.

    Raises Argument, DtypeMismatch (complex ends for a real dtype), ShapeMismatch.
    """
    start, end, dtype = _ends("logspace", start, end, steps, out, dtype, layout, device)
    base = plain(base, "logspace", "base")
    wide = {dt.float32: dt.float64, dt.float16: dt.float32, dt.bfloat16: dt.float32}.get(dtype, dtype)
    if dtype.category == dt.INT:      # the ends are rounded to integers, all else is double
        start, end = (int(number_as(x, dtype.np)) if steps > 1 else x for x in (start, end))
        wide = dt.float64
    elif dtype is not wide:
        start, end = (number_as(x, dtype.np).item() for x in (start, end))
    with np.errstate(all="ignore"):
        exponents = even(start, end, steps, wide, wide.np)
        array = np.power(number_as(base, wide.np), exponents)
    return deliver(_truncated(array, dtype), dtype, out, requires_grad, device)
