"""Functions that backward calls on its way, and the handles that remove them.

In the order in which one node meets them: hooks on tensors, `retain_grad`, hooks before the node,
the node, hooks on a leaf whose `.grad` was added to, hooks after the node. Norm: torch docs,
"Backward Hooks execution".
"""

import itertools
import weakref

from reference_impl.errors import Argument, ArgumentType, GradMismatch
from reference_impl.tensor import Tensor

_ids = itertools.count()


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away; also a context manager."""

    def __init__(self, hooks, key):
        self._hooks, self.id = weakref.ref(hooks), key

    def remove(self):
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.remove()


class HookTable(dict):
    """Hooks in order of registration. A dict that can be referred to weakly."""

    __slots__ = ("__weakref__",)


def add_hook(hooks, hook):
    """Register in a HookTable; returns the handle."""
    key = next(_ids)
    hooks[key] = hook
    return RemovableHandle(hooks, key)


def call_hooks(hooks, value, *others):
    """`value` after every hook saw it, with `others`: each may return another in its place.

    value: a gradient (None: none arrived), or a tuple of them. Raises ArgumentType, GradMismatch
    and Argument for a replacement that is not of the same kind.
    """
    for hook in list(hooks.values()):
        got = hook(value, *others)
        if got is None or got is value:
            continue
        if isinstance(value, tuple):
            _check_tuple(hook, value, got)
        else:
            _check_gradient(hook, value, got)
        value = got
    return value


def call_observers(hooks, leaf):
    """Hooks on a leaf whose `.grad` was added to: they may change it, but return nothing."""
    for hook in list(hooks.values()):
        if hook(leaf) is not None:
            raise Argument("Tensor post accumulate grad hooks should return None.")


def _name(hook):
    return getattr(hook, "__name__", type(hook).__name__)


def _check_tuple(hook, before, after):
    if not isinstance(after, tuple):
        raise ArgumentType(f"expected tuple, but hook returned '{type(after).__name__}'")
    if len(after) != len(before):
        raise GradMismatch(f"hook '{_name(hook)}' has returned an incorrect number of values (got "
                           f"{len(after)}, but expected {len(before)})")
    for b, a in zip(before, after, strict=True):
        if a is not None:
            _check_gradient(hook, b, a)


def _check_gradient(hook, before, after):
    if before is None:
        raise Argument("can't replace a None gradient with a non-None value")
    if not isinstance(after, Tensor):
        raise ArgumentType(f"expected Variable, but hook returned '{type(after).__name__}'")
    if after._size != before._size:
        raise GradMismatch(f"hook '{_name(hook)}' has changed the size of value")
    if after.dtype is not before.dtype:
        raise GradMismatch(f"hook '{_name(hook)}' has changed the type of value (was "
                           f"{before.type()} got {after.type()})")
