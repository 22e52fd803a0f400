"""Normalisation over batches, groups, instances and neighbours. layer_norm is in nn.py.

Shapes: input (N, C, *). Each kernel gives the result, the means and the inverse deviations, as the
native_ functions of torch return them; gradients are computed anew from the input, so that they
can be differentiated. 16-bit floats are carried in float32.
"""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import empty
from reference_impl.errors import (
    Argument,
    ArgumentValue,
    DimOutOfRange,
    ShapeMismatch,
    ValueShapeMismatch,
    shape_text,
)
from reference_impl.rule import OPERATIONS, composite, rule
from reference_impl.rules.nn import only_floats
from reference_impl.rules.reductions import carry


def moments(x, axes, eps):
    """Means and inverse deviations over axes, kept as dimensions of size 1."""
    n = np.asarray(int(np.prod([x.shape[a] for a in axes]))).astype(x.dtype)
    mean = np.sum(x, axis=axes, keepdims=True) / n
    variance = np.sum((x - mean) ** 2, axis=axes, keepdims=True) / n
    return mean, 1 / np.sqrt(variance + np.asarray(eps).astype(x.dtype))


def widened(t):
    return t.to(dt.float32) if t.dtype.itemsize == 2 else t


def standardised_vjp(ct, x, axes, eps):
    """The cotangent of x whose elements were standardised over axes, and what they were; the
    tangent, too, for the Jacobian is symmetric."""
    away = x - x.mean(axes, True)
    scale = ((away * away).mean(axes, True) + eps).rsqrt()
    unit = away * scale
    return scale * (ct - ct.mean(axes, True) - unit * (ct * unit).mean(axes, True)), unit


def along_channels(t, ndim):
    """A vector of channels, shaped to meet (N, C, *)."""
    return None if t is None else t.reshape((1, -1) + (1,) * (ndim - 2))


def affine(x, weight, bias):
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


# --- over a batch ---


def check_channels(input, **vectors):
    channels = input._size[1] if input.ndim > 1 else 0
    for name, t in vectors.items():
        if t is not None and t.numel() != channels:
            raise ShapeMismatch(f"{name} should contain {channels} elements not {t.numel()}")
    if input.ndim < 2 and input.numel():
        raise DimOutOfRange("Dimension out of range (expected to be in range of [-1, 0], but got 1)")


def native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps):
    """Each channel standardised: by its own moments when training, else by the running ones."""
    only_floats("batch_norm", input)
    x = carry(input)
    if training:
        mean, scale = moments(x, _batch_axes(input.ndim), eps)
        kept = (mean.reshape(-1), scale.reshape(-1))
    else:
        mean = along_channels(carry(running_mean), x.ndim)
        scale = 1 / np.sqrt(along_channels(carry(running_var), x.ndim)
                            + np.asarray(eps).astype(x.dtype))
        kept = (np.empty(0, x.dtype), np.empty(0, x.dtype))
    weight, bias = (None if t is None else along_channels(carry(t), x.ndim)
                    for t in (weight, bias))
    out = affine((x - mean) * scale, weight, bias)
    return out.astype(input.dtype), *(k.astype(input.dtype) for k in kept)


def _batch_axes(ndim):
    return tuple(d for d in range(ndim) if d != 1)


def batch_norm_vjp(ct, ins, y, training, momentum, eps):
    x, weight, bias, running_mean, running_var = ins
    g, wide, axes = widened(ct[0]), widened(x), list(_batch_axes(x.ndim))
    scaled = g if weight is None else g * along_channels(widened(weight), x.ndim)
    if training:
        of_x, unit = standardised_vjp(scaled, wide, axes, eps)
    else:
        scale = (along_channels(widened(running_var), x.ndim) + eps).rsqrt()
        of_x, unit = scaled * scale, (wide - along_channels(widened(running_mean), x.ndim)) * scale
    return [of_x.to(x.dtype), None if weight is None else (g * unit).sum(axes),
            None if bias is None else g.sum(axes), None, None]


def batch_norm_jvp(t, ins, y, training, momentum, eps):
    x, weight, _, running_mean, running_var = ins
    wide, moved, axes = widened(x), widened(t[0]), list(_batch_axes(x.ndim))
    if training:
        of_unit, unit = standardised_vjp(moved, wide, axes, eps)
    else:
        scale = (along_channels(widened(running_var), x.ndim) + eps).rsqrt()
        of_unit = moved * scale
        unit = (wide - along_channels(widened(running_mean), x.ndim)) * scale
    return affine_jvp(t, of_unit, unit, weight, x.ndim).to(x.dtype), None, None


def affine_jvp(t, of_unit, unit, weight, ndim):
    """The tangent of unit * weight + bias, from those of unit and (t[1], t[2]) of the others."""
    moved = of_unit if weight is None else (
        of_unit * along_channels(widened(weight), ndim) + unit * along_channels(t[1], ndim))
    return moved if t[2] is None else moved + along_channels(t[2], ndim)


RUNNING = ("running_mean", "running_var")
_batch = rule("_batch_norm_kernel", native_batch_norm, node="NativeBatchNormBackward0",
              inputs=("input", "weight?", "bias?", "running_mean?", "running_var?"),
              vjp=batch_norm_vjp, jvp=batch_norm_jvp, saves=("input", "weight", *RUNNING), differentiable=(0,),
              layout="input format", method=False)


def update_running(input, running_mean, running_var, momentum):
    """Move the running moments towards those of the input: written behind autograd's back, as
    torch's kernel does, which counts no version."""
    axes = _batch_axes(input.ndim)
    x = input.detach()._array.astype(np.float64)
    n = x.size // max(x.shape[1], 1)
    mean = x.mean(axes)
    for running, now in ((running_mean, mean),
                         (running_var, x.var(axes) * n / max(n - 1, 1))):
        if running is not None:
            running._array[...] = (1 - momentum) * running._array + momentum * now


def normalise_batch(input, weight, bias, running_mean, running_var, training, momentum, eps):
    if not training and (running_mean is None or running_var is None):
        name = RUNNING[running_mean is not None]
        raise Argument(f"{name} must be defined in evaluation mode")
    check_channels(input, running_mean=running_mean, running_var=running_var, weight=weight,
                   bias=bias)
    if not input.numel():
        # torch's graph of nothing: the copy and, for the sake of their gradients, the first of each
        scaled = input.clone() if weight is None else input.clone() * weight[0]
        out = scaled if bias is None else scaled + bias[0]
        return out, empty(0, dtype=input.dtype), empty(0, dtype=input.dtype)
    out = _batch(input, weight, bias, running_mean, running_var, training, momentum, eps)
    if training:
        update_running(input, running_mean, running_var, momentum)
    return out


def batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps,
               cudnn_enabled=True):
    return normalise_batch(input, weight, bias, running_mean, running_var, training, momentum,
                           eps)[0]


def legit(input, weight, bias, *rest):
    """_native_batch_norm_legit(input, weight, bias, [running_mean, running_var,] training, ...)"""
    running = rest[:-3] or (None, None)
    return normalise_batch(input, weight, bias, *running, *rest[-3:])


def with_update(input, weight, bias, running_mean, running_var, momentum, eps):
    """_batch_norm_with_update: training, and an empty reserve for the kernels of GPUs."""
    out = normalise_batch(input, weight, bias, running_mean, running_var, True, momentum, eps)
    return (*out, empty(0, dtype=dt.uint8))


composite("native_batch_norm", normalise_batch, method=False, helper=True)
composite("batch_norm", batch_norm, method=False, helper=True)
composite("_native_batch_norm_legit", legit, method=False, helper=True)
composite("_batch_norm_with_update", with_update, method=False, helper=True)


def check_batch(size):
    """Raises ArgumentValue when a channel has a single value."""
    if size[0] * int(np.prod(size[2:])) == 1:
        raise ArgumentValue("Expected more than 1 value per channel when training, got input size "
                            f"{size}")


# --- over the elements of each sample ---


def check_instances(size):
    count = int(np.prod(size[2:]))
    if count == 1:
        raise ArgumentValue("Expected more than 1 spatial element when training, got input size "
                            f"{size}")


def instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps,
                  cudnn_enabled=True):
    """batch_norm of every channel of every sample by itself."""
    if not use_input_stats and (running_mean is None or running_var is None):
        raise Argument("Expected running_mean and running_var to be defined when use_input_stats "
                       "is false")
    n, c = input._size[:2]
    repeated = [None if t is None else t.repeat(n) for t in (
        weight, bias, running_mean, running_var)]
    flat = input.contiguous().reshape((1, n * c) + input._size[2:])
    out = batch_norm(flat, *repeated, use_input_stats, momentum, eps)
    if use_input_stats:
        for running, now in zip((running_mean, running_var), repeated[2:], strict=True):
            if running is not None:
                running._array[...] = now._array.reshape(n, c).mean(0)
    return out.view(input._size)


composite("instance_norm", instance_norm, method=False, helper=True)

# --- over groups of channels ---


def native_group_norm(input, weight, bias, N, C, HxW, group, eps):
    """Each of `group` runs of channels standardised together, sample by sample."""
    only_floats("GroupNormKernelImpl", input)
    x = carry(input).reshape(N, group, C // group * HxW)
    mean, scale = moments(x, (2,), eps)
    mean = mean if x.size else np.zeros_like(mean)      # as torch's kernel leaves it
    weight, bias = (None if t is None else along_channels(carry(t), input.ndim)
                    for t in (weight, bias))
    out = affine(((x - mean) * scale).reshape(input.shape), weight, bias)
    return out.astype(input.dtype), *(k.reshape(N, group).astype(input.dtype) for k in (
        mean, scale))


def group_moments(x, runs, eps):
    """How far each element is from its mean, and the inverse deviations, in runs (N, group, -1)."""
    wide = widened(x).reshape(runs)
    away = wide - wide.mean([2], True)
    return away, ((away * away).mean([2], True) + eps).rsqrt()


def group_norm_vjp(ct, ins, y, N, C, HxW, group, eps):
    x, weight, bias = ins
    runs, axes = (N, group, C // group * HxW), list(_batch_axes(x.ndim))
    away, scale = group_moments(x, runs, eps)
    of_x = 0
    if ct[1] is not None:
        of_x = ct[1].reshape(N, group, 1) / runs[2]
    if ct[2] is not None:
        of_x = of_x - ct[2].reshape(N, group, 1) * scale ** 3 * away / runs[2]
    if ct[0] is None:
        return [of_x.expand(runs).reshape(x._size).to(x.dtype), None, None]
    g = widened(ct[0])
    scaled = g if weight is None else g * along_channels(widened(weight), x.ndim)
    of_unit, unit = standardised_vjp(scaled.reshape(runs), widened(x).reshape(runs), [2], eps)
    return [(of_unit + of_x).reshape(x._size).to(x.dtype),
            None if weight is None else (g * unit.reshape(x._size)).sum(axes),
            None if bias is None else g.sum(axes)]


def group_norm_jvp(t, ins, y, N, C, HxW, group, eps):
    x, weight, _ = ins
    runs = (N, group, C // group * HxW)
    away, scale = group_moments(x, runs, eps)
    moved = widened(t[0]).reshape(runs)
    of_unit, unit = standardised_vjp(moved, widened(x).reshape(runs), [2], eps)
    out = affine_jvp(t, of_unit.reshape(x._size), unit.reshape(x._size), weight, x.ndim)
    of_scale = -(scale ** 3) * (moved * away).mean([2], True)
    return out.to(x.dtype), moved.mean([2]).to(x.dtype), of_scale.squeeze(2).to(x.dtype)


_group = rule("native_group_norm", native_group_norm, inputs=("input", "weight?", "bias?"),
              vjp=group_norm_vjp, jvp=group_norm_jvp, saves=("input", "weight"), partial=True,
              layout="input format", method=False, helper=True)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True):
    """Raises Argument, ShapeMismatch for channels that do not fall into num_groups groups."""
    if input.ndim < 2:
        raise Argument("Expected at least 2 dimensions for input tensor but received "
                       f"{input.ndim}")
    if num_groups <= 0:
        raise Argument(f"Expected num groups to be greater than 0, got {num_groups}")
    n, c = input._size[:2]
    if c % num_groups:
        raise ShapeMismatch("Expected number of channels in input to be divisible by num_groups, "
                            f"but got input of shape {shape_text(input._size)} and "
                            f"num_groups={num_groups}")
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t._size != (c,):
            raise ShapeMismatch(f"Expected {name} to be a vector of size equal to the number of "
                                f"channels in input, but got {name} of shape {shape_text(t._size)} "
                                f"and input of shape {shape_text(input._size)}")
    rest = int(np.prod(input._size[2:]))
    return _group(input, weight, bias, n, c, rest, num_groups, eps)[0]


composite("group_norm", group_norm, method=False, helper=True)

# --- over the last dimensions ---


def native_layer_norm(input, normalized_shape, weight, bias, eps):
    """layer_norm, and the moments it used, of which torch gives the cotangents no heed here."""
    out = OPERATIONS["layer_norm"].function(input, normalized_shape, weight, bias, eps)
    x = widened(input.detach())
    dims = list(range(-len(tuple(normalized_shape)), 0))
    mean = x.mean(dims, True)
    scale = (((x - mean) ** 2).mean(dims, True) + eps).rsqrt()
    return out, mean.to(input.dtype), scale.to(input.dtype)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """x / sqrt(mean of x^2 + eps), times weight; eps by default that of the dtype computed in."""
    shape = tuple(normalized_shape)
    if not shape:
        raise Argument("Expected normalized_shape to be at least 1-dimensional, i.e., containing "
                       "at least one element, but got normalized_shape = []")
    if weight is not None and weight._size != shape:
        raise ShapeMismatch("Expected weight to be of same shape as normalized_shape, but got "
                            f"weight of shape {shape_text(weight._size)} and normalized_shape = "
                            f"{shape_text(shape)}")
    if input._size[-len(shape):] != shape:
        raise ShapeMismatch(f"Given normalized_shape={shape_text(shape)}, expected input with "
                            f"shape [*{', '.join(map(str, shape))}], but got input of size"
                            f"{shape_text(input._size)}")
    x = widened(input)
    least = dt.finfo(x.dtype).eps if eps is None else eps
    out = x * ((x * x).mean(list(range(-len(shape), 0)), True) + least).rsqrt()
    out = out.to(input.dtype)
    return out if weight is None else out * weight


composite("native_layer_norm", native_layer_norm, method=False, helper=True)
composite("rms_norm", rms_norm, method=False, helper=True)

# --- over neighbours and along a dimension ---


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """x / (k + alpha * mean of x^2 over `size` neighbouring channels) ** beta."""
    if input.ndim < 3:
        raise ValueShapeMismatch("Expected 3D or higher dimensionality                          "
                                 f"input (got {input.ndim} dimensions)")
    if not input.numel():
        return input
    pads = [0, 0] * (input.ndim - 2) + [size // 2, (size - 1) // 2]
    square = OPERATIONS["constant_pad_nd"].function(input * input, pads)
    # the mean is avg_pool2d's, which rounds that of integers towards zero
    near = square.unfold(1, size, 1).sum(-1)
    near = near / size if near.dtype.is_floating_point else near // size
    return input / (near * alpha + k) ** beta


def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """x divided by its p-norm along dim, which counts as eps at least."""
    norm = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    if out is None:
        return input / norm
    return OPERATIONS["div"].function(input, norm, out=out)


composite("local_response_norm", local_response_norm, method=False, function=False, helper=True)
composite("normalize", normalize, method=False, function=False, helper=True)
