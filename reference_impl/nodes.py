"""The graph that backward walks: nodes, edges, and the nodes that belong to no operation.

An edge is (node, output number), or None where no gradient flows. Nodes point from results to
inputs; nothing points the other way, so a graph lives as long as some result does. `graph.py` has
the nodes that operations make.
"""

import itertools
import re
import weakref
from collections import namedtuple

from reference_impl import anomaly
from reference_impl.errors import ArgumentType, NotDifferentiable
from reference_impl.grad_mode import state
from reference_impl.hooks import HookTable, add_hook, call_observers
from reference_impl.storage import VersionCounter
from reference_impl.tensor import Size, Tensor, collected_dtype

_sequence = itertools.count()
STAMP = re.compile(r"Backward\d*$")      # error messages leave it out
InputMetadata = namedtuple("InputMetadata", "shape dtype device is_nested_tensor is_cpp_nested_tensor")


class Node:
    """One step of the graph. Subclasses say in `backward` how cotangents go through it.

    edges: where each result of `backward` goes. metas: (size, dtype) of each output, which the
    engine holds cotangents to.
    """

    __slots__ = (
        "__weakref__",
        "_metadata",
        "edges",
        "hooks",
        "metas",
        "pre_hooks",
        "retained",
        "sequence",
        "tensor_hooks",
    )
    builtin = False      # torch names nodes of its engine with their namespace

    def __init__(self, edges, metas):
        self.edges, self.metas, self.sequence = edges, metas, next(_sequence)
        self.hooks = self.pre_hooks = self.tensor_hooks = self.retained = None
        self._metadata = None
        if anomaly.mode.enabled:
            anomaly.remember(self)

    @property
    def metadata(self):
        """A dict for whoever wants to note something about this node."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    def __repr__(self):
        return f"<{type(self).__name__} object at {id(self):#x}>"

    def name(self):
        name = type(self).__name__
        return f"torch::autograd::{name}" if self.builtin else name

    @property
    def next_functions(self):
        return tuple((None, 0) if e is None else e for e in self.edges)

    @property
    def _input_metadata(self):
        """What the cotangent of each output has to be like."""
        from reference_impl.creation import CPU
        return [InputMetadata(Size(size), dtype, CPU, False, False) for size, dtype in self.metas]

    requires_grad = True

    def _sequence_nr(self):
        return self.sequence

    def _set_sequence_nr(self, number):
        """Change when backward takes this node among those that wait for nothing."""
        self.sequence = number

    def backward(self, cts):
        """Cotangents of the inputs, one per edge (None: none). cts: one per output or None."""
        raise NotImplementedError

    def register_hook(self, hook):
        """Call hook(cotangents out, cotangents in) after this node ran; it may replace the former."""
        if self.hooks is None:
            self.hooks = HookTable()
        return add_hook(self.hooks, hook)

    def register_prehook(self, hook):
        """Call hook(cotangents in) before this node runs; it may replace them."""
        if self.pre_hooks is None:
            self.pre_hooks = HookTable()
        return add_hook(self.pre_hooks, hook)

    def release(self):
        """Free what was kept for backward."""

    def __call__(self, *cts):
        """This step alone: cotangents of the inputs, one or a tuple. Raises ArgumentType."""
        from reference_impl.engine import fitted
        if len(cts) != len(self.metas):
            raise ArgumentType(f"expected {len(self.metas)} arguments, got {len(cts)} instead")
        for i, ct in enumerate(cts):
            if ct is not None and not isinstance(ct, Tensor):
                raise ArgumentType(f"argument {i} is not a Variable")
        out = fitted(self, self.backward(list(cts)))
        return out[0] if len(out) == 1 else tuple(out)


class AccumulateGrad(Node):
    """The end of a path: adds what arrives to the leaf's `.grad`."""

    __slots__ = ("variable",)
    builtin = True

    def __init__(self, variable):
        super().__init__((), ((variable._size, collected_dtype(variable)),))
        self.sequence = float("inf")     # as in torch: leaves are served as soon as they are ready
        self.variable = variable

    def backward(self, cts):
        from reference_impl.accumulate import accumulate
        if cts[0] is not None and self.variable.requires_grad:
            accumulate(self.variable, cts[0])
            if self.variable._hooks:
                call_observers(self.variable._hooks, self.variable)
        return ()


def accumulator(leaf):
    """The one AccumulateGrad node of a leaf, made on first need."""
    node = leaf._accumulator_ref and leaf._accumulator_ref()
    if node is None:
        node = AccumulateGrad(leaf)
        leaf._accumulator_ref = weakref.ref(node)
        if leaf._tensor_hooks is not None:
            node.tensor_hooks = {0: leaf._tensor_hooks}
    return node


def gradient_edge(t):
    """Where a cotangent of `t` goes; None when it requires no grad."""
    if t._view is not None:
        from reference_impl.viewing import refresh
        refresh(t)
    if t._node is not None:
        return (t._node, t._nr)
    return (accumulator(t), 0) if t._leaf_grad else None


# --- torch._C._functions: what autograd itself and PyTorch's own tests use

class Error(Node):
    """Backward through it fails."""

    __slots__ = ("message",)
    builtin = True

    def __init__(self, message, edges, metas):
        super().__init__(edges, metas)
        self.message = message

    def backward(self, cts):
        raise NotDifferentiable(self.message)


class UndefinedGradBackward(Node):
    """Hands on no cotangent at all."""

    __slots__ = ()

    def backward(self, cts):
        return [None] * len(self.edges)


class DelayedError(Node):
    """DelayedError(message, n)(*tensors): the tensors, n of them, behind an Error."""

    __slots__ = ("count", "message")

    def __init__(self, message, num_inputs):
        super().__init__((), ())
        self.message = message.decode() if isinstance(message, bytes) else message
        self.count = num_inputs

    def __call__(self, *tensors):
        if len(tensors) != self.count:
            raise ArgumentType(f"expected {self.count} arguments, got {len(tensors)} instead")
        from reference_impl.viewing import detached
        return behind(lambda edges, metas: Error(self.message, edges, metas), tensors,
                      lambda t: detached(t, VersionCounter()))


class UndefinedGrad(Node):
    """UndefinedGrad()(*tensors): copies that no cotangent comes back from."""

    __slots__ = ()

    def __init__(self):
        super().__init__((), ())

    def __call__(self, *tensors):
        return behind(UndefinedGradBackward, tensors, lambda t: t.detach().clone())


def behind(make_node, tensors, copied):
    """Copies of `tensors` (some may be None) that share one node, made of edges and metas.

    Returns the only copy, or a tuple; without history when no tensor requires grad.
    """
    outputs = tuple(None if t is None else copied(t) for t in tensors)
    if state.enabled and any(t is not None and t.requires_grad for t in tensors):
        node = make_node(tuple(None if t is None else gradient_edge(t) for t in tensors),
                         tuple(((), None) if o is None else (o._size, o.dtype) for o in outputs))
        for nr, out in enumerate(outputs):
            if isinstance(out, Tensor):
                out._node, out._nr = node, nr
    return outputs[0] if len(outputs) == 1 else outputs
