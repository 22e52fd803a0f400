"""The verbs in jax: every step is pure, so a program is a graph of calls that can be run again.

A variable is a `Node`: its value, and the call that made it. `backward(y)` makes of y a function
of the leaves by running its calls again, and asks jax for the vjp of that function; what comes
out is shown as the `.grad` of the leaves. jax has no `.grad` to add to: a second cotangent for
the same leaf is the missing capability `accumulated_grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.backends.calls import resolve
from conformance.backends.errors import ErrorTable
from conformance.backends.numbers import np_dtype, to_array
from conformance.backends.numpy_verbs import NumpyVerbs
from conformance.backends.protocol import MissingCapability
from conformance.backends.session import Memory, observe_numpy
from conformance.observation import TensorObs
from conformance.specs import OpSpec
from conformance.verbs import VERBS

_NO_WARNINGS = ErrorTable(())  # jax documents none of the closed list


@dataclass(eq=False)
class Call:
    """A pure function of arrays, and the nodes it was called with; gives a list of arrays."""

    function: Callable[[list[Any]], list[Any]]
    parents: tuple[Node, ...]


@dataclass(eq=False)
class Node:
    """One array. call: what made it, as its output number `place`; None for an input."""

    value: Any
    call: Call | None = None
    place: int = 0
    leaf: bool = False
    grad: Node | None = None


@dataclass(frozen=True, eq=False)
class Pullback:
    """jax's own vjp function of one call."""

    function: Callable[..., Any]


class JaxVerbs(NumpyVerbs):
    """One program's verbs on jax. `jax` is the module, which only the backend imports."""

    warnings = _NO_WARNINGS

    def __init__(self, backend: Any, jax: Any, ops: Mapping[str, OpSpec]) -> None:
        self.backend, self.jax, self.jnp, self.ops = backend, jax, jax.numpy, ops
        self.memory = Memory()

    # the interpreter's side

    def attempt(self, callee: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if callee in VERBS:
            method = getattr(self, callee, None)
            if method is None:
                raise MissingCapability(*VERBS[callee].needs)
            return self.backend.attempt(method, *args, **kwargs)
        function, nodes = self._pure(callee, args, kwargs)
        return self.backend.attempt(self._record, function, nodes)

    def guard(self, name: str) -> AbstractContextManager[Any]:
        raise MissingCapability(*VERBS[name].needs)

    def is_array(self, value: Any) -> bool:
        return isinstance(value, (Node, np.ndarray))

    def observe(self, values: Iterable[tuple[str, Any]]) -> dict[str, TensorObs]:
        return {name: self._observe(value) for name, value in values}

    def _observe(self, value: Any) -> TensorObs:
        if isinstance(value, np.ndarray):
            return observe_numpy(value, self.memory)
        return self.backend.observe(value.value, value.grad and self._observe(value.grad))

    # recording

    def _pure(
        self, callee: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Callable[[list[Any]], list[Any]], tuple[Node, ...]]:
        """An operation as a function of the arrays among its arguments.

        Raises MissingCapability for an operation without a jax template, NotExpressible.
        """
        op, given = resolve(callee, args, kwargs, self.ops, self.is_array)
        if not op.jax:
            lacks = op.needs or (("mutation",) if op.parsed.mutates else (f"operation {op.name}",))
            raise MissingCapability(*lacks)
        bound = self.backend.bound(op)
        bound.check(given)
        for name, value in given.items():
            if name in bound.dtype_names and isinstance(value, str):
                given[name] = self.jnp.dtype(value)
            elif name in bound.tensor_names and isinstance(value, (list, np.ndarray)):
                given[name] = Node(self.jnp.array(value))
        arguments = {**bound.defaults, **given}
        nodes = tuple(_nodes(arguments))

        def function(arrays: list[Any]) -> list[Any]:
            result = bound.call(_put(arguments, dict(zip(map(id, nodes), arrays, strict=True))))
            return list(result) if isinstance(result, (tuple, list)) else [result]

        return function, nodes

    def _record(self, function: Callable[[list[Any]], list[Any]], parents: tuple[Node, ...]) -> Any:
        """Call it now, and remember how. Returns one Node, or a tuple of them."""
        results = self.jax.block_until_ready(function([p.value for p in parents]))
        call = Call(function, parents)
        nodes = tuple(Node(value, call, place) for place, value in enumerate(results))
        return nodes[0] if len(nodes) == 1 else nodes

    def _value_in(self, node: Node, known: dict[Any, Any]) -> Any:
        """The node's value where the nodes in `known` have the values given there."""
        if node in known:
            return known[node]
        if node.call is None:
            return node.value
        if node.call not in known:
            parents = [self._value_in(p, known) for p in node.call.parents]
            known[node.call] = node.call.function(parents)
        return known[node.call][node.place]

    def _pull(self, y: Node, xs: Sequence[Node], ct: Any, known: dict[Any, Any]) -> list[Any]:
        """Cotangents of xs in torch's convention; without ct, as jax.grad for a scalar y."""

        def function(values: list[Any]) -> Any:
            return self._value_in(y, {**known, **dict(zip(xs, values, strict=True))})

        primals = [self._value_in(x, dict(known)) for x in xs]
        if ct is None:
            return self._conj(self.jax.grad(function)(primals))
        _, pullback = self.jax.vjp(function, primals)
        return self._conj(pullback(self._conj([ct])[0])[0])

    def _conj(self, arrays: Sequence[Any]) -> list[Any]:
        jnp = self.jnp
        return [jnp.conj(a) if jnp.iscomplexobj(a) else a for a in arrays]

    # making arrays

    def _made(self, array: np.ndarray, leaf: bool) -> Node:
        return Node(self.jax.device_put(array), leaf=leaf)  # the array is nobody else's

    def _numbers(self, data: Any, dtype: str | None) -> np.ndarray:
        """As every library reads a program's numbers, x64 or not: floats are float32."""
        return to_array(np.asarray(data.value) if isinstance(data, Node) else data, dtype)

    def leaf(self, data, *, dtype=None, layout="contiguous"):
        node = self._made(self._numbers(data, dtype), True)
        # jax refuses such a dtype when it differentiates; ask it now, where torch refuses too
        self.jax.eval_shape(self.jax.grad(lambda x: self.jnp.sum(x).real), node.value)
        return node

    def tensor(self, data, *, dtype=None, layout="contiguous", requires_grad=False):
        return self._made(self._numbers(data, dtype), requires_grad)

    def zeros(self, size, *, dtype=None, requires_grad=False):
        return Node(self.jnp.zeros(size, dtype or "float32"), leaf=requires_grad)

    def ones(self, size, *, dtype=None, requires_grad=False):
        return Node(self.jnp.ones(size, dtype or "float32"), leaf=requires_grad)

    def full(self, size, value, *, dtype=None, requires_grad=False):
        dtype = dtype or to_array(value, None).dtype.name
        return Node(self.jnp.full(size, value, dtype), leaf=requires_grad)

    def arange(self, start, end=None, step=1, *, dtype=None, requires_grad=False):
        bounds = (0, start) if end is None else (start, end)
        if dtype is None and any(isinstance(n, float) for n in (*bounds, step)):
            dtype = "float32"
        return Node(self.jnp.arange(*bounds, step, dtype=dtype), leaf=requires_grad)

    def eye(self, n, *, dtype=None, requires_grad=False):
        return Node(self.jnp.eye(n, dtype=dtype or "float32"), leaf=requires_grad)

    def ones_like(self, x):
        return Node(self.jnp.ones_like(x.value))

    def zeros_like(self, x):
        return Node(self.jnp.zeros_like(x.value))

    # differentiating

    def backward(self, y, ct=None, *, retain_graph=None, create_graph=False):
        leaves = [node for node in _reachable(y) if node.leaf]
        if not leaves:
            raise MissingCapability("grad_flags")
        if any(leaf.grad is not None for leaf in leaves):
            raise MissingCapability("accumulated_grad")
        if create_graph:
            raise MissingCapability("retained_graph")
        for leaf, grad in zip(leaves, self._pull(y, leaves, _value(ct), {}), strict=True):
            leaf.grad = Node(grad)

    def grad(self, y, xs, ct=None, *, retain_graph=None, create_graph=False, allow_unused=False):
        wanted = tuple(xs) if isinstance(xs, (list, tuple)) else (xs,)
        seeds = (ct,) if isinstance(ct, Node) else ()
        inputs = tuple(dict.fromkeys((*_inputs(y), *(i for x in wanted for i in _inputs(x)))))

        def function(arrays: list[Any]) -> list[Any]:
            known = dict(zip(inputs, arrays, strict=False))
            # one at a time: an input may itself be computed from another
            cotangent = arrays[-1] if seeds else ct
            return [self._pull(y, [x], cotangent, dict(known))[0] for x in wanted]

        result = self._record(function, (*inputs, *seeds))
        nodes = result if isinstance(result, tuple) else (result,)
        if not create_graph:
            nodes = tuple(Node(node.value) for node in nodes)
        return nodes if isinstance(xs, (list, tuple)) else nodes[0]

    def grad_of(self, x):
        return x.grad

    def vjp_of(self, op, *args, **kwargs):
        # one primal per argument, also where two of them are the same variable
        args = tuple(Node(a.value) if isinstance(a, Node) else a for a in args)
        function, nodes = self._pure(op, args, kwargs)
        return Pullback(self.jax.vjp(lambda *a: function(list(a))[0], *[n.value for n in nodes])[1])

    def pull(self, pullback, ct):
        grads = pullback.function(self._conj([ct.value])[0])
        nodes = tuple(Node(g) for g in self._conj(grads))
        return nodes[0] if len(nodes) == 1 else nodes

    # looking at arrays

    def to(self, x, dtype):
        return self._record(lambda a: [a[0].astype(np_dtype(dtype))], (x,))

    def getitem(self, x, index):
        index = _put(index, {id(n): n.value for n in _nodes(index)})
        return self._record(lambda a: [a[0][index]], (x,))

    def setitem(self, x, index, value):
        x.value[_put(index, {id(n): n.value for n in _nodes(index)})] = _value(value)

    def at_set(self, x, index, value):
        return self._updated("set", x, index, value)

    def at_add(self, x, index, value):
        return self._updated("add", x, index, value)

    def _updated(self, method: str, x: Node, index: Any, value: Any) -> Node:
        index = _put(index, {id(n): n.value for n in _nodes(index)})
        if isinstance(value, Node):
            return self._record(lambda a: [getattr(a[0].at[index], method)(a[1])], (x, value))
        return self._record(lambda a: [getattr(a[0].at[index], method)(value)], (x,))

    def shares_memory(self, a, b):
        return self._group(a) == self._group(b)

    def _group(self, value: Any) -> int:
        if isinstance(value, np.ndarray):
            return self.memory.of_array(value)
        low = value.value.unsafe_buffer_pointer()
        return self.memory.group(low, low + value.value.nbytes, id(value.value), value.value)

    def dtype_of(self, x):
        return _value(x).dtype.name

    def shape_of(self, x):
        return tuple(_value(x).shape)

    def type_of(self, x):
        return "Array" if isinstance(x, Node) else type(x).__name__

    def type_of_shape(self, x):
        return type(x.value.shape).__name__

    def item(self, x):
        return x.value.item()

    def cuda_is_available(self):
        return any(d.platform == "gpu" for d in self.jax.devices())

    # exchange with NumPy

    def numpy(self, x):
        return np.asarray(x.value)

    def asarray(self, a):
        return Node(self.jnp.asarray(a))

    def array(self, a):
        return Node(self.jnp.array(a))

    def np_apply(self, name, *args):
        return super().np_apply(name, *map(_value, args))


def _value(x: Any) -> Any:
    return x.value if isinstance(x, Node) else x


def _nodes(value: Any) -> list[Node]:
    """The nodes in nested arguments, each once, in order."""
    if isinstance(value, Node):
        return [value]
    items = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, (Mapping, list, tuple)):
        return []
    return list(dict.fromkeys(node for item in items for node in _nodes(item)))


def _put(value: Any, arrays: Mapping[int, Any]) -> Any:
    """Nested arguments with every node replaced by its array."""
    if isinstance(value, Node):
        return arrays[id(value)]
    if isinstance(value, Mapping):
        return {name: _put(item, arrays) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_put(item, arrays) for item in value)
    return value


def _reachable(y: Node) -> list[Node]:
    """y and everything it was computed from, each once."""
    found: dict[Node, None] = {}
    waiting = [y]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found[node] = None
            waiting.extend(node.call.parents if node.call else ())
    return list(found)


def _inputs(y: Node) -> list[Node]:
    return [node for node in _reachable(y) if node.call is None]
