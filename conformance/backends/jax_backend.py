"""JAX. The only module that imports jax; imported in worker processes only.

Outside a transformation jax runs each primitive as it is called ("eager"); the forward call is
made so. A vjp is traced anyway, so it is jitted and kept per operation, static arguments and
dtypes.

Cotangents of complex arrays: jax does not conjugate, torch does. `grad` in jax is the
transpose of the tangent map (docs.jax.dev, "The Autodiff Cookbook", "Complex numbers and
differentiation"); torch gives the conjugate Wirtinger derivative (docs.pytorch.org,
notes/autograd, "Autograd for Complex Numbers"). Hence ct_torch = conj(ct_jax), of outputs and
inputs alike, and the convention of observations is torch's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import platformdirs

from conformance.backends.arguments import Bound
from conformance.backends.errors import LibraryCalls
from conformance.backends.jax_errors import JAX_ERRORS
from conformance.backends.jax_verbs import JaxVerbs
from conformance.backends.protocol import BackendUnavailable
from conformance.backends.session import Session
from conformance.cases.case import Case, Operand
from conformance.observation import Evaluation, Raised, TensorObs
from conformance.specs import OpSpec

_WIDE = frozenset({"int64", "uint64", "float64", "complex128"})


class _Slot:
    """Stands for the array number `index` in a call's arguments."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __repr__(self) -> str:
        return f"<{self.index}>"


class JaxBackend(LibraryCalls):
    """jax on "cpu" or "gpu". options: "x64" turns 64-bit types on.

    cache: folder of jax's persistent compilation cache; default below the user's cache folder.
    x64 and the platform hold for the whole process: a second backend with other settings in
    the same process raises BackendUnavailable.
    """

    library = "jax"
    errors = JAX_ERRORS

    def __init__(
        self,
        name: str,
        device: str = "cpu",
        options: tuple[str, ...] = (),
        cache: Path | None = None,
    ) -> None:
        super().__init__()
        self.name, self.device, self.options = name, device, options
        self.version = jax.__version__
        self.x64 = "x64" in options
        _configure(device, self.x64, cache)
        self.promotion = "jax_x64" if self.x64 else "jax"
        self.capabilities = frozenset(
            {
                "autograd",
                "complex",
                "device_query",
                "functional_update",
                "immutability",
                "numpy_functions",
                "vjp_function",
            }
            | ({"float64"} if self.x64 else set())
            | ({"numpy_sharing"} if device == "cpu" else set())
        )
        self._bound: dict[str, Bound] = {}
        self._jitted: dict[Any, Callable[..., Any]] = {}
        self._operation = ""

    def supports(self, op: OpSpec, dtypes: Sequence[str]) -> str:
        if not op.jax:
            return f"jax has no {op.name}"
        wide = {name.removesuffix("[]") for name in dtypes} & _WIDE
        if wide and not self.x64:
            return f"needs capability float64: {', '.join(sorted(wide))} without x64"
        return ""

    def bound(self, op: OpSpec) -> Bound:
        """Raises TemplateError when jax lacks the function that the table names."""
        found = self._bound.get(op.name)
        if found is None:
            found = self._bound[op.name] = Bound.of(op, op.jax, {"jax": jax, "jnp": jnp})
        return found

    def evaluate(
        self,
        op: OpSpec,
        case: Case,
        cotangents: Sequence[np.ndarray | None] | None = None,
        second: Sequence[np.ndarray | None] | None = None,
    ) -> Evaluation:
        bound = self.bound(op)
        if op.name != self._operation:
            self._forget(op)
        paths: list[str] = []
        arrays: list[Any] = []
        wanted: list[int] = []

        def tensor(path: str, operand: Operand) -> _Slot:
            if operand.differentiable:
                wanted.append(len(arrays))
            paths.append(path)
            arrays.append(_put(operand.data))
            return _Slot(len(arrays) - 1)

        arguments = bound.arguments(case, tensor, jnp.dtype)
        result = self.attempt(_finished, bound.call, _fill(arguments, arrays))
        if type(result) is Raised:
            return Evaluation(raised=result, inputs=tuple(self.observe(a) for a in arrays))
        outputs, scalars = _flatten(result)
        seen: dict[str, Any] = {
            "outputs": tuple(self.observe(a) for a in outputs),
            "scalars": tuple(scalars),
            "aliases": self._aliases(paths, arrays, outputs),
        }
        if cotangents is None:
            return Evaluation(**seen)
        cts = [
            None if ct is None or not jnp.issubdtype(y.dtype, jnp.inexact) else _put(ct, y.dtype)
            for y, ct in zip(outputs, cotangents, strict=True)
        ]
        if not wanted or all(ct is None for ct in cts):
            return Evaluation(**seen, grads=(None,) * len(wanted))
        chosen = tuple(i for i, ct in enumerate(cts) if ct is not None)
        given = [ct for ct in cts if ct is not None]
        key = (_key(arguments), tuple(wanted), chosen)
        pull = self._compiled(op, "vjp", key, bound, arguments, wanted, chosen)
        grads = self.attempt(pull, arrays, given)
        if type(grads) is Raised:
            return Evaluation(**seen, raised=grads, stage="vjp")
        seen["grads"] = tuple(self.observe(g) for g in grads)
        if second is None:
            return Evaluation(**seen)
        vectors = [
            jnp.zeros_like(g) if v is None else _put(v, g.dtype)
            for g, v in zip(grads, second, strict=True)
        ]
        pull = self._compiled(op, "second", key, bound, arguments, wanted, chosen)
        seconds = self.attempt(pull, arrays, given, vectors)
        if type(seconds) is Raised:
            return Evaluation(**seen, raised=seconds, stage="second")
        return Evaluation(**seen, seconds=tuple(self.observe(s) for s in seconds))

    def _forget(self, op: OpSpec) -> None:
        """Drop the executables of the operation before: jax itself keeps every one it made."""
        self._operation = op.name
        self._jitted.clear()
        jax.clear_caches()

    def _compiled(
        self,
        op: OpSpec,
        order: str,
        key: Any,
        bound: Bound,
        arguments: dict[str, Any],
        wanted: list[int],
        chosen: tuple[int, ...],
    ) -> Callable[..., Any]:
        """The jitted vjp, or derivative of the vjp, of one call with its static arguments."""
        found = self._jitted.get((order, key))
        if found is None:
            first = _vjp_of(bound.call, arguments, tuple(wanted), chosen)
            made = first if order == "vjp" else _vjp_of_vjp(first, tuple(wanted))
            found = self._jitted[order, key] = _Pull(made)
        return found

    def _aliases(
        self, paths: list[str], arrays: list[Any], outputs: list[Any]
    ) -> tuple[str | None, ...] | None:
        """Which input's buffer an output is; jax shows no other sharing."""
        if any(isinstance(a, jax.core.Tracer) for a in (*arrays, *outputs)):
            return None
        buffers = {a.unsafe_buffer_pointer(): p for p, a in zip(paths, arrays, strict=True)}
        return tuple(buffers.get(y.unsafe_buffer_pointer()) for y in outputs)

    def observe(self, array: Any, grad: TensorObs | None = None) -> TensorObs:
        float0 = array.dtype == jax.dtypes.float0  # a cotangent that has no number to show
        return TensorObs(
            value=np.zeros(array.shape, bool) if float0 else np.array(array, order="C"),
            dtype="float0" if float0 else array.dtype.name,
            shape=tuple(array.shape),
            grad=grad,
        )

    def session(self, ops: Mapping[str, OpSpec]) -> Session:
        return Session(JaxVerbs(self, jax, ops))


def _configure(device: str, x64: bool, cache: Path | None) -> None:
    wanted = {
        "jax_platforms": "cpu" if device == "cpu" else "cuda,cpu",
        "jax_enable_x64": x64,
        "jax_compilation_cache_dir": str(
            cache or Path(platformdirs.user_cache_dir("tensor-conformance")) / "jax"
        ),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    if _settings and _settings["jax_enable_x64"] != x64:
        raise BackendUnavailable("jax: one process hosts jax with x64 or without, not both")
    if device == "gpu" and not _has_gpu_plugin():
        raise BackendUnavailable("jax: no GPU support installed: pip install 'jax[cuda12]'")
    for option, value in wanted.items():
        jax.config.update(option, value)
    try:
        jax.devices(device)
    except RuntimeError as error:  # jax initialises its platforms at the first question
        raise BackendUnavailable(f"jax: no {device.upper()} device ({error})") from None
    _settings.update(wanted)


def _has_gpu_plugin() -> bool:
    """jax finds accelerators through the entry point group `jax_plugins`."""
    return any(entry.name.startswith("xla_cuda") for entry in entry_points(group="jax_plugins"))


_settings: dict[str, Any] = {}  # jax's configuration is the process's


class _Pull:
    """A function, jitted where it can be: one whose shapes depend on values (a boolean index)
    runs primitive by primitive, with only the differentiated arrays traced."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.plain, self.jitted = function, jax.jit(function)

    def __call__(self, *args: Any) -> Any:
        if self.jitted is not None:
            try:
                return jax.block_until_ready(self.jitted(*args))
            except _NEEDS_VALUES:
                self.jitted = None
        return jax.block_until_ready(self.plain(*args))


_NEEDS_VALUES = (
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerBoolConversionError,
    jax.errors.TracerIntegerConversionError,
)


def _put(data: np.ndarray, dtype: Any = None) -> Any:
    """An array of its own memory: jax may keep what it is given, so it is given a copy.

    Not jnp.array, which compiles a program for every new shape.
    """
    return jax.device_put(data.astype(data.dtype if dtype is None else dtype, copy=True))


def _finished(function: Callable[..., Any], *args: Any) -> Any:
    """The result once it is there: jax returns before it has computed."""
    return jax.block_until_ready(function(*args))


def _fill(arguments: Mapping[str, Any], arrays: Sequence[Any]) -> dict[str, Any]:
    def put(value: Any) -> Any:
        if isinstance(value, _Slot):
            return arrays[value.index]
        if isinstance(value, (list, tuple)):
            return type(value)(put(item) for item in value)
        return value

    return {name: put(value) for name, value in arguments.items()}


def _key(arguments: Mapping[str, Any]) -> str:
    return repr(sorted(arguments.items()))


def _flatten(result: Any) -> tuple[list[Any], list[Any]]:
    """Arrays, and other results, in order; jax's named tuples are tuples."""
    if isinstance(result, jax.Array):
        return [result], []
    if isinstance(result, (tuple, list)):
        arrays: list[Any] = []
        others: list[Any] = []
        for item in result:
            more, rest = _flatten(item)
            arrays += more
            others += rest
        return arrays, others
    return [], [result]


def _conj(x: Any) -> Any:
    return jnp.conj(x) if jnp.iscomplexobj(x) else x


def _vjp_of(
    call: Callable[..., Any],
    arguments: Mapping[str, Any],
    wanted: tuple[int, ...],
    chosen: tuple[int, ...],
) -> Callable[..., Any]:
    """(arrays, cotangents of chosen outputs) -> cotangents of wanted arrays, torch's sign."""

    def first(arrays: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        def primal(*varying: Any) -> list[Any]:
            full = list(arrays)
            for place, value in zip(wanted, varying, strict=True):
                full[place] = value
            outputs = _flatten(call(_fill(arguments, full)))[0]
            return [outputs[i] for i in chosen]

        _, pull = jax.vjp(primal, *[arrays[i] for i in wanted])
        return [_conj(g) for g in pull([_conj(ct) for ct in cts])]

    return first


def _vjp_of_vjp(first: Callable[..., Any], wanted: tuple[int, ...]) -> Callable[..., Any]:
    """(arrays, cts, vectors) -> cotangents of (wanted arrays, cts) of `first`."""

    def second(arrays: Sequence[Any], cts: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        def grads(varying: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
            full = list(arrays)
            for place, value in zip(wanted, varying, strict=True):
                full[place] = value
            return first(full, cotangents)

        _, pull = jax.vjp(grads, [arrays[i] for i in wanted], list(cts))
        for_inputs, for_cts = pull([_conj(v) for v in vectors])
        return [_conj(s) for s in (*for_inputs, *for_cts)]

    return second
