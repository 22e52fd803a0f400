"""`conformance explain` and `conformance list`: the tables, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from conformance.backends import registry
from conformance.engine.plan import SelectionError, unknown
from conformance.loading import norm_url
from conformance.results import findings as merged_findings
from conformance.specs import Divergence, OpSpec, Scenario, ScenarioDivergence, Specs
from conformance.store import Store
from conformance.verdicts import Finding, Verdict


def explain(name: str, specs: Specs, store: Store | None = None) -> str:
    """The norm, the facts, the documented differences; with a store, also what its run found.

    name: of an operation or a scenario. Raises SelectionError with the nearest name.
    """
    if name in specs.ops:
        lines = list(_op(specs.ops[name], specs))
        key = name
    elif name.removeprefix("scenario:") in specs.scenarios:
        scenario = specs.scenarios[name.removeprefix("scenario:")]
        lines = list(_scenario(scenario, specs))
        key = f"scenario:{scenario.name}"
    else:
        raise SelectionError(unknown("op", name, [*specs.ops, *specs.scenarios]))
    if store:
        lines += ["", *_found(key, store)]
    return "\n".join(lines)


def _op(op: OpSpec, specs: Specs) -> Iterator[str]:
    yield f"{op.name}   ({op.chapter})"
    yield f"  schema   {op.schema}"
    yield f"  norm     {_norm(op.norm, specs)}"
    yield f"  torch    {op.torch or 'has no such operation'}"
    yield f"  jax      {op.jax or 'has no such operation'}"
    yield f"  dtypes   {_words(op.dtypes)}, result {_words(op.result)}"
    yield f"  bounds   {', '.join(f'{key} {bound}' for key, bound in op.bound.items())}"
    if op.grad != ():
        saves = "; ".join(f"for {k}: {', '.join(v)}" for k, v in op.saves.items())
        yield f"  saves    {saves or 'nothing'}"
    if op.parsed.mutates:
        yield f"  writes   {', '.join(op.parsed.mutates)}"
    if op.needs:
        yield f"  needs    {', '.join(op.needs)}"
    yield "  points"
    meanings = specs.vocabulary["points"]
    for point in op.points:
        yield f"    {point:<18} {meanings.get(point, '')}"
    if op.notes:
        yield f"  notes    {op.notes}"
    yield from _divergences(op.divergence)


def _scenario(scenario: Scenario, specs: Specs) -> Iterator[str]:
    yield f"scenario {scenario.name}   ({scenario.group})"
    yield f"  {scenario.title}"
    yield f"  norm     {_norm(scenario.norm, specs)}"
    yield f"  oracle   {scenario.oracle}: {specs.vocabulary['oracles'].get(scenario.oracle, '')}"
    if scenario.needs:
        yield f"  needs    {', '.join(scenario.needs)}"
    yield "  program"
    for number, line in enumerate(scenario.program.strip("\n").split("\n"), 1):
        yield f"    {number:>2}  {line}"
    yield "  claims"
    for key, claim in scenario.claims.items():
        yield f"    {f'line {key}' if key.isdigit() else key}: {claim}"
    yield from _divergences(scenario.divergence)


def _divergences(entries: tuple[Divergence, ...] | tuple[ScenarioDivergence, ...]) -> Iterator[str]:
    if not entries:
        yield "  no documented difference between libraries"
        return
    yield "  documented differences"
    for entry in entries:
        versions = f" {entry.versions}" if entry.versions else ""
        if isinstance(entry, Divergence):
            rules = " or ".join(entry.rules)
            what = f"{entry.oracle} at {', '.join(entry.points)}: {rules}"
        else:
            what = "; ".join(f"{key} {claim}" for key, claim in entry.claims.items())
        yield f"    {entry.backend}{versions}: {what} ({entry.stance})"
        yield f"      {entry.why}"
        yield f"      {entry.source}"


def _found(key: str, store: Store) -> Iterator[str]:
    found = [f for f in merged_findings(store) if f.op == key]
    answers = [a for a in store.answers() if a.op == key]
    if not answers:
        yield f"{store.path} did not ask about it"
        return
    compared = sum(answer.compared for answer in answers)
    yield f"{store.path}: {len(answers)} answers, {compared:,} compared, {len(found)} findings"
    for finding in found:
        yield from _finding(finding)


def _finding(finding: Finding) -> Iterator[str]:
    points = f" [{', '.join(finding.points)}]" if finding.points else ""
    yield f"  {finding.verdict} {finding.id} ({finding.backend}){points}, {finding.count} alike"
    yield f"    {finding.message}"
    if finding.verdict is Verdict.ERRORED:
        return  # what was "seen" is our own traceback, which index.html shows
    yield f"    seen {_bits(finding.observed)}, expected {_bits(finding.expected)}"


def _bits(value: object) -> str:
    if isinstance(value, dict) and "hex" in value:
        return f"{value['value']} ({value['hex']})"
    return str(value)


def _norm(norm: str, specs: Specs) -> str:
    try:
        return f"{norm}   {norm_url(specs, norm)}"
    except KeyError:
        return norm


def _words(words: str | tuple[str, ...]) -> str:
    return words if isinstance(words, str) else ", ".join(words)


def _ops(specs: Specs) -> Iterator[str]:
    for name, op in sorted(specs.ops.items()):
        yield f"{name:<24} {op.schema}"


def _oracles(specs: Specs) -> Iterator[str]:
    for name, meaning in specs.vocabulary["oracles"].items():
        yield f"{name:<16} {meaning}"


def _scenarios(specs: Specs) -> Iterator[str]:
    for name, scenario in sorted(specs.scenarios.items()):
        yield f"{name:<44} {scenario.title}"


def _backends(specs: Specs) -> Iterator[str]:
    for name in registry.known():
        facts = registry.LIBRARIES.get(name.split(":")[0])
        how = "installed"
        if not registry.installed(name):
            how = f"not installed: pip install 'tensor-conformance[{facts.extra}]'"
        yield f"{name:<16} {how}"


LISTS: dict[str, Callable[[Specs], Iterator[str]]] = {
    "ops": _ops,
    "oracles": _oracles,
    "backends": _backends,
    "scenarios": _scenarios,
}
