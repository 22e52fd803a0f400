"""Python's operators on tensors: each is the operation of the table."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.dispatch import FUNCTIONS
from reference_impl.errors import Argument, ArgumentType
from reference_impl.promotion import NUMBER
from reference_impl.rule import rule
from reference_impl.tensor import Tensor
from reference_impl.unsaved import Unsaved

BINARY = {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_divide",
          "mod": "remainder", "pow": "pow", "matmul": "matmul", "and": "bitwise_and",
          "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift",
          "rshift": "bitwise_right_shift"}
COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")
UNARY = {"neg": "neg", "abs": "abs", "invert": "bitwise_not"}



OPERANDS = (Tensor, Unsaved, *NUMBER)
COMMUTES = ("add", "mul", "bitwise_and", "bitwise_or", "bitwise_xor")


def _binary(name):
    operands = (Tensor, Unsaved) if name == "matmul" else OPERANDS

    def operator(self, other):
        return FUNCTIONS[name](self, other) if isinstance(other, operands) else NotImplemented
    return operator


def _unary(name):
    return lambda self: FUNCTIONS[name](self)


def _reflected(name):
    def operator(self, other):
        if not isinstance(other, OPERANDS):
            return NotImplemented
        if name in COMMUTES:
            return FUNCTIONS[name](self, other)
        if name == "div":                      # torch divides by way of the reciprocal
            return self.reciprocal() * other
        return FUNCTIONS["rsub" if name == "sub" else name](*(
            (self, other) if name == "sub" else (other, self)))
    return operator


def _subtracted_from(self, other, *, alpha=1):
    from reference_impl.rules.arithmetic import scaled
    return np.subtract(other, scaled(self, alpha))


rule("rsub", _subtracted_from, inputs=("self", "other"), promote="result", helper=True,
     node="RsubBackward1", method=False, jvp=lambda t, ins, y, alpha: t[1] - t[0] * alpha,
     vjp=lambda ct, ins, y, alpha: [-ct if alpha == 1 else ct * -alpha, ct])


def contains(self, element):
    if not isinstance(element, OPERANDS):
        raise Argument("Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
                       f"{type(element)}.")
    return bool((self == element).any())


def delete_item(self, key):
    raise TypeError("Tensor does not support deleting items")


def iterate(self):
    if not self._size:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))


for _python, _torch in BINARY.items():
    setattr(Tensor, f"__{_python}__", _binary(_torch))
    setattr(Tensor, f"__r{_python}__", _reflected(_torch))
    if _torch != "matmul":
        setattr(Tensor, f"__i{_python}__", _binary(_torch + "_"))
for _python in COMPARE:
    setattr(Tensor, f"__{_python}__", _binary(_python))
def inverted(self):
    if self.dtype.category > dt.INT:
        raise ArgumentType("~ (operator.invert) is only implemented on integer and Boolean-type "
                           "tensors")
    return FUNCTIONS["bitwise_not"](self)


for _python, _torch in UNARY.items():
    setattr(Tensor, f"__{_python}__", _unary(_torch))
Tensor.__invert__ = inverted
Tensor.__pos__ = lambda self: self
Tensor.__hash__ = object.__hash__       # identity, as in torch, although == compares elements
Tensor.__contains__, Tensor.__iter__, Tensor.__delitem__ = contains, iterate, delete_item
