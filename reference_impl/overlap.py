"""Which writes are refused because memory overlaps."""

from reference_impl.errors import OverlappingWrite
from reference_impl.geometry import is_dense, may_self_overlap, numel

CLONE = "Please clone() the tensor before performing the operation."


def check_internal(target):
    """Refuse to write a tensor several of whose elements are one memory location."""
    if may_self_overlap(target._size, target._stride):
        raise OverlappingWrite("unsupported operation: more than one element of the written-to "
                               f"tensor refers to a single memory location. {CLONE}")


def check_partial(target, source):
    """Refuse a source that shares some, but not exactly the same, memory with the target."""
    if source is target or not share_storage(target, source):
        return
    if not (is_dense(target._size, target._stride) and is_dense(source._size, source._stride)):
        return                        # torch does not decide these either
    a, b = span(target), span(source)
    same = a == b and target._stride == source._stride
    if not same and a[0] < b[1] and b[0] < a[1]:
        raise OverlappingWrite("unsupported operation: some elements of the input tensor and the "
                               f"written-to tensor refer to a single memory location. {CLONE}")


def check_apart(target, source):
    """Refuse a source that shares any memory with the target."""
    a, b = span(target), span(source)
    meet = share_storage(target, source) and a[0] < b[1] and b[0] < a[1]
    if meet or source is target:
        raise OverlappingWrite("unsupported operation: some elements of the input tensor and the "
                               f"written-to tensor refer to a single memory location. {CLONE}")


def share_storage(a, b):
    if a._storage_cache is None or b._storage_cache is None:
        return False                  # never viewed: nothing can share it
    return a._storage_cache is b._storage_cache


def span(t):
    """First byte and byte after the last, within the storage."""
    if numel(t._size) == 0:
        return (0, 0)
    last = sum((n - 1) * s for n, s in zip(t._size, t._stride, strict=True))
    width = t.dtype.itemsize
    return (t._offset * width, (t._offset + last + 1) * width)
