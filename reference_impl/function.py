"""autograd.Function: operations whose derivative the user writes.

Norm: torch docs, "Extending torch.autograd". `function_outputs.py` says what becomes of outputs,
`function_forward.py` what forward mode does.
"""

import functools
import inspect
import itertools
import warnings

from reference_impl.errors import Argument, ArgumentType, GradMismatch
from reference_impl.forward_ad import has_tangent, level, paused
from reference_impl.function_forward import attach_function_tangents
from reference_impl.function_outputs import Outputs
from reference_impl.grad_mode import no_grad, state
from reference_impl.nodes import DelayedError, Node, gradient_edge
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
        places = Outputs(node, tensors, recording)
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
