"""dropout and its kin: elements or whole channels set to 0 by chance, the others made larger.

Which elements go is the affair of the library's own random numbers (random.py).
"""

import numpy as np

import reference_impl as torch
from reference_impl import dtypes as dt
from reference_impl.errors import Argument, ShapeMismatch
from reference_impl.random import stream_of
from reference_impl.rule import composite, rule

# What alpha_dropout sets elements to is the limit of selu far to the left: -scale * alpha.
SELU_FLOOR = 1.7580993408473766


def check_p(p):
    if not 0 <= p <= 1:
        raise Argument(f"dropout probability has to be between 0 and 1, but got {p:g}")


def noise_of(input, p, feature):
    """Zeros with probability p and ones, one for each element, or for each channel (N, C)."""
    size = input.shape
    if feature:
        if input.ndim < 2:
            raise ShapeMismatch("Feature dropout requires at least 2 dimensions in the input")
        size = (*size[:2], *(1,) * (input.ndim - 2))
    return input.detach().new_empty(size).bernoulli_(1 - p)


def dropping(name, feature, alpha):
    def noisy(input, p, train, multiply, add):
        check_p(p)
        if p == 0 or not train or not input.numel():
            return input
        if p == 1:
            return multiply(input, input.detach().new_zeros(()))
        noise = noise_of(input, p, feature)
        if not alpha:
            return multiply(input, noise.div_(1 - p))
        # scaled and shifted so that mean 0 and variance 1 stay so
        scale = 1 / np.sqrt((SELU_FLOOR ** 2 * p + 1) * (1 - p))
        shift = (noise - 1).mul_(SELU_FLOOR * scale).add_(SELU_FLOOR * scale * p)
        return add(multiply(input, noise.mul_(scale)), shift)

    def function(input, p, train):
        return noisy(input, p, train, torch.mul, torch.add)

    def in_place(input, p, train):
        return noisy(input, p, train, torch.Tensor.mul_, torch.Tensor.add_)

    composite(name, function, method=False, helper=True)
    composite(f"{name}_", in_place, method=False, helper=True)


for _name, _feature, _alpha in (("dropout", False, False), ("feature_dropout", True, False),
                                ("alpha_dropout", False, True),
                                ("feature_alpha_dropout", True, True)):
    dropping(_name, _feature, _alpha)


def factor(p, train):
    """By what the elements that stay are multiplied."""
    if train is False:
        return 1.0
    return 0.0 if p == 1 else 1 / (1 - p)


def native_dropout(input, p, train):
    """(the result, which elements stayed)"""
    if train is False:
        return input.copy(), np.ones(input.shape, bool)
    if p == 1:
        return np.zeros_like(input), np.zeros(input.shape, bool)
    stay = np.asarray(stream_of(None).random(input.shape) < 1 - p)
    return (input * stay * np.asarray(factor(p, train)).astype(input.dtype)), stay


rule("native_dropout", native_dropout, inputs=("input",), method=False, helper=True,
     saves={"input": ("result.1",)}, differentiable=(0,), layout="preserve",
     vjp=lambda ct, ins, y, p, train: [ct[0] * y[1] * factor(p, train)],
     jvp=lambda t, ins, y, p, train: (t[0] * y[1] * factor(p, train), None))
composite("native_dropout_backward", lambda grad_output, mask, scale: (
    grad_output * mask.to(dt.bool) * scale), method=False, function=False, helper=True)
