"""Derivatives along directions, had in three ways: small steps, backward, forward mode.

A function of tensors has, for one of its inputs and one of its outputs, a Jacobian J: one row per
element of the input, one column per element of the output. Asked for are products U J V: `U` holds
directions in the input, `V` weights of the output, each as rows or columns. Unit vectors for both give
J itself (slow mode); one random vector for each gives one number that every element of J has its
share in (fast mode). A complex input has two real directions for one: what is compared is the
conjugate Wirtinger derivative d/dx + i d/dy. Norm: torch docs, "Gradcheck mechanics".
"""

import warnings
from dataclasses import dataclass

import numpy as np

from reference_impl.bits import store
from reference_impl.creation import from_numpy, zeros_like
from reference_impl.errors import ArgumentValue
from reference_impl.tensor import Tensor


class GradcheckError(RuntimeError):
    """The two Jacobians differ, or one of them cannot be had."""


@dataclass(frozen=True)
class Directions:
    """Rows of directions in one input. real, imag: (m, input elements); imag is None for a real
    input. weight: (m,), how much of an absolute tolerance each row deserves."""

    real: np.ndarray
    imag: np.ndarray | None
    weight: np.ndarray

    def applied(self, rows):
        """U @ rows, where rows hold d/dx + i d/dy for each element of the input."""
        if self.imag is None:
            return self.real @ rows
        return self.real @ rows.real + 1j * (self.imag @ rows.imag)


def unit_directions(x):
    n = x.numel()
    return Directions(np.eye(n), np.eye(n) if x.is_complex() else None, np.ones(n))


def random_directions(x, draw):
    """One direction of length one with elements >= 0, so that no two shares cancel by sign."""
    real = _unit(draw, x.numel())
    imag = _unit(draw, x.numel()) if x.is_complex() else None
    weight = real.sum(1) if imag is None else real.sum(1) + imag.sum(1)
    return Directions(real, imag, weight)


def random_weights(y, draw):
    return _unit(draw, y.numel())


def _unit(draw, n):
    v = draw.uniform(0, 1, (1, n))
    return v / (np.linalg.norm(v) or 1)


def as_tuple(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def wanted(inputs):
    """The inputs with respect to which there is something to check."""
    return [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]


def differentiable(outputs):
    """The outputs that have a gradient."""
    return tuple(y for y in as_tuple(outputs) if isinstance(y, Tensor) and y.requires_grad)


def continuous(outputs):
    """The outputs of floating point or complex dtype."""
    return [y for y in as_tuple(outputs) if isinstance(y, Tensor) and y.dtype.is_differentiable]


def by_steps(func, inputs, x, directions, eps):
    """[output] -> (m, output elements): central differences of `func` along each direction in `x`.

    Raises AssertionError when a step changes the shape or dtype of an output.
    """
    found = []
    for k in range(len(directions.real)):
        step = directions.real[k].reshape(x._size)
        slopes = _difference(func, inputs, x, step, eps)
        if directions.imag is not None:
            step = 1j * directions.imag[k].reshape(x._size)
            slopes = [a + 1j * b for a, b in
                      zip(slopes, _difference(func, inputs, x, step, eps), strict=True)]
        found.append(slopes)
    if not found:
        return [np.zeros((0, y.numel())) for y in continuous(func(*inputs))]
    return [np.stack(rows) for rows in zip(*found, strict=True)]


def _difference(func, inputs, x, step, eps):
    before = x._array.copy()
    ends = []
    for sign in (-1, 1):
        store(x, before + sign * eps * step)       # past the version: nobody is to notice
        ends.append([y.detach().clone() for y in continuous(func(*inputs))])
    store(x, before)
    for low, high in zip(*ends, strict=True):
        for what, a, b in (("shape", low.shape, high.shape), ("dtype", low.dtype, high.dtype)):
            if a != b:
                raise AssertionError(f"Expected `func` to return outputs with the same {what} when "
                                     f"inputs are perturbed by {eps}, but got: {what}s {a} and {b}.")
    return [(high._array - low._array).reshape(-1) / (2 * eps)
            for low, high in zip(*ends, strict=True)]


def by_backward(y, xs, weights=None):
    """[input] -> list with, for each column of weights (default: of the unit matrix), what backward
    gives for the output `y`: a tensor or None."""
    from reference_impl.autograd import grad
    weights = np.eye(y.numel()) if weights is None else weights
    found = [[] for _ in xs]
    for row in weights:
        ct = zeros_like(y.detach())
        ct._array[...] = row.reshape(y._size)
        for column, g in zip(found, grad(y, xs, ct, retain_graph=True, allow_unused=True), strict=True):
            column.append(None if g is None else g.clone())
    return found


def as_columns(x, grads):
    """(input elements, p) from what backward gave for each of p columns. None counts as zeros."""
    columns = [np.zeros(x._size, x.dtype.np) if g is None else g._array for g in grads]
    return np.stack([c.reshape(-1) for c in columns], 1) if columns else np.zeros((x.numel(), 0))


def by_forward(func, inputs, x, directions):
    """[output] -> list of tangents, one per direction in the real input `x` (None: no tangent)."""
    from reference_impl import forward_ad
    found = []
    for row in directions.real:
        with forward_ad.dual_level():
            tangent = zeros_like(x.detach())
            tangent._array[...] = row.reshape(x._size)
            outputs = func(*_duals(inputs, x, tangent))
            found.append([forward_ad.unpack_dual(y) for y in continuous(outputs)])
    return [list(column) for column in zip(*found, strict=True)]


def _duals(inputs, x, tangent):
    """The inputs, none of which requires grad: `x` with its tangent, the others that are asked about
    with zeros."""
    from reference_impl import forward_ad
    for a in inputs:
        if isinstance(a, Tensor) and a.requires_grad:
            yield forward_ad.make_dual(a.detach(), tangent if a is x else zeros_like(a.detach()))
        else:
            yield a


def real_and_imaginary_outputs(func):
    """func with the real part of every complex output in its place, and with the imaginary part."""
    def with_part(part):
        def function(*inputs):
            return tuple(getattr(y, part) if isinstance(y, Tensor) and y.is_complex() else y
                         for y in as_tuple(func(*inputs)))
        return function
    return with_part("real"), with_part("imag")


def real_and_imaginary_inputs(func, inputs):
    """Two pairs (function, inputs) with real inputs only: of every complex input one part varies, the
    other stays what it is."""
    def is_complex(x):
        return isinstance(x, Tensor) and x.is_complex()

    def with_part(part, whole):
        def function(*given):
            return func(*(whole(g, x) if is_complex(x) else g
                          for g, x in zip(given, inputs, strict=True)))
        return function, tuple(getattr(x, part) if is_complex(x) else x for x in inputs)
    return (with_part("real", lambda part, x: part + x.imag * 1j),
            with_part("imag", lambda part, x: x.real + part * 1j))


# --- from before gradcheck had its present form; torch keeps them, with a warning

def _deprecated(name, grad_out):
    warnings.warn(f"`{name}` was part of PyTorch's private API and not meant to be exposed. We are "
                  "deprecating it and it will be removed in a future version of PyTorch.",
                  FutureWarning, stacklevel=3)
    if grad_out != 1.0:
        raise ArgumentValue(f"Expected grad_out to be 1.0. {name} no longer supports values of "
                            "grad_out != 1.0.")


def _refuse_complex(name, outputs):
    if any(y.is_complex() for y in outputs):
        raise ArgumentValue(f"Expected output to be non-complex. {name} no longer supports functions that "
                            "return complex outputs.")


def get_numerical_jacobian(fn, inputs, target=None, eps=1e-3, grad_out=1.0):
    """Jacobians (input elements, output elements) of the first output of fn(inputs), by steps.

    target: of which tensors, default all inputs. Raises ArgumentValue.
    """
    _deprecated("get_numerical_jacobian", grad_out)
    inputs = as_tuple(inputs)
    _refuse_complex("get_numerical_jacobian", as_tuple(fn(inputs)))
    return tuple(from_numpy(by_steps(lambda *given: fn(given), inputs, x, unit_directions(x), eps)[0])
                 for x in wanted(as_tuple(inputs if target is None else target)))


def get_analytical_jacobian(inputs, output, nondet_tol=0.0, grad_out=1.0):
    """(Jacobians of `output` by backward, same twice, right sizes, right dtypes). Raises ArgumentValue."""
    _deprecated("get_analytical_jacobian", grad_out)
    _refuse_complex("get_analytical_jacobian", [output])
    xs = wanted(as_tuple(inputs))
    first, second = by_backward(output, xs), by_backward(output, xs)
    given = [(g, x) for x, column in zip(xs, first, strict=True) for g in column if g is not None]
    columns = [as_columns(x, c) for x, c in zip(xs, first, strict=True)]
    same = all(a.size == 0 or np.abs(a - as_columns(x, c)).max() <= nondet_tol
               for x, a, c in zip(xs, columns, second, strict=True))
    return (tuple(from_numpy(c) for c in columns), same, all(g._size == x._size for g, x in given),
            all(g.dtype is x.dtype for g, x in given))
