"""Python's operators on tensors: each is the operation of the table."""

from reference_impl.dispatch import FUNCTIONS
from reference_impl.graph import Unsaved
from reference_impl.promotion import NUMBER
from reference_impl.tensor import Tensor

BINARY = {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_divide",
          "mod": "remainder", "pow": "pow", "matmul": "matmul", "and": "bitwise_and",
          "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift",
          "rshift": "bitwise_right_shift"}
COMPARE = {"eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge"}
UNARY = {"neg": "neg", "abs": "abs", "invert": "bitwise_not"}



def _binary(name):
    def operator(self, other):
        return FUNCTIONS[name](self, other) if isinstance(
            other, (Tensor, Unsaved, *NUMBER)) else NotImplemented
    return operator


def _reflected(name):
    commutes = name in ("add", "mul", "bitwise_and", "bitwise_or", "bitwise_xor")

    def operator(self, other):
        if not isinstance(other, (Tensor, Unsaved, *NUMBER)):
            return NotImplemented
        return FUNCTIONS[name](self, other) if commutes else FUNCTIONS[name](other, self)
    return operator


def _over(name):
    def operator(self, other):
        return FUNCTIONS[name](self, other) if isinstance(
            other, (Tensor, *NUMBER)) else NotImplemented
    return operator


for _python, _torch in BINARY.items():
    setattr(Tensor, f"__{_python}__", _binary(_torch))
    setattr(Tensor, f"__r{_python}__", _reflected(_torch))
    if _torch not in ("matmul",):
        setattr(Tensor, f"__i{_python}__", _over(_torch + "_"))
for _python, _torch in COMPARE.items():
    setattr(Tensor, f"__{_python}__", _binary(_torch))
for _python, _torch in UNARY.items():
    setattr(Tensor, f"__{_python}__", (lambda name: lambda self: FUNCTIONS[name](self))(_torch))
Tensor.__pos__ = lambda self: self
Tensor.__hash__ = object.__hash__       # identity, as in torch, although == compares elements
