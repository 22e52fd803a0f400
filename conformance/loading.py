"""Reads the tables of `specs/` into the structs of `conformance.specs`.

Every error of a load is collected, one line each (file, table, field, reason, nearest valid
word), and all are raised together as `SpecErrors`.
"""

from __future__ import annotations

import importlib.resources
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec

from conformance.specs import (
    Call,
    Divergence,
    OpSpec,
    Refusal,
    Scenario,
    ScenarioDivergence,
    SharedDivergence,
    Specs,
)
from conformance.table_checks import (
    Errors,
    Words,
    check_op,
    check_scenario,
    check_shared,
    nearest,
)

ASSIGNED = {OpSpec: ("name", "chapter"), Scenario: ("name", "group")}  # by place, not by field
NESTED = (Call, Divergence, Refusal, ScenarioDivergence)


class SpecErrors(ValueError):
    """All that is wrong with the tables; `errors` holds one line each."""

    def __init__(self, errors: Iterable[str]):
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


def load_specs(root: Path | None = None) -> Specs:
    """The checked tables under `root` (default: those installed beside this package).

    Remembered per root. Raises SpecErrors with every error of the load.
    """
    return _load(Path(root) if root else installed_root())


def installed_root() -> Path:
    """The `specs` folder that ships beside the `conformance` package."""
    return Path(str(importlib.resources.files("conformance"))).parent / "specs"


@lru_cache(maxsize=8)
def _load(root: Path) -> Specs:
    if not root.is_dir():
        raise SpecErrors([f"{root}: no such folder of spec tables"])
    errors = Errors()
    vocabulary = _vocabulary(root, errors)
    norms = _norms(root, errors)
    words = Words(vocabulary, norms)
    ops = _tables(root, "ops", OpSpec, errors)
    scenarios = _tables(root, "scenarios", Scenario, errors)
    shared = _shared(root, errors)
    if vocabulary and norms:
        for file, op in ops.values():
            check_op(op, words, errors.at(file, op.name))
        for where, entry in shared:
            check_shared(entry, ops, words, where)
        overloads = {name.partition(".")[0] for name in ops}
        callable_names = {*vocabulary.get("verbs", {}), *ops, *overloads}
        for file, scenario in scenarios.values():
            check_scenario(scenario, words, callable_names, errors.at(file, scenario.name))
    promotion = _promotion(root, errors)
    if errors.lines:
        raise SpecErrors(errors.lines)
    return Specs(
        ops=_merged({name: op for name, (_, op) in ops.items()}, [d for _, d in shared]),
        scenarios={name: scenario for name, (_, scenario) in scenarios.items()},
        vocabulary=vocabulary,
        norms=norms,
        promotion=promotion,
    )


def norm_url(specs: Specs, norm: str) -> str:
    """The address of `torch:torch.clamp`: the prefix's template with what follows the colon.

    Raises KeyError for a prefix that is not in `specs/norms.toml`.
    """
    prefix, _, rest = norm.partition(":")
    return specs.norms[prefix]["url"].format(rest)


def check_rules(specs: Specs, rules: Iterable[str], helpers: Iterable[str] = ()) -> None:
    """Every operation has a rule and every rule an operation.

    rules: names registered by the reference. helpers: those among them that need no table.
    An operation with a `base` may have its rule there. Raises SpecErrors with the nearest name.
    """
    rules, helpers = set(rules), set(helpers)
    lines = [
        f"specs/ops/{op.chapter}.toml: {name}: operation without a rule in reference_impl"
        f"{nearest(name, rules - set(specs.ops))}"
        for name, op in specs.ops.items()
        if name not in rules and op.base not in rules
    ]
    lines += [
        f"reference_impl: {name}: rule without a table in specs/ops"
        f"{nearest(name, set(specs.ops) - rules)}"
        for name in sorted(rules - helpers - set(specs.ops))
    ]
    if lines:
        raise SpecErrors(lines)


def _files(root: Path, folder: str) -> list[Path]:
    return sorted((root / folder).glob("*.toml"))


def _name(path: Path, root: Path) -> str:
    return f"{root.name}/{path.relative_to(root).as_posix()}"


def _read(path: Path, root: Path, errors: Errors) -> dict[str, Any] | None:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        errors.lines.append(f"{_name(path, root)}: not TOML: {error}")
    except UnicodeDecodeError as error:
        errors.lines.append(f"{_name(path, root)}: not UTF-8: {error.reason}")
    except OSError as error:
        errors.lines.append(f"{_name(path, root)}: cannot be read: {error.strerror}")
    return None


def _vocabulary(root: Path, errors: Errors) -> dict[str, dict[str, str]]:
    path = root / "vocabulary.toml"
    table = _read(path, root, errors)
    if table is None:
        return {}
    for list_name, entries in table.items():
        for word, meaning in entries.items() if isinstance(entries, dict) else [("", None)]:
            if not isinstance(meaning, str) or not meaning:
                at = errors.at(_name(path, root), list_name)
                at.add(word, 'must be `word = "one line of meaning"`')
    table.setdefault("divergence_rules", {})
    missing = [name for name in Words.LISTS if name not in table]
    for name in missing:
        errors.lines.append(f"{_name(path, root)}: no list [{name}]")
    return {} if missing else table


def _norms(root: Path, errors: Errors) -> dict[str, Any]:
    path = root / "norms.toml"
    table = _read(path, root, errors)
    for name, entry in (table or {}).items():
        at = errors.at(_name(path, root), name)
        for key in ("url", "version"):
            if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
                at.add(key, "missing, or not text")
        if isinstance(entry, dict) and str(entry.get("url", "")).count("{}") != 1:
            at.add("url", "must hold {} once, where the part after the colon goes")
    return table or {}


def _promotion(root: Path, errors: Errors) -> dict[str, Any]:
    """The files as they are; `conformance.promotion` decodes them, and its first error counts."""
    from conformance.promotion import PromotionError, decode  # it finds its files through here

    found = {}
    for path in _files(root, "promotion"):
        found[path.stem] = _read(path, root, errors)
        if found[path.stem] is not None:
            try:
                decode(path.stem, root)
            except PromotionError as error:
                errors.lines.append(str(error))
    return found


def _tables(root: Path, folder: str, struct: type, errors: Errors) -> dict[str, tuple[str, Any]]:
    """name -> (file, struct) of every table in `folder` that could be decoded."""
    found: dict[str, tuple[str, Any]] = {}
    by_name, by_place = ASSIGNED[struct]
    for path in _files(root, folder):
        file = _name(path, root)
        for name, table in (_read(path, root, errors) or {}).items():
            at = errors.at(file, name)
            if not isinstance(table, dict):
                at.add("", f"is not a table; every {struct.__name__} is one table")
                continue
            if name in found:
                at.add("", f"defined in {found[name][0]} already")
                continue
            for taken in (f for f in ASSIGNED[struct] if f in table):
                at.add(taken, "is given by the table's name and file, not by a field")
            given = {**table, by_name: name, by_place: path.stem}
            made = _decode(struct, given, at, "")
            if made is not None:
                found[name] = (file, made)
    return found


def _shared(root: Path, errors: Errors) -> list[tuple[Errors, SharedDivergence]]:
    """Every `[[divergence]]` of `divergences/*.toml`, with where its errors are added."""
    found = []
    for path in _files(root, "divergences"):
        table = _read(path, root, errors) or {}
        for name in table:
            if name != "divergence" or not isinstance(table[name], list):
                at = errors.at(_name(path, root), name)
                at.add("", "is not a list: a file here holds [[divergence]] only")
        rows = table.get("divergence")
        for place, row in enumerate(rows if isinstance(rows, list) else ()):
            at = errors.at(_name(path, root), f"divergence[{place}]")
            if not isinstance(row, dict):
                at.add("", f"is not a table: {row!r}")
                continue
            made = _decode(SharedDivergence, row, at, "")
            if made is not None:
                found.append((at, made))
    return found


def _merged(ops: dict[str, OpSpec], shared: Iterable[SharedDivergence]) -> dict[str, OpSpec]:
    """The operations with what they share; what their own tables say comes first."""
    more: dict[str, list[Divergence]] = {}
    for entry in shared:
        for name in entry.ops:
            more.setdefault(name, []).extend(entry.each())
    return {
        name: msgspec.structs.replace(op, divergence=(*op.divergence, *more[name]))
        if name in more
        else op
        for name, op in ops.items()
    }


def _decode(struct: type, table: Mapping[str, Any], at: Errors, prefix: str) -> Any:
    """The struct, or None after adding every unknown, missing and wrongly typed field."""
    fields = _fields(struct)
    before = len(at.lines)
    values: dict[str, Any] = {}
    for key in table:
        if key not in fields:
            names = set(fields) - set(ASSIGNED.get(struct, ()))
            at.add(prefix + key, f"unknown field{nearest(key, names)}")
    for name, field in fields.items():
        if name not in table:
            if field.required:
                at.add(prefix + name, "missing field")
            continue
        inner = next((a for a in get_args(field.type) if a in NESTED), None)
        if inner and get_origin(field.type) is tuple and isinstance(table[name], list):
            rows = []
            for place, row in enumerate(table[name]):
                where = f"{prefix}{name}[{place}]"
                if isinstance(row, dict):
                    rows.append(_decode(inner, row, at, where + "."))
                else:
                    at.add(where, f"is not a table: {row!r}")
            values[name] = tuple(rows)
            continue
        try:
            values[name] = msgspec.convert(table[name], field.type)
        except msgspec.ValidationError as error:
            at.add(prefix + name, _lower(str(error)))
    return None if len(at.lines) > before else struct(**values)


@cache
def _fields(struct: type) -> dict[str, msgspec.structs.FieldInfo]:
    return {f.name: f for f in msgspec.structs.fields(struct)}


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
