"""Losses of classification by margins, and of sequences without alignment (ctc_loss).

Shapes: self (C,) or (N, C); T time, S the length of a target. Reductions as in losses.py.
"""

import numpy as np

from reference_impl.data import tensor
from reference_impl.dtypes import from_numpy_dtype
from reference_impl.errors import (
    Argument,
    ArgumentValue,
    DtypeMismatch,
    IndexValueOutOfRange,
    ShapeMismatch,
    shape_text,
)
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.rules.elementwise import where
from reference_impl.rules.losses import mean_of, shared
from reference_impl.rules.nn import only_floats, reduction_word
from reference_impl.rules.reductions import carry

# --- margins ---


def margins(x, target, margin):
    """margin - x_y + x_j for every class j of every row, and which j are not y."""
    rows = np.arange(len(x))
    z = np.asarray(margin).astype(x.dtype) - x[rows, target][:, None] + x
    return z, np.arange(x.shape[1]) != target[:, None]


def check_classes(target):
    """Raises DtypeMismatch for targets that are not int64."""
    if target.dtype != np.int64:
        raise DtypeMismatch("expected scalar type Long but found "
                            f"{from_numpy_dtype(target.dtype).scalar_name}")


def check_rows(self):
    if self.ndim > 2 or 0 in self.shape[-1:]:
        raise ShapeMismatch("Expected non-empty vector or matrix with optional 0-dim batch size, "
                            f"but got: {shape_text(self.shape)}")


def multi_margin(self, target, p=1, margin=1.0, weight=None, reduction="mean"):
    """The sum over j other than y of max(0, margin - x_y + x_j) ** p / C, times weight of y."""
    if p not in (1, 2):
        raise ArgumentValue("only p == 1 and p == 2 supported")
    check_rows(self)
    classes = self.shape[-1] if self.ndim else 1
    if weight is not None and weight.shape != (classes,):
        raise ShapeMismatch(f"inconsistent weight size, expected {classes} but got "
                            f"{shape_text(weight.shape)}")
    rows = self.shape[0] if self.ndim == 2 else 1
    if target.size != rows or target.ndim > 1:
        raise ShapeMismatch("multi_margin_loss: target tensor should be 1-D with size equal to the "
                            f"number of input samples (batch size). Expected target size [{rows}], "
                            f"but got {shape_text(target.shape)}. Input has shape "
                            f"{shape_text(self.shape)}.")
    x, y = carry(self).reshape(rows, -1) if self.size else carry(self), target.reshape(-1)
    only_floats("multi_margin_loss_cpu_kernel", self)
    check_classes(target)
    if ((y < 0) | (y >= x.shape[1])).any():
        raise IndexValueOutOfRange("target out of range")
    z, other = margins(x, y, margin)
    each = np.where(other & (z > 0), z if p == 1 else z * z, 0)
    if weight is not None:
        each = each * carry(weight)[y][:, None]
    losses = each.sum(1) / np.asarray(x.shape[1]).astype(x.dtype)
    return mean_of(losses.reshape(target.shape if self.ndim == 2 else ()), reduction, self.dtype)


def multi_margin_vjp(ct, ins, y, p, margin, reduction):
    x, target, weight = ins
    rows = x if x.ndim == 2 else x.reshape(1, -1)
    at = target.reshape(-1, 1)
    z = margin - rows.gather(1, at) + rows
    classes = tensor(np.arange(rows._size[1]))
    slope = where((z > 0) & (classes != at), z * 0 + 1 if p == 1 else 2 * z, 0) / rows._size[1]
    if weight is not None:
        slope = slope * weight.index_select(0, at.reshape(-1)).unsqueeze(1)
    slope = slope.scatter_add(1, at, -slope.sum(1, True))
    each = shared(ct, reduction, rows._size[0])
    each = each.reshape(-1, 1) if each.ndim else each
    return [(each * slope).reshape(x._size), None, None]


rule("multi_margin_loss", multi_margin, inputs=("self", "target", "weight?"), method=False,
     function=False, helper=True, vjp=multi_margin_vjp, saves={"self": ("self", "target", "weight")})


def listed(target):
    """Which entries come before the first -1 of their row."""
    return np.cumprod(target >= 0, axis=1).astype(bool)


def multilabel_margin(self, target, reduction="mean"):
    """The sum over listed y and other j of max(0, 1 - x_y + x_j) / C; a row of target ends at -1."""
    check_rows(self)
    if self.shape != target.shape:
        raise ShapeMismatch(f"inconsistent target size: {shape_text(target.shape)} for input of "
                            f"size: {shape_text(self.shape)}")
    only_floats("multilabel_margin_loss_forward_out_frame", self)
    check_classes(target)
    x, t = (a if a.ndim == 2 else a.reshape(1, -1) for a in (carry(self), target))
    if ((t < -1) | (t >= x.shape[1])).any():
        raise IndexValueOutOfRange("argument #2 'target' is out of range")
    counts = listed(t)
    picked = np.where(counts, t, 0)
    is_target = np.zeros(x.shape, bool)
    np.logical_or.at(is_target, (np.arange(len(x))[:, None], picked), counts)
    z = 1 - np.take_along_axis(x, picked, 1)[:, :, None] + x[:, None, :]
    each = np.where(counts[:, :, None] & ~is_target[:, None, :] & (z > 0), z, 0)
    losses = each.sum((1, 2)) / np.asarray(x.shape[1]).astype(x.dtype)
    return mean_of(losses.reshape(self.shape[:-1]), reduction, self.dtype)


def multilabel_margin_vjp(ct, ins, y, reduction):
    x = ins[0] if ins[0].ndim == 2 else ins[0].reshape(1, -1)
    array = ins[1]._array.reshape(x._size)
    counts = listed(array)
    picked = np.where(counts, array, 0)
    is_target = np.zeros(x._size, bool)
    np.logical_or.at(is_target, (np.arange(len(picked))[:, None], picked), counts)
    z = 1 - x.gather(1, tensor(picked)).unsqueeze(2) + x.unsqueeze(1)
    pairs = tensor(counts[:, :, None] & ~is_target[:, None, :]) & (z > 0)
    slope = pairs.to(ct.dtype) / x._size[1]
    of_x = slope.sum(1).scatter_add(1, tensor(picked), -slope.sum(2))
    each = shared(ct, reduction, x._size[0])
    each = each.reshape(-1, 1) if each.ndim else each
    return [(each * of_x).reshape(ins[0]._size), None]


rule("multilabel_margin_loss", multilabel_margin, inputs=("self", "target"), method=False,
     function=False, helper=True, node="MultilabelMarginLossBackward0",
     vjp=multilabel_margin_vjp, saves={"self": ("self", "target")})

# --- sequences ---


def log_add(*terms):
    """log of the sum of exponentials; -inf for nothing at all."""
    top = max(terms)
    if top == -np.inf:
        return top
    return top + np.log(sum(np.exp(t - top) for t in terms))


def with_blanks(labels, blank):
    out = np.full(2 * len(labels) + 1, blank)
    out[1::2] = labels
    return out


def paths(logs, labels, blank):
    """log probabilities, (T, 2 S + 1), of all beginnings of alignments that end at a state.

    Source: Graves et al. 2006, section 4.1: a blank may be skipped between different labels.
    """
    states = with_blanks(labels, blank)
    table = np.full((len(logs), len(states)), -np.inf)
    if len(logs):
        table[0, :2] = logs[0, states[:2]]
    for t in range(1, len(logs)):
        for s in range(len(states)):
            ways = [table[t - 1, s]]
            if s > 0:
                ways.append(table[t - 1, s - 1])
            if s > 1 and states[s] != blank and states[s] != states[s - 2]:
                ways.append(table[t - 1, s - 2])
            table[t, s] = log_add(*ways) + logs[t, states[s]]
    return table


def total(table, length):
    """The log probability of all alignments."""
    if not len(table):
        return 0.0 if length == 0 else -np.inf
    return table[-1, -1] if length == 0 else log_add(table[-1, -1], table[-1, -2])


def one_sequence(logs, labels, blank):
    """The loss of a sequence, and its cotangent for log_probs as torch defines it: that of the
    softmax below them, exp(log_probs) less the share of each class in all alignments."""
    table = paths(logs, labels, blank)
    whole = total(table, len(labels))
    back = paths(logs[::-1], labels[::-1], blank)[::-1, ::-1]
    states, share = with_blanks(labels, blank), np.full(logs.shape, -np.inf)
    for s, label in enumerate(states):
        share[:, label] = np.logaddexp(share[:, label], table[:, s] + back[:, s])
    with np.errstate(all="ignore"):
        return -whole, np.exp(logs) - np.exp(share - whole - logs)


def _targets(targets, lengths):
    """One array of labels per sequence, from a matrix or from all of them in a row."""
    if targets.ndim == 2:
        return [targets[i, :n] for i, n in enumerate(lengths)]
    ends = np.cumsum(lengths)
    return [targets[e - n:e] for e, n in zip(ends, lengths, strict=True)]


def _ctc(log_probs, targets, *, input_lengths, target_lengths, blank, zero_infinity):
    """Losses (N,), and their cotangents (T, N, C)."""
    slopes, losses = np.zeros(log_probs.shape, np.float64), []
    for n, labels in enumerate(_targets(targets, target_lengths)):
        t = input_lengths[n]
        one, slope = one_sequence(log_probs[:t, n].astype(np.float64), labels, blank)
        if zero_infinity and one == np.inf:
            slope = np.zeros_like(slope)
        losses.append(one)
        slopes[:t, n] = slope
    return np.asarray(losses).astype(log_probs.dtype), slopes.astype(log_probs.dtype)


def _ctc_vjp(ct, ins, y, **arguments):
    return [ct[0].reshape(1, -1, 1) * y[1].detach(), None]


rule("_ctc_loss", _ctc, inputs=("log_probs", "targets"), method=False, differentiable=(0,),
     saves={"log_probs": ("result.1",)}, vjp=_ctc_vjp)


def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean",
             zero_infinity=False):
    """log_probs (T, N, C) or (T, C); the mean is over the batch, each loss by its target's length."""
    word = reduction_word(reduction)
    only_floats("ctc_loss_cpu", log_probs._array)
    if not log_probs.numel():
        raise Argument("log_probs tensor must not be empty")
    batched = log_probs.ndim == 3
    lp = log_probs if batched else log_probs.unsqueeze(1)
    lengths = [[int(n) for n in (x.reshape(-1).tolist() if hasattr(x, "tolist") else
                                 [x] if isinstance(x, int) else x)]
               for x in (input_lengths, target_lengths)]
    count, classes = lp._size[1:]
    if not 0 <= blank < classes:
        raise Argument("blank must be in label range")
    for name, given in zip(("input_lengths", "target_lengths"), lengths, strict=True):
        if len(given) != count:
            raise ShapeMismatch(f"{name} must be of size batch_size")
    if max(lengths[0], default=0) > lp._size[0]:
        raise Argument(f"Expected input_lengths to have value at most {lp._size[0]}, but got value "
                       f"{max(lengths[0])} (while checking arguments for ctc_loss_cpu)")
    losses = OPERATIONS["_ctc_loss"].function(
        lp, targets if batched or targets.ndim == 1 else targets.reshape(-1),
        input_lengths=lengths[0], target_lengths=lengths[1], blank=blank,
        zero_infinity=zero_infinity)[0]
    if zero_infinity:
        losses = where(losses == np.inf, 0, losses)
    if not batched:
        losses = losses.squeeze(0)
    if word == "mean":
        sizes = tensor([max(n, 1) for n in lengths[1]], dtype=losses.dtype)
        return (losses / (sizes if batched else sizes.squeeze(0))).mean()
    return losses.sum() if word == "sum" else losses


composite("ctc_loss", ctc_loss, method=False, helper=True)
