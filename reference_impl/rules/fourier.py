"""Discrete Fourier transforms: three kernels, and the functions of torch.fft that are made of them.

y[k] = sum over j of x[j] exp(-+ 2 pi i j k / n), along each of `dim`; normalization 0 leaves it so,
1 divides by sqrt(n), 2 by n. Each kernel is linear, and its adjoint is one of the other two.
"""

import math

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.errors import (
    Argument,
    ArgumentType,
    DimRepeated,
    DtypeUnsupported,
    NoDimension,
    ShapeMismatch,
)
from reference_impl.geometry import wrap_dim
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.tensor import Tensor


def scaled(y, count, normalization):
    if normalization == 0:
        return y
    return y / y.real.dtype.type(math.sqrt(count) if normalization == 1 else count)


def laid_out(y, like, dims):
    """y in the order in which torch's transforms leave it: the dimensions transformed innermost,
    the others as they lie in `like`."""
    others = sorted((d for d in range(y.ndim) if d not in dims), key=lambda d: -like.strides[d])
    order = [*others, *dims]
    return np.ascontiguousarray(y.transpose(order)).transpose(np.argsort(order))


def by_stride(like, dims):
    return sorted(dims, key=lambda d: -like.strides[d])


def count_of(shape, dims):
    return math.prod(shape[d] for d in dims)


def c2c(self, dim, normalization, forward):
    if not len(dim):
        return self.copy()
    dims = [wrap_dim(d, self.ndim) for d in dim]
    if not self.size:
        return np.empty_like(self)
    y = (np.fft.fftn if forward else np.fft.ifftn)(self, axes=dims, norm=_raw(forward))
    y = scaled(y.astype(self.dtype), count_of(self.shape, dims), normalization)
    return laid_out(y, self, by_stride(self, dims))


def _raw(forward):
    """NumPy's word for no scaling at all."""
    return "backward" if forward else "forward"


def r2c(self, dim, normalization, onesided):
    dims = [wrap_dim(d, self.ndim) for d in dim]
    made = np.result_type(self.dtype, np.complex64)
    last = dims[-1]
    shape = list(self.shape)
    if onesided:
        shape[last] = shape[last] // 2 + 1
    if not self.size:
        return np.empty(shape, made)
    y = (np.fft.rfftn if onesided else np.fft.fftn)(self, axes=dims, norm="backward")
    y = scaled(y.astype(made), count_of(self.shape, dims), normalization)
    return laid_out(y, self, [*by_stride(self, dims[:-1]), last])


def c2r(self, dim, normalization, last_dim_size):
    dims = [wrap_dim(d, self.ndim) for d in dim]
    shape = list(self.shape)
    shape[dims[-1]] = last_dim_size
    made = self.real.dtype
    if not self.size:
        return np.empty(shape, made)
    between = c2c(self, dims[:-1], 0, False) if len(dims) > 1 else self
    y = np.fft.irfft(between, last_dim_size, dims[-1], norm="forward")
    y = scaled(y.astype(made), count_of(shape, dims), normalization)
    return laid_out(y, between, dims[-1:])


def r2c_vjp(ct, ins, y, dim, normalization, onesided):
    if onesided:
        last = wrap_dim(dim[-1], ct.ndim)
        ct = resized(ct, (last,), (ins[0].shape[last],))
    return [_c2c(ct, dim, normalization, False).real]


def c2r_vjp(ct, ins, y, dim, normalization, last_dim_size):
    """Every element but the first, and the last of an even number, stands for itself and for its
    mirrored conjugate, and so counts twice."""
    spectrum = _r2c(ct, dim, normalization, True)
    d = wrap_dim(dim[-1], ct.ndim)
    twice = ct.shape[d] - spectrum.shape[d]
    if twice <= 0:
        return [spectrum]
    weights = np.ones(spectrum.shape[d], ct._array.dtype)
    weights[1:1 + twice] = 2
    shape = [1] * ct.ndim
    shape[d] = -1
    return [spectrum * call("from_array", weights, ct.dtype).reshape(shape)]


def call(name, *args, **named):
    return OPERATIONS[name].function(*args, **named)


_c2c = rule("_fft_c2c", c2c, inputs=("self",), method=False, layout="keep", jvp="linear",
            node="FftC2CBackward0", vjp=lambda ct, ins, y, dim, normalization, forward: [
                _c2c(ct, dim, normalization, not forward)])
_r2c = rule("_fft_r2c", r2c, inputs=("self",), method=False, layout="keep", jvp="linear",
            node="FftR2CBackward0", vjp=r2c_vjp)
_c2r = rule("_fft_c2r", c2r, inputs=("self",), method=False, layout="keep", jvp="linear",
            node="FftC2RBackward0", vjp=c2r_vjp)


# ── what the public functions share ────────────────────────────────────────────────────────────

def promoted(input, name, to_complex=False):
    """The input in a dtype that can be transformed. Raises ArgumentType, DtypeUnsupported."""
    if not isinstance(input, Tensor):
        raise ArgumentType(f"{name}(): argument 'input' (position 1) must be Tensor, not "
                           f"{type(input).__name__}")
    dtype = input.dtype if input.dtype.is_differentiable else dt.get_default_dtype()
    if dtype.itemsize == 2:
        raise DtypeUnsupported(f"Unsupported dtype {dtype.scalar_name}")
    if to_complex and not dtype.is_complex:
        dtype = dtype.to_complex()
    return input.to(dtype)


def code(norm, forward, name):
    """The number of the normalisation that is meant by a word."""
    if norm is not None and not isinstance(norm, str):
        raise ArgumentType(f"{name}(): argument 'norm' must be str, not {type(norm).__name__}")
    if norm == "ortho":
        return 1
    if norm not in (None, "backward", "forward"):
        raise Argument(f'Invalid normalization mode: "{norm}"')
    return 2 if (norm == "forward") == forward else 0


def check_points(n):
    if n < 1:
        raise Argument(f"Invalid number of data points ({n}) specified")


def resized(x, dims, sizes):
    """x cut off, or filled up with zeros, to these sizes; -1 leaves one as it is."""
    for d, n in zip(dims, sizes, strict=True):
        if n == -1:
            continue
        check_points(n)
        if x.shape[d] > n:
            x = x.narrow(d, 0, n)
    wanted = dict(zip(dims, sizes, strict=True))
    pads = [max(0, wanted.get(d, -1) - x.shape[d]) for d in range(x.ndim)]
    if not any(pads):
        return x
    return call("constant_pad_nd", x, [p for n in reversed(pads) for p in (0, n)])


def check_real(input, name, what):
    if isinstance(input, Tensor) and input.dtype.is_complex:
        raise Argument(f"{name} expects a {what} input tensor, but got {input.dtype.scalar_name}")


# ── along one dimension ────────────────────────────────────────────────────────────────────────

def only_dim(dim, ndim):
    if not ndim:
        raise NoDimension(f"Dimension specified as {dim} but tensor has no dimensions")
    return wrap_dim(dim, ndim)


def along(input, n, dim):
    """The dimension, and the number of points along it."""
    d = only_dim(dim, input.ndim)
    points = input.shape[d] if n is None else n
    check_points(points)
    return d, points


def from_real(input, n, dim, norm, forward, onesided, name):
    x = promoted(input, name)
    d, points = along(x, n, dim)
    x = resized(x, (d,), (points,))
    y = _r2c(x, (d,), code(norm, forward, name), onesided)
    return y if forward else y.conj()


def to_real(input, n, dim, norm, forward, name):
    x = promoted(input, name, to_complex=True)
    d = only_dim(dim, x.ndim)
    points = 2 * (x.shape[d] - 1) if n is None else n
    check_points(points)
    if n is not None:
        x = resized(x, (d,), (n // 2 + 1,))
    return _c2r(x.conj() if forward else x, (d,), code(norm, forward, name), points)


def one_dimensional(name, forward):
    def function(input, n=None, dim=-1, norm=None):
        if not isinstance(input, Tensor) or not input.dtype.is_complex:
            return from_real(input, n, dim, norm, forward, False, name)
        d, points = along(promoted(input, name), n, dim)
        return _c2c(resized(input, (d,), (points,)), (d,), code(norm, forward, name), forward)
    composite(name, function, method=False, function=False, helper=True)


def half_spectrum(name, short, forward):
    def function(input, n=None, dim=-1, norm=None):
        check_real(input, short, "real")
        return from_real(input, n, dim, norm, forward, True, name)
    composite(name, function, method=False, function=False, helper=True)


def back_to_real(name, forward):
    def function(input, n=None, dim=-1, norm=None):
        return to_real(input, n, dim, norm, forward, name)
    composite(name, function, method=False, function=False, helper=True)


one_dimensional("fft_fft", True)
one_dimensional("fft_ifft", False)
half_spectrum("fft_rfft", "rfft", True)
half_spectrum("fft_ihfft", "ihfft", False)
back_to_real("fft_irfft", False)
back_to_real("fft_hfft", True)


# ── along several ──────────────────────────────────────────────────────────────────────────────

def dims_and_sizes(input, s, dim):
    """The dimensions to transform and the sizes to give them first."""
    ndim = input.ndim
    s = None if s is None else ([s] if isinstance(s, int) else list(s))
    if dim is not None:
        dims = [only_dim(d, ndim) for d in ([dim] if isinstance(dim, int) else dim)]
        if len(set(dims)) < len(dims):
            raise DimRepeated("FFT dims must be unique")
    if s is not None:
        if dim is not None and len(s) != len(dims):
            raise ShapeMismatch("When given, dim and shape arguments must have the same length")
        if len(s) > ndim:
            raise ShapeMismatch(f"Got shape with {len(s)} values but input tensor only has {ndim} "
                                "dimensions.")
    if dim is None:
        dims = list(range(ndim - len(s), ndim)) if s is not None else list(range(ndim))
    sizes = [input.shape[d] for d in dims] if s is None else [
        input.shape[d] if n == -1 else n for d, n in zip(dims, s, strict=True)]
    for n in sizes:
        check_points(n)
    return dims, sizes


def at_least_one(dims, name):
    if not dims:
        raise Argument(f"{name} must transform at least one axis")


def all_complex(input, s, dim, norm, forward, name):
    x = promoted(input, name, to_complex=True)
    dims, sizes = dims_and_sizes(x, s, dim)
    return _c2c(resized(x, dims, sizes), dims, code(norm, forward, name), forward)


def last_halved(input, s, dim, name):
    """dims, sizes of the half spectrum, and the size of the last dimension of the real result."""
    given = None if s is None else [s] if isinstance(s, int) else list(s)
    dims, sizes = dims_and_sizes(input, s, dim)
    at_least_one(dims, name)
    last = given[-1] if given is not None and given[-1] != -1 else 2 * (input.shape[dims[-1]] - 1)
    check_points(last)
    return dims, [*sizes[:-1], last // 2 + 1], last


def rfftn(input, s, dim, norm, name):
    check_real(input, "rfftn", "real-valued")
    x = promoted(input, name)
    dims, sizes = dims_and_sizes(x, s, dim)
    at_least_one(dims, "rfftn")
    return _r2c(resized(x, dims, sizes), dims, code(norm, True, name), True)


def irfftn(input, s, dim, norm, name):
    x = promoted(input, name, to_complex=True)
    dims, sizes, last = last_halved(x, s, dim, "irfftn")
    return _c2r(resized(x, dims, sizes), dims, code(norm, False, name), last)


def hfftn(input, s, dim, norm, name):
    """Of a spectrum that is its own mirrored conjugate: the last dimension as one half of it."""
    x = promoted(input, name, to_complex=True)
    dims, sizes, last = last_halved(x, s, dim, "hfftn")
    x, how = resized(x, dims, sizes), code(norm, True, name)
    if len(dims) > 1:
        x = _c2c(x, dims[:-1], how, True)
    return _c2r(x.conj(), dims[-1:], how, last)


def ihfftn(input, s, dim, norm, name):
    if isinstance(input, Tensor) and input.dtype.is_complex:
        raise DtypeUnsupported("Only supports floating-point dtypes, but found: "
                               f"{input.dtype.scalar_name}")
    x = promoted(input, name)
    dims, sizes = dims_and_sizes(x, s, dim)
    at_least_one(dims, "ihfftn")
    how = code(norm, False, name)
    y = _r2c(resized(x, dims, sizes), dims[-1:], how, True)
    if len(dims) == 1:
        return y.conj()
    return _c2c(call("conj_physical", y), dims[:-1], how, False)


def several_dimensional(short, function):
    """name, with all dimensions by default, and name2, with the last two."""
    name, double = f"fft_{short}n", f"fft_{short}2"

    def of_all(input, s=None, dim=None, norm=None):
        return function(input, s, dim, norm, name)

    def of_two(input, s=None, dim=(-2, -1), norm=None):
        return function(input, s, dim, norm, double)
    composite(name, of_all, method=False, function=False, helper=True)
    composite(double, of_two, method=False, function=False, helper=True)


several_dimensional("fft", lambda input, s, dim, norm, name: all_complex(
    input, s, dim, norm, True, name))
several_dimensional("ifft", lambda input, s, dim, norm, name: all_complex(
    input, s, dim, norm, False, name))
for _short, _function in (("rfft", rfftn), ("irfft", irfftn), ("hfft", hfftn), ("ihfft", ihfftn)):
    several_dimensional(_short, _function)


# ── the middle ─────────────────────────────────────────────────────────────────────────────────

def shifting(name, half):
    def function(input, dim=None):
        if dim is None:
            dim = range(input.ndim)
        dims = [dim] if isinstance(dim, int) else list(dim)
        return input.roll([half(input.size(d)) for d in dims], dims)
    composite(name, function, method=False, function=False, helper=True)


shifting("fft_fftshift", lambda n: n // 2)
shifting("fft_ifftshift", lambda n: (n + 1) // 2)
