"""The library's own formula as a prediction: followed step by step, its functions' ulps included."""

from __future__ import annotations

import numpy as np

from conformance.accuracy.formats import FORMATS, HALVES
from conformance.oracles.formulas import FORMULAS, Operands
from conformance.oracles.numbers import as_dtype
from conformance.oracles.prediction import Prediction, rule
from conformance.oracles.steps import Machine

# How far a function may be from the exact one, in ulp of the dtype it is computed in (what the
# tables of exp, log, tanh, … allow). All these results are as right, and decide more than a last
# place near a tie, near the limits of the range, and where later steps cancel.
NEIGHBOURS = (0.0, 1.0, -1.0, 2.0, -2.0, 4.0, -4.0)


def _followed(p: Prediction, dtype: str) -> np.ndarray:
    library = p.ctx.backend.name.partition(":")[0]
    common = p.sample.expected.common
    found = FORMULAS.get((library, p.ctx.op.name, p.comparison.what))
    if found is None or common not in FORMATS:
        return p.norm
    ulp = 2 * FORMATS["float32" if common in HALVES else common].unit
    results: list[np.ndarray] = []
    for nudge in NEIGHBOURS:
        # float16's subnormal numbers are normal ones in float32, in which they are computed
        flush = library == "jax" and dtype != "float16"
        result = found(_operands(p, Machine(dtype, flush=flush, nudge=nudge * ulp))).kept
        if result.shape != p.norm.shape:
            return p.norm  # summed over what it was broadcast to
        if dtype != common:
            result = Machine(common).number(result).kept
        results.append(as_dtype(result.astype(p.norm.dtype), p.comparison.observed))
        if not _open(p, results).any():
            break
    return _nearest(p, results)


def _open(p: Prediction, results: list[np.ndarray]) -> np.ndarray:
    """Where no result is what is seen: to the last bit in a short dtype, of the same kind (a zero,
    a number, an infinity, a nan) where the norm allows it."""
    same = np.zeros(p.norm.shape, bool)
    for result in results:
        seen = p.comparison.observed.astype(result.dtype)
        same |= (seen == result) | (np.isnan(seen) & np.isnan(result))
        if p.sample.expected.common not in HALVES:
            same |= _numbers(seen, result) & ~p.comparison.over
    return ~same


def _nearest(p: Prediction, results: list[np.ndarray]) -> np.ndarray:
    """The first result; where another is what is seen, or what is seen lies between two, that."""
    chosen = results[0]
    seen = p.comparison.observed.astype(chosen.dtype)
    low = high = np.full(chosen.shape, np.nan, chosen.dtype)
    for result in results:
        numbers = _numbers(seen, result)
        with np.errstate(invalid="ignore"):
            same = (seen == result) | (np.isnan(seen) & np.isnan(result))
        chosen = np.where(same | (numbers & ~_numbers(seen, chosen)), result, chosen)
        low = np.where(numbers, np.fmin(low, result), low)
        high = np.where(numbers, np.fmax(high, result), high)
    between = (low <= seen) & (seen <= high)
    return np.where(between & np.asarray(p.comparison.over), seen, chosen)


def _numbers(*arrays: np.ndarray) -> np.ndarray:
    """Where none is a zero, an infinity or nan."""
    found = np.ones(arrays[0].shape, bool)
    for a in arrays:
        found &= np.isfinite(a) & (a != 0)
    return found


def _operands(p: Prediction, machine: Machine) -> Operands:
    given = {name: machine.number(data) for name, data in _wide_operands(p).items()}
    for argument in p.ctx.op.parsed.tensors:
        number = p.sample.case.args.get(argument.name)
        if isinstance(number, (bool, int, float)):
            given[argument.name] = machine.number(number)
    first, second, third, *_ = *(given.get(a.name) for a in p.ctx.op.parsed.tensors), None, None, None
    ct = None if p.comparison.what == "y" else machine.number(p.sample.cotangents[0])
    return Operands(first, second, third, ct, p.sample.case.args)


def _wide_operands(p: Prediction) -> dict[str, np.ndarray]:
    wide = p.ctx.expectation.widen(p.ctx.op, p.sample.case, p.sample.expected.common)
    return {name: operand.data for name, operand in wide.operands()}


@rule
def own_formula(p: Prediction) -> np.ndarray:
    """The library's own formula, each step rounded in the dtype, subnormal numbers zeros."""
    return _followed(p, p.sample.expected.common)


@rule
def own_formula_in_float32(p: Prediction) -> np.ndarray:
    """The library's own formula in float32, subnormal numbers zeros, rounded once at the end."""
    return _followed(p, "float32")
