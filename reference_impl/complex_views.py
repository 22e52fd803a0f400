"""Complex numbers seen as pairs of reals: conj, real, imag, view_as_real, view_as_complex."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.dispatch import FUNCTIONS
from reference_impl.errors import Domain, DtypeUnsupported, ShapeMismatch
from reference_impl.rule import composite, rule, view_rule
from reference_impl.tensor import Tensor


def part(g, number):
    return g.size, tuple(2 * s for s in g.stride), 2 * g.offset + number


def real_dtype(d, **arguments):
    if not d.is_complex:
        raise DtypeUnsupported("view_as_real is only supported for complex tensors")
    return d.to_real()


def complex_dtype(d, **arguments):
    if d not in (dt.float16, dt.float32, dt.float64):
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


def imaginary(ct):
    """i times a real cotangent: what an imaginary part sends back."""
    return ct * 1j


rule("_conj", np.conjugate, node="ConjBackward0", method=False, layout="elementwise",
     vjp=lambda ct, ins, y: [ct.conj()], jvp=lambda t, ins, y: t[0].conj())
view_rule("_real", lambda g: part(g, 0), retype=real_dtype, method=False, node="SelectBackward0",
          vjp=lambda ct, ins, y: [ct.to(ins[0].dtype)])
view_rule("_imag", lambda g: part(g, 1), retype=real_dtype, method=False, node="SelectBackward0",
          vjp=lambda ct, ins, y: [imaginary(ct)])
view_rule("view_as_real", lambda g: (g.size + (2,), tuple(2 * s for s in g.stride) + (1,),
                                     2 * g.offset), retype=real_dtype, method=False, helper=True,
          vjp=lambda ct, ins, y: [view_as_complex(ct.contiguous())])
view_rule("view_as_complex", paired, retype=complex_dtype, method=False, helper=True,
          vjp=lambda ct, ins, y: [FUNCTIONS["view_as_real"](ct)])


def view_as_complex(t):
    return FUNCTIONS["view_as_complex"](t)


def conj(input):
    """The complex conjugate; a real tensor itself."""
    if input.is_complex():
        return FUNCTIONS["_conj"](input)
    return input


def real(input):
    """The real part, a view; a real tensor itself."""
    return FUNCTIONS["_real"](input) if input.is_complex() else input


def imag(input):
    """The imaginary part, a view. Raises DtypeUnsupported for a real tensor."""
    if not input.is_complex():
        raise DtypeUnsupported("imag is not implemented for tensors with non-complex dtypes.")
    return FUNCTIONS["_imag"](input)


composite("conj", conj, helper=True)
composite("resolve_conj", lambda input: input, helper=True)
composite("real", real, method=False, helper=True)
composite("imag", imag, method=False, helper=True)
Tensor.real = property(real)
Tensor.imag = property(imag)
