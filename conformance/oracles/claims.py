"""Claims: what a person concluded from the norm about one scenario, in a closed language.

A claim is `key = "text"` in the `claims` of a scenario. The key is a line of the program or an
observable: a variable, or `variable.field`, with `@LINE` for a moment other than the end.

| key                                                    | seen                              |
| ------------------------------------------------------ | --------------------------------- |
| `4`                                                    | what line 4 did                   |
| `x`                                                    | value of a tensor, or a result    |
| `x.grad`                                               | value of its gradient             |
| `x.dtype` `.shape` `.strides` `.offset` `.version`     | facts of the tensor               |
| `x.requires_grad` `x.is_leaf` `x.grad_fn`              | its place in the graph            |
| `x.grad.dtype`, …                                      | the same of its gradient          |

| text                            | meaning                                                     |
| ------------------------------- | ----------------------------------------------------------- |
| `ok`                            | the line raised nothing and warned of nothing               |
| `raises KIND`, `warns KIND`     | a word of `error_kinds`, of `warnings`                      |
| `equals VALUE`                  | shape and every element; VALUE is rounded once to the dtype |
| `rounds_to LITERAL`             | as printed: equal after rounding to the digits written      |
| `is LITERAL`                    | a fact: `is None`, `is True`, `is (2, 3)`, `is float32`     |
| `is_a bool`                     | a result of that Python type (`int`, `float`, `str`)        |
| `same_as y`                     | the same value as the variable `y`, bit for bit             |
| `absent`                        | the variable is not bound                                   |
| `shares_memory_with y`          | the same storage                                            |
| `separate_from y`               | another storage                                             |

VALUE is a nested list of numbers, or a function of such: see `claim_values.FUNCTIONS`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from conformance.accuracy.formats import FORMATS
from conformance.accuracy.ulp import error_in_ulp, round_to, same_bits
from conformance.observation import StepObs, TensorObs, Trace
from conformance.oracles.claim_values import array_of, evaluate, flat, literal, shape_of
from conformance.program import Program

# field of a tensor -> the capability without which it cannot be seen
FIELDS = {
    "grad": "autograd",
    "dtype": "",
    "shape": "",
    "strides": "strides",
    "offset": "strides",
    "version": "versions",
    "requires_grad": "grad_flags",
    "is_leaf": "grad_flags",
    "grad_fn": "grad_flags",
}
NARROW = {"int64": "int32", "uint64": "uint32", "float64": "float32", "complex128": "complex64"}
RELATIONS = ("shares_memory_with", "separate_from", "same_as")
PYTHON_TYPES = ("bool", "int", "float", "str")


class ClaimError(ValueError):
    """The key or the text is not a claim; says why."""


@dataclass(frozen=True, slots=True)
class Claim:
    """line: 0 means at the end. variable: "" for a claim about what the line did."""

    key: str
    text: str
    line: int
    variable: str
    fields: tuple[str, ...]
    verb: str
    argument: Any = None

    @property
    def observable(self) -> str:
        return ".".join((self.variable, *self.fields))


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """holds: None when the backend cannot show the observable; `missing` names the capability.

    line: where it was looked at. compared: elements or facts.
    """

    claim: Claim
    holds: bool | None
    line: int
    compared: int = 0
    observed: Any = None
    expected: Any = None
    missing: str = ""


def is_numpy(seen: Any) -> bool:
    """A NumPy array shows strides and no place in a graph; no library's tensor does that."""
    numpy_like = isinstance(seen, TensorObs) and seen.strides is not None
    return numpy_like and seen.requires_grad is None


# --- reading -----------------------------------------------------------------------------------


def parse_claims(claims: Mapping[str, str]) -> list[Claim]:
    """Raises ClaimError for the first that is none."""
    return [parse_claim(key, text) for key, text in claims.items()]


def parse_claim(key: str, text: str) -> Claim:
    """Raises ClaimError."""
    verb, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    if key.isdigit():
        if verb not in ("ok", "raises", "warns"):
            raise ClaimError(f"{text!r} says nothing of a line: ok, raises KIND or warns KIND")
        if (verb == "ok") == bool(rest):
            raise ClaimError(f"{text!r}: `ok` stands alone, `raises` and `warns` take one kind")
        return Claim(key, text, int(key), "", (), verb, rest)
    match = re.fullmatch(r"([A-Za-z_]\w*)((?:\.\w+)*)(?:@(\d+))?", key)
    if not match:
        raise ClaimError(f"{key!r} is not a line or an observable like x, x.grad or x.dtype@3")
    fields = tuple(match[2].split(".")[1:])
    for name in fields:
        if name not in FIELDS:
            raise ClaimError(f"{key!r}: no field {name!r}; fields are {', '.join(FIELDS)}")
    if any(name != "grad" for name in fields[:-1]):
        raise ClaimError(f"{key!r}: only `grad` has fields of its own")
    argument = _argument(verb, rest, text)
    return Claim(key, text, int(match[3] or 0), match[1], fields, verb, argument)


def check_claim(
    claim: Claim, program: Program, error_kinds: Collection[str], warnings: Collection[str]
) -> str:
    """"" or why the claim cannot be about this program."""
    lines = {step.line for step in program.steps}
    if claim.line and claim.line not in lines:
        return f"no step on line {claim.line}; the program's lines are {min(lines)} to {max(lines)}"
    if claim.verb == "raises" and claim.argument not in error_kinds:
        return f"unknown error kind {claim.argument!r}"
    if claim.verb == "warns" and claim.argument not in warnings:
        return f"unknown warning {claim.argument!r}"
    bound = {name for step in program.steps for name in step.targets}
    other = claim.argument[0] if claim.verb in RELATIONS else ""
    for name in filter(None, (claim.variable, other)):
        if name not in bound:
            return f"no variable {name!r} in the program"
    return ""


def _argument(verb: str, rest: str, text: str) -> Any:
    if verb == "absent" and not rest:
        return None
    if verb == "is_a":
        if rest not in PYTHON_TYPES:
            raise ClaimError(f"{text!r}: {rest!r} is none of {', '.join(PYTHON_TYPES)}")
        return rest
    if verb in RELATIONS:
        match = re.fullmatch(r"([A-Za-z_]\w*)((?:\.grad)*)", rest)
        if not match:
            raise ClaimError(f"{text!r}: {rest!r} is not a variable or its .grad")
        return (match[1], tuple(match[2].split(".")[1:]))
    if verb not in ("equals", "rounds_to", "is"):
        raise ClaimError(f"{text!r}: {verb!r} is no verb of claims")
    try:
        node = ast.parse(rest, mode="eval").body
        if verb == "is":
            return literal(node)
        found = _printed(node, rest) if verb == "rounds_to" else evaluate(node)
        shape_of(found if verb == "rounds_to" else found.numbers)
        return found
    except (SyntaxError, ValueError, TypeError) as error:
        raise ClaimError(f"{text!r}: {getattr(error, 'msg', error)}") from None


def _printed(node: ast.expr, text: str) -> Any:
    """Decimals as written, in the nesting as written."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_printed(item, text) for item in node.elts]
    written = ast.get_source_segment(text, node) or ""
    try:
        return Decimal(written)
    except InvalidOperation:
        raise ValueError(f"{written!r} is not a decimal number") from None


# --- judging -----------------------------------------------------------------------------------


def judge(claim: Claim, trace: Trace, capabilities: Collection[str]) -> Judgement:
    """Whether the trace bears the claim out; never raises for what a library may show."""
    steps = [step for step in trace.steps if not claim.line or step.line <= claim.line]
    last = steps[-1].line if steps else 0
    if not steps or (claim.line and last != claim.line):
        return Judgement(claim, False, claim.line, 1, "the line was not reached", claim.text)
    if not claim.variable:
        return _judge_line(claim, steps[-1], capabilities)
    missing = _missing(claim, capabilities)
    if missing:
        return Judgement(claim, None, last, missing=missing)
    found, seen = look(claim.variable, claim.fields, steps)
    if claim.verb == "absent":
        return Judgement(claim, not found, last, 1, seen if found else "absent", "absent")
    if not found:
        return Judgement(claim, False, last, 1, "absent", claim.text)
    if claim.verb == "is_a":
        return Judgement(claim, type(seen).__name__ == claim.argument, last, 1, seen, claim.text)
    if claim.verb == "same_as":
        return _judge_same(claim, seen, steps, last)
    if claim.verb in ("shares_memory_with", "separate_from"):
        return _judge_sharing(claim, seen, steps, last)
    if claim.verb == "is":
        want = claim.argument
        if claim.fields[-1:] == ("dtype",) and "float64" not in capabilities:
            _, owner = look(claim.variable, claim.fields[:-1], steps)
            want = want if is_numpy(owner) else NARROW.get(want, want)
        same = type(seen) is type(want) and seen == want
        return Judgement(claim, same, last, 1, seen, want)
    return _judge_value(claim, seen, last)


def look(variable: str, fields: tuple[str, ...], steps: list[StepObs]) -> tuple[bool, Any]:
    """(whether it is bound, what is seen) after the last of the steps."""
    thing: Any = steps[-1].live.get(variable)
    if thing is None:
        bound = next((s for s in reversed(steps) if variable in s.values), None)
        if bound is None:
            return False, None
        thing = bound.values[variable]
    for name in fields:
        if thing is None:
            return True, None
        if not isinstance(thing, TensorObs):
            return False, None
        thing = getattr(thing, name)
    return True, thing


def _missing(claim: Claim, capabilities: Collection[str]) -> str:
    needs = [FIELDS[name] for name in claim.fields]
    if claim.verb in ("shares_memory_with", "separate_from"):
        needs.append("aliasing")
    if claim.verb in RELATIONS:
        needs += [FIELDS[name] for name in claim.argument[1]]
    return next((need for need in needs if need and need not in capabilities), "")


def _judge_line(claim: Claim, step: StepObs, capabilities: Collection[str]) -> Judgement:
    seen = f"raises {step.raised.kind}" if step.raised else "ok"
    if claim.verb == "raises":
        return Judgement(claim, seen == claim.text, step.line, 1, step.raised or seen, claim.text)
    if claim.verb == "warns":
        if "warnings" not in capabilities:
            return Judgement(claim, None, step.line, missing="warnings")
        holds = claim.argument in step.warnings
        return Judgement(claim, holds, step.line, 1, list(step.warnings), claim.text)
    holds = step.raised is None and not step.warnings
    return Judgement(claim, holds, step.line, 1, step.raised or list(step.warnings), "ok")


def _judge_sharing(claim: Claim, seen: Any, steps: list[StepObs], last: int) -> Judgement:
    found, other = look(*claim.argument, steps)
    tensors = isinstance(seen, TensorObs) and isinstance(other, TensorObs) and found
    if not tensors or seen.storage is None or other.storage is None:
        return Judgement(claim, False, last, 1, "not two tensors with memory", claim.text)
    shared = seen.storage == other.storage
    holds = shared == (claim.verb == "shares_memory_with")
    return Judgement(claim, holds, last, 1, "shared" if shared else "separate", claim.text)


def _judge_same(claim: Claim, seen: Any, steps: list[StepObs], last: int) -> Judgement:
    found, other = look(*claim.argument, steps)
    if isinstance(seen, TensorObs) and isinstance(other, TensorObs):
        same = (seen.dtype, seen.shape) == (other.dtype, other.shape) and bool(
            same_bits(seen.value, other.value).all()
        )
    else:
        same = found and type(seen) is type(other) and seen == other
    return Judgement(claim, same, last, 1, seen, other)


def _judge_value(claim: Claim, seen: Any, last: int) -> Judgement:
    printed = claim.verb == "rounds_to"
    nested = claim.argument if printed else claim.argument.numbers
    if seen is None:
        return Judgement(claim, False, last, 1, None, claim.text)
    got = seen.value if isinstance(seen, TensorObs) else np.asarray(seen)
    if got.shape != shape_of(nested):
        return Judgement(claim, False, last, 1, got, claim.text)
    if printed:
        over = [not _rounds(g, want) for g, want in zip(got.reshape(-1), flat(nested), strict=True)]
        return Judgement(claim, not any(over), last, max(len(over), 1), got, claim.text)
    dtype = got.dtype.name
    if got.dtype.kind in "biu" and any(v != int(v) for v in flat(nested)):
        return Judgement(claim, False, last, got.size, got, claim.text)
    want = array_of(claim.argument, dtype)
    right = _close(got, want, dtype, claim.argument.ulps)
    shown = round_to(want, dtype) if got.dtype != want.dtype else want
    return Judgement(claim, bool(right.all()), last, max(got.size, 1), got, shown)


def _close(got: np.ndarray, want: np.ndarray, dtype: str, ulps: float) -> np.ndarray:
    if ulps and dtype in FORMATS:
        # half an ulp more: the exact value was itself rounded to the wide format
        return error_in_ulp(got, want, dtype, signed_zero=False) <= ulps + 0.5
    rounded = round_to(want, dtype) if want.dtype != got.dtype else want
    same = same_bits(got, rounded, signed_zero=False)
    if want.dtype.kind == "f":  # a claim writes 0 for either zero, and -0.0 for that one
        same &= ~((want == 0) & np.signbit(want) & ~np.signbit(got))
    return same


def _rounds(got: Any, printed: Decimal) -> bool:
    """Whether the number prints as these digits: within half a unit of the last one written."""
    number = float(got)
    if not np.isfinite(number) or not printed.is_finite():
        return str(Decimal(number)) == str(printed)
    half = Decimal(1).scaleb(int(printed.as_tuple().exponent)) / 2
    return abs(Decimal(number) - printed) <= half
