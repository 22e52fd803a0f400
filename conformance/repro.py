"""`conformance repro`: a standalone script that shows one finding with the library alone.

It prints what is seen and what was expected, and exits 1 while the difference is there, 0 once
it has gone.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from conformance import repro_eager, repro_jax
from conformance.backends.torch_errors import TORCH_ERRORS
from conformance.engine.plan import BackendInfo
from conformance.loading import norm_url
from conformance.program import Program, ProgramError
from conformance.repro_judge import Difference, fact, number, refusal
from conformance.repro_look import look, path_of
from conformance.repro_text import ReproError, Writer
from conformance.results import findings as merged_findings
from conformance.specs import Specs
from conformance.store import Store
from conformance.verdicts import Finding, Verdict

TRACED = frozenset({"accumulation", "lifetime", "inplace"})  # oracles whose programs are traced
NUMERIC = frozenset({"value", "vjp", "second_order", "layout"})
# torch's surface, for runs that do not say which module a backend calls
MODULES = {"torch": "torch", "reference": "reference_impl"}


def modules_of(backends: Iterable[BackendInfo]) -> dict[str, str]:
    """Backend name -> the module that its scripts import in torch's place."""
    return {info.name: info.module for info in backends if info.module}


def find(store: Store, name: str) -> Finding:
    """The finding of that id. Raises ReproError with the nearest one there is."""
    found = {finding.id: finding for finding in merged_findings(store)}
    if name in found:
        return found[name]
    if not found:
        raise ReproError(f"{store.path}: the run has no finding")
    near = get_close_matches(name, list(found), n=1, cutoff=0.0)
    raise ReproError(
        f"{store.path}: no finding {name!r} (did you mean {near[0]!r}?); "
        f"index.html and results.json list all {len(found)}"
    )


def script(finding: Finding, specs: Specs, modules: Mapping[str, str] = MODULES) -> str:
    """The script; where none can show the finding, a comment that says why."""
    try:
        return make(finding, specs, modules)
    except ReproError as error:
        return f"# {finding.id}: no script: {error}\n"


def make(finding: Finding, specs: Specs, modules: Mapping[str, str] = MODULES) -> str:
    """Source text of a script of some ten lines. Raises ReproError when none can show it.

    modules: see `modules_of`.
    """
    if finding.verdict is Verdict.ERRORED or finding.what.startswith("reference "):
        raise ReproError(f"the checker itself failed, not the library: {finding.message}")
    try:
        program = Program.parse(finding.program)
    except ProgramError as error:
        raise ReproError(f"its program cannot be read: {error}") from None
    if not program.steps:
        raise ReproError(f"there is no program that shows it: {finding.message}")
    if finding.verdict is Verdict.CRASHED:
        return _crash(finding, specs, program, modules)
    writer = _writer(finding, specs, modules)
    last = line_of(finding) or program.steps[-1].line
    body, difference = _body(finding, specs, program, writer, last)
    return _assemble(finding, specs, writer, body, difference)


def _writer(finding: Finding, specs: Specs, modules: Mapping[str, str]) -> Writer:
    library, _, rest = finding.backend.partition(":")
    device, _, options = rest.partition(":")
    if library == "jax":
        return repro_jax.JaxWriter(specs.ops, device or "cpu", "x64" in options.split("+"))
    module = modules.get(finding.backend) or MODULES.get(library)
    if module is None:
        raise ReproError(
            f"{library} is called by its adapter only: it has neither torch's functions nor jax's"
        )
    return repro_eager.EagerWriter(specs.ops, module, device or "cpu")


def line_of(finding: Finding) -> int:
    """The line of the program that a traced finding is about; 0 when it is none of them."""
    if not (finding.op.startswith("scenario:") or finding.oracle in TRACED):
        return 0
    found = re.search(r"\bline (\d+)", f"{finding.what} {finding.message}")
    return int(found[1]) if found else 0


def _body(
    finding: Finding, specs: Specs, program: Program, writer: Writer, last: int
) -> tuple[list[str], Difference]:
    refused = _refused(finding)
    risky = _risky(finding, specs, program, last)
    if isinstance(writer, repro_jax.JaxWriter):
        body, _ = repro_jax.lines(writer, program, last)
        if refused:
            body = _attempt(body)
    else:
        assert isinstance(writer, repro_eager.EagerWriter)
        body = repro_eager.lines(writer, program, risky, last)
    if refused:
        patterns = _patterns(writer)
        return body, refusal(finding, patterns)
    if finding.oracle == "determinism":
        once, _ = look(finding, writer, program, specs)
        body = ["def run():", *[f"    {line}" for line in body], f"    return {once}"]
        again = "next((v for v in (run() for _ in range(100)) if repr(v) != repr(first)), first)"
        body += ["first = run()", f"seen = {again}"]
        return body, Difference("first", "repr(seen) != repr(first)")
    expression, facts = look(finding, writer, program, specs)
    body.append(f"seen = {expression}")
    if facts:
        return body, fact(finding, path_of(finding))
    return body, number(finding, specs)


def _risky(finding: Finding, specs: Specs, program: Program, last: int) -> frozenset[int]:
    """Lines that may raise without ending the script."""
    if finding.op.startswith("scenario:"):
        claims = specs.scenarios[finding.op.removeprefix("scenario:")].claims
        lines = {int(k) for k, text in claims.items() if k.isdigit() and "raises" in text}
        return frozenset(lines | ({last} if _refused(finding) else set()))
    if finding.oracle in TRACED or _refused(finding):
        return frozenset({last})
    return frozenset()


def _refused(finding: Finding) -> bool:
    """Whether the finding is about what was raised, rather than about a value."""
    what = finding.what
    if finding.oracle in NUMERIC and isinstance(finding.observed, str):
        return True  # an error kind stands where a number was expected
    return what in ("raised", "backward") or bool(re.fullmatch(r"line \d+(: raised)?", what))


def _attempt(body: list[str]) -> list[str]:
    return [
        "try:",
        *[f"    {line}" for line in body],
        '    seen = "no error"',
        "except Exception as error:",
        '    seen = f"{type(error).__name__}: {error}"',
    ]


def _patterns(writer: Writer) -> dict[str, list[str]]:
    """Error kind -> regular expressions of the library's own messages."""
    if isinstance(writer, repro_jax.JaxWriter):
        from conformance.backends.jax_errors import JAX_ERRORS as table
    elif writer.library == "torch":
        table = TORCH_ERRORS
    else:
        return {}
    found: dict[str, list[str]] = {}
    for _, pattern, kind in table.rows:
        found.setdefault(kind, []).append(pattern.pattern)
    return found


def _assemble(
    finding: Finding, specs: Specs, writer: Writer, body: list[str], difference: Difference
) -> str:
    wanted = {*writer.imports, "import sys", *difference.imports}
    setup = getattr(writer, "setup", [])
    out = [*_header(finding, specs), *_sorted(wanted), *setup, "", *body]
    if difference.expected != "first":
        out.append(f"expected = {difference.expected}")
    if difference.note:
        out.append(f"# {difference.note}")
    shown = "first" if difference.expected == "first" else "expected"
    out += [
        'print("seen    ", seen)',
        f'print("expected", {shown})',
        f"sys.exit({difference.condition})",
    ]
    return "\n".join(out) + "\n"


def _header(finding: Finding, specs: Specs) -> list[str]:
    # nothing from a library may end the comment
    message = " ".join(f"{finding.id} ({finding.backend}): {finding.message}".split())
    lines = textwrap.wrap(message, 96, break_long_words=False)
    out = [f"# {line}" for line in lines]
    if finding.norm:
        try:
            out.append(f"# norm: {norm_url(specs, finding.norm)}")
        except KeyError:
            out.append(f"# norm: {finding.norm}")
    return out


def _sorted(imports: set[str]) -> list[str]:
    """Standard library first, then the others, one block each."""

    def own(line: str) -> bool:
        return line.split()[1].split(".")[0] in ("sys", "math", "re", "operator", "subprocess")

    return sorted(i for i in imports if own(i)) + sorted(i for i in imports if not own(i))


def _crash(
    finding: Finding, specs: Specs, program: Program, modules: Mapping[str, str]
) -> str:
    """The program in a process of its own, so that its end can be seen."""
    writer = _writer(finding, specs, modules)
    if isinstance(writer, repro_jax.JaxWriter):
        body, _ = repro_jax.lines(writer, program, program.steps[-1].line)
    else:
        assert isinstance(writer, repro_eager.EagerWriter)
        body = repro_eager.lines(writer, program, frozenset(), program.steps[-1].line)
    inner = [*_sorted(writer.imports), *getattr(writer, "setup", []), *body]
    text = "\n".join(inner)
    return "\n".join(
        [
            *_header(finding, specs),
            "import subprocess",
            "import sys",
            "",
            f'code = """\n{text}\n"""',
            "try:",
            "    seen = subprocess.run([sys.executable, '-c', code], timeout=120).returncode",
            "except subprocess.TimeoutExpired:",
            '    seen = "no end within 120 s"',
            'print("seen     exit status", seen)',
            'print("expected exit status 0")',
            "sys.exit(seen != 0)",
            "",
        ]
    )
