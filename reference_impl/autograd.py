"""torch.autograd: backward and grad."""

from reference_impl import forward_ad, function, functional
from reference_impl import saved_hooks as graph
from reference_impl.accumulate import accumulate
from reference_impl.anomaly import detect_anomaly, set_detect_anomaly
from reference_impl.creation import ones_like, zeros_like
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
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from reference_impl.gradcheck import GradcheckError, gradcheck, gradgradcheck
from reference_impl.graph import gradient_edge
from reference_impl.tensor import Tensor

Variable = Tensor
__all__ = ["Function", "GradcheckError", "Variable", "backward", "detect_anomaly", "enable_grad",
           "forward_ad", "function", "functional", "grad", "gradcheck", "gradgradcheck", "graph",
           "inference_mode", "is_grad_enabled", "no_grad", "once_differentiable",
           "set_detect_anomaly", "set_grad_enabled"]


def _many(x):
    if x is None:
        return ()
    return (x,) if isinstance(x, Tensor) else tuple(x)


def _roots(outputs, cts):
    """Edges of the outputs and a cotangent for each. Raises NotScalar, GradRequired."""
    roots, seeds = [], []
    cts = cts or (None,) * len(outputs)
    if len(cts) != len(outputs):
        raise GradMismatch(f"got {len(outputs)} tensors and {len(cts)} gradients")
    for i, (out, ct) in enumerate(zip(outputs, cts, strict=True)):
        if ct is None and out.requires_grad:
            ct = _implicit(out)
        elif ct is not None:
            _check_cotangent(i, out, ct)
        edge = gradient_edge(out)
        if edge is None:
            raise GradRequired(f"element {i} of tensors does not require grad and does not have a "
                               "grad_fn")
        roots.append(edge)
        seeds.append(ct)
    return roots, seeds


def _implicit(out):
    if out.numel() != 1:
        raise NotScalar("grad can be implicitly created only for scalar outputs")
    if not out.dtype.is_floating_point:
        raise NotScalar(f"grad can be implicitly created only for real scalar outputs but got "
                        f"{out.dtype}")
    return ones_like(out)


def _check_cotangent(i, out, ct):
    if not isinstance(ct, Tensor):
        raise ArgumentType("gradients can be either Tensors or None, but got "
                           f"{type(ct).__name__}")
    if ct._size != out._size:
        raise GradMismatch(
            f"Mismatch in shape: grad_output[{i}] has a shape of {ct.shape} and output[{i}] has a "
            f"shape of {out.shape}.")
    if ct.dtype.is_complex != out.dtype.is_complex:
        raise GradMismatch(
            "For complex Tensors, both grad_output and output are required to have the same dtype."
            f" Mismatch in dtype: grad_output[{i}] has a dtype of {ct.dtype} and output[{i}] has a "
            f"dtype of {out.dtype}.")


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False,
             grad_variables=None, inputs=None):
    """Add the gradients of `tensors`, weighed by `grad_tensors`, to the `.grad` of leaves.

    inputs: only these collect, non-leaves too. retain_graph: keep what the graph saved (default:
    create_graph). Raises NotScalar, GradRequired, GraphFreed, SavedTensorModified.
    """
    tensors, cts = _many(tensors), _many(grad_tensors)
    captures, wanted = None, ()
    if inputs is not None:
        wanted = _many(inputs)
        if not wanted:
            raise Argument("`inputs` argument to `backward()` cannot be empty.")
        captures = dict.fromkeys(e for e in map(_input_edge, wanted) if e is not None)
    roots, seeds = _roots(tensors, cts)
    keep = create_graph if retain_graph is None else retain_graph
    run_backward(roots, seeds, keep, create_graph, captures)
    for x in wanted:
        ct = captures.get(gradient_edge(x))
        if ct is not None and not x._retains:
            with set_grad_enabled(create_graph):
                accumulate(x, ct)


def _input_edge(x):
    edge = gradient_edge(x)
    if edge is None and not x.requires_grad:
        raise GradRequired("One of the differentiated Tensors does not require grad")
    return edge


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False,
         only_inputs=True, allow_unused=None, is_grads_batched=False, materialize_grads=False):
    """The gradients of `outputs` with respect to `inputs`, a tuple; no `.grad` is touched.

    allow_unused: None instead of an error for an input the outputs do not depend on;
    materialize_grads: zeros for it. Raises UnusedInput and what `backward` raises.
    """
    if materialize_grads and allow_unused is False:
        raise ArgumentValue("Expected allow_unused to be True or not passed when "
                            "materialize_grads=True, but got: allow_unused=False.")
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    outputs, cts = _many(outputs), _many(grad_outputs)
    if is_grads_batched:
        return _batched(outputs, inputs, cts, retain_graph, create_graph, allow_unused,
                        materialize_grads)
    if not inputs:
        raise ArgumentValue("grad requires non-empty inputs.")
    roots, seeds = _roots(outputs, cts)
    edges = [_input_edge(x) for x in inputs]
    keep = create_graph if retain_graph is None else retain_graph
    captures = dict.fromkeys(e for e in edges if e is not None)
    run_backward(roots, seeds, keep, create_graph, captures)
    found = [captures.get(e) for e in edges]
    if materialize_grads:
        found = [zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]
    elif not allow_unused and any(g is None for g in found):
        unused = next(i for i, g in enumerate(found) if g is None)
        raise UnusedInput(f"The differentiated Tensor at index {unused} appears to not have been "
                          "used in the graph. Set allow_unused=True if this is the desired "
                          "behavior.")
    return tuple(found)


def _batched(outputs, inputs, cts, retain_graph, create_graph, allow_unused, materialize_grads):
    """One pass for each entry of the cotangents' first dimension, the results stacked."""
    from reference_impl.dispatch import FUNCTIONS
    count = next(ct._size[0] for ct in cts if ct is not None)
    keep = create_graph if retain_graph is None else retain_graph
    passes = [grad(outputs, inputs, [None if ct is None else ct[k] for ct in cts],
                   retain_graph=keep or k < count - 1, create_graph=create_graph,
                   allow_unused=allow_unused, materialize_grads=materialize_grads)
              for k in range(count)]
    return tuple(None if found[0] is None else FUNCTIONS["stack"](list(found))
                 for found in zip(*passes, strict=True))
