"""Questions put one at a time, each answered at most once: what the pytest plugin stands on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conformance import __version__
from conformance.backends.protocol import BackendBroken, UnknownBackend
from conformance.backends.registry import canonical
from conformance.engine.plan import SelectionError, Unit, plan, select, select_oracles
from conformance.engine.pool import Limits, Pool, PoolError
from conformance.findings import cluster
from conformance.loading import SpecErrors, check_rules, load_specs
from conformance.store import RunConfig, Store
from conformance.storefile import StoreError
from conformance.verdicts import Answer, Finding, UnitResult, Verdict, worst

MOST_SHOWN = 5


class AskingError(Exception):
    """The questions cannot be put: one line that says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """failed: the report of a question that fails the gate. skipped: why it was not answered."""

    failed: str = ""
    skipped: str = ""


class Asking:
    """One worker per backend, kept warm; answers go into a store, for `conformance repro`.

    folder: where the store lies; an earlier one there is kept as previous.sqlite. ops,
    scenarios: globs or None; with neither, everything. Raises AskingError.
    """

    def __init__(
        self,
        folder: Path,
        backends: tuple[str, ...],
        *,
        ops: str | None,
        scenarios: str | None,
        oracles: tuple[str, ...],
        tier: str,
        seed: int,
    ) -> None:
        from reference_impl import HELPERS, RULES

        self.folder, self._pool, self._store = folder, None, None
        self._oracles, self._tier, self._seed = oracles, tier, seed
        self._chosen = ops, scenarios
        self._results: dict[tuple[str, str], list[UnitResult]] = {}
        try:
            self.specs = load_specs()
            check_rules(self.specs, RULES, HELPERS)
            self.backends = tuple(dict.fromkeys(canonical(name) for name in backends))
            self._ops, self._scenarios = select(self.specs, ops, scenarios)
            self._asked = select_oracles(self.specs, oracles)
            plan(self.specs, [], ops, scenarios, oracles, tier, seed)
        except (SpecErrors, UnknownBackend, BackendBroken, SelectionError) as error:
            raise AskingError(str(error)) from None

    def questions(self) -> Iterator[tuple[str, str, str]]:
        """(backend, operation or `scenario:NAME`, oracle), in a fixed order.

        An oracle is listed for an operation when it has something to ask in any dtype.
        """
        from conformance.units import oracles_of

        for backend in self.backends:
            for name in self._ops:
                for oracle in oracles_of(self.specs.ops[name]):
                    if oracle in self._asked:
                        yield backend, name, oracle
            for name in self._scenarios:
                if self.specs.scenarios[name].oracle in self._asked:
                    yield backend, f"scenario:{name}", ""

    def group_of(self, subject: str) -> str:
        """What is run in one go: the operation, or the scenario's file."""
        kind, _, name = subject.partition(":")
        return f"scenario:{self.specs.scenarios[name].group}" if kind == "scenario" else subject

    def ask(self, backend: str, subject: str, oracle: str) -> Outcome:
        """The outcome of one question; runs what has not been run yet."""
        if self._store is None:
            self._open()
        group = self.group_of(subject)
        if (backend, group) not in self._results:
            self._results[backend, group] = self._run(backend, group)
        results = self._results[backend, group]
        answers = [a for r in results for a in r.answers if a.op == subject]
        findings = [f for r in results for f in r.findings if f.op == subject]
        if oracle:
            answers = [a for a in answers if a.oracle == oracle]
            findings = [f for f in findings if f.oracle == oracle]
        absent = self._absent.get(backend)
        if absent:
            return Outcome(skipped=f"NOT_RUN: {absent}")
        return self._outcome(answers, cluster(findings))

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
        if self._pool is not None:
            self._pool.__exit__(None, None, None)

    def _open(self) -> None:
        """Start the workers at the first question, so that collecting stays quick."""
        self._pool = Pool(1, Limits(), {})
        self._pool.__enter__()
        try:
            infos = self._pool.probe(self.backends)
            self._units = plan(
                self.specs, infos, *self._chosen, self._oracles, self._tier, self._seed
            )
            selection = {"backends": list(self.backends), "oracles": list(self._oracles)}
            config = RunConfig(
                seed=self._seed, tier=self._tier, selection=selection, shard="", code=__version__
            )
            path = self.folder / "run.sqlite"
            self._store = Store.create(path, config, infos, self._units)
        except (PoolError, StoreError) as error:
            raise AskingError(str(error)) from None
        self._absent = {info.name: info.why for info in infos if not info.available}

    def _run(self, backend: str, group: str) -> list[UnitResult]:
        assert self._pool is not None and self._store is not None
        results = []
        for answered in self._pool.run(u for u in self._units if _is(u, backend, group)):
            self._store.add(answered.result, answered.wall_s)
            results.append(answered.result)
        return results

    def _outcome(self, answers: list[Answer], findings: list[Finding]) -> Outcome:
        verdict = worst(a.verdict for a in answers)
        if verdict.fails_gate:
            return Outcome(failed=self._report(verdict, answers, findings))
        if all(a.verdict in (Verdict.NOT_APPLICABLE, Verdict.NOT_RUN) for a in answers):
            return Outcome(skipped=f"{verdict}: {answers[0].why}")
        return Outcome()

    def _report(self, verdict: Verdict, answers: list[Answer], findings: list[Finding]) -> str:
        failing = [f for f in findings if f.verdict.fails_gate]
        lines = [str(verdict)] if failing else []
        for found in failing[:MOST_SHOWN]:
            lines += [
                found.message,
                *(f"    {line}" for line in found.program.splitlines()),
                f"  conformance repro {self.folder} {found.id}",
            ]
        if len(failing) > MOST_SHOWN:
            lines.append(f"… and {len(failing) - MOST_SHOWN} more findings in {self.folder}")
        if not failing:
            lines += [f"{a.verdict} {','.join(a.dtypes)}: {a.why}" for a in answers
                      if a.verdict.fails_gate] or [f"{verdict}: nothing was compared"]  # fmt: skip
        return "\n".join(lines)


def _is(unit: Unit, backend: str, group: str) -> bool:
    name = f"scenario:{unit.name}" if unit.kind == "scenario" else unit.name
    return unit.backend == backend and name == group
