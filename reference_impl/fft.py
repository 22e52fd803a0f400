"""torch.fft: the transforms (registered in rules/fourier.py) and the frequencies of their points."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import deliver, requested
from reference_impl.errors import Argument, NotImplementedFor
from reference_impl.rule import OPERATIONS


def op(name):
    return OPERATIONS[f"fft_{name}"].function


fft, fft2, fftn, fftshift = map(op, ("fft", "fft2", "fftn", "fftshift"))
ifft, ifft2, ifftn, ifftshift = map(op, ("ifft", "ifft2", "ifftn", "ifftshift"))
rfft, rfft2, rfftn = map(op, ("rfft", "rfft2", "rfftn"))
irfft, irfft2, irfftn = map(op, ("irfft", "irfft2", "irfftn"))
hfft, hfft2, hfftn = map(op, ("hfft", "hfft2", "hfftn"))
ihfft, ihfft2, ihfftn = map(op, ("ihfft", "ihfft2", "ihfftn"))


def _frequencies(name, whole, d, dtype, out, layout, device, requires_grad):
    """Whole numbers of oscillations as frequencies: divided by the time n d that the points take."""
    numbers, n = whole
    dtype = requested(dtype, out, layout, device) or dt.get_default_dtype()
    if not dtype.is_differentiable:
        raise Argument(f"{name} requires a floating point or complex dtype")
    if dtype.is_complex:
        raise NotImplementedFor(f"\"arange_cpu\" not implemented for '{dtype.scalar_name}'")
    wide = np.result_type(dtype.np, np.float32) if dtype.itemsize > 1 else np.float32
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = (np.float64(1) / (n * np.float64(d))).astype(wide)
        found = numbers.astype(wide) * rate
    return deliver(found.astype(dtype.np), dtype, out, requires_grad, device)


def fftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """0, 1, ..., then the negative ones ..., -1, each divided by n d. Raises Argument."""
    numbers = np.arange(n)
    numbers[(n + 1) // 2:] -= n
    return _frequencies("fftfreq", (numbers, n), d, dtype, out, layout, device, requires_grad)


def rfftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """The same for half a spectrum: 0, 1, ..., n // 2. Raises Argument."""
    return _frequencies("rfftfreq", (np.arange(n // 2 + 1), n), d, dtype, out, layout, device,
                        requires_grad)
