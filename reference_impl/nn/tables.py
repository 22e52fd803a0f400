"""torch.nn.functional, chapters "Sparse functions" (embedding, one_hot) and "Dropout functions"."""

import warnings

from reference_impl import dtypes as dt
from reference_impl.errors import ArgumentValue, ShapeMismatch
from reference_impl.ranges import arange
from reference_impl.rule import OPERATIONS

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "embedding",
           "embedding_bag", "feature_alpha_dropout", "native_dropout", "one_hot"]


def op(name):
    return OPERATIONS[name].function


one_hot, native_dropout = op("one_hot"), op("native_dropout")

# ── dropout ────────────────────────────────────────────────────────────────────────────────────


def _dropping(name, training):
    def function(input, p=0.5, training=training, inplace=False):
        if p < 0 or p > 1:
            raise ArgumentValue(f"dropout probability has to be between 0 and 1, but got {p}")
        return op(name + "_" if inplace else name)(input, p, training)
    function.__name__ = function.__qualname__ = name
    return function


dropout = _dropping("dropout", True)
alpha_dropout, feature_alpha_dropout = (_dropping(name, False) for name in (
    "alpha_dropout", "feature_alpha_dropout"))
_channels = _dropping("feature_dropout", True)


def dropout1d(input, p=0.5, training=True, inplace=False):
    """Whole channels of (N, C, L), or of (C, L), dropped."""
    if input.ndim not in (2, 3):
        raise ShapeMismatch(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input. Note that "
            "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, a "
            "channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs).")
    if input.ndim == 3:
        return _channels(input, p, training, inplace)
    if inplace:
        return _channels(input.unsqueeze_(0), p, training, True).squeeze_(0)
    return _channels(input.unsqueeze(0), p, training).squeeze(0)


def _warn_of_dimensions(name, ndim, count, text):
    if ndim not in (count + 1, count + 2):
        warnings.warn(
            f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in "
            "an error in a future release. To retain the behavior and silence this warning, please "
            f"use dropout instead. Note that {name} exists to provide channel-wise dropout on "
            f"inputs with {count} spatial dimensions, a channel dimension, and an optional batch "
            f"dimension (i.e. {text} inputs).", UserWarning, stacklevel=3)


def dropout2d(input, p=0.5, training=True, inplace=False):
    """Whole channels of (N, C, *) dropped; a batch of one has to be said."""
    _warn_of_dimensions("dropout2d", input.ndim, 2, "3D or 4D")
    if input.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
            "dim. This behavior will change in a future release to interpret the input as one "
            "without a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise "
            "dropout behavior, please switch to using dropout1d instead.", UserWarning, stacklevel=2)
    return _channels(input, p, training, inplace)


def dropout3d(input, p=0.5, training=True, inplace=False):
    """Whole channels dropped, of (N, C, *) or of (C, D, H, W)."""
    _warn_of_dimensions("dropout3d", input.ndim, 3, "4D or 5D")
    if input.ndim != 4:
        return _channels(input, p, training, inplace)
    if inplace:
        return _channels(input.unsqueeze_(0), p, training, True).squeeze_(0)
    return _channels(input.unsqueeze(0), p, training).squeeze(0)


# ── tables of rows ─────────────────────────────────────────────────────────────────────────────

def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0,
              scale_grad_by_freq=False, sparse=False):
    """The rows of weight (V, D) at the indices input; those of padding_idx get no gradient."""
    if padding_idx is None:
        padding_idx = -1
    else:
        if not -weight.size(0) <= padding_idx < weight.size(0):
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= weight.size(0)
    if max_norm is not None:
        op("embedding_renorm_")(weight.detach(), input.contiguous(), max_norm, norm_type)
    return op("embedding")(weight, input, padding_idx, scale_grad_by_freq, sparse)


MODES = ("sum", "mean", "max")


def _as_bags(input, offsets, per_sample_weights):
    """(indices, offsets, weights) of bags given loose, or as the rows of a matrix."""
    if input.ndim == 2:
        if offsets is not None:
            raise ArgumentValue("if input is 2D, then offsets has to be None, as input is treated "
                                "is a mini-batch of fixed length sequences. However, found offsets "
                                f"of type {type(offsets)}")
        offsets = arange(0, input.numel(), input.size(1), dtype=input.dtype)
        flat = None if per_sample_weights is None else per_sample_weights.reshape(-1)
        return input.reshape(-1), offsets, flat
    if input.ndim != 1:
        raise ArgumentValue("input has to be 1D or 2D Tensor, but got Tensor of dimension "
                            f"{input.ndim}")
    if offsets is None:
        raise ArgumentValue("offsets has to be a 1D Tensor but got None")
    if offsets.ndim != 1:
        raise ArgumentValue("offsets has to be a 1D Tensor")
    return input, offsets, per_sample_weights


def embedding_bag(input, weight, offsets=None, max_norm=None, norm_type=2, scale_grad_by_freq=False,
                  mode="mean", sparse=False, per_sample_weights=None, include_last_offset=False,
                  padding_idx=None):
    """Sums, means or largest elements of bags of rows of weight (V, D). Raises ArgumentValue."""
    if weight.dtype is dt.int64 and input.is_floating_point():
        warnings.warn("Argument order of nn.functional.embedding_bag was changed. Usage "
                      "`embedding_bag(weight, input, ...)` is deprecated, and should now be "
                      "`embedding_bag(input, weight, ...)`.", UserWarning, stacklevel=2)
        weight, input = input, weight
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ArgumentValue(f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is "
                            f"not None, then it must have the same shape as the input "
                            f"({input.shape})")
    if weight.ndim != 2:
        raise ArgumentValue("weight has to be a 2D Tensor, but got Tensor of dimension "
                            f"{weight.ndim}")
    include_last_offset = include_last_offset and input.ndim == 1
    input, offsets, per_sample_weights = _as_bags(input, offsets, per_sample_weights)
    if mode not in MODES:
        raise ArgumentValue("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ArgumentValue("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ArgumentValue("max mode does not support sparse weights")
    if max_norm is not None:
        op("embedding_renorm_")(weight.detach(), input, max_norm, norm_type)
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}'). Please open a feature request on GitHub.")
    return op("embedding_bag")(weight, input, offsets, scale_grad_by_freq, MODES.index(mode), sparse,
                               per_sample_weights, include_last_offset, padding_idx)[0]
