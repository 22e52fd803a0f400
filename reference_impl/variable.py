"""torch.autograd.Variable: what tensors were once wrapped in, and the engine's front."""

from reference_impl.engine import queue_callback
from reference_impl.errors import ArgumentType
from reference_impl.tensor import Tensor
from reference_impl.viewing import detached


class _Engine:
    """What `Variable._execution_engine` shows of the engine."""

    queue_callback = staticmethod(queue_callback)


class _VariableMeta(type):
    def __instancecheck__(cls, other):
        return isinstance(other, Tensor)


class Variable(metaclass=_VariableMeta):
    """Variable(data=None, requires_grad=False): a leaf on the memory of `data`.

    Every tensor is an instance. Kept in torch for programs from before tensors had gradients.
    """

    _execution_engine = _Engine()

    def __new__(cls, data=None, requires_grad=None, volatile=None):
        if data is None:
            from reference_impl.creation import empty
            data = empty(0)
        if not isinstance(data, Tensor):
            raise ArgumentType(f"Variable data has to be a tensor, but got {type(data).__name__}")
        return detached(data).requires_grad_(bool(requires_grad))
