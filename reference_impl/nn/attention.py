"""torch.nn.functional, chapter "Attention": scaled_dot_product_attention for several heads.

Shapes: query (L, N, E) or (L, E), key and value (S, N, E) or (S, E): L places of a batch of N look
at S places; each of the num_heads heads does so in a subspace of E / num_heads dimensions.
"""

import math

from reference_impl import dtypes as dt
from reference_impl.creation import zeros, zeros_like
from reference_impl.dispatch import FUNCTIONS
from reference_impl.errors import Argument, ShapeMismatch
from reference_impl.rule import OPERATIONS

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]


def op(name):
    return OPERATIONS[name].function


scaled_dot_product_attention = op("scaled_dot_product_attention")


def _require(fits, words):
    # torch asserts here, and callers catch what it raises
    if not fits:
        raise AssertionError(words)


def _additive(mask, name, dtype):
    """A mask as numbers to add: -inf where a bool mask is True."""
    if mask is None or mask.is_floating_point():
        return mask
    _require(mask.dtype is dt.bool,
             f"only bool and floating types of {name} are supported")
    return zeros_like(mask, dtype=dtype).masked_fill_(mask, -math.inf)


def _check_batches(query, key, value, key_padding_mask, attn_mask, num_heads):
    """Whether there is a batch. Raises AssertionError where the inputs do not agree about it."""
    n = query.ndim
    _require(n in (2, 3), "query should be unbatched 2D or batched 3D tensor but received "
             f"{n}-D query tensor")
    how = f"{'batched (3-D)' if n == 3 else 'unbatched (2-D)'} `query`, expected"
    _require(key.ndim == value.ndim == n, f"For {how} `key` and `value` to be {n}-D but found "
             f"{key.ndim}-D and {value.ndim}-D tensors respectively")
    _require(key_padding_mask is None or key_padding_mask.ndim == n - 1,
             f"For {how} `key_padding_mask` to be `None` or {n - 1}-D but found "
             f"{None if key_padding_mask is None else key_padding_mask.ndim}-D tensor instead")
    if attn_mask is not None:
        _require(attn_mask.ndim in (2, 3), f"For {how} `attn_mask` to be `None`, 2-D or 3-D but "
                 f"found {attn_mask.ndim}-D tensor instead")
        if n == 2 and attn_mask.ndim == 3:
            wanted = (num_heads, query.shape[0], key.shape[0])
            _require(attn_mask.shape == wanted,
                     f"Expected `attn_mask` shape to be {wanted} but got {attn_mask.shape}")
    return n == 3


def _projected(inputs, weight, bias, separate):
    """query, key and value, each times its own weight."""
    weights = separate
    if weights is None:
        _require(weight is not None, "use_separate_proj_weight is False but in_proj_weight is None")
        weights = weight.chunk(3)
    for name, w in zip("qkv", weights, strict=True):
        _require(w is not None, f"use_separate_proj_weight is True but {name}_proj_weight is None")
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return [op("linear")(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]


def _check_mask(mask, batch_heads, tgt_len, src_len):
    """The mask as (1 or N * num_heads, L, S). Raises ShapeMismatch, Argument."""
    if mask is None:
        return None
    if mask.ndim not in (2, 3):
        raise Argument(f"attn_mask's dimension {mask.ndim} is not supported")
    wanted = (tgt_len, src_len) if mask.ndim == 2 else (batch_heads, tgt_len, src_len)
    if mask.shape != wanted:
        raise ShapeMismatch(f"The shape of the {mask.ndim}D attn_mask is {mask.shape}, but should "
                            f"be {wanted}.")
    return mask.unsqueeze(0) if mask.ndim == 2 else mask


def _heads(x, static, batch_heads, head_dim, name):
    """(L, N, E) -> (N * num_heads, L, E / num_heads); or `static`, which is so already."""
    if static is None:
        return x.reshape(x.shape[0], batch_heads, head_dim).transpose(0, 1)
    for d, wanted in ((0, batch_heads), (2, head_dim)):
        _require(static.size(d) == wanted, f"expecting static_{name}.size({d}) of {wanted}, but got "
                 f"{static.size(d)}")
    return static


def multi_head_attention_forward(
        query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k,
        bias_v, add_zero_attn, dropout_p, out_proj_weight, out_proj_bias, training=True,
        key_padding_mask=None, need_weights=True, attn_mask=None, use_separate_proj_weight=False,
        q_proj_weight=None, k_proj_weight=None, v_proj_weight=None, static_k=None, static_v=None,
        average_attn_weights=True, is_causal=False):
    """(output (L, N, E), weights (N, L, S) or, without need_weights, None).

    Raises AssertionError, ShapeMismatch, Argument for inputs that do not fit each other.
    """
    batched = _check_batches(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = (x.unsqueeze(1) for x in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    tgt_len, n, embed_dim = query.shape
    key_padding_mask = _additive(key_padding_mask, "key_padding_mask", query.dtype)
    if is_causal and attn_mask is None:
        raise Argument("Need attn_mask if specifying the is_causal hint. You may use the "
                       "Transformer module method `generate_square_subsequent_mask` to create this "
                       "mask.")
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None
    else:
        attn_mask = _additive(attn_mask, "attn_mask", query.dtype)
        is_causal = is_causal and key_padding_mask is None
    _require(embed_dim == embed_dim_to_check, "was expecting embedding dimension of "
             f"{embed_dim_to_check}, but got {embed_dim}")
    head_dim, rest = divmod(embed_dim, num_heads)
    _require(not rest, f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        _require(key.shape[:2] == value.shape[:2], f"key's sequence and batch dims {key.shape[:2]} "
                 f"do not match value's {value.shape[:2]}")
    else:
        _require(key.shape == value.shape,
                 f"key shape {key.shape} does not match value shape {value.shape}")
    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    q, k, v = _projected((query, key, value), in_proj_weight, in_proj_bias, separate)
    attn_mask = _check_mask(attn_mask, n * num_heads, tgt_len, key.shape[0])

    def longer(mask):
        return None if mask is None else op("pad")(mask, (0, 1))

    _require((bias_k is None) == (bias_v is None), "bias_k is set but bias_v is None"
             if bias_v is None else "bias_v is set but bias_k is None")
    if bias_k is not None:
        _require(static_k is None, "bias cannot be added to static key.")
        _require(static_v is None, "bias cannot be added to static value.")
        k, v = (FUNCTIONS["cat"]([x, b.repeat(1, n, 1)]) for x, b in ((k, bias_k), (v, bias_v)))
        attn_mask, key_padding_mask = longer(attn_mask), longer(key_padding_mask)
    q = _heads(q, None, n * num_heads, head_dim, "q")
    k = _heads(k, static_k, n * num_heads, head_dim, "k")
    v = _heads(v, static_v, n * num_heads, head_dim, "v")
    if add_zero_attn:
        k, v = (FUNCTIONS["cat"]([x, zeros(n * num_heads, 1, head_dim, dtype=x.dtype)], 1)
                for x in (k, v))
        attn_mask, key_padding_mask = longer(attn_mask), longer(key_padding_mask)
    src_len = k.size(1)
    if key_padding_mask is not None:
        _require(key_padding_mask.shape == (n, src_len), "Expected key_padding_mask of shape "
                 f"{(n, src_len)}, but got {tuple(key_padding_mask.shape)}")
        padding = key_padding_mask.reshape(n, 1, 1, src_len).expand(n, num_heads, 1, src_len)
        padding = padding.reshape(n * num_heads, 1, src_len)
        attn_mask = padding if attn_mask is None else attn_mask + padding
    dropout_p = dropout_p if training else 0.0
    weights = None
    if need_weights:
        scores = (q * math.sqrt(1 / head_dim)) @ k.transpose(-2, -1)
        weights = (scores if attn_mask is None else scores + attn_mask).softmax(-1)
        if dropout_p > 0:
            weights = op("dropout")(weights, dropout_p, True)
        out = weights @ v
        weights = weights.reshape(n, num_heads, tgt_len, src_len)
        weights = weights.mean(1) if average_attn_weights else weights
    else:
        split = (n, num_heads)
        if attn_mask is not None:
            attn_mask = attn_mask.unsqueeze(0) if attn_mask.size(0) == 1 else attn_mask.reshape(
                *split, -1, src_len)
        out = scaled_dot_product_attention(
            *(x.reshape(*split, *x.shape[1:]) for x in (q, k, v)), attn_mask, dropout_p, is_causal)
        out = out.reshape(n * num_heads, tgt_len, head_dim)
    out = out.transpose(0, 1).reshape(tgt_len, n, embed_dim)
    out = op("linear")(out, out_proj_weight, out_proj_bias)
    if batched:
        return out, weights
    return out.squeeze(1), None if weights is None else weights.squeeze(0)
