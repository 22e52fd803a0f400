"""Observed things as plain JSON values; floats also as hex, so that no bit is lost."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.observation import Raised, TensorObs

LONGEST = 64  # elements of a value that a record keeps


def plain(thing: Any) -> Any:
    """JSON form of a number, array, tuple, observation or refusal.

    A float is {"value": "0.5", "hex": "0x1.0000000000000p-1"}, a complex number the pair of its
    parts under "re" and "im". An array is a nested list; one of more than `LONGEST` elements is
    cut to its first `LONGEST`, flat, with its shape beside.
    """
    if isinstance(thing, TensorObs):
        return plain(thing.value)
    if isinstance(thing, Raised):
        return {"raised": thing.kind, "type": thing.type, "message": thing.message}
    if isinstance(thing, np.ndarray):
        if thing.size > LONGEST:
            first = [plain(item) for item in thing.reshape(-1)[:LONGEST]]
            return {"first": first, "shape": list(thing.shape)}
        if thing.ndim:
            return [plain(row) for row in thing]
        thing = thing[()]
    if isinstance(thing, (np.bool_, bool)):
        return bool(thing)
    if isinstance(thing, (np.integer, int)):
        return int(thing)
    if isinstance(thing, (complex, np.complexfloating)):
        return {"re": plain(float(thing.real)), "im": plain(float(thing.imag))}
    if isinstance(thing, (float, np.floating)) or type(thing).__module__ == "ml_dtypes":
        return {"value": shortest(thing), "hex": float(thing).hex()}
    if isinstance(thing, (list, tuple)):
        return [plain(item) for item in thing]
    return thing if thing is None or isinstance(thing, str) else repr(thing)


def shortest(number: Any) -> str:
    """The fewest digits that read back as the same number of its own type."""
    return str(number) if isinstance(number, (float, np.floating)) else str(float(number))


def words(thing: Any) -> str:
    """One line for people: `[[1.0, 2.0]]`, `raises graph_freed`, `None`."""
    if isinstance(thing, TensorObs):
        return words(thing.value)
    if isinstance(thing, Raised):
        return f"raises {thing.kind}"
    if isinstance(thing, np.ndarray):
        if thing.size > LONGEST:
            return f"{words(thing.reshape(-1)[:6])[:-1]}, …] of shape {list(thing.shape)}"
        if thing.ndim:
            return "[" + ", ".join(words(row) for row in thing) + "]"
        thing = thing[()]
    if isinstance(thing, (bool, np.bool_, int, np.integer)):
        return str(thing)
    if isinstance(thing, (float, np.floating)) or type(thing).__module__ == "ml_dtypes":
        return shortest(thing)
    if isinstance(thing, (list, tuple)):
        inner = ", ".join(words(item) for item in thing)
        return f"({inner}{',' if len(thing) == 1 else ''})" if isinstance(thing, tuple) else f"[{inner}]"
    return str(thing)
