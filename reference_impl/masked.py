"""torch.masked: reductions and normalisations over the elements that a mask lets through.

What is masked out is replaced with what does not change the result: 0 of a sum, 1 of a product, the
lowest number of a maximum. `mask` is broadcast to the input; None lets everything through. The dtype
of the input stays, unless `dtype` names another.
"""

import math

import reference_impl as torch
from reference_impl.dtypes import iinfo, int64
from reference_impl.errors import ArgumentValue, DimOutOfRange, DimRepeated

LOG_SUMS = ("logsumexp", "logaddexp")


def _dims(dim, ndim):
    """All named dimensions, from the first on. Raises DimRepeated, DimOutOfRange."""
    if dim is None or dim == ():
        return tuple(range(ndim))
    most, found = max(ndim, 1), []
    for d in (dim,) if isinstance(dim, int) else dim:
        if d in found:
            raise DimRepeated(f"dim={d} appears multiple times in the list of dims")
        if not -most <= d < most:
            raise DimOutOfRange(f"Dimension out of range (expected to be in range of [{-most}, "
                                f"{most - 1}], but got {d})")
        found.append(d % most)
    return tuple(sorted(found))


def _canonical(input, mask):
    """The mask as bools in the shape of the input."""
    if mask.ndim > input.ndim:
        raise DimOutOfRange("_input_mask expected broadcastable mask (got mask dimensionality "
                                 "higher than of the input)")
    return mask.broadcast_to(input._size).to(torch.bool)


def _neutral(operation, dtype, ord=2):
    """What does not change the result of an operation, as a number."""
    if operation in ("prod", "median"):
        return 1 if operation == "prod" else math.nan
    lowest = operation in ("amax", "argmax", *LOG_SUMS)
    if lowest or operation in ("amin", "argmin"):
        if dtype.is_differentiable:
            return -math.inf if lowest else math.inf
        return iinfo(dtype).min if lowest else iinfo(dtype).max
    return math.inf if operation == "norm" and ord == -math.inf else 0


def _filled(operation, input, mask, ord=2):
    if mask is None:
        return input
    number = torch.tensor(_neutral(operation, input.dtype, ord), dtype=input.dtype)
    return torch.where(_canonical(input, mask), input, number)


def _added_in(input, dtype):
    """The dtype of a sum or product: integers become int64."""
    return dtype or (input.dtype if input.dtype.is_differentiable else int64)


def sum(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    dtype = _added_in(input, dtype)
    return torch.sum(_filled("sum", input, mask), _dims(dim, input.ndim), bool(keepdim), dtype=dtype)


def prod(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    out = _filled("prod", input, mask).to(dtype=_added_in(input, dtype))
    for d in reversed(_dims(dim, input.ndim)):
        out = out.prod(dim=d, keepdim=bool(keepdim))
    return out


def _running(name, of):
    def function(input, dim, *, dtype=None, mask=None):
        dtype = dtype or input.dtype
        scan = getattr(torch, name)
        return scan(_filled(of, input, mask), _dims(dim, input.ndim)[0], dtype=dtype).to(dtype=dtype)
    function.__name__ = function.__qualname__ = name
    return function


def _reducing(name):
    def function(input, dim=None, *, keepdim=False, dtype=None, mask=None):
        found = getattr(torch, name)(_filled(name, input, mask), _dims(dim, input.ndim), bool(keepdim))
        return found.to(dtype=dtype or input.dtype)
    function.__name__ = function.__qualname__ = name
    return function


def _arg(name):
    def function(input, dim=None, *, keepdim=False, dtype=None, mask=None):
        found = getattr(torch, name)(_filled(name, input, mask), dim, bool(keepdim))
        return found.to(dtype=dtype or input.dtype)
    function.__name__ = function.__qualname__ = name
    return function


cumsum, cumprod = _running("cumsum", "sum"), _running("cumprod", "prod")
amax, amin, logsumexp = _reducing("amax"), _reducing("amin"), _reducing("logsumexp")
argmax, argmin = _arg("argmax"), _arg("argmin")


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None):
    found = torch.logaddexp(_filled("logaddexp", input, input_mask),
                            _filled("logaddexp", other, other_mask))
    return found.to(dtype=dtype or input.dtype)


def _counted(input, dim, keepdim, mask):
    """How many elements are let through."""
    if mask is None:
        return sum(torch.ones(input._size, dtype=int64), dim, keepdim=keepdim)
    return mask.sum(_dims(dim, input.ndim), bool(keepdim))


def mean(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """nan where everything is masked out. Raises ArgumentValue for integers."""
    source = "Input" if dtype is None else "Optional"
    dtype = dtype or input.dtype
    if not dtype.is_differentiable:
        raise ArgumentValue(f"mean(): Could not infer output dtype. {source} dtype must be either a "
                            f"floating point or complex dtype. Got: {dtype}")
    mask = None if mask is None else _canonical(input, mask)
    total = sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask)
    return total / _counted(input, dim, keepdim, mask)


def median(input, dim=-1, *, keepdim=False, dtype=None, mask=None):
    """The lower median; nan where everything is masked out, which integers refuse."""
    dtype, floats = dtype or input.dtype, input.is_floating_point()
    x = input if floats else input.to(dtype=torch.float32)
    out = torch.nanmedian(_filled("median", x, mask), _dims(dim, input.ndim)[0], keepdim).values
    if floats:
        return out
    if out.isnan().any():
        raise ArgumentValue("masked median expects no fully masked out rows if dtype is not floating "
                            "point")
    return out.to(dtype=dtype)


def norm(input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None):
    return torch.linalg.vector_norm(_filled("norm", input, mask, ord), ord, _dims(dim, input.ndim),
                                    bool(keepdim), dtype=dtype or input.dtype)


def var(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """The squares of what is away from the mean, over their count less the correction."""
    if unbiased is not None and correction is not None:
        raise AssertionError("Only one of unbiased and correction may be given")
    if correction is None:
        correction = 1.0 if unbiased in (None, True) else 0.0
    if dtype is None:
        dtype = input.dtype if input.dtype.is_differentiable else torch.float32
    wide = dtype if dtype.is_differentiable else torch.float32
    mask = None if mask is None else _canonical(input, mask)
    count = _counted(input, dim, True, mask)
    away = input - sum(input, dim, keepdim=True, dtype=dtype, mask=mask) / count
    total = sum(away * away.conj(), dim, keepdim=keepdim, dtype=wide, mask=mask)
    count = count if keepdim else count.reshape(total._size)
    if correction:
        freedom = count.to(wide.to_real()) - float(correction)
        count = freedom.maximum(torch.zeros((), dtype=freedom.dtype))
    return (total / count).to(dtype=dtype)


def std(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    return torch.sqrt(var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype,
                          mask=mask))


def _normalising(name, of):
    def function(input, dim, *, dtype=None, mask=None):
        compute = getattr(torch.nn.functional, name)
        return compute(_filled(of, input, mask), _dims(dim, input.ndim)[0], dtype=dtype or input.dtype)
    function.__name__ = function.__qualname__ = name
    return function


softmax, log_softmax = _normalising("softmax", "amax"), _normalising("log_softmax", "amax")
softmin = _normalising("softmin", "amin")


def normalize(input, ord, dim, *, eps=1e-12, dtype=None, mask=None):
    """Over the norm, which counts as at least eps."""
    size = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return _filled("sum", input, mask) / size.maximum(torch.full((), eps, dtype=size.dtype))
