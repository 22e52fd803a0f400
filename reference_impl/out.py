"""out=: the result written into tensors that the caller gives."""

import warnings
from contextlib import nullcontext

import numpy as np

from reference_impl.dispatch import bind
from reference_impl.errors import Argument, NoForwardMode, NoGradRequired, shape_text
from reference_impl.formats import contiguous_format, format_of, format_stride, preserve_format
from reference_impl.forward_ad import has_tangent, level
from reference_impl.geometry import check_storage, numel
from reference_impl.grad_mode import no_grad, state
from reference_impl.out_dtypes import SUMS, check_target, computing_dtype
from reference_impl.overlap import check_apart, check_internal, check_partial
from reference_impl.return_types import named
from reference_impl.rule import BROADCASTING
from reference_impl.storage import Storage
from reference_impl.tensor import Tensor, lay

# which inputs (from this place on) may not share any memory with what is written
APART = {"cat": 0, "cross": 0, "gather": 0, "index_select": 0, "kthvalue": 0, "linalg_cross": 0,
         "masked_select": 0, "stack": 0, "take": 0, "index_add": 1, "index_copy": 1, "scatter": 1, "scatter_add": 1,
         "scatter_reduce": 1}

RECORDED = ("inner", "tensordot")      # these copy their result, a tensor with history, to the target


def overload(operation, args, kwargs):
    """The rule that such a call goes to."""
    for strict in (True, False):
        for rule in operation.rules:
            try:
                if rule.kind == "composite":
                    rule.signature.bind(*args, **kwargs)
                else:
                    bind(rule, args, kwargs, strict)
            except TypeError:
                continue
            return rule
    return operation.rules[0]        # its refusal will be the answer


def call_into(operation, args, kwargs):
    """Run `operation` and copy what it gives into kwargs["out"], which is returned.

    Raises NoGradRequired, CastRefused, DtypeMismatch, OverlappingWrite.
    """
    kwargs = dict(kwargs)
    out = kwargs.pop("out")
    if out is None:
        return operation.call(args, kwargs)
    one = isinstance(out, Tensor)
    targets = (out,) if one else tuple(out)
    given = [x for a in (*args, *kwargs.values())
             for x in (a if isinstance(a, (tuple, list)) else (a,)) if isinstance(x, Tensor)]
    recorded = operation.name in RECORDED
    if state.enabled and not recorded and any(x.requires_grad for x in (*given, *targets)):
        raise NoGradRequired(f"{operation.name}(): functions with out=... arguments don't support "
                             "automatic differentiation, but one of the arguments requires grad.")
    if level.depth and has_tangent((*given, *targets)):
        raise NoForwardMode(f"Trying to use forward AD with {operation.name}_out that does not support it "
                            "because it is an out= function")
    rule = overload(operation, args, kwargs)
    if operation.name in SUMS:
        kwargs["dtype"] = computing_dtype(operation.name, kwargs.get("dtype"), targets[0].dtype)
    with nullcontext() if recorded else no_grad():
        made = operation.call(args, kwargs)
    results = (made,) if isinstance(made, Tensor) else tuple(made)
    if len(results) != len(targets):
        raise Argument(f"{operation.name}(): expected {len(results)} tensors in out, got {len(targets)}")
    of_complex = bool(given) and given[0].is_complex()
    for place, (target, result) in enumerate(zip(targets, results, strict=True)):
        check_target(rule, result.dtype, target.dtype, place, of_complex, kwargs)
    for target, result in zip(targets, results, strict=True):
        if target._size != result._size:
            if recorded and state.enabled and target.requires_grad:
                raise NoGradRequired("tensordot(): the 'out' tensor was specified and requires gradients, "
                                     "and its shape does not match the expected result.")
            resize_out(target, result._size)
        check_internal(target)
        check_memory(rule, target, given)
        target.copy_(result)
    return out if one else named(operation.name)(targets)


def check_memory(rule, target, given):
    """Raises OverlappingWrite where the kernel would read what it has overwritten."""
    first = APART.get(rule.public_name)
    if first is not None:
        for t in given[first:]:
            check_apart(target, t)
    elif rule.promote in BROADCASTING:
        for t in given:
            check_partial(target, t)


def resize_out(target, size):
    if target.numel():
        warnings.warn(
            f"An output with one or more elements was resized since it had shape "
            f"{shape_text(target._size)}, which does not match the required output shape "
            f"{shape_text(size)}. This behavior is deprecated, and in a future "
            "PyTorch release outputs will not be resized unless they have zero elements. "
            "You can explicitly reuse an out tensor t by resizing it, inplace, to zero "
            "elements with t.resize_(0).", UserWarning, stacklevel=5)
    resize_(target, size)


def resize_(self, *sizes, memory_format=contiguous_format):
    """Give the tensor another size; its first elements stay, new memory holds zeros."""
    from reference_impl.shapes import sizes_of
    if self.requires_grad and not state.inference:       # in inference mode autograd does not look
        raise Argument("cannot resize variables that require grad")
    size = sizes_of(sizes)
    if memory_format is preserve_format:
        raise Argument("Unsupported memory format Preserve")
    if any(n < 0 for n in size) or numel(size) >= 1 << 63:
        raise Argument("numel: integer multiplication overflow")   # for both, in torch
    check_storage(size, self.dtype.itemsize)
    if memory_format is contiguous_format and size == self._size:
        return self                      # strides stay only then
    stride, need = format_stride(size, memory_format), numel(size)
    flat = self._storage.flat
    width = 1 if flat.dtype == object else self.dtype.itemsize
    have = flat.size // width - self._offset
    if need > have:
        grown = _grown(flat, (self._offset + need) * width)
        storage = Storage(grown)
        storage._flat = grown
        self._storage_cache = storage
    lay(self, self._storage, self.dtype, size, stride, self._offset, self._bits)
    self._counter.value += 1
    return self


def _grown(flat, length):
    out = np.zeros(length, flat.dtype)
    out[:flat.size] = flat
    return out


Tensor.resize_ = resize_
def resize_as_(self, other, memory_format=contiguous_format):
    """Give the tensor the size of another, and its order in memory where asked to preserve it."""
    if memory_format is preserve_format:
        memory_format = format_of(other._size, other._stride)
    return self.resize_(other._size, memory_format=memory_format)


Tensor.resize_as_ = resize_as_
