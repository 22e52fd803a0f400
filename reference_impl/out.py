"""out=: the result written into tensors that the caller gives."""

import warnings

import numpy as np

from reference_impl.errors import Argument, NoGradRequired, shape_text
from reference_impl.geometry import contiguous_stride, numel
from reference_impl.grad_mode import no_grad, state
from reference_impl.overlap import check_internal
from reference_impl.promotion import check_cast
from reference_impl.storage import Storage
from reference_impl.tensor import Tensor, lay


def call_into(operation, args, kwargs):
    """Run `operation` and copy what it gives into kwargs["out"], which is returned.

    Raises NoGradRequired, CastRefused, OverlappingWrite.
    """
    kwargs = dict(kwargs)
    out = kwargs.pop("out")
    if out is None:
        return operation.call(args, kwargs)
    targets = (out,) if isinstance(out, Tensor) else tuple(out)
    given = [x for a in (*args, *kwargs.values(), *targets)
             for x in (a if isinstance(a, (tuple, list)) else (a,)) if isinstance(x, Tensor)]
    if state.enabled and any(x.requires_grad for x in given):
        raise NoGradRequired(f"{operation.name}(): functions with out=... arguments don't support "
                             "automatic differentiation, but one of the arguments requires grad.")
    with no_grad():
        made = operation.call(args, kwargs)
    results = (made,) if isinstance(made, Tensor) else tuple(made)
    for target, result in zip(targets, results, strict=True):
        check_cast(result.dtype, target.dtype)
    for target, result in zip(targets, results, strict=True):
        if target._size != result._size:
            if target.numel():
                warnings.warn(
                    f"An output with one or more elements was resized since it had shape "
                    f"{shape_text(target._size)}, which does not match the required output shape "
                    f"{shape_text(result._size)}. This behavior is deprecated, and in a future "
                    "PyTorch release outputs will not be resized unless they have zero elements. "
                    "You can explicitly reuse an out tensor t by resizing it, inplace, to zero "
                    "elements with t.resize_(0).", UserWarning, stacklevel=4)
            resize_(target, result._size)
        check_internal(target)
        target.copy_(result)
    return out


def resize_(self, *sizes, memory_format=None):
    """Give the tensor another size; its first elements stay, new memory holds zeros."""
    from reference_impl.shapes import sizes_of
    if self.requires_grad:
        raise Argument("cannot resize variables that require grad")
    size = sizes_of(sizes)
    stride, need = contiguous_stride(size), numel(size)
    if size == self._size:
        return self
    flat = self._storage.flat
    width = 1 if flat.dtype == object else self.dtype.itemsize
    have = flat.size // width - self._offset
    if need > have:
        grown = _grown(flat, (self._offset + need) * width)
        storage = Storage(grown)
        storage._flat = grown
        self._storage_cache = storage
    lay(self, self._storage, self.dtype, size, stride, self._offset, self._bits)
    return self


def _grown(flat, length):
    out = np.zeros(length, flat.dtype)
    out[:flat.size] = flat
    return out


Tensor.resize_ = resize_
Tensor.resize_as_ = lambda self, other, memory_format=None: self.resize_(other._size)
