"""README and CONTRIBUTING: their commands exist, their files are there, their words are ours."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from conformance.cli import cli
from conformance.loading import load_specs
from conformance.verdicts import Verdict

ROOT = Path(__file__).parents[1]
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md")}
BLOCK = re.compile(r"^```(?:sh|yaml)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every `conformance …` of the code blocks, without comments, redirections and pipes."""
    lines = [line for text in TEXTS.values() for block in BLOCK.findall(text)
             for line in block.splitlines()]  # fmt: skip
    parts = [part for line in lines for part in re.split(r"&&|[>|#]", line)]
    found = [re.sub(r"^\s*(- run: )?", "", part).strip() for part in parts]
    return sorted({part for part in found if re.match(r"conformance (?!:)\w", part)})


def test_there_are_commands_to_check():
    assert len(commands()) >= 10


@pytest.mark.parametrize("command", commands())
def test_commands_of_the_documents_are_understood(command):
    _, name, *arguments = shlex.split(command)
    cli.commands[name].make_context(name, arguments)


def test_operations_and_scenarios_of_the_commands_exist():
    specs = load_specs()
    for command in commands():
        words = shlex.split(command)
        for option, names in (("--op", specs.ops), ("--scenario", specs.scenarios)):
            if option in words:
                globs = words[words.index(option) + 1].split(",")
                assert all(any(Path(n).match(g) for n in names) for g in globs), command


@pytest.mark.parametrize("name", TEXTS)
def test_links_and_paths_lead_somewhere(name):
    links = re.findall(r"\]\(([^)#:]+)\)", TEXTS[name])
    paths = re.findall(r"`((?:specs|conformance|reference_impl|reports|docs|tests)/[\w./]*)`", TEXTS[name])
    assert links or paths
    assert [p for p in (*links, *paths) if not (ROOT / p).exists()] == []


def test_the_table_of_verdicts_is_the_closed_list():
    rows = re.findall(r"^\| `([A-Z_]+)` \|.*\| (fails|passes)", TEXTS["README.md"], re.MULTILINE)
    assert rows == [(str(v), "fails" if v.fails_gate else "passes") for v in Verdict]
