"""From a library's exceptions to the closed list of error kinds."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import perf_counter
from typing import Any

from conformance.backends.protocol import MissingCapability, UnmappedError
from conformance.observation import Raised
from conformance.program import ProgramError

_LONGEST = 500  # characters of a library's message that are kept


class ErrorTable:
    """rows: (exception type name, regular expression searched in the message, kind).

    The first row that fits decides. The type is matched by name anywhere in the exception's
    class hierarchy, so that a table needs no import of its library.
    """

    def __init__(self, rows: tuple[tuple[str, str, str], ...]) -> None:
        self.rows = tuple((name, re.compile(text, re.DOTALL), kind) for name, text, kind in rows)

    def kind(self, error: BaseException) -> str | None:
        """The error kind, or None for an exception that is on no row."""
        names = {c.__name__ for c in type(error).__mro__}
        message = str(error)
        for name, pattern, kind in self.rows:
            if name in names and pattern.search(message):
                return kind
        return None

    def raised(self, error: BaseException) -> Raised:
        """The refusal as plain data. Raises UnmappedError, from `error`, if it is on no row."""
        kind = self.kind(error)
        name = type(error).__name__
        if kind is None:
            text = " ".join(str(error).split())
            raise UnmappedError(f"{name}: {text}"[:_LONGEST]) from error
        return Raised(kind, name, str(error)[:_LONGEST])


# torch 2.13, aten/src/ATen/core/TensorBody.h, Tensor::grad()
EAGER_WARNINGS = ErrorTable(
    (("UserWarning", r"grad attribute of a Tensor that is not a leaf", "grad_of_non_leaf"),)
)


class LibraryCalls:
    """Calls into a library: timed, and their refusals mapped.

    library_s: seconds spent inside the library so far.
    """

    errors: ErrorTable

    def __init__(self) -> None:
        self.library_s = 0.0

    def attempt(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What the function returns, or a Raised. Raises UnmappedError."""
        start = perf_counter()
        try:
            return function(*args, **kwargs)
        except (MemoryError, ProgramError, MissingCapability, UnmappedError):
            raise  # about the process, the program or the adapter, not the library's answer
        except Exception as error:  # noqa: BLE001 - any library may raise anything
            return self.errors.raised(error)
        finally:
            self.library_s += perf_counter() - start
