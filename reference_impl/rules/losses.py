"""Losses: chapter "Loss functions" of torch.nn.functional, those that are no classification.

In a line, ct is the cotangent, ins the inputs, y the result, t the tangents. A loss of single
elements is declared by what it is of one pair and by its slopes; the reduction is the same for all.
16-bit floats are carried in float32 and rounded once.
"""

import numpy as np

import reference_impl as torch
from reference_impl import dtypes as dt
from reference_impl.dispatch import FUNCTIONS
from reference_impl.errors import (
    Argument,
    ArgumentValue,
    DimCount,
    Domain,
    DtypeMismatch,
    DtypeUnsupported,
    NotDifferentiable,
    shape_text,
)
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.rules.elementwise import where
from reference_impl.rules.nn import only_floats, reduced, reduction_word
from reference_impl.rules.reductions import carry


def mean_of(losses, reduction, dtype):
    """Single losses (an ndarray), reduced and rounded; nan for the mean of nothing."""
    word = reduction_word(reduction)
    total = losses if word == "none" else np.sum(losses)
    if word == "mean":
        total = total / np.asarray(losses.size).astype(losses.dtype)
    return np.asarray(total).astype(dtype)


def shared(ct, reduction, size):
    """The cotangent of each single loss, from that of their reduction."""
    return ct / max(size, 1) if reduction_word(reduction) == "mean" else ct


def loss(name, forward, slope, target_slope, saves=("self", "target"), **facts):
    """A rule of self and target whose single losses have slope(x, t, **constants) and target_slope.

    target_slope None: torch refuses a target that requires grad.
    """
    def slopes(x, t, a):
        constants = {k: v for k, v in a.items() if k != "reduction"}
        return slope(x, t, **constants), (
            None if target_slope is None else target_slope(x, t, **constants))

    def vjp(ct, ins, y, **a):
        x, t = ins
        each = shared(ct, a["reduction"], (x - t).numel())
        return [None if s is None else each * s for s in slopes(x, t, a)]

    def jvp(t, ins, y, **a):
        parts = [one * s for one, s in zip(t, slopes(*ins, a), strict=True) if s is not None]
        return reduced(sum(parts), a["reduction"])
    return rule(name, forward, inputs=("self", "target"), promote="result", numbers=False,
                vjp=vjp, jvp=jvp, saves=saves, method=False, function=False, helper=True,
                layout="elementwise", **facts)


# --- distances of numbers ---


def smooth_l1(self, target, reduction="mean", beta=1.0):
    """z^2 / (2 beta) for z = |x - t| below beta, z - beta / 2 above."""
    only_floats("smooth_l1_cpu", self)
    z = np.abs(carry(self) - carry(target))
    wide = np.asarray(beta).astype(z.dtype)
    return mean_of(np.where(z < wide, z * z / (2 * wide), z - wide / 2), reduction, self.dtype)


def huber(self, target, reduction="mean", delta=1.0):
    """z^2 / 2 for z = |x - t| up to delta, delta (z - delta / 2) above."""
    only_floats("huber_cpu", self)
    if delta <= 0:
        raise Argument("huber_loss does not support non-positive values for delta.")
    z = np.abs(carry(self) - carry(target))
    wide = np.asarray(delta).astype(z.dtype)
    return mean_of(np.where(z <= wide, z * z / 2, wide * (z - wide / 2)), reduction, self.dtype)


def bent(away, bound, steep):
    """away within (-bound, bound), times steep; +-steep * bound outside."""
    edge = bound * steep
    return where(away <= -bound, -edge, where(away >= bound, edge, away * steep))


_smooth_l1 = loss("_smooth_l1_loss", smooth_l1, lambda x, t, beta: bent(x - t, beta, 1 / beta),
                  lambda x, t, beta: bent(t - x, beta, 1 / beta), node="SmoothL1LossBackward0")
loss("huber_loss", huber, lambda x, t, delta: bent(x - t, delta, 1),
     lambda x, t, delta: bent(t - x, delta, 1))


def l1_loss(self, target, reduction="mean"):
    return reduced((self - target).abs(), reduction)


def smooth_l1_loss(self, target, reduction="mean", beta=1.0):
    if beta < 0:
        raise Argument("smooth_l1_loss does not support negative values for beta.")
    return l1_loss(self, target, reduction) if beta == 0 else _smooth_l1(
        self, target, reduction, beta)


composite("l1_loss", l1_loss, method=False, function=False, helper=True)
composite("smooth_l1_loss", smooth_l1_loss, method=False, function=False, helper=True)

# --- losses of signs, 1 and -1 ---


def soft_margin(self, target, reduction="mean"):
    """log(1 + exp(-t x))."""
    only_floats("soft_margin_loss", self)
    return mean_of(np.logaddexp(-carry(target) * carry(self), np.zeros((), carry(self).dtype)),
                   reduction, self.dtype)


def refuse_target_grad(name, target):
    if target.requires_grad:
        raise NotDifferentiable(f"The function '{name}' is not differentiable with respect to "
                                "argument 'target'. This input cannot have requires_grad True.")


_soft_margin = loss("_soft_margin_loss", soft_margin, lambda x, t: -t * (-t * x).sigmoid(), None,
                    node="SoftMarginLossBackward0")


def soft_margin_loss(self, target, reduction="mean"):
    refuse_target_grad("soft_margin_loss", target)
    return _soft_margin(self, target, reduction)


def hinge_embedding_loss(input, target, margin=1.0, reduction="mean"):
    """x where t is 1, max(0, margin - x) where it is -1, the sum of both for any other t."""
    zeros = torch.zeros_like(input)
    apart = where(target != 1, (margin - input).clamp_min(0), zeros)
    return reduced(apart + where(target != -1, input, zeros), reduction)


def margin_ranking_loss(input1, input2, target, margin=0.0, reduction="mean"):
    """max(0, margin - t (x1 - x2))."""
    if not input1.ndim == input2.ndim == target.ndim:
        raise DimCount("margin_ranking_loss : All input tensors should have same dimension but got "
                       f"sizes: input1: {input1.shape}, input2: {input2.shape}, target: "
                       f"{target.shape} ")
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)


def cosine_embedding_loss(input1, input2, target, margin=0.0, reduction="mean"):
    """1 - cos where t is 1, max(0, cos - margin) where it is -1."""
    if target.ndim not in (0, 1):
        raise DimCount("0D or 1D target tensor expected, multi-target not supported")
    if not input1.ndim == input2.ndim == target.ndim + 1:
        raise DimCount(f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but "
                       f"found inputs with sizes {shape_text(input1.shape)} and "
                       f"{shape_text(input2.shape)}.")
    d, tiny = target.ndim, 1e-12
    size = ((input1 * input1).sum(d) + tiny) * ((input2 * input2).sum(d) + tiny)
    cos = (input1 * input2).sum(d) / size.sqrt()
    zeros = torch.zeros_like(cos)
    same = where(target == 1, 1 - cos, zeros)
    return reduced(same + where(target == -1, (cos - margin).clamp_min(0), zeros), reduction)


for _function in (hinge_embedding_loss, margin_ranking_loss, cosine_embedding_loss):
    composite(_function.__name__, _function, method=False, helper=True)
composite("soft_margin_loss", soft_margin_loss, method=False, function=False, helper=True)

# --- losses of probabilities ---


def one_by_one(vjp):
    """The jvp that goes with a vjp: each loss is of one pair, and so its slopes are the same."""
    def jvp(t, ins, y, reduction):
        of_self, of_target = (vjp(t[i], ins, y, "none")[i] for i in range(2))
        return reduced(of_self + of_target, reduction)
    return jvp


LOWEST_LOG = -100      # what torch takes for the logarithm of 0 here


def binary_cross_entropy(self, target, weight=None, reduction="mean"):
    """-(t log x + (1 - t) log(1 - x)), times weight; logarithms are at least -100."""
    only_floats("binary_cross_entropy", self)
    if self.dtype != target.dtype:
        raise DtypeMismatch(f"Found dtype {dt.BY_NUMPY[target.dtype].scalar_name} but expected "
                            f"{dt.BY_NUMPY[self.dtype].scalar_name}")
    x, t = carry(self), carry(target)
    if not ((x >= 0) & (x <= 1)).all():
        raise Domain("all elements of input should be between 0 and 1")
    lowest = np.asarray(LOWEST_LOG, x.dtype)
    losses = (t - 1) * np.maximum(np.log1p(-x), lowest) - t * np.maximum(np.log(x), lowest)
    if weight is not None:
        losses = losses * carry(weight)
    return mean_of(losses, reduction, self.dtype)


def binary_cross_entropy_vjp(ct, ins, y, reduction):
    x, t, weight = ins
    each = shared(ct, reduction, x.numel())
    each = each if weight is None else each * weight
    return [each * (x - t) / ((1 - x) * x).clamp_min(1e-12), each * ((1 - x).log() - x.log()), None]


rule("binary_cross_entropy", binary_cross_entropy, inputs=("self", "target", "weight?"),
     method=False, function=False, helper=True, saves=("self", "target", "weight"),
     vjp=binary_cross_entropy_vjp, jvp=one_by_one(binary_cross_entropy_vjp))


def with_logits(self, target, weight=None, pos_weight=None, reduction="mean"):
    """binary_cross_entropy of sigmoid(x), with the loss at t = 1 weighed by pos_weight."""
    only_floats("log_sigmoid_cpu", self)
    x, t = carry(self), carry(target)
    log = np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))
    if pos_weight is not None:
        log = log * ((carry(pos_weight) - 1) * t + 1)
    losses = (1 - t) * x - log
    if weight is not None:
        losses = losses * carry(weight)
    return mean_of(losses, reduction, self.dtype)


def with_logits_vjp(ct, ins, y, reduction):
    x, t, weight, pos = ins
    each = shared(ct, reduction, (x + t).numel())
    each = each if weight is None else each * weight
    if pos is None:
        return [each * (x.sigmoid() - t), each * -x, None, None]
    of_t = (pos - 1) * -OPERATIONS["log_sigmoid"].function(x)
    return [each * ((pos * t + 1 - t) * x.sigmoid() - pos * t), each * (of_t - x), None, None]


rule("binary_cross_entropy_with_logits", with_logits,
     inputs=("self", "target", "weight?", "pos_weight?"), method=False, helper=True,
     promote="result", numbers=False, layout="elementwise", vjp=with_logits_vjp,
     jvp=one_by_one(with_logits_vjp), saves=("self", "target", "weight", "pos_weight"))


def kl_div(input, target, reduction="mean", *, log_target=False):
    """t (log t - x), with t given as its logarithm if log_target."""
    if log_target:
        return reduced(target.exp() * (target - input), reduction)
    return reduced(FUNCTIONS["xlogy"](target, target) - target * input, reduction)


def poisson_nll_loss(input, target, log_input, full, eps, reduction):
    """exp(x) - t x, or x - t log(x + eps); full adds Stirling's approximation of log t!."""
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * np.pi * target).log()
        losses = losses + stirling.masked_fill(target <= 1, 0)
    return reduced(losses, reduction)


composite("kl_div", kl_div, method=False, helper=True)
composite("poisson_nll_loss", poisson_nll_loss, method=False, helper=True)

# --- distances of vectors ---


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """The p-norm of x1 - x2 + eps along the last dimension."""
    dim = max(x1.ndim, x2.ndim) - 1
    return (x1 - x2 + eps).norm(p, dim, keepdim)


def held_up(norm, eps):
    """At least eps, with the slope of the norm everywhere: torch clamps it outside of the graph."""
    return where(norm < eps, eps + (norm - norm.detach()), norm)


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """The cosine of the angle between vectors along dim, whose lengths count as eps at least."""
    dtype = torch.promote_types(x1.dtype, x2.dtype)
    if not dtype.is_floating_point:
        raise DtypeUnsupported("expected common dtype to be floating point, yet common dtype is "
                                f"{dtype.scalar_name}")
    shape = torch.broadcast_shapes(x1.shape, x2.shape)
    units = []
    for x in (x1, x2):
        x = x.to(dtype).expand(shape)
        norm = OPERATIONS["linalg_vector_norm"].function(x, 2, dim, True)
        units.append(x / held_up(norm, eps))
    return (units[0] * units[1]).sum(dim)


def check_triplet(anchor, positive, negative, margin, reduction):
    reduction_word(reduction)
    if margin <= 0:
        raise ArgumentValue(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise DimCount("The anchor, positive, and negative tensors are expected to have the same "
                       f"number of dimensions, but got: anchor {anchor.ndim}D, positive "
                       f"{positive.ndim}D, and negative {negative.ndim}D inputs")


def triplet_loss(anchor, positive, negative, distance, margin, swap, reduction):
    """max(0, margin + |a - p| - |a - n|); swap: or |p - n|, if that is less."""
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = FUNCTIONS["minimum"](far, distance(positive, negative))
    return reduced((margin + near - far).clamp_min(0), reduction)


def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False,
                        reduction="mean"):
    check_triplet(anchor, positive, negative, margin, reduction)
    return triplet_loss(anchor, positive, negative,
                        lambda a, b: pairwise_distance(a, b, p, eps), margin, swap, reduction)


for _function in (pairwise_distance, cosine_similarity, triplet_margin_loss):
    composite(_function.__name__, _function, method=False, helper=True)
