"""torch._C: how far a backward has come, and other things that few need to see.

Private in torch, too; PyTorch's own tests, debuggers and checkpointing look through these doors.
"""

import weakref
from types import SimpleNamespace

from reference_impl import forward_ad
from reference_impl.engine import current, execution_order
from reference_impl.errors import Argument, ArgumentType
from reference_impl.grad_mode import is_grad_enabled, state
from reference_impl.nodes import AccumulateGrad, DelayedError, Node, UndefinedGrad
from reference_impl.saved_hooks import increment_version as _increment_version
from reference_impl.saving import SavedTensor, keep, packing

__all__ = ["_WeakTensorRef", "_autograd", "_current_autograd_node", "_current_graph_task_execution_order",
           "_current_graph_task_id", "_functions", "_increment_version", "_is_alias_of",
           "_will_engine_execute_node", "is_grad_enabled"]

_set_fwd_grad_enabled, _is_fwd_grad_enabled = forward_ad.set_enabled, forward_ad.is_enabled
_functions = SimpleNamespace(AccumulateGrad=AccumulateGrad, DelayedError=DelayedError,
                             UndefinedGrad=UndefinedGrad)


def _current_autograd_node():
    """The node whose backward, or whose hook, runs now; None outside of backward."""
    return current.node


def _is_alias_of(first, second):
    """Whether two tensors share their memory."""
    return first._storage is second._storage


def _current_graph_task_id():
    """The number of the backward that runs now, -1 outside. Each has its own, in order."""
    return current.number


def _current_graph_task_execution_order():
    """The nodes of the backward that runs now, in order. Raises Argument outside of one."""
    if current.task is None:
        raise Argument("_current_graph_task_execution_order should only be called during the backward "
                       "pass")
    if state.multithreading:
        raise Argument("get_current_graph_task_execution_order expects the current backward to be "
                       "executed with multithreading disabled, e.g. within "
                       "torch.autograd.set_multithreading_enabled(False)")
    return execution_order(current.task)


def _will_engine_execute_node(node):
    """Whether the backward that runs now runs this node. Raises Argument outside of one."""
    if not isinstance(node, Node):
        raise Argument(f"_will_engine_execute_node expects an grad_fn, but got {type(node).__name__}")
    task = current.task
    if task is None:
        raise Argument("_get_should_execute_nodes should only be called during the backward pass")
    if node not in task.nodes or not task.reaches(node):
        return False
    if not node.edges and node in task.captured_at:
        raise Argument("A leaf node was passed to _will_engine_execute_node but we are currently "
                       "running autograd.grad(). This is currently not supported.")
    return True


class _WeakTensorRef:
    """A reference that does not keep its tensor alive."""

    def __init__(self, tensor):
        self._ref = weakref.ref(tensor)

    def expired(self):
        return self._ref() is None


def _make_saved_tensor(tensor, is_output):
    """A tensor kept as an operation would keep it, through the hooks that are in force."""
    return keep(tensor, is_output)


def _unsafe_set_version_counter(tensors, versions):
    """Set how often each tensor was written. Raises ArgumentType, Argument."""
    if not isinstance(tensors, tuple) or not isinstance(versions, tuple):
        raise ArgumentType("expected a tuple of tensors and a tuple of versions")
    for t, version in zip(tensors, versions, strict=True):
        if version < 0:
            raise Argument(f"Cannot set a version_counter to a value below 0: {version}")
        t._counter.value = version


def _get_current_graph_task_keep_graph():
    """Whether the backward that runs now leaves the graph for another; True outside of one."""
    return current.task is None or current.task.keep_graph


def _saved_tensors_hooks_is_enabled():
    return packing.disabled is None


_autograd = SimpleNamespace(SavedTensor=SavedTensor, _make_saved_tensor=_make_saved_tensor,
                            _get_current_graph_task_keep_graph=_get_current_graph_task_keep_graph,
                            _saved_tensors_hooks_is_enabled=_saved_tensors_hooks_is_enabled,
                            _unsafe_set_version_counter=_unsafe_set_version_counter)
