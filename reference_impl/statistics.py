"""var, std and their like as torch spells them: correction=, or the older unbiased=."""

from reference_impl.creation import full
from reference_impl.dispatch import FUNCTIONS
from reference_impl.errors import ArgumentType
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
    """Covariances of the rows of a matrix, whose columns are observations."""
    from reference_impl.errors import Argument
    if input.ndim > 2:
        raise Argument("cov(): expected input to have two or fewer dimensions but got an input with "
                       f"{input.ndim} dimensions")
    x = input.reshape((1, -1)) if input.ndim < 2 else input
    weights = None
    for given in (fweights, aweights):
        if given is not None:
            weights = given if weights is None else weights * given
    n = x._size[1] if weights is None else weights.sum()
    mean = x.mean(1, True) if weights is None else (x * weights).sum(1, keepdim=True) / n
    if weights is None or aweights is None or not correction:
        freedom = n - correction
    else:
        freedom = n - correction * (weights * aweights).sum() / n
    away = x - mean
    scaled = away if weights is None else away * weights
    freedom = freedom.clamp(min=0) if isinstance(freedom, Tensor) else full((), max(freedom, 0))
    return (scaled @ away.t().conj() / freedom.to(x.dtype)).squeeze()


def corrcoef(input):
    """Correlations of the rows of a matrix."""
    c = cov(input)
    if not c.ndim:
        return c / c
    spread = c.diagonal().sqrt()
    return c / spread.unsqueeze(1) / spread.unsqueeze(0)


composite("cov", cov, helper=True)
composite("corrcoef", corrcoef, helper=True)
