"""Functions of neural networks: softmax, normalisation, losses, linear layers.

Shapes: N the batch, C classes or channels. A reduction is "none", "mean" or "sum", or the number
0, 1 or 2 that torch's schemas use for it. 16-bit floats are carried in float32 and rounded once.
"""

import numpy as np

import reference_impl as torch
from reference_impl.errors import (
    Argument,
    ArgumentValue,
    DtypeUnsupported,
    IndexOutOfRange,
    NotImplementedFor,
    ShapeMismatch,
    ValueShapeMismatch,
    shape_text,
)
from reference_impl.geometry import wrap_dim
from reference_impl.rule import composite, rule
from reference_impl.rules.linalg import same_dtype
from reference_impl.rules.reductions import carry, count, positions
from reference_impl.zero_tangent import ZeroTangent

REDUCTIONS = {"none": "none", "mean": "mean", "sum": "sum", 0: "none", 1: "mean", 2: "sum"}


def reduction_word(reduction):
    """ "none", "mean" or "sum". Raises ArgumentValue."""
    if reduction not in REDUCTIONS:
        raise ArgumentValue(f"{reduction} is not a valid value for reduction")
    return REDUCTIONS[reduction]


def only_floats(name, x, also=""):
    """Raises NotImplementedFor unless x is of floating dtype (or of a kind in `also`)."""
    if x.dtype.kind in "?biuc" and x.dtype.kind not in also:
        raise NotImplementedFor(f"\"{name}\" not implemented for '{x.dtype.name}'")


# ── softmax ────────────────────────────────────────────────────────────────────────────────────

def _shifted(x, dim):
    """x minus its maximum along dim, so that exp stays in range."""
    if not x.size or x.dtype == object:
        return x
    return x - np.max(x, axis=dim, keepdims=True)


def _softmax(self, dim, dtype=None):
    dim = wrap_dim(dim, self.ndim)
    only_floats("softmax_lastdim_kernel_impl", self)
    x = carry(self.reshape(self.shape or (1,)))
    e = np.exp(_shifted(x, dim))
    return (e / np.sum(e, axis=dim, keepdims=True)).astype(self.dtype).reshape(self.shape)


def _log_softmax(self, dim, dtype=None):
    dim = wrap_dim(dim, self.ndim)
    only_floats("log_softmax_lastdim_kernel_impl", self)
    x = _shifted(carry(self.reshape(self.shape or (1,))), dim)
    y = x - np.log(np.sum(np.exp(x), axis=dim, keepdims=True))
    return y.astype(self.dtype).reshape(self.shape)


rule("softmax", _softmax, inputs=("self",), promote="sum", saves={"self": ("result",)},
     vjp=lambda ct, ins, y, dim, dtype: [y * (ct - (ct * y).sum(dim, True))],
     jvp=lambda t, ins, y, dim, dtype: y * (t[0] - (t[0] * y).sum(dim, True)).to(y.dtype))
rule("log_softmax", _log_softmax, inputs=("self",), promote="sum", saves={"self": ("result",)},
     vjp=lambda ct, ins, y, dim, dtype: [ct - y.exp() * ct.sum(dim, True)],
     jvp=lambda t, ins, y, dim, dtype: (t[0] - (y.exp() * t[0]).sum(dim, True)).to(y.dtype))


# ── layer norm ─────────────────────────────────────────────────────────────────────────────────

def _trailing(normalized_shape):
    return list(range(-len(normalized_shape), 0))


def _layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True):
    shape = tuple(normalized_shape)
    if not shape:
        raise Argument("Expected normalized_shape to be at least 1-dimensional, i.e., containing "
                       "at least one element, but got normalized_shape = []")
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.shape != shape:
            raise ShapeMismatch(f"Expected {name} to be of same shape as normalized_shape, but got "
                                f"{name} of shape {shape_text(t.shape)} and normalized_shape = "
                                f"{shape_text(shape)}")
    if input.shape[-len(shape):] != shape:
        raise ShapeMismatch(f"Given normalized_shape={shape_text(shape)}, expected input with shape "
                            f"[*, {', '.join(map(str, shape))}], but got input of size"
                            f"{shape_text(input.shape)}")
    only_floats("LayerNormKernelImpl", input)
    for t in (weight, bias):
        if t is not None and not (t.dtype == np.float32 and input.dtype.itemsize == 2):
            same_dtype("layer_norm", input, t)
    x, axes = carry(input), tuple(_trailing(shape))
    n = int(np.prod(shape))
    n = n if x.dtype == object else x.dtype.type(n)
    away = x - np.sum(x, axis=axes, keepdims=True) / n
    variance = np.sum(away * away, axis=axes, keepdims=True) / n
    out = away / np.sqrt(variance + (eps if x.dtype == object else x.dtype.type(eps)))
    out = out if weight is None else out * weight.astype(x.dtype)
    out = out if bias is None else out + bias.astype(x.dtype)
    return out.astype(input.dtype)


def _layer_norm_vjp(ct, ins, y, normalized_shape, eps, cudnn_enable):
    x, weight, bias = ins
    dims = _trailing(normalized_shape)
    if x.dtype.np.itemsize == 2:        # carried in float32, as the value is
        x, ct = x.to(torch.float32), ct.to(torch.float32)
    away = x - x.mean(dims, True)
    scale = 1 / ((away * away).mean(dims, True) + eps).sqrt()
    unit = away * scale
    of_weight = None if weight is None else ct * unit
    g = ct if weight is None else ct * weight
    of_x = scale * (g - g.mean(dims, True) - unit * (g * unit).mean(dims, True))
    return [of_x.to(ins[0].dtype), of_weight, None if bias is None else ct]


def _layer_norm_jvp(t, ins, y, normalized_shape, eps, cudnn_enable):
    x, weight, _ = ins
    of_x, of_weight, of_bias = t
    dims = _trailing(normalized_shape)
    if x.dtype.np.itemsize == 2:
        x, of_x = x.to(torch.float32), of_x.to(torch.float32)
    away = x - x.mean(dims, True)
    scale = 1 / ((away * away).mean(dims, True) + eps).sqrt()
    unit = away * scale
    got = scale * (of_x - of_x.mean(dims, True) - unit * (of_x * unit).mean(dims, True))
    if weight is not None:
        got = got * weight + unit * of_weight
    got = got if of_bias is None else got + of_bias
    return got.to(y.dtype)


rule("layer_norm", _layer_norm, inputs=("input", "weight?", "bias?"), vjp=_layer_norm_vjp,
     jvp=_layer_norm_jvp,
     saves=("input", "weight", "bias"), node="NativeLayerNormBackward0", method=False)


# ── losses ─────────────────────────────────────────────────────────────────────────────────────

def reduced(t, reduction):
    """The Tensor `t` of single losses, reduced."""
    word = reduction_word(reduction)
    return t if word == "none" else t.mean() if word == "mean" else t.sum()


def _mse(self, target, reduction="mean"):
    word = reduction_word(reduction)
    only_floats("mse_cpu", self)
    away = carry(self) - carry(target)
    square = away * away
    if word != "none":
        square = np.sum(square)
    if word == "mean":
        n = np.broadcast(self, target).size
        square = square / (n if away.dtype == object else away.dtype.type(n))
    return np.asarray(square).astype(self.dtype)


def _mse_vjp(ct, ins, y, reduction):
    away = ins[0] - ins[1]
    got = ct * (2 * away)
    if reduction_word(reduction) == "mean":
        got = got / max(away.numel(), 1)
    return [got, -got]


rule("mse_loss", _mse, inputs=("self", "target"), promote="result", numbers=False,
     vjp=_mse_vjp, saves=("self", "target"),
     jvp=lambda t, ins, y, reduction: reduced(2 * (ins[0] - ins[1]) * (t[0] - t[1]), reduction),
     method=False, function=False)


def _class_dim(ndim):
    return 0 if ndim == 1 else 1


def _check_classes(x, target, weight):
    """Raises for a target or weight that does not fit x of shape (C,), (N, C) or (N, C, …)."""
    if x.ndim == 0:
        raise Argument("Expected input of at least one dimension, the classes, but got none")
    at = _class_dim(x.ndim)
    if weight is not None and tuple(weight.shape) != (x.shape[at],):
        raise ShapeMismatch(f"weight tensor should be defined either for all {x.shape[at]} classes "
                            f"or no classes but got weight tensor of shape: "
                            f"{shape_text(weight.shape)}")
    want = x.shape[:at] + x.shape[at + 1:]
    if tuple(target.shape) != tuple(want):
        raise ValueShapeMismatch(f"Expected target of shape {shape_text(want)} for input of shape "
                                 f"{shape_text(x.shape)}, but got {shape_text(target.shape)}")


def _nll_parts(x, target, weight, ignore_index):
    """Class dimension, weight of each target, and which targets count, as ndarrays."""
    if target.dtype not in (np.int64, np.uint8):
        raise DtypeUnsupported("expected target dtype to be Long or Byte, but got "
                               f"{target.dtype.name}")
    _check_classes(x, target, weight)
    at = _class_dim(x.ndim)
    counts = target != ignore_index
    wrong = counts & ((target < 0) | (target >= x.shape[at]))
    if wrong.any():
        raise IndexOutOfRange(f"Target {target[wrong].flat[0]} is out of bounds.")
    picked = np.where(counts, target, 0)
    share = np.ones(target.shape, x.dtype) if weight is None else weight[picked]
    return at, picked, np.where(counts, share, np.zeros_like(share)), counts


def _nll(self, target, weight=None, reduction="mean", ignore_index=-100):
    word = reduction_word(reduction)
    only_floats("nll_loss_out_frame", self)
    x = carry(self)
    at, picked, share, counts = _nll_parts(
        x, target, None if weight is None else carry(weight), ignore_index)
    chosen = np.take_along_axis(x, np.expand_dims(picked, at), at).squeeze(at)
    losses = np.where(counts, -chosen * share, np.zeros_like(chosen))
    if word != "none":
        losses = np.sum(losses)
    if word == "mean":
        losses = losses / np.sum(share)
    return np.asarray(losses).astype(self.dtype)


def _nll_vjp(ct, ins, y, reduction, ignore_index):
    x, target, weight = ins
    kept = None if weight is None else weight._array
    at = _class_dim(x.ndim)
    _, picked, share, counts = _nll_parts(np.empty(x.shape, _number(ct)), target._array, kept,
                                     ignore_index)
    if reduction_word(reduction) == "mean":     # of nothing that counts: nan, with slope 0
        share = np.where(counts, share / np.sum(share, dtype=_number(ct)), np.zeros_like(share))
    got = (-ct * torch.from_numpy(np.asarray(share).astype(_number(ct)))).unsqueeze(at)
    hit = positions(x.shape[at], at, x.shape) == torch.from_numpy(np.asarray(picked)).unsqueeze(at)
    return [torch.where(hit, got, torch.zeros_like(got)), None, None]


def _number(t):
    return t.dtype.np


nll_loss = rule("nll_loss", _nll, inputs=("self", "target", "weight?"), vjp=_nll_vjp,
                jvp=lambda t, ins, y, reduction, ignore_index: (     # linear; not by the weights
                    t[0] if isinstance(t[0], ZeroTangent) else
                    nll_loss(t[0], ins[1], ins[2], reduction, ignore_index)),
                saves={"self": ("self", "target", "weight")}, method=False, function=False)


def cross_entropy(self, target, weight=None, reduction="mean", ignore_index=-100,
                  label_smoothing=0.0):
    """Loss between logits self (N, C, …) or (C,) and target: class indices, or probabilities of
    the shape of self. The "mean" of index targets is weighted; that of probabilities is over N.
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise Argument("label_smoothing must be between 0.0 and 1.0. "
                       f"Got: {label_smoothing:g}")
    word = reduction_word(reduction)
    if tuple(self.shape) == tuple(target.shape):
        if not target.is_floating_point():
            raise DtypeUnsupported("Expected floating point type for target with class "
                                   f"probabilities, got {target.dtype.scalar_name}")
        return _probabilities_loss(self, target, weight, word, label_smoothing)
    _check_classes(self, target, weight)
    at = _class_dim(self.ndim)
    logs = self.log_softmax(at)
    loss = nll_loss(logs, target, weight, word, ignore_index)
    if label_smoothing == 0.0:
        return loss
    shape = [1] * self.ndim
    shape[at] = self.shape[at]
    each = -(logs if weight is None else logs * weight.reshape(shape)).sum(at)
    counts = target != ignore_index
    each = torch.where(counts, each, torch.zeros_like(each))
    if word != "none":
        each = each.sum()
    if word == "mean":
        ones = counts.to(self.dtype)
        if weight is not None:
            safe = torch.where(counts, target, torch.zeros_like(target))
            ones = ones * weight.index_select(0, safe.reshape(-1)).reshape(safe.shape)
        each = each / ones.sum()
    return loss * (1 - label_smoothing) + each * (label_smoothing / self.shape[at])


def _probabilities_loss(x, target, weight, word, label_smoothing):
    at = _class_dim(x.ndim)
    if weight is not None:
        if tuple(weight.shape) != (x.shape[at],):
            raise ShapeMismatch("cross_entropy: weight tensor should be defined either for all "
                                f"{x.shape[at]} classes or no classes but got weight tensor of "
                                f"shape: {shape_text(weight.shape)}")
        shape = [1] * x.ndim
        shape[at] = x.shape[at]
        weight = weight.reshape(shape)
    if label_smoothing > 0.0:
        target = target * (1 - label_smoothing) + label_smoothing / x.shape[at]
    product = x.log_softmax(at) * target
    losses = product if weight is None else product * weight
    if word == "none":
        return -losses.sum(at)
    total = -losses.sum()
    return total / count(x.shape[:at] + x.shape[at + 1:], None) if word == "mean" else total


composite("cross_entropy", cross_entropy, method=False, function=False)


def linear(input, weight, bias=None):
    """input @ weightᵀ + bias; input (…, in), weight (out, in) or (in,), bias (out,)."""
    if input.dtype is not weight.dtype or bias is not None and bias.dtype is not weight.dtype:
        same_dtype("linear", input._array, weight._array)
        same_dtype("linear", weight._array, bias._array)
    out = input.matmul(weight.t() if weight.ndim == 2 else weight)
    return out if bias is None else out + bias


composite("linear", linear, method=False, function=False)
