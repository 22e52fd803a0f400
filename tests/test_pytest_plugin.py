"""The pytest plugin, used as another project would use it; libraries are the fakes."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

pytest_plugins = ["pytester"]
ASK = ("-p", "conformance.pytest_plugin", "-p", "no:randomly")


@pytest.fixture
def ask(pytester: pytest.Pytester):
    loaded = pytester.plugins  # installed as an entry point, or named by hand from a checkout

    def run(*arguments: str) -> pytest.RunResult:
        installed = any(
            p.name == "conformance"
            for p in __import__("importlib.metadata").metadata.entry_points(group="pytest11")
        )
        return pytester.runpytest_subprocess(*(() if installed else ASK), *arguments)

    assert loaded is not None
    return run


def test_one_item_per_operation_and_oracle(ask) -> None:
    result = ask("--conformance-backend", "reference", "--conformance-op", "exp", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*reference::exp::value", "*reference::exp::vjp*"])
    assert result.ret == 0


def test_nothing_is_collected_without_a_backend(ask) -> None:
    assert ask("-q").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_conforming_backend_passes_and_k_selects(ask) -> None:
    result = ask("--conformance-backend", "reference", "--conformance-op", "neg", "-k", "vjp")
    assert (result.parseoutcomes()["passed"], result.ret) == (1, 0)


def test_a_failure_shows_the_finding_and_its_repro_line(ask, pytester: pytest.Pytester) -> None:
    result = ask(
        "--conformance-backend", "fake:value_tail", "--conformance-op", "exp",
        "--conformance-oracle", "value", "--junitxml", "out.xml",
    )  # fmt: skip
    assert (result.parseoutcomes()["failed"], result.ret) == (1, 1)
    result.stdout.fnmatch_lines(["DIVERGES", "exp value *expected*", "*conformance repro *exp-value-*"])
    case = ET.parse(pytester.path / "out.xml").getroot().find(".//testcase")
    assert case is not None and case.get("name") == "value"
    assert case.get("classname", "").endswith("fake:value_tail.exp")
    assert case.find("failure") is not None


def test_x_stops_at_the_first_failure(ask) -> None:
    result = ask("--conformance-backend", "fake:value_tail", "--conformance-op", "exp,log", "-x")
    assert result.parseoutcomes()["failed"] == 1


def test_a_crash_fails_one_item_and_not_the_session(ask) -> None:
    result = ask("--conformance-backend", "fake:segfault:float32-length-10", "--conformance-op", "exp")
    assert result.parseoutcomes()["failed"] >= 1
    assert result.parseoutcomes()["passed"] >= 1
    result.stdout.fnmatch_lines(["*CRASHED*"])


def test_xdist_runs_each_operation_in_one_process(ask) -> None:
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    result = ask("--conformance-backend", "reference", "--conformance-op", "neg,sign", "-n", "2")
    assert result.ret == 0
    assert result.parseoutcomes()["passed"] > 10


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--conformance-backend", "torhc"), "unknown backend 'torhc'*torch*"),
        (("--conformance-backend", "reference", "--conformance-op", "exq"), "unknown op 'exq'*eq*"),
        (
            ("--conformance-backend", "reference", "--conformance-oracle", "valu"),
            "unknown oracle 'valu'*value*",
        ),
        (
            ("--conformance-backend", "reference", "--conformance-tier", "smoky"),
            "unknown tier 'smoky'*smoke*",
        ),
    ],
)
def test_a_wrong_name_is_one_line_and_the_nearest_valid_one(ask, arguments, says) -> None:
    result = ask(*arguments)
    result.stderr.fnmatch_lines([f"ERROR: {says}"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
