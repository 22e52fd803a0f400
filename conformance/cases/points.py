"""Points: the numbers that find bugs, by dtype, and the predicates that recognise them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from conformance.accuracy.formats import FORMATS, REAL_OF, is_complex, is_floating, np_dtype


@cache
def special_values(dtype: str) -> np.ndarray:
    """Special values and the ladder of magnitudes of a dtype, most telling first; 1-d."""
    if dtype == "bool":
        return np.array([False, True])
    if is_complex(dtype):
        return _complex_values(dtype)
    if is_floating(dtype):
        return _floating_values(dtype)
    info = np.iinfo(dtype)
    numbers = [0, 1, 2, 3, 7, 8, info.max, info.max - 1, info.min, info.min + 1, info.bits]
    numbers += [info.bits - 1, info.max // 2, info.max // 2 + 1]
    if info.min < 0:
        numbers += [-1, -2, -3, -7, -8]
    return np.array([n for n in dict.fromkeys(numbers)], dtype=dtype)


@cache
def core_values(dtype: str) -> np.ndarray:
    """The few values that every operand position takes against every other; 1-d."""
    if dtype == "bool" or is_complex(dtype):
        return special_values(dtype)[:12]
    if is_floating(dtype):
        fmt = FORMATS[dtype]
        numbers = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 3.0, -2.0, -2.5]
        numbers += [fmt.smallest, -fmt.tiny, fmt.max, -fmt.max, fmt.max / 2, 0.3, -0.7, 1e-3]
        return _cast(numbers, dtype)
    info = np.iinfo(dtype)
    numbers = [0, 1, 2, 3, 7, info.max, info.min, info.bits, info.max // 2 + 1]
    if info.min < 0:
        numbers += [-1, -2, -7, info.min + 1]
    return np.array(numbers, dtype=dtype)


def _cast(numbers: Sequence[float], dtype: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.array(numbers, dtype=np.float64).astype(np_dtype(dtype))


def _floating_values(dtype: str) -> np.ndarray:
    fmt = FORMATS[dtype]
    positive = [0.0, fmt.smallest, 3 * fmt.smallest, fmt.tiny - fmt.smallest, fmt.tiny]
    positive += [1.0, 1 - fmt.unit, 1 + 2 * fmt.unit, 0.5, 1.5, 2.0, 2.5, 3.0, 0.25, 4.0]
    positive += [fmt.unit, fmt.unit**0.5, 1 / 3, 0.1, 0.7, 1.3, 5.5, 7.0, 10.0, 40.0]
    positive += [np.pi / 4, np.pi / 2, np.pi, 2 * np.pi, 3 * np.pi / 2, 22.0, 100.0, 355.0, 1e4]
    positive += [float(np.log(fmt.max)), float(-np.log(fmt.tiny)), float(-np.log(fmt.smallest))]
    positive += [float(np.sqrt(fmt.max)) * f for f in (0.5, 0.999, 1.001, 2.0)]
    positive += [float(np.sqrt(fmt.tiny)), fmt.max, fmt.max * 0.75, fmt.max / 2, fmt.max / 4]
    positive += [2.0 ** (fmt.precision - 1), 2.0 ** (fmt.precision - 1) + 1, 2.0**fmt.precision]
    positive += [1e5, 1e9, 1e20, 1e37, 1e-5, 1e-20, 1e-37, 1e-3]
    ladder = [x for x in positive if x <= fmt.max]
    ladder = ladder + [-x for x in ladder]
    return np.concatenate([_cast([np.nan, np.inf, -np.inf], dtype), _unique(_cast(ladder, dtype))])


def _unique(values: np.ndarray) -> np.ndarray:
    """Without repeats, zeros of both signs kept, order of first appearance kept."""
    seen: dict[bytes, int] = {}
    for place, value in enumerate(values):
        seen.setdefault(value.tobytes(), place)
    return values[list(seen.values())]


def _complex_values(dtype: str) -> np.ndarray:
    fmt = FORMATS[REAL_OF[dtype]]
    parts = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, np.pi, -0.1, 20.0, 1e-3, 1e5]
    numbers = [complex(a, b) for a in parts for b in parts]
    telling = [1 + 1j, -2 + 0.5j, 0j, complex(-0.0, 0.0), 1j, -1j, complex(3, -0.0), -1 + 0j]
    telling += [complex(np.nan, 0), complex(0, np.nan), complex(np.inf, 0), complex(-np.inf, 1)]
    telling += [complex(0, np.inf), complex(np.inf, np.nan), complex(fmt.max, fmt.max)]
    telling += [complex(fmt.tiny, fmt.smallest), complex(1e-20, 1e-20), complex(1e20, -1e20)]
    return np.array(telling + numbers, dtype=dtype)


def whole_domain(dtype: str) -> np.ndarray:
    """Every bit pattern of an 8- or 16-bit dtype (both of bool); 1-d. KeyError if larger."""
    if dtype == "bool":
        return np.array([False, True])
    size = {"uint8": 8, "int8": 8, "float16": 16, "bfloat16": 16}[dtype]
    bits = np.arange(2**size, dtype=f"uint{size}")
    return bits.view(np_dtype(dtype))


def ordinary(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> np.ndarray:
    """Moderate random numbers without ties or special values; exact in the dtype."""
    return fill("ordinary", rng, shape, dtype)


def fill(word: str, rng: np.random.Generator, shape: Sequence[int], dtype: str) -> np.ndarray:
    """An array filled as the word of `values` says. Raises KeyError for an unknown word."""
    return FILLERS[word](rng, tuple(shape), dtype)


def _ordinary(rng, shape, dtype):
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if is_complex(dtype):
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    if is_floating(dtype):
        return np.asarray(rng.normal(size=shape) * 2).astype(np_dtype(dtype))
    low = 0 if np.iinfo(dtype).min == 0 else -9
    return rng.integers(low, 10, shape).astype(dtype)


def _distinct(rng, shape, dtype):
    size = int(np.prod(shape, dtype=int))
    if dtype == "bool":
        return _ordinary(rng, shape, dtype)
    order = rng.permutation(size)
    if is_complex(dtype):
        return (order - size / 2 + 1j * rng.permutation(size)).reshape(shape).astype(dtype)
    low = 0 if dtype == "uint8" else size // 2
    step = 0.5 if is_floating(dtype) else 1
    # consecutive multiples of a half are distinct in every dtype of up to 2**8 elements
    return ((order - low) * step).reshape(shape).astype(np_dtype(dtype))


def _ties(rng, shape, dtype):
    if dtype == "bool":
        return _ordinary(rng, shape, dtype)
    return rng.integers(0, 3, shape).astype(np_dtype(dtype))


def _positive(rng, shape, dtype):
    if dtype == "bool":
        return np.ones(shape, bool)
    if is_floating(dtype) or is_complex(dtype):
        return np.asarray(rng.uniform(0.1, 4.0, shape)).astype(np_dtype(dtype))
    return rng.integers(1, 10, shape).astype(dtype)


def _small_integers(rng, shape, dtype):
    if dtype == "bool":
        return _ordinary(rng, shape, dtype)
    low = 0 if dtype == "uint8" else -4
    return rng.integers(low, 5, shape).astype(np_dtype(dtype))


def _probabilities(rng, shape, dtype):
    return np.asarray(rng.uniform(0.05, 0.95, shape)).astype(np_dtype(dtype))


def _spd(rng, shape, dtype):
    """A Aᴴ + n I: condition number at most about 5 for these sizes."""
    base = _ordinary(rng, shape, "complex128" if is_complex(dtype) else "float64")
    product = base @ np.conj(np.swapaxes(base, -1, -2)) + shape[-1] * np.eye(shape[-1])
    return product.astype(np_dtype(dtype))


def _well_conditioned(rng, shape, dtype):
    """Diagonally dominant: ordinary numbers plus 4 n on the diagonal."""
    base = _ordinary(rng, shape, "complex128" if is_complex(dtype) else "float64")
    if len(shape) < 2 or shape[-1] != shape[-2]:
        return base.astype(np_dtype(dtype))
    return (base + 4 * shape[-1] * np.eye(shape[-1])).astype(np_dtype(dtype))


def _special(rng, shape, dtype):
    """Specials scattered over ordinary numbers: the values of a `points` case of any shape."""
    array = np.array(_ordinary(rng, shape, dtype))
    flat = array.reshape(-1)
    values = core_values(dtype)
    count = min(len(values), max(1, flat.size // 3))
    if flat.size:
        places = rng.choice(flat.size, size=count, replace=False)
        flat[places] = rng.choice(values, size=count, replace=False)
    return array


def _nonfinite(rng, shape, dtype):
    """One special value per row of the last dimension at most, and no huge or tiny number.

    For products, where the order of multiplication decides whether a partial product overflows.
    """
    array = np.array(_positive(rng, shape, dtype))
    width = shape[-1] if shape else 1
    rows = array.reshape(array.size // max(width, 1), width)  # -1 cannot be told of no element
    values = _cast([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype) if is_floating(dtype) else [0]
    for place, row in enumerate(rows):
        if row.size:
            row[rng.integers(row.size)] = values[place % len(values)]
    return rows.reshape(shape)


FILLERS: dict[str, Callable[[np.random.Generator, tuple[int, ...], str], np.ndarray]] = {
    "points": _special,
    "ordinary": _ordinary,
    "distinct": _distinct,
    "ties": _ties,
    "positive": _positive,
    "nonfinite": _nonfinite,
    "spd": _spd,
    "well_conditioned": _well_conditioned,
    "probabilities": _probabilities,
    "small_integers": _small_integers,
}


# --- recognising -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a predicate looks at.

    inputs: the crossed operands, broadcast against each other for elementwise operations.
    args: the call's literals. exact: the exact result (wide) or None. declared: points that the
    table declares for the call as a whole. whole: inputs do not stand beside each other, so that a
    predicate answers for the case as a whole. shapes: of the operands, as they were given.
    """

    inputs: tuple[np.ndarray, ...]
    args: dict[str, Any]
    exact: np.ndarray | None = None
    declared: tuple[str, ...] = ()
    whole: bool = False
    shapes: tuple[tuple[int, ...], ...] = ()

    def join(self, mask: np.ndarray) -> Any:
        return bool(mask.any()) if self.whole else mask


def _any(check: Callable[[np.ndarray], np.ndarray], floating_only: bool = True):
    def predicate(seen: Seen) -> np.ndarray:
        found: Any = False
        for a in seen.inputs:
            if floating_only and a.dtype.kind in "biu":
                continue
            parts = (a.real, a.imag) if a.dtype.kind == "c" else (a,)
            for part in parts:
                with np.errstate(all="ignore"):
                    found = found | seen.join(np.asarray(check(part)))
        return np.asarray(found)

    return predicate


def _fmt(a: np.ndarray):
    return FORMATS[a.dtype.name]


def _bounds_of(seen: Seen) -> list[Any]:
    return [seen.args[k] for k in ("min", "max") if seen.args.get(k) is not None]


def _near_bound(compare: Callable[[np.ndarray, Any, int], np.ndarray]):
    def predicate(seen: Seen) -> np.ndarray:
        found: Any = False
        literals = [seen.args.get("min"), seen.args.get("max")]
        literals = [b if isinstance(b, (bool, int, float)) else None for b in literals]
        bounds = [*literals, *(() if seen.whole else seen.inputs[1:])]
        for place, bound in enumerate(bounds):
            if bound is not None:
                found = found | compare(seen.inputs[0], bound, place)
        return np.asarray(found)

    return predicate


def _subnormal(seen: Seen) -> np.ndarray:
    found = _any(lambda a: (a != 0) & (np.abs(a) < _fmt(a).tiny))(seen)
    if seen.exact is not None and seen.exact.dtype.kind in "fc" and seen.inputs:
        floats = [a for a in seen.inputs if a.dtype.name in FORMATS or a.dtype.kind == "c"]
        name = floats[0].dtype.name if floats else "float32"
        fmt = FORMATS[REAL_OF.get(name, name)]
        for part in (seen.exact.real, seen.exact.imag):
            if part.shape == found.shape or found.shape == ():
                found = found | ((part != 0) & (np.abs(part) < fmt.tiny))
    return np.asarray(found)


def _overflow(seen: Seen) -> np.ndarray:
    if seen.exact is None or seen.exact.dtype.kind not in "fc" or not seen.inputs:
        return np.asarray(False)
    floats = [a for a in seen.inputs if a.dtype.name in FORMATS or a.dtype.kind == "c"]
    name = floats[0].dtype.name if floats else "float32"
    fmt = FORMATS[REAL_OF.get(name, name)]
    finite = ~(_any(np.isnan)(seen) | _any(np.isinf)(seen))
    if finite.shape not in ((), seen.exact.shape):
        finite = np.asarray(bool(finite.all()))
    with np.errstate(invalid="ignore"):
        return finite & (np.abs(seen.exact) > fmt.max)


def _integers(check: Callable[[np.ndarray], np.ndarray]):
    def predicate(seen: Seen) -> np.ndarray:
        found: Any = False
        for a in seen.inputs:
            if a.dtype.kind in "iu":
                found = found | seen.join(np.asarray(check(a)))
        return np.asarray(found)

    return predicate


def _second(check: Callable[[np.ndarray], np.ndarray]):
    def predicate(seen: Seen) -> np.ndarray:
        return np.asarray(seen.join(check(seen.inputs[1])) if len(seen.inputs) > 1 else False)

    return predicate


def _tie(seen: Seen) -> np.ndarray:
    if len(seen.inputs) >= 2 and not seen.whole:
        return np.asarray(seen.inputs[0] == seen.inputs[1])
    if not seen.inputs:
        return np.asarray(False)
    a = seen.inputs[0].reshape(-1)
    return np.asarray(np.unique(a).size < a.size)


def _shift(seen: Seen) -> np.ndarray:
    if seen.whole or len(seen.inputs) < 2 or any(a.dtype.kind not in "iu" for a in seen.inputs[:2]):
        return np.asarray(False)
    count = seen.inputs[1]
    return np.asarray((count < 0) | (count >= np.iinfo(seen.inputs[0].dtype).bits))


def _exp_limit(a: np.ndarray) -> np.ndarray:
    return np.abs(np.abs(a.astype(float)) - np.log(_fmt(a).max)) < 1


def _wider_bound(seen: Seen) -> np.ndarray:
    """Whether the input and one of two bounds leave the other to broadcast the result."""
    if len(seen.shapes) != 3:
        return np.asarray(False)
    x, *bounds = seen.shapes
    try:
        whole = np.broadcast_shapes(*seen.shapes)
    except ValueError:
        return np.asarray(False)
    return np.asarray(any(np.broadcast_shapes(x, b) != whole for b in bounds))


def _declared(word: str):
    return lambda seen: np.asarray(word in seen.declared)


# what only the table knows: it stands in the `points` of a call
DECLARED = (
    "repeated_index", "outside_index", "outside_dim", "repeated_dim", "other_rank",
    "legacy_empty", "broadcast_mask", "integer_mask", "cut_scalar", "inferred_size", "wide_dim",
    "past_the_end", "flattened", "other_dtype", "mixed_dtypes", "constant", "degenerate",
    "ill_conditioned", "singular", "weak_scalar", "narrow_scalar", "accumulated",
    "broadcast_batch",
)  # fmt: skip

PREDICATES: dict[str, Callable[[Seen], np.ndarray]] = {
    "nan": _any(np.isnan),
    "inf": _any(np.isinf),
    "signed_zero": _any(lambda a: a == 0),
    "subnormal": _subnormal,
    "overflow": _overflow,
    "huge": _any(lambda a: np.isfinite(a) & (np.abs(a.astype(float)) > _fmt(a).max ** 0.5)),
    "tiny": _any(lambda a: (a != 0) & (np.abs(a.astype(float)) < _fmt(a).tiny ** 0.5)),
    "one": _any(lambda a: np.abs(a) == 1, floating_only=False),
    "negative": _any(lambda a: a < 0, floating_only=False),
    "integral": _any(lambda a: np.isfinite(a) & (a == np.floor(a))),
    "half_way": _any(lambda a: np.isfinite(a) & (np.abs(a - np.trunc(a)) == 0.5)),
    "at_bound": _near_bound(lambda a, b, place: a == b),
    "beyond_bound": _near_bound(lambda a, b, place: (a > b) if place % 2 else (a < b)),
    "tie": _tie,
    "int_min": _integers(lambda a: a == np.iinfo(a.dtype).min),
    "int_max": _integers(lambda a: a == np.iinfo(a.dtype).max),
    "zero_divisor": _second(lambda b: b == 0),
    "negative_divisor": _second(lambda b: b.real < 0),
    "negative_exponent": _second(lambda b: b.real < 0),
    "zero_exponent": _second(lambda b: b == 0),
    "exp_limit": _any(_exp_limit),
    "wider_bound": _wider_bound,
    "shift_out_of_range": _shift,
    "zero_product": lambda seen: np.asarray(seen.whole and bool((seen.inputs[0] == 0).any())),
    "empty": lambda seen: np.asarray(any(a.size == 0 for a in seen.inputs)),
    "zero_dim": lambda seen: np.asarray(() in (seen.shapes or [a.shape for a in seen.inputs])),
    **{word: _declared(word) for word in DECLARED},
    "always": lambda seen: np.asarray(True),
}


def classify(words: Sequence[str], seen: Seen) -> dict[str, np.ndarray]:
    """Mask (or 0-dim truth) for each point word; a declared word holds for the whole case."""
    found = {}
    for word in words:
        mask = PREDICATES[word](seen)
        found[word] = np.asarray(True) if word in seen.declared else mask
    return found
