"""The example backend of the documentation, found through its entry point as a user's would be."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "docs" / "example_backend"


def install(folder: Path) -> None:
    """What `pip install docs/example_backend` leaves, without a build."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    shutil.copy(EXAMPLE / "mylib_backend.py", folder)
    info = folder / "mylib_conformance-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1\n")
    points = project["entry-points"]["conformance.backends"]
    lines = [f"{name} = {target}" for name, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[conformance.backends]", *lines, ""]))


def test_the_example_backend_is_run_and_judged(tmp_path):
    install(tmp_path)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "conformance", "run", "--backend", "mylib", "--jobs", "1",
               "--op", "exp,maximum", "--tier", "smoke", "--out", str(out)]  # fmt: skip
    done = subprocess.run(
        command,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=EXAMPLE.parents[1],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    results = json.loads((out / "results.json").read_text())
    assert [b["name"] for b in results["backends"]] == ["mylib"]
    verdicts = {a["verdict"] for a in results["answers"]}
    assert {"CONFORMS", "NOT_APPLICABLE", "DIVERGES"} <= verdicts
    assert not {"ERRORED", "CRASHED", "VACUOUS"} & verdicts
    # NumPy orders complex numbers, which the norm refuses: a difference, found and named
    assert any(
        f["op"] == "maximum" and f["oracle"] == "error" and f["expected"] == "dtype_unsupported"
        for f in results["findings"]
    )
    assert all(
        a["verdict"] == "NOT_APPLICABLE" for a in results["answers"] if a["oracle"] == "vjp"
    )
