"""A tensor and the graph: its history, its gradient, what it is to collect, and hooks on it.

Norm: torch docs, "Autograd mechanics" and torch.Tensor.
"""

import warnings
import weakref

from reference_impl import dtypes as dt
from reference_impl.errors import (
    Argument,
    ArgumentType,
    GradDtype,
    GradMismatch,
    GradRequired,
    InferenceMisuse,
    NotLeaf,
    ViewWriteForbidden,
    shape_text,
)
from reference_impl.grad_mode import state
from reference_impl.hooks import HookTable, add_hook
from reference_impl.members import member
from reference_impl.nodes import accumulator, gradient_edge
from reference_impl.rule import composite
from reference_impl.storage import VersionCounter
from reference_impl.tensor import Tensor, collected_dtype, lay
from reference_impl.viewing import detached, refresh


def refuse(message):
    """A deleter, or a setter, that raises Argument with this message."""
    def refused(self, *value):
        raise Argument(message)
    return refused


@member
@property
def is_leaf(self):
    if self._view is not None:
        refresh(self)
    return self._node is None


@member
@property
def grad_fn(self):
    gradient_edge(self)
    return self._node


def _set_grad_fn(self, value):
    if value is not None:
        raise Argument("_grad_fn can be only set to None")
    self.detach_()


Tensor._grad_fn = property(Tensor.grad_fn.fget, _set_grad_fn, refuse(
    "Deletion of _grad_fn not allowed. Detach tensor instead!"))


@member
@property
def output_nr(self):
    return self._nr


@member
@property
def _version(self):
    if self._inference:
        raise InferenceMisuse("Inference tensors do not track version counter.")
    return self._counter.value


@member
@property
def _base(self):
    return None if self._view is None else self._view.base


@member
def _is_view(self):
    return self._view is not None


# --- the gradient, and its dtype

def _get_grad(self):
    if self._grad is None and self._node is not None and not self._retains:
        warnings.warn(
            "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its "
            ".grad attribute won't be populated during autograd.backward(). If you indeed want the "
            ".grad field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf "
            "Tensor. If you access the non-leaf Tensor by mistake, make sure you access the leaf "
            "Tensor instead.", UserWarning, stacklevel=2)
    return self._grad


def _set_grad(self, value):
    if value is not None:
        if not isinstance(value, Tensor):
            raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of "
                            f"{type(value).__name__}")
        if value is self:
            raise GradMismatch("can't assign Variable as its own grad")
        if value._size != self._size:
            raise GradMismatch(
                f"attempting to assign a gradient of size '{shape_text(value._size)}' to a tensor "
                f"of size '{shape_text(self._size)}'. Please ensure that the gradient and the "
                "tensor are the same size")
        wanted = collected_dtype(self)
        if wanted is not None and value.dtype is not wanted:
            raise GradMismatch(
                f"attempting to assign a gradient with dtype '{value.dtype.scalar_name.lower()}' to "
                f"a tensor with grad_dtype '{wanted.scalar_name}'. The gradient must match the "
                "tensor's grad_dtype (defaults to the tensor's dtype).")
    self._grad = value


def _del_grad(self):
    self._grad = None


Tensor.grad = property(_get_grad, _set_grad, _del_grad)


def _get_grad_dtype(self):
    if not self.is_leaf:
        raise NotLeaf("grad_dtype can only be accessed on leaf tensors.")
    return collected_dtype(self)


def _set_grad_dtype(self, dtype):
    if not self.is_leaf:
        raise NotLeaf("grad_dtype can only be set on leaf tensors.")
    if dtype is not None and not isinstance(dtype, dt.dtype):
        raise Argument(f"grad_dtype must be a torch.dtype or None, but got {type(dtype).__name__}")
    if dtype is not None and self._grad is not None and self._grad.dtype is not dtype:
        raise GradMismatch(
            f"Cannot set grad_dtype to '{dtype.scalar_name}' because there is already a gradient with "
            f"dtype '{self._grad.dtype.scalar_name.lower()}'. Please clear the gradient (.grad = None) "
            "before changing grad_dtype, or ensure the new grad_dtype matches the existing gradient's "
            "dtype.")
    self._grad_dtype = dtype
    node = self._accumulator_ref and self._accumulator_ref()
    if node is not None:
        node.metas = ((self._size, dtype),)


Tensor.grad_dtype = property(_get_grad_dtype, _set_grad_dtype)


# --- what takes part

def _set_requires_grad(self, value):
    if not isinstance(value, bool):
        raise Argument("requires_grad must be a bool")
    if not self.is_leaf:
        hint = "" if value else (
            " If you want to use a computed variable in a subgraph that doesn't require "
            "differentiation use var_no_grad = var.detach().")
        raise NotLeaf(f"you can only change requires_grad flags of leaf variables.{hint}")
    self.requires_grad_(value)


Tensor.requires_grad = property(Tensor.requires_grad.fget, _set_requires_grad,
                                refuse("requires_grad must be a bool"))


@member
def requires_grad_(self, requires_grad=True):
    if self._node is not None:       # not is_leaf: a forbidden view refuses to say
        if not requires_grad:
            raise NotLeaf("you can only change requires_grad flags of leaf variables. If you want "
                          "to use a computed variable in a subgraph that doesn't require "
                          "differentiation use var_no_grad = var.detach().")
        return self
    if requires_grad and not self.dtype.is_differentiable:
        raise GradDtype("only Tensors of floating point dtype can require gradients")
    if requires_grad and self._inference and not state.inference:
        raise InferenceMisuse("Setting requires_grad=True on inference tensor outside InferenceMode "
                              "is not allowed.")
    self._leaf_grad = bool(requires_grad)
    return self


def _set_volatile(self, value=None):
    warnings.warn("volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
                  UserWarning, stacklevel=2)


def _get_volatile(self):
    warnings.warn("volatile was removed (Variable.volatile is always False)", UserWarning, stacklevel=2)
    return False


Tensor.volatile = property(_get_volatile, _set_volatile, _set_volatile)


# --- the same memory outside of the graph

composite("detach", lambda self: detached(self))


@member
def detach_(self):
    """Forget the history, in place. Refused for views."""
    if self._view is not None:
        raise ViewWriteForbidden("Can't detach views in-place. Use detach() instead.")
    self._node, self._nr, self._leaf_grad, self._tangent = None, 0, False, None
    return self


def _get_data(self):
    return detached(self, VersionCounter())


def _set_data(self, value):
    """Point the tensor at other memory; its version and its place in the graph stay."""
    if not isinstance(value, Tensor):
        raise ArgumentType(f"Variable data has to be a tensor, but got {type(value).__name__}")
    if self.requires_grad and not value.dtype.is_differentiable:
        raise GradDtype("data set to a tensor that requires gradients must be floating point or complex "
                        "dtype")
    if value.dtype is not self.dtype:
        forget_accumulator(self)
    lay(self, value._storage, value.dtype, *value._geometry, value._bits)


Tensor.data = property(_get_data, _set_data, refuse(
    "Deleting tensor data is not allowed. Delete tensor instead!"))


def forget_accumulator(t):
    """From now on `t` is another leaf to the graph: earlier uses lead to what it was."""
    t._accumulator_ref = None


# --- hooks, and gradients on the way

@member
def retain_grad(self):
    """Let backward fill `.grad` although this is no leaf. Raises GradRequired."""
    if not self.requires_grad:
        raise GradRequired("can't retain_grad on Tensor that has requires_grad=False")
    if self._node is None or self._retains:      # not is_leaf: a forbidden view refuses to say
        return
    node, nr = gradient_edge(self)       # a forbidden view is refused here
    self._retains = True
    node.retained = node.retained or {}
    node.retained[nr] = weakref.ref(self)


@member
@property
def retains_grad(self):
    return self._retains


@member
def register_hook(self, hook):
    """Call `hook(grad)` whenever a gradient of this tensor is computed; it may return another."""
    if not self.requires_grad:
        raise GradRequired("cannot register a hook on a tensor that doesn't require gradient")
    hooks = self._backward_hooks
    if hooks is None:
        hooks = self._backward_hooks = HookTable()
    return add_hook(hooks, hook)


def _get_hooks(self):
    if self.is_leaf:
        return self._tensor_hooks
    node, nr = gradient_edge(self)
    return (node.tensor_hooks or {}).get(nr)


def _set_hooks(self, hooks):
    """The table of hooks: a leaf has it, as its node may die between two passes; else the node."""
    if self.is_leaf:
        self._tensor_hooks = hooks
        if self._leaf_grad and hooks is not None:
            accumulator(self).tensor_hooks = {0: hooks}
        return
    node, nr = gradient_edge(self)
    node.tensor_hooks = {**(node.tensor_hooks or {}), nr: {} if hooks is None else hooks}


Tensor._backward_hooks = property(_get_hooks, _set_hooks, refuse(
    "Deletion of _backwards_hooks not allowed!"))


@member
def register_post_accumulate_grad_hook(self, hook):
    """Call `hook(tensor)` after a leaf's `.grad` was added to."""
    if not self.requires_grad or not self.is_leaf:
        raise GradRequired("post accumulate grad hooks cannot be registered on non-leaf tensors")
    self._hooks = self._hooks if self._hooks is not None else HookTable()
    return add_hook(self._hooks, hook)


@member
def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """autograd.backward of this tensor alone."""
    from reference_impl import autograd
    autograd.backward((self,), gradient, retain_graph, create_graph, inputs=inputs)
