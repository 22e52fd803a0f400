"""torch.memory_format: names for the order of dimensions in memory."""

from reference_impl.errors import Argument


class memory_format:
    """One of contiguous_format, preserve_format, channels_last, channels_last_3d."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"torch.{self.name}"


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")


def check_format(given):
    """Only row-major can be asked for. Raises Argument for the channels-last orders."""
    if given not in (None, contiguous_format, preserve_format):
        raise Argument(f"memory format {given!r} is not available: this library lays tensors out "
                       "row-major or as their source")
