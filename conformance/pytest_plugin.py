"""pytest plugin: one test per operation and oracle, and one per scenario, in any project.

    pytest --conformance-backend torch --conformance-op 'sum*'

Nothing happens without `--conformance-backend`. The library runs in a worker process, so that
a crash of it fails one test and not the session. With pytest-xdist, all questions about one
operation go to the same process.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conformance.asking import Asking

ASKING = pytest.StashKey["Asking"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "hold tensor libraries to their specification")
    group.addoption(
        "--conformance-backend", action="append", default=[], metavar="B",
        help="library[:device[:options]] to check (repeatable); turns the plugin on",
    )  # fmt: skip
    group.addoption(
        "--conformance-op", default=None, metavar="GLOB",
        help="operations, comma-separated globs; default: all, unless scenarios are named",
    )  # fmt: skip
    group.addoption(
        "--conformance-scenario", default=None, metavar="GLOB", help="scenarios, likewise"
    )
    group.addoption(
        "--conformance-oracle", action="append", default=[], metavar="O",
        help="questions to ask (repeatable); default: all",
    )  # fmt: skip
    group.addoption("--conformance-tier", default="smoke", metavar="T", help="default: smoke")
    group.addoption("--conformance-seed", default=0, type=int, metavar="N", help="default: 0")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("conformance_backend"):
        return
    config.addinivalue_line("markers", "xdist_group: tests that share a process (pytest-xdist)")
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "loadgroup"  # an operation's cases are run once for all oracles
        config.option.loadgroup = True


def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.getoption("conformance_backend"):
        session.config.stash[ASKING] = _asking(session.config)


def _asking(config: pytest.Config) -> Asking:
    """Raises pytest.UsageError (exit status 4, pytest's own for usage) with one line."""
    from conformance.asking import Asking, AskingError

    folder = Path(config.cache.mkdir("conformance"))
    worker = getattr(config, "workerinput", {}).get("workerid", "main")
    try:
        return Asking(
            folder / worker,
            tuple(config.getoption("conformance_backend")),
            ops=config.getoption("conformance_op"),
            scenarios=config.getoption("conformance_scenario"),
            oracles=tuple(config.getoption("conformance_oracle")),
            tier=config.getoption("conformance_tier"),
            seed=config.getoption("conformance_seed"),
        )
    except AskingError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose among the items
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    asking = config.stash.get(ASKING, None)
    if asking is not None:
        collector = ConformanceCollector.from_parent(session, name="conformance")
        items.extend(collector.collect())


def pytest_unconfigure(config: pytest.Config) -> None:
    asking = config.stash.get(ASKING, None)
    if asking is not None:
        asking.close()


class ConformanceCollector(pytest.Collector):
    """All questions of the session, as `conformance::BACKEND::OP::ORACLE`."""

    def collect(self) -> Iterator[ConformanceItem]:
        asking = self.config.stash[ASKING]
        for backend, subject, oracle in asking.questions():
            name = "::".join(part for part in (backend, subject, oracle) if part)
            item = ConformanceItem.from_parent(
                self, name=name, backend=backend, subject=subject, oracle=oracle
            )
            item.add_marker(pytest.mark.xdist_group(f"{backend}-{asking.group_of(subject)}"))
            yield item


class Nonconforming(Exception):
    """The library does not do what its norm says; the text is the whole report."""


class ConformanceItem(pytest.Item):
    """One oracle's question about one operation, in every dtype; or one scenario."""

    def __init__(self, *, backend: str, subject: str, oracle: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backend, self.subject, self.oracle = backend, subject, oracle

    def runtest(self) -> None:
        outcome = self.config.stash[ASKING].ask(self.backend, self.subject, self.oracle)
        if outcome.skipped:
            pytest.skip(outcome.skipped)
        if outcome.failed:
            raise Nonconforming(outcome.failed)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, Nonconforming):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name
