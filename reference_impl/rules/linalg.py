"""Products of vectors and matrices, einsum, Cholesky factors and linear systems.

A vjp of a product A @ B with cotangent ct is (ct @ Bᴴ, Aᴴ @ ct); the others follow from it.
16-bit floats are carried in float32 and rounded once. The factorisations are written out, so
that they run in every floating dtype and in wider ones than LAPACK knows.
"""

import numpy as np

import reference_impl as torch
from reference_impl.errors import (
    Argument,
    DtypeMismatch,
    DtypeUnsupported,
    LinalgSingular,
    NotImplementedFor,
    ShapeMismatch,
)
from reference_impl.geometry import broadcast_shapes
from reference_impl.rule import composite, rule
from reference_impl.rules.reductions import arange, carry
from reference_impl.unsaved import Unsaved
from reference_impl.zero_tangent import ZeroTangent


def adjoint(t):
    """Conjugate transpose of the last two dimensions, of a Tensor or an ndarray."""
    swapped = np.swapaxes(t, -1, -2) if isinstance(t, np.ndarray) else t.transpose(-2, -1)
    return swapped.conj()


def product(a, b, name):
    """a @ b in the dtype of a. Raises NotImplementedFor for bool."""
    if a.dtype == np.bool_:
        raise NotImplementedFor(f"\"{name}\" not implemented for 'Bool'")
    return np.asarray(np.matmul(carry(a), carry(b)), a.dtype)     # of objects: a bare object


def columns(a):
    """`a` with its last two dimensions stored column by column, as LAPACK leaves them."""
    return np.swapaxes(np.ascontiguousarray(np.swapaxes(a, -1, -2)), -1, -2) if a.ndim > 1 else a


def same_dtype(name, a, b):
    if a.dtype != b.dtype:
        raise DtypeMismatch(f"{name}: expected both operands to have the same dtype, but got "
                            f"{a.dtype.name} and {b.dtype.name}")


def _fits(name, a, b, dims):
    """Checks dimensions and the inner length. Raises ShapeMismatch, DtypeMismatch."""
    if (a.ndim, b.ndim) != dims:
        raise ShapeMismatch(f"{name}: expected operands of {dims[0]} and {dims[1]} dimensions, but "
                            f"got {a.ndim} and {b.ndim}")
    inner = b.shape[-2 if dims[1] > 1 else -1]
    if a.shape[-1] != inner or dims == (3, 3) and a.shape[0] != b.shape[0]:
        raise ShapeMismatch(f"{name}: shapes cannot be multiplied ({'x'.join(map(str, a.shape))} "
                            f"and {'x'.join(map(str, b.shape))})")
    same_dtype(name, a, b)


def _mm(self, mat2):
    _fits("mm", self, mat2, (2, 2))
    return product(self, mat2, "addmm_impl_cpu_")


def _mv(self, vec):
    _fits("mv", self, vec, (2, 1))
    return product(self, vec, "addmv_impl_cpu")


def _bmm(self, mat2):
    _fits("bmm", self, mat2, (3, 3))
    return product(self, mat2, "bmm")


def _dot(self, tensor):
    _fits("dot", self, tensor, (1, 1))
    return product(self, tensor, "dot")


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
        return self.reshape(-1, self.shape[-1]).mv(other).reshape(*self.shape[:-1])
    if left == 1:
        return self.unsqueeze(0).matmul(other).squeeze(-2)
    if right == 2:
        if left == 2:
            return self.mm(other)
        out = self.reshape(-1, self.shape[-1]).mm(other)
        return out.reshape(*self.shape[:-1], other.shape[-1])
    batch = broadcast_shapes(self.shape[:-2], other.shape[:-2])
    a, b = (t.expand(*batch, *t.shape[-2:]) for t in (self, other))
    count = int(np.prod(batch, dtype=int))
    out = a.reshape(count, *a.shape[-2:]).bmm(b.reshape(count, *b.shape[-2:]))
    return out.reshape(*batch, a.shape[-2], b.shape[-1])


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


rule("einsum", _einsum, inputs=("tensors*",), vjp=_einsum_vjp, jvp=_einsum_jvp, saves={"tensors": ("tensors",)},
     method=False, varargs="tensors")


# ── factorisations ─────────────────────────────────────────────────────────────────────────────

def _square(name, a):
    """Raises ShapeMismatch or DtypeUnsupported unless `a` is a batch of square matrices."""
    if a.ndim < 2:
        raise ShapeMismatch(f"{name}: The input tensor A must have at least 2 dimensions.")
    if a.shape[-1] != a.shape[-2]:
        raise ShapeMismatch(f"{name}: A must be batches of square matrices, but they are "
                            f"{a.shape[-2]} by {a.shape[-1]} matrices")
    if a.dtype.kind in "biu":
        raise DtypeUnsupported(f"{name}: Expected a floating point or complex tensor as input. "
                               f"Got {a.dtype.name}")
    if a.dtype.itemsize == 2:
        raise NotImplementedFor(f'"{name}" not implemented for \'{a.dtype.name}\'')


def _cholesky(self, *, upper=False):
    _square("linalg.cholesky", self)
    a = adjoint(self) if upper else self       # only the lower triangle is read
    n = a.shape[-1]
    low = np.zeros_like(a)
    for j in range(n):
        row = low[..., j, :j]
        pivot = (a[..., j, j] - (row * row.conj()).sum(-1)).real
        if not np.all(pivot > 0):
            raise LinalgSingular(
                "linalg.cholesky: The factorization could not be completed because the input is "
                f"not positive-definite (the leading minor of order {j + 1} is not "
                "positive-definite).")
        low[..., j, j] = np.sqrt(pivot)
        below = a[..., j + 1:, j] - (low[..., j + 1:, :j] * row.conj()[..., None, :]).sum(-1)
        low[..., j + 1:, j] = below / low[..., j, j, None]
    return columns(adjoint(low) if upper else low)


def lower_half(t):
    """The lower triangle of a Tensor with its diagonal halved."""
    n = t.shape[-1]
    row, column = arange(n).reshape(n, 1), arange(n)
    nothing = torch.zeros_like(t)
    return torch.where(row > column, t, torch.where(row == column, t / 2, nothing))


def _cholesky_vjp(ct, ins, y, upper):
    # Murray, Differentiation of the Cholesky decomposition (2016), eq. 10: L⁻ᴴ Φ(Lᴴ ct) L⁻¹, made
    # Hermitian because the matrix is
    low, ct = (adjoint(y), adjoint(ct)) if upper else (y, ct)
    half = lower_half(adjoint(low) @ ct)
    got = solve(adjoint(low), adjoint(solve(adjoint(low), adjoint(half))))
    return [(got + adjoint(got)) / 2]


def _cholesky_jvp(t, ins, y, upper):
    # Murray, eq. 8: L Φ(L⁻¹ dA L⁻ᴴ); for a Hermitian dA it is all the same which half is read
    low = adjoint(y) if upper else y
    got = low @ lower_half(adjoint(solve(low, adjoint(solve(low, t[0])))))
    return adjoint(got) if upper else got


rule("linalg_cholesky", _cholesky, inputs=("self",), layout="keep",
     node="LinalgCholeskyExBackward0",
     vjp=_cholesky_vjp, jvp=_cholesky_jvp, saves={"self": ("result",)}, method=False, function=False)


def _is_vector(a, b):
    """Whether B is a (batch of) vector(s): torch's rule."""
    return b.ndim == 1 or a.ndim - 1 == b.ndim and tuple(b.shape) == tuple(a.shape[:-1])


def _eliminate(a, b):
    """X with a X = b by Gaussian elimination with partial pivoting; a (…, n, n), b (…, n, k)."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, batch + a.shape[-2:]).copy()
    b = np.broadcast_to(b, batch + b.shape[-2:]).copy()
    n = a.shape[-1]
    for place in np.ndindex(*batch):
        lu, x = a[place], b[place]
        for j in range(n):
            p = j + int(np.argmax(np.abs(lu[j:, j])))
            if lu[p, j] == 0:
                raise LinalgSingular(
                    "torch.linalg.solve: The solver failed because the input matrix is singular.")
            lu[[j, p]], x[[j, p]] = lu[[p, j]], x[[p, j]]
            factor = lu[j + 1:, j, None] / lu[j, j]
            lu[j + 1:, j:] -= factor * lu[j, j:]
            x[j + 1:] -= factor * x[j]
        for j in range(n - 1, -1, -1):
            x[j] = (x[j] - lu[j, j + 1:] @ x[j + 1:]) / lu[j, j]
    return b


def _solve(A, B, *, left=True):
    _square("linalg.solve", A)
    same_dtype("linalg.solve", A, B)
    vector = _is_vector(A, B)
    b = B[..., None] if vector else B
    rows = b.shape[-2 if left else -1]
    if b.ndim < 2 or rows != A.shape[-1] or vector and not left:
        raise ShapeMismatch("linalg.solve: Incompatible shapes of A and B for the equation "
                            f"{'AX' if left else 'XA'} = B ({'x'.join(map(str, A.shape[-2:]))} and "
                            f"{'x'.join(map(str, b.shape[-2:]))})")
    if left:
        x = _eliminate(A, b)
        return columns(x[..., 0].copy() if vector else x)
    x = _eliminate(np.swapaxes(A, -1, -2), np.swapaxes(b, -1, -2))
    return np.ascontiguousarray(np.swapaxes(x, -1, -2))


def _solve_vjp(ct, ins, y, left):
    a, b = ins
    vector = _is_vector(a, b)
    if vector:
        ct, y = ct.unsqueeze(-1), y.unsqueeze(-1)
    got = solve(adjoint(a), ct, left=left)
    of_a = -(got @ adjoint(y)) if left else -(adjoint(y) @ got)
    return [of_a, got.squeeze(-1) if vector else got]


def _solve_jvp(t, ins, y, left):
    """A dX = dB - dA X, or dX A = dB - X dA."""
    a, vector = ins[0], _is_vector(*ins)
    of_b, x = (t[1].unsqueeze(-1), y.unsqueeze(-1)) if vector else (t[1], y)
    got = solve(a, of_b - (t[0] @ x if left else x @ t[0]), left=left)
    return got.squeeze(-1) if vector else got


solve = rule("linalg_solve", _solve, inputs=("A", "B"), node="LinalgSolveExBackward0",
             vjp=_solve_vjp, jvp=_solve_jvp, layout="keep", saves={"A": ("A", "result"), "B": ("A",)}, method=False,
             function=False)
