"""var, std and their like as torch spells them (correction=, or the older unbiased=); covariances."""

import warnings

from reference_impl import dtypes as dt
from reference_impl.creation import tensor, zeros_like
from reference_impl.dispatch import FUNCTIONS
from reference_impl.errors import Argument, ArgumentType, DtypeUnsupported
from reference_impl.rule import OPERATIONS, composite
from reference_impl.tensor import Tensor


def _options(name, args, named):
    """(dim, correction, keepdim) of a call: (dim, unbiased, keepdim) or (unbiased) or keywords."""
    named, args = dict(named), list(args)
    if "axis" in named:
        named["dim"] = named.pop("axis")
    if "keepdims" in named:
        named["keepdim"] = named.pop("keepdims")
    unbiased = named.pop("unbiased", None)
    if args and isinstance(args[0], bool):
        unbiased = args.pop(0)
    elif args:
        named["dim"] = args.pop(0)
        if args:
            unbiased = args.pop(0)
        if args:
            named["keepdim"] = args.pop(0)
    if args:
        raise ArgumentType(f"{name}() received an invalid combination of arguments")
    if unbiased is not None:
        if "correction" in named:
            raise ArgumentType(f"{name}() received an invalid combination of arguments: unbiased "
                               "and correction exclude each other")
        named["correction"] = int(unbiased)
    return named


def _spelled(name):
    compute = OPERATIONS[name].function

    def function(input, *args, **named):
        return compute(input, **_options(name, args, named))
    function.__name__ = function.__qualname__ = name
    return function


for _name in ("var", "std", "var_mean", "std_mean"):
    FUNCTIONS[_name] = _spelled(_name)
for _name in ("var", "std"):
    setattr(Tensor, _name, FUNCTIONS[_name])


def cov(input, *, correction=1, fweights=None, aweights=None):
    """Covariances of the rows of a matrix, whose columns are observations.

    fweights: how often each observation counts; aweights: how much.
    """
    if input.ndim > 2:
        raise Argument("cov(): expected input to have two or fewer dimensions but got an input with "
                       f"{input.ndim} dimensions")
    if input.dtype is dt.bool:
        raise DtypeUnsupported("cov(): bool dtype is not supported for input")
    x = input.view((1, -1)) if input.ndim < 2 else input
    weights = None
    for name, given, category in (("fweights", fweights, dt.INT), ("aweights", aweights, dt.FLOAT)):
        if given is not None:
            _check_weights(name, given, category, x._size[1])
            weights = given if weights is None else weights * given
    total = tensor(x._size[1]) if weights is None else weights.sum()
    mean = (x if weights is None else x * weights).sum(1) / total
    freedom = total - correction
    if weights is not None and aweights is not None and correction:
        freedom = total - correction * (weights * aweights).sum() / total
    if freedom.item() <= 0:
        warnings.warn("cov(): degrees of freedom is <= 0", UserWarning, stacklevel=3)
        freedom = zeros_like(freedom)
    away = x - mean.unsqueeze(1)
    scaled = away if weights is None else away * weights
    return (away @ scaled.t().conj() / freedom).squeeze()


def _check_weights(name, given, category, count):
    kind = {dt.INT: "integral", dt.FLOAT: "floating point"}[category]
    if given.ndim > 1:
        raise Argument(f"cov(): expected {name} to have one or fewer dimensions but got {name} with "
                       f"{given.ndim} dimensions")
    if given.dtype.category != category:
        raise DtypeUnsupported(f"cov(): expected {name} to have {kind} dtype but got {name} with "
                               f"{given.dtype.scalar_name} dtype")
    if given.numel() != count:
        raise Argument(f"cov(): expected {name} to have the same numel as there are observations in "
                       f"the input but got {given.numel()} != {count}")
    if (given._array < 0).any():
        raise Argument(f"cov(): {name} cannot be negative")


def corrcoef(input):
    """Correlations of the rows of a matrix, rounding beyond [-1, 1] cut off."""
    if input.ndim > 2:
        raise Argument("corrcoef(): expected input to have two or fewer dimensions but got an input "
                       f"with {input.ndim} dimensions")
    c = cov(input)
    if not c.ndim:
        return c / c
    spread = c.diag()
    spread = (spread.real if c.is_complex() else spread).sqrt()
    c = c / spread.view((-1, 1)) / spread.view((1, -1))
    if not c.is_complex():
        return c.clip(-1, 1)
    return FUNCTIONS["complex"](c.real.clip(-1, 1), c.imag.clip(-1, 1))


composite("cov", cov, helper=True)
composite("corrcoef", corrcoef, helper=True)
