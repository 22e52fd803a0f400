"""torch.nn.functional, chapter "Pooling functions"."""

import functools

from reference_impl.drawing import rand
from reference_impl.errors import ArgumentValue
from reference_impl.rule import OPERATIONS
from reference_impl.rules.windows import several

__all__ = ["adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
           "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "avg_pool1d",
           "avg_pool2d", "avg_pool3d", "fractional_max_pool2d", "fractional_max_pool3d",
           "lp_pool1d", "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool2d", "max_pool3d",
           "max_unpool1d", "max_unpool2d", "max_unpool3d"]


def op(name):
    return OPERATIONS[name].function


avg_pool1d, avg_pool2d, avg_pool3d, adaptive_avg_pool1d = (op(name) for name in (
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d"))


def _named(function, name):
    function.__name__ = function.__qualname__ = name
    return function


def _max_pool(name):
    """The largest elements of the windows, with return_indices=True also where they are."""
    def function(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False,
                 return_indices=False):
        stride = () if stride is None else stride
        return op(f"{name}_with_indices" if return_indices else name)(
            input, kernel_size, stride, padding, dilation, ceil_mode)
    return _named(function, name)


max_pool1d, max_pool2d, max_pool3d = map(_max_pool, ("max_pool1d", "max_pool2d", "max_pool3d"))


def _full(input, output_size):
    """output_size with the input's own size in the place of None."""
    if output_size is None or isinstance(output_size, int):
        return output_size
    if input.ndim <= len(output_size):
        raise ArgumentValue(f"Input dimension should be at least {len(output_size) + 1}")
    sizes = input.shape[input.ndim - len(output_size):]
    return [n if o is None else o for n, o in zip(sizes, output_size, strict=True)]


def _adaptive_avg(name):
    def function(input, output_size):
        return op(name)(input, _full(input, output_size))
    return _named(function, name)


def _adaptive_max(name):
    def function(input, output_size, return_indices=False):
        size = output_size if name.endswith("1d") else _full(input, output_size)
        both = op(name)(input, size)
        return both if return_indices else both[0]
    return _named(function, name)


adaptive_avg_pool2d, adaptive_avg_pool3d = map(_adaptive_avg, (
    "adaptive_avg_pool2d", "adaptive_avg_pool3d"))
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = map(_adaptive_max, (
    "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"))


def _fractional(count):
    name = f"fractional_max_pool{count}d"

    def function(input, kernel_size, output_size=None, output_ratio=None, return_indices=False,
                 _random_samples=None):
        if output_size is None and output_ratio is None:
            raise ArgumentValue(f"{name} requires specifying either an output_size or an "
                                "output_ratio")
        if output_size is None:
            ratio = (output_ratio,) * count if isinstance(output_ratio, (int, float)) else (
                output_ratio)
            if len(ratio) > count:
                raise ArgumentValue(f"{name} requires output_ratio to either be a single Int or "
                                    "tuple of Ints.")
            output_size = [int(input.size(d - count) * ratio[d]) for d in range(count)]
        if _random_samples is None:
            batches = 1 if input.ndim == count + 1 else input.size(0)
            _random_samples = rand(batches, input.size(-count - 1), count, dtype=input.dtype)
        both = op(name)(input, kernel_size, output_size, _random_samples)
        return both if return_indices else both[0]
    return _named(function, name)


fractional_max_pool2d, fractional_max_pool3d = map(_fractional, (2, 3))


# ── max_unpool ─────────────────────────────────────────────────────────────────────────────────

def _unpool_size(size, kernel, stride, padding, output_size):
    """The size of an image of whose windows these were the largest elements."""
    natural = [(n - 1) * s + k - 2 * p for n, k, s, p in zip(size, kernel, stride, padding,
                                                            strict=True)]
    count = len(kernel)
    if output_size is None:
        return natural
    given = list(output_size)
    wanted = given[2:] if len(given) == count + 2 else given
    if len(wanted) != count:
        raise ArgumentValue(f"output_size should be a sequence containing {count} or {count + 2} "
                            f"elements, but it has a length of '{len(given)}'")
    for d, (middle, s, w) in enumerate(zip(natural, stride, wanted, strict=True)):
        if not middle - s < w < middle + s:
            raise ArgumentValue(f"invalid output_size \"{output_size}\" (dim {d} must be between "
                                f"{middle - s} and {middle + s})")
    return wanted


def _unpool(count):
    def function(input, indices, kernel_size, stride=None, padding=0, output_size=None):
        kernel, padding = several(kernel_size, count), several(padding, count)
        stride = kernel if stride is None else several(stride, count)
        size = _unpool_size(input.shape[-count:], kernel, stride, padding, output_size)
        for d, n in enumerate(size):
            if n < 0:
                raise ArgumentValue("max_unpooling: output_size must contain non-negative spatial "
                                    f"dimensions, but got output_size[{d}]={n}")
        if count == 1:
            return op("max_unpool2d")(input.unsqueeze(-1), indices.unsqueeze(-1),
                                      [*size, 1]).squeeze(-1)
        if count == 2:
            return op("max_unpool2d")(input, indices, size)
        return op("max_unpool3d")(input, indices, size, stride, padding)
    return _named(function, f"max_unpool{count}d")


max_unpool1d, max_unpool2d, max_unpool3d = map(_unpool, (1, 2, 3))


# ── lp_pool ────────────────────────────────────────────────────────────────────────────────────

def _lp_pool(count):
    mean = (avg_pool1d, avg_pool2d, avg_pool3d)[count - 1]

    def function(input, norm_type, kernel_size, stride=None, ceil_mode=False):
        """The p-norm of each window: the sum is the mean times the number of elements."""
        means = mean(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
        elements = 1
        for k in several(kernel_size, count):
            elements *= k
        return (means.sign() * means.abs().relu()).mul(elements).pow(1.0 / norm_type)
    return _named(function, f"lp_pool{count}d")


lp_pool1d, lp_pool2d, lp_pool3d = map(_lp_pool, (1, 2, 3))


def _with_indices(function):
    """The function as it is with return_indices=True: torch names these, too."""
    return _named(functools.partial(function, return_indices=True),
                  f"{function.__name__}_with_indices")


_LARGEST = (max_pool1d, max_pool2d, max_pool3d, adaptive_max_pool1d, adaptive_max_pool2d,
            adaptive_max_pool3d, fractional_max_pool2d, fractional_max_pool3d)
for _function in _LARGEST:
    _both = _with_indices(_function)
    globals()[_both.__name__] = _both
    __all__.append(_both.__name__)
