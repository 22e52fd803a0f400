"""autograd.Function: operations whose derivative the user writes."""

import functools

from reference_impl.errors import ArgumentType, GradMismatch, NotDifferentiable
from reference_impl.grad_mode import no_grad, state
from reference_impl.graph import Node, Saved, gradient_edge
from reference_impl.inplace import check_history, rebase
from reference_impl.tensor import Tensor


class Context:
    """What forward and backward share; `ctx` in user code. It is the graph node itself."""

    materialize, dirty, non_differentiable = True, (), ()
    needs_input_grad = ()
    _kept, _freed = (), False

    def save_for_backward(self, *tensors):
        """Keep inputs or outputs for backward; later writes to them are noticed."""
        self.to_save = tensors

    save_for_forward = save_for_backward

    def mark_dirty(self, *tensors):
        """These inputs were written in place by forward."""
        self.dirty = tensors

    def mark_non_differentiable(self, *tensors):
        """These outputs have no gradient."""
        self.non_differentiable = tensors

    def set_materialize_grads(self, value):
        """Whether backward gets zeros (True) or None for outputs without cotangent."""
        self.materialize = value

    @property
    def saved_tensors(self):
        """What save_for_backward kept. Raises GraphFreed, SavedTensorModified."""
        return tuple(s and s.unpack(self) for s in self._kept)

    saved_variables = saved_tensors

    @property
    def _raw_saved_tensors(self):
        return self._kept


class FunctionNode(Context, Node):
    """Node of one call of a Function; one edge per tensor argument."""

    function = None          # set on the class made for each Function

    def __init__(self):
        Node.__init__(self, (), ())
        self.places = ()     # positions of the tensors among the arguments

    def release(self):
        for one in self._kept:
            if one is not None:
                one.release()

    def backward(self, cts):
        from reference_impl.creation import zeros
        if self.materialize:
            cts = [zeros(size, dtype=d) if ct is None else ct
                   for ct, (size, d) in zip(cts, self.metas, strict=True)]
        got = self.function.backward(self, *cts)
        got = got if isinstance(got, (tuple, list)) else (got,)
        count = len(self.needs_input_grad)
        extra = got[count:]
        if len(got) < count or any(g is not None for g in extra):
            raise GradMismatch(f"function {self.name()} returned an incorrect number of gradients "
                               f"(expected {count}, got {len(got)})")
        for i, g in enumerate(got[:count]):
            if g is not None and not isinstance(g, Tensor):
                raise ArgumentType(f"expected Variable or None (got {type(g).__name__})")
            if g is not None and i not in self.places:
                raise GradMismatch(f"function {self.name()} returned a gradient different from None "
                                   f"at position {i + 1}, but the corresponding forward input was "
                                   "not a Variable")
        return [got[i] if e is not None else None
                for i, e in zip(self.places, self.edges, strict=True)]


class Function:
    """Base of custom operations: subclasses write static `forward` and `backward`.

    Either forward(ctx, *args), or forward(*args) with setup_context(ctx, inputs, output).
    """

    @staticmethod
    def forward(*args, **kwargs):
        raise NotImplementedError("You must implement the forward function for custom "
                                  "autograd.Function.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        raise NotImplementedError("You must implement either the backward or vjp method for your "
                                  "custom autograd.Function to use it with backward mode AD.")

    setup_context = None

    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        raise RuntimeError("Legacy autograd function with non-static forward method is deprecated. "
                           "Please use new-style autograd function with static forward method. "
                           "(Example: https://pytorch.org/docs/stable/autograd.html"
                           "#torch.autograd.Function)")

    @classmethod
    def apply(cls, *args):
        """Call forward, and record backward when an input requires grad."""
        if "vjp" in cls.__dict__ and "backward" not in cls.__dict__:
            cls.backward = cls.vjp
        node = _node_class(cls)()
        tensors = [a for a in args if isinstance(a, Tensor)]
        recording = state.enabled and any(t.requires_grad for t in tensors)
        node.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        node.places = tuple(i for i, a in enumerate(args) if isinstance(a, Tensor))
        if recording:
            node.edges = tuple(gradient_edge(t) for t in tensors)
        with no_grad():
            if cls.setup_context is None:
                made = cls.forward(node, *args)
            else:
                made = cls.forward(*args)
                cls.setup_context(node, args, made)
        many = isinstance(made, (tuple, list))
        outputs = [_wrap(o, i, node, tensors, recording)
                   for i, o in enumerate(made if many else (made,))]
        if recording:
            node.metas = tuple((o._size, o.dtype) if isinstance(o, Tensor) else ((), None)
                               for o in outputs)
            _keep(node, made if many else (made,), outputs)
        return tuple(outputs) if many else outputs[0]


def _wrap(out, nr, node, inputs, recording):
    """One output as the caller gets it, with its place in the graph."""
    if not isinstance(out, Tensor):
        return out
    is_input = any(out is t for t in inputs)
    dirty = any(out is t for t in node.dirty)
    free = not recording or not out.dtype.is_differentiable or any(
        out is t for t in node.non_differentiable)
    if is_input and dirty:
        if recording:
            check_history(out, "has been used")
            out._counter.value += 1
            rebase(out, node, nr)
        return out
    if is_input:
        with no_grad():
            out = out.view_as(out) if not free else out.detach()
    elif not free and out._node is not None:
        out = out.detach()
    if free:
        return out
    out._node, out._nr = node, nr
    if out._view is not None:
        out._view.made = "custom"
    return out


def _keep(node, raw, outputs):
    """Record what save_for_backward was given; outputs are kept without a cycle."""
    kept = []
    for t in getattr(node, "to_save", ()):
        if t is None:
            kept.append(None)
            continue
        if not isinstance(t, Tensor):
            raise ArgumentType("save_for_backward can only save variables, but argument "
                               f"{len(kept)} is of type {type(t).__name__}")
        place = next((i for i, o in enumerate(raw) if o is t), None)
        if place is None:
            kept.append(Saved(t))
        else:
            kept.append(Saved(outputs[place], is_result=True))
    node._kept = tuple(kept)


@functools.cache
def _node_class(function):
    return type(f"{function.__name__}Backward", (FunctionNode,), {"function": function})


class _Refuse(Node):
    """Stands behind gradients that may be computed only once."""

    __slots__ = ()

    def backward(self, cts):
        raise NotDifferentiable("trying to differentiate twice a function that was marked with "
                                "@once_differentiable")


def once_differentiable(backward):
    """Decorator of `backward`: what it computes is not recorded, and refuses a second derivative."""
    @functools.wraps(backward)
    def wrapper(ctx, *cts):
        with no_grad():
            got = backward(ctx, *cts)
        if not state.enabled or not any(isinstance(ct, Tensor) and ct.requires_grad for ct in cts):
            return got
        single = not isinstance(got, (tuple, list))
        outs = [g.detach() if isinstance(g, Tensor) else g for g in ((got,) if single else got)]
        edges = tuple(gradient_edge(ct) for ct in cts if isinstance(ct, Tensor))
        for g in outs:
            if isinstance(g, Tensor):
                g._node, g._nr = _Refuse(edges, ((g._size, g.dtype),)), 0
        return outs[0] if single else tuple(outs)
    return wrapper
