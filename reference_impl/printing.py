"""repr of tensors as torch prints them with its default options.

Norm: torch.set_printoptions (precision 4, threshold 1000, edgeitems 3, linewidth 80).
"""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.forward_ad import tangent_of

PRECISION, THRESHOLD, EDGE, LINEWIDTH = 4, 1000, 3, 80
INDENT = len("tensor(")


def tensor_text(t):
    """`tensor(...)` with dtype, size, grad_fn, tangent where they are not the default."""
    wide = {dt.bfloat16: np.float32, dt.complex32: np.complex64}.get(t.dtype)
    array = t._array.astype(wide) if wide else t._array
    suffixes = []
    if array.size == 0:
        if t.ndim != 1:
            suffixes.append(f"size={tuple(t._size)}")
        body = "[]"
        plain = t.dtype is dt.get_default_dtype()
    else:
        body = _body(array)
        plain = t.dtype in (dt.get_default_dtype(), dt.default_complex(), dt.int64, dt.bool)
    if not plain:
        suffixes.append(f"dtype={t.dtype}")
    suffixes += _graph(t)
    tangent = tangent_of(t)
    if tangent is not None:
        suffixes.append(f"tangent={tangent}")
    return _joined("tensor(" + body, suffixes)


def _graph(t):
    try:
        node = t.grad_fn
    except RuntimeError:
        return ["grad_fn=<Invalid>"]
    if node is not None:
        return [f"grad_fn=<{type(node).__name__}>"]
    return ["requires_grad=True"] if t.requires_grad else []


def _joined(text, suffixes):
    last = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if last + len(suffix) + 2 > LINEWIDTH:
            text += ",\n" + " " * INDENT + suffix
            last = INDENT + len(suffix)
        else:
            text += ", " + suffix
            last += len(suffix) + 2
    return text + ")"


def _body(array):
    shown = _summary(array) if array.size > THRESHOLD else array
    if array.dtype.kind == "c":
        real, imaginary = formatter(shown.real), formatter(shown.imag)

        def write(x):
            tail = imaginary(x.imag).strip()
            return real(x.real) + (tail if tail.startswith("-") else "+" + tail) + "j"
    else:
        write = formatter(shown)
    return _lines(array, write, INDENT, array.size > THRESHOLD)


def _summary(array):
    """The elements that are shown of a long tensor."""
    for d, n in enumerate(array.shape):
        if n > 2 * EDGE:
            array = np.take(array, [*range(EDGE), *range(n - EDGE, n)], axis=d)
    return array


def formatter(array):
    """A function that writes one element, all of one width."""
    if array.dtype.kind not in "fc":
        width = max(len(str(x)) for x in array.flat)
        return lambda x: str(x).rjust(width)
    values = np.abs(array.astype(np.float64))
    values = values[np.isfinite(values) & (values != 0)]
    if not values.size:
        return lambda x: _whole(x).rjust(1)
    whole = bool((values == np.ceil(values)).all())
    low, high = values.min(), values.max()
    if high / low > 1000 or high > 1e8 or (not whole and low < 1e-4):
        write = _scientific
    else:
        write = _whole if whole else _fixed
    finite = array[np.isfinite(array) & (array != 0)]
    width = max(len(write(x)) for x in finite.flat)
    return lambda x: write(x).rjust(width)


def _whole(x):
    return f"{float(x):.0f}." if np.isfinite(x) else f"{float(x):.0f}"


def _fixed(x):
    return f"{float(x):.{PRECISION}f}"


def _scientific(x):
    return f"{float(x):.{PRECISION}e}"


def _lines(array, write, indent, short):
    if array.ndim == 0:
        return write(array[()])
    if array.ndim == 1:
        return _row(array, write, indent, short)
    rows = list(array)
    if short and len(rows) > 2 * EDGE:
        texts = [_lines(r, write, indent + 1, short) for r in rows[:EDGE]] + ["..."] + [
            _lines(r, write, indent + 1, short) for r in rows[-EDGE:]]
    else:
        texts = [_lines(r, write, indent + 1, short) for r in rows]
    gap = "," + "\n" * (array.ndim - 1) + " " * (indent + 1)
    return "[" + gap.join(texts) + "]"


def _row(array, write, indent, short):
    if short and array.size > 2 * EDGE:
        cells = [write(x) for x in array[:EDGE]] + [" ..."] + [write(x) for x in array[-EDGE:]]
    else:
        cells = [write(x) for x in array]
    width = max(1, (LINEWIDTH - indent) // (len(write(array[0])) + 2)) if cells else 1
    lines = [", ".join(cells[i:i + width]) for i in range(0, len(cells), width)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
