"""How many threads compute: here it is always one; the numbers are kept and told."""

from reference_impl.errors import Argument


class _Counts:
    threads = 1
    interop_threads = 1


def _count(name, count):
    if not isinstance(count, int) or isinstance(count, bool):
        raise Argument(f"{name} expects an int, but got {type(count).__name__}")
    if count <= 0:
        raise Argument(f"{name} expects a positive integer")
    return count


def set_num_threads(int):
    _Counts.threads = _count("set_num_threads", int)


def get_num_threads():
    return _Counts.threads


def set_num_interop_threads(int):
    _Counts.interop_threads = _count("set_num_interop_threads", int)


def get_num_interop_threads():
    return _Counts.interop_threads
