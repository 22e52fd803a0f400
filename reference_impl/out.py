"""out=: the result written into tensors that the caller gives."""

import warnings

import numpy as np

from reference_impl.dispatch import bind
from reference_impl.dtypes import uint8
from reference_impl.errors import (
    Argument,
    DtypeMismatch,
    JoinCastRefused,
    NoForwardMode,
    NoGradRequired,
    shape_text,
)
from reference_impl.formats import contiguous_format, format_of, format_stride, preserve_format
from reference_impl.forward_ad import has_tangent, level
from reference_impl.geometry import check_storage, numel
from reference_impl.grad_mode import no_grad, state
from reference_impl.overlap import check_internal
from reference_impl.promotion import can_cast, check_cast
from reference_impl.storage import Storage
from reference_impl.tensor import Tensor, lay

# Who promotes several operands, or to floats, casts on the way out, too; all others want the dtype
# of the result. These are the exceptions of torch 2.13: functions made of others that cast, ...
CASTING = {"addr", "cat", "chain_matmul", "clamp_max", "clamp_min", "column_stack", "diff", "dstack",
           "float_power", "ger", "hstack", "kron", "ldexp", "lerp.Scalar", "logical_not", "logsumexp", "max", "mean",
           "min", "mvlgamma", "nanmean", "nansum", "outer", "polygamma", "pow", "row_stack",
           "special_ndtr", "square", "stack", "std", "var", "vstack"}
EXACT = {"log_softmax", "logcumsumexp", "softmax", "where"}      # ... and promoting ones that do not
JOINING = {"cat", "column_stack", "dstack", "hstack", "row_stack", "stack", "vstack"}


def casts(rule):
    """Whether the target may have any dtype that can hold the result."""
    if {rule.name, rule.public_name} & (CASTING | EXACT):
        return rule.public_name not in EXACT
    several = len(rule.inputs) > 1
    return rule.promote in ("float", "bool_out", "sum") or rule.promote == "result" and several


def check_target(rule, result, target, of_complex):
    """Raises CastRefused, DtypeMismatch, or JoinCastRefused."""
    if result.dtype is target.dtype:
        return
    name, made, wanted = rule.public_name, result.dtype.scalar_name, target.dtype.scalar_name
    if name in JOINING:
        if not can_cast(result.dtype, target.dtype):
            raise JoinCastRefused("torch.cat(): input types can't be cast to the desired output type "
                                  f"{wanted}")
    elif casts(rule) or name == "abs" and of_complex:
        check_cast(result.dtype, target.dtype)
    elif rule.layout == "elementwise":
        raise DtypeMismatch(f"Found dtype {wanted} but expected {made}")
    elif name in ("all", "any"):
        if target.dtype is not uint8:
            raise DtypeMismatch(f"{name} only supports bool tensor for result, got: {wanted}")
    else:
        raise DtypeMismatch(f"{name}: Expected out tensor to have dtype of scalar type {made}, but got "
                            f"scalar type {wanted} instead")


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
    targets = (out,) if isinstance(out, Tensor) else tuple(out)
    given = [x for a in (*args, *kwargs.values(), *targets)
             for x in (a if isinstance(a, (tuple, list)) else (a,)) if isinstance(x, Tensor)]
    if state.enabled and any(x.requires_grad for x in given):
        raise NoGradRequired(f"{operation.name}(): functions with out=... arguments don't support "
                             "automatic differentiation, but one of the arguments requires grad.")
    if level.depth and has_tangent(given):
        raise NoForwardMode(f"Trying to use forward AD with {operation.name}_out that does not support it "
                            "because it is an out= function")
    rule = overload(operation, args, kwargs)
    if rule.promote == "sum" and casts(rule) and kwargs.get("dtype") is None:
        kwargs["dtype"] = out.dtype      # what sums up does so in the target's dtype
    with no_grad():
        made = operation.call(args, kwargs)
    results = (made,) if isinstance(made, Tensor) else tuple(made)
    if len(results) != len(targets):
        raise Argument(f"{operation.name}(): expected {len(results)} tensors in out, got {len(targets)}")
    for target, result in zip(targets, results, strict=True):
        check_target(rule, result, target, given[0].is_complex())
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
