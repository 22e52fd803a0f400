"""JUnit XML of a run: one test case per answer, for CI systems that show such files."""

from __future__ import annotations

import re
from itertools import groupby
from xml.etree import ElementTree

from conformance.results import findings as merged_findings
from conformance.store import Store
from conformance.verdicts import Answer, Finding, Verdict

SKIPPED = frozenset({Verdict.NOT_APPLICABLE, Verdict.NOT_RUN, Verdict.UNSPECIFIED})
ERRORS = frozenset({Verdict.ERRORED, Verdict.CRASHED})
# XML 1.0 has no form for these characters, and a library's message may hold them.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(store: Store) -> str:
    """The document: a suite per backend, a case `op.oracle[dtypes]` per answer."""
    findings = merged_findings(store)
    root = ElementTree.Element("testsuites", name="conformance")
    ordered = sorted(store.answers(), key=lambda a: (a.backend, a.op, a.oracle, a.dtypes))
    for backend, answers in groupby(ordered, key=lambda a: a.backend):
        _suite(root, backend, list(answers), findings)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(
    root: ElementTree.Element, backend: str, answers: list[Answer], findings: list[Finding]
) -> None:
    verdicts = [answer.verdict for answer in answers]
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=backend,
        tests=str(len(answers)),
        failures=str(sum(v.fails_gate and v not in ERRORS for v in verdicts)),
        errors=str(sum(v in ERRORS for v in verdicts)),
        skipped=str(sum(v in SKIPPED for v in verdicts)),
    )
    for answer in answers:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"{backend}.{answer.op}",
            name=f"{answer.oracle}[{','.join(answer.dtypes)}]",
        )
        if answer.verdict in SKIPPED:
            ElementTree.SubElement(
                case, "skipped", message=_clean(f"{answer.verdict} {answer.why}")
            )
        elif answer.verdict.fails_gate:
            kind = "error" if answer.verdict in ERRORS else "failure"
            mine = [f for f in findings if _speaks_for(f, answer)]
            element = ElementTree.SubElement(
                case, kind, type=answer.verdict, message=_clean(_headline(answer, mine))
            )
            element.text = _clean("\n\n".join(f"{f.id}: {f.message}\n{f.program}" for f in mine))
        else:
            out = ElementTree.SubElement(case, "system-out")
            out.text = f"{answer.verdict}, {answer.compared} compared"


def _speaks_for(finding: Finding, answer: Answer) -> bool:
    return (
        (finding.op, finding.oracle, finding.backend) == (answer.op, answer.oracle, answer.backend)
        and finding.verdict.fails_gate
        and answer.dtypes in (finding.dtypes, *finding.more_dtypes)
    )


def _headline(answer: Answer, findings: list[Finding]) -> str:
    why = findings[0].message if findings else answer.why
    return f"{answer.verdict}: {why}" if why else str(answer.verdict)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
