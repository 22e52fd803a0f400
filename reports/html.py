"""One self-contained HTML page of a run: no network, no other file."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from conformance.loading import load_specs
from conformance.repro import script
from conformance.storefile import write_atomically
from reports import contents, data

HERE = Path(__file__).parent
# Order matters: all are one module in the page, and a view uses what stands before it.
SCRIPTS = (
    "dom", "data", "route", "marks", "values", "filters", "matrix", "findings", "bounds",
    "operation", "scenarios", "promotion", "views", "run", "main",
)  # fmt: skip


def write_report(store: Path, path: Path) -> None:
    """Write the page of the run in `store` (the file, or its folder) to `path`, in one step.

    Raises StoreError when the store cannot be read or the page cannot be written, SpecErrors
    when a table of `specs/` is wrong.
    """
    run = contents.read(store)
    modules = {b["name"]: b["module"] for b in run.backends if b["module"]}
    write_atomically(path, render(data.page(run, load_specs(), partial(script, modules=modules))))


def render(blocks: dict[str, Any]) -> str:
    """The page of `reports.data.page` blocks, as text."""
    style = _asset("page.css")
    theme = _asset("theme.js")
    script = "\n".join(_asset(f"js/{name}.js") for name in SCRIPTS)
    return (
        _templates()
        .get_template("index.html.j2")
        .render(
            summary=blocks["core"]["summary"],
            run=blocks["core"]["run"],
            # The policy lets exactly these three texts act; nothing embedded can, nor load.
            policy=f"default-src 'none'; style-src {_digest(style)}; "
            f"script-src {_digest(theme)} {_digest(script)}; base-uri 'none'; form-action 'none'",
            style=Markup(style),
            theme=Markup(theme),
            script=Markup(script),
            blocks={name: Markup(embed(block)) for name, block in blocks.items()},
        )
    )


def embed(value: Any) -> str:
    """JSON that is safe inside <script>: no `<`, `>` or `&` can end the element or open another.

    Raises ValueError for nan and inf, which are not JSON.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    return (HERE / "static" / name).read_text(encoding="utf-8")


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = lambda n: f"{n:,}"
    return environment
