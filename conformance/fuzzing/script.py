"""A failing program as a script for the library alone."""

from __future__ import annotations

from conformance.backends import registry
from conformance.fuzzing.judging import Failure
from conformance.loading import load_specs
from conformance.repro import MODULES
from conformance.repro_eager import EagerWriter, lines
from conformance.repro_text import ReproError

_FACTS = {
    "dtype": "{x}.dtype",
    "shape": "tuple({x}.shape)",
    "strides": "{x}.stride()",
    "offset": "{x}.storage_offset()",
    "requires_grad": "{x}.requires_grad",
    "is_leaf": "{x}.is_leaf",
    "grad_fn": "{x}.grad_fn",
    "version": "{x}._version",
}


def script(backend: str, failure: Failure) -> str:
    """Source text that shows what was seen; the program's own text where there is no script."""
    library, device, _ = registry.split(backend)
    if library not in MODULES:
        return failure.program.text
    ops = load_specs().ops
    writer = EagerWriter(ops, MODULES[library], device)
    steps = failure.program.steps
    raising = frozenset(step.line for step in steps if not step.targets)
    try:
        body = lines(writer, failure.program, raising, failure.line or steps[-1].line)
    except ReproError as error:
        return f"{failure.program.text}\n# no script: {error}"
    shown = "seen" if failure.observable == "raised" else _expression(failure.observable)
    head = sorted(writer.imports)
    return "\n".join(
        [*head, *body, f"print({shown})  # {failure.observed}; expected {failure.expected}"]
    )


def _expression(observable: str) -> str:
    """`x.grad.version` as Python: `x.grad._version`."""
    path, dot, last = observable.rpartition(".")
    if dot and last in _FACTS:
        return _FACTS[last].format(x=path)
    return observable
