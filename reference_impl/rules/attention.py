"""Products of two vectors and a table (bilinear), distances of all pairs (pdist), and attention.

Shapes: query (*, L, E), key (*, S, E), value (*, S, V): L places look at S places.
"""

import math

import numpy as np

import reference_impl as torch
from reference_impl import dtypes as dt
from reference_impl.data import tensor
from reference_impl.errors import Argument, DtypeMismatch, DtypeUnsupported, ShapeMismatch
from reference_impl.rule import composite, rule
from reference_impl.rules.elementwise import where
from reference_impl.rules.reductions import carry


def bilinear(input1, input2, weight, bias=None):
    """x1 W x2 for each of the tables W: (*, I), (*, J), weight (O, I, J) -> (*, O)."""
    if input1.ndim != input2.ndim:
        raise ShapeMismatch("bilinear(): input dimensions do not match: got "
                            f"{input1.ndim} and {input2.ndim}")
    first = input1.shape[:-1]
    for d, (a, b) in enumerate(zip(first, input2.shape[:-1], strict=True)):
        if a != b:
            raise ShapeMismatch(f"bilinear(): input batch dimensions do not match at dim {d}: got "
                                f"{a} and {b}")
    for place, x in ((1, input1), (2, input2)):
        if x.shape[-1] != weight.shape[place]:
            raise ShapeMismatch(f"bilinear(): input{place} size does not match weight size: got "
                                f"{x.shape[-1]} but expected {weight.shape[place]}")
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise ShapeMismatch("bilinear(): bias size does not match weight size: got "
                            f"{bias.shape[0]} but expected {weight.shape[0]}")
    count = math.prod(first)
    x1, x2 = (x.reshape(count, x.shape[-1]) for x in (input1, input2))
    out = torch.einsum("ni,oij,nj->no", x1, weight, x2).reshape(*first, weight.shape[0])
    return out if bias is None else out + bias


composite("bilinear", bilinear, method=False, helper=True)


# ── pdist ──────────────────────────────────────────────────────────────────────────────────────

def pairs(n):
    return np.triu_indices(n, 1)


def pdist_forward(self, p=2.0):
    """The p-norms of x_i - x_j for all i < j, in the order (0, 1), (0, 2), ..."""
    i, j = pairs(len(self))
    x = carry(self)
    away = np.abs(x[i] - x[j])
    if p == 0:
        y = (away != 0).sum(1)
    elif math.isinf(p):
        y = away.max(1, initial=0)
    else:
        # written out, as the square root of squares is rounded less than powers are
        y = away.sum(1) if p == 1 else np.sqrt((away * away).sum(1)) if p == 2 else (
            (away ** p).sum(1) ** (1 / p))
    return y.astype(self.dtype)


def pdist_vjp(ct, ins, y, p):
    x = ins[0]
    i, j = (tensor(a) for a in pairs(x.shape[0]))
    away, dist = x.index_select(0, i) - x.index_select(0, j), y.unsqueeze(1)
    g = ct.unsqueeze(1)
    if p == 0:
        return [x.new_zeros(x.shape)]
    if p == 1:
        each = g * away.sign()
    elif math.isinf(p):
        each = where(away.abs() == dist, g * away.sign(), 0)
    elif p == 2:
        each = where(dist == 0, 0, g * away / dist)
    else:
        slope = away.sign() * (away.abs() / dist) ** (p - 1)
        each = where((dist == 0) | (away == 0), 0, g * slope)
    return [x.new_zeros(x.shape).index_add(0, i, each).index_add(0, j, -each)]


_pdist = rule("_pdist_forward", pdist_forward, inputs=("self",), vjp=pdist_vjp, method=False,
              saves={"self": ("self", "result")}, node="PdistBackward0")


def pdist(input, p=2.0):
    if input.ndim != 2:
        raise ShapeMismatch(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if not input.is_floating_point():
        raise DtypeUnsupported("pdist only supports floating-point dtypes")
    if p < 0:
        raise Argument("pdist only supports non-negative p values")
    return _pdist(input.contiguous(), p)


composite("pdist", pdist, method=False, helper=True)


# ── attention ──────────────────────────────────────────────────────────────────────────────────

def check_attention(query, key, value, attn_mask, is_causal):
    every = (("query", query), ("key", key), ("value", value))
    if not query.dtype is key.dtype is value.dtype:
        got = [f"{n}.dtype: {dt.c_name(t.dtype)}" for n, t in every]
        raise DtypeMismatch("Expected query, key, and value to have the same dtype, but got "
                            f"{got[0]} {got[1]} and {got[2]} instead.")
    if min(t.ndim for _, t in every) < 2:
        got = [f"{n}.dim: {t.ndim}" for n, t in every]
        raise ShapeMismatch("Expected query, key, and value to all be  at least 2 dimensional, but "
                            f"got {got[0]} {got[1]} and {got[2]} instead.")
    if attn_mask is None:
        return
    if attn_mask.dtype not in (dt.bool, dt.float32, query.dtype):
        mask, asked = (dt.c_name(t.dtype) for t in (attn_mask, query))
        raise DtypeUnsupported("Expected attn_mask dtype to be bool or float or to match query "
                               f"dtype, but got attn_mask.dtype: {mask} and  query.dtype: {asked} "
                               "instead.")
    if is_causal:
        raise Argument("_scaled_dot_product_attention: Explicit attn_mask should not be set when "
                       "is_causal=True")


def masked(scores, attn_mask, is_causal):
    """Scores with what must not be seen at -inf."""
    if is_causal:
        seen = torch.ones(*scores.shape[-2:], dtype=dt.bool).tril()
        return scores.masked_fill(seen.logical_not(), -math.inf)
    if attn_mask is None:
        return scores
    if attn_mask.dtype is dt.bool:
        return scores.masked_fill(attn_mask.logical_not(), -math.inf)
    return scores + attn_mask


def safe_softmax(scores, dim=-1):
    """softmax, but zeros where all is -inf: of a place that sees nothing."""
    weights = scores.softmax(dim)
    if not scores.numel():
        return weights
    blind = (scores.detach() == -math.inf).all(dim, keepdim=True)
    return weights.masked_fill(blind, 0)


def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False,
                                 scale=None, enable_gqa=False):
    """softmax(query key^T scale + mask) value, with scale 1 / sqrt(E) by default.

    Raises DtypeMismatch, ShapeMismatch, DtypeUnsupported, Argument.
    """
    check_attention(query, key, value, attn_mask, is_causal)
    if enable_gqa:
        heads = query.shape[-3]
        key = key.repeat_interleave(heads // key.shape[-3], -3)
        value = value.repeat_interleave(heads // value.shape[-3], -3)
    each = 1 / math.sqrt(query.shape[-1]) if scale is None and query.shape[-1] else scale or 1.0
    # each of the two takes half of the factor, so that 16-bit products stay in range
    half = math.sqrt(abs(each))
    q = query * math.copysign(half, each)
    scores = masked(q @ (key.transpose(-2, -1) * half), attn_mask, is_causal)
    weights = safe_softmax(scores).to(query.dtype)
    if dropout_p > 0:
        weights = torch.dropout(weights, dropout_p, True)
    return weights @ value


composite("_safe_softmax", lambda self, dim, dtype=None: safe_softmax(
    self if dtype is None else self.to(dtype), dim), method=False)
composite("scaled_dot_product_attention", scaled_dot_product_attention, method=False,
          function=False, helper=True)
