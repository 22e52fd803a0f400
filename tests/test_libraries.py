"""The libraries that are installed pass the gate: a wrong reference or bound shows here, before a user's run."""

import pytest

from conformance.cli import status_of


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_smoke_tier_passes_the_gate(backend, tmp_path, capsys):
    pytest.importorskip(backend)
    status = status_of(["run", "--backend", backend, "--tier", "smoke", "--jobs", "1",
                        "--out", str(tmp_path)])
    assert status == 0, capsys.readouterr().out
