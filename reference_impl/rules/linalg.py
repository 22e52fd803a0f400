"""Products of vectors and matrices, and einsum.

A vjp of a product A @ B with cotangent ct is (ct @ Bᴴ, Aᴴ @ ct); the others follow from it.
16-bit floats are carried in float32 and rounded once.
"""

import math
import string

import numpy as np

import reference_impl as torch
from reference_impl.dispatch import FUNCTIONS
from reference_impl.errors import (
    Argument,
    ArgumentValue,
    DtypeMismatch,
    NotImplementedFor,
    ShapeMismatch,
    shape_text,
)
from reference_impl.geometry import broadcast_shapes
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.rules.matrix_checks import adjoint, scalar_name
from reference_impl.rules.reductions import arange, carry
from reference_impl.unsaved import Unsaved
from reference_impl.zero_tangent import ZeroTangent


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


# ── einsum ─────────────────────────────────────────────────────────────────────────────────────

def _subscripts(equation, ndims):
    """Labels of each operand and of the output, the ellipsis written out in spare letters.

    Raises Argument for an equation that does not fit the operands.
    """
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        fault = "more" if len(terms) < len(ndims) else "fewer"
        raise Argument(f"einsum(): {fault} operands were provided than specified in the equation")
    letters = [c for c in text if c.isascii() and c.isalpha()]
    bad = set(text.replace("->", "").replace("...", "")) - set(letters) - {","}
    if bad:
        raise Argument(f"einsum(): invalid subscript given in the equation string: {min(bad)!r}, "
                       "subscripts must be in [a-zA-Z]")
    spare = [chr(c) for c in range(0x3b1, 0x3b1 + 32)]
    hidden = [n - len(term.replace("...", "")) if "..." in term else 0
              for term, n in zip(terms, ndims, strict=True)]
    for k, (term, n, more) in enumerate(zip(terms, ndims, hidden, strict=True)):
        if more < 0 or "..." not in term and len(term) != n:
            raise Argument(f"einsum(): the number of subscripts in the equation ({len(term)}) does "
                           f"not match the number of dimensions ({n}) for operand {k}")
    most = max(hidden, default=0)
    labels = [term.replace("...", "".join(spare[most - more:most]))
              for term, more in zip(terms, hidden, strict=True)]
    if arrow:
        out = right.replace("...", "".join(spare[:most]))
    else:
        once = sorted(c for c in set(letters) if sum(term.count(c) for term in terms) == 1)
        out = "".join(spare[:most] + once)
    for c in out:
        if out.count(c) > 1:
            raise Argument(f"einsum(): output subscript {c} appears more than once in the output")
        if not any(c in term for term in labels):
            raise Argument(f"einsum(): output subscript {c} does not appear in the equation for "
                           "any input operand")
    return labels, out


def _contract(arrays, labels, out):
    """np.einsum on numbered labels, so that any letter may be a label."""
    number = {c: i for i, c in enumerate(dict.fromkeys("".join(labels) + out))}
    operands = []
    for array, term in zip(arrays, labels, strict=True):
        operands += [array, [number[c] for c in term]]
    return np.einsum(*operands, [number[c] for c in out])


def _einsum(equation, tensors, *, path=None):
    labels, out = _subscripts(equation, [t.ndim for t in tensors])
    sizes = {}
    for k, (t, term) in enumerate(zip(tensors, labels, strict=True)):
        same_dtype("einsum()", tensors[0], t)
        own = {}
        for c, n in zip(term, t.shape, strict=True):
            if own.setdefault(c, n) != n:
                raise ShapeMismatch(f"einsum(): subscript {c} is repeated for operand {k} but the "
                                    f"sizes don't match, {n} != {own[c]}")
            if sizes.setdefault(c, n) == 1:
                sizes[c] = n
            if n not in (1, sizes[c]):
                raise ShapeMismatch(f"einsum(): subscript {c} has size {n} for operand {k} which "
                                    f"does not broadcast with previously seen size {sizes[c]}")
    found = _contract([carry(t) for t in tensors], labels, out)
    return np.asarray(found).astype(tensors[0].dtype)


def _einsum_vjp(ct, ins, y, equation, path):
    tensors = ins[0]
    labels, out = _subscripts(equation, [t.ndim for t in tensors])
    return [[_einsum_ct(ct, tensors, labels, out, k) for k in range(len(tensors))]]


def _einsum_ct(ct, tensors, labels, out, k):
    """Cotangent of operand k: ct contracted with the conjugates of all other operands."""
    own, shape = labels[k], tensors[k].shape
    others = [i for i in range(len(tensors)) if i != k]
    terms = [out] + [labels[i] for i in others]
    unique = "".join(dict.fromkeys(own))
    reached = "".join(c for c in unique if any(c in term for term in terms))
    letters = {c: chr(ord("a") + i) for i, c in enumerate(dict.fromkeys("".join(terms) + own))}

    def spell(term):
        return "".join(letters[c] for c in term)
    equation = ",".join(spell(term) for term in terms) + "->" + spell(reached)
    got = torch.einsum(equation, [ct] + [tensors[i].conj() for i in others])
    # a label that only operand k has was summed over: every element of it gets the same
    at = [reached.index(c) if c in reached else None for c in own]
    sizes = [1 if i is None else got.shape[i] for i in at]
    for place, c in enumerate(own):
        if c in own[:place]:        # a repeated label is a diagonal: nothing off it
            sizes[place] = 1
    got = got.reshape(sizes)
    for place, c in enumerate(own):
        first = own.index(c)
        if first != place:
            n = shape[place]
            row, column = ([n if d == p else 1 for d in range(len(own))] for p in (first, place))
            on = arange(n).reshape(row) == arange(n).reshape(column)
            got = torch.where(on, got, torch.zeros_like(got))
    if any(n == 1 and m != 1 for n, m in zip(got.shape, shape, strict=True)):
        got = got.expand([max(n, m) for n, m in zip(got.shape, shape, strict=True)])
    return got


def _einsum_jvp(t, ins, y, equation, path):
    """Linear in every operand: the sum over k of the same with the tangent for operand k."""
    tensors = ins[0]
    parts = [torch.einsum(equation, [*tensors[:k], one, *tensors[k + 1:]])
             for k, one in enumerate(t[0]) if not isinstance(one, ZeroTangent)]
    return sum(parts[1:], parts[0])


rule("einsum", _einsum, inputs=("tensors*",), vjp=_einsum_vjp, jvp=_einsum_jvp,
     saves={"tensors": ("tensors",)}, method=False, varargs="tensors")


LETTERS = string.ascii_uppercase + string.ascii_lowercase


def _letters(labels):
    """A list of numbers below 52 and ellipses as subscripts. Raises ArgumentValue, Argument."""
    out = []
    for label in labels:
        if label is Ellipsis:
            out.append("...")
        elif not isinstance(label, int):
            raise ArgumentValue("einsum() expected a subscript to be an int or an Ellipsis, but got "
                                f"{type(label).__name__}")
        elif not 0 <= label < len(LETTERS):
            raise ArgumentValue(f"einsum(): subscript {label} is not within the valid range [0, 52)")
        else:
            out.append(LETTERS[label])
    return "".join(out)


def by_equation(*operands):
    """einsum(equation, *tensors), or einsum(tensor, labels, tensor, labels, ..., [labels])."""
    compute = OPERATIONS["einsum"].function
    if not operands or isinstance(operands[0], str):
        return compute(*operands)
    pairs, rest = operands[:len(operands) // 2 * 2], operands[len(operands) // 2 * 2:]
    equation = ",".join(_letters(labels) for labels in pairs[1::2])
    return compute(equation + ("->" + _letters(rest[0]) if rest else ""), list(pairs[::2]))


by_equation.__name__ = "einsum"
FUNCTIONS["einsum"] = by_equation
