"""Backward: cotangents flow from roots to leaves, each node once, later nodes first.

A loop, not recursion: graphs are deeper than Python's stack.
"""

import heapq
from collections import Counter

from reference_impl.accumulate import fit
from reference_impl.grad_mode import state


def run_backward(roots, cts, keep_graph, create_graph, captures=None, accumulate=True):
    """Walk the graph from `roots` (edges) with cotangents `cts`.

    captures: {(node, output): None} to be filled with the cotangents that arrive there; then only
    nodes on the way to those run. accumulate: whether leaves collect `.grad`.
    """
    before = state.enabled
    state.enabled = create_graph
    try:
        _walk(roots, cts, keep_graph, captures, accumulate)
    finally:
        state.enabled = before


def _walk(roots, cts, keep_graph, captures, accumulate):
    waiting = _dependencies(roots)
    useful = None if captures is None else _leading_to(captures, roots)
    buffers, ready, queued = {}, [], 0
    for (node, nr), ct in zip(roots, cts, strict=True):
        _add(buffers, node, nr, ct)
    for node in {id(n): n for n, _ in roots}.values():
        if waiting[node] == 0:
            heapq.heappush(ready, (-node.sequence, queued, node))
            queued += 1
    while ready:
        _, _, node = heapq.heappop(ready)
        arrived = _after_tensor_hooks(node, buffers.pop(node))
        if captures is not None:
            for nr, ct in enumerate(arrived):
                if (node, nr) in captures:
                    captures[node, nr] = ct
        results = ()
        if useful is None or node in useful:
            if accumulate or node.edges:
                results = _apply(node, arrived)
            if not keep_graph:
                node.release()
        for edge, ct in zip(node.edges, results or (None,) * len(node.edges), strict=True):
            if edge is None:
                continue
            target, nr = edge
            if ct is not None:
                _add(buffers, target, nr, fit(ct, target.metas[nr], node))
            waiting[target] -= 1
            if waiting[target] == 0:
                if target not in buffers:
                    buffers[target] = [None] * len(target.metas)
                heapq.heappush(ready, (-target.sequence, queued, target))
                queued += 1


def _add(buffers, node, nr, ct):
    slots = buffers.get(node)
    if slots is None:
        slots = buffers[node] = [None] * len(node.metas)
    slots[nr] = ct if slots[nr] is None else slots[nr] + ct


def _dependencies(roots):
    """How many edges lead to each node that can be reached."""
    count, seen, stack = Counter(), set(), [node for node, _ in roots]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for edge in node.edges:
            if edge is not None:
                count[edge[0]] += 1
                stack.append(edge[0])
    return count


def _leading_to(captures, roots):
    """Nodes from which a captured edge can be reached, the captured nodes themselves not."""
    targets = {node for node, _ in captures}
    leads, state_of = set(), {}
    stack = [(node, False) for node, _ in roots]
    while stack:
        node, leaving = stack.pop()
        if leaving:
            if any(e is not None and (e[0] in targets or e[0] in leads) for e in node.edges):
                leads.add(node)
        elif node not in state_of:
            state_of[node] = True
            stack.append((node, True))
            stack.extend((e[0], False) for e in node.edges if e is not None)
    return leads


def _after_tensor_hooks(node, arrived):
    if node.tensor_hooks:
        for nr, hooks in node.tensor_hooks.items():
            for hook in list(hooks.values()):
                if arrived[nr] is not None:
                    changed = hook(arrived[nr])
                    arrived[nr] = arrived[nr] if changed is None else changed
    if node.retained:
        for nr, ref in node.retained.items():
            t = ref()
            if t is not None and arrived[nr] is not None:
                ct = arrived[nr]
                if t._grad is None:
                    t._grad = ct.clone() if state.enabled else ct.detach().clone()
                else:
                    t._grad = t._grad + ct
    return arrived


def _apply(node, arrived):
    if node.pre_hooks:
        for hook in list(node.pre_hooks.values()):
            changed = hook(tuple(arrived))
            if changed is not None:
                arrived = list(changed) if isinstance(changed, tuple) else [changed]
    if all(ct is None for ct in arrived):
        results = (None,) * len(node.edges)
    else:
        results = node.backward(arrived)
    if node.hooks:
        for hook in list(node.hooks.values()):
            changed = hook(tuple(results), tuple(arrived))
            if changed is not None:
                results = changed if isinstance(changed, (tuple, list)) else (changed,)
    return results
