"""torch.nn.functional, chapter "Loss functions"."""

import warnings

import numpy as np

from reference_impl.creation import ones_like
from reference_impl.errors import ArgumentValue, ValueShapeMismatch
from reference_impl.rule import OPERATIONS
from reference_impl.rules.losses import check_triplet, pairwise_distance, triplet_loss
from reference_impl.rules.nn import reduced, reduction_word

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss",
           "cross_entropy", "ctc_loss", "gaussian_nll_loss", "hinge_embedding_loss", "huber_loss",
           "kl_div", "l1_loss", "margin_ranking_loss", "mse_loss", "multi_margin_loss",
           "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "poisson_nll_loss",
           "smooth_l1_loss", "soft_margin_loss", "triplet_margin_loss",
           "triplet_margin_with_distance_loss"]


def op(name):
    return OPERATIONS[name].function


def legacy(size_average, reduce, reduction):
    """The reduction, from the two switches that stood for it once."""
    if size_average is None and reduce is None:
        return reduction
    wanted = "none" if reduce is False else "sum" if size_average is False else "mean"
    warnings.warn("size_average and reduce args will be deprecated, please use "
                  f"reduction='{wanted}' instead.", UserWarning, stacklevel=3)
    return wanted


def warn_of_broadcasting(input, target):
    if input.shape != target.shape:
        warnings.warn(f"Using a target size ({target.shape}) that is different to the input size "
                      f"({input.shape}). This will likely lead to incorrect results due to "
                      "broadcasting. Please ensure they have the same size.", UserWarning,
                      stacklevel=3)


def weighted(loss, weight, reduction):
    """Single losses times weights; their mean is over the sum of the weights."""
    reduction_word(reduction)
    loss = loss * weight
    if reduction == "mean":
        return loss.sum() / weight.expand_as(loss).sum()
    return loss if reduction == "none" else loss.sum()


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    reduction = legacy(size_average, reduce, reduction)
    warn_of_broadcasting(input, target)
    if weight is not None:
        return weighted(op("mse_loss")(input, target, reduction="none"), weight, reduction)
    return op("mse_loss")(input, target, reduction=reduction)


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    reduction = legacy(size_average, reduce, reduction)
    warn_of_broadcasting(input, target)
    if weight is not None:
        return weighted(op("l1_loss")(input, target, "none"), weight, reduction)
    return op("l1_loss")(input, target, reduction)


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    reduction = legacy(size_average, reduce, reduction)
    warn_of_broadcasting(input, target)
    return op("smooth_l1_loss")(input, target, reduction, beta)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    warn_of_broadcasting(input, target)
    if weight is not None:
        return weighted(op("huber_loss")(input, target, "none", delta), weight, reduction)
    return op("huber_loss")(input, target, reduction, delta)


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None,
                         reduction="mean"):
    reduction = legacy(size_average, reduce, reduction)
    if input.shape != target.shape:
        raise ValueShapeMismatch(f"Using a target size ({target.shape}) that is different to the "
                                 f"input size ({input.shape}) is deprecated. Please ensure they "
                                 "have the same size.")
    weight = None if weight is None else weight.expand(input.shape)
    return op("binary_cross_entropy")(input, target, weight, reduction)


def binary_cross_entropy_with_logits(input, target, weight=None, size_average=None, reduce=None,
                                     reduction="mean", pos_weight=None):
    reduction = legacy(size_average, reduce, reduction)
    if input.shape != target.shape:
        raise ValueShapeMismatch(f"Target size ({target.shape}) must be the same as input size "
                                 f"({input.shape})")
    return op("binary_cross_entropy_with_logits")(input, target, weight, pos_weight, reduction)


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    reduction = legacy(size_average, reduce, reduction)
    if reduction == "mean":
        warnings.warn("reduction: 'mean' divides the total loss by both the batch size and the "
                      "support size.'batchmean' divides only by the batch size, and aligns with "
                      "the KL math definition.'mean' will be changed to behave the same as "
                      "'batchmean' in the next major release.", UserWarning, stacklevel=2)
    by_batch = reduction == "batchmean"
    out = op("kl_div")(input, target, "sum" if by_batch else reduction, log_target=log_target)
    return out / input.shape[0] if by_batch and input.ndim else out


def poisson_nll_loss(input, target, log_input=True, full=False, size_average=None, eps=1e-8,
                     reduce=None, reduction="mean"):
    reduction = legacy(size_average, reduce, reduction)
    reduction_word(reduction)
    return op("poisson_nll_loss")(input, target, log_input, full, eps, reduction)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """(log var + (x - t)^2 / var) / 2, var at least eps; full adds log(2 pi) / 2."""
    if isinstance(var, float):
        if var < 0:
            raise ArgumentValue("var has negative entry/entries")
        var = var * ones_like(input)
    elif (var < 0).any():
        raise ArgumentValue("var has negative entry/entries")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif input.ndim != var.ndim or sum(
                m for n, m in zip(input.shape, var.shape, strict=True) if n != m) != 1:
            raise ValueShapeMismatch("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentValue(f"{reduction} is not valid")
    held = var.clone()
    held.data.clamp_(min=eps)            # without a trace in the graph
    loss = 0.5 * (held.log() + (input - target) ** 2 / held)
    return reduced(loss + 0.5 * float(np.log(2 * np.pi)) if full else loss, reduction)


def _signed(name, *constants):
    """A loss with the legacy switches between its constants and the reduction."""
    def function(*args, size_average=None, reduce=None, reduction="mean", **named):
        reduction = legacy(size_average, reduce, reduction)
        reduction_word(reduction)
        return op(name)(*args, reduction=reduction, **named)
    function.__name__ = function.__qualname__ = name
    return function


hinge_embedding_loss, margin_ranking_loss, cosine_embedding_loss, soft_margin_loss = map(_signed, (
    "hinge_embedding_loss", "margin_ranking_loss", "cosine_embedding_loss", "soft_margin_loss"))
multi_margin_loss, multilabel_margin_loss = map(_signed, (
    "multi_margin_loss", "multilabel_margin_loss"))
triplet_margin_loss = _signed("triplet_margin_loss")


def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None,
                                reduction="mean"):
    """The mean over classes of binary_cross_entropy_with_logits."""
    reduction = legacy(size_average, reduce, reduction)
    log_sigmoid = op("log_sigmoid")
    loss = -(target * log_sigmoid(input) + (1 - target) * log_sigmoid(-input))
    loss = loss if weight is None else loss * weight
    loss = loss.sum(-1) / input.shape[-1]
    return reduced(loss, reduction)


def triplet_margin_with_distance_loss(anchor, positive, negative, *, distance_function=None,
                                      margin=1.0, swap=False, reduction="mean"):
    check_triplet(anchor, positive, negative, margin, reduction)
    return triplet_loss(anchor, positive, negative, distance_function or pairwise_distance, margin,
                        swap, reduction)


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None,
             reduction="mean"):
    return op("nll_loss")(input, target, weight, ignore_index=ignore_index,
                          reduction=legacy(size_average, reduce, reduction))


def cross_entropy(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None,
                  reduction="mean", label_smoothing=0.0):
    return op("cross_entropy")(input, target, weight, ignore_index=ignore_index,
                               reduction=legacy(size_average, reduce, reduction),
                               label_smoothing=label_smoothing)


def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean",
             zero_infinity=False):
    return op("ctc_loss")(log_probs, targets, input_lengths, target_lengths, blank, reduction,
                          zero_infinity)
