"""Steps that were made one by one as the text of a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from conformance.program import Invoke, Name, Program, Step
from conformance.render import number


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def text_of(value: Any) -> str:
    if isinstance(value, Name):
        return value.id
    if isinstance(value, Invoke):
        parts = [text_of(a) for a in value.args]
        parts += [f"{name}={text_of(a)}" for name, a in value.kwargs.items()]
        return f"{value.callee}({', '.join(parts)})"
    if isinstance(value, list):
        return f"[{', '.join(map(text_of, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(text_of, value))}{',' * (len(value) == 1)})"
    if isinstance(value, (bool, int, float, complex)):
        return number(value)
    return repr(value)


def lines_of(step: Step) -> list[str]:
    """The step, one `with` line per guard around it."""
    comma = "," if step.unpacks and len(step.targets) == 1 else ""
    left = f"{', '.join(step.targets)}{comma} = " if step.targets else ""
    lines = [f"{'    ' * depth}with {guard}():" for depth, guard in enumerate(step.guards)]
    return [*lines, f"{'    ' * len(step.guards)}{left}{text_of(step.call)}"]


def program_of(steps: Sequence[Step]) -> Program:
    """The steps as a program, its lines numbered as in its text."""
    lines: list[str] = []
    numbered = []
    for step in steps:
        lines += lines_of(step)
        numbered.append(replace(step, line=len(lines)))
    return Program("\n".join(lines), tuple(numbered))
