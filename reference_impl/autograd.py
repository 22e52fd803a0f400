"""torch.autograd: backward and grad."""

from reference_impl.engine import run_backward
from reference_impl.errors import (GradMismatch, GradRequired, NotScalar, UnusedInput, shape_text)
from reference_impl.grad_mode import (enable_grad, is_grad_enabled, no_grad, set_grad_enabled)
from reference_impl.graph import gradient_edge
from reference_impl.tensor import Tensor

__all__ = ["backward", "grad", "enable_grad", "is_grad_enabled", "no_grad", "set_grad_enabled"]


def _many(x):
    if x is None:
        return ()
    return (x,) if isinstance(x, Tensor) else tuple(x)


def _roots(outputs, cts, create_graph):
    """Edges of the outputs and a cotangent for each."""
    roots, seeds = [], []
    cts = cts or (None,) * len(outputs)
    if len(cts) != len(outputs):
        raise GradMismatch(f"got {len(outputs)} tensors and {len(cts)} gradients")
    for out, ct in zip(outputs, cts, strict=True):
        edge = gradient_edge(out)
        if ct is None and out.requires_grad:
            if out._array.size != 1:
                raise NotScalar("grad can be implicitly created only for scalar outputs")
            if not out.dtype.is_floating_point:
                raise NotScalar("grad can be implicitly created only for real scalar outputs but "
                                f"got {out.dtype}")
            from reference_impl.creation import ones_like
            ct = ones_like(out)
        elif ct is not None and ct._size != out._size:
            raise GradMismatch(
                f"Mismatch in shape: grad_output[0] has a shape of torch.Size"
                f"({shape_text(ct._size)}) and output[0] has a shape of torch.Size"
                f"({shape_text(out._size)}).")
        if edge is None:
            raise GradRequired(f"element {len(roots)} of tensors does not require grad and does "
                               "not have a grad_fn")
        roots.append(edge)
        seeds.append(ct)
    return roots, seeds


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False,
             grad_variables=None, inputs=None):
    """Add the gradients of `tensors`, weighed by `grad_tensors`, to the leaves' `.grad`."""
    tensors, cts = _many(tensors), _many(grad_tensors)
    if inputs is not None and not isinstance(inputs, Tensor) and len(inputs) == 0:
        raise GradMismatch("`inputs` argument to `backward()` cannot be empty.")
    roots, seeds = _roots(tensors, cts, create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    run_backward(roots, seeds, keep, create_graph)


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False,
         only_inputs=True, allow_unused=None, is_grads_batched=False, materialize_grads=False):
    """The gradients of `outputs` with respect to `inputs`, as a tuple; `.grad` is not touched."""
    outputs, inputs, cts = _many(outputs), _many(inputs), _many(grad_outputs)
    edges = []
    for x in inputs:
        edge = gradient_edge(x)
        if edge is None:
            raise GradRequired("One of the differentiated Tensors does not require grad")
        edges.append(edge)
    roots, seeds = _roots(outputs, cts, create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    captures = dict.fromkeys(edges)
    run_backward(roots, seeds, keep, create_graph, captures, accumulate=False)
    found = [captures[e] for e in edges]
    if materialize_grads:
        from reference_impl.creation import zeros_like
        found = [zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]
    elif not allow_unused and any(g is None for g in found):
        raise UnusedInput("One of the differentiated Tensors appears to not have been used in the "
                          "graph. Set allow_unused=True if this is the desired behavior.")
    return tuple(found)
