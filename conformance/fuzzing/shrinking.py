"""From a program that fails to the shortest that fails alike.

Steps are left out in ever smaller blocks, then one by one with their result replaced by one of
their operands; then calls and numbers are made simpler. A candidate counts when it fails with the
same cause; one that is no program (a name without a value) does not fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from conformance.program import Invoke, Name, Step

Fails = Callable[[Sequence[Step]], bool]


def shrink(steps: Sequence[Step], fails: Fails, most: int = 3000) -> list[Step]:
    """The steps of a shorter program for which `fails` holds. most: tries."""
    search = _Search(list(steps), fails, most)
    before: list[Step] = []
    while search.best != before and search.left > 0:
        before = search.best
        search.blocks()
        for make in (_substituted, _unguarded, _simpler):
            search.each(make)
    return search.best


class _Search:
    def __init__(self, best: list[Step], fails: Fails, most: int) -> None:
        self.best, self.fails, self.left = best, fails, most

    def accept(self, candidate: list[Step]) -> bool:
        if self.left <= 0 or not _bound(candidate):
            return False
        self.left -= 1
        if not self.fails(candidate):
            return False
        self.best = candidate
        return True

    def blocks(self) -> None:
        size = max(1, len(self.best) // 2)
        while size:
            at = len(self.best) - size
            while at >= 0:
                self.accept(self.best[:at] + self.best[at + size :])
                at -= 1 if size == 1 else size
            size //= 2

    def each(self, make: Callable[[list[Step], int], Iterator[list[Step]]]) -> None:
        """Try every candidate made at every step, going on from each that is accepted."""
        at = len(self.best) - 1
        while at >= 0:
            if at < len(self.best) and any(map(self.accept, make(self.best, at))):
                at = min(at, len(self.best) - 1)
                continue
            at -= 1


def _bound(steps: Sequence[Step]) -> bool:
    known: set[str] = set()
    for step in steps:
        if not names_in(step.call) <= known:
            return False
        known.update(step.targets)
    return bool(steps)


def names_in(value: Any) -> set[str]:
    if isinstance(value, Name):
        return {value.id}
    if isinstance(value, Invoke):
        value = (*value.args, *value.kwargs.values())
    if isinstance(value, (list, tuple)):
        return set().union(*map(names_in, value)) if value else set()
    return set()


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value with `change` applied to every part, inner parts first."""
    if isinstance(value, Invoke):
        args = tuple(mapped(a, change) for a in value.args)
        kwargs = {n: mapped(a, change) for n, a in value.kwargs.items()}
        value = Invoke(value.callee, args, kwargs)
    elif isinstance(value, (list, tuple)):
        value = type(value)(mapped(v, change) for v in value)
    return change(value)


def _renamed(call: Invoke, old: frozenset[str], new: str) -> Invoke:
    return mapped(call, lambda v: Name(new) if isinstance(v, Name) and v.id in old else v)


def _substituted(steps: list[Step], at: int) -> Iterator[list[Step]]:
    """Without a step, an operand (or any earlier result) standing for its result."""
    step = steps[at]
    if not step.targets:
        return
    earlier = [t for s in reversed(steps[:at]) for t in s.targets]
    others = list(dict.fromkeys([*sorted(names_in(step.call)), *earlier]))
    for other in others[:4]:
        if other in step.targets:
            continue
        rest = []
        active = set(step.targets)
        for later in steps[at + 1 :]:
            call = _renamed(later.call, frozenset(active), other)
            rest.append(replace(later, call=call))
            active -= set(later.targets)
            if other in later.targets:
                break
        rest += steps[at + 1 + len(rest) :]
        yield steps[:at] + rest


def _unguarded(steps: list[Step], at: int) -> Iterator[list[Step]]:
    step = steps[at]
    if step.guards:
        yield [*steps[:at], replace(step, guards=()), *steps[at + 1 :]]
        yield [*steps[:at], replace(step, guards=step.guards[:1]), *steps[at + 1 :]]\
            if len(step.guards) > 1 else steps[:0]
    if step.targets and not any(names_in(s.call) & set(step.targets) for s in steps[at + 1 :]):
        yield [*steps[:at], replace(step, targets=(), unpacks=False), *steps[at + 1 :]]


def _simpler(steps: list[Step], at: int) -> Iterator[list[Step]]:
    """One argument left out, or one literal made smaller."""
    step = steps[at]

    def with_call(call: Invoke) -> list[Step]:
        return [*steps[:at], replace(step, call=call), *steps[at + 1 :]]

    for call in _simpler_calls(step.call):
        yield with_call(call)


def _simpler_calls(call: Invoke) -> Iterator[Invoke]:
    for word, value in call.kwargs.items():
        kept = {n: v for n, v in call.kwargs.items() if n != word}
        if word == "dtype" and value not in ("float32", "bool"):
            yield Invoke(call.callee, call.args, {**kept, "dtype": "float32"})
        elif word != "dtype":
            yield Invoke(call.callee, call.args, kept)
    if call.callee == "leaf":
        yield Invoke("tensor", call.args, call.kwargs)
    if call.callee in ("leaf", "tensor") and call.args:
        for data in _smaller(call.args[0]):
            yield Invoke(call.callee, (data, *call.args[1:]), call.kwargs)
    for place, value in enumerate(call.args):
        if isinstance(value, Invoke):
            for inner in _simpler_calls(value):
                args = (*call.args[:place], inner, *call.args[place + 1 :])
                yield Invoke(call.callee, args, call.kwargs)
    for word, value in call.kwargs.items():
        if isinstance(value, Invoke):
            for inner in _simpler_calls(value):
                yield Invoke(call.callee, call.args, {**call.kwargs, word: inner})


def _smaller(data: Any) -> Iterator[Any]:
    """Nested lists with fewer or plainer numbers."""
    if isinstance(data, list):
        if len(data) > 1:
            yield data[:1]
            yield data[:2]
        if data and isinstance(data[0], list):
            yield data[0]
            if len(data[0]) > 1:
                yield [row[:1] for row in data]
        ones = mapped(data, lambda v: v if isinstance(v, list) else type(v)(1))
        if ones != data:
            yield ones
    elif data != type(data)(1):
        yield type(data)(1)
