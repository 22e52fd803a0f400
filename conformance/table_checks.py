"""What a decoded table must satisfy beyond its types: closed lists, schema names, templates."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from conformance.oracles.claims import ClaimError, check_claim, parse_claim
from conformance.program import Program, ProgramError
from conformance.schema import Schema, SchemaError
from conformance.specs import (
    Call,
    Divergence,
    OpSpec,
    Scenario,
    ScenarioDivergence,
    SharedDivergence,
)
from conformance.template import Template, TemplateError

BOUND_KEYS = ("value", "vjp", "second", "complex")


@dataclass
class Errors:
    """Collects lines; `at` gives a collector for one table that shares them."""

    lines: list[str] = field(default_factory=list)
    where: str = ""

    def at(self, file: str, table: str) -> Errors:
        return Errors(self.lines, f"{file}: {table}")

    def add(self, field_name: str, reason: str) -> None:
        place = f"{self.where}.{field_name}" if field_name else self.where
        self.lines.append(f"{place}: {' '.join(reason.split())}")


@dataclass(frozen=True)
class Words:
    """The closed lists and the norms' prefixes."""

    vocabulary: dict[str, dict[str, str]]
    norms: dict[str, Any]

    # singular of each list, as messages call its words
    LISTS: ClassVar[dict[str, str]] = {
        "points": "point",
        "layouts": "layout",
        "shapes": "shape word",
        "values": "value word",
        "dtypes": "dtype",
        "results": "result word",
        "bounds": "bound",
        "lengths": "length",
        "oracles": "oracle",
        "capabilities": "capability",
        "error_kinds": "error kind",
        "warnings": "warning",
        "stances": "stance",
        "stages": "stage",
        "libraries": "library",
        "devices": "device",
        "divergence_rules": "divergence rule",
        "verbs": "verb",
    }

    def check(self, list_name: str, words: Iterable[str], at: Errors, field_name: str) -> None:
        for word in words:
            if word not in self.vocabulary[list_name]:
                what = self.LISTS[list_name]
                hint = nearest(word, self.vocabulary[list_name])
                at.add(field_name, f"unknown {what} {word!r}{hint}")

    def check_norm(self, norm: str, at: Errors, field_name: str) -> None:
        prefix, colon, rest = norm.partition(":")
        if not colon or not rest:
            at.add(field_name, f"{norm!r} is not `prefix:page`; prefixes are in norms.toml")
        elif prefix not in self.norms:
            at.add(field_name, f"unknown norm prefix {prefix!r}{nearest(prefix, self.norms)}")

    def dtype_names(self) -> set[str]:
        """The single dtypes of the list (a set's meaning differs from its name)."""
        return {word for word, meaning in self.vocabulary["dtypes"].items() if word == meaning}


def nearest(word: str, words: Collection[str]) -> str:
    """` (did you mean 'x'?)`, or the whole list when it is short, or nothing."""
    close = difflib.get_close_matches(word, sorted(words), n=1, cutoff=0.55)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (one of: {', '.join(sorted(words))})" if 0 < len(words) <= 8 else ""


def check_op(op: OpSpec, words: Words, at: Errors) -> None:
    """Adds a line for everything in one operation's table that names something unknown."""
    words.check("points", op.points, at, "points")
    words.check("values", [op.values], at, "values")
    words.check("shapes", [op.shapes], at, "shapes")
    words.check("capabilities", op.needs, at, "needs")
    results = [op.result] if isinstance(op.result, str) else op.result
    words.check("results", results, at, "result")
    _dtype_set(op.dtypes, words, at, "dtypes")
    words.check_norm(op.norm, at, "norm")
    _bounds(op.bound, words, at)
    for place, divergence in enumerate(op.divergence):
        check_divergence(divergence, words, at, f"divergence[{place}].")
    for place, refusal in enumerate(op.refuses):
        where = f"refuses[{place}]."
        words.check("points", refusal.points, at, where + "points")
        words.check("error_kinds", [refusal.expects], at, where + "expects")
        _dtype_set(refusal.dtypes, words, at, where + "dtypes")
    if op.mixed not in (True, False, "tensors"):
        at.add("mixed", f"{op.mixed!r} is not true, false or 'tensors'")
    if op.shapes == "calls" and not op.calls:
        at.add("calls", "missing: shapes = 'calls' says that the calls are written out")
    try:
        schema = Schema.parse(op.schema)
    except SchemaError as error:
        at.add("schema", str(error))
        return
    _names(op, schema, words, at)


def _names(op: OpSpec, schema: Schema, words: Words, at: Errors) -> None:
    names = [a.name for a in schema.arguments]
    tensors = [a.name for a in schema.tensors]

    def known(given: Iterable[str], allowed: Collection[str], field_name: str) -> None:
        for name in given:
            if name not in allowed:
                hint = nearest(name, allowed)
                at.add(field_name, f"{name!r} is no argument of the schema{hint}")

    for place, args in enumerate(op.args):
        known(args, names, f"args[{place}]")
    for list_name, calls in (("calls", op.calls), ("errors", op.errors)):
        for place, call in enumerate(calls):
            where = f"{list_name}[{place}]."
            known(call.shapes, tensors, where + "shapes")
            known(call.args, names, where + "args")
            known(call.layouts, tensors, where + "layouts")
            _call(call, list_name == "errors", words, at, where)
    known(op.scalars, names, "scalars")
    known(op.fixed, tensors, "fixed")
    _dtypes(op.fixed.values(), words, at, "fixed")
    kept = {*names, "result", *(r.name for r in schema.returns if r.name)}
    known(op.saves, tensors, "saves")
    for name, saved in op.saves.items():
        known(saved, kept, f"saves.{name}")
    if op.grad != "auto":
        known([op.grad] if isinstance(op.grad, str) else op.grad, tensors, "grad")
    for library in ("torch", "jax"):
        text = getattr(op, library)
        if text:
            try:
                Template.parse(text, tuple(names))
            except TemplateError as error:
                at.add(library, str(error))
        elif library == "torch":
            at.add(library, "empty: the schema is PyTorch's, so PyTorch has the operation")


def _call(call: Call, refused: bool, words: Words, at: Errors, where: str) -> None:
    words.check("points", call.points, at, where + "points")
    words.check("layouts", call.layouts.values(), at, where + "layouts")
    words.check("values", [call.values], at, where + "values")
    words.check("capabilities", call.needs, at, where + "needs")
    words.check("stages", [call.stage], at, where + "stage")
    _dtypes(call.dtypes, words, at, where + "dtypes")
    if call.norm:
        words.check_norm(call.norm, at, where + "norm")
    if call.expects:
        words.check("error_kinds", [call.expects], at, where + "expects")
    if refused and not call.expects:
        at.add(where + "expects", "missing: which error kind must be raised")
    if call.expects and not refused:
        at.add(where + "expects", "only calls of `errors` are refused")


def _dtypes(given: Iterable[str], words: Words, at: Errors, field_name: str) -> None:
    names = words.dtype_names()
    for word in given:
        if word not in names:
            at.add(field_name, f"unknown dtype {word!r}{nearest(word, names)}")


def _dtype_set(
    given: str | tuple[str, ...], words: Words, at: Errors, field_name: str
) -> None:
    if isinstance(given, str):
        words.check("dtypes", [given], at, field_name)
    else:
        _dtypes(given, words, at, field_name)


def _bounds(bound: dict[str, str], words: Words, at: Errors) -> None:
    for key, text in bound.items():
        if key not in BOUND_KEYS:
            hint = nearest(key, BOUND_KEYS)
            at.add("bound", f"unknown key {key!r}{hint}")
        kind, equals, parameter = (part.strip() for part in text.partition("="))
        words.check("bounds", [kind], at, f"bound.{key}")
        if kind not in words.vocabulary["bounds"]:
            continue
        if kind == "exact":
            if equals:
                at.add(f"bound.{key}", "`exact` takes no parameter")
        elif not parameter:
            at.add(f"bound.{key}", f"{kind!r} takes a parameter: `{kind}=…`")
        elif kind == "dot":
            words.check("lengths", [parameter], at, f"bound.{key}")
        elif not re.fullmatch(r"\d+(\.\d+)?", parameter):
            at.add(f"bound.{key}", f"{parameter!r} is not a number: `{kind}=4`")
    if "value" not in bound:
        at.add("bound.value", "missing field")


def check_shared(
    d: SharedDivergence, ops: Collection[str], words: Words, at: Errors
) -> None:
    """As check_divergence; the operations are a list of names, and each of them is one."""
    if not d.ops:
        at.add("ops", "is empty: a prediction names the operations that it holds for")
    for name in dict.fromkeys(d.ops):
        if name not in ops:
            at.add("ops", f"unknown operation {name!r}{nearest(name, ops)}")
        elif d.ops.count(name) > 1:
            at.add("ops", f"{name!r} stands there {d.ops.count(name)} times")
    if not d.oracles:
        at.add("oracle", "is empty: a prediction answers at least one question")
    for one in d.each()[:1]:
        check_divergence(one, words, at, "")
    words.check("oracles", d.oracles[1:], at, "oracle")


def check_divergence(d: Divergence, words: Words, at: Errors, prefix: str) -> None:
    """A prediction names its backend, its points, its rule and who says so."""
    words.check("oracles", [d.oracle], at, prefix + "oracle")
    words.check("points", d.points, at, prefix + "points")
    words.check("divergence_rules", d.rules, at, prefix + "rule")
    _dtypes(d.dtypes, words, at, prefix + "dtypes")
    if not d.points:
        at.add(prefix + "points", "is empty: a prediction holds at named points only")
    if not d.rules:
        at.add(prefix + "rule", "is empty: a prediction says what is seen instead")
    _documented(d, words, at, prefix)


def _documented(
    d: Divergence | ScenarioDivergence, words: Words, at: Errors, prefix: str
) -> None:
    parts = d.backend.split(":")
    words.check("libraries", parts[:1], at, prefix + "backend")
    words.check("devices", parts[1:2], at, prefix + "backend")
    words.check("stances", [d.stance], at, prefix + "stance")
    for name in ("why", "source"):
        if not getattr(d, name):
            at.add(prefix + name, "is empty: a difference is explained and has a source")
    try:
        SpecifierSet(d.versions)
    except InvalidSpecifier:
        at.add(prefix + "versions", f"{d.versions!r} is not a PEP 440 specifier such as '>=2.9'")


def check_scenario(s: Scenario, words: Words, callees: Collection[str], at: Errors) -> None:
    """callees: every name a program may call (verbs and operations)."""
    words.check("oracles", [s.oracle], at, "oracle")
    words.check("capabilities", s.needs, at, "needs")
    words.check_norm(s.norm, at, "norm")
    for place, divergence in enumerate(s.divergence):
        _documented(divergence, words, at, f"divergence[{place}].")
        if not divergence.claims:
            at.add(f"divergence[{place}].claims", "is empty: a prediction says what is seen")
    if not s.claims:
        at.add("claims", "is empty: a scenario without a claim holds nobody to account")
    try:
        program = Program.parse(s.program)
    except ProgramError as error:
        at.add("program", str(error))
        program = None
    _claims(s.claims, program, words, at, "claims")
    for place, divergence in enumerate(s.divergence):
        _claims(divergence.claims, program, words, at, f"divergence[{place}].claims")
    if program is None:
        return
    bound = {name for step in program.steps for name in step.targets}
    for name in s.open:
        if name not in bound:
            at.add("open", f"no variable {name!r} in the program{nearest(name, bound)}")
    guards = {name for step in program.steps for name in step.guards}
    for name in sorted((program.callees() | guards) - set(callees)):
        at.add("program", f"unknown callee {name!r}{nearest(name, callees)}")


def _claims(
    claims: dict[str, str], program: Program | None, words: Words, at: Errors, field_name: str
) -> None:
    kinds, warnings = words.vocabulary["error_kinds"], words.vocabulary["warnings"]
    for key, text in claims.items():
        try:
            claim = parse_claim(key, text)
        except ClaimError as error:
            at.add(field_name, str(error))
            continue
        reason = check_claim(claim, program, kinds, warnings) if program else ""
        if reason:
            known = kinds if claim.verb == "raises" else warnings
            hint = nearest(claim.argument, known) if reason.startswith("unknown") else ""
            at.add(field_name, f"{key!r}: {reason}{hint}")
