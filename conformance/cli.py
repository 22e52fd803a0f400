"""The command line: `conformance run | report | diff | gate | repro | explain | fuzz | list`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from conformance import __version__
from conformance.backends import registry
from conformance.backends.protocol import UnknownBackend
from conformance.engine.plan import TIERS, SelectionError, unknown
from conformance.engine.pool import GIB, Limits, PoolError
from conformance.gate import (
    BaselineError,
    baseline_of,
    judge,
    read_baseline,
    write_baseline,
)
from conformance.loading import SpecErrors, load_specs
from conformance.results import write_results
from conformance.store import Store
from conformance.storefile import StoreError, write_atomically

# What people can cause: said in one line (tables: one line per error), exit status 2.
REFUSALS = (
    SelectionError, StoreError, BaselineError, PoolError, SpecErrors, UnknownBackend,
)  # fmt: skip
SETUP_ERROR = 2
DEFAULT_OUT = "conformance-report"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Exit status: 0 gate passes, 1 gate fails, 2 usage or set-up error."""
    sys.exit(status_of(arguments))


def status_of(arguments: Sequence[str] | None = None) -> int:
    from conformance.fuzz import FuzzError
    from conformance.repro import ReproError
    from conformance.running import RunError

    try:
        return cli.main(args=arguments, prog_name="conformance", standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        _say(error.format_message())
    except click.ClickException as error:
        where = error.ctx.command_path if getattr(error, "ctx", None) else "conformance"
        _say(f"{where}: {' '.join(error.format_message().split())}; see `{where} --help`")
    except click.Abort:
        _say("interrupted")
    except (*REFUSALS, RunError, ReproError, FuzzError) as error:
        _say(f"conformance: {error}")
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    return SETUP_ERROR


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="conformance")
def cli() -> None:
    """Hold tensor libraries to an executable specification of eager tensors and autograd."""


@cli.command()
@click.option(
    "--backend",
    "backends",
    multiple=True,
    metavar="B",
    help="library[:device[:options]]; default: all installed.",
)
@click.option(
    "--op", "ops", multiple=True, metavar="GLOB", help="Operations; comma-separated globs."
)
@click.option("--scenario", "scenarios", multiple=True, metavar="GLOB", help="Scenarios, likewise.")
@click.option("--oracle", "oracles", multiple=True, metavar="O", help="Only these questions.")
@click.option(
    "--tier",
    default="standard",
    show_default=True,
    metavar="|".join(TIERS),
    help="How many inputs are tried.",
)
@click.option(
    "--jobs", type=click.IntRange(1), default=None, help="Workers at a time. [default: CPU count]"
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of everything that is drawn.",
)
@click.option("--shard", metavar="I/N", help="Only part I (from 1) of N parts of the work.")
@click.option("--resume", is_flag=True, help="Finish the interrupted run in --out.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Findings that are accepted.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=DEFAULT_OUT,
    show_default=True,
    metavar="DIR",
    help="Folder of the run and its report.",
)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="LIB=PATH",
    help="Another Python for a library's workers.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=Limits().case_s,
    show_default=True,
    metavar="SECONDS",
    help="For one case.",
)
@click.option(
    "--memory-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=Limits().memory / GIB,
    show_default=True,
    metavar="GIB",
    help="For one worker.",
)
def run(
    backends,
    ops,
    scenarios,
    oracles,
    tier,
    jobs,
    seed,
    shard,
    resume,
    baseline,
    out,
    pythons,
    time_limit,
    memory_limit,
) -> int:
    """Ask every library, write DIR/run.sqlite, DIR/results.json and DIR/index.html."""
    from conformance.console import Progress, summarize
    from conformance.running import Request
    from conformance.running import run as start

    if tier not in TIERS:
        raise SelectionError(unknown("tier", tier, TIERS))
    accepted = read_baseline(baseline) if baseline else None
    request = Request(
        out=out,
        backends=_split(backends),
        ops=",".join(ops) or None,
        scenarios=",".join(scenarios) or None,
        oracles=_split(oracles),
        tier=tier,
        seed=seed,
        jobs=jobs or os.cpu_count() or 1,
        shard=_shard(shard),
        resume=resume,
        pythons=_pythons(pythons),
        limits=Limits(case_s=time_limit, memory=int(memory_limit * GIB)),
    )
    try:
        with Progress() as progress:
            path = start(request, progress)
    except KeyboardInterrupt:
        _say(
            f"interrupted: every answer so far is in {out / 'run.sqlite'}; "
            "the same command with --resume finishes the rest"
        )
        return SETUP_ERROR
    with Store.read(path) as store:
        html = write_reports(store, out)
        judgement = judge(store, accepted)
        summarize(store, judgement, html)
    return judgement.status


@cli.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--html", type=click.Path(path_type=Path), help="The page. [default: DIR/index.html]")
@click.option("--junit", type=click.Path(path_type=Path), help="JUnit XML, for CI.")
@click.option("--markdown", type=click.Path(path_type=Path), help="A summary for a pull request.")
def report(folder: Path, html: Path | None, junit: Path | None, markdown: Path | None) -> int:
    """Write the reports of a run again, from its store alone."""
    from reports import junit as junit_report
    from reports import markdown as markdown_report

    with Store.read(folder) as store:
        if junit:
            write_atomically(junit, junit_report.render(store))
            click.echo(f"{junit}")
        if markdown:
            write_atomically(markdown, markdown_report.render(store))
            click.echo(f"{markdown}")
        if html:
            _write_html(store, html)
            click.echo(f"{html}")
        if not (html or junit or markdown):
            click.echo(f"{write_reports(store, store.path.parent)}")
    return 0


@cli.command()
@click.argument("before", metavar="DIR_A", type=click.Path(path_type=Path))
@click.argument("after", metavar="DIR_B", type=click.Path(path_type=Path))
def diff(before: Path, after: Path) -> int:
    """What changed between two runs; exit status 1 when anything did."""
    from conformance.diff import compare, lines

    with Store.read(before) as old, Store.read(after) as new:
        difference = compare(old, new)
    for line in lines(difference):
        click.echo(line)
    return 0 if difference.same else 1


@cli.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Findings that are accepted.",
)
@click.option(
    "--write-baseline",
    "write",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Accept all that was found.",
)
def gate(folder: Path, baseline: Path | None, write: Path | None) -> int:
    """Whether a run passes; --write-baseline accepts all that it found, by cause."""
    from conformance.console import say_judgement

    accepted = read_baseline(baseline) if baseline else None
    with Store.read(folder) as store:
        if write:
            accepted = baseline_of(store)
            write_baseline(accepted, write)
            click.echo(f"{write}: {len(accepted.findings)} findings accepted")
        judgement = judge(store, accepted)
    say_judgement(judgement)
    return judgement.status


@cli.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("finding", metavar="FINDING")
def repro(folder: Path, finding: str) -> int:
    """Print a standalone script that shows a finding; it exits 1 while the difference is there."""
    from conformance.repro import find, make, modules_of

    with Store.read(folder) as store:
        found, modules = find(store, finding), modules_of(store.backends())
    click.echo(make(found, load_specs(), modules), nl=False)
    return 0


@cli.command()
@click.argument("op", metavar="OP")
@click.option(
    "--run",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also what this run found.",
)
def explain(op: str, folder: Path | None) -> int:
    """The norm, the facts and the differences between libraries, of one operation or scenario."""
    from conformance.explain import explain as explained

    store = Store.read(folder) if folder else None
    click.echo(explained(op, load_specs(), store))
    if store:
        store.close()
    return 0


@cli.command()
@click.option(
    "--backend", "backends", multiple=True, metavar="B", help="Libraries. [default: torch]"
)
@click.option("--programs", type=click.IntRange(1), default=None, metavar="N", help="How many.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    metavar="N",
    help="For how long. [default: 1, unless --programs is given]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--steps", type=click.IntRange(3, 200), default=30, show_default=True, help="At most, each."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_OUT,
    show_default=True,
    metavar="DIR",
    help="Failing programs go to DIR/regressions.",
)
def fuzz(backends, programs, minutes, seed, steps, out) -> int:
    """Run random programs on a library and on the reference; exit status 1 when they differ."""
    from conformance.fuzz import Request, account_lines, replay_all
    from conformance.fuzz import fuzz as start

    minutes = 1.0 if programs is None and minutes is None else minutes
    chosen = [registry.canonical(name) for name in _split(backends) or ("torch",)]
    status = 0
    for backend in chosen:
        replayed, broken = replay_all(backend)
        account = start(Request(backend, programs, minutes, seed, steps, out), click.echo)
        account.replayed, account.broken = replayed, broken
        for line in account_lines(account):
            click.echo(line)
        status = status or int(not account.passes)
    return status


@cli.command("list")
@click.argument("what", metavar="ops|oracles|backends|scenarios")
def list_(what: str) -> int:
    """Every valid name, with one line of meaning."""
    from conformance.explain import LISTS

    if what not in LISTS:
        raise click.UsageError(unknown("list", what, LISTS).split(";")[0])
    for line in LISTS[what](load_specs()):
        click.echo(line)
    return 0


def write_reports(store: Store, folder: Path) -> Path:
    """results.json and index.html in the folder; returns the page's path."""
    write_results(store, folder / "results.json")
    return _write_html(store, folder / "index.html")


def _write_html(store: Store, path: Path) -> Path:
    from reports.html import write_report

    write_report(store.path, path)
    return path


def _split(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.strip() for value in values for word in value.split(",") if word.strip())


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    part, _, parts = text.partition("/")
    if not (part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise click.UsageError(f"--shard {text!r}: give I/N with 1 <= I <= N, as 2/3")
    return int(part), int(parts)


def _pythons(values: Sequence[str]) -> dict[str, str]:
    found = {}
    for value in values:
        library, _, path = value.partition("=")
        if not path:
            raise click.UsageError(f"--python {value!r}: give LIB=PATH, as torch=/env/bin/python")
        registry.canonical(library)
        found[library] = path
    return found


def _say(line: str) -> None:
    click.echo(line, err=True)
