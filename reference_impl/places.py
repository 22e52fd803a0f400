"""Moving elements by position: the two linear maps from which gradients of overlapping views are
made. Each is the other's transpose, so they can be differentiated any number of times."""

import numpy as np

from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.tensor import make_tensor


def _gather(self, positions):
    return self.reshape(-1)[positions]


def _scatter(self, positions, shape):
    out = np.zeros(shape, self.dtype)
    np.add.at(out.reshape(-1), positions, self)
    return out


rule("_gather_positions", _gather, inputs=("self",), method=False, jvp="linear",
     vjp=lambda ct, ins, y, positions:
     [OPERATIONS["_scatter_positions"].function(ct, positions, ins[0]._size)])
rule("_scatter_positions", _scatter, inputs=("self",), method=False, jvp="linear",
     vjp=lambda ct, ins, y, positions, shape:
     [OPERATIONS["_gather_positions"].function(ct, positions)])


def from_array(array, dtype):
    """A constant of the given dtype."""
    return make_tensor(np.array(array, dtype.np, order="C"), dtype)


composite("from_array", from_array, method=False, function=False, helper=True)
