"""torch.nn.parameter: a tensor that is learned, a leaf by nature."""

from reference_impl.creation import empty
from reference_impl.tensor import Tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """Parameter(data=None, requires_grad=True): a leaf on the memory of `data`.

    What is computed from it is a plain Tensor. Raises Argument for a dtype without gradients.
    """

    def __new__(cls, data=None, requires_grad=True):
        self = (empty(0) if data is None else data).detach().requires_grad_(requires_grad)
        self.__class__ = cls
        return self

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(), self.requires_grad)
        return memo[id(self)]

    def __repr__(self):
        return f"Parameter containing:\n{super().__repr__()}"
