"""gradcheck and gradgradcheck: derivatives by rules against derivatives by small steps.

Norm: torch docs, "Gradcheck mechanics". `jacobians.py` says what is computed; here it is compared.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.errors import Argument, ArgumentValue
from reference_impl.gradcheck_limits import (
    check_batched_backward,
    check_batched_forward,
    check_no_cotangent,
    check_no_tangent,
    check_zero_cotangent,
)
from reference_impl.jacobians import (
    GradcheckError,
    as_columns,
    as_tuple,
    by_backward,
    by_forward,
    by_steps,
    continuous,
    differentiable,
    get_analytical_jacobian,
    get_numerical_jacobian,
    random_directions,
    random_weights,
    real_and_imaginary_inputs,
    real_and_imaginary_outputs,
    unit_directions,
    wanted,
)
from reference_impl.tensor import Tensor

__all__ = ["GradcheckError", "get_analytical_jacobian", "get_numerical_jacobian", "gradcheck",
           "gradgradcheck"]


@dataclass(frozen=True)
class Options:
    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    fast: bool
    dtypes: bool

    def directions(self, x, draw):
        return random_directions(x, draw) if self.fast else unit_directions(x)


def _check_inputs(inputs):
    """Raises ArgumentValue when no input requires grad; warns of single precision."""
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x.requires_grad:
            continue
        if x.dtype not in (dt.float64, dt.complex128):
            warnings.warn(f"Input #{i} requires gradient and is not a double precision floating "
                          "point or complex. This check will likely fail if all the inputs are not "
                          "of double precision floating point or complex. ", stacklevel=4)
        if any(s == 0 and n > 1 for s, n in zip(x._stride, x._size, strict=True)):
            raise Argument(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs "
                "that are non-overlapping to be able to compute the numerical gradients correctly. "
                "You should call .contiguous on the input before passing it to gradcheck.")
    if not wanted(inputs):
        raise ArgumentValue("gradcheck expects at least one input tensor to require gradient, but "
                            "none of them have requires_grad=True.")


# --- a Jacobian against small steps

def _check_backward(func, inputs, options, part=""):
    """Every output's vjp against steps. All outputs are real. part: of which outputs, in messages."""
    everything, draw = as_tuple(func(*inputs)), np.random.default_rng(0)
    xs, outputs = wanted(inputs), differentiable(everything)
    directions = [options.directions(x, draw) for x in xs]
    weights = [random_weights(y, draw) if options.fast else None for y in outputs]
    steps = [by_steps(func, inputs, x, d, options.eps)
             for x, d in zip(xs, directions, strict=True)]
    if not outputs:
        _refuse_motion(steps)
        return
    tracked = [k for k, y in enumerate(continuous(everything)) if y.requires_grad]
    for j, (y, v) in enumerate(zip(outputs, weights, strict=True)):
        columns = _backward_columns(y, xs, v, options)
        for i, (found, u) in enumerate(zip(columns, directions, strict=True)):
            slopes, share = steps[i][tracked[j]], u.weight[:, None]
            if v is not None:
                slopes, found, share = slopes @ v.T, u.applied(found), share * v.sum(1)
            if not _close(found, slopes, options, share):
                prefix = f"While considering the {part} part of complex outputs only, " if part else ""
                raise GradcheckError(prefix + _mismatch(i, j, slopes, found)
                                     + (_in_full(func, inputs, xs[i], y, tracked[j], options)
                                        if options.fast else ""))


def _backward_columns(y, xs, weights, options):
    """[input] -> (elements, p), asked for twice. Raises GradcheckError when the answers differ."""
    first, second = by_backward(y, xs, weights), by_backward(y, xs, weights)
    given = [(g, x) for x, column in zip(xs, first, strict=True) for g in column if g is not None]
    if options.dtypes and any(g.dtype is not x.dtype for g, x in given):
        raise GradcheckError("Gradient has dtype mismatch")
    if any(g._size != x._size for g, x in given):
        raise GradcheckError("Analytical gradient has incorrect size")
    columns = [as_columns(x, column) for x, column in zip(xs, first, strict=True)]
    for x, a, again in zip(xs, columns, second, strict=True):
        if a.size and np.abs(a - as_columns(x, again)).max() > options.nondet_tol:
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output "
                "multiple times gives different values, although analytical gradient matches numerical "
                f"gradient.The tolerance for nondeterminism was {options.nondet_tol}.")
    return columns


def _in_full(func, inputs, x, y, place, options):
    """What a mismatch in fast mode looks like element by element."""
    units = unit_directions(x)
    slopes = by_steps(func, inputs, x, units, options.eps)[place]
    found = as_columns(x, by_backward(y, [x])[0])
    return (f"\nThis is one weighed sum (fast mode). The whole Jacobian:\nnumerical:\n{slopes}\n"
            f"analytical:\n{found}\n")


def _check_forward(func, inputs, options, part=""):
    """Tangents against steps. All inputs are real. part: of which inputs, in messages."""
    everything, draw = as_tuple(func(*inputs)), np.random.default_rng(0)
    xs = wanted(inputs)
    directions = [options.directions(x, draw) for x in xs]
    tracked = [k for k, y in enumerate(continuous(everything)) if y.requires_grad]
    if not tracked:
        _refuse_motion([by_steps(func, inputs, x, d, options.eps)
                        for x, d in zip(xs, directions, strict=True)])
        return
    for i, (x, u) in enumerate(zip(xs, directions, strict=True)):
        if x.numel() == 0:
            continue
        slopes, duals = by_steps(func, inputs, x, u, options.eps), by_forward(func, inputs, x, u)
        for j, k in enumerate(tracked):
            if options.dtypes and any(t is not None and t.is_complex() != y.is_complex()
                                      for y, t in duals[k]):
                raise GradcheckError("Forward AD gradient has dtype mismatch.")
            found = np.stack([np.zeros(y.numel(), y.dtype.np) if t is None else t._array.reshape(-1)
                              for y, t in duals[k]])
            if not _close(found, slopes[k], options, u.weight[:, None]):
                prefix = f"While considering the {part} part of complex inputs only, " if part else ""
                raise GradcheckError(prefix + _mismatch(i, j, slopes[k], found,
                                                        "computed with forward mode "))


def _close(found, slopes, options, share):
    """|found - slopes| <= atol * share + rtol * |slopes| at every element."""
    with np.errstate(all="ignore"):
        bound = options.atol * share + options.rtol * np.abs(slopes)
        return bool((np.isclose(found, slopes, 0, 0, equal_nan=False)
                     | (np.abs(found - slopes) <= bound)).all())


def _mismatch(i, j, slopes, found, how=""):
    return (f"Jacobian {how}mismatch for output {j} with respect to input {i},\n"
            f"numerical:{slopes}\nanalytical:{found}\n")


def _refuse_motion(steps):
    """Outputs without a graph must not depend on the inputs."""
    if any(np.any(slopes != 0) for per_output in steps for slopes in per_output):
        raise GradcheckError("Numerical gradient for function expected to be zero")


# --- the public functions

def gradcheck(func, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True,
              nondet_tol=0.0, check_undefined_grad=True, check_grad_dtypes=False,
              check_batched_grad=False, check_batched_forward_grad=False, check_forward_ad=False,
              check_backward_ad=True, fast_mode=False, masked=None):
    """Whether backward (and forward mode) gives the derivatives that small steps show.

    func: of the inputs, returns a tensor or several. fast_mode: one weighed sum of each Jacobian
    instead of all its elements. Raises GradcheckError (a RuntimeError) unless raise_exception is
    False, ArgumentValue and Argument for inputs that cannot be checked.
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be "
                             "True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be "
                             "True")
    inputs = as_tuple(inputs)
    options = Options(eps, atol, rtol, nondet_tol, fast_mode, check_grad_dtypes)
    try:
        _check_inputs(inputs)
        if check_backward_ad:
            _check_all_backward(func, inputs, options)
        if check_forward_ad:
            _check_all_forward(func, inputs, options, check_undefined_grad)
        if check_batched_forward_grad:
            check_batched_forward(func, inputs)
        if check_batched_grad:
            check_batched_backward(func, inputs)
        if check_backward_ad:
            check_zero_cotangent(func, inputs)
            if check_undefined_grad:
                check_no_cotangent(func, inputs)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check_all_backward(func, inputs, options):
    if any(y.is_complex() for y in continuous(func(*inputs))):
        real, imaginary = real_and_imaginary_outputs(func)
        _check_backward(imaginary, inputs, options, "imaginary")
        _check_backward(real, inputs, options, "real")
    else:
        _check_backward(func, inputs, options)


def _check_all_forward(func, inputs, options, undefined):
    pairs = [(func, inputs, "")]
    if any(isinstance(x, Tensor) and x.is_complex() for x in inputs):
        real, imaginary = real_and_imaginary_inputs(func, inputs)
        pairs = [(*imaginary, "imaginary"), (*real, "real")]
    for function, given, part in pairs:
        _check_forward(function, given, options, part)
    for function, given, _ in pairs if undefined else ():
        check_no_tangent(function, given)


def gradgradcheck(func, inputs, grad_outputs=None, *, eps=1e-6, atol=1e-5, rtol=1e-3,
                  gen_non_contig_grad_outputs=False, raise_exception=True, nondet_tol=0.0,
                  check_undefined_grad=True, check_grad_dtypes=False, check_batched_grad=False,
                  check_fwd_over_rev=False, check_rev_over_rev=True, fast_mode=False,
                  masked=False):
    """gradcheck of the gradient itself, as a function of the inputs and the cotangents."""
    from reference_impl.autograd import grad
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be "
                             "True")
    for name, check in (("undefined", check_undefined_grad), ("batched", check_batched_grad)):
        if check and not check_rev_over_rev:
            raise AssertionError(f"Setting check_{name}_grad=True requires check_rev_over_rev to be True")
    inputs = as_tuple(inputs)
    if grad_outputs is None:
        seeds = tuple(_seed(y, gen_non_contig_grad_outputs) for y in differentiable(func(*inputs)))
    else:
        seeds = as_tuple(grad_outputs)
    count = len(inputs)
    asked = [isinstance(x, Tensor) and x.requires_grad for x in (*inputs, *seeds)]

    def gradient(*both):
        # forward mode gives tensors that require no grad
        both = [x.requires_grad_() if a else x for x, a in zip(both, asked, strict=True)]
        given, cts = both[:count], both[count:]
        found = grad(differentiable(func(*given)),
                     [x for x, a in zip(given, asked, strict=False) if a], cts, create_graph=True,
                     allow_unused=True)
        return tuple(g for g in found if g is not None)
    return gradcheck(gradient, inputs + seeds, eps=eps, atol=atol, rtol=rtol,
                     raise_exception=raise_exception, nondet_tol=nondet_tol,
                     check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes,
                     check_batched_grad=check_batched_grad, check_forward_ad=check_fwd_over_rev,
                     check_backward_ad=check_rev_over_rev, fast_mode=fast_mode)


def _seed(y, apart):
    """A cotangent with elements of [-1, 1). apart: with gaps between them in memory."""
    from reference_impl.random import rand
    made = rand((*y._size, 2), dtype=y.dtype)[..., 0] if apart else rand(y._size, dtype=y.dtype)
    return (made.detach().mul_(2).sub_(1)).requires_grad_()
