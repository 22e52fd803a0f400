"""torch.autograd: backward and grad."""

import warnings
from collections.abc import Mapping

from reference_impl import forward_ad, function, functional, grad_mode
from reference_impl import saved_hooks as graph
from reference_impl.anomaly import detect_anomaly, set_detect_anomaly
from reference_impl.creation import ones, ones_like, zeros_like
from reference_impl.engine import run_backward
from reference_impl.errors import (
    Argument,
    ArgumentType,
    ArgumentValue,
    GradMismatch,
    GradRequired,
    NotScalar,
    UnusedInput,
)
from reference_impl.function import Function, once_differentiable
from reference_impl.grad_mode import (
    _force_original_view_tracking,
    _unsafe_preserve_version_counter,
    batching,
    enable_grad,
    enforce_grad_layout_policy,
    inference_mode,
    is_grad_enabled,
    is_multithreading_enabled,
    is_view_replay_enabled,
    no_grad,
    set_grad_enabled,
    set_multithreading_enabled,
)
from reference_impl.gradcheck import GradcheckError, gradcheck, gradgradcheck
from reference_impl.nodes import gradient_edge
from reference_impl.saved_hooks import GradientEdge
from reference_impl.saving import SavedTensor
from reference_impl.tensor import Size, Tensor
from reference_impl.variable import Variable

__all__ = ["Function", "GradcheckError", "SavedTensor", "Variable", "_force_original_view_tracking",
           "_unsafe_preserve_version_counter", "backward", "detect_anomaly", "enable_grad",
           "enforce_grad_layout_policy", "forward_ad", "function", "functional", "grad", "grad_mode",
           "gradcheck", "gradgradcheck", "graph", "inference_mode", "is_grad_enabled",
           "is_multithreading_enabled", "is_view_replay_enabled", "no_grad", "once_differentiable",
           "set_detect_anomaly", "set_grad_enabled", "set_multithreading_enabled"]

_warned = False


def _many(x):
    if x is None:
        return ()
    return (x,) if isinstance(x, (Tensor, GradientEdge)) else tuple(x)


def _inputs(inputs, caller):
    """The inputs as a tuple; of a dict the values. Raises ArgumentType, Argument."""
    if isinstance(inputs, Mapping):
        if type(inputs) is not dict:
            raise ArgumentType(f"`inputs` argument to `{caller}()` must be a dict, not "
                               f"{type(inputs).__name__}. Other Mapping types are not supported.")
        inputs = inputs.values()
    if inputs is None:
        raise ArgumentType("'NoneType' object is not iterable")
    inputs = _many(inputs)
    if not inputs:
        raise Argument(f"`inputs` argument to `{caller}()` cannot be empty.")
    return inputs


def _meta(out):
    """(size, dtype) of a tensor or of what an edge stands for."""
    return out.node.metas[out.output_nr] if isinstance(out, GradientEdge) else (out._size, out.dtype)


def _edge(x):
    return (x.node, x.output_nr) if isinstance(x, GradientEdge) else gradient_edge(x)


def _roots(outputs, cts):
    """Edges of the outputs and a cotangent for each. Raises NotScalar, GradRequired."""
    roots, seeds = [], []
    cts = cts or (None,) * len(outputs)
    if len(cts) != len(outputs):
        raise GradMismatch(f"got {len(outputs)} tensors and {len(cts)} gradients")
    for i, (out, ct) in enumerate(zip(outputs, cts, strict=True)):
        if ct is not None:
            _check_cotangent(i, *_meta(out), ct)
        elif isinstance(out, GradientEdge) or out.requires_grad:
            ct = _implicit(out, *_meta(out))
        edge = _edge(out)
        if edge is None:
            raise GradRequired(f"element {i} of tensors does not require grad and does not have a "
                               "grad_fn")
        roots.append(edge)
        seeds.append(ct)
    return roots, seeds


def _implicit(out, size, dtype):
    if any(n != 1 for n in size):
        raise NotScalar("grad can be implicitly created only for scalar outputs")
    if not dtype.is_floating_point:
        raise NotScalar(f"grad can be implicitly created only for real scalar outputs but got {dtype}")
    return ones_like(out) if isinstance(out, Tensor) else ones(size, dtype=dtype)


def _check_cotangent(i, size, dtype, ct):
    if not isinstance(ct, Tensor):
        raise ArgumentType("gradients can be either Tensors or None, but got "
                           f"{type(ct).__name__}")
    if ct._size != size:
        raise GradMismatch(f"Mismatch in shape: grad_output[{i}] has a shape of {ct.shape} and "
                           f"output[{i}] has a shape of {Size(size)}.")
    if ct.dtype.is_complex != dtype.is_complex:
        raise GradMismatch(
            "For complex Tensors, both grad_output and output are required to have the same dtype."
            f" Mismatch in dtype: grad_output[{i}] has a dtype of {ct.dtype} and output[{i}] has a "
            f"dtype of {dtype}.")


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False,
             grad_variables=None, inputs=None):
    """Add the gradients of `tensors`, weighed by `grad_tensors`, to the `.grad` of leaves.

    tensors, inputs: tensors or edges of the graph, one or several (inputs: also a dict of tensors).
    inputs: only these collect, non-leaves too. retain_graph: keep what the graph saved (default:
    create_graph). Raises NotScalar, GradRequired, GraphFreed, SavedTensorModified.
    """
    ends = None
    if inputs is not None:
        inputs = _inputs(inputs, "backward")
        ends = set()
    roots, seeds = _roots(_many(tensors), _many(grad_tensors))
    if create_graph:
        _warn_of_cycle()
    for x in inputs or ():
        if isinstance(x, Tensor):
            x.retain_grad()          # a non-leaf collects as if it had been asked to
        edge = _edge(x)
        if edge is not None:         # None: an integer view of what requires grad
            ends.add(edge[0])
    keep = create_graph if retain_graph is None else retain_graph
    run_backward(roots, seeds, keep, create_graph, ends=ends)


def _warn_of_cycle():
    global _warned
    if not _warned:          # once, as torch does
        _warned = True
        warnings.warn("Using backward() with create_graph=True will create a reference cycle between "
                      "the parameter and its gradient which can cause a memory leak. We recommend "
                      "using autograd.grad when creating the graph to avoid this. If you have to use "
                      "this function, make sure to reset the .grad fields of your parameters to None "
                      "after use to break the cycle and avoid the leak.", UserWarning, stacklevel=3)


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False,
         only_inputs=True, allow_unused=None, is_grads_batched=False, materialize_grads=False):
    """The gradients of `outputs` with respect to `inputs`, a tuple; no `.grad` is touched.

    outputs, inputs: tensors or edges of the graph, one or several; for a dict of inputs the
    gradients are a dict with its keys. allow_unused: None instead of an error for an input the
    outputs do not depend on; materialize_grads: zeros for it. is_grads_batched: the first dimension
    of each cotangent counts passes, whose results are stacked. Raises UnusedInput and what
    `backward` raises.
    """
    if materialize_grads and allow_unused is False:
        raise ArgumentValue("Expected allow_unused to be True or not passed when "
                            "materialize_grads=True, but got: allow_unused=False.")
    outputs, given, cts = _many(outputs), _inputs(inputs, "grad"), _many(grad_outputs)
    keep = create_graph if retain_graph is None else retain_graph
    unused_allowed = allow_unused or materialize_grads
    if is_grads_batched:
        found = _batched(outputs, given, cts, keep, create_graph, unused_allowed)
    else:
        found = _gradients(outputs, given, cts, keep, create_graph, unused_allowed)
    if materialize_grads:
        found = tuple(_zeros_of(x, create_graph) if g is None else g
                      for g, x in zip(found, given, strict=True))
    return dict(zip(inputs, found, strict=True)) if isinstance(inputs, dict) else found


def _zeros_of(x, requires_grad):
    if isinstance(x, GradientEdge):
        raise Argument("materialize_grads cannot be used when the given input is a GradientEdge")
    return zeros_like(x, requires_grad=requires_grad)


def _gradients(outputs, inputs, cts, keep, create_graph, allow_unused):
    roots, seeds = _roots(outputs, cts)
    edges = [_edge(x) for x in inputs]
    for x, edge in zip(inputs, edges, strict=True):
        if edge is None and not x.requires_grad:
            raise GradRequired("One of the differentiated Tensors does not require grad")
    captures = dict.fromkeys(e for e in edges if e is not None)
    run_backward(roots, seeds, keep, create_graph, captures)
    found = tuple(captures.get(e) for e in edges)
    if not allow_unused and None in found:
        raise UnusedInput(f"The differentiated Tensor at index {found.index(None)} appears to not "
                          "have been used in the graph. Set allow_unused=True if this is the desired "
                          "behavior.")
    return found


def _batched(outputs, inputs, cts, keep, create_graph, allow_unused):
    """One pass for each entry of the cotangents' first dimension, the results stacked."""
    from reference_impl.dispatch import FUNCTIONS
    for i, (out, ct) in enumerate(zip(outputs, cts, strict=True)):
        if ct is not None and ct._size[1:] != _meta(out)[0]:
            if isinstance(out, GradientEdge):
                raise Argument("Batched grads are not supported with GradientEdge")
            raise GradMismatch(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as "
                "the batch dimension. The sizes of the remaining dimensions are expected to match the "
                f"shape of corresponding output, but a mismatch was detected: grad_output[{i}] has a "
                f"shape of {ct.shape[1:]} and output[{i}] has a shape of {out.shape}.")
    count = next(ct._size[0] for ct in cts if ct is not None)
    with batching():
        passes = [_gradients(outputs, inputs, [None if ct is None else ct[k] for ct in cts],
                             keep or k < count - 1, create_graph, allow_unused)
                  for k in range(count)]
    return tuple(None if found[0] is None else FUNCTIONS["stack"](list(found))
                 for found in zip(*passes, strict=True))
