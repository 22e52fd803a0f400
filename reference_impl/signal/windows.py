"""torch.signal.windows: weights for the ends of a signal, and their older spellings hann_window, ...

Each formula gets N points n and gives their weights, in double; the result is rounded once. The
formulas are those of the documentation of torch.signal.windows; sym=False (periodic) leaves out
the last of one point more.
"""

import numpy as np
import scipy.special

from reference_impl import dtypes as dt
from reference_impl.creation import check_dtype, finish
from reference_impl.errors import Argument, ArgumentType, ArgumentValue
from reference_impl.formats import strided
from reference_impl.tensor import make_tensor

__all__ = ["bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine",
           "general_hamming", "hamming", "hann", "kaiser", "nuttall"]


def cosines(n, a):
    """a[0] - a[1] cos x + a[2] cos 2x - ..., over one period of N - 1 points, x from 0."""
    x = 2 * np.pi * np.arange(n) / (n - 1)
    return sum((-1) ** i * c * np.cos(i * x) for i, c in enumerate(a))


def triangle(n):
    return 1 - np.abs(2 * np.arange(n) / (n - 1) - 1)


def bessel(n, beta):
    """The Kaiser window: I0(beta sqrt(1 - x^2)) / I0(beta), x from -1 to 1."""
    x = 2 * np.arange(n) / (n - 1) - 1
    # the scaled I0, as I0 itself overflows for beta beyond 713
    size = beta * np.sqrt(np.maximum(1 - x * x, 0))
    return scipy.special.i0e(size) / scipy.special.i0e(beta) * np.exp(size - beta)


def sampled(length, whole, formula, *constants):
    """`length` weights: of a window of as many points, or of one more whose last is left out."""
    if length < 2:
        return np.ones(length)
    return formula(length if whole else length + 1, *constants)[:length]


def modern(name, formula, single=True):
    """name(M, *, sym=True, ...) of torch.signal.windows. Raises ArgumentValue.

    single: a window of one point is 1, whatever the formula.
    """
    def function(M, constants, sym, dtype, layout, device, requires_grad):
        dtype = check_dtype(dtype) or dt.get_default_dtype()
        if M < 0:
            raise ArgumentValue(f"{name} requires non-negative window length, got M={M}")
        if layout not in (None, strided):
            raise ArgumentValue(f"{name} is implemented for strided tensors only, got: {layout}")
        if dtype not in (dt.float32, dt.float64):
            raise ArgumentValue(f"{name} expects float32 or float64 dtypes, got: {dtype}")
        if single:
            array = sampled(M, sym, formula, *constants)
        else:
            array = formula(M, M + 1 if not sym and M > 1 else M, *constants)
        return finish(make_tensor(array.astype(dtype.np), dtype), requires_grad, device)
    return function


def _options(make):
    """Only the parameters of its own are written in each window's signature."""
    def function(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False, **own):
        kernel, constants = make(sym=sym, **own)
        return kernel(M, constants, sym, dtype, layout, device, requires_grad)
    function.__name__ = function.__qualname__ = make.__name__
    function.__doc__ = make.__doc__
    return function


_cosines, _triangle, _bessel = (modern(*pair) for pair in (
    ("general_cosine", cosines), ("bartlett", triangle), ("kaiser", bessel)))
_exponential = modern("exponential", lambda m, n, center, tau: np.exp(-np.abs(
    np.arange(m) - (((n - 1) / 2) if center is None else center)) / tau), False)
_gaussian = modern("gaussian", lambda m, n, std: np.exp(
    -0.5 * ((np.arange(m) - (n - 1) / 2) / std) ** 2), False)
_half_sine = modern("cosine", lambda m, n: np.sin(np.pi * (np.arange(m) + 0.5) / n), False)


@_options
def bartlett(sym):
    """A triangle that begins and ends with 0."""
    return _triangle, ()


@_options
def blackman(sym):
    """0.42, 0.5, 0.08 as coefficients of general_cosine."""
    return _cosines, ((0.42, 0.5, 0.08),)


@_options
def cosine(sym):
    """Half a period of a sine, sampled at the middle of each point."""
    return _half_sine, ()


@_options
def exponential(sym, center=None, tau=1.0):
    """exp(-|n - center| / tau)."""
    if tau <= 0:
        raise ArgumentValue(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ArgumentValue("Center must be None for symmetric windows")
    return _exponential, (center, tau)


@_options
def gaussian(sym, std=1.0):
    """exp(-(n - middle)^2 / (2 std^2))."""
    if std <= 0:
        raise ArgumentValue(f"Standard deviation must be positive, got: {std} instead.")
    return _gaussian, (std,)


@_options
def general_cosine(sym, a):
    """The sum of cosines with the coefficients a, whose signs alternate."""
    if not hasattr(a, "__iter__"):
        raise ArgumentType("Coefficients must be a list/tuple")
    if not len(a):
        raise ArgumentValue("Coefficients cannot be empty")
    return _cosines, (tuple(a),)


@_options
def general_hamming(sym, alpha=0.54):
    """alpha - (1 - alpha) cos."""
    return _cosines, ((alpha, 1 - alpha),)


@_options
def hamming(sym):
    """general_hamming with 0.54."""
    return _cosines, ((0.54, 1 - 0.54),)


@_options
def hann(sym):
    """general_hamming with 0.5."""
    return _cosines, ((0.5, 0.5),)


@_options
def kaiser(sym, beta=12.0):
    """The window of Bessel functions; the larger beta, the narrower."""
    if beta < 0:
        raise ArgumentValue(f"beta must be non-negative, got: {beta} instead.")
    return _bessel, (beta,)


@_options
def nuttall(sym):
    """Nuttall's minimum four-term window."""
    return _cosines, ((0.3635819, 0.4891775, 0.1365995, 0.0106411),)


# --- torch.hann_window(length, periodic, ...) and its kin ---


def _older(name, formula, *parameters):
    """parameters: (name, default) of the window's own constants. Raises Argument."""
    words = [p for p, _ in parameters]

    def function(window_length, periodic=True, *args, dtype=None, layout=None, device=None,
                 requires_grad=False, pin_memory=False, **named):
        given = dict(zip(words, args, strict=False)) | named
        if len(args) > len(words) or not set(given) <= set(words):
            raise ArgumentType(f"{name}() received an invalid combination of arguments")
        dtype = check_dtype(dtype) or dt.get_default_dtype()
        if layout not in (None, strided):
            raise Argument(f"{name} is not implemented for sparse types, got: ")
        if not dtype.is_differentiable:
            raise Argument(f"{name} expects floating point dtypes, got: ")
        if window_length < 0:
            raise Argument(f"{name} requires non-negative window_length, got window_length="
                           f"{window_length}")
        constants = [given.get(word, default) for word, default in parameters]
        array = sampled(int(window_length), not periodic, formula, *constants)
        return finish(make_tensor(array.astype(dtype.np), dtype), requires_grad, device)
    function.__name__ = function.__qualname__ = name
    return function


OLDER = {f.__name__: f for f in (
    _older("hann_window", lambda n: cosines(n, (0.5, 0.5))),
    _older("hamming_window", lambda n, alpha, beta: cosines(n, (alpha, beta)),
           ("alpha", 0.54), ("beta", 0.46)),
    _older("blackman_window", lambda n: cosines(n, (0.42, 0.5, 0.08))),
    _older("bartlett_window", triangle),
    _older("kaiser_window", bessel, ("beta", 12.0)))}
