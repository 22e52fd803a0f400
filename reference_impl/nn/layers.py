"""torch.nn.functional: convolution, normalisation, padding, distances."""

from reference_impl.rule import OPERATIONS
from reference_impl.rules.normalisation import check_batch, check_instances
from reference_impl.rules.windows import several

__all__ = ["batch_norm", "bilinear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
           "conv_transpose3d", "cosine_similarity", "fold", "group_norm", "instance_norm",
           "layer_norm", "linear", "local_response_norm", "normalize", "pad", "pairwise_distance",
           "pdist", "rms_norm", "unfold"]


def op(name):
    return OPERATIONS[name].function


linear, conv1d, conv2d, conv3d = map(op, ("linear", "conv1d", "conv2d", "conv3d"))
conv_transpose1d, conv_transpose2d, conv_transpose3d = map(op, (
    "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"))
layer_norm, rms_norm, local_response_norm, normalize = map(op, (
    "layer_norm", "rms_norm", "local_response_norm", "normalize"))
pad, pairwise_distance, cosine_similarity, pdist = map(op, (
    "pad", "pairwise_distance", "cosine_similarity", "pdist"))
bilinear = op("bilinear")


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False,
               momentum=0.1, eps=1e-5):
    if training:
        check_batch(input.shape)
    return op("batch_norm")(input, weight, bias, running_mean, running_var, training, momentum, eps)


def instance_norm(input, running_mean=None, running_var=None, weight=None, bias=None,
                  use_input_stats=True, momentum=0.1, eps=1e-5):
    if use_input_stats:
        check_instances(input.shape)
    return op("instance_norm")(input, weight, bias, running_mean, running_var, use_input_stats,
                               momentum, eps)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    if input.ndim >= 2:
        size = input.shape
        check_batch([size[0] * size[1] // max(num_groups, 1), num_groups, *size[2:]])
    return op("group_norm")(input, num_groups, weight, bias, eps)


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    return op("im2col")(input, *(several(v, 2) for v in (kernel_size, dilation, padding, stride)))


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    return op("col2im")(input, *(several(v, 2) for v in (
        output_size, kernel_size, dilation, padding, stride)))
