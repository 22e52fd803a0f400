"""What is to be asked: the units of a run, from the tables, the backends and a selection."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from conformance.specs import Specs

TIERS = ("smoke", "standard", "deep", "exhaustive")


class SelectionError(ValueError):
    """A name that selects nothing; the message offers the nearest valid one."""


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """The piece of work handed to a worker.

    id: the same in every run that plans it. name: operation, or scenario group.
    dtypes: the dtype signature; () for scenarios. oracles: in the order of the vocabulary.
    cases: the only cases (scenario names) to run; () means all of them.
    """

    id: str
    backend: str
    kind: Literal["op", "scenario"]
    name: str
    dtypes: tuple[str, ...]
    oracles: tuple[str, ...]
    tier: str
    seed: int
    cases: tuple[str, ...] = ()


class BackendInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says about the backend it hosts.

    why: empty when it runs; else the one line that says what is missing and how to get it.
    promotion: the table of `specs/promotion` that holds for it. module: what has PyTorch's
    surface and is imported in torch's place, "" for a library without it. packages: versions of
    the distributions that matter, in the worker's environment.
    """

    name: str
    library: str = ""
    version: str = ""
    device: str = ""
    options: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    promotion: str = ""
    module: str = ""
    python: str = ""
    packages: dict[str, str] = {}
    why: str = ""

    @property
    def available(self) -> bool:
        return not self.why


Signatures = Callable[[Any, Mapping[str, Any]], Iterable[tuple[str, ...]]]


def plan(
    specs: Specs,
    backends: Sequence[BackendInfo],
    ops: str | None = None,
    scenarios: str | None = None,
    oracles: Sequence[str] = (),
    tier: str = "standard",
    seed: int = 0,
    signatures: Signatures | None = None,
) -> list[Unit]:
    """The units of a run, in the order of their ids.

    ops, scenarios: comma-separated globs. With neither, everything; with one, only that kind.
    oracles: () means all. signatures: (op, promotion table) -> dtype signatures; by default
    `conformance.units.signatures`. Backends that are not available get no unit.
    Raises SelectionError when a name or pattern selects nothing.
    """
    if tier not in TIERS:
        raise SelectionError(unknown("tier", tier, TIERS))
    asked = select_oracles(specs, oracles)
    chosen_ops, chosen_scenarios = select(specs, ops, scenarios)
    oracles_for: Callable[[Any, tuple[str, ...]], Iterable[str]] = lambda op, dtypes: asked
    if signatures is None:
        from conformance.units import oracles_for, signatures
    units = []
    for backend in backends:
        if not backend.available:
            continue
        shared = {"backend": backend.name, "tier": tier, "seed": seed}
        for name in chosen_ops:
            table = specs.promotion.get(backend.promotion, {})
            for dtypes in signatures(specs.ops[name], table):
                chosen = set(oracles_for(specs.ops[name], tuple(dtypes)))
                own = tuple(oracle for oracle in asked if oracle in chosen)
                if not own:
                    continue  # none of the questions asked arises in these dtypes
                key = f"{backend.name}|op|{name}|{','.join(dtypes)}"
                units.append(
                    Unit(
                        id=key, kind="op", name=name, dtypes=tuple(dtypes), oracles=own, **shared
                    )
                )
        for group, names in _groups(specs, chosen_scenarios, asked).items():
            key = f"{backend.name}|scenario|{group}"
            units.append(
                Unit(
                    id=key,
                    kind="scenario",
                    name=group,
                    dtypes=(),
                    oracles=asked,
                    cases=names,
                    **shared,
                )
            )
    return sorted(units, key=lambda unit: unit.id)


def select(specs: Specs, ops: str | None, scenarios: str | None) -> tuple[list[str], list[str]]:
    """Names of the operations and scenarios that the globs choose. Raises SelectionError."""
    everything = ops is None and scenarios is None
    chosen_ops = match("op", "*" if everything else ops, specs.ops)
    chosen_scenarios = match("scenario", "*" if everything else scenarios, specs.scenarios)
    return chosen_ops, chosen_scenarios


def select_oracles(specs: Specs, oracles: Sequence[str]) -> tuple[str, ...]:
    """The oracles asked for, in the order of the vocabulary. Raises SelectionError."""
    known = specs.vocabulary["oracles"]
    for name in oracles:
        if name not in known:
            raise SelectionError(unknown("oracle", name, known))
    return tuple(name for name in known if not oracles or name in oracles)


def match(kind: str, globs: str | None, names: Iterable[str]) -> list[str]:
    """Names that match any of the comma-separated globs, sorted.

    A pattern that matches none raises SelectionError: a typo must not shrink a run.
    """
    names = sorted(names)
    found: set[str] = set()
    for pattern in (globs or "").split(","):
        pattern = pattern.strip()
        if not pattern:
            continue
        hits = [name for name in names if fnmatchcase(name, pattern)]
        if not hits and pattern != "*":
            raise SelectionError(unknown(kind, pattern, names))
        found.update(hits)
    return sorted(found)


def unknown(kind: str, name: str, valid: Iterable[str]) -> str:
    """One line: what is unknown, the nearest valid name, where the list is."""
    near = get_close_matches(name, list(valid), n=1, cutoff=0.4)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    if kind == "tier":
        return f"unknown tier {name!r}{hint}; tiers: {', '.join(TIERS)}"
    return f"unknown {kind} {name!r}{hint}; `conformance list {kind}s` shows them all"


def shard(units: Sequence[Unit], part: int, parts: int) -> list[Unit]:
    """The units of shard `part` of `parts` (from 1), by a hash of the id.

    The hash ignores the backend, so that a shard asks every backend the same questions.
    """
    return [unit for unit in units if _bucket(unit) % parts == part - 1]


def _bucket(unit: Unit) -> int:
    question = unit.id.split("|", 1)[1]
    return int.from_bytes(hashlib.sha256(question.encode()).digest()[:8], "big")


def _groups(
    specs: Specs, names: Sequence[str], oracles: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        scenario = specs.scenarios[name]
        if scenario.oracle in oracles:
            groups.setdefault(scenario.group, []).append(name)
    return {group: tuple(chosen) for group, chosen in groups.items()}
