"""Tensor.uniform_, normal_, random_ and the like: methods that fill a tensor with random numbers.

For the graph they are a fill with something that does not depend on what was there.
"""

from reference_impl import dtypes as dt
from reference_impl.drawing import (
    C_NAMES,
    FLOATS,
    REALS,
    check_integers,
    check_order,
    graph_rule,
    integer_array,
    limits_of,
    normal_array,
    uniform_array,
    within,
)
from reference_impl.errors import Argument, NotImplementedFor
from reference_impl.grad_mode import state
from reference_impl.graph import edges_of, make_node
from reference_impl.inplace import check_history, rebase, write
from reference_impl.overlap import check_internal
from reference_impl.random import stream_of
from reference_impl.rule import RULES
from reference_impl.tensor import Tensor


def _filling(name, draw, accepts, kernel, node=None):
    graph_rule(f"_{name}", node or f"{name.strip('_').title().replace('_', '')}Backward0")

    def method(self, *args, generator=None, **named):
        values = draw(self, *args, **named)
        if self.dtype.category not in accepts:
            raise NotImplementedFor(f"\"{kernel}\" not implemented for '{self.dtype.scalar_name}'")
        check_internal(self)
        node = None
        if state.enabled and self.requires_grad:
            check_history(self)
            node = make_node(RULES[f"_{name}"], [self], edges_of([self]), {"values": None},
                             [self], False)
        write(self, values(stream_of(generator)))
        if node is not None:
            rebase(self, node)
        return self
    method.__name__ = method.__qualname__ = name
    setattr(Tensor, name, method)
    return method


def _uniform(t, low=0.0, high=1.0, **named):
    low, high = named.get("from", low), named.get("to", high)
    if t.dtype.category == dt.FLOAT:
        least, most = limits_of(t.dtype)
        for word, value in (("from", low), ("to", high)):
            if not least <= value <= most:
                raise Argument(f"{word} is out of bounds for {C_NAMES[t.dtype.name]}")
        if low > high:
            raise Argument(f"uniform_ expects to return a [from, to) range, but found from={low:g} "
                           f"> to={high:g}")
        if high - low > most:
            raise Argument("uniform_ expects to-from <= std::numeric_limits<"
                           f"{t.dtype.scalar_name}>::max(), but found to={high:g} and from={low:g} "
                           "which result in to-from to exceed the limit")
    return lambda stream: uniform_array(stream, t._size, t.dtype, low, high)


def _normal(t, mean=0.0, std=1.0):
    if std < 0:
        raise Argument(f"normal expects std >= 0.0, but found std {std:g}")
    return lambda stream: normal_array(stream, t._size, t.dtype, mean, std)


def _random(t, *bounds, **named):
    """random_(), random_(to), random_(from, to), random_(from, None): from there to the largest."""
    low, high = (bounds if len(bounds) == 2 else (0, *bounds, None)[:2])
    low, high = named.get("from", low), named.get("to", high)
    if high is not None:
        check_order(int(low), int(high))
        check_integers(t.dtype, int(low), int(high) - 1)
        low, high = within(t.dtype, int(low), int(high))
        last = high - 1
    elif t.dtype.category == dt.FLOAT:       # all that the type can count exactly
        last = 2 ** dt.finfo_digits(t.dtype)
    else:
        last = limits_of(t.dtype)[1] if t.dtype.category in REALS else 0
    if high is None:
        check_integers(t.dtype, int(low), last)
    return lambda stream: integer_array(stream, int(low), last, t._size, t.dtype)


def _positive(name, word, value):
    if value <= 0:
        raise Argument(f"{name} expects {word} > 0.0, but found {word}={value:g}")


def _exponential(t, lambd=1.0):
    _positive("exponential_", "lambda", lambd)
    return lambda stream: stream.exponential(1 / lambd, t._size)


def _cauchy(t, median=0.0, sigma=1.0):
    _positive("cauchy_", "sigma", sigma)
    return lambda stream: median + sigma * stream.standard_cauchy(t._size)


def _log_normal(t, mean=1.0, std=2.0):
    _positive("log_normal_", "std", std)
    return lambda stream: stream.lognormal(mean, std, t._size)


def _geometric(t, p):
    if not 0 < p < 1:
        raise Argument(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    return lambda stream: stream.geometric(p, t._size)


def _bernoulli(t, p=0.5):
    if not isinstance(p, Tensor) and not 0 <= p <= 1:
        raise Argument(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    chance = p.detach()._array if isinstance(p, Tensor) else p
    return lambda stream: stream.random(t._size) < chance


_filling("uniform_", _uniform, (dt.FLOAT, dt.COMPLEX), "check_uniform_bounds")
_filling("normal_", _normal, (dt.FLOAT, dt.COMPLEX), "normal_kernel_cpu")
_filling("random_", _random, REALS, "random_")
_filling("bernoulli_", _bernoulli, REALS, "bernoulli_scalar_cpu_", "BernoulliBackward2")
_filling("exponential_", _exponential, FLOATS, "exponential_cpu")
_filling("cauchy_", _cauchy, FLOATS, "cauchy_cpu")
_filling("log_normal_", _log_normal, FLOATS, "log_normal_cpu")
_filling("geometric_", _geometric, (dt.INT, dt.FLOAT), "geometric_cpu")
