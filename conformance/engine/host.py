"""What lives in a worker: one backend, the reference, and the tables."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Collection
from typing import Protocol

from conformance.engine.plan import BackendInfo, Unit
from conformance.verdicts import UnitResult

Progress = Callable[[str], None]

# Distributions whose version can change an answer.
PACKAGES = ("torch", "jax", "jaxlib", "numpy", "scipy", "ml_dtypes", "python-flint")


class Runner(Protocol):
    """What a worker asks to get its work done; tests put fakes in its place."""

    info: BackendInfo

    def run(self, unit: Unit, skip: Collection[str], progress: Progress) -> UnitResult:
        """All cases of the unit but those in `skip`; calls `progress(case)` before each."""
        ...

    def describe(self, unit: Unit, case: str) -> tuple[str, tuple[str, ...]]:
        """(program text, oracles that the case would have answered), without running it."""
        ...


class Host:
    """The runner of a real run."""

    def __init__(self, backend: str) -> None:
        from conformance.backends import registry
        from conformance.loading import load_specs

        self.specs = load_specs()
        try:
            self.backend = registry.open_backend(backend)
        except registry.BackendUnavailable as error:
            self.info = BackendInfo(name=backend, why=str(error), **_environment())
            return
        self.reference = registry.open_backend("reference")
        self.info = BackendInfo(
            name=backend,
            library=self.backend.library,
            version=self.backend.version,
            device=self.backend.device,
            options=tuple(self.backend.options),
            capabilities=tuple(sorted(self.backend.capabilities)),
            promotion=self.backend.promotion,
            module=getattr(self.backend, "module", ""),
            **_environment(),
        )

    def run(self, unit: Unit, skip: Collection[str], progress: Progress) -> UnitResult:
        from conformance.units import run_unit

        return run_unit(
            unit,
            self.backend,
            self.reference,
            self.specs,
            only_cases=unit.cases or None,
            skip=frozenset(skip),
            progress=progress,
        )

    def describe(self, unit: Unit, case: str) -> tuple[str, tuple[str, ...]]:
        from conformance.units import oracles_of_case, program_of

        if unit.kind == "scenario":
            scenario = self.specs.scenarios[case]
            return scenario.program.strip("\n"), (scenario.oracle,)
        program = program_of(unit, case, self.backend, self.reference, self.specs)
        return program, oracles_of_case(unit, case)


def _environment() -> dict[str, object]:
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"python": platform.python_version(), "packages": packages}
