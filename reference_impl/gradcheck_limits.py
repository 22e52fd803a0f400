"""What gradcheck asks besides the Jacobians: zeros, nothing at all, and many at once.

Norm: torch docs, torch.autograd.gradcheck: check_undefined_grad, check_batched_grad,
check_batched_forward_grad. Each function raises GradcheckError.
"""

import warnings

import numpy as np

from reference_impl.creation import zeros_like
from reference_impl.jacobians import (
    GradcheckError,
    by_forward,
    continuous,
    differentiable,
    random_directions,
    wanted,
)
from reference_impl.tensor import Tensor


def check_zero_cotangent(func, inputs):
    """Backward is linear in the cotangents: of zeros it makes zeros, each like its input."""
    from reference_impl.autograd import grad
    outputs, xs = differentiable(func(*inputs)), wanted(inputs)
    if not outputs:
        return
    found = grad(outputs, xs, [zeros_like(y.detach()) for y in outputs], allow_unused=True)
    for g, x in zip(found, xs, strict=True):
        if g is None:
            continue
        if np.any(g._array != 0):
            raise GradcheckError("backward not multiplied by grad_output")
        if g.dtype is not x.dtype:
            raise GradcheckError("grad is incorrect type")
        if g._size != x._size:
            raise GradcheckError("grad is incorrect size")


def check_no_cotangent(func, inputs):
    """Backward with no cotangent for any output, and with none for one of several."""
    from reference_impl.autograd import grad
    from reference_impl.nodes import UndefinedGrad
    count = len(differentiable(func(*inputs)))
    for without in [set(range(count)), *({k} for k in range(count if count > 1 else 0))]:
        outputs = [UndefinedGrad()(y) if k in without else y
                   for k, y in enumerate(differentiable(func(*inputs)))]
        if not outputs:
            continue
        try:
            found = grad(outputs, wanted(inputs), [zeros_like(y.detach()) for y in outputs],
                         allow_unused=True)
        except RuntimeError as error:
            _warn_of_undefined()
            raise GradcheckError("Expected backward function to handle undefined output grads.") from error
        if any(g is not None and np.any(g._array != 0) for g in found):
            _warn_of_undefined()
            raise GradcheckError("Expected all input grads to be undefined or zero when all output "
                                 "grads are undefined or zero.")


def _warn_of_undefined():
    warnings.warn("Backwards compatibility: New undefined gradient support checking feature is enabled "
                  "by default, but it may break existing callers of this function. If this is true for "
                  'you, you can call this function with "check_undefined_grad=False" to disable the '
                  "feature", stacklevel=5)


def check_no_tangent(func, inputs):
    """Forward mode with zeros for one input's tangent, and with none, gives the same."""
    from reference_impl import forward_ad
    draw, xs = np.random.default_rng(0), wanted(inputs)
    along = {}
    for x in xs:
        along[id(x)] = zeros_like(x.detach())
        along[id(x)]._array[...] = random_directions(x, draw).real.reshape(x._size)

    def tangents(without, zeros):
        given = []
        for a in inputs:
            if not isinstance(a, Tensor) or not a.requires_grad:
                given.append(a)
            elif a is not without:
                given.append(forward_ad.make_dual(a.detach(), along[id(a)]))
            else:
                given.append(forward_ad.make_dual(a.detach(), zeros_like(a.detach())) if zeros
                             else a.detach())
        return [forward_ad.unpack_dual(y).tangent for y in continuous(func(*given))]
    for x in xs:
        with forward_ad.dual_level():
            pairs = zip(tangents(x, True), tangents(x, False), strict=True)
            for k, (a, b) in enumerate(pairs):
                if a is not None and b is not None and not np.allclose(a._array, b._array):
                    raise GradcheckError(f"Mismatch in tangent values for output with index: {k} when "
                                         "an input has an undefined tangent value.")


def check_batched_backward(func, inputs):
    """Two cotangents in one batched call, and one after the other."""
    from reference_impl.autograd import grad
    from reference_impl.dispatch import FUNCTIONS
    from reference_impl.random import randn_like
    xs = wanted(inputs)
    for j, y in enumerate(differentiable(func(*inputs))):
        cts = [randn_like(y.detach()) for _ in range(2)]
        each = [grad(y, xs, ct, retain_graph=True, allow_unused=True) for ct in cts]
        try:
            at_once = grad(y, xs, FUNCTIONS["stack"](cts), retain_graph=True, allow_unused=True,
                           is_grads_batched=True)
        except RuntimeError as error:
            raise GradcheckError("gradcheck or gradgradcheck failed while testing batched gradient "
                                 f"computation: {error}") from error
        for i, (a, *b) in enumerate(zip(at_once, *each, strict=True)):
            if a is not None and not np.allclose(a._array, np.stack([g._array for g in b])):
                raise GradcheckError(f"gradcheck or gradgradcheck failed while testing batched gradient "
                                     f"computation: output {j}, input {i}: got {a}, expected {b}")


def check_batched_forward(func, inputs):
    """Tangents while passes are batched: what cannot be batched is refused."""
    from reference_impl.grad_mode import batching
    draw = np.random.default_rng(0)
    for x in wanted(inputs):
        for _ in range(2):
            u = random_directions(x, draw)
            each = by_forward(func, inputs, x, u)
            try:
                with batching():
                    at_once = by_forward(func, inputs, x, u)
            except RuntimeError as error:
                raise GradcheckError("gradcheck failed while testing batched gradient computation with "
                                     f"forward-mode AD: {error}") from error
            for a, b in zip(at_once, each, strict=True):
                ta, tb = a[0].tangent, b[0].tangent
                if ta is not None and not np.allclose(ta._array, tb._array):
                    raise GradcheckError("gradcheck failed while testing batched gradient computation "
                                         "with forward-mode AD")
