"""Backend names, and how one is opened. Importing this module imports no library.

A name is `library[:device[:options]]`, options joined by `+`. Third parties register a factory
`factory(name, device, options) -> Backend` under the entry point group `conformance.backends`;
the entry point's name is the library's.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from conformance.backends.protocol import (
    Backend,
    BackendBroken,
    BackendUnavailable,
    UnknownBackend,
)

GROUP = "conformance.backends"


@dataclass(frozen=True, slots=True)
class Library:
    """factory: `module:callable`. requires: module that must be installed; extra: pip extra.

    devices: device -> its options; the first device is the one a bare name means.
    """

    factory: str
    devices: dict[str, tuple[str, ...]]
    requires: str = ""
    extra: str = ""


LIBRARIES = {
    "reference": Library("conformance.backends.reference:ReferenceBackend", {"cpu": ()}),
    "torch": Library(
        "conformance.backends.torch_backend:TorchBackend",
        {"cpu": (), "cuda": ()},
        requires="torch",
        extra="torch",
    ),
    "jax": Library(
        "conformance.backends.jax_backend:JaxBackend",
        {"cpu": ("x64",), "gpu": ("x64",)},
        requires="jax",
        extra="jax",
    ),
}
DEFAULTS = ("torch", "jax", "jax:cpu:x64", "torch:cuda", "jax:gpu")


def _third_parties() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def known() -> tuple[str, ...]:
    """Every valid name in canonical form, with at most one option each."""
    names = []
    for library, facts in LIBRARIES.items():
        for device, options in facts.devices.items():
            for option in ("", *options):
                names.append(_join(library, device, (option,) if option else ()))
    return (*names, *_third_parties())


def default_backends() -> tuple[str, ...]:
    """What a run without `--backend` asks: all of these, whether or not they can be opened.

    One that cannot be opened says so as `NOT_RUN`; where no library is installed at all the
    reference stands first, so that there is something to run.
    """
    found = any(installed(name) for name in DEFAULTS)
    return DEFAULTS if found else ("reference", *DEFAULTS)


def installed(name: str) -> bool:
    """Whether the library behind a name is installed; nothing is imported."""
    library = canonical(name).split(":")[0]
    facts = LIBRARIES.get(library)
    if facts is None or not facts.requires:
        return True
    return importlib.util.find_spec(facts.requires) is not None


def split(name: str) -> tuple[str, str, tuple[str, ...]]:
    """(library, device, options) of a valid name; options in alphabetical order.

    Raises UnknownBackend with the nearest valid name.
    """
    library, _, rest = name.partition(":")
    device, _, tail = rest.partition(":")
    options = tuple(sorted(tail.split("+"))) if tail else ()
    if library == "fake" and device:  # wrong on purpose, for the checker's own tests
        return library, device, options
    facts = LIBRARIES.get(library)
    if facts is None:
        if library in _third_parties():
            return library, device or "cpu", options
        raise _unknown(name)
    device = device or next(iter(facts.devices))
    if device not in facts.devices or not set(options) <= set(facts.devices[device]):
        raise _unknown(name)
    return library, device, options


def canonical(name: str) -> str:
    """The shortest form of a name: `torch:cpu` is `torch`. Raises UnknownBackend."""
    return _join(*split(name))


def _join(library: str, device: str, options: tuple[str, ...]) -> str:
    facts = LIBRARIES.get(library)
    first = next(iter(facts.devices)) if facts else "cpu"
    if options:
        return f"{library}:{device}:{'+'.join(options)}"
    return library if device == first else f"{library}:{device}"


def _unknown(name: str) -> UnknownBackend:
    names = known()
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    hint = f"did you mean {near[0]!r}?" if near else ""
    return UnknownBackend(f"unknown backend {name!r} ({hint} known: {', '.join(names)})")


def open_backend(name: str) -> Backend:
    """Import the library and make its backend.

    Raises UnknownBackend, BackendUnavailable (not installed, no such device), and BackendBroken
    when the library is installed but does not import.
    """
    library, device, options = split(name)
    name = _join(library, device, options)
    if library == "fake":
        from conformance.backends.fakes import make_fake

        return make_fake(name, device, options)
    facts = LIBRARIES.get(library)
    if facts is None:
        return _open_third_party(name, library, device, options)
    if facts.requires and importlib.util.find_spec(facts.requires) is None:
        raise BackendUnavailable(
            f"{library} is not installed: pip install 'tensor-conformance[{facts.extra}]'"
        )
    module, _, attribute = facts.factory.partition(":")
    factory = getattr(_import(library, module), attribute)
    return factory(name, device, options)


def _open_third_party(name: str, library: str, device: str, options: tuple[str, ...]) -> Backend:
    entry = _third_parties()[library]
    try:
        factory = entry.load()
    except Exception as error:  # whatever a foreign module raises while it is imported
        raise _broken(library, error) from error
    return factory(name, device, options)


def _import(library: str, module: str):
    try:
        return importlib.import_module(module)
    except Exception as error:  # a broken installation raises anything: OSError, AttributeError
        raise _broken(library, error) from error


def _broken(library: str, error: Exception) -> BackendBroken:
    lines = str(error).strip().splitlines() or [""]
    return BackendBroken(
        f"{library} is installed but does not import: {type(error).__name__}: {lines[0]}"
    )
