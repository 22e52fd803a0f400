"""The cases of one operation and dtype signature: points, whole domains, layouts, errors.

Everything here is deterministic from the seed, and knows nothing of any library.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from conformance.accuracy.formats import (
    dtype_name,
    is_complex,
    is_floating,
    is_integral,
    np_dtype,
)
from conformance.cases.case import Case, Operand
from conformance.cases.layouts import applies
from conformance.cases.points import (
    Seen,
    classify,
    core_values,
    fill,
    special_values,
    whole_domain,
)
from conformance.specs import Call, OpSpec, Refusal

DTYPES = (
    "bool", "uint8", "int8", "int32", "int64",
    "float16", "bfloat16", "float32", "float64", "complex64",
)  # fmt: skip
DTYPE_SETS = {
    "all": DTYPES,
    "real": tuple(d for d in DTYPES if d not in ("bool", "complex64")),
    "real_and_bool": tuple(d for d in DTYPES if d != "complex64"),
    "number": DTYPES[1:],
    "floating": DTYPES[5:9],
    "floating_and_complex": DTYPES[5:],
    "float32_up": ("float32", "float64"),
    "float32_up_and_complex": ("float32", "float64", "complex64"),
    "integral": DTYPES[1:5],
    "integral_and_bool": DTYPES[:5],
    **{d: (d,) for d in DTYPES},
}
LENGTHS = (1, 7, 8, 9, 16, 17, 33, 65)
FEW_LENGTHS = (17,)  # where every new shape costs a compilation
LAYOUTS = ("transposed", "strided", "offset", "expanded", "reversed_dims")
SHAPES = {
    "same": (((),), ((0,),), ((2, 0, 3),), ((3, 4),)),
    "broadcast": (((), (3,)), ((3, 1), (4,)), ((2, 0), (1,)), ((), ()), ((2, 3), (2, 3))),
    "ternary": (((3, 1), (4,), ()), ((0,), (1,), (1,)), ((2, 3), (2, 3), (2, 3))),
}
OPERANDS = {"same": 1, "broadcast": 2, "ternary": 3}
DOMAIN_16 = ("float16", "bfloat16")
DOMAIN_8 = ("bool", "uint8", "int8")


def dtype_names(words: str | tuple[str, ...]) -> tuple[str, ...]:
    """The dtypes of a word or of several. Raises KeyError for an unknown word."""
    if isinstance(words, str):
        return DTYPE_SETS[words]
    return tuple(d for word in words for d in DTYPE_SETS[word])


def dtypes_of(op: OpSpec) -> tuple[str, ...]:
    """The dtype names of the table. Raises KeyError for an unknown word."""
    return dtype_names(op.dtypes)


def home_dtype(op: OpSpec) -> str:
    """The dtype whose unit also asks what does not depend on a dtype (errors, programs)."""
    names = dtypes_of(op)
    return "float32" if "float32" in names else names[0]


def elementwise(op: OpSpec) -> bool:
    return op.shapes in OPERANDS


def crossed(op: OpSpec) -> list[str]:
    """Names of the tensor arguments whose dtype is crossed, in schema order."""
    return [a.name for a in op.parsed.tensors if a.name not in op.fixed]


def rng_of(seed: int, *key: object) -> np.random.Generator:
    """A generator that depends on the seed and the key only."""
    return np.random.default_rng([seed, zlib.crc32("|".join(map(str, key)).encode())])


class Maker:
    """Makes the cases of one operation in one dtype."""

    def __init__(self, op: OpSpec, dtype: str, seed: int) -> None:
        self.op, self.dtype, self.seed = op, dtype, seed
        self.count = 0
        self._columns: list[np.ndarray] | None = None
        self._families: dict[object, object] = {}

    def operand(self, name: str, data: np.ndarray, layout: str = "contiguous") -> Operand:
        return Operand(data, layout, self.wants_grad(name, dtype_name(data.dtype)))

    def wants_grad(self, name: str, dtype: str) -> bool:
        if not (is_floating(dtype) or is_complex(dtype)):
            return False
        return self.op.grad == "auto" or name.split(".")[0] in self.op.grad

    def case(self, args: dict[str, Any], kind: str, **more: Any) -> Case:
        self.count += 1
        name = f"{self.op.name}-{self.dtype}-{kind}-{self.count}"
        more.setdefault("dtypes", (self.dtype,))
        return Case(id=name, op=self.op.name, args=args, kind=kind, seed=self.seed, **more)

    def rng(self, *key: object) -> np.random.Generator:
        return rng_of(self.seed, self.op.name, self.dtype, *key)

    # elementwise ---------------------------------------------------------------------

    def columns(self) -> list[np.ndarray]:
        """Special values in every operand position and in pairs, then ordinary numbers."""
        if self._columns is None:
            self._columns = self._make_columns()
        return self._columns

    def _make_columns(self) -> list[np.ndarray]:
        names = [a.name for a in self.op.parsed.tensors][: OPERANDS[self.op.shapes]]
        values = [core_values(self.op.fixed.get(n, self.dtype)) for n in names]
        if len(names) == 1:
            grids = [special_values(self.dtype)]
        else:
            if len(names) == 3:
                values = [v[:9] for v in values]
            grids = [g.reshape(-1) for g in np.meshgrid(*values, indexing="ij")]
            if len(names) == 2:
                ladder = special_values(self.dtype)
                partner = fill("ordinary", self.rng("partner"), ladder.shape, self.dtype)
                equal = ladder  # ties of equal numbers of every magnitude
                grids = [
                    np.concatenate([grids[0], ladder, partner, equal]),
                    np.concatenate([grids[1], partner, ladder, equal]),
                ]
        tail = -len(grids[0]) % 64 + 32
        return [
            np.concatenate([g, fill(self.plain, self.rng("tail", i), (tail,), g.dtype.name)])
            for i, g in enumerate(grids)
        ]

    @property
    def refusals(self) -> list[Refusal]:
        """The refusals of the table that hold for this dtype."""
        return [r for r in self.op.refuses if self.dtype in dtype_names(r.dtypes)]

    @property
    def plain(self) -> str:
        """How to fill with numbers that are never refused."""
        return "positive" if self.refusals else "ordinary"

    def accepted(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """Without the elements for which the whole call would be refused."""
        for refusal in self.refusals:
            keep = ~refused(arrays, refusal)
            arrays = [a[keep] for a in arrays]
        return arrays

    def refused(self) -> Iterator[Case]:
        """Per refusal of the table, a call in which one element is enough to be refused."""
        grids = self.columns()
        fine = self.accepted(grids)
        for refusal in self.refusals:
            places = np.flatnonzero(refused(grids, refusal))[:1]
            arrays = [np.concatenate([f[-3:], g[places]]) for f, g in zip(fine, grids, strict=True)]
            yield self.case(
                {**self.named(arrays), **self.op.args[0]}, "error", expects=refusal.expects,
                points=dict.fromkeys(refusal.points, True),
            )  # fmt: skip

    def named(self, arrays: list[np.ndarray], layout: str = "contiguous") -> dict[str, Operand]:
        names = [a.name for a in self.op.parsed.tensors]
        return {
            name: self.operand(name, data, layout)
            for name, data in zip(names[: len(arrays)], arrays, strict=True)
        }

    def points(self) -> Iterator[Case]:
        for args in self.op.args:
            arrays = self.accepted(self.columns())
            yield self.case({**self.named(arrays), **args}, "value")

    def domain(self, tier: str) -> Iterator[Case]:
        """Every bit pattern of a 16-bit dtype; every pair of an 8-bit one."""
        count = OPERANDS[self.op.shapes]
        if count == 1 and self.dtype in DOMAIN_16 + DOMAIN_8:
            arrays = [whole_domain(self.dtype)]
        elif count == 2 and self.dtype in DOMAIN_8 and not self.op.fixed and tier != "smoke":
            one = whole_domain(self.dtype)
            arrays = [g.reshape(-1) for g in np.meshgrid(one, one, indexing="ij")]
        else:
            return
        for args in self.op.args:
            yield self.case({**self.named(self.accepted(arrays)), **args}, "domain")

    def shapes(self, most: int = 99) -> Iterator[Case]:
        """The shapes of the table's word; only the last `most` of them."""
        fixed = [self.op.fixed.get(a.name, self.dtype) for a in self.op.parsed.tensors]
        for shapes in SHAPES[self.op.shapes][-most:]:
            arrays = [
                fill("positive", self.rng("shape", shapes, i), shape, dtype)
                for i, (shape, dtype) in enumerate(zip(shapes, fixed, strict=False))
            ]
            yield self.case({**self.named(arrays), **self.op.args[0]}, "shape")

    def layouts(self) -> Iterator[Case]:
        shape = (3, 4)
        for layout in LAYOUTS:
            arrays = []
            for i in range(OPERANDS[self.op.shapes]):
                name = self.op.parsed.tensors[i].name
                dtype = self.op.fixed.get(name, self.dtype)
                data = fill(self.plain, self.rng("layout", i), shape, dtype)
                if layout == "expanded":
                    data = np.repeat(data[:1], shape[0], axis=0)
                arrays.append(data)
            args = {**self.named(arrays, layout), **self.op.args[0]}
            yield self.case(args, "layout", layout=layout)

    def lengths(self, lengths: tuple[int, ...]) -> Iterator[Case]:
        """One value repeated to every length around the SIMD width: all results must agree."""
        grid = self.accepted(self.columns())
        rng = self.rng("lengths")
        for length in lengths:
            places = rng.choice(len(grid[0]), size=3, replace=False)
            for place in places:
                arrays = [np.repeat(column[place : place + 1], length) for column in grid]
                args = {**self.named(arrays), **self.op.args[0]}
                case = self.case(args, "length", layout=f"length {length}")
                yield case.of(self._families.setdefault(length, object()))

    # explicit calls ------------------------------------------------------------------

    def call(
        self, call: Call, values: str, kind: str, layout: str = "contiguous", key: object = ""
    ) -> Case:
        """One explicit call, its crossed inputs filled as `values` says."""
        args: dict[str, Any] = {}
        if self.refusals and kind != "error" and values in ("ordinary", "points"):
            values = self.plain
        rng = self.rng("call", values, kind, key)
        for argument in self.op.parsed.arguments:
            name = argument.name
            dtype = self.op.fixed.get(name, self.dtype)
            if name in call.shapes:
                shape = call.shapes[name]
                own = getattr(call, "layouts", {}).get(name, layout)
                if argument.is_tensor_list:
                    args[name] = [
                        self._filled(f"{name}.{i}", rng, s, dtype, values, own)
                        for i, s in enumerate(shape)
                    ]
                else:
                    args[name] = self._filled(name, rng, shape, dtype, values, own)
            elif name in call.args:
                args[name] = literal(argument, call.args[name])
        made = self.case(
            args,
            kind,
            layout=layout,
            expects=call.expects,
            points={word: True for word in call.points},
        )
        return made.of(self._families.setdefault(id(call), object()))

    def _filled(self, name, rng, shape, dtype, values, layout) -> Operand:
        data = fill(values, rng, shape, dtype)
        if layout == "expanded" and data.ndim and data.shape[0] > 1:
            data = np.repeat(data[:1], data.shape[0], axis=0)
        return self.operand(name, np.ascontiguousarray(data).reshape(shape), layout)

    def calls(self, tier: str) -> Iterator[Case]:
        for number, call in enumerate(self.op.calls):
            if call.dtypes and self.dtype not in call.dtypes:
                continue
            values = call.values if call.values != "points" else self.op.values
            yield self.call(call, "ordinary" if values == "points" else values, "value", key=number)
            if values != "points" or not call.shapes:
                continue
            yield self.call(call, "points", "value", key=number)
            if self.op.parsed.is_view:
                continue  # no number is looked at: one by one they would show nothing more
            if number < 2 or tier == "deep":
                yield from self._one_special(call, number, 6 if tier == "smoke" else 99)

    def _one_special(self, call: Call, number: int, most: int) -> Iterator[Case]:
        """One special value among ordinary ones, so that it does not drown in the others."""
        base = self.call(call, "ordinary", "value", key=(number, "single"))
        self.count -= 1
        name, operand = next(
            ((n, o) for n, o in base.operands() if o.data.size and n.split(".")[0] in call.shapes),
            ("", None),
        )
        if operand is None or operand.dtype != self.dtype:
            return
        for place, value in enumerate(core_values(self.dtype)[:most]):
            data = operand.data.copy()
            data.reshape(-1)[place % data.size] = value
            args = with_operand(base.args, name, replace(operand, data=data))
            yield self.case(args, "value", points=base.points).of(base.family)

    def call_layouts(self) -> Iterator[Case]:
        """Every layout of the calls' inputs that differs from contiguous."""
        for number, call in enumerate(self.op.calls[:4]):
            if call.dtypes and self.dtype not in call.dtypes:
                continue
            for layout in LAYOUTS:
                if layout == "expanded" and self.op.parsed.mutates:
                    continue  # refused: several elements share one place
                values = "ordinary" if call.values == "points" else call.values
                if values == "ordinary" and self.op.values != "points":
                    values = self.op.values
                if layout == "expanded" and values in ("spd", "well_conditioned"):
                    continue  # equal rows would make the matrix singular
                case = self.call(call, values, "layout", layout, key=number)
                if any(applies(layout, o.data.shape) for _, o in case.operands()):
                    yield case

    def errors(self) -> Iterator[Case]:
        for number, call in enumerate(self.op.errors):
            maker = self
            if call.dtypes and self.dtype not in call.dtypes:
                maker = Maker(self.op, call.dtypes[0], self.seed)
                maker.count = self.count
            values = call.values if call.values != "points" else "ordinary"
            case = maker.call(call, values, "error", key=number)
            self.count += 1
            yield replace(case, id=f"{self.op.name}-error-{number + 1}")


def refused(arrays: list[np.ndarray], refusal: Refusal) -> np.ndarray:
    """Elements that make the whole call refused; shape of the arrays."""
    masks = classify(refusal.points, Seen(tuple(arrays), {})).values()
    return np.logical_or.reduce([np.broadcast_to(m, arrays[0].shape) for m in masks])


def literal(argument: Any, value: Any) -> Any:
    """A table's literal for one argument: lists and {dtype = …} for tensors become Operands."""
    if argument.is_tensor_list:
        return [None if item == ":" else Operand(literal_array(item)) for item in value]
    if argument.is_tensor and isinstance(value, (list, dict)):
        return Operand(literal_array(value))
    return value


def literal_array(value: Any) -> np.ndarray:
    """int64, bool or float32 by the elements (int64 when there are none), or as {dtype = …} says.

    Raises ValueError for ragged lists.
    """
    if isinstance(value, dict):
        ((name, elements),) = value.items()
        return np.array(elements, np_dtype(name))
    array = np.array(value)
    if array.dtype.kind == "f":
        return array.astype(np.float32 if array.size else np.int64)
    return array.astype(np.int64) if array.dtype.kind in "iu" else array


def with_operand(args: dict[str, Any], path: str, operand: Operand) -> dict[str, Any]:
    """The arguments with one operand (`name` or `name.i`) replaced."""
    name, _, index = path.partition(".")
    if not index:
        return {**args, name: operand}
    items = list(args[name])
    items[int(index)] = operand
    return {**args, name: items}


def cases_of(op: OpSpec, dtype: str, tier: str, seed: int, layouts: bool) -> Iterator[Case]:
    """Every case of one operation in one dtype.

    layouts: whether the backend can place tensors in memory; where it cannot, each new shape
    costs it a compilation, so only the home dtype has other shapes and (fewer) lengths.
    """
    make = Maker(op, dtype, seed)
    if elementwise(op):
        yield from make.points()
        yield from make.domain(tier)
        if layouts or dtype == home_dtype(op):
            yield from make.shapes()
            yield from make.lengths(LENGTHS if layouts else FEW_LENGTHS)
        elif dtype == "float64":
            yield from make.shapes(most=1)  # for the second derivative
        if layouts:
            yield from make.layouts()
        yield from make.refused()
    yield from make.calls(tier)
    if layouts:
        yield from make.call_layouts()
    if dtype == home_dtype(op):
        yield from make.errors()


def signatures(op: OpSpec) -> Iterator[tuple[str, ...]]:
    """The dtype signatures of an operation: each dtype by itself, then ("mixed",)."""
    for dtype in dtypes_of(op):
        yield (dtype,)
    if op.mixed:
        yield ("mixed",)


MIXED_LENGTH = 4
_WEAK_KINDS = {
    "weak:bool": ("bool",),
    "weak:int": DTYPE_SETS["integral"],
    "weak:float": DTYPE_SETS["floating"],
    "weak:complex": ("complex64",),
}
_WEAK = {"weak:bool": True, "weak:int": 2, "weak:float": 1.5, "weak:complex": 1.5 + 0.5j}


def mixed_cases(op: OpSpec, seed: int) -> Iterator[Case]:
    """Pairs of different dtypes, 0-dim tensors and Python scalars; operand words as dtypes."""
    names = crossed(op)[:2]
    own = dtypes_of(op)
    for left in own:
        partners = [d for d in own if d != left] + [f"{d}[]" for d in own]
        if names[1] in op.scalars:
            partners += [word for word, kind in _WEAK_KINDS.items() if set(kind) & set(own)]
        for right in partners:
            make = Maker(op, f"{left},{right}", seed)
            args = dict(zip(names, (left, right), strict=True))
            operands: dict[str, Any] = {
                name: Operand(fill("ordinary", make.rng(name), (MIXED_LENGTH,), dtype))
                for name, dtype in op.fixed.items()
            }
            for name, word in args.items():
                if word in _WEAK:
                    operands[name] = _WEAK[word]
                    continue
                dtype = word.removesuffix("[]")
                shape = () if word.endswith("[]") else (MIXED_LENGTH,)
                data = fill("positive", make.rng(name), shape, dtype)
                operands[name] = Operand(np.asarray(data, np_dtype(dtype)))
            yield make.case(operands, "mixed", dtypes=(left, right))


def cotangents_for(case: Case, outputs: list[np.ndarray]) -> list[np.ndarray | None]:
    """One cotangent per output; None for outputs that are not floating point.

    Few numbers that are exact in every dtype: a cotangent's own rounding must not count as an
    error of the vjp.
    """
    numbers = np.array([1.0, -1.0, 0.5, 2.0, 0.75, 1.5, -3.0])
    if case.kind == "length":  # one number everywhere, so that every element has one answer
        numbers = np.array([0.75])
    found: list[np.ndarray | None] = []
    for place, out in enumerate(outputs):
        name = dtype_name(out.dtype)
        if not (is_floating(name) or is_complex(name)):
            found.append(None)
            continue
        rng = rng_of(case.seed, case.id, "ct", place)
        ct = numbers[rng.integers(0, len(numbers), out.shape)]
        if is_complex(name):
            ct = ct + 1j * numbers[rng.integers(0, len(numbers), out.shape)]
        found.append(np.asarray(ct).astype(out.dtype))
    return found


def is_number(dtype: str) -> bool:
    return is_integral(dtype) or is_floating(dtype) or is_complex(dtype)
