"""Joining tensors: cat and stack. Chapter "Indexing, Slicing, Joining, Mutating Ops" of torch.

In a line, ct is the cotangent, ins the inputs, y the result.
"""

import numpy as np

from reference_impl.creation import zeros
from reference_impl.errors import Argument, ArgumentValue, ShapeMismatch, shape_text
from reference_impl.geometry import wrap_dim
from reference_impl.rule import OPERATIONS, rule


def is_legacy_empty(shape):
    """A vector of no elements: cat skips it whatever shape the others have."""
    return tuple(shape) == (0,)


def cat(tensors, dim=0):
    """Raises ArgumentValue, ShapeMismatch, DimOutOfRange."""
    if not tensors:
        raise ArgumentValue("torch.cat(): expected a non-empty list of Tensors")
    for place, a in enumerate(tensors):
        if a.ndim == 0:
            raise ShapeMismatch(f"zero-dimensional tensor (at position {place}) cannot be "
                                "concatenated")
    kept = [(i, a) for i, a in enumerate(tensors) if not is_legacy_empty(a.shape)]
    if not kept:
        return tensors[0].copy()
    first = kept[0][1]
    dim = wrap_dim(dim, first.ndim)
    for place, a in kept:
        if a.ndim != first.ndim:
            raise ShapeMismatch(f"Tensors must have same number of dimensions: got {first.ndim} "
                                f"and {a.ndim}")
        for d, (want, got) in enumerate(zip(first.shape, a.shape, strict=True)):
            if d != dim and want != got:
                raise ShapeMismatch(f"Sizes of tensors must match except in dimension {dim}. "
                                    f"Expected size {want} but got size {got} for tensor number "
                                    f"{place} in the list.")
    return np.concatenate([a for _, a in kept], axis=dim)


def cut(ct, tensors, dim):
    """The parts of `ct` that came from each of `tensors`."""
    parts, start, dim = [], 0, wrap_dim(dim, ct.ndim)
    for t in tensors:
        if is_legacy_empty(t.shape):
            parts.append(zeros(t.shape, dtype=ct.dtype))
            continue
        end = start + t.shape[dim]
        parts.append(OPERATIONS["slice"].function(ct, dim, start, end))
        start = end
    return parts


def stack(tensors, dim=0):
    """Raises Argument, ShapeMismatch, DimOutOfRange."""
    if not tensors:
        raise Argument("stack expects a non-empty TensorList")
    first = tensors[0]
    dim = wrap_dim(dim, first.ndim + 1)
    for place, a in enumerate(tensors):
        if a.shape != first.shape:
            raise ShapeMismatch(f"stack expects each tensor to be equal size, but got "
                                f"{shape_text(first.shape)} at entry 0 and {shape_text(a.shape)} "
                                f"at entry {place}")
    return np.stack(tensors, axis=dim)


rule("cat", cat, inputs=("tensors*",), promote="result", layout="common format", numbers=False,
     method=False, vjp=lambda ct, ins, y, dim: [cut(ct, ins[0], dim)], jvp="linear")
rule("stack", stack, inputs=("tensors*",), promote="result", layout="contiguous", numbers=False,
     method=False, jvp="linear",
     vjp=lambda ct, ins, y, dim: [[ct.select(dim, i) for i in range(len(ins[0]))]])
