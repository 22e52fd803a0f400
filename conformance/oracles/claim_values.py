"""Expected values that claims write down: literals, and a few functions of them.

They are evaluated in ball arithmetic (python-flint), never by a library being checked. An
elementary function allows the ulps that OpenCL's full profile gives it (OpenCL C 3.0, 7.4);
everything else is rounded once.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flint
import numpy as np

from conformance.accuracy.formats import FORMATS, REAL_OF, np_dtype


@dataclass(frozen=True, slots=True)
class Value:
    """numbers: nested lists of numbers or balls. ulps: what an elementary function may err."""

    numbers: Any
    ulps: float = 0.0


def literal(node: ast.expr) -> Any:
    """A Python literal; a bare word stands for itself, nan and inf for the numbers."""
    if isinstance(node, ast.Name):
        return {"nan": float("nan"), "inf": float("inf")}.get(node.id, node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Name):
        return -float(node.operand.id) if isinstance(node.op, ast.USub) else ast.literal_eval(node)
    return ast.literal_eval(node)


def _map(function: Callable[..., Any], *nested: Any) -> Any:
    """Apply to numbers in nested lists; a number goes with every element of a list."""
    lengths = {len(item) for item in nested if isinstance(item, list)}
    if not lengths:
        return function(*nested)
    if len(lengths) > 1:
        raise ValueError("lists of different lengths")
    rows = ([item[i] if isinstance(item, list) else item for item in nested] for i in range(*lengths))
    return [_map(function, *row) for row in rows]


def _elementary(function: Callable[[Any], Any], ulps: float) -> Callable[[Value], Value]:
    def apply(x: Value) -> Value:
        return Value(_map(lambda v: function(flint.arb(v)), x.numbers), x.ulps + ulps)

    return apply


def _arithmetic(function: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Value]:
    def apply(a: Value, b: Value) -> Value:
        inexact = a.ulps + b.ulps
        numbers = _map(lambda v, w: function(flint.arb(v), flint.arb(w)), a.numbers, b.numbers)
        return Value(numbers, inexact and inexact + 1)

    return apply


def _filled(shape: Value, value: Any) -> Value:
    made = value
    for size in reversed(shape.numbers):
        made = [made] * size
    return Value(made)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": _elementary(lambda x: x.exp(), 3),
    "log": _elementary(lambda x: x.log(), 3),
    "sqrt": _elementary(lambda x: x.sqrt(), 0),
    "sin": _elementary(lambda x: x.sin(), 4),
    "cos": _elementary(lambda x: x.cos(), 4),
    "tanh": _elementary(lambda x: x.tanh(), 5),
    # exp, one addition, one division
    "sigmoid": _elementary(lambda x: 1 / (1 + (-x).exp()), 3 + 0.5 + 2.5),
    "add": _arithmetic(lambda a, b: a + b),
    "sub": _arithmetic(lambda a, b: a - b),
    "mul": _arithmetic(lambda a, b: a * b),
    "div": _arithmetic(lambda a, b: a / b),
    "full": lambda shape, value: _filled(shape, value.numbers),
    "zeros": lambda shape: _filled(shape, 0),
    "ones": lambda shape: _filled(shape, 1),
    "arange": lambda stop: Value(list(range(stop.numbers))),
    "eye": lambda n: Value([[int(i == j) for j in range(n.numbers)] for i in range(n.numbers)]),
}


def evaluate(node: ast.expr) -> Value:
    """Raises ValueError for what is not a VALUE of the claims language."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id not in FUNCTIONS:
            raise ValueError(f"no function {node.func.id!r}; there are {', '.join(FUNCTIONS)}")
        return FUNCTIONS[node.func.id](*[evaluate(arg) for arg in node.args])
    if isinstance(node, (ast.List, ast.Tuple)):
        return Value([evaluate(item).numbers for item in node.elts])
    found = literal(node)
    if isinstance(found, str) or found is None:
        raise ValueError(f"{ast.unparse(node)!r} is not a number")
    return Value(found)


def shape_of(nested: Any) -> tuple[int, ...]:
    """Raises ValueError where the rows have different lengths."""
    if not isinstance(nested, list):
        return ()
    inner = {shape_of(item) for item in nested}
    if len(inner) > 1:
        raise ValueError("rows of different lengths")
    return (len(nested), *(inner.pop() if inner else ()))


def flat(nested: Any) -> list[Any]:
    """The numbers in row-major order."""
    return [x for item in nested for x in flat(item)] if isinstance(nested, list) else [nested]


def array_of(value: Value, dtype: str) -> np.ndarray:
    """The numbers in the wide dtype of a floating dtype, else in the dtype itself."""
    real = FORMATS.get(REAL_OF.get(dtype, dtype))
    kind = np_dtype(dtype)
    if real is not None:
        kind = np.result_type(real.wide, np.complex64) if dtype in REAL_OF else real.wide
    numbers = [float(v) if isinstance(v, flint.arb) else v for v in flat(value.numbers)]
    return np.array(numbers, dtype=kind).reshape(shape_of(value.numbers))
