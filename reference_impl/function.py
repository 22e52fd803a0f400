"""autograd.Function: operations whose derivative the user writes.

Norm: torch docs, "Extending torch.autograd", and torch/csrc/autograd/custom_function.cpp for what
becomes of outputs: they are the very tensors that forward returned, given a place in the graph; an
input returned as it is becomes a view of it; one that was written moves behind the new node.
"""

import functools
import inspect
import itertools
import warnings

from reference_impl.errors import Argument, ArgumentType, GradMismatch, LeafWrittenInPlace
from reference_impl.forward_ad import has_tangent, level, paused
from reference_impl.function_forward import attach_function_tangents
from reference_impl.grad_mode import no_grad, state
from reference_impl.graph import Node, gradient_edge
from reference_impl.inplace import check_history, rebase
from reference_impl.nodes import DelayedError
from reference_impl.saving import graph_freed, keep
from reference_impl.tensor import Tensor

__all__ = ["BackwardCFunction", "Function", "FunctionCtx", "FunctionMeta", "InplaceFunction",
           "once_differentiable"]

_ids = itertools.count()


class FunctionCtx:
    """What forward and backward share; `ctx` in user code."""

    materialize_grads = _materialize_non_diff_grads = True
    dirty_tensors = non_differentiable = ()
    to_save = saved_for_forward = needs_input_grad = None
    _is_pure_view = False

    def save_for_backward(self, *tensors):
        """Keep inputs or outputs for backward; later writes to them are noticed."""
        self.to_save = tensors

    def save_for_forward(self, *tensors):
        """Keep tensors for jvp."""
        if not all(t is None or isinstance(t, Tensor) for t in tensors):
            raise AssertionError("save_for_forward expects all arguments to be tensors; you should save "
                                 "non-tensors as attributes on ctx.")
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors):
        """These inputs were written in place by forward."""
        self.dirty_tensors = tensors

    def mark_non_differentiable(self, *tensors):
        """These outputs have no gradient."""
        self.non_differentiable = tensors

    def set_materialize_grads(self, value):
        """Whether backward gets zeros (True) or None for outputs without cotangent."""
        self.materialize_grads = value


class BackwardCFunction(FunctionCtx, Node):
    """Node of one call of a Function, and its ctx; one edge per tensor argument."""

    _forward_cls = None      # set on the class made for each Function

    def __init__(self):
        Node.__init__(self, (), ())
        self.places = ()     # positions of the tensors among the arguments
        self._tracked = ()   # of each output, whether it has a gradient
        self._kept, self._freed, self._seen = (), False, False

    @property
    def saved_tensors(self):
        """What save_for_backward kept. Raises GraphFreed, SavedTensorModified, Argument."""
        if self.saved_for_forward is not None:       # within jvp
            return self.saved_for_forward
        if self._freed:
            raise graph_freed()
        once = self._forward_cls.clear_saved_tensors_on_access
        if once and self._seen:
            raise Argument("saved_tensors can only be accessed once when "
                           "clear_saved_tensors_on_access=True is set on the autograd.Function. Either "
                           "access saved_tensors only once, or set "
                           "clear_saved_tensors_on_access=False.")
        found = tuple(one.unpack(self) for one in self._kept)
        if once and found:
            self._kept, self._seen = (), True
        return found

    @property
    def saved_variables(self):
        warnings.warn("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning,
                      stacklevel=2)
        return self.saved_tensors

    @property
    def _raw_saved_tensors(self):
        if self._freed:
            raise graph_freed()
        return self._kept

    def release(self):
        self._freed = True
        for one in self._kept:
            one.release()

    def backward(self, cts):
        function = self._forward_cls
        cts = [self._materialised(nr, ct) for nr, ct in enumerate(cts)]
        got = function._user_backward()(self, *([cts] if function.boxed_grads_call else cts))
        got = got if isinstance(got, tuple) else (got,)
        count = len(self.needs_input_grad)
        if len(got) < count or any(g is not None for g in got[count:]):
            raise GradMismatch(f"function {self.name()} returned an incorrect number of gradients "
                               f"(expected {count}, got {len(got)})")
        for i, g in enumerate(got[:count]):
            if g is not None and i not in self.places:
                raise GradMismatch(f"function {self.name()} returned a gradient different than None "
                                   f"at position {i + 1}, but the corresponding forward input was "
                                   "not a Variable")
            if g is not None and not isinstance(g, Tensor):
                raise Argument(f"expected Variable or None (got {type(g).__name__})")
        return [got[i] for i in self.places]

    def _materialised(self, nr, ct):
        """Zeros where no cotangent arrived; None for what is no tensor."""
        from reference_impl.creation import zeros
        size, dtype = self.metas[nr]
        if ct is not None or dtype is None or not self.materialize_grads:
            return ct
        if not self._tracked[nr] and not self._materialize_non_diff_grads:
            return None
        return zeros(size, dtype=dtype)


class FunctionMeta(type):
    """Gives each Function the class of its nodes."""

    def __init__(cls, name, bases, members):
        super().__init__(name, bases, members)
        cls._backward_cls = type(name + "Backward", (BackwardCFunction,),
                                 {"_forward_cls": cls, "_autograd_function_id": next(_ids)})


class Function(metaclass=FunctionMeta):
    """Base of custom operations: subclasses write static `forward` and `backward` (or `vjp`).

    Either forward(ctx, *args), or forward(*args) with setup_context(ctx, inputs, output).
    """

    generate_vmap_rule = False
    clear_saved_tensors_on_access = False        # saved_tensors can be asked for once only
    boxed_grads_call = False                     # backward gets the cotangents as one list

    def __init__(self, *args, **kwargs):
        warnings.warn(f"{type(self)} should not be instantiated. Methods on autograd functions are all "
                      "static, so you should invoke them on the class itself. Instantiating an autograd "
                      "function will raise an error in a future version of PyTorch.",
                      DeprecationWarning, stacklevel=2)

    def __call__(self, *args, **kwargs):
        raise RuntimeError("Legacy autograd function with non-static forward method is deprecated. "
                           "Please use new-style autograd function with static forward method. "
                           "(Example: https://pytorch.org/docs/stable/autograd.html"
                           "#torch.autograd.Function)")

    @staticmethod
    def forward(*args, **kwargs):
        raise NotImplementedError("You must implement the forward function for custom "
                                  "autograd.Function.")

    @staticmethod
    def setup_context(ctx, inputs, output):
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        raise NotImplementedError("You must implement either the backward or vjp method for your "
                                  "custom autograd.Function to use it with backward mode AD.")

    vjp = backward

    @staticmethod
    def jvp(ctx, *grad_inputs):
        raise NotImplementedError("You must implement the jvp function for custom autograd.Function to "
                                  "use it with forward mode AD.")

    @staticmethod
    def vmap(info, in_dims, *args):
        raise NotImplementedError("To use autograd.Function with vmap, you must either override the vmap "
                                  "staticmethod or set generate_vmap_rule=True.")

    @classmethod
    def _user_backward(cls):
        if cls.vjp is Function.vjp:
            return cls.backward
        if cls.backward is not Function.backward:
            raise Argument("Implementing both 'backward' and 'vjp' for a custom Function is not "
                           "allowed. You should only implement one of them.")
        return cls.vjp

    @classmethod
    def apply(cls, *args, **kwargs):
        """Call forward, and record backward when an input requires grad."""
        separate = cls.setup_context is not Function.setup_context
        if separate:
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args, kwargs = bound.args, bound.kwargs
        node = cls._backward_cls()
        tensors = [a for a in args if isinstance(a, Tensor)]
        node.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        node.places = tuple(i for i, a in enumerate(args) if isinstance(a, Tensor))
        recording = state.enabled and any(node.needs_input_grad)
        if recording:
            node.edges = tuple(gradient_edge(t) for t in tensors)
        with no_grad(), paused():
            made = cls.forward(*args, **kwargs) if separate else cls.forward(node, *args, **kwargs)
            if separate:
                cls.setup_context(node, args, made)
        raw = made if isinstance(made, tuple) else (made,)
        places = _Outputs(node, tensors, recording)
        outputs = places.placed(raw, separate)
        if level.depth and has_tangent(tensors):
            attach_function_tangents(node, cls, args, outputs, places.written, places.can_vary)
        if recording:
            _keep(node)
        node.saved_for_forward, node.dirty_tensors = None, ()    # a written view leads back to the node
        return outputs if isinstance(made, tuple) else outputs[0]


class InplaceFunction(Function):
    """Another name of Function, from when in-place ones were declared on the instance."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace


class _Outputs:
    """Gives what forward returned its place in the graph."""

    def __init__(self, node, inputs, recording):
        self.node, self.recording = node, recording
        self.inputs = {id(t) for t in inputs}
        self.dirty = _ids_of("mark_dirty can only accept variables", node.dirty_tensors)
        self.without = _ids_of("mark_non_differentiable only accepts variable arguments",
                               node.non_differentiable)
        for t in node.dirty_tensors:
            t._counter.value += 1

    def placed(self, raw, separate):
        node = self.node
        if not self.dirty <= {id(o) for o in raw}:
            raise Argument("Some elements marked as dirty during the forward method were not returned "
                           "as output. The inputs that are modified inplace must all be outputs of the "
                           "Function.")
        if separate and self._saved_as_returned(raw):
            raise Argument("An input that has been returned as-is as output is being saved for "
                           "backward. This is not supported if you override setup_context. You should "
                           "return and save a view of the input instead, e.g. with x.view_as(x) or "
                           "setup ctx inside the forward function itself.")
        tracked = [self._differentiable(o) for o in raw]
        if node._is_pure_view and (len(self.inputs) != 1 or len(raw) != 1):
            raise Argument("Pure view custom Function can only have one input Tensor and one output "
                           "Tensor. Open an issue if you need to support more.")
        outputs = tuple(self._place(o, nr, t, len(raw))
                        for nr, (o, t) in enumerate(zip(raw, tracked, strict=True)))
        for out in outputs:
            if isinstance(out, Tensor) and out._view is not None and not self.written(out):
                out._view.made = self._made(sum(tracked))
        if self.recording:
            node.metas = tuple((o._size, o.dtype) if isinstance(o, Tensor) else ((), None)
                               for o in raw)
            node._tracked = tracked
        return outputs

    def _saved_as_returned(self, raw):
        saved = {id(t) for t in self.node.to_save or ()}
        return any(id(o) in saved & self.inputs and id(o) not in self.dirty for o in raw)

    def _made(self, tracked):
        """How a view among the outputs counts as made: whether it may be written in place."""
        if tracked > 1:
            return "multi_output"
        if not self.node._is_pure_view:
            return "custom"
        return "normal" if state.enabled else "no_grad"

    def written(self, t):
        """Whether it is an input that forward wrote."""
        return id(t) in self.dirty and id(t) in self.inputs

    def can_vary(self, out):
        """Whether an output can have a derivative at all."""
        return out.dtype.is_differentiable and id(out) not in self.without

    def _differentiable(self, out):
        return self.recording and isinstance(out, Tensor) and self.can_vary(out)

    def _place(self, out, nr, tracked, count):
        """One output as the caller gets it."""
        if not isinstance(out, Tensor):
            return out
        is_input = id(out) in self.inputs
        if not tracked:
            return self._untracked(out, is_input)
        if id(out) in self.dirty:
            return self._rebased(out, nr, is_input, count)
        if is_input:
            with no_grad():
                out = out.view_as(out)
        out._node, out._nr, out._leaf_grad = self.node, nr, False
        return out

    def _untracked(self, out, is_input):
        if not out.requires_grad:
            if is_input and id(out) not in self.dirty:
                with no_grad():
                    out = out.view_as(out)
            return out
        if is_input:
            return out.detach()
        return out if out._view is not None else out.detach_()

    def _rebased(self, out, nr, is_input, count):
        if out.requires_grad and out._node is None:      # not is_leaf: a forbidden view refuses to say
            raise LeafWrittenInPlace("a leaf Variable that requires grad has been used in an in-place "
                                     "operation.")
        if not is_input:
            stray = ("ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that "
                     "have been mutated should be passed to ctx.mark_dirty().")
            if out._view is not None:
                raise Argument(stray)
            warnings.warn(stray, stacklevel=5)
        check_history(out)
        if out._view is not None and count > 1:
            raise Argument(
                "If your Function modifies inplace an input that is a view of another Tensor, your "
                "Function cannot return more than one Tensor. This is not supported by the current "
                "autograd engine. You should either make sure the input is not a view (using .clone() "
                "for example) or make your Function only return one Tensor (potentially splitting it "
                "into two Functions: one doing the inplace that returns a single Tensor and a second "
                "one that does the other operations).")
        out._grad = None
        rebase(out, self.node, nr)
        return out


def _ids_of(refusal, tensors):
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise Argument(f"{refusal}, but argument {i} is of type {type(t).__name__}")
    return {id(t) for t in tensors}


def _keep(node):
    """Record what save_for_backward was given."""
    for i, t in enumerate(node.to_save or ()):
        if t is not None and not isinstance(t, Tensor):
            raise ArgumentType("save_for_backward can only save variables, but argument "
                               f"{i} is of type {type(t).__name__}")
    written = {id(t) for t in node.dirty_tensors}
    node._kept = tuple(keep(t, t is not None and (t._node is node or id(t) in written))
                       for t in node.to_save or ())
    node.to_save = None
    node.non_differentiable = ()


def once_differentiable(backward):
    """Decorator of `backward`: what it computes is not recorded, and refuses a second derivative."""
    @functools.wraps(backward)
    def wrapper(ctx, *cts, **kwargs):
        with no_grad():
            got = backward(ctx, *cts, **kwargs)
        if not state.enabled or not any(isinstance(ct, Tensor) and ct.requires_grad for ct in cts):
            return got
        outputs = got if isinstance(got, tuple) else (got,)
        refuse = DelayedError("trying to differentiate twice a function that was marked with "
                              "@once_differentiable", len(outputs))
        # leaves: so that there is something whose gradient `refuse` stands before
        return refuse(*[None if g is None else g.detach().requires_grad_() for g in outputs])
    return wrapper
