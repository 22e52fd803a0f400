"""Backward: cotangents flow from roots to leaves, each node once, later nodes first.

A loop, not recursion: graphs are deeper than Python's stack.
"""

import threading
from collections import Counter
from heapq import heappop, heappush
from itertools import count
from sys import getrefcount

from reference_impl import anomaly
from reference_impl.accumulate import fit
from reference_impl.errors import GradMismatch
from reference_impl.formats import contiguous_format
from reference_impl.geometry import is_dense
from reference_impl.grad_mode import state


def run_backward(roots, cts, keep_graph, create_graph, captures=None):
    """Walk the graph from `roots` (edges) with cotangents `cts`.

    captures: {(node, output): None}, to be filled with the cotangents that arrive there; then only
    nodes on the way to those run, and no leaf collects. keep_graph: do not free what nodes keep.
    create_graph: record what backward itself computes.
    """
    before = state.enabled
    state.enabled = create_graph
    outer = current.node, current.reachable, current.number
    current.number, current.node = object(), None
    try:
        _walk(roots, cts, keep_graph, captures)
    finally:
        state.enabled = before
        current.node, current.reachable, current.number = outer


class _Current(threading.local):
    """The backward that runs now: its node, all nodes it may reach, and what tells it apart."""

    node, reachable, number = None, (), None


current = _Current()


def _walk(roots, cts, keep_graph, captures):
    waiting = _dependencies(roots)
    current.reachable = {*waiting, *(node for node, _ in roots)}
    useful = None if captures is None else _leading_to(captures, roots)
    buffers, ready, order = {}, [], count()
    for (node, nr), ct in zip(roots, cts, strict=True):
        _add(buffers, node, nr, fit(ct, node.metas[nr], node))
    for node in dict.fromkeys(node for node, _ in roots):
        if waiting[node] == 0:
            heappush(ready, (-node.sequence, next(order), node))
    while ready:
        _, _, node = heappop(ready)
        arrived = _after_tensor_hooks(node, buffers.pop(node, [None] * len(node.metas)))
        if captures is not None:
            for nr, ct in enumerate(arrived):
                if (node, nr) in captures:
                    captures[node, nr] = ct
        _keep_retained(node, arrived)
        results = [None] * len(node.edges)
        if useful is None or node in useful:
            current.node = node
            results = list(_watched(node, arrived) if anomaly.mode.enabled else
                           _apply(node, arrived))
            if not keep_graph:
                node.release()
        _pass_on(node, results, waiting, buffers, ready, order)


def _pass_on(node, results, waiting, buffers, ready, order):
    """Hand each result to the node it belongs to; nodes that wait for no more become ready."""
    if len(results) != len(node.edges):
        raise GradMismatch(f"function {node.name()} returned an incorrect number of gradients "
                           f"(expected {len(node.edges)}, got {len(results)})")
    for i, edge in enumerate(node.edges):
        if edge is None:
            continue
        target, nr = edge
        if results[i] is not None:
            ct, results[i] = fit(results[i], target.metas[nr], node), None   # one holder less
            _add(buffers, target, nr, ct)
            del ct
        waiting[target] -= 1
        if waiting[target] == 0:
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
    found, seen, stack = Counter(), set(), [node for node, _ in roots]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for edge in node.edges:
            if edge is not None:
                found[edge[0]] += 1
                stack.append(edge[0])
    return found


def _leading_to(captures, roots):
    """Nodes from which a captured edge can be reached by at least one step."""
    targets, leads, seen = {node for node, _ in captures}, set(), set()
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


def _after_tensor_hooks(node, arrived):
    for nr, hooks in (node.tensor_hooks or {}).items():
        for hook in list(hooks.values()):
            if arrived[nr] is not None:
                changed = hook(arrived[nr])
                if changed is not None:
                    check_hook_result(hook, arrived[nr], changed)
                    arrived[nr] = changed
    return arrived


def check_hook_result(hook, before, after):
    """A hook on a tensor may replace a gradient by one of the same kind only."""
    name = getattr(hook, "__name__", type(hook).__name__)
    if not hasattr(after, "_size"):
        raise TypeError(f"expected Variable, but hook returned '{type(after).__name__}'")
    if after._size != before._size:
        raise GradMismatch(f"hook '{name}' has changed the size of value")
    if after.dtype is not before.dtype:
        raise GradMismatch(f"hook '{name}' has changed the type of value (was {before.type()} got "
                           f"{after.type()})")


def _keep_retained(node, arrived):
    """`.grad` of non-leaves that asked for it; unlike a leaf's it is never added to in place."""
    for nr, ref in (node.retained or {}).items():
        t, ct = ref(), arrived[nr]
        if t is None or ct is None:
            continue
        if t._grad is None:
            t._grad = ct.clone(memory_format=contiguous_format)
        else:
            t._grad = t._grad + ct


def _watched(node, arrived):
    """_apply in anomaly mode: says where the node that fails was made."""
    try:
        results = _apply(node, arrived)
        if anomaly.mode.check_nan:
            anomaly.check_nan(node, results)
        return results
    except Exception:
        anomaly.report(node)
        raise


def _apply(node, arrived):
    for hook in list((node.pre_hooks or {}).values()):
        changed = hook(tuple(arrived))
        if changed is not None:
            arrived = list(changed) if isinstance(changed, (tuple, list)) else [changed]
    if all(ct is None for ct in arrived):
        results = (None,) * len(node.edges)
    else:
        results = node.backward(arrived)
    for hook in list((node.hooks or {}).values()):
        changed = hook(tuple(results), tuple(arrived))
        if changed is not None:
            results = changed if isinstance(changed, (tuple, list)) else (changed,)
    return results
