"""Backward: cotangents flow from roots to leaves, each node once, later nodes first.

A loop, not recursion: graphs are deeper than Python's stack. A backward that is called while
another runs (by a hook, by a Function's backward) is a pass of its own; where such passes nest
deeper than Python's stack allows, they go on in another thread, as in torch.
"""

import functools
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from heapq import heappop, heappush
from sys import getrefcount

from reference_impl import anomaly
from reference_impl.accumulate import fit
from reference_impl.errors import Argument, GradMismatch
from reference_impl.formats import contiguous_format
from reference_impl.geometry import is_dense
from reference_impl.grad_mode import state
from reference_impl.hooks import call_hooks
from reference_impl.saving import packing

NESTED_PER_THREAD = 20       # some twenty frames each, of the thousand that Python allows
_numbers = itertools.count()


class Pass:
    """One backward: what it runs, what it hands out, and what it has found.

    captures: {(node, output): cotangent} asked for, by `autograd.grad`. ends: nodes of the inputs
    that `backward(inputs=...)` was given, which run too. With either, only nodes on the way there run
    (`useful`; None: all), and no other leaf collects.
    """

    def __init__(self, roots, keep_graph, captures=None, ends=None):
        self.roots, self.keep_graph, self.captures = roots, keep_graph, captures
        self.number, self.depth, self.callbacks = next(_numbers), 0, []
        self.waiting = _dependencies(roots)
        if captures is not None:
            self.useful = _leading_to({node for node, _ in captures}, roots)
        else:
            self.useful = None if ends is None else _leading_to(ends, roots) | ends
        self.captured_at = {}
        for node, nr in captures or ():
            self.captured_at.setdefault(node, []).append(nr)

    @functools.cached_property
    def nodes(self):
        """All nodes that can be reached."""
        return {*self.waiting, *(node for node, _ in self.roots)}

    def runs(self, node):
        return self.useful is None or node in self.useful

    def reaches(self, node):
        """Whether cotangents go to this node: it runs, or its cotangent is asked for."""
        return self.useful is None or node in self.useful or node in self.captured_at


class _Current(threading.local):
    """The backward that runs now in this thread, and its node."""

    task, node = None, None

    @property
    def reachable(self):
        return () if self.task is None else self.task.nodes

    @property
    def number(self):
        return -1 if self.task is None else self.task.number


current = _Current()


def run_backward(roots, cts, keep_graph, create_graph, captures=None, ends=None):
    """Walk the graph from `roots` (edges) with cotangents `cts`.

    keep_graph: do not free what nodes keep. create_graph: record what backward itself computes.
    captures, ends: see Pass; captures is filled.
    """
    task = Pass(roots, keep_graph, captures, ends)
    outer = current.task, current.node
    task.depth = 0 if outer[0] is None else outer[0].depth + 1
    current.task, current.node = task, None
    pairs, packing.stack = packing.stack, list(packing.stack)    # what hooks do to it ends with the pass
    try:
        before, state.enabled = state.enabled, create_graph
        try:
            if task.depth and task.depth % NESTED_PER_THREAD == 0:
                _in_another_thread(lambda: _walk(task, cts))
            else:
                _walk(task, cts)
        finally:
            state.enabled = before
        for callback in task.callbacks:      # one may queue another
            callback()
    finally:
        current.task, current.node = outer
        packing.stack = pairs


def queue_callback(callback):
    """Call it, without arguments, when the backward that runs now has ended."""
    if current.task is None:
        raise Argument("Final callbacks can only be installed during backward pass.")
    current.task.callbacks.append(callback)


def _in_another_thread(work):
    """Do `work` where the stack is empty, with this thread's modes."""
    owners = (state, packing, anomaly.mode, current)
    modes = [dict(vars(owner)) for owner in owners]

    def run():
        for owner, mode in zip(owners, modes, strict=True):
            vars(owner).update(mode)
        work()
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(run).result()        # raises what `work` raised


def _walk(task, cts):
    buffers, ready, order = {}, [], itertools.count()
    for (node, nr), ct in zip(task.roots, cts, strict=True):
        _add(buffers, node, nr, fit(ct, node.metas[nr], node))
    only = len(task.roots) == 1      # torch starts at the one root, whether or not it leads anywhere
    for node in dict.fromkeys(node for node, _ in task.roots):
        if not task.waiting.get(node) and (only or task.reaches(node)):
            heappush(ready, (-node.sequence, next(order), node))
    while ready:
        _, _, node = heappop(ready)
        current.node = node
        arrived = buffers.pop(node, None) or [None] * len(node.metas)
        if not task.runs(node):              # asked for, and at an end: hooks on the tensor still run
            _tensor_hooks(node, arrived)
        for nr in task.captured_at.get(node, ()):
            task.captures[node, nr] = arrived[nr]
        if not task.runs(node):
            continue
        results = _watched(node, arrived) if anomaly.mode.enabled else _run(node, arrived)
        if not task.keep_graph:
            node.release()
        _pass_on(task, node, results, buffers, ready, order)


def _pass_on(task, node, results, buffers, ready, order):
    """Hand each result to the node it belongs to; nodes that wait for no more become ready."""
    waiting = task.waiting
    for i, edge in enumerate(node.edges):
        if edge is None:
            continue
        target, nr = edge
        ct, results[i] = results[i], None        # one holder less
        if ct is not None and task.reaches(target):
            _add(buffers, target, nr, ct)
        del ct
        waiting[target] -= 1
        if waiting[target] == 0 and task.reaches(target):
            heappush(ready, (-target.sequence, next(order), target))


def _add(buffers, node, nr, ct):
    slots = buffers.get(node)
    if slots is None:
        slots = buffers[node] = [None] * len(node.metas)
    if slots[nr] is None:
        slots[nr] = ct
    elif not state.enabled and _ours_alone(slots, nr):
        slots[nr].add_(ct)
    else:
        slots[nr] = slots[nr] + ct


def _ours_alone(slots, nr):
    """Whether nobody else holds this cotangent or its memory, so that it may be added to.

    Seen from outside only as the version of a `.grad`; torch decides in the same way.
    """
    if getrefcount(slots[nr]) > 2 or not is_dense(slots[nr]._size, slots[nr]._stride):
        return False
    storage = slots[nr]._storage_cache
    return storage is None or getrefcount(storage) <= 3


def _dependencies(roots):
    """How many edges lead to each node that can be reached."""
    found, seen, stack = {}, set(), [node for node, _ in roots]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for edge in node.edges:
            if edge is not None:
                found[edge[0]] = found.get(edge[0], 0) + 1
                stack.append(edge[0])
    return found


def _leading_to(targets, roots):
    """Nodes from which one of `targets` can be reached by at least one step."""
    leads, seen = set(), set()
    stack = [(node, False) for node, _ in roots]
    while stack:
        node, children_done = stack.pop()
        nexts = [e[0] for e in node.edges if e is not None]
        if children_done:
            if any(n in targets or n in leads for n in nexts):
                leads.add(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((n, False) for n in nexts)
    return leads


def execution_order(task):
    """The nodes of a pass in the order in which they run. Norm: the order of sequence numbers,
    leaves first, among those that wait for nothing."""
    waiting, order, found = dict(task.waiting), itertools.count(), []
    heap = [(-node.sequence, next(order), node) for node in
            dict.fromkeys(node for node, _ in task.roots)]
    heap.sort()
    while heap:
        node = heappop(heap)[2]
        found.append(node)
        for edge in node.edges:
            if edge is not None and task.reaches(edge[0]):
                waiting[edge[0]] -= 1
                if waiting[edge[0]] == 0:
                    heappush(heap, (-edge[0].sequence, next(order), edge[0]))
    return found


def _watched(node, arrived):
    """_run in anomaly mode: says where the node that fails was made."""
    try:
        results = _run(node, arrived)
        if anomaly.mode.check_nan:
            anomaly.check_nan(node, results)
        return results
    except Exception:
        anomaly.report(node)
        raise


def _run(node, arrived):
    """Cotangents of the node's inputs, one per edge, with all hooks called."""
    _tensor_hooks(node, arrived)
    if node.pre_hooks:
        arrived[:] = call_hooks(node.pre_hooks, tuple(arrived))
    seen = arrived if node.hooks else ()
    results = fitted(node, node.backward(arrived))
    if node.hooks:        # one that was registered just now does not see what arrived, as in torch
        results = list(call_hooks(node.hooks, tuple(results), tuple(seen)))
    return results


def fitted(node, results):
    """What a node's backward returned, each made to fit what it belongs to. Raises GradMismatch."""
    if len(results) != len(node.edges):
        raise GradMismatch(f"function {node.name()} returned an incorrect number of gradients "
                           f"(expected {len(node.edges)}, got {len(results)})")
    results = list(results)
    for i, edge in enumerate(node.edges):
        if edge is None:
            results[i] = None
        elif results[i] is not None:
            results[i] = fit(results[i], edge[0].metas[edge[1]], node, i)
    return results


def _tensor_hooks(node, arrived):
    """Hooks on the tensors whose cotangents arrived, then those that keep `.grad`.

    Hooks are called with None, too, for an output that nothing came from.
    """
    for nr, hooks in (node.tensor_hooks or {}).items():
        arrived[nr] = call_hooks(hooks, arrived[nr])
    for nr, ref in (node.retained or {}).items():
        t, ct = ref(), arrived[nr]
        if t is None or ct is None:
            continue
        if t._grad is None:
            t._grad = ct.clone(memory_format=contiguous_format)
        else:
            t._grad = t._grad + ct           # never in place, unlike a leaf's
