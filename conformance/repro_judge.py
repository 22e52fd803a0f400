"""When the difference of a finding is still there: one condition, with its reason."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.accuracy.bounds import Bound
from conformance.accuracy.formats import FORMATS
from conformance.accuracy.ulp import ulp
from conformance.render import variable
from conformance.repro_text import ReproError
from conformance.specs import Specs
from conformance.verdicts import Finding

BIT_ORACLES = frozenset({"determinism"})


@dataclass(frozen=True, slots=True)
class Difference:
    """expected: source text. condition: source text over `seen` and `expected`; true while the
    difference is there. note: a comment that says why this condition."""

    expected: str
    condition: str
    note: str = ""
    imports: tuple[str, ...] = ()


def number(finding: Finding, specs: Specs) -> Difference:
    """One element: same bits where the bound is exact, else within what the bound allows."""
    seen, expected = unpack(finding.observed), unpack(finding.expected)
    text = _literal(finding.expected)
    if isinstance(expected, (bool, int)) and not isinstance(seen, (float, complex)):
        return Difference(text, "seen != expected")
    if isinstance(expected, complex) or isinstance(seen, complex):
        if not (_finite(seen) and _finite(expected)) or seen == expected:
            return Difference(text, "repr(seen) != repr(expected)")
    elif not (_finite(seen) and _finite(expected)) or seen == expected:
        # nan, infinities and the sign of a zero
        return Difference(text, "seen.hex() != expected.hex()", imports=())
    allowed, why = _allowed(finding, specs, seen, expected)
    if allowed == 0.0:
        return Difference(text, "seen != expected", f"bound: {why}")
    return Difference(
        text, f"not abs(seen - expected) <= {allowed!r}", f"{allowed:.3g} is allowed: {why}"
    )


def _allowed(finding: Finding, specs: Specs, seen: Any, expected: Any) -> tuple[float, str]:
    op = specs.ops.get(finding.op)
    half = abs(complex(seen) - complex(expected)) / 2
    key = "value" if finding.what.split(".")[0] == "y" else "vjp"
    bound = Bound.parse(op.bound.get(key, "exact")) if op else Bound("exact")
    if bound.kind == "exact" or finding.oracle in BIT_ORACLES:
        return 0.0, "exact, same bits"
    dtype = next((d for d in finding.dtypes if d in FORMATS), "")
    if bound.kind == "ulp" and dtype and isinstance(expected, float):
        unit = float(ulp(np.asarray(expected), FORMATS[dtype]))
        return min(bound.factor * unit, half), f"{bound.factor:g} ulp of {dtype}"
    return half, f"half of what was seen too much; the bound is {op.bound.get(key)}"


def fact(finding: Finding, traced: str) -> Difference:
    """A dtype, a shape, an owner of memory, a whole value."""
    observed, expected = finding.observed, finding.expected
    if not traced:
        if finding.oracle == "alias" and isinstance(expected, str) and expected != "own memory":
            expected = variable(expected)
        return Difference(repr(_plain(expected)), "seen != expected")
    seen, wanted = _traced(observed), _traced(expected)
    if _is_claim(expected, wanted) or type(seen) is not type(wanted):
        # the norm says it in words: there as long as exactly what was recorded is seen
        text = _source(seen)
        return Difference(
            repr(str(expected)) if isinstance(expected, str) else _source(wanted),
            f"repr(seen) == repr({text})",
            "there while exactly what was recorded is seen",
            _imports(text),
        )
    text = _source(wanted)
    flat, other = _flat(seen), _flat(wanted)
    if len(flat) == len(other) and flat and all(map(_finite, [*flat, *other])):
        worst = max(abs(a - b) for a, b in zip(flat, other, strict=True))
        if worst > 0 and all(isinstance(v, float) for v in [*flat, *other]):
            return Difference(
                text,
                f"not np.abs(np.subtract(seen, expected)).max() <= {worst / 2!r}",
                "there while more than half of the recorded difference is seen",
                ("import numpy as np", *_imports(text)),
            )
    return Difference(text, "repr(seen) != repr(expected)", imports=_imports(text))


def refusal(finding: Finding, patterns: Mapping[str, list[str]]) -> Difference:
    """What was raised, against what must be raised: the error kinds of the closed list."""
    wanted = _kind(finding.expected)
    if not wanted:
        return Difference('"no error"', "seen != expected")
    found = patterns.get(wanted, [])
    text = repr(f"an error: {wanted}")
    if _kind(finding.observed) in ("", "no error") or not found:
        return Difference(text, 'seen == "no error"')
    search = " and ".join(f"not re.search({pattern!r}, seen)" for pattern in found)
    return Difference(text, search, imports=("import re",))


def _kind(value: Any) -> str:
    """The error kind in an observation or a claim; "" for none."""
    if isinstance(value, Mapping) and "raised" in value:
        return str(value["raised"])
    if not isinstance(value, str) or value in ("no error", "ok", "nothing"):
        return ""
    return value.removeprefix("raises ")


# -- plain values as source text ------------------------------------------------------------------


def unpack(value: Any) -> Any:
    """A number from its JSON form."""
    if isinstance(value, Mapping):
        if "hex" in value:
            return float.fromhex(value["hex"])
        if "re" in value:
            return complex(unpack(value["re"]), unpack(value["im"]))
        if "first" in value:
            raise ReproError("the value is too long to be kept in the finding")
        raise ReproError(f"no script compares {dict(value)!r}")
    if isinstance(value, (list, tuple)):
        return [unpack(item) for item in value]
    return value


def _literal(value: Any) -> str:
    """Source text with all bits: hexadecimal floats."""
    if isinstance(value, Mapping) and "hex" in value:
        return f'float.fromhex("{value["hex"]}")'
    if isinstance(value, Mapping) and "re" in value:
        return f"complex({_literal(value['re'])}, {_literal(value['im'])})"
    return repr(unpack(value))


def _source(value: Any) -> str:
    return repr(value)


def _imports(text: str) -> tuple[str, ...]:
    return tuple(f"from math import {n}" for n in ("inf", "nan") if n in text)


def _traced(value: Any) -> Any:
    """A value from its JSON form, or from the words that behaviour programs leave."""
    value = unpack(value)
    if isinstance(value, str):
        text = value.removeprefix("equals ")
        try:
            tree = ast.parse(text, mode="eval").body
            return _evaluated(tree)
        except (SyntaxError, ValueError):
            return value
    return value


def _evaluated(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in ("nan", "inf"):
        return float(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_evaluated(node.operand)
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_evaluated(item) for item in node.elts]
    return ast.literal_eval(node)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else unpack(value)


def _is_claim(expected: Any, value: Any) -> bool:
    return isinstance(expected, str) and isinstance(value, str)


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [item for part in value for item in _flat(part)]
    return [value]


def _finite(value: Any) -> bool:
    if isinstance(value, complex):
        return math.isfinite(value.real) and math.isfinite(value.imag)
    return isinstance(value, (bool, int, float)) and math.isfinite(value)
