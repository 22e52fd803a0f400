"""Adding a cotangent to a leaf's `.grad`, and fitting cotangents to what they belong to."""

from sys import getrefcount

from reference_impl.errors import GradMismatch, ShapeMismatch, shape_text
from reference_impl.geometry import contiguous_stride, is_contiguous, is_dense
from reference_impl.grad_mode import state
from reference_impl.viewing import detached


def accumulate(leaf, ct):
    """leaf.grad += ct. The first one is kept as it is when nobody else holds it, else copied."""
    if leaf._grad is None:
        unshared = getrefcount(ct) <= UNSHARED and not state.enabled
        fits = not state.layout_enforced or _lies_like(ct, leaf)
        leaf._grad = detached(ct) if unshared and fits else dense_copy(ct, leaf)
    elif state.enabled:
        leaf._grad = leaf._grad + ct
    else:
        leaf._grad += ct


# references to a cotangent that only the engine holds: its buffer, the parameter of `accumulate`
# and the argument of getrefcount
UNSHARED = 3


def _lies_like(ct, leaf):
    """Whether `ct` has the strides that a gradient of `leaf` should have."""
    if is_dense(leaf._size, leaf._stride):
        return all(n == 1 or s == w for n, s, w in zip(
            ct._size, ct._stride, leaf._stride, strict=True))
    return is_contiguous(ct._size, ct._stride)


def dense_copy(ct, like):
    """Copy of `ct` with the strides of `like` where those are dense, else row-major."""
    from reference_impl.creation import empty_strided
    size = ct._size
    stride = like._stride if like._size == size and is_dense(size, like._stride) else (
        contiguous_stride(size))
    out = empty_strided(size, stride, dtype=ct.dtype)
    if state.enabled:
        return out.copy_(ct)
    out._array[...] = ct._array
    out._counter.value += 1
    return out


def fit(ct, meta, node, index=0):
    """`ct` made to fit an output (size, dtype): summed where that was broadcast, cast.

    A dtype of None accepts any. Raises GradMismatch when no summing leads there; node and index say
    whose result `ct` is.
    """
    size, dtype = meta
    if ct._size != size:
        if not _expands(size, ct._size):
            raise GradMismatch(f"Function {node.name()} returned an invalid gradient at index {index} "
                               f"- got {shape_text(ct._size)} but expected shape compatible with "
                               f"{shape_text(size)}")
        ct = sum_to_size(ct, size)
    if dtype is not None and ct.dtype is not dtype:
        if ct.dtype.is_complex and not dtype.is_complex:
            ct = ct.real
        ct = ct.to(dtype)
    return ct


def _expands(small, large):
    lead = len(large) - len(small)
    return lead >= 0 and all(n in (1, m) for n, m in zip(small, large[lead:], strict=True))


def sum_to_size(t, size):
    """Sum `t` over the dimensions along which `size` was broadcast. Raises ShapeMismatch."""
    if t._size == size:
        return t
    if not _expands(size, t._size):
        raise ShapeMismatch(f"size {shape_text(size)} is not expandable to size "
                            f"{shape_text(t._size)}.")
    if not size:
        return t.sum()
    lead = len(t._size) - len(size)
    dims = tuple(range(lead)) + tuple(
        i for i in range(lead, len(t._size)) if size[i - lead] == 1 and t._size[i] != 1)
    if dims:
        t = t.sum(dims, keepdim=True)
    return t.view(size) if lead else t


