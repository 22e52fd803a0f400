"""More functions of one tensor: inverse hyperbolic, fractions, degrees, gamma, classification.

In a line, ct is the cotangent, ins the inputs, y the result, t the tangents. The derivatives and
what is kept for them are those of PyTorch's tools/autograd/derivatives.yaml. They are helpers: no
table of operations lists them yet, so no library is checked against them.
"""

import numpy as np
import scipy.special

from reference_impl import dtypes as dt
from reference_impl.creation import full_like, zeros_like
from reference_impl.errors import Argument, DtypeUnsupported
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.rules.elementwise import NUMBER, RESULT, SELF, unary, where

PI = 4 * np.arctan(np.longdouble(1))


def helper(name, forward, *, slope=None, **facts):
    """A rule that no table lists. slope(x, y) of a real function y of x gives vjp and jvp."""
    if slope is not None:
        facts |= {"vjp": lambda ct, ins, y: [ct * slope(ins[0], y)],
                  "jvp": lambda t, ins, y: t[0] * slope(ins[0], y)}
    return unary(name, forward, helper=True, **facts)


def single(function):
    """scipy.special has no half precision and no long double; it computes those in the next one."""
    def forward(self):
        wide = self.astype(np.float32) if self.dtype.itemsize < 4 else self
        if wide.dtype == np.longdouble:
            wide = wide.astype(np.float64)
        return function(wide).astype(self.dtype)
    return forward


# --- inverse hyperbolic functions ---

helper("asinh", np.arcsinh, promote="float", saves=SELF,
       vjp=lambda ct, ins, y: [ct * (ins[0] * ins[0] + 1).rsqrt().conj()],
       jvp=lambda t, ins, y: t[0] * (ins[0] * ins[0] + 1).rsqrt())


def acosh_slope(x):
    # (x*x - 1) ** -0.5 has its branch cut elsewhere
    return (x - 1).rsqrt() * (x + 1).rsqrt() if x.is_complex() else (x * x - 1).rsqrt()


helper("acosh", np.arccosh, promote="float", saves=SELF,
       vjp=lambda ct, ins, y: [ct * acosh_slope(ins[0]).conj()],
       jvp=lambda t, ins, y: t[0] * acosh_slope(ins[0]))
helper("atanh", np.arctanh, promote="float", saves=SELF,
       vjp=lambda ct, ins, y: [ct / (1 - ins[0] * ins[0]).conj()],
       jvp=lambda t, ins, y: t[0] / (1 - ins[0] * ins[0]))

# --- fractions, degrees ---

helper("frac", lambda self: self - np.trunc(self), accepts="float",
       vjp=lambda ct, ins, y: [ct], jvp=lambda t, ins, y: t[0])
helper("deg2rad", lambda self: self * np.asarray(PI / 180).astype(self.dtype), promote="float",
       accepts="float", vjp=lambda ct, ins, y: [ct * (PI / 180)], jvp="linear")
helper("rad2deg", lambda self: self * np.asarray(180 / PI).astype(self.dtype), promote="float",
       accepts="float", vjp=lambda ct, ins, y: [ct * (180 / PI)], jvp="linear")
helper("positive", lambda self: self, accepts=NUMBER, vjp=lambda ct, ins, y: [ct], jvp="linear")


def angle(self):
    """The argument of a complex number; of a real one pi where negative, nan where nan."""
    if self.dtype.kind == "c":
        return np.angle(self)
    return np.where(np.isnan(self), self, np.where(self < 0, PI, 0)).astype(self.dtype)


def angle_vjp(ct, ins, y):
    z = ins[0]
    if not z.is_complex():
        return [zeros_like(ct)]
    size = (z * z.conj()).real
    across = where(size == 0, 0, ct / size)
    return [across * (z * 1j)]


def angle_jvp(t, ins, y):
    z = ins[0]
    if not z.is_complex():
        return zeros_like(y)
    size = (z * z.conj()).real
    return where(size == 0, 0, (z.conj() * t[0]).imag / size)


unary("angle", angle, promote="float", helper=True, saves=SELF, vjp=angle_vjp, jvp=angle_jvp)


def sinc(self):
    """sin(pi x) / (pi x), 1 at 0."""
    x = self * np.asarray(PI).astype(self.dtype)
    return np.where(x == 0, 1, np.sin(x) / np.where(x == 0, 1, x)).astype(self.dtype)


def sinc_slope(x):
    p = x * PI
    return where(p == 0, 0, (p * p.cos() - p.sin()) * PI / where(p == 0, 1, p * p))


helper("sinc", sinc, promote="float", saves=SELF,
       vjp=lambda ct, ins, y: [ct * sinc_slope(ins[0]).conj()],
       jvp=lambda t, ins, y: t[0] * sinc_slope(ins[0]))


def rounded(self, *, decimals):
    """Round to a number of decimals, as torch does: times a power of ten, to even, and back."""
    if self.dtype.kind in "biu":
        if decimals:
            raise DtypeUnsupported("\"round_cpu\" not implemented for integers with decimals != 0")
        return self.copy()
    wide = self.astype(np.float32) if self.dtype.itemsize < 4 else self
    ten = wide.dtype.type(10) ** wide.dtype.type(abs(decimals))
    out = np.rint(wide * ten) / ten if decimals > 0 else np.rint(wide / ten) * ten
    return out.astype(self.dtype)


unary("round.decimals", rounded, helper=True, vjp=lambda ct, ins, y, decimals: [zeros_like(ct)],
      jvp=lambda t, ins, y, decimals: zeros_like(t[0]))


def logit(self, eps=None):
    """log(x / (1 - x)), with x first kept within [eps, 1 - eps]."""
    x = self if eps is None else np.clip(self, self.dtype.type(eps), self.dtype.type(1 - eps))
    return np.log(x / (1 - x))


def logit_slope(x, eps):
    inner = 1 / (x * (1 - x))
    if eps is None:
        return where((x < 0) | (x > 1), full_like(x, np.nan), inner)
    return where((x < eps) | (x > 1 - eps), 0, inner)


helper("logit", logit, promote="float", accepts="float", saves=SELF,
       vjp=lambda ct, ins, y, eps: [ct * logit_slope(ins[0], eps)],
       jvp=lambda t, ins, y, eps: t[0] * logit_slope(ins[0], eps))

# --- gamma and its derivatives ---

helper("lgamma", single(scipy.special.gammaln), promote="float", accepts="float", saves=SELF,
       slope=lambda x, y: x.digamma())


def _digamma(x):
    """psi(x); at the poles torch gives -inf at +0, +inf at -0, nan at negative integers."""
    out = scipy.special.psi(x)
    zero = np.copysign(np.inf, -x)
    return np.where(x == 0, zero, np.where((x < 0) & (x == np.floor(x)), np.nan, out))


helper("digamma", single(_digamma), promote="float", accepts="float", saves=SELF,
       slope=lambda x, y: x.polygamma(1))


def polygamma(self, n):
    """The n-th derivative of digamma. Raises Argument for a negative n."""
    if n < 0:
        raise Argument("polygamma(n, x) does not support negative n.")
    return single(_digamma if n == 0 else lambda x: scipy.special.polygamma(n, x))(self)


helper("_polygamma", polygamma, promote="float", accepts="float", saves=SELF,
       node="PolygammaBackward0",
       vjp=lambda ct, ins, y, n: [ct * OPERATIONS["_polygamma"].function(ins[0], n + 1)],
       jvp=lambda t, ins, y, n: t[0] * OPERATIONS["_polygamma"].function(ins[0], n + 1))


def polygamma_either_way(n, input=None, *rest):
    """torch.polygamma(n, input) and Tensor.polygamma(n)."""
    x, order = (input, n) if not hasattr(n, "_array") else (n, input)
    return OPERATIONS["_polygamma"].function(x, order)


composite("polygamma", polygamma_either_way, helper=True)


def mvlgamma(input, p):
    """log of the multivariate gamma function: p(p-1)/4 log pi + the sum of lgamma(x - j/2)."""
    if p < 1:
        raise Argument("p has to be greater than or equal to 1")
    total = OPERATIONS["lgamma"].function(input)
    for j in range(1, p):
        total = total + (input - j / 2).lgamma()
    return total + p * (p - 1) / 4 * float(np.log(PI))


composite("mvlgamma", mvlgamma, helper=True)
helper("erfinv", single(scipy.special.erfinv), promote="float", accepts="float", saves=RESULT,
       slope=lambda x, y: (y * y).exp() * (np.sqrt(PI) / 2))
helper("i0", single(scipy.special.i0), promote="float", accepts="float", saves=SELF,
       slope=lambda x, y: OPERATIONS["special_i1"].function(x))

# --- classes of numbers ---


def question(name, ask):
    """A function whose answer is bool, from an array."""
    rule(name, ask, inputs=("self",), layout="elementwise", helper=True)


def real_only(name, ask):
    def forward(self):
        if self.dtype.kind == "c":
            raise DtypeUnsupported(f"{name} does not support complex inputs.")
        return ask(self)
    return forward


def floating(ask, otherwise):
    """`ask` for floats; integers all answer `otherwise`."""
    return lambda self: np.full(self.shape, otherwise) if self.dtype.kind in "biu" else ask(self)


question("isnan", floating(np.isnan, False))
question("isinf", floating(np.isinf, False))
question("isfinite", floating(np.isfinite, True))
question("isposinf", real_only("isposinf", floating(lambda x: x == np.inf, False)))
question("isneginf", real_only("isneginf", floating(lambda x: x == -np.inf, False)))
question("isreal", lambda self: self.imag == 0 if self.dtype.kind == "c" else
         np.ones(self.shape, bool))
question("signbit", real_only("signbit", lambda x: x < 0 if x.dtype.kind in "iu" else
                              np.zeros(x.shape, bool) if x.dtype.kind == "b" else np.signbit(x)))


def nan_to_num(self, nan=None, posinf=None, neginf=None):
    """nan as `nan` (0), infinities as given or as the largest numbers of the dtype."""
    if self.dtype.kind in "biu":
        return self.copy()
    if self.dtype.kind == "c":
        out = self.copy()
        out.real, out.imag = (nan_to_num(p, nan, posinf, neginf) for p in (self.real, self.imag))
        return out
    limits = dt.finfo(dt.BY_NUMPY[self.dtype])
    high, low = (limits.max if posinf is None else posinf), (
        limits.min if neginf is None else neginf)
    out = np.where(np.isnan(self), 0 if nan is None else nan, self)
    out = np.where(self == np.inf, high, out)
    return np.where(self == -np.inf, low, out).astype(self.dtype)


def ordinary(x, ct):
    finite = x.isfinite() if not x.is_complex() else x.real.isfinite() & x.imag.isfinite()
    return where(finite, ct, 0)


unary("nan_to_num", nan_to_num, helper=True, saves=SELF,
      vjp=lambda ct, ins, y, nan, posinf, neginf: [ordinary(ins[0], ct)],
      jvp=lambda t, ins, y, nan, posinf, neginf: ordinary(ins[0], t[0]))

# --- torch.special ---


def entr(self):
    """-x log x; 0 at 0, -inf below."""
    return np.where(np.isnan(self), self, np.where(self > 0, -self * np.log(np.where(
        self > 0, self, 1)), np.where(self == 0, 0, -np.inf))).astype(self.dtype)


helper("special_entr", entr, promote="float", accepts="float", saves=SELF,
       slope=lambda x, y: -1 - x.log())
helper("special_i1", single(scipy.special.i1), promote="float", accepts="float",
       saves={"self": ("self", "result")},
       slope=lambda x, y: where(x == 0, 0.5, x.i0() - y / where(x == 0, 1, x)))
helper("special_i0e", single(scipy.special.i0e), promote="float", accepts="float",
       saves={"self": ("self", "result")},
       slope=lambda x, y: OPERATIONS["special_i1e"].function(x) - x.sgn() * y)
helper("special_i1e", single(scipy.special.i1e), promote="float", accepts="float",
       saves={"self": ("self", "result")}, slope=lambda x, y: where(
           x == 0, 0.5, OPERATIONS["special_i0e"].function(x)
           - y * (x.sgn() + 1 / where(x == 0, 1, x))))
helper("special_erfcx", single(scipy.special.erfcx), promote="float", accepts="float",
       saves={"self": ("self", "result")},
       slope=lambda x, y: 2 * x * y - 2 / float(np.sqrt(PI)))
helper("special_ndtri", single(scipy.special.ndtri), promote="float", accepts="float",
       saves=RESULT, slope=lambda x, y: (y * y / 2).exp() * float(np.sqrt(2 * PI)))
helper("special_log_ndtr", single(scipy.special.log_ndtr), promote="float", accepts="float",
       saves={"self": ("self", "result")},
       slope=lambda x, y: float(np.sqrt(2 / PI)) / OPERATIONS["special_erfcx"].function(
           x * -float(np.sqrt(0.5))))
for _name, _function in {"bessel_j0": scipy.special.j0, "bessel_j1": scipy.special.j1,
                         "bessel_y0": scipy.special.y0, "bessel_y1": scipy.special.y1,
                         "modified_bessel_i0": scipy.special.i0,
                         "modified_bessel_i1": scipy.special.i1,
                         "modified_bessel_k0": scipy.special.k0,
                         "modified_bessel_k1": scipy.special.k1,
                         "scaled_modified_bessel_k0": scipy.special.k0e,
                         "scaled_modified_bessel_k1": scipy.special.k1e,
                         "airy_ai": lambda x: scipy.special.airy(x)[0],
                         "spherical_bessel_j0": lambda x: scipy.special.spherical_jn(0, x),
                         }.items():
    helper(f"special_{_name}", single(_function), promote="float", accepts="float",
           differentiable=())


def ndtr(input):
    """The normal distribution function, by way of erfc so that the lower tail is exact."""
    x = input * float(np.sqrt(0.5))
    return where(x.abs() < 1, 0.5 + 0.5 * x.erf(), where(x > 0, 1 - 0.5 * x.erfc(),
                                                        0.5 * (-x).erfc()))


composite("special_ndtr", ndtr, method=False, helper=True)
