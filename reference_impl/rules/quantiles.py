"""quantile and nanquantile. They are helpers: no table of operations lists them."""

from reference_impl import dtypes as dt
from reference_impl.creation import full_like, tensor
from reference_impl.errors import Argument, DtypeMismatch, DtypeUnsupported
from reference_impl.geometry import wrap_dim
from reference_impl.rule import composite
from reference_impl.tensor import Tensor

INTERPOLATIONS = ("linear", "lower", "higher", "nearest", "midpoint")


def _reduced(size, dim, keepdim):
    if dim is None:
        return (1,) * len(size) if keepdim else ()
    if not size:
        return ()
    dim = wrap_dim(dim, len(size))
    return size[:dim] + (1,) * keepdim + size[dim + 1:]


def _between(ordered, points, interpolation, past_nan):
    """Quantiles along the last dimension, in which nan lies last; one for each of the points."""
    nan = ordered.isnan()
    last = ordered._size[-1] - 1
    top = (last - nan.sum(-1, keepdim=True)).clamp(min=0) if past_nan else last
    rank = (points * top).expand((*ordered._size[:-1], points.numel()))
    if not past_nan:
        rank = rank.masked_fill(nan.any(-1, keepdim=True), last)
    if interpolation in ("lower", "higher", "nearest"):
        rank = {"lower": rank.floor, "higher": rank.ceil, "nearest": rank.round}[interpolation]()
    below = rank.detach().floor()
    got = ordered.gather(-1, below.long())
    if interpolation in ("linear", "midpoint"):
        weight = rank - below if interpolation == "linear" else full_like(below, 0.5)
        got = got.lerp_(ordered.gather(-1, rank.detach().ceil().long()), weight)
    return got


def _quantile(name, past_nan):
    def function(input, q, dim=None, keepdim=False, *, interpolation="linear"):
        if input.dtype not in (dt.float32, dt.float64):
            raise DtypeUnsupported(f"{name}() input tensor must be either float or double dtype")
        if interpolation not in INTERPOLATIONS:
            raise Argument(f"{name}() interpolation must be one of linear, lower, higher, midpoint "
                           f"or nearest, but got {interpolation}")
        if isinstance(q, Tensor):
            if q.ndim > 1:
                raise Argument(f"{name}() q must be a scalar or 1D tensor")
            if q.dtype is not input.dtype:
                raise DtypeMismatch(f"{name}() q tensor must be same dtype as the input tensor")
            points = q
        else:
            if not 0 <= q <= 1:
                raise Argument(f"{name}() q must be in the range [0, 1] but got {q:g}")
            points = tensor(float(q), dtype=input.dtype)
        if input.numel() == 0:
            raise Argument(f"{name}() input tensor must be non-empty")
        if ((points._array < 0) | (points._array > 1)).any():
            raise Argument(f"{name}() q values must be in the range [0, 1]")
        # reduced dimensions first as torch has them: its strides and nodes follow from that
        shape = _reduced(input._size, dim, keepdim)
        if dim is None:
            x = input.flatten()
        elif input.ndim and wrap_dim(dim, input.ndim) != input.ndim - 1:
            x = input.unsqueeze(-1).transpose(dim, -1)
        else:
            x = input
        ordered = x.sort(-1)[0]
        last = ordered._size[-1] if ordered.ndim else 1
        got = _between(ordered.reshape((*shape, last)), points.reshape(-1), interpolation, past_nan)
        return got.unsqueeze_(0).transpose_(0, -1).squeeze_(-1) if points.ndim else got.squeeze_(-1)
    composite(name, function, helper=True)


_quantile("quantile", False)
_quantile("nanquantile", True)
