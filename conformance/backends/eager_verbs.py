"""The verbs in libraries with PyTorch's eager surface: torch itself and the reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from conformance.backends.calls import resolve
from conformance.backends.eager import EagerBackend
from conformance.backends.numbers import np_dtype, to_array
from conformance.backends.numpy_verbs import NumpyVerbs
from conformance.backends.protocol import MissingCapability
from conformance.backends.session import Memory, observe_numpy
from conformance.cases.case import Operand
from conformance.observation import TensorObs
from conformance.specs import OpSpec
from conformance.verbs import VERBS


class EagerVerbs(NumpyVerbs):
    """One program's verbs on torch or the reference."""

    def __init__(self, backend: EagerBackend, ops: Mapping[str, OpSpec]) -> None:
        self.backend, self.ops, self.api = backend, ops, backend.api
        self.warnings = backend.warnings
        self.memory = Memory()

    # the interpreter's side

    def attempt(self, callee: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if callee in VERBS:
            method = getattr(self, callee, None)
            if method is None:
                raise MissingCapability(*VERBS[callee].needs)
            return self.backend.attempt(method, *args, **kwargs)
        op, given = resolve(callee, args, kwargs, self.ops, self.is_array)
        bound = self.backend.bound(op)
        bound.check(given)
        arguments = {**bound.defaults, **given}
        for name, value in given.items():
            if name in bound.dtype_names and isinstance(value, str):
                arguments[name] = self.backend.dtype(value)
            elif name in bound.tensor_names and isinstance(value, list):
                arguments[name] = self.tensor(value)
        return self.backend.attempt(bound.call, arguments)

    def guard(self, name: str) -> AbstractContextManager[Any]:
        return getattr(self.api, name)()

    def is_array(self, value: Any) -> bool:
        return isinstance(value, (self.api.Tensor, np.ndarray))

    def observe(self, values: Iterable[tuple[str, Any]]) -> dict[str, TensorObs]:
        return {name: self._observe(value) for name, value in values}

    def _observe(self, value: Any) -> TensorObs:
        if isinstance(value, np.ndarray):
            return observe_numpy(value, self.memory)
        return self.backend.observe(value, self._group(value), self._observe_grad)

    def _observe_grad(self, tensor: Any) -> TensorObs | None:
        # reading .grad of any other tensor warns, and there is none
        if not (tensor.is_leaf or tensor.retains_grad) or tensor.grad is None:
            return None
        return self._observe(tensor.grad)

    def _group(self, value: Any) -> int:
        if isinstance(value, np.ndarray):
            return self.memory.of_array(value)
        return self.memory.group(*self.backend.extent(value))

    # making tensors

    def _made(self, array: np.ndarray, requires_grad: bool, layout: str = "contiguous") -> Any:
        made = self.backend.build(Operand(array, layout))
        if layout != "contiguous":
            made = made.detach()  # a tensor of that layout, not a view of the memory it lies in
        return made.requires_grad_() if requires_grad else made

    def leaf(self, data, *, dtype=None, layout="contiguous"):
        return self._made(to_array(data, dtype), True, layout)

    def tensor(self, data, *, dtype=None, layout="contiguous", requires_grad=False):
        if isinstance(data, np.ndarray) and dtype is None and layout == "contiguous":
            return self.api.tensor(data, requires_grad=requires_grad)
        return self._made(to_array(data, dtype), requires_grad, layout)

    def zeros(self, size, *, dtype=None, requires_grad=False):
        return self._filled(size, 0.0, dtype, requires_grad)

    def ones(self, size, *, dtype=None, requires_grad=False):
        return self._filled(size, 1.0, dtype, requires_grad)

    def full(self, size, value, *, dtype=None, requires_grad=False):
        return self._filled(size, value, dtype, requires_grad)

    def _filled(self, size, value, dtype, requires_grad):
        size = (size,) if isinstance(size, int) else tuple(size)
        flat = to_array([value] * math.prod(size), dtype or to_array(value, None).dtype.name)
        return self._made(flat.reshape(size), requires_grad)

    def arange(self, start, end=None, step=1, *, dtype=None, requires_grad=False):
        bounds = (0, start) if end is None else (start, end)
        numbers = np.arange(*bounds, step)
        if dtype is None and numbers.dtype == np.float64:
            dtype = "float32"
        return self._made(to_array(numbers, dtype), requires_grad)

    def eye(self, n, *, dtype=None, requires_grad=False):
        return self._made(np.eye(n, dtype=np_dtype(dtype or "float32")), requires_grad)

    def ones_like(self, x):
        return self.api.ones_like(x)

    def zeros_like(self, x):
        return self.api.zeros_like(x)

    # differentiating

    def backward(self, y, ct=None, *, retain_graph=None, create_graph=False):
        y.backward(ct, retain_graph=retain_graph, create_graph=create_graph)

    def grad(self, y, xs, ct=None, *, retain_graph=None, create_graph=False, allow_unused=False):
        grads = self.api.autograd.grad(
            y, xs, ct, retain_graph=retain_graph, create_graph=create_graph,
            allow_unused=allow_unused,
        )  # fmt: skip
        return grads if isinstance(xs, (list, tuple)) else grads[0]

    def grad_of(self, x):
        return x.grad

    def set_grad(self, x, value):
        x.grad = value

    def zero_grad(self, x):
        x.grad = None

    def retain_grad(self, x):
        x.retain_grad()

    def requires_grad_(self, x, flag=True):
        return x.requires_grad_(flag)

    # looking at tensors

    def data(self, x):
        return x.data

    def to(self, x, dtype):
        return x.to(self.backend.dtype(dtype))

    def getitem(self, x, index):
        return x[index]

    def setitem(self, x, index, value):
        x[index] = value

    def is_leaf(self, x):
        return x.is_leaf

    def requires_grad(self, x):
        return x.requires_grad

    def has_grad_fn(self, x):
        return x.grad_fn is not None

    def grad_fn_name(self, x):
        return None if x.grad_fn is None else x.grad_fn.name()

    def version(self, x):
        return x._version

    def is_contiguous(self, x):
        return x.is_contiguous()

    def same_object(self, a, b):
        return a is b

    def shares_memory(self, a, b):
        return self._group(a) == self._group(b)

    def dtype_of(self, x):
        return x.dtype.name if isinstance(x, np.ndarray) else self.backend.dtype_name(x)

    def shape_of(self, x):
        return tuple(x.shape)

    def type_of(self, x):
        return type(x).__name__

    def type_name(self, x):
        return x.type()

    def type_of_shape(self, x):
        return type(x.shape).__name__

    def item(self, x):
        return x.item()

    def cuda_is_available(self):
        return self.backend.has_gpu()

    # exchange with NumPy

    def numpy(self, x):
        return x.numpy()

    def from_numpy(self, a):
        return self.api.from_numpy(a)

    def asarray(self, a):
        return self.api.as_tensor(a)

    def array(self, a):
        return self.api.tensor(a)
