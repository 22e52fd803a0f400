"""From a library's exceptions to the closed list of error kinds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from conformance.backends.protocol import UnmappedError
from conformance.observation import Raised

_LONGEST = 500  # characters of a library's message that are kept


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """rows: (exception type name, regular expression searched in the message, kind).

    The first row that fits decides. The type is matched by name anywhere in the exception's
    class hierarchy, so that a table needs no import of its library.
    """

    rows: tuple[tuple[str, str, str], ...]
    _compiled: list[tuple[str, re.Pattern[str], str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._compiled.extend((t, re.compile(p, re.DOTALL), k) for t, p, k in self.rows)

    def kind(self, error: BaseException) -> str | None:
        """The error kind, or None for an exception that is on no row."""
        names = {c.__name__ for c in type(error).__mro__}
        message = str(error)
        for name, pattern, kind in self._compiled:
            if name in names and pattern.search(message):
                return kind
        return None

    def raised(self, error: BaseException) -> Raised:
        """The refusal as plain data. Raises UnmappedError, from `error`, if it is on no row."""
        kind = self.kind(error)
        name = type(error).__name__
        if kind is None:
            text = str(error).strip().splitlines()
            raise UnmappedError(f"{name}: {text[0] if text else ''}"[:_LONGEST]) from error
        return Raised(kind, name, str(error)[:_LONGEST])
