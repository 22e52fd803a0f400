"""torch.autograd.graph: hooks on what is saved for backward, edges of the graph, many hooks at once."""

import abc
from collections import namedtuple

from reference_impl import nodes
from reference_impl.errors import ArgumentValue, NotLeaf
from reference_impl.hooks import RemovableHandle
from reference_impl.mutation import allow_mutation_on_saved_tensors
from reference_impl.nodes import gradient_edge
from reference_impl.saving import packing
from reference_impl.tensor import Tensor

__all__ = ["GradientEdge", "Node", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks",
           "get_gradient_edge", "increment_version", "register_multi_grad_hook", "save_on_cpu",
           "saved_tensors_hooks"]


class Node(abc.ABC):
    """What every step of the graph is an instance of, without being made by it."""

    @classmethod
    def __subclasshook__(cls, other):
        return cls is Node and issubclass(other, nodes.Node) or NotImplemented


GradientEdge = namedtuple("GradientEdge", "node output_nr ownership_token", defaults=(None,))


class saved_tensors_hooks:
    """Within it what operations save goes through pack_hook, and through unpack_hook when used."""

    def __init__(self, pack_hook, unpack_hook):
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self):
        if packing.disabled is not None:
            raise RuntimeError(packing.disabled)
        packing.stack.append((self.pack_hook, self.unpack_hook))

    def __exit__(self, *exc_info):
        packing.stack.pop()


class save_on_cpu(saved_tensors_hooks):
    """Keeps copies of what is saved. There is no other device to keep them away from."""

    def __init__(self, pin_memory=False, device_type="cuda"):
        super().__init__(lambda t: t.clone(), lambda t: t)


class disable_saved_tensors_hooks:
    """Within it saved_tensors_hooks raises with the given message."""

    def __init__(self, error_message):
        self.message = error_message

    def __enter__(self):
        self._before, packing.disabled = packing.disabled, self.message
        if packing.stack:
            packing.disabled = self._before
            raise RuntimeError(self.message)

    def __exit__(self, *exc_info):
        packing.disabled = self._before

    def __call__(self, function):
        def decorated(*args, **kwargs):
            with type(self)(self.message):
                return function(*args, **kwargs)
        return decorated


def get_gradient_edge(tensor):
    """Where the gradient of `tensor` is collected. Raises for one that requires none."""
    edge = gradient_edge(tensor)
    if edge is None:
        raise NotLeaf("It is not possible to get the gradient edge for a Tensor that does not "
                      "require gradients")
    return GradientEdge(*edge)


def increment_version(tensor):
    """Count a write that torch cannot see."""
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        t._counter.value += 1


class _Handles(RemovableHandle):
    def __init__(self, handles):
        self.handles, self.id = handles, id(self)

    def remove(self):
        for handle in self.handles:
            handle.remove()


def register_multi_grad_hook(tensors, fn, *, mode="all"):
    """Call fn once all gradients of `tensors` are there (mode "any": with the first of them).

    fn gets a list, None where a tensor takes no part in this backward, or the one gradient.
    """
    if mode not in ("all", "any"):
        raise ArgumentValue(f"Expects mode to be one of ('all', 'any') but got {mode}")
    tensors = list(tensors)
    seen = {}

    def expected():
        """How many of the tensors the running backward will reach."""
        from reference_impl.engine import current
        nodes = [gradient_edge(t)[0] for t in tensors]
        return sum(node in current.reachable and current.task.reaches(node) for node in nodes)

    def hook_of(i):
        def hook(grad):
            from reference_impl.engine import current
            if seen.get("pass") is not current.number:
                seen.clear()
                seen.update({"pass": current.number, "grads": [None] * len(tensors), "count": 0})
            seen["count"] += 1
            if mode == "any":
                if seen["count"] == 1:
                    fn(grad)
                return
            seen["grads"][i] = grad
            if seen["count"] == expected():
                fn(seen["grads"])
        return hook
    return _Handles([t.register_hook(hook_of(i)) for i, t in enumerate(tensors)])
