"""Complex numbers seen as pairs of reals, conjugated or negated: all of them views (bits.py)."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.bits import CONJUGATE, NEGATIVE
from reference_impl.dispatch import FUNCTIONS
from reference_impl.errors import BitSet, Domain, DtypeUnsupported, ShapeMismatch
from reference_impl.rule import RULES, composite, rule, view_rule
from reference_impl.tensor import Tensor


def real_dtype(x):
    if not x.is_complex():
        raise DtypeUnsupported("view_as_real is only supported for complex tensors")
    if x._bits & CONJUGATE:
        raise BitSet("view_as_real doesn't work on unresolved conjugated tensors.  To resolve the "
                     "conjugate tensor so you can view it as real, use self.resolve_conj(); "
                     "however, be warned that the resulting tensor will NOT alias the original.")
    return x.dtype.to_real()


def complex_dtype(x):
    d = x.dtype
    if d not in (dt.float16, dt.float32, dt.float64, dt.extended):
        raise DtypeUnsupported("view_as_complex is only supported for half, float and double "
                               f"tensors, but got a tensor of scalar type: {d.scalar_name}")
    return d.to_complex()


def paired(g):
    if not g.size or g.size[-1] != 2:
        raise ShapeMismatch("Tensor must have a last dimension of size 2" if g.size else
                            "Input tensor must have one or more dimensions")
    if g.stride[-1] != 1:
        raise Domain("Tensor must have a last dimension with stride 1")
    if any(s % 2 for s in g.stride[:-1]) or g.offset % 2:
        raise Domain("Tensor must have a stride divisible by 2 for all but last dimension")
    return g.size[:-1], tuple(s // 2 for s in g.stride[:-1]), g.offset // 2


def in_pairs(g):
    return g.size + (2,), tuple(2 * s for s in g.stride) + (1,), 2 * g.offset


view_rule("_conj", lambda g: g, flips=CONJUGATE, node="ConjBackward0",
          vjp=lambda ct, ins, y: [ct.conj()])
view_rule("_neg_view", lambda g: g, flips=NEGATIVE, vjp=lambda ct, ins, y: [-ct])
view_rule("view_as_real", in_pairs, retype=real_dtype, method=False,
          vjp=lambda ct, ins, y: [view_as_complex(ct.contiguous())])
view_rule("view_as_complex", paired, retype=complex_dtype, method=False, helper=True,
          vjp=lambda ct, ins, y: [view_as_real(ct.contiguous().resolve_conj())])
rule("_conj_physical", np.conjugate, node="ConjPhysicalBackward0", layout="elementwise",
     inplace=True, vjp=lambda ct, ins, y: [ct.conj_physical()], jvp=lambda t, ins, y: t[0].conj())
RULES["_conj_physical_"].node = "ConjPhysicalBackward1"       # a formula of its own, in torch
view_as_real, view_as_complex = FUNCTIONS["view_as_real"], FUNCTIONS["view_as_complex"]


def conj(input):
    """The complex conjugate, a view; a real tensor itself."""
    return FUNCTIONS["_conj"](input) if input.is_complex() else input


def conj_physical(input):
    """The complex conjugate as a copy; a real tensor itself."""
    return FUNCTIONS["_conj_physical"](input) if input.is_complex() else input


def conj_physical_(input):
    """Conjugate in place."""
    return input._conj_physical_() if input.is_complex() else input


def is_conj(input):
    """Whether the memory is to be read conjugated."""
    return bool(input._bits & CONJUGATE)


def is_neg(input):
    """Whether the memory is to be read negated."""
    return bool(input._bits & NEGATIVE)


def resolve_conj(input):
    """The tensor itself, or a copy with its values where it has the conjugate bit."""
    return input.clone() if is_conj(input) else input


def resolve_neg(input):
    """The tensor itself, or a copy with its values where it has the negative bit."""
    return input.clone() if is_neg(input) else input


def part(input, number):
    """Real (0) or imaginary (1) part. Of a conjugate the imaginary part is a negative view."""
    if not is_conj(input):
        return view_as_real(input).select(-1, number)
    pairs = view_as_real(conj(input))
    return (FUNCTIONS["_neg_view"](pairs) if number else pairs).select(-1, number)


def real(input):
    """The real part, a view; a real tensor itself."""
    return part(input, 0) if input.is_complex() else input


def imag(input):
    """The imaginary part, a view. Raises DtypeUnsupported for a real tensor."""
    if not input.is_complex():
        raise DtypeUnsupported("imag is not implemented for tensors with non-complex dtypes.")
    return part(input, 1)


def settable(get):
    """The attribute `x.real`: reading gives the view, assigning writes through it."""
    def set_(self, value):
        from reference_impl.data import tensor
        get(self).copy_(value if isinstance(value, Tensor) else tensor(value))
    return property(get, set_)


for _function in (conj, conj_physical):
    composite(_function.__name__, _function)
for _function in (conj_physical_, is_conj, is_neg, resolve_conj, resolve_neg):
    composite(_function.__name__, _function, helper=True)
composite("real", real, method=False)
composite("imag", imag, method=False)
Tensor.real, Tensor.imag = settable(real), settable(imag)
