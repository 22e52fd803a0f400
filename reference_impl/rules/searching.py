"""Places in an ordered sequence: searchsorted, bucketize. They are helpers: no table lists them."""

import warnings

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.errors import Argument, DtypeUnsupported, NotImplementedFor
from reference_impl.rule import composite
from reference_impl.rules.reductions import carry
from reference_impl.tensor import Tensor, make_tensor


def insertion_places(sequence, values, right):
    """Where each value belongs in its sequence, by halving the range that is left.

    sequence (n,) or (..., n), values (..., m). Equal elements lie behind that place, or before it
    when `right`. The comparisons are torch's, which decides what nan and disorder lead to: a
    sequence is passed over while it is not known to be at or beyond the value.
    """
    n = sequence.shape[-1]
    low = np.zeros(values.shape, np.int64)
    high = np.full(values.shape, n, np.int64)
    for _ in range(n.bit_length()):
        middle = (low + high) // 2
        probe = np.minimum(middle, n - 1)
        at = sequence[probe] if sequence.ndim == 1 else np.take_along_axis(sequence, probe, -1)
        beyond = at > values if right else at >= values
        open_ = low < high
        low = np.where(open_ & ~beyond, middle + 1, low)
        high = np.where(open_ & beyond, middle, high)
    return low


def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None):
    """Where to insert each number so that the (innermost) sequence stays ordered."""
    if side is not None and side not in ("left", "right"):
        raise Argument("torch.searchsorted(): side can only be 'left' or 'right' but got "
                       f"{side}")
    if side == "left" and right:
        raise Argument("torch.searchsorted(): side and right can't be set to opposites, got side of "
                       "left while right was True")
    sequence = sorted_sequence
    _check_shapes(sequence, input, sorter)
    for t, what in ((sequence, "boundary"), (input, "input value"), (sorter, "sorter")):
        if isinstance(t, Tensor) and not t.is_contiguous():
            warnings.warn(f"torch.searchsorted(): {what} tensor is non-contiguous, this will lower "
                          "the performance due to extra data copy when converting non-contiguous "
                          f"tensor to contiguous, please use contiguous {what} tensor if possible.",
                          UserWarning, stacklevel=3)
    places = sequence._array
    if sorter is not None:
        places = np.take_along_axis(places, sorter._array, -1)
    values = input._array if isinstance(input, Tensor) else np.asarray(input)
    for a in (places, values):
        if a.dtype.kind in "bc":
            raise NotImplementedFor('"searchsorted_out_cpu" not implemented for '
                                    f"'{dt.BY_NUMPY[a.dtype].scalar_name}'")
    found = insertion_places(carry(places), carry(values), right or side == "right")
    dtype = dt.int32 if out_int32 else dt.int64
    return make_tensor(np.asarray(found, dtype.np), dtype)


def _check_shapes(sequence, input, sorter):
    size = input._size if isinstance(input, Tensor) else ()
    if sequence.ndim == 0 or not size and sequence.ndim != 1:
        raise Argument("torch.searchsorted(): input value can be a scalar only when boundaries "
                       f"tensor dimension is 1, but we got boundaries tensor dim({sequence.ndim}) "
                       f"and input value's dim({len(size)}) numel(1)")
    if sequence.ndim != 1 and sequence._size[:-1] != size[:-1]:
        raise Argument("torch.searchsorted(): boundaries tensor should be 1 dimension or the first "
                       "N-1 dimensions of boundaries tensor and input value tensor must match, but "
                       f"we got boundaries tensor {list(sequence._size)} and input value tensor "
                       f"{list(size)}")
    if sorter is None:
        return
    if sorter._size != sequence._size:
        raise Argument("torch.searchsorted(): boundary and sorter must have the same size, but got "
                       f"boundary tensor {list(sequence._size)}and got sorter tensor "
                       f"{list(sorter._size)}")
    if sorter.dtype is not dt.int64:
        raise DtypeUnsupported("torch.searchsorted(): sorter must be a tensor of long dtype but got "
                               f"dtype {sorter.dtype.scalar_name}")
    if ((sorter._array < 0) | (sorter._array >= sequence._size[-1])).any():
        raise Argument("torch.searchsorted(): sorter index out of range")


def bucketize(input, boundaries, *, out_int32=False, right=False):
    """Between which boundaries each number lies."""
    if boundaries.ndim != 1:
        raise Argument("torch.searchsorted(): boundaries tensor must be 1 dimension, but got "
                       f"dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


composite("searchsorted", searchsorted, method=False, helper=True)
composite("bucketize", bucketize, method=False, helper=True)
