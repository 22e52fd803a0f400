"""Orthogonal polynomials: torch.special.chebyshev_polynomial_t and the like; no derivatives.

Each is its three-term recurrence. Where torch's closed forms differ from it in rounding only, they
are used where torch uses them (aten/src/ATen/native/Math.h); degrees below 0 give 0, and a degree
is cut to an integer.
"""

import numpy as np

from reference_impl.rule import rule

PATIENCE = 2048      # degrees beyond which nobody's numbers are finite outside [-1, 1]


def recurrence(x, n, first, step):
    """p_n(x) for p_0 = 1, p_1 = first, p_(k+1) = step(k, p_k, p_(k-1)); x and n of one shape."""
    out = np.where(n == 0, np.ones_like(x), np.where(n == 1, first, np.zeros_like(x)))
    p, q = np.ones_like(x), first
    for k in range(1, min(int(n.max(initial=0)), PATIENCE)):
        p, q = q, step(k, q, p)
        out = np.where(n == k + 1, q, out)
    return np.where(n > PATIENCE, np.nan, out).astype(x.dtype)


def signed(n):
    """(-1) ** n."""
    return np.where(n % 2 == 0, 1, -1)


def chebyshev(first, closed, low, high, many):
    """first(x) is p_1; closed(a, n) for degrees above `many`, with x = cos a; p_n(-1) and p_n(1)."""
    def polynomial(x, n):
        out = recurrence(x, n, first(x), lambda k, q, p: 2 * x * q - p)
        inner = (n > many) & (np.abs(x) < 1)
        angle = np.arccos(np.where(inner, x, 0))
        out = np.where(inner, closed(angle, n), out)
        out = np.where(x == 1, high(n), np.where(x == -1, low(n), out))
        return np.where(n < 0, 0, out)
    return polynomial


def ratio(numerator, denominator, otherwise):
    return np.where(denominator == 0, otherwise, numerator / np.where(denominator == 0, 1,
                                                                      denominator))


FIRST = chebyshev(lambda x: x, lambda a, n: np.cos(n * a), signed, np.ones_like, 6)
SECOND = chebyshev(lambda x: 2 * x, lambda a, n: ratio(np.sin((n + 1) * a), np.sin(a), n + 1),
                   lambda n: signed(n) * (n + 1), lambda n: n + 1, 8)
THIRD = chebyshev(lambda x: 2 * x - 1, lambda a, n: ratio(
    np.cos((n + 0.5) * a), np.cos(a / 2), signed(n) * (2 * n + 1)),
    lambda n: signed(n) * (2 * n + 1), np.ones_like, 8)
FOURTH = chebyshev(lambda x: 2 * x + 1, lambda a, n: ratio(
    np.sin((n + 0.5) * a), np.sin(a / 2), 2 * n + 1), signed, lambda n: 2 * n + 1, 8)


def shifted(polynomial):
    return lambda x, n: polynomial(2 * x - 1, n)


def legendre(x, n):
    out = recurrence(x, n, x, lambda k, q, p: ((2 * k + 1) * x * q - k * p) / (k + 1))
    out = np.where(x == 1, 1, np.where(x == -1, signed(n), out))
    return np.where(n < 0, 0, out)


def laguerre(x, n):
    out = recurrence(x, n, 1 - x, lambda k, q, p: ((2 * k + 1 - x) * q - k * p) / (k + 1))
    return np.where(n < 0, 0, np.where(x == 0, 1, out))


def hermite(scale):
    """The physicists' (scale 2) and the probabilists' (scale 1); nan beyond a degree, as in torch."""
    def polynomial(x, n):
        out = recurrence(x, n, scale * x, lambda k, q, p: scale * (x * q - k * p))
        limit = {4: 128, 8: 512}.get(x.dtype.itemsize, 1024)
        return np.where(n < 0, 0, np.where(n > limit, np.nan, out))
    return polynomial


def register(name, polynomial):
    def forward(x, n):
        x, degree = np.broadcast_arrays(x, n)
        whole = np.where(np.isfinite(degree), degree, -1).astype(np.int64)
        return np.asarray(polynomial(x, whole)).astype(x.dtype)
    rule(f"special_{name}", forward, inputs=("x", "n"), promote="float", accepts="float",
         method=False, numbers="one", helper=True, differentiable=())


for _name, _polynomial in {
        "chebyshev_polynomial_t": FIRST, "chebyshev_polynomial_u": SECOND,
        "chebyshev_polynomial_v": THIRD, "chebyshev_polynomial_w": FOURTH,
        "shifted_chebyshev_polynomial_t": shifted(FIRST),
        "shifted_chebyshev_polynomial_u": shifted(SECOND),
        "shifted_chebyshev_polynomial_v": shifted(THIRD),
        "shifted_chebyshev_polynomial_w": shifted(FOURTH),
        "hermite_polynomial_h": hermite(2), "hermite_polynomial_he": hermite(1),
        "laguerre_polynomial_l": laguerre, "legendre_polynomial_p": legendre}.items():
    register(_name, _polynomial)
