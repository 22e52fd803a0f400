"""Functions of three tensors: lerp, addcmul, addcdiv.

In a line, ct is the cotangent, ins the inputs, y the result, t the tangents. The derivatives and
what is kept for them are those of PyTorch's tools/autograd/derivatives.yaml.
"""

import numpy as np

from reference_impl.errors import DtypeUnsupported
from reference_impl.rule import rule


def lerp(self, end, weight):
    """self + weight (end - self), written so that the end is exact at weight 1."""
    near = np.abs(weight) < 0.5
    return np.where(near, self + weight * (end - self), end - (end - self) * (1 - weight))


rule("lerp", lerp, inputs=("self", "end", "weight"), promote="same", layout="elementwise",
     inplace=True, helper=True, node="LerpBackward1", accepts="float complex",
     saves={"self": ("weight",), "end": ("weight",), "weight": ("self", "end")},
     vjp=lambda ct, ins, y: [ct * (1 - ins[2]).conj(), ct * ins[2].conj(),
                             ct * (ins[1] - ins[0]).conj()],
     jvp=lambda t, ins, y: t[0] * (1 - ins[2]) + t[1] * ins[2] + t[2] * (ins[1] - ins[0]))


def lerp_number(self, end, weight):
    number = np.asarray(weight).astype(self.dtype)
    return lerp(self, end, number)


rule("lerp.Scalar", lerp_number, inputs=("self", "end"), promote="same", layout="elementwise",
     inplace=True, helper=True, node="LerpBackward0", accepts="float complex",
     vjp=lambda ct, ins, y, weight: [ct * (1 - weight.conjugate()), ct * weight.conjugate()],
     jvp=lambda t, ins, y, weight: t[0] * (1 - weight) + t[1] * weight)


def weighed(value, dtype):
    if isinstance(value, float) and dtype.kind in "biu":
        raise DtypeUnsupported("For integral input tensors, argument value must not be a floating "
                               "point number.")
    return np.asarray(value).astype(dtype)


rule("addcmul", lambda self, tensor1, tensor2, *, value=1:
     self + weighed(value, self.dtype) * tensor1 * tensor2, inputs=("self", "tensor1", "tensor2"),
     promote="result", inplace=True, helper=True, numbers=False,
     saves={"tensor1": ("tensor2",), "tensor2": ("tensor1",)},
     vjp=lambda ct, ins, y, value: [ct, ct * (ins[2] * value).conj(), ct * (ins[1] * value).conj()],
     jvp=lambda t, ins, y, value: t[0] + (t[1] * ins[2] + ins[1] * t[2]) * value)


def addcdiv(self, tensor1, tensor2, *, value=1):
    if tensor1.dtype.kind in "biu" and tensor2.dtype.kind in "biu":
        raise DtypeUnsupported(
            "Integer division with addcdiv is no longer supported, and in a future  release addcdiv "
            "will perform a true division of tensor1 and tensor2. The historic addcdiv behavior "
            "can be implemented as (input + value * torch.trunc(tensor1 / tensor2)).to(input.dtype) "
            "for integer inputs and as (input + value * tensor1 / tensor2) for float inputs.")
    return self + weighed(value, self.dtype) * tensor1 / tensor2


rule("addcdiv", addcdiv, inputs=("self", "tensor1", "tensor2"), promote="result", inplace=True,
     helper=True, numbers=False,
     saves={"tensor1": ("tensor2",), "tensor2": ("tensor1", "tensor2")},
     vjp=lambda ct, ins, y, value: [
         ct, ct * (value / ins[2]).conj(),
         -ct * (value * ins[1] / (ins[2] * ins[2])).conj()],
     jvp=lambda t, ins, y, value: t[0] + (t[1] - t[2] * ins[1] / ins[2]) / ins[2] * value)
