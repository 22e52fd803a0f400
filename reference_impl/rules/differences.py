"""torch.gradient: derivatives estimated from differences of neighbours.

Inside, the parabola through an element and its two neighbours; at the ends, the line through the
last two (edge_order 1) or the parabola through the last three (edge_order 2).
"""

import reference_impl as torch
from reference_impl import dtypes as dt
from reference_impl.errors import Argument, DtypeUnsupported, ShapeMismatch
from reference_impl.geometry import wrap_dims
from reference_impl.rule import composite
from reference_impl.tensor import Tensor


def evenly(x, dim, step, edge_order):
    """The derivative along dim of values at even distances."""
    n = x.shape[dim]
    inside = (x.narrow(dim, 2, n - 2) - x.narrow(dim, 0, n - 2)) / 2
    if edge_order == 1:
        first = x.narrow(dim, 1, 1) - x.narrow(dim, 0, 1)
        last = x.narrow(dim, n - 1, 1) - x.narrow(dim, n - 2, 1)
    else:
        first, last = (sum(x.narrow(dim, i, 1) * w for i, w in ends) for ends in (
            ((0, -1.5), (1, 2), (2, -0.5)), ((n - 1, 1.5), (n - 2, -2), (n - 3, 0.5))))
    return torch.cat([part / step for part in (first, inside, last)], dim)


def shaped(t, ndim, dim):
    return t.reshape([-1 if d == dim else 1 for d in range(ndim)])


def at_places(x, dim, places, edge_order):
    """The derivative along dim of values at the places of a vector."""
    if places.ndim != 1:
        raise ShapeMismatch("torch.gradient expected each element of spacing to have one dimension, "
                            f"but got an element with {places.ndim} dimensions!")
    n, steps = x.shape[dim], places[1:] - places[:-1]
    a, b = steps[:-1], steps[1:]
    inside = weighted(x, dim, (0, 1, 2), n - 2, (-b / (a * (a + b)), (b - a) / (a * b),
                                                  a / (b * (a + b))))
    if edge_order == 1:
        first = (x.narrow(dim, 1, 1) - x.narrow(dim, 0, 1)) / steps[0]
        last = (x.narrow(dim, n - 1, 1) - x.narrow(dim, n - 2, 1)) / steps[-1]
    else:
        a, b = steps[:1], steps[1:2]
        first = weighted(x, dim, (0, 1, 2), 1, (-(2 * a + b) / (a * (a + b)), (a + b) / (a * b),
                                                -a / (b * (a + b))))
        b, a = steps[-2:-1], steps[-1:]
        last = weighted(x, dim, (n - 1, n - 2, n - 3), 1, (
            (2 * a + b) / (a * (a + b)), -(a + b) / (a * b), a / (b * (a + b))))
    return torch.cat([first, inside, last], dim)


def weighted(x, dim, starts, count, weights):
    return sum(x.narrow(dim, start, count) * shaped(w, x.ndim, dim)
               for start, w in zip(starts, weights, strict=True))


def gradient(input, *, spacing=None, dim=None, edge_order=1):
    """One estimate for each of dim (by default every dimension), as a tuple.

    spacing: one step for all, or for each dimension a step or a vector of places.
    Raises Argument, ShapeMismatch, DtypeUnsupported.
    """
    if input.dtype is dt.uint8:
        raise DtypeUnsupported("torch.gradient does not support uint8 input.")
    if edge_order not in (1, 2):
        raise Argument("torch.gradient only supports edge_order=1 and edge_order=2.")
    dims = range(input.ndim) if dim is None else wrap_dims(dim, input.ndim)
    one = spacing is None or not isinstance(spacing, (tuple, list))
    if one:
        spacing = [1 if spacing is None else spacing] * len(dims)
    elif len(spacing) != len(dims):
        raise ShapeMismatch("torch.gradient expected spacing to be unspecified, a scalar or it's "
                            "spacing and dim arguments to have the same length, but got a spacing "
                            f"argument of length {len(spacing)} and a dim argument of length "
                            f"{len(dims)}.")
    for d in dims:
        if input.shape[d] < edge_order + 1:
            raise ShapeMismatch("torch.gradient expected each dimension size to be at least "
                                "edge_order+1")
    return tuple((at_places if isinstance(step, Tensor) and step.ndim else evenly)(
        input, d, step, edge_order) for d, step in zip(dims, spacing, strict=True))


composite("gradient", gradient, method=False, helper=True)
