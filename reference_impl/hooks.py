"""Functions that backward calls on its way, and the handles that remove them."""

import itertools
import weakref

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
