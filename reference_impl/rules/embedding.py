"""Rows looked up in a table: embedding, and bags of rows: embedding_bag. one_hot.

Shapes: weight (V, D) of V rows, indices of any shape, offsets (B,): where each bag begins.
"""

import numpy as np

import reference_impl as torch
from reference_impl import dtypes as dt
from reference_impl.data import tensor
from reference_impl.errors import (
    Argument,
    DtypeUnsupported,
    IndexOutOfRange,
    IndexValueOutOfRange,
    ShapeMismatch,
)
from reference_impl.rule import composite, rule
from reference_impl.rules.reductions import carry

SUM, MEAN, MAX = 0, 1, 2


def check_type(t, place, word, allowed, name):
    """Raises DtypeUnsupported in the words of torch's checks of arguments."""
    scalar = dt.from_numpy_dtype(t.dtype).scalar_name
    if scalar not in allowed:
        raise DtypeUnsupported(f"Expected tensor for argument #{place} '{word}' to have one of the "
                               f"following scalar types: {', '.join(allowed)}; but got "
                               f"torch.{scalar}Tensor instead (while checking arguments for {name})")


def spread_rows(rows, indices, count):
    """Zeros (count, D) with the rows added at the indices; Tensors."""
    return rows.new_zeros((count, rows.shape[-1])).index_add(0, indices, rows)


def counted(indices, count):
    """For each index how often it occurs, as a column; a Tensor of int64."""
    flat = indices._array.reshape(-1)
    return tensor(np.bincount(flat, minlength=count)[flat].reshape(-1, 1))


# ── embedding ──────────────────────────────────────────────────────────────────────────────────

def embedding(weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    """The rows of weight at the indices: (*, D)."""
    if weight.ndim != 2:
        raise ShapeMismatch("'weight' must be 2-D")
    check_type(indices, 1, "indices", ("Long", "Int"), "embedding")
    if ((indices < 0) | (indices >= len(weight))).any():
        raise IndexOutOfRange("index out of range in self")
    return weight[indices]


def embedding_vjp(ct, ins, y, padding_idx, scale_grad_by_freq, sparse):
    """Rows of the padding get nothing; scale_grad_by_freq: a row's mean instead of its sum."""
    if sparse:
        raise NotImplementedError("embedding: this library has no sparse gradients")
    weight, indices = ins
    rows, flat = ct.reshape(-1, ct.shape[-1]), indices.reshape(-1)
    if padding_idx >= 0:
        rows = rows.masked_fill((flat == padding_idx).unsqueeze(1), 0)
    if scale_grad_by_freq:
        rows = rows / counted(flat, weight.shape[0])
    return [spread_rows(rows, flat, weight.shape[0]), None]


rule("embedding", embedding, inputs=("weight", "indices"), vjp=embedding_vjp,
     jvp=lambda t, ins, y, **arguments: torch.embedding(t[0], ins[1]),
     saves={"weight": ("indices",)}, method=False, helper=True)


def embedding_renorm_(self, indices, max_norm, norm_type):
    """In place: the rows at the indices whose norm exceeds max_norm are scaled down to it."""
    check_type(indices._array, 2, "indices", ("Long", "Int"), "embedding_renorm_")
    with torch.no_grad():
        for i in sorted(set(indices._array.reshape(-1).tolist())):
            norm = self[i].norm(norm_type).item()
            if norm > max_norm:
                self[i] *= max_norm / (norm + 1e-7)
    return self


composite("embedding_renorm_", embedding_renorm_, method=False, helper=True)


# ── embedding_bag ──────────────────────────────────────────────────────────────────────────────

def check_bags(weight, indices, offsets, mode, per_sample_weights, include_last_offset):
    check_type(indices, 1, "indices", ("Long", "Int"), "embedding_bag")
    check_type(offsets, 1, "offsets", ("Long", "Int"), "embedding_bag")
    check_type(weight, 1, "weight", ("Half", "BFloat16", "Float", "Double"), "embedding_bag")
    if offsets.size:
        if offsets[0] != 0:
            raise Argument("offsets[0] has to be 0, i.e., the first sequence in the mini-batch has "
                           f"to start from position 0. However, got {offsets[0]}")
        if offsets[-1] > len(indices):
            raise Argument("offsets[-1] can not be greater than input's length "
                           f"{len(indices)} but got offsets[-1] of {offsets[-1]}")
    if (np.diff(offsets) < 0).any():
        raise Argument("embedding_bag: offsets must not decrease")
    if include_last_offset and not offsets.size:
        raise Argument("include_last_offset: number of offset should be at least 1")
    wrong = indices[(indices < 0) | (indices >= len(weight))]
    if wrong.size:
        raise IndexValueOutOfRange("embedding_bag: Expected idx >= 0 && idx < num_embeddings but "
                                   f"found idx to be {wrong[0]}")
    if per_sample_weights is not None:
        if mode != SUM:
            raise Argument("embedding_bag: per_sample_weights only supported with mode='sum'")
        if per_sample_weights.shape != indices.shape:
            raise ShapeMismatch("expected per_sample_weights to be 1D and of the same size as "
                                "indices")


def bag_of(indices, offsets, include_last_offset):
    """To which bag each index belongs, and the number of bags."""
    starts = offsets[:-1] if include_last_offset else offsets
    places = np.arange(len(indices))
    return np.searchsorted(starts, places, side="right") - 1, len(starts)


def largest(rows, bags, count):
    """The largest element of each column of each bag, and in which row it is; -1 for none."""
    values = np.zeros((count, rows.shape[1]), rows.dtype)
    at = np.full(values.shape, -1, np.int64)
    for i, (row, bag) in enumerate(zip(rows, bags, strict=True)):
        better = (at[bag] < 0) | (row > values[bag])
        values[bag], at[bag] = np.where(better, row, values[bag]), np.where(better, i, at[bag])
    return values, at


def bags(weight, indices, offsets, scale_grad_by_freq=False, mode=SUM, sparse=False,
         per_sample_weights=None, include_last_offset=False, padding_idx=-1):
    """(output (B, D), the bag of each index, sizes of the bags, places of the largest)."""
    check_bags(weight, indices, offsets, mode, per_sample_weights, include_last_offset)
    bag, count = bag_of(indices, offsets, include_last_offset)
    kept = indices != padding_idx if padding_idx >= 0 else np.ones(len(indices), bool)
    bag_kept, used = bag[kept], indices[kept]
    rows = carry(weight)[used]
    sizes = np.bincount(bag_kept, minlength=count).astype(indices.dtype)
    if mode == MAX:
        out, at = largest(rows, bag_kept, count)
        places = np.where(at >= 0, used[at], 0) if used.size else np.zeros(at.shape, used.dtype)
        return out.astype(weight.dtype), bag.astype(indices.dtype), sizes, places.astype(
            indices.dtype)
    if per_sample_weights is not None:
        rows = rows * carry(per_sample_weights)[kept][:, None]
    out = np.zeros((count, weight.shape[1]), rows.dtype)
    np.add.at(out, bag_kept, rows)
    if mode == MEAN:
        out = out / np.maximum(sizes, 1)[:, None].astype(out.dtype)
        return out.astype(weight.dtype), bag.astype(indices.dtype), sizes, sizes.copy()
    # as torch's kernel of sums leaves what it has no need of
    nothing = np.zeros(len(offsets), indices.dtype)
    return out.astype(weight.dtype), np.empty(0, indices.dtype), nothing, nothing.copy()


def bags_vjp(ct, ins, y, scale_grad_by_freq, mode, sparse, include_last_offset, padding_idx):
    if sparse:
        raise NotImplementedError("embedding_bag: this library has no sparse gradients")
    weight, indices, offsets, samples = ins
    g, flat = ct[0], indices._array
    bag, count = bag_of(flat, offsets._array, include_last_offset)
    kept = np.flatnonzero(flat != padding_idx) if padding_idx >= 0 else np.arange(len(flat))
    used, bag = tensor(flat[kept]), bag[kept]
    sizes = np.bincount(bag, minlength=count)
    if mode == MAX:
        filled = tensor(sizes > 0).unsqueeze(1)
        given = where_filled(filled, g)
        return [g.new_zeros(weight.shape).scatter_add(0, y[3].to(dt.int64), given), None, None,
                None]
    rows = g.index_select(0, tensor(bag))
    if mode == MEAN:
        rows = rows / tensor(sizes[bag].reshape(-1, 1))
    of_samples = None
    if samples is not None:
        each = (rows * weight.index_select(0, used)).sum(1)
        of_samples = spread_rows(each.unsqueeze(1), tensor(kept), len(flat)).squeeze(1)
        rows = rows * samples.index_select(0, tensor(kept)).unsqueeze(1)
    if scale_grad_by_freq:
        rows = rows / counted(indices, weight.shape[0]).index_select(0, tensor(kept))
    return [spread_rows(rows, used, weight.shape[0]), None, None, of_samples]


def where_filled(filled, g):
    return g.masked_fill(filled.logical_not(), 0)


_bags = rule("_embedding_bag", bags, inputs=("weight", "indices", "offsets", "per_sample_weights?"),
             vjp=bags_vjp, method=False, differentiable=(0,), node="EmbeddingBagBackward0",
             saves={"weight": ("indices", "offsets", "result", "per_sample_weights"),
                    "per_sample_weights": ("weight", "indices", "offsets")})


def embedding_bag(weight, indices, offsets, scale_grad_by_freq=False, mode=SUM, sparse=False,
                  per_sample_weights=None, include_last_offset=False, padding_idx=None):
    """torch.embedding_bag: mode 0 sums the rows of each bag, 1 averages them, 2 takes the largest."""
    if padding_idx is None:
        padding_idx = -1
    elif not -len(weight) <= padding_idx < len(weight):
        raise Argument("padding_idx must be within the number of embeddings, "
                       f"{-len(weight)} through {len(weight) - 1}, but got {padding_idx}")
    elif padding_idx < 0:
        padding_idx += len(weight)
    wide = torch.promote_types(indices.dtype, offsets.dtype)
    if wide in (dt.int32, dt.int64):
        indices, offsets = indices.to(wide), offsets.to(wide)
    return _bags(weight, indices, offsets, scale_grad_by_freq, mode, sparse, per_sample_weights,
                 include_last_offset, padding_idx)


composite("embedding_bag", embedding_bag, method=False, helper=True)


# ── one_hot ────────────────────────────────────────────────────────────────────────────────────

def one_hot(tensor, num_classes=-1):
    """(*, num_classes) of int64: 1 where the class is, 0 elsewhere; -1: as many as are seen."""
    if tensor.dtype is not dt.int64:
        raise DtypeUnsupported("one_hot is only applicable to index tensor of type LongTensor.")
    if not tensor.numel():
        if num_classes <= 0:
            raise Argument("Can not infer total number of classes from empty tensor.")
        return tensor.new_empty((*tensor.shape, num_classes))
    classes = tensor._array
    if classes.min() < 0:
        raise IndexValueOutOfRange("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(classes.max()) + 1
    elif classes.max() >= num_classes:
        raise IndexValueOutOfRange("Class values must be smaller than num_classes.")
    return tensor.new_zeros((*tensor.shape, num_classes)).scatter_(-1, tensor.unsqueeze(-1), 1)


composite("one_hot", one_hot, method=False, function=False, helper=True)
