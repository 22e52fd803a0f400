"""torch.memory_format: names for the order of dimensions in memory; torch.layout: kinds of memory."""

from reference_impl.errors import DimCount
from reference_impl.geometry import contiguous_stride, is_contiguous


class memory_format:
    """One of contiguous_format, preserve_format, channels_last, channels_last_3d."""

    def __init__(self, name, order=None):
        self.name, self.order = name, order      # order: dimensions from the fastest on

    def __repr__(self):
        return f"torch.{self.name}"

    def __reduce__(self):
        return self.name


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last", (1, 3, 2, 0))
channels_last_3d = memory_format("channels_last_3d", (1, 4, 3, 2, 0))


class layout:
    """torch.layout. Only strided tensors exist here; the other names are known to be refused."""

    def __init__(self, name, word):
        self.name, self.word = name, word

    def __repr__(self):
        return f"torch.{self.name}"

    def __reduce__(self):
        return self.name


strided = layout("strided", "Strided")
sparse_coo, sparse_csr, sparse_csc = (layout(f"sparse_{n}", w) for n, w in (
    ("coo", "Sparse"), ("csr", "SparseCsr"), ("csc", "SparseCsc")))


def format_stride(size, wanted):
    """Strides of a dense tensor in a memory format. Raises DimCount for another rank."""
    if wanted in (None, contiguous_format, preserve_format):
        return contiguous_stride(size)
    if len(size) != len(wanted.order):
        raise DimCount(f"required rank {len(wanted.order)} tensor to use {wanted.name} format")
    out, step = [0] * len(size), 1
    for d in wanted.order:
        out[d] = step
        step *= max(size[d], 1)
    return tuple(out)


def suggested(size, stride):
    """channels_last(_3d) where the strides are its own and not row-major ones too, or contiguous."""
    wanted = {4: channels_last, 5: channels_last_3d}.get(len(size))
    if wanted is None or is_contiguous(size, stride):
        return contiguous_format
    # torch's test (c10/core/MemoryFormat.h): strides grow in this order, gaps do not matter
    least = 0
    for d in wanted.order:
        if stride[d] == 0 or stride[d] < least or (d == 0 and least == stride[1]):
            return contiguous_format
        least = stride[d] * max(size[d], 1)
    return wanted


def common_format(operands):
    """The format that all (size, stride) suggest, contiguous where they differ."""
    found = {suggested(size, stride) for size, stride in operands}
    return found.pop() if len(found) == 1 else contiguous_format
def format_of(size, stride):
    """The memory format that strides suggest: contiguous_format where no other fits."""
    return next((f for f in (channels_last, channels_last_3d) if lies_in(size, stride, f)),
                contiguous_format)


def lies_in(size, stride, wanted):
    """Whether strides are those of a memory format; dimensions of size 1 do not matter."""
    if len(size) != len(wanted.order):
        return False
    return all(n == 1 or s == w for n, s, w in zip(
        size, stride, format_stride(size, wanted), strict=True))
