"""One call on the reference and on torch: values, cotangents and second derivatives in float64.

Both work in float64 on numbers of order 1; what is compared may differ by the rounding of a few
hundred operations, which TOLERANCE bounds (a float64 rounding unit is 1.1e-16).
"""

import numpy as np
import pytest

import reference_impl

torch = pytest.importorskip("torch")
TOLERANCE = 2.0**-53 * 2000


def close(ours, theirs):
    if theirs is None:
        return
    theirs = theirs.detach().numpy()
    ours = np.zeros(theirs.shape) if ours is None else ours.detach().numpy()
    assert ours.shape == theirs.shape
    scale = max(1.0, float(np.abs(theirs).max(initial=0.0)))
    assert np.abs(ours - theirs).max(initial=0.0) <= TOLERANCE * scale


def first(result):
    return result[0] if isinstance(result, tuple) else result


def agree(call, *arrays):
    """`call(torch or reference_impl, *leaves)`: same value, strides, vjp, derivative of the vjp."""
    seen = []
    for library in (reference_impl, torch):
        leaves = [library.from_numpy(np.array(a, np.float64)).requires_grad_() for a in arrays]
        y = first(call(library, *leaves))
        ct = library.from_numpy(np.cos(np.arange(y.numel(), dtype=np.float64)).reshape(y.shape))
        ct.requires_grad_()
        grads = library.autograd.grad([y], leaves, [ct], create_graph=True)
        norm = sum(((g * g).sum() for g in grads[1:]), (grads[0] * grads[0]).sum())
        seconds = library.autograd.grad([norm], [*leaves, ct], allow_unused=True)
        seen.append((y, grads, seconds))
    ours, theirs = seen
    assert ours[0].stride() == theirs[0].stride()
    close(ours[0], theirs[0])
    for pair in zip(ours[1], theirs[1], strict=True):
        close(*pair)
    for pair in zip(ours[2], theirs[2], strict=True):
        close(*pair)


def numbers(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)
