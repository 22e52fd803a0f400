"""Products of vectors and matrices.

A vjp of a product A @ B with cotangent ct is (ct @ Bᴴ, Aᴴ @ ct); the others follow from it.
16-bit floats are carried in float32 and rounded once.
"""

import math

import numpy as np

from reference_impl.errors import (
    DtypeMismatch,
    NotImplementedFor,
    ShapeMismatch,
    shape_text,
)
from reference_impl.geometry import broadcast_shapes
from reference_impl.rule import composite, rule
from reference_impl.rules.matrix_checks import adjoint, scalar_name
from reference_impl.rules.reductions import carry
from reference_impl.unsaved import Unsaved


def product(a, b, name):
    """a @ b in the dtype of a. Raises NotImplementedFor for bool."""
    if a.dtype == np.bool_:
        raise NotImplementedFor(f"\"{name}\" not implemented for 'Bool'")
    return np.asarray(np.matmul(carry(a), carry(b)), a.dtype)     # of objects: a bare object


def same_dtype(name, a, b):
    if a.dtype != b.dtype:
        raise DtypeMismatch(f"{name}: expected both operands to have the same dtype, but got "
                            f"{scalar_name(a)} and {scalar_name(b)}")


def sizes_text(a):
    return "x".join(map(str, a.shape))


def check_mm(a, b, names=("self", "mat2"), suffix=""):
    for name, t in zip(names, (a, b), strict=True):
        if t.ndim != 2:
            raise ShapeMismatch(f"{name} must be a matrix{suffix.format(t.ndim)}")
    if a.shape[1] != b.shape[0]:
        raise ShapeMismatch(f"mat1 and mat2 shapes cannot be multiplied ({sizes_text(a)} and "
                            f"{sizes_text(b)})")
    if a.dtype != b.dtype:
        raise DtypeMismatch(f"expected m1 and m2 to have the same dtype, but got: {scalar_name(a)} "
                            f"!= {scalar_name(b)}")


def check_mv(a, b, of=None):
    """of: the shape of what is added, as far as there is such."""
    if a.ndim != 2 or b.ndim != 1:
        raise ShapeMismatch(f"vector + matrix @ vector expected, got 1, {a.ndim}, {b.ndim}")
    own = a.shape[0] if of is None else math.prod(of)
    if a.shape[1] != b.shape[0] or own not in (1, a.shape[0]):
        raise ShapeMismatch(f"size mismatch, got input ({own}), mat ({sizes_text(a)}), vec "
                            f"({b.shape[0]})")
    same_dtype("addmv", a, b)


def check_bmm(a, b):
    for name, t in (("batch1", a), ("batch2", b)):
        if t.ndim != 3:
            raise ShapeMismatch(f"{name} must be a 3D tensor")
    want = (a.shape[0], a.shape[2])
    if b.shape[:2] != want:
        raise ShapeMismatch("Expected size for first two dimensions of batch2 tensor to be: "
                            f"{shape_text(want)} but got: {shape_text(b.shape[:2])}.")
    if a.dtype != b.dtype:
        raise DtypeMismatch(f"expected scalar type {scalar_name(a)} but found {scalar_name(b)}")


def check_dot(a, b):
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeMismatch(f"1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors")
    if a.dtype != b.dtype:
        raise DtypeMismatch("dot : expected both vectors to have same dtype, but found "
                            f"{scalar_name(a)} and {scalar_name(b)}")
    if a.shape != b.shape:
        raise ShapeMismatch(f"inconsistent tensor size, expected tensor [{len(a)}] and src "
                            f"[{len(b)}] to have the same number of elements, but got {len(a)} and "
                            f"{len(b)} elements respectively")


def _mm(self, mat2):
    check_mm(self, mat2)
    return product(self, mat2, "addmm_impl_cpu_")


def _mv(self, vec):
    check_mv(self, vec)
    return product(self, vec, "addmv_impl_cpu")


def _bmm(self, mat2):
    check_bmm(self, mat2)
    return product(self, mat2, "bmm")


def _dot(self, tensor):
    check_dot(self, tensor)
    return product(self, tensor, "dot")


def _vdot(self, other):
    check_dot(self, other)
    return product(self.conj(), other, "dot")


for _name, _forward, _other in (("mm", _mm, "mat2"), ("bmm", _bmm, "mat2")):
    rule(_name, _forward, inputs=("self", _other),
         vjp=lambda ct, ins, y: [ct @ adjoint(ins[1]), adjoint(ins[0]) @ ct],
         jvp=lambda t, ins, y: t[0] @ ins[1] + ins[0] @ t[1],
         saves={"self": (_other,), _other: ("self",)})

rule("mv", _mv, inputs=("self", "vec"),
     vjp=lambda ct, ins, y: [ct.unsqueeze(1) * ins[1].conj(), adjoint(ins[0]) @ ct],
     jvp=lambda t, ins, y: t[0] @ ins[1] + ins[0] @ t[1],
     saves={"self": ("vec",), "vec": ("self",)})
rule("dot", _dot, inputs=("self", "tensor"),
     vjp=lambda ct, ins, y: [ct * ins[1].conj(), ct * ins[0].conj()],
     jvp=lambda t, ins, y: (t[0] * ins[1] + ins[0] * t[1]).sum(),
     saves={"self": ("tensor",), "tensor": ("self",)})


rule("vdot", _vdot, inputs=("self", "other"), helper=True,
     vjp=lambda ct, ins, y: [ct.conj() * ins[1], ct * ins[0]],
     jvp=lambda t, ins, y: (t[0].conj() * ins[1] + ins[0].conj() * t[1]).sum(),
     saves={"self": ("other",), "other": ("self",)})


def matmul(self, other):
    """The product over the last dimension of self and the last but one of other.

    A vector is a row on the left and a column on the right, and leaves no dimension behind;
    all dimensions before the last two are broadcast.
    """
    if isinstance(self, Unsaved) or isinstance(other, Unsaved):
        return Unsaved()
    left, right = self.ndim, other.ndim
    if not left or not right:
        raise ShapeMismatch("both arguments to matmul need to be at least 1D, but they are "
                            f"{left}D and {right}D")
    if right == 1:
        if left <= 2:
            return self.dot(other) if left == 1 else self.mv(other)
        return self.reshape(_rows(self), self.shape[-1]).mv(other).reshape(self.shape[:-1])
    if left == 1:
        return self.unsqueeze(0).matmul(other).squeeze(-2)
    if right == 2:
        if left == 2:
            return self.mm(other)
        out = self.reshape(_rows(self), self.shape[-1]).mm(other)
        return out.reshape(*self.shape[:-1], other.shape[-1])
    batch = broadcast_shapes(self.shape[:-2], other.shape[:-2])
    a, b = (t.expand(*batch, *t.shape[-2:]) for t in (self, other))
    count = int(np.prod(batch, dtype=int))
    out = a.reshape(count, *a.shape[-2:]).bmm(b.reshape(count, *b.shape[-2:]))
    return out.reshape(*batch, a.shape[-2], b.shape[-1])


def _rows(t):
    """How many vectors lie along the last dimension."""
    return math.prod(t.shape[:-1])


def outer(self, vec2):
    """self[i] * vec2[j]."""
    for name, t in (("self", self), ("vec2", vec2)):
        if t.ndim != 1:
            raise ShapeMismatch(f"outer: Expected 1-D argument {name}, but got {t.ndim}-D")
    return self.unsqueeze(1) * vec2


composite("matmul", matmul)
composite("outer", outer)
