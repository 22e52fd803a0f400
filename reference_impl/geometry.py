"""Sizes and strides: arithmetic on shapes, no memory touched. Strides are in elements."""

from functools import lru_cache
from typing import NamedTuple

from reference_impl.errors import Argument, DimOutOfRange, DimRepeated, ShapeMismatch, shape_text


class Geometry(NamedTuple):
    """Where a tensor's elements lie in its storage."""

    size: tuple
    stride: tuple
    offset: int

    @property
    def ndim(self):
        return len(self.size)


@lru_cache(maxsize=4096)
def contiguous_stride(size):
    """Row-major strides; a zero-size dimension counts as one, as in torch."""
    out, step = [], 1
    for n in reversed(size):
        out.append(step)
        step *= max(n, 1)
    return tuple(reversed(out))


def column_stride(size):
    """Strides of (a batch of) matrices that lie column by column, as LAPACK leaves them."""
    *batch, rows, columns = size
    return *contiguous_stride((*batch, columns, rows))[:-2], 1, max(rows, 1)


@lru_cache(maxsize=4096)
def numel(size):
    total = 1
    for n in size:
        total *= n
    return total


def check_storage(size, itemsize):
    """Raises Argument for more elements, or bytes, than 64 bits can count."""
    if numel(size) * itemsize >= 1 << 63:
        raise Argument(f"Storage size calculation overflowed with sizes={list(size)}")


def is_contiguous(size, stride):
    """Row-major without gaps; strides of dimensions of size 1 do not matter."""
    if stride == contiguous_stride(size) or 0 in size:
        return True
    return all(n == 1 or s == want
               for n, s, want in zip(size, stride, contiguous_stride(size), strict=True))


def channels_last_stride(size):
    """Strides of (N, C, H, W) that lie in memory as (N, H, W, C)."""
    _, c, h, w = size
    return h * w * c, 1, w * c, c


def is_channels_last(size, stride):
    """Without gaps in that order; strides of dimensions of size 1 do not matter."""
    return 0 not in size and all(
        n == 1 or s == want
        for n, s, want in zip(size, stride, channels_last_stride(size), strict=True))


def is_dense(size, stride):
    """Non-overlapping and without gaps, in some order of the dimensions."""
    if 0 in size:
        return True
    step = 1
    for s, n in sorted((s, n) for n, s in zip(size, stride, strict=True) if n != 1):
        if s != step:
            return False
        step *= n
    return True


def may_self_overlap(size, stride):
    """Whether two indices can reach one element (torch's test: exact for what views can make)."""
    if is_dense(size, stride) or 0 in size:
        return False
    return any(s == 0 and n > 1 for n, s in zip(size, stride, strict=True))


def wrap_dim(dim, ndim):
    """`dim` counted from the front; a zero-dim tensor has dims 0 and -1. Raises DimOutOfRange."""
    bound = ndim or 1
    if -bound <= dim < bound:
        return dim % bound
    raise DimOutOfRange(f"Dimension out of range (expected to be in range of [{-bound}, "
                        f"{bound - 1}], but got {dim})")


def wrap_dims(dim, ndim):
    """All dims named by `dim` (None or empty: every one) as a tuple. Raises DimRepeated."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(ndim))
    dims = tuple(wrap_dim(d, ndim) for d in ((dim,) if isinstance(dim, int) else dim))
    for d in dims:
        if dims.count(d) > 1:
            raise DimRepeated(f"dim {d} appears multiple times in the list of dims")
    return dims


def broadcast_shapes(*shapes):
    """The common shape. Raises ShapeMismatch naming the last dimension that does not fit."""
    whole = ()
    for shape in shapes:
        ndim = max(len(whole), len(shape))
        a, b = (1,) * (ndim - len(whole)) + whole, (1,) * (ndim - len(shape)) + tuple(shape)
        for d in range(ndim - 1, -1, -1):
            if a[d] != b[d] and a[d] != 1 and b[d] != 1:
                raise ShapeMismatch(f"The size of tensor a ({a[d]}) must match the size of tensor "
                                    f"b ({b[d]}) at non-singleton dimension {d}")
        whole = tuple(m if n == 1 else n for n, m in zip(a, b, strict=True))
    return whole


def infer_size(shape, count):
    """`shape` with its -1 replaced so that it holds `count` elements. Raises ShapeMismatch."""
    shape = tuple(int(n) for n in shape)
    known, hole = 1, None
    for i, n in enumerate(shape):
        if n == -1:
            if hole is not None:
                raise ShapeMismatch("only one dimension can be inferred")
            hole = i
        elif n < 0:
            raise ShapeMismatch(f"invalid shape dimension {n} at index {i} of shape "
                                f"{shape_text(shape)}")
        else:
            known *= n
    if hole is None:
        if known == count:
            return shape
    elif known == 0 and count == 0:
        raise ShapeMismatch(f"cannot reshape tensor of 0 elements into shape {shape_text(shape)} "
                            f"because the unspecified dimension size -1 can be any value and is "
                            "ambiguous")
    elif known and count % known == 0:
        return shape[:hole] + (count // known,) + shape[hole + 1:]
    raise ShapeMismatch(f"shape '{shape_text(shape)}' is invalid for input of size {count}")


def view_stride(size, stride, new_size):
    """Strides that make `new_size` a view of (size, stride), or None where only a copy will do.

    Old dimensions are gathered, from the last, into runs that lie evenly in memory; each run
    must be filled exactly by new dimensions.
    """
    count = numel(size)
    if count == 0:
        return stride if size == new_size else contiguous_stride(new_size)
    if not size:
        return (1,) * len(new_size)
    out = [0] * len(new_size)
    j = len(new_size) - 1
    run, step = 1, stride[-1]
    for i in range(len(size) - 1, -1, -1):
        run *= size[i]
        if i and (size[i - 1] == 1 or stride[i - 1] == run * step):
            continue
        filled = 1
        while j >= 0 and (filled < run or new_size[j] == 1):
            out[j] = filled * step
            filled *= new_size[j]
            j -= 1
        if filled != run:
            return None
        if i:
            run, step = 1, stride[i - 1]
    return tuple(out) if j < 0 else None


def elementwise_stride(size, operands):
    """Strides of an elementwise result: memory order follows the operands, the first one first.

    operands: (size, stride) pairs. torch's iterator sorts dimensions by the operands' strides,
    keeping their order where no operand decides.
    """
    ndim = len(size)
    contiguous = contiguous_stride(size)
    same = [st for sz, st in operands if sz == size]
    if len(same) == len(operands):
        if all(is_contiguous(size, st) for st in same):
            return contiguous
        if ndim == 4 and all(is_channels_last(size, st) for st in same):
            return channels_last_stride(size)
        if all(st == same[0] for st in same) and is_dense(size, same[0]):
            return same[0]
    if ndim <= 1:
        return contiguous
    padded = []
    for sz, st in operands:
        lead = ndim - len(sz)
        if lead == ndim:
            continue
        padded.append((0,) * lead + tuple(
            0 if n == 1 and full != 1 else s
            for n, s, full in zip(sz, st, size[lead:], strict=True)))
    order = list(range(ndim - 1, -1, -1))      # fastest dimension first
    for i in range(1, ndim):
        k = i
        for j in range(i - 1, -1, -1):
            verdict = _compare(order[j], order[k], size, padded)
            if verdict > 0:
                order[j], order[k] = order[k], order[j]
                k = j
            elif verdict < 0:
                break
    out, step = [0] * ndim, 1
    for d in order:
        out[d] = step
        step *= size[d]
    return tuple(out)


def preserved_stride(size, stride):
    """Strides of a copy: the same where dense, otherwise in the same order without gaps."""
    return stride if is_dense(size, stride) else elementwise_stride(size, [(size, stride)])


def _compare(a, b, size, strides):
    """> 0 when dimension a should lie outside dimension b, 0 when no operand tells."""
    for st in strides:
        if st[a] == 0 or st[b] == 0:
            continue
        if st[a] != st[b]:
            return 1 if st[a] > st[b] else -1
        if size[a] > size[b]:
            return 1
    return 0
