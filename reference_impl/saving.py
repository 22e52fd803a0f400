"""What a node keeps of a tensor for backward, and the hooks through which it goes.

An input is kept as it is, the very tensor. A result is kept as another handle on the same memory:
the node that keeps it is its own history, and the two would hold each other. Both remember the
version the tensor had. With a pair of hooks in force, what `pack` returns is kept instead, and no
version is checked: what `unpack` returns may be anything. Norm: torch docs, "Hooks for autograd
saved tensors".
"""

import threading
import weakref

from reference_impl.errors import (
    Argument,
    ArgumentType,
    GraphFreed,
    InferenceMisuse,
    SavedTensorModified,
    shape_text,
)
from reference_impl.grad_mode import no_grad
from reference_impl.tensor import Tensor, shallow


class _Packing(threading.local):
    """The pairs (pack, unpack) through which saved tensors go, the last one first in force."""

    disabled = None

    def __init__(self):
        self.stack = []


packing = _Packing()

# in the place of a tensor: a pack hook has taken it; it was freed; there was none
PACKED, FREED, NOTHING = object(), object(), object()
RETAIN = ("Saved intermediate values of the graph are freed when you call .backward() or "
          "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a "
          "second time or if you need to access saved {} after calling backward.")


def graph_freed():
    return GraphFreed("Trying to backward through the graph a second time (or directly access saved "
                      "tensors after they have already been freed). " + RETAIN.format("tensors"))


def keep(t, is_result=False):
    """A SavedTensor of `t`, which may be None. is_result: the node that keeps it made it.

    Raises InferenceMisuse.
    """
    self = object.__new__(SavedTensor)
    self.is_result, self.node, self.nr, self.recorded = is_result, None, 0, False
    self.packed = self.unpack_hook = None
    if t is None:
        self.tensor, self.version = NOTHING, 0
        return self
    if t._inference:
        raise InferenceMisuse(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created "
            "in inference mode in computation tracked by autograd. To work around this, you can "
            "make a clone to get a normal tensor and use it in autograd, or use "
            "`torch.no_grad()` instead of `torch.inference_mode()`.")
    self.version, self.nr, self.recorded = t._counter.value, t._nr, t._node is not None
    if packing.stack and not t._wrapped:         # users do not get to see a number's tensor
        self._pack(t, *packing.stack[-1])
    else:
        self.tensor = shallow(t) if is_result else t
    return self


class SavedTensor:
    """A tensor that a node keeps. Made by `keep` alone."""

    __slots__ = ("is_result", "node", "nr", "packed", "recorded", "tensor", "unpack_hook", "version")

    def __init__(self):
        raise Argument("Trying to create a SavedTensor object from Python is forbidden.")

    @property
    def data(self):
        """What is kept: the tensor, what the pack hook returned, or None."""
        if self.tensor is PACKED:
            return self.packed
        return self.tensor if isinstance(self.tensor, Tensor) else None

    def _pack(self, t, pack, unpack):
        from reference_impl.nodes import gradient_edge
        if not self.is_result:
            self.node, self.nr = gradient_edge(t) or (None, t._nr)
        version = t._counter.value
        with no_grad():
            self.packed = pack(t)
        if t._counter.value != version:
            raise Argument(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input "
                "to pack hook cannot be modified by in-place operations as this can lead to "
                "unexpected side-effects. Please open an issue if you need to perform in-place "
                "operations on the input to a pack hook.")
        self.tensor, self.unpack_hook = PACKED, unpack

    def register_hooks(self, *hooks):
        """register_hooks(pack, unpack): let this tensor alone go through a pair of hooks.

        Raises ArgumentType; Argument when it has hooks, was freed, or is None.
        """
        if len(hooks) != 2 or not all(map(callable, hooks)):
            raise ArgumentType("register_hooks(): incompatible function arguments. The following "
                               "argument types are supported: (pack: Callable, unpack: Callable)")
        if self.tensor is FREED:
            raise Argument("Calling register_hooks on a saved tensor after it has been freed. "
                           + RETAIN.format("variables"))
        if self.tensor is NOTHING:
            raise Argument("Calling register_hooks on a saved tensor with value None is forbidden")
        if self.tensor is PACKED:
            raise Argument("Calling register_hooks on a saved tensor whose hooks have already been "
                           "set. Hint: only one pair of hooks is allowed at a time.")
        self._pack(self.tensor, *hooks)

    def release(self):
        if self.tensor is not NOTHING:
            self.tensor = FREED
        self.packed = None

    def unpack(self, owner=None):
        """The tensor as it was, with its place in the graph. owner: the node that keeps it.

        Raises GraphFreed or SavedTensorModified.
        """
        t = self.tensor
        if t is NOTHING:
            return None
        if t is FREED:
            raise graph_freed()
        node = owner if self.is_result else self.node
        if t is PACKED:
            t = self._unpacked()
            if node is None and not t.requires_grad:
                return t
        elif t._counter.value != self.version:
            raise self._modified(t, owner)
        elif not self.is_result:
            if self.recorded and t._node is None:
                raise Argument("Trying to use a saved tensor that has been detached in-place, i.e. with "
                               ".detach_(). This is not supported, please use out-of-place `.detach()` "
                               "instead")
            return t
        out = placed(shallow(t), node, self.nr)
        if t._tangent is not None:
            from reference_impl.forward_ad import set_tangent
            set_tangent(out, t._tangent)
        return out

    def _unpacked(self):
        t = self.unpack_hook(self.packed)
        if not isinstance(t, Tensor):
            raise TypeError("Output of saved tensor unpack_hook expected to be a Tensor but got result "
                            f"of type {type(t).__name__}")
        return t

    def _modified(self, t, owner):
        from reference_impl.nodes import STAMP, gradient_edge
        node, nr = owner, self.nr
        if not self.is_result:
            node, nr = gradient_edge(t) or (None, 0)      # refuses some views in words of their own
        made = ""
        if node is not None and node.edges:
            made = f", which is output {nr} of {STAMP.sub('', node.name())},"
        return SavedTensorModified(
            "one of the variables needed for gradient computation has been modified by an inplace "
            f"operation: [torch.{t.dtype.scalar_name}Tensor {shape_text(t._size)}]{made} is at "
            f"version {t._counter.value}; expected version {self.version} instead. Hint: enable "
            "anomaly detection to find the operation that failed to compute its gradient, with "
            "torch.autograd.set_detect_anomaly(True).")


def placed(t, node, nr):
    """`t`, which nobody else holds, at a place in the graph."""
    from reference_impl.nodes import AccumulateGrad
    if node is not None and t.dtype.is_differentiable:
        if isinstance(node, AccumulateGrad):
            t._leaf_grad, t._accumulator_ref = True, weakref.ref(node)
        else:
            t._node, t._nr = node, nr
    return t
