"""Writing over tensors that backward still needs: allow_mutation_on_saved_tensors.

What is saved is kept behind a handle, by way of hooks. Before any write, whatever saved tensor lies on
the memory about to be written, at its present version, is copied; backward then uses the copy. Norm:
torch docs, torch.autograd.graph.allow_mutation_on_saved_tensors.
"""

import contextlib
from collections import defaultdict
from weakref import WeakKeyDictionary, WeakValueDictionary

from reference_impl.inplace import watchers
from reference_impl.saving import packing

_active = []


class _Handle:
    """What a node keeps in the place of a tensor. While it lives, somebody may ask for the tensor."""


class _Saved:
    """The saved tensors of one context.

    cloned, original: handle -> tensor. tid_to_weakhandle: one entry for each tensor (memory, geometry
    and version) that is saved; sid_to_tid: those on one memory at one version.
    """

    def __init__(self):
        self.cloned, self.original = WeakKeyDictionary(), WeakKeyDictionary()
        self.tid_to_weakhandle = WeakValueDictionary()
        self.sid_to_tid = defaultdict(set)

    def clear(self):
        for table in (self.cloned, self.original, self.tid_to_weakhandle, self.sid_to_tid):
            table.clear()

    def pack(self, t):
        memory = _memory(t)
        key = (*memory, t.dtype, t._geometry)
        self.sid_to_tid[memory].add(key)
        handle = self.tid_to_weakhandle.get(key)
        if handle is None:
            handle = self.tid_to_weakhandle[key] = _Handle()
            self.original[handle] = t
        return handle

    def unpack(self, handle):
        for table in (self.cloned, self.original):
            if _active and handle in table:
                return table[handle]
        raise AssertionError("Trying to backward outside of the 'allow_mutation_on_saved_tensors' context "
                             "in which the graph was originally recorded.")

    def before_write(self, t):
        for key in self.sid_to_tid.get(_memory(t), ()):
            handle = self.tid_to_weakhandle.get(key)     # None: saved once, needed no more
            if handle is not None and handle not in self.cloned:
                self.cloned[handle] = self.original.pop(handle).clone()


def _memory(t):
    return t._storage, t._counter.value


@contextlib.contextmanager
def allow_mutation_on_saved_tensors():
    """Within it, writes in place do not disturb backward, which has to run within it as well.

    Yields what it knows of saved tensors. Raises RuntimeError within another.
    """
    if _active:
        raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
    if packing.disabled is not None:
        raise RuntimeError(packing.disabled)
    saved = _Saved()
    for stack, entry in ((_active, saved), (watchers, saved.before_write),
                         (packing.stack, (saved.pack, saved.unpack))):
        stack.append(entry)
    try:
        yield saved
    finally:
        for stack in (packing.stack, watchers, _active):
            stack.pop()
        saved.clear()
