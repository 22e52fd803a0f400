"""Nodes that belong to no operation: a gradient that must not be used, and one that is none.

Norm: torch._C._functions, which autograd itself and PyTorch's own tests use.
"""

from reference_impl.errors import ArgumentType, NotDifferentiable
from reference_impl.grad_mode import state
from reference_impl.graph import Node, gradient_edge
from reference_impl.storage import VersionCounter
from reference_impl.tensor import Tensor
from reference_impl.viewing import detached


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
