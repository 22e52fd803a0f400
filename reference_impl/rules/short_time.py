"""torch.stft and torch.istft: Fourier transforms of frames of a signal, and the signal from them.

Shapes: signal (L,) or (B, L), spectrum (F, T) or (B, F, T) of T frames, one every hop_length
samples, each of n_fft samples times the window, which lies in the middle of the frame.
"""

import warnings

import numpy as np

import reference_impl as torch
from reference_impl.errors import Argument, ShapeMismatch, shape_text
from reference_impl.rule import composite

ONE_SIDED = "Cannot have onesided output if window or input is complex"


def code(normalized, backward=False):
    """1 divides by sqrt(n), 2 by n."""
    return 1 if normalized else 2 if backward else 0


def called(name, x, window, **arguments):
    """How torch's messages tell which call was refused."""
    kind = "CPU{}Type{}" if name == "istft" else "torch.{}Tensor{}"
    shown = {k: int(v) if isinstance(v, bool) else v for k, v in arguments.items()}
    shown["window"] = None if window is None else (
        f"torch.{window.dtype.scalar_name}Tensor{{{shape_text(window.shape)}}}")
    text = kind.format(x.dtype.scalar_name, shape_text(x.shape))
    return f"{name}({text}, {', '.join(f'{k}={v}' for k, v in shown.items())})"


def in_the_middle(window, win_length, n_fft, like):
    """The window with zeros around it to n_fft samples; None where it is all ones."""
    if win_length == n_fft:
        return window
    if window is None:
        window = like.detach().new_ones(win_length)
    before = (n_fft - win_length) // 2
    return torch.constant_pad_nd(window, [before, n_fft - win_length - before])


def padded(signal, before, after, mode):
    """A signal (L,) or (B, L) with more samples before and after it."""
    shape = signal.shape
    x = signal.reshape((1,) * (3 - signal.ndim) + tuple(shape)) if signal.ndim < 3 else signal
    x = torch.nn.functional.pad(x, (before, after), mode)
    return x.reshape((*shape[:-1], x.shape[-1]))


def check_frames(call, length, n_fft, hop_length, win_length, window):
    """Raises Argument, ShapeMismatch, with `call` in the words."""
    if not 0 < n_fft <= length:
        raise Argument(f"{call} : expected 0 < n_fft < {length}, but got n_fft={n_fft}")
    if hop_length <= 0:
        raise Argument(f"{call} : expected hop_length > 0, but got hop_length={hop_length}")
    if not 0 < win_length <= n_fft:
        raise Argument(f"{call} : expected 0 < win_length <= n_fft, but got "
                       f"win_length={win_length}")
    if window is not None and window.shape != (win_length,):
        raise ShapeMismatch(f"{call} : expected a 1D window tensor of size equal to "
                            f"win_length={win_length}, but got window with size "
                            f"{shape_text(window.shape)}")


def stft(input, n_fft, hop_length=None, win_length=None, window=None, center=True,
         pad_mode="reflect", normalized=False, onesided=None, return_complex=None,
         align_to_window=None):
    """center: frames are around their sample, for which the signal is made longer at both ends;
    align_to_window: else it is made so much longer that the first window begins with it."""
    if center:
        if align_to_window is not None:
            raise Argument("stft align_to_window should only be set when center = false")
        input = padded(input, n_fft // 2, n_fft // 2, pad_mode)
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    is_complex = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not is_complex:
            raise Argument("stft requires the return_complex parameter be given for real inputs, "
                           "and will further require that return_complex=True in a future PyTorch "
                           "release.")
        return_complex = True
    elif not return_complex:
        warnings.warn("stft with return_complex=False is deprecated. In a future pytorch release, "
                      "stft will return complex tensors for all inputs, and return_complex=False "
                      "will raise an error.", UserWarning, stacklevel=3)
    call = called("stft", input, window, n_fft=n_fft, hop_length=hop_length, win_length=win_length,
                  normalized=normalized, onesided=onesided, return_complex=return_complex,
                  align_to_window=align_to_window)
    if not (input.is_floating_point() or input.is_complex()):
        raise Argument(f"{call} : expected a tensor of floating point or complex values")
    if input.ndim not in (1, 2):
        raise ShapeMismatch(f"{call} : expected a 1D or 2D tensor")
    signal = input.unsqueeze(0) if input.ndim == 1 else input
    if align_to_window and not center:
        before = (n_fft - win_length) // 2
        signal = torch.constant_pad_nd(signal, [before, n_fft - win_length - before])
    check_frames(call, signal.shape[1], n_fft, hop_length, win_length, window)
    window = in_the_middle(window, win_length, n_fft, signal)
    onesided = not is_complex if onesided is None else onesided
    frames = signal.unfold(1, n_fft, hop_length)
    frames = frames if window is None else frames * window
    if frames.is_complex():
        if onesided:
            raise Argument(ONE_SIDED)
        out = torch._fft_c2c(frames, (2,), code(normalized), True)
    else:
        out = torch._fft_r2c(frames, (2,), code(normalized), onesided)
    out = out.transpose(1, 2)
    out = out.squeeze(0) if input.ndim == 1 else out
    return out if return_complex else torch.view_as_real(out)


def check_spectrum(call, input, n_fft, hop_length, win_length, window, onesided):
    """Raises Argument, ShapeMismatch, with `call` in the words."""
    if not input.is_complex():
        raise Argument("istft requires a complex-valued input tensor matching the output from stft "
                       "with return_complex=True.")
    if not input.numel():
        raise ShapeMismatch(f"{call} : input tensor cannot be empty.")
    if input.ndim not in (2, 3):
        raise ShapeMismatch(f"{call} : expected a tensor with 2 or 3 dimensions, but got "
                            f"{input.ndim}")
    wanted, rule = (n_fft // 2 + 1, "n_fft / 2 + 1 when onesided=True") if onesided else (
        n_fft, "n_fft when onesided=False")
    if input.shape[-2] != wanted:
        raise ShapeMismatch(f"{call} : expected the frequency dimension (3rd to the last) of the "
                            f"input tensor to match {rule}, but got {input.shape[-2]}")
    if not 0 < hop_length <= win_length:
        raise Argument(f"{call} : expected 0 < hop_length <= win_length")
    if not 0 < win_length <= n_fft:
        raise Argument(f"{call} : expected 0 < win_length <= n_fft")
    if window is not None and window.shape != (win_length,):
        raise ShapeMismatch(f"{call} : Invalid window shape. window has to be 1D and length of "
                            "`win_length`")


def overlapped(frames, hop_length):
    """Frames (B, T, n) laid over each other every hop_length samples and added up."""
    b, count, n = frames.shape
    at = np.arange(n) + hop_length * np.arange(count)[:, None]
    whole = frames.new_zeros((b, n + hop_length * (count - 1)))
    return whole.index_add(1, torch.from_numpy(at.reshape(-1)), frames.reshape(b, -1))


def istft(input, n_fft, hop_length=None, win_length=None, window=None, center=True,
          normalized=False, onesided=None, length=None, return_complex=False):
    """The least-squares signal: frames times the window, added up, over the sum of its squares."""
    hop_length = n_fft // 4 if hop_length is None else hop_length
    win_length = n_fft if win_length is None else win_length
    asked = onesided
    if onesided is None:
        onesided = input.ndim < 2 or input.shape[-2] != n_fft
    call = called("istft", input, window, n_fft=n_fft, hop_length=hop_length, win_length=win_length,
                  center=center, normalized=normalized, onesided=asked, length=length,
                  return_complex=return_complex)
    check_spectrum(call, input, n_fft, hop_length, win_length, window, onesided)
    spectrum = (input.unsqueeze(0) if input.ndim == 2 else input).transpose(1, 2)
    if window is None:
        window = torch.ones(win_length, dtype=input.dtype.to_real())
    window = in_the_middle(window, win_length, n_fft, spectrum)
    if return_complex:
        if onesided:
            raise Argument(ONE_SIDED)
        frames = torch._fft_c2c(spectrum, (2,), code(normalized, True), False)
    else:
        if window.is_complex():
            raise Argument("Complex windows are incompatible with return_complex=False")
        frames = torch._fft_c2r(spectrum.narrow(2, 0, n_fft // 2 + 1), (2,),
                                code(normalized, True), n_fft)
    signal = overlapped(frames * window, hop_length)
    weights = overlapped((window * window).expand(1, frames.shape[1], n_fft), hop_length)
    whole, start = signal.shape[1], n_fft // 2 if center else 0
    end = start + length if length is not None else whole - start
    signal, weights = (t[:, start:min(end, whole)] for t in (signal, weights))
    if (weights.detach().abs() < 1e-11).any():
        raise Argument(f"{call} window overlap add min: 1")
    signal = signal / weights
    if end > whole:
        warnings.warn("The length of signal is shorter than the length parameter. Result is being "
                      "padded with zeros in the tail. Please check your center and hop_length "
                      "settings.", UserWarning, stacklevel=3)
        signal = torch.constant_pad_nd(signal, [0, end - whole])
    return signal.squeeze(0) if input.ndim == 2 else signal


composite("stft", stft, helper=True)
composite("istft", istft, helper=True)
