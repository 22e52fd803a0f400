"""The four rooms and the one direction between them, read from the import statements."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REFERENCE_NEEDS = {"numpy", "scipy", "ml_dtypes", "reference_impl"}
LIBRARIES = {"torch", "jax", "jaxlib"}
# what a report may know: the store, what is computed from it, and the typed tables
REPORTS_NEED = {
    "gate", "loading", "program", "repro", "results", "specs", "store", "storefile", "verdicts",
}  # fmt: skip
ADAPTERS = {
    "torch": "conformance/backends/torch_backend.py",
    "jax": "conformance/backends/jax_backend.py",
}


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported(source: str) -> Iterator[tuple[str, int]]:
    """(dotted module, line) of every import statement, nested in functions or not."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide where an arrow points"
            yield node.module or "", node.lineno
            # `from conformance import gate` imports a module too
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def wrong_arrows(source: str, allowed: set[str]) -> list[str]:
    """Top-level packages that are imported but neither allowed nor of the standard library."""
    found = {name.split(".")[0] for name, _ in imported(source)}
    return sorted(found - allowed - sys.stdlib_module_names)


def importers(library: str, sources: dict[str, str]) -> set[str]:
    return {
        path
        for path, source in sources.items()
        if any(name.split(".")[0] == library for name, _ in imported(source))
    }


def sources(room: str) -> dict[str, str]:
    return {str(p.relative_to(ROOT)): p.read_text() for p in files(room)}


def test_specs_are_data():
    assert files("specs") == []
    assert list((ROOT / "specs").rglob("*.toml")), "this test looks in the right place"


@pytest.mark.parametrize("path", files("reference_impl"), ids=lambda p: p.stem)
def test_reference_knows_neither_checker_nor_libraries(path):
    assert wrong_arrows(path.read_text(), REFERENCE_NEEDS) == []


def test_reference_takes_only_the_special_functions_of_scipy():
    names = {n for s in sources("reference_impl").values() for n, _ in imported(s)}
    assert {n for n in names if n.startswith("scipy.")} <= {"scipy.special"}


@pytest.mark.parametrize("library", ADAPTERS)
def test_a_library_is_imported_in_one_module_of_the_checker(library):
    assert importers(library, sources("conformance")) == {ADAPTERS[library]}


def test_nobody_imports_the_adapters_of_the_libraries():
    """The registry opens them by name, inside a worker."""
    modules = {path.removesuffix(".py").replace("/", ".") for path in ADAPTERS.values()}
    for room in ("conformance", "reports", "reference_impl"):
        for path, source in sources(room).items():
            named = modules & {name for name, _ in imported(source)}
            assert not named, f"{path} imports {named}"


def test_reports_read_the_store_and_data_modules_only():
    for path, source in sources("reports").items():
        names = {name for name, _ in imported(source)}
        ours = {n.split(".")[1] for n in names if n.startswith("conformance.")}
        assert ours <= REPORTS_NEED, path
        assert not {n.split(".")[0] for n in names} & (LIBRARIES | {"reference_impl"}), path


def test_only_the_command_line_asks_for_reports():
    assert importers("reports", sources("conformance")) <= {"conformance/cli.py"}


def test_no_room_imports_the_tests():
    for room in ("conformance", "reports", "reference_impl"):
        assert not importers("tests", sources(room))


@pytest.mark.parametrize(
    "module", ["conformance.cli", "conformance.pytest_plugin", "reports.html", "conformance.units"]
)
def test_importing_loads_no_library(module):
    """What ast cannot see: an import made by one of the dependencies."""
    code = f"import sys, {module}; print(sorted({LIBRARIES!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import torch", ["torch"]),
        ("def f():\n    from jax import numpy", ["jax"]),
        ("from conformance.store import Store", ["conformance"]),
        ("import numpy as np, os", []),
        ("from reference_impl.rule import rule", []),
    ],
)
def test_a_wrong_arrow_is_seen(line, found):
    assert wrong_arrows(line, REFERENCE_NEEDS) == found
    assert importers("torch", {"a.py": line}) == ({"a.py"} if "torch" in line else set())
