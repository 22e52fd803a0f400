"""A case as the text of a program: what findings keep and `repro` turns into a script."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.cases.case import Case, Operand
from conformance.plain import shortest
from conformance.specs import OpSpec

VARIABLES = {"self": "x", "input": "x"}


def variable(name: str) -> str:
    """The program's variable for an argument: `self` is called x, `tensors.1` tensors_1."""
    return VARIABLES.get(name, name.replace(".", "_"))


def number(value: Any) -> str:
    """A literal of the program language that reads back as the same number."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (complex, np.complexfloating)):
        return f"complex({number(value.real)}, {number(value.imag)})"
    text = shortest(value)
    if isinstance(value, np.floating) and type(value)(float(text)) != value:
        return repr(float(value))  # the short form would be rounded twice on its way back (or nan)
    return text


def nested(array: np.ndarray) -> str:
    if array.ndim == 0:
        return number(array[()])
    return "[" + ", ".join(nested(row) for row in array) + "]"


def maker(operand: Operand, leaf: bool) -> str:
    """`leaf([...], dtype="float32")` or `tensor(...)`; arrays without elements by shape."""
    grad = leaf and operand.differentiable
    if operand.data.size == 0:
        more = ", requires_grad=True" if grad else ""
        return f'zeros({list(operand.data.shape)}, dtype="{operand.dtype}"{more})'
    layout = f', layout="{operand.layout}"' if operand.layout != "contiguous" else ""
    word = "leaf" if grad else "tensor"
    return f'{word}({nested(operand.data)}, dtype="{operand.dtype}"{layout})'


def literal(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        inner = ", ".join(literal(v) for v in value)
        return f"[{inner}]"
    if isinstance(value, (bool, int, float, complex)):
        return number(value)
    return repr(value)


def inputs_of(case: Case, leaf: bool) -> list[str]:
    """One line per input tensor."""
    return [f"{variable(n)} = {maker(o, leaf)}" for n, o in case.operands()]


def invocation(op: OpSpec, case: Case, renamed: dict[str, str] | None = None) -> str:
    """The call itself: `clamp(x, min=-1.0)`; renamed: other variables for some arguments."""
    parts = []
    positional = True
    for argument in op.parsed.arguments:
        if argument.name not in case.args:
            positional = False
            continue
        value = case.args[argument.name]
        if isinstance(value, Operand):
            text = (renamed or {}).get(argument.name, variable(argument.name))
        elif isinstance(value, list) and any(isinstance(v, Operand) for v in value):
            names = [
                variable(f"{argument.name}.{i}") if isinstance(v, Operand) else literal(v)
                for i, v in enumerate(value)
            ]
            text = f"[{', '.join(names)}]"
        else:
            text = literal(value)
        tensor = argument.is_tensor or argument.is_tensor_list
        if positional and tensor and not argument.keyword_only:
            parts.append(text)
        else:
            positional = False
            parts.append(f"{argument.name}={text}")
    return f"{op.name.split('.')[0]}({', '.join(parts)})"


def cotangent(ct: np.ndarray) -> str:
    return maker(Operand(ct), leaf=False)


def program_text(
    op: OpSpec,
    case: Case,
    cotangents: list[np.ndarray | None] | None = None,
    second: list[np.ndarray | None] | None = None,
) -> str:
    """The case as a program; with cotangents it ends in `backward`.

    Several outputs are unpacked as y_0, y_1, …; each with a cotangent gets its backward. With
    second, it ends in the derivative of the vjp: `second_x`, …, `second_ct`. An in-place
    operation with cotangents writes to a copy `c` of its leaf.
    """
    lines = inputs_of(case, leaf=cotangents is not None)
    renamed = {}
    if cotangents is not None:
        for name, operand in case.operands():
            if name in op.parsed.mutates and operand.differentiable:
                lines.append(f"c = clone({variable(name)})")
                renamed[name] = "c"
    outs = len(cotangents) if cotangents is not None else 1
    names = ["y"] if outs == 1 else [f"y_{i}" for i in range(outs)]
    lines.append(f"{', '.join(names)} = {invocation(op, case, renamed)}")
    chosen = [(n, c) for n, c in zip(names, cotangents or [None], strict=True) if c is not None]
    if second is not None and chosen:
        return "\n".join([*lines, *_second(case, chosen, second)])
    for place, (name, ct) in enumerate(chosen):
        keep = ", retain_graph=True" if place < len(chosen) - 1 else ""
        lines.append(f"backward({name}, {cotangent(ct)}{keep})")
    return "\n".join(lines)


def _second(
    case: Case, chosen: list[tuple[str, np.ndarray]], second: list[np.ndarray | None]
) -> list[str]:
    """Reverse over reverse: the cotangents of inputs and of `ct`, contracted with `second`."""
    cts = ["ct"] if len(chosen) == 1 else [f"ct{i}" for i in range(len(chosen))]
    lines = [
        f"{name} = {maker(Operand(ct, differentiable=True), leaf=True)}"
        for name, (_, ct) in zip(cts, chosen, strict=True)
    ]
    inputs = [variable(name) for name, _ in case.differentiable()]
    outputs = ", ".join(name for name, _ in chosen)
    grads = [f"g_{name}" for name in inputs]
    lines.append(
        f"{_targets(grads)} = grad([{outputs}], [{', '.join(inputs)}], [{', '.join(cts)}], "
        "create_graph=True, allow_unused=True)"
    )
    pairs = [(g, v) for g, v in zip(grads, second, strict=True) if v is not None]
    slots = [*inputs, *cts]
    lines.append(
        f"{_targets([f'second_{name}' for name in slots])} = "
        f"grad([{', '.join(g for g, _ in pairs)}], [{', '.join(slots)}], "
        f"[{', '.join(cotangent(v) for _, v in pairs)}], allow_unused=True)"
    )
    return lines


def _targets(names: list[str]) -> str:
    return f"({names[0]},)" if len(names) == 1 else ", ".join(names)
