"""einsum: sums of products along labelled dimensions.

In a line, ct is the cotangent, ins the inputs, y the result.
"""

import string

import numpy as np

import reference_impl as torch
from reference_impl.dispatch import FUNCTIONS
from reference_impl.errors import Argument, ArgumentType, ArgumentValue, ShapeMismatch
from reference_impl.rule import OPERATIONS, rule
from reference_impl.rules.linalg import same_dtype
from reference_impl.rules.reductions import arange, carry
from reference_impl.zero_tangent import ZeroTangent


def _subscripts(equation, ndims):
    """Labels of each operand and of the output, the ellipsis written out in spare letters.

    Raises Argument for an equation that does not fit the operands.
    """
    left, arrow, right = equation.partition("->")
    terms = [[]]
    for label in _scan(left, 0, lambda: f"for operand {len(terms) - 1}", "for which an ellipsis was",
                       "ellipsis", lambda: "..." in terms[-1]):
        if label == ",":
            terms.append([])
            if len(terms) > len(ndims):
                raise Argument("einsum(): fewer operands were provided than specified in the equation")
        else:
            terms[-1].append(label)
    if len(terms) < len(ndims):
        raise Argument("einsum(): more operands were provided than specified in the equation")
    hidden = [n - len(term) + 1 if "..." in term else 0
              for term, n in zip(terms, ndims, strict=True)]
    for k, (term, n, more) in enumerate(zip(terms, ndims, hidden, strict=True)):
        given = len(term) - ("..." in term)
        if more < 0:
            raise Argument(f"einsum(): the number of subscripts in the equation ({given}) is more than "
                           f"the number of dimensions ({n}) for operand {k}")
        if "..." not in term and given != n:
            raise Argument(f"einsum(): the number of subscripts in the equation ({given}) does not match "
                           f"the number of dimensions ({n}) for operand {k} and no ellipsis was given")
    most = max(hidden, default=0)
    spare = [chr(c) for c in range(0x3b1, 0x3b1 + most)]
    labels = ["".join(term).replace("...", "".join(spare[most - more:]))
              for term, more in zip(terms, hidden, strict=True)]
    used = [c for term in terms for c in term if c != "..."]
    if not arrow:
        return labels, "".join(spare + sorted(c for c in set(used) if used.count(c) == 1))
    out = []
    for c in _scan(right, len(left) + 2, lambda: "for output", "but an ellipsis (...) was",
                   "ellipsis (...)", lambda: "..." in out):
        if c in out or c not in (*used, "..."):
            fault = "appears more than once in the output" if c in out else (
                "does not appear in the equation for any input operand")
            raise Argument(f"einsum(): output subscript {c} {fault}")
        out.append(c)
    return labels, "".join(out).replace("...", "".join(spare))


def _scan(text, start, where, twice, dots, seen):
    """The labels, commas and ellipses of one side of an equation that begins at `start`.

    where(), twice, dots: words of the refusals; seen(): whether there was an ellipsis already.
    """
    i = 0
    while i < len(text):
        c, i = text[i], i + 1
        if c == ".":
            if seen():
                raise Argument(f"einsum(): found '.' {where()} {twice} already found")
            if text[i:i + 2] != "..":
                raise Argument(f"einsum(): found '.' {where()} that is not part of any {dots}")
            i += 2
            yield "..."
        elif c.isascii() and c.isalpha() or c == "," and not start:
            yield c
        elif c != " ":
            raise Argument(f"einsum(): invalid subscript given at index {start + i - 1} in the equation "
                           "string, subscripts must be in [a-zA-Z]")


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
    """A list of numbers below 52 and ellipses as subscripts. Raises ArgumentType, ArgumentValue."""
    out = []
    for label in labels:
        if label is Ellipsis:
            out.append("...")
        elif not isinstance(label, int):
            raise ArgumentType("einsum(): a subscript must be an int or an Ellipsis, but got "
                               f"{type(label).__name__}")
        elif not 0 <= label < len(LETTERS):
            raise ArgumentValue(f"einsum(): subscript {label} is not within the valid range [0, 52)")
        else:
            out.append(LETTERS[label])
    return "".join(out)


def by_equation(*operands):
    """einsum(equation, *tensors), or einsum(tensor, labels, tensor, labels, ..., [labels])."""
    compute = OPERATIONS["einsum"].function
    if len(operands) < 2 or isinstance(operands[1], (tuple, list)) and not operands[1] and isinstance(
            operands[0], str):
        raise ArgumentValue("einsum(): must specify the equation string and at least one operand, or at "
                            "least one operand and its subscripts list")
    if isinstance(operands[0], str):
        return compute(*operands)
    pairs, rest = operands[:len(operands) // 2 * 2], operands[len(operands) // 2 * 2:]
    equation = ",".join(_letters(labels) for labels in pairs[1::2])
    return compute(equation + ("->" + _letters(rest[0]) if rest else ""), list(pairs[::2]))


by_equation.__name__ = "einsum"
FUNCTIONS["einsum"] = by_equation
