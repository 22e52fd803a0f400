"""Which dtype a result has, by each library's own rules, read from `specs/promotion`.

An operand is a word: "float32" (a tensor with dimensions), "float32[]" (a zero-dim tensor), or
"weak:bool", "weak:int", "weak:float", "weak:complex" (a Python number). A table is the name of a
file: "torch", "jax", "jax_x64", "numpy", "array_api".

Two schemes: "lattice", where weak types are nodes and the result is the least upper bound, and
"classes", where an operand of a lower class changes the result only if its category is higher.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from conformance.loading import installed_root
from conformance.table_checks import nearest

WEAK = "weak:"


class PromotionError(ValueError):
    """An unknown table, word, operand or dtype; or a table that contradicts itself."""


class UnspecifiedPromotion(PromotionError):
    """The norm of this table leaves the combination open."""


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a word of `results` is answered: a fixed dtype, or a map applied to the promotion.

    of: "first" operand or "all". only: the dtypes for which the norm says anything.
    """

    of: Literal["first", "all", ""] = ""
    map: str = ""
    dtype: str = ""
    only: tuple[str, ...] = ()


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One library's rules; the fields are those of the files in `specs/promotion`.

    lattice: dtype -> next higher ones. category: category -> dtypes, categories in order.
    numbers: Python type -> dtype. canonical: dtype -> the one that exists instead.
    pairs: "a b" in alphabetical order -> dtype, where the lattice has two least bounds.
    complex_of: floating dtype -> complex dtype when a complex of a lower class meets it.
    """

    norm: str
    scheme: Literal["classes", "lattice"]
    lattice: dict[str, tuple[str, ...]]
    numbers: dict[str, str]
    results: dict[str, Result]
    classes: tuple[Literal["tensor", "zero_dim", "number"], ...] = ()
    categories: tuple[str, ...] = ()
    category: dict[str, tuple[str, ...]] = {}
    canonical: dict[str, str] = {}
    pairs: dict[str, str] = {}
    complex_of: dict[str, str] = {}
    maps: dict[str, dict[str, str]] = {}
    open: str = ""

    def rank(self, dtype: str) -> int:
        """Place of the dtype's category in their order."""
        for place, name in enumerate(self.categories):
            if dtype in self.category[name]:
                return place
        raise PromotionError(f"{dtype!r} is in no category")


def result_dtype(table: str, word: str, operands: Sequence[str]) -> str:
    """The dtype name that the word of `results` gives for these operands.

    Raises PromotionError for an unknown table, word or operand, and UnspecifiedPromotion where
    the norm leaves the answer open.
    """
    rules = load(table)
    if word not in rules.results:
        hint = nearest(word, rules.results)
        raise PromotionError(f"specs/promotion/{table}.toml: no result word {word!r}{hint}")
    how = rules.results[word]
    if how.dtype:
        return how.dtype
    found = promote(table, operands[:1] if how.of == "first" else operands)
    if how.only and found not in how.only:
        raise UnspecifiedPromotion(f"{table}: result {word!r} of {found} is not specified")
    if how.map:
        found = rules.maps[how.map].get(found, found)
    return rules.canonical.get(found, found)


@cache
def _promote(table: str, operands: tuple[str, ...]) -> str:
    rules = load(table)
    if not operands:
        raise PromotionError(f"{table}: no operand to promote")
    found = (_by_lattice if rules.scheme == "lattice" else _by_class)(table, rules, operands)
    return rules.canonical.get(found, found)


def promote(table: str, operands: Sequence[str]) -> str:
    """The common dtype of the operands. Raises as `result_dtype`."""
    return _promote(table, tuple(operands))


def least_upper_bound(rules: Table, table: str, nodes: Sequence[str]) -> str:
    """The lowest node of the lattice that is above all of `nodes` (or one of them)."""
    if exception := rules.pairs.get(" ".join(sorted(set(nodes)))):
        return exception
    above = [_above(table, node) for node in dict.fromkeys(nodes)]
    common = frozenset.intersection(*above)
    least = [node for node in common if common <= _above(table, node)]
    if len(least) == 1:
        return least[0]
    what = f"{table}: {', '.join(nodes)} have no least upper bound"
    if not common and rules.open:
        raise UnspecifiedPromotion(f"{what}: {rules.open}")
    raise PromotionError(what)


@cache
def _above(table: str, node: str) -> frozenset[str]:
    """`node` and everything higher."""
    lattice = load(table).lattice
    seen, waiting = set(), [node]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting.extend(lattice[one])
    return frozenset(seen)


def _by_lattice(table: str, rules: Table, operands: Sequence[str]) -> str:
    nodes = []
    for word in operands:
        kind, name = _read(table, rules, word)
        if kind == "number" and name == "bool":
            nodes.append(rules.numbers[name])  # there is no weak bool
        else:
            nodes.append(WEAK + name if kind == "number" else rules.canonical.get(name, name))
    if all(node.startswith(WEAK) for node in nodes):
        # among themselves weak types are the dtypes that they would be alone
        nodes = [rules.numbers[node.removeprefix(WEAK)] for node in nodes]
    found = least_upper_bound(rules, table, nodes)
    return rules.numbers[found.removeprefix(WEAK)] if found.startswith(WEAK) else found


def _by_class(table: str, rules: Table, operands: Sequence[str]) -> str:
    held: dict[str, list[str]] = {name: [] for name in rules.classes}
    for word in operands:
        kind, name = _read(table, rules, word)
        if kind == "zero_dim" and kind not in held:
            kind = "tensor"
        held[kind].append(rules.numbers[name] if kind == "number" else name)
    found = None
    for name in reversed(rules.classes):  # from the lowest class up
        if held[name]:
            own = least_upper_bound(rules, table, held[name])
            found = own if found is None else _combine(table, rules, own, found)
    assert found is not None
    return found


def _combine(table: str, rules: Table, higher: str, lower: str) -> str:
    """dtype when an operand of a lower class meets one of a higher class."""
    if rules.rank(lower) <= rules.rank(higher):
        return higher
    if lower in rules.complex_of.values() and higher in rules.complex_of:
        return rules.complex_of[higher]
    return least_upper_bound(rules, table, [higher, lower])


def _read(table: str, rules: Table, word: str) -> tuple[str, str]:
    """Class and name of an operand word. Raises PromotionError."""
    if word.startswith(WEAK):
        name = word.removeprefix(WEAK)
        if name not in rules.numbers:
            known = [WEAK + n for n in rules.numbers]
            raise PromotionError(f"{table}: unknown Python number {word!r}{nearest(word, known)}")
        return "number", name
    name = word.removesuffix("[]")
    if name not in rules.lattice or name.startswith(WEAK):
        hint = nearest(name, rules.lattice)
        raise PromotionError(f"{table}: no dtype {name!r} in the promotion table{hint}")
    return ("zero_dim" if word.endswith("[]") else "tensor"), name


@cache
def load(table: str) -> Table:
    """The typed table of that name. Raises PromotionError with file, field and reason."""
    return decode(table, installed_root())


def decode(table: str, root: Path) -> Table:
    """The table as in `root`/promotion, with what it extends filled in."""
    path = root / "promotion" / f"{table}.toml"
    try:
        raw = _merged(path)
    except OSError:
        names = [p.stem for p in path.parent.glob("*.toml")]
        raise PromotionError(f"no promotion table {table!r}{nearest(table, names)}") from None
    except tomllib.TOMLDecodeError as error:
        raise PromotionError(f"specs/promotion/{path.name}: not TOML: {error}") from None
    try:
        found = msgspec.convert(raw, Table)
    except msgspec.ValidationError as error:
        raise PromotionError(f"specs/promotion/{path.name}: {error}") from None
    _check(found, f"specs/promotion/{path.name}")
    return found


def _merged(path: Path) -> dict[str, Any]:
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    parent = raw.pop("extends", "")
    return _over(_merged(path.with_name(f"{parent}.toml")), raw) if parent else raw


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _over(old, value) if both and key != "results" else value
        if key == "results" and old:
            merged[key] = {**old, **value}
    return merged


def _check(rules: Table, file: str) -> None:
    """Every name that the table uses is a node of its lattice, every map exists."""
    names = set(rules.lattice)
    for node, higher in rules.lattice.items():
        for other in higher:
            if other not in names:
                raise PromotionError(
                    f"{file}: lattice.{node}: unknown dtype {other!r}{nearest(other, names)}"
                )
    for word, how in rules.results.items():
        if how.map and how.map not in rules.maps:
            hint = nearest(how.map, rules.maps)
            raise PromotionError(f"{file}: results.{word}: unknown map {how.map!r}{hint}")
        if bool(how.dtype) == bool(how.of):
            raise PromotionError(f"{file}: results.{word}: needs `of` or `dtype`, one of them")
    missing = names - {d for held in rules.category.values() for d in held}
    if rules.scheme == "classes" and missing:
        raise PromotionError(f"{file}: category: {sorted(missing)} are in no category")
