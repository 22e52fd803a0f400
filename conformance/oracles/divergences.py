"""Known divergences as predictions: alternative rules, and whether they hold where they say.

A rule says what is seen *instead of* the norm. It returns expected values (wide, like the
norm's own) or a fact; the same bounds then judge the library against it. Every word of
`divergence_rules` in `specs/vocabulary.toml` has exactly one function here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from packaging.specifiers import SpecifierSet

from conformance.accuracy.formats import np_dtype, real_format
from conformance.cases.case import Operand
from conformance.cases.generate import with_operand
from conformance.oracles import (  # noqa: F401 (enter what they define)
    jax_rules,
    own_formulas,
    torch_formulas,
    torch_rules,
)
from conformance.oracles.numbers import as_dtype
from conformance.oracles.prediction import PICKS, RULES, Prediction, complex_of, flushed, rule
from conformance.specs import Divergence


def holds_for(
    entry: Divergence, backend: str, version: str, oracle: str, dtypes: tuple[str, ...], what: str
) -> bool:
    """Whether an entry speaks about this backend, release, oracle, dtype and compared thing."""
    if entry.backend != backend and not backend.startswith(entry.backend + ":"):
        return False
    if entry.oracle != oracle or (entry.what and entry.what != what):
        return False
    if entry.dtypes and not set(dtypes) & set(entry.dtypes):
        return False
    return not entry.versions or SpecifierSet(entry.versions).contains(version, prereleases=True)


# --- the rules ---------------------------------------------------------------------------


@rule
def as_norm(p: Prediction) -> Any:
    """What the norm says: for causes that show in some elements only (a SIMD body, its tail)."""
    return p.norm


@rule
def flush_subnormals(p: Prediction) -> np.ndarray:
    """Subnormal inputs count as zeros of their sign, and subnormal results become such zeros."""
    tiny = real_format(p.sample.expected.common).tiny
    return flushed(p.again(lambda name, a: flushed(a, tiny)), tiny)


@rule
def flush_subnormal_inputs(p: Prediction) -> np.ndarray:
    """Subnormal inputs count as zeros of their sign; results are not flushed."""
    tiny = real_format(p.sample.expected.common).tiny
    return p.again(lambda name, a: flushed(a, tiny))


@rule
def flush_subnormal_results(p: Prediction) -> np.ndarray:
    """Results below the smallest normal number become zeros of their sign."""
    return flushed(p.norm, real_format(p.sample.expected.common).tiny)


@rule
def half_at_bound(p: Prediction) -> np.ndarray:
    """The cotangent at a bound is split evenly between the operand and the bound."""
    return p.norm * 0.5


@rule
def formula_in_dtype(p: Prediction) -> np.ndarray:
    """The norm's formula, each step rounded in the operation's own dtype.

    Intermediate squares, products and saved results overflow or vanish although the final
    number could be represented.
    """
    if p.comparison.is_fact:
        return p.norm
    ctx, s = p.ctx, p.sample
    common = s.expected.common
    args = s.case.args
    for name, operand in s.case.operands():
        if operand.dtype in s.case.dtypes and name.split(".")[0] not in ctx.op.fixed:
            with np.errstate(all="ignore"):
                data = operand.data.astype(np_dtype(common))
            args = with_operand(args, name, replace(operand, data=data))
    kind = p.comparison.what.split(".")[0]
    second = s.second if kind == "second" else None
    with np.errstate(all="ignore"):
        ev = ctx.reference.evaluate(
            ctx.op, replace(s.case, args=args), s.cotangents if kind != "y" else None, second
        )
    found = PICKS[kind](ev)[p.place()]
    if found is None:
        return np.zeros(p.comparison.observed.shape)
    wide = np.asarray(found)
    return as_dtype(wide.astype(p.norm.dtype), p.comparison.observed)


@rule
def roots_for_half_powers(p: Prediction) -> np.ndarray:
    """x ** 0.5 is the root of x and x ** -0.5 its reciprocal, at -0 and -inf too."""
    x, exponent = p.operand("self"), p.sample.case.args["exponent"]

    def power(k: float) -> np.ndarray:
        return {0.5: np.sqrt(x), -0.5: 1 / np.sqrt(x)}.get(k, x**k)

    with np.errstate(all="ignore"):
        if p.comparison.what.startswith("y"):
            return as_dtype(power(exponent), p.comparison.observed)
        ct = np.asarray(p.sample.cotangents[0]).astype(x.dtype)
        return as_dtype(ct * (exponent * power(exponent - 1)), p.comparison.observed)


@rule
def cube_by_rounded_products(p: Prediction) -> np.ndarray:
    """x ** 3 is x * x * x, each product rounded to the dtype."""
    x = p.operand("self")
    if p.sample.case.args["exponent"] != 3:
        return p.norm
    narrow = np_dtype(p.sample.expected.common)
    with np.errstate(all="ignore"):
        square = (x * x).astype(narrow).astype(x.dtype)
        return as_dtype((square * x).astype(narrow).astype(x.dtype), p.comparison.observed)


@rule
def reciprocal_of_rounded_root(p: Prediction) -> np.ndarray:
    """1 / sqrt(x), or x ** -0.5, with the root rounded to the dtype before the division."""
    x = p.operand("self")
    if p.sample.case.args.get("exponent", -0.5) != -0.5:
        return p.norm
    with np.errstate(all="ignore"):
        root = np.sqrt(x).astype(np_dtype(p.sample.expected.common)).astype(x.dtype)
        return as_dtype(1 / root, p.comparison.observed)


@rule
def zero_dim_unrounded(p: Prediction) -> np.ndarray:
    """A zero-dim operand keeps its own precision instead of being rounded to the result dtype."""
    own = {n: o.data for n, o in p.sample.case.operands() if o.data.ndim == 0}
    return p.again(lambda name, a: own[name].astype(a.dtype) if name in own else a)


@rule
def result_over_input(p: Prediction) -> np.ndarray:
    """A factor's cotangent as ct * y / x, where no element of the whole tensor is zero."""
    x, args = p.operand("self"), p.sample.case.args
    if (x == 0).any():
        return p.norm

    def back(a: Any) -> np.ndarray:
        wide = np.asarray(a).astype(x.dtype)
        return wide if args.get("keepdim") or not x.ndim else np.expand_dims(wide, args["dim"])

    with np.errstate(all="ignore"):
        found = back(p.sample.cotangents[0]) * (back(p.sample.expected.outputs[0]) / x).conj()
    return as_dtype(found, p.comparison.observed)


@rule
def real_part_only(p: Prediction) -> np.ndarray:
    """Complex numbers count by their real parts."""
    return p.again(lambda name, a: a.real.astype(a.dtype))


@rule
def complex_diagonal(p: Prediction) -> np.ndarray:
    """Cholesky: only what is off the diagonal of Lᴴ ct is made Hermitian, the diagonal is kept."""
    low, ct = p.sample.expected.outputs[0], p.sample.cotangents[0]
    low, ct = np.asarray(low, np.complex128), np.asarray(ct, np.complex128)

    def adjoint(a: np.ndarray) -> np.ndarray:
        return np.swapaxes(a, -1, -2).conj()

    if p.sample.case.args.get("upper"):
        low, ct = adjoint(low), adjoint(ct)
    product = adjoint(low) @ ct
    below = np.tril(product, -1)
    middle = (below + adjoint(below) + product * np.eye(low.shape[-1])) / 2
    left = np.linalg.solve(adjoint(low), middle)
    return as_dtype(adjoint(np.linalg.solve(adjoint(low), adjoint(left))), p.comparison.observed)


@rule
def negative_freedom(p: Prediction) -> np.ndarray:
    """2 ct (x - mean) / (n - correction) of a whole vector, although the value uses max(0, ...)."""
    x, freedom = p.operand("self"), p.operand("self").size - p.sample.case.args["correction"]
    with np.errstate(all="ignore"):
        ct = np.asarray(p.sample.cotangents[0]).astype(x.real.dtype)
        return as_dtype(ct * (2 * (x - x.mean()) / freedom), p.comparison.observed)


@rule
def product_with_reciprocal(p: Prediction) -> np.ndarray:
    """x / y is x times 1 / y, the reciprocal rounded to the dtype first."""
    x = p.operand("self")
    other = p.sample.case.args["other"]
    y = p.operand("other") if isinstance(other, Operand) else np.asarray(other).astype(x.dtype)
    with np.errstate(all="ignore"):
        inverse = (1 / y).astype(np_dtype(p.sample.expected.common)).astype(x.dtype)
        return as_dtype(x * inverse, p.comparison.observed)


def _signed(number: float, norm: Any) -> Any:
    """`number` with the signs of `norm` (of both parts, where complex); a fact as it is."""
    if not isinstance(norm, np.ndarray):
        return norm
    if norm.dtype.kind != "c":
        return np.copysign(number, norm).astype(norm.dtype)
    return complex_of(np.copysign(number, norm.real), np.copysign(number, norm.imag), norm.dtype)


@rule
def early_overflow(p: Prediction) -> np.ndarray:
    """An infinity of the right sign, although the result could be represented."""
    return _signed(np.inf, p.norm)


@rule
def vanished(p: Prediction) -> np.ndarray:
    """A zero of the right sign, although the result could be represented."""
    return _signed(0.0, p.norm)


@rule
def not_a_number(p: Prediction) -> np.ndarray:
    """A nan."""
    return p.norm if p.comparison.is_fact else np.full(p.norm.shape, np.nan, dtype=p.norm.dtype)


@rule
def other_zero(p: Prediction) -> np.ndarray:
    """A zero result has the other sign."""
    return np.where(p.norm == 0, -p.norm, p.norm)


@rule
def not_refused(p: Prediction) -> str:
    """The call is accepted."""
    return "no error"


@rule
def nothing_reduced(p: Prediction) -> Any:
    """The shape of the result is the input's."""
    shape = next(operand.data.shape for _, operand in p.sample.case.operands())
    return shape if p.comparison.what == "y" else p.norm


@rule
def half_done(p: Prediction) -> bool:
    """A write that is refused has already written what came before the wrong index."""
    return False


def _raises(kind: str) -> None:
    def raises(p: Prediction) -> str:
        return kind

    raises.__doc__ = f"The call is refused, as {kind}."
    RULES[f"raises_{kind}"] = raises


for _kind in (
    "shape_mismatch", "index_out_of_range", "dim_out_of_range", "view_impossible", "argument",
    "dtype_unsupported", "cotangent_mismatch",
):  # fmt: skip
    _raises(_kind)

# What may be said of a fact; all other rules speak of numbers only.
OF_FACTS = frozenset(
    name for name in RULES if name in ("as_norm", "not_refused", "half_done", "first_dtype", "int32_result",
                                       "nothing_reduced", "sums_in_int64", "view_of_operand")
    or name.startswith("raises_")
)  # fmt: skip
