"""gradcheck and gradgradcheck: derivatives by rules against derivatives by small steps.

A central difference of step eps in each element of each input, in both complex directions, gives
the numerical Jacobian; backward with each unit cotangent gives the analytical one. Norm: torch docs,
"Gradcheck mechanics". The fast mode takes the same way here: every element is tried.
"""

import warnings

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.bits import memory, through
from reference_impl.creation import zeros_like
from reference_impl.errors import ArgumentValue
from reference_impl.grad_mode import no_grad
from reference_impl.tensor import Tensor


class GradcheckError(RuntimeError):
    """The two Jacobians differ, or one of them cannot be had."""


def _tuple(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def _differentiable(inputs):
    return [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]


def _outputs(func, inputs):
    """The outputs of func that have a gradient."""
    return [y for y in _tuple(func(*inputs)) if isinstance(y, Tensor) and y.requires_grad]


def _check_inputs(inputs):
    """Raises ValueError when no input requires grad; warns of single precision."""
    if not _differentiable(inputs):
        raise ArgumentValue("gradcheck expects at least one input tensor to require gradient, but "
                            "none of them have requires_grad=True.")
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x.requires_grad:
            continue
        if x.dtype not in (dt.float64, dt.complex128):
            warnings.warn(f"Input #{i} requires gradient and is not a double precision floating "
                          "point or complex. This check will likely fail if all the inputs are not "
                          "of double precision floating point or complex. ", stacklevel=3)
        if any(s == 0 and n > 1 for s, n in zip(x._stride, x._size, strict=True)):
            raise GradcheckError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs "
                "that are non-overlapping to be able to compute the numerical gradients correctly. "
                "You should call .contiguous on the input before passing it to gradcheck.")
        x.retain_grad()


def _values(func, inputs, kept):
    """func's outputs as flat arrays; those that have no gradient are left out, as told by kept."""
    found = [y for y in _tuple(func(*inputs)) if isinstance(y, Tensor)]
    return [y._array.reshape(-1).copy() for i, y in enumerate(found) if i in kept]


def numerical_jacobians(func, inputs, kept, eps):
    """[input][output] -> array (input elements, output elements) of d output / d input.

    For a complex input: the two real directions, as a pair of arrays.
    """
    out = []
    for x in _differentiable(inputs):
        array, rows = memory(x), {1.0: [], 1j: []}
        directions = (1.0, 1j) if x.is_complex() else (1.0,)
        for place in np.ndindex(array.shape):
            before = array[place]
            for unit in directions:
                step = through(np.asarray(eps * unit), x._bits)
                array[place] = before + step
                up = _values(func, inputs, kept)
                array[place] = before - step
                down = _values(func, inputs, kept)
                array[place] = before
                rows[unit].append([(a - b) / (2 * eps) for a, b in zip(up, down, strict=True)])
        out.append([[np.array([r[k] for r in rows[u]]).reshape(array.size, -1)
                     for u in directions] for k in range(len(kept))])
    return out


def analytical_jacobians(func, inputs, nondet_tol=0.0):
    """[input][output] -> array (input elements, output elements): rows of vjp, twice for nondet."""
    from reference_impl.autograd import grad
    xs, outputs = _differentiable(inputs), _outputs(func, inputs)
    result = [[] for _ in xs]
    for y in outputs:
        columns = [[[] for _ in xs] for _ in range(2 if y.is_complex() else 1)]
        for k in range(y.numel()):
            for unit, column in zip((1.0, 1j), columns, strict=False):
                seed = zeros_like(y.detach())
                seed._array[np.unravel_index(k, y._size)] = unit
                for repeat in range(2):
                    found = grad(y, xs, seed, retain_graph=True, allow_unused=True)
                    arrays = [np.zeros(x._size, x.dtype.np) if g is None else g._array
                              for g, x in zip(found, xs, strict=True)]
                    if not repeat:
                        first = arrays
                for i, (a, b) in enumerate(zip(first, arrays, strict=True)):
                    if a.size and np.abs(a - b).max() > nondet_tol:
                        raise GradcheckError(
                            "Backward is not reentrant, i.e., running backward with same input and "
                            "grad_output multiple times gives different values, although analytical "
                            "gradient matches numerical gradient.The tolerance for nondeterminism "
                            f"was {nondet_tol}.")
                    column[i].append(a.reshape(-1).copy())
        for i, x in enumerate(xs):
            result[i].append([np.array(c[i]).reshape(-1, x.numel()).T for c in columns])
    return result, outputs


def _agree(numerical, analytical, x, y, rtol, atol):
    """Whether the real numbers of two Jacobians agree; conjugate Wirtinger for complex ones.

    With u the seed and d_1, d_i the two directional derivatives of y, the gradient by a real x is
    Re(conj(u) d_1) and by a complex x Re(conj(u) d_1) + i Re(conj(u) d_i).
    """
    for unit, found in zip((1.0, 1j), analytical, strict=False):
        parts = [(np.conj(unit) * d).real for d in numerical]
        wanted = parts[0] + 1j * parts[1] if x.is_complex() else parts[0]
        if found.shape != wanted.shape or not np.allclose(found, wanted, rtol, atol,
                                                          equal_nan=True):
            return wanted, found
    return None


def _message(i, j, wanted, found, mode="numerical"):
    return (f"Jacobian mismatch for output {j} with respect to input {i},\n"
            f"{mode}:{wanted}\nanalytical:{found}\n")


def _forward_jacobians(func, inputs, kept):
    """[input][output] -> arrays like the numerical ones, by forward mode."""
    from reference_impl import forward_ad as fwad
    out = []
    for x in _differentiable(inputs):
        directions = (1.0, 1j) if x.is_complex() else (1.0,)
        rows = {u: [] for u in directions}
        for place in np.ndindex(x._size):
            for unit in directions:
                tangent = zeros_like(x.detach())
                tangent._array[place] = unit
                with fwad.dual_level(), no_grad():
                    given = [fwad.make_dual(a, tangent) if a is x else a for a in inputs]
                    found = [y for y in _tuple(func(*given)) if isinstance(y, Tensor)]
                    row = []
                    for k, y in enumerate(found):
                        if k in kept:
                            t = fwad.unpack_dual(y).tangent
                            row.append((np.zeros(y._size, y.dtype.np) if t is None
                                        else t._array).reshape(-1).copy())
                    rows[unit].append(row)
        out.append([[np.array([r[k] for r in rows[u]]).reshape(x.numel(), -1)
                     for u in directions] for k in range(len(kept))])
    return out


def _check(func, inputs, eps, atol, rtol, nondet_tol, undefined, backward_ad, forward_ad):
    inputs = _tuple(inputs)
    _check_inputs(inputs)
    everything = [y for y in _tuple(func(*inputs)) if isinstance(y, Tensor)]
    kept = [i for i, y in enumerate(everything) if y.requires_grad]
    if not kept:
        raise_if_moving(func, inputs, everything, eps)
        return
    numerical = numerical_jacobians(func, inputs, kept, eps)
    xs = _differentiable(inputs)
    if forward_ad:
        ahead = _forward_jacobians(func, inputs, kept)
        for i in range(len(xs)):
            for j in range(len(kept)):
                for wanted, found in zip(numerical[i][j], ahead[i][j], strict=True):
                    if not np.allclose(found, wanted, rtol, atol, equal_nan=True):
                        raise GradcheckError("While considering the forward mode: "
                                             + _message(i, j, wanted, found))
    if backward_ad:
        analytical, outputs = analytical_jacobians(func, inputs, nondet_tol)
        for i, x in enumerate(xs):
            for j, y in enumerate(outputs):
                bad = _agree(numerical[i][j], analytical[i][j], x, y, rtol, atol)
                if bad is not None:
                    raise GradcheckError(_message(i, j, *bad))
        if undefined:
            check_undefined(func, inputs)


def raise_if_moving(func, inputs, outputs, eps):
    """Outputs without a graph must not depend on the inputs."""
    if not outputs:
        return
    numerical = numerical_jacobians(func, inputs, range(len(outputs)), eps)
    if any(np.any(d != 0) for per_input in numerical for pair in per_input for d in pair):
        raise GradcheckError("Numerical gradient for function expected to be zero")


def check_undefined(func, inputs):
    """backward with no cotangent at all must be possible and give none or zeros."""
    from reference_impl.autograd import grad
    outputs = _outputs(func, inputs)
    xs = _differentiable(inputs)
    found = grad(outputs, xs, [zeros_like(y.detach()) for y in outputs], allow_unused=True)
    for g in found:
        if g is not None and np.any(g._array != 0):
            raise GradcheckError("Expected all input grads to be undefined or zero when all output "
                                 "grads are undefined or zero.")


def gradcheck(func, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True,
              nondet_tol=0.0, check_undefined_grad=True, check_grad_dtypes=False,
              check_batched_grad=False, check_batched_forward_grad=False, check_forward_ad=False,
              check_backward_ad=True, fast_mode=False, masked=None):
    """Whether backward (and forward mode) gives the derivatives that small steps show.

    Raises GradcheckError (a RuntimeError) unless raise_exception is False.
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be "
                             "True")
    if not raise_exception:
        try:
            _check(func, inputs, eps, atol, rtol, nondet_tol, check_undefined_grad,
                   check_backward_ad, check_forward_ad)
        except GradcheckError:
            return False
        return True
    _check(func, inputs, eps, atol, rtol, nondet_tol, check_undefined_grad, check_backward_ad,
           check_forward_ad)
    return True


def gradgradcheck(func, inputs, grad_outputs=None, *, eps=1e-6, atol=1e-5, rtol=1e-3,
                  gen_non_contig_grad_outputs=False, raise_exception=True, nondet_tol=0.0,
                  check_undefined_grad=True, check_grad_dtypes=False, check_batched_grad=False,
                  check_fwd_over_rev=False, check_rev_over_rev=True, fast_mode=False,
                  masked=False):
    """gradcheck of the gradient itself, as a function of the inputs and the cotangents."""
    from reference_impl.autograd import grad
    from reference_impl.random import randn_like
    inputs = _tuple(inputs)
    outputs = _outputs(func, inputs)
    if grad_outputs is None:
        seeds = tuple(randn_like(y.detach()).requires_grad_() for y in outputs)
    else:
        seeds = _tuple(grad_outputs)
    count = len(inputs)

    def gradient(*both):
        xs, cts = both[:count], both[count:]
        xs = tuple(x.view_as(x) if isinstance(x, Tensor) and x.requires_grad else x for x in xs)
        wanted = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
        found = grad(_outputs(func, xs), wanted, cts, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None and g.requires_grad)
    return gradcheck(gradient, inputs + seeds, eps=eps, atol=atol, rtol=rtol,
                     raise_exception=raise_exception, nondet_tol=nondet_tol,
                     check_undefined_grad=check_undefined_grad,
                     check_forward_ad=check_fwd_over_rev, check_backward_ad=check_rev_over_rev)
