"""In-place writes: what is refused, the write itself, and the new history."""

import warnings

import numpy as np

from reference_impl.bits import store
from reference_impl.errors import (
    GraphFreed,
    InferenceMisuse,
    LeafWrittenInPlace,
    ShapeMismatch,
    ViewOfLeafWritten,
    ViewWriteForbidden,
    shape_text,
)
from reference_impl.forward_ad import has_tangent, level, tangents_of, write_tangent
from reference_impl.geometry import may_self_overlap
from reference_impl.grad_mode import state
from reference_impl.graph import edges_of, keep_tangents, make_node, save_result
from reference_impl.nodes import STAMP, Node, gradient_edge
from reference_impl.overlap import check_apart, check_internal, check_partial
from reference_impl.promotion import check_cast
from reference_impl.tensor import make_tensor


def run_inplace(rule, ins, flat, values, arguments):
    """`name_`: compute out of place, then write over self."""
    from reference_impl import dtypes as dt
    from reference_impl.dispatch import compute
    target = ins[0]
    recording = state.enabled and any(t.requires_grad for t in flat)
    if recording:
        check_history(target)
        edges = edges_of(flat)
    check_writable(rule, target)
    for t in flat[1:]:
        check_apart(target, t) if rule.apart else check_partial(target, t)
    raw, _ = compute(rule, ins, flat, values, arguments)
    check_result_shape(target, getattr(raw, "shape", ()))
    check_cast(dt.BY_NUMPY.get(getattr(raw, "dtype", None), dt.exact), target.dtype)
    moving = level.depth and has_tangent(flat)
    if moving:
        tangent = tangents_of(rule, ins, make_tensor(raw.astype(target.dtype.np), target.dtype),
                              arguments)[0]
    node = None
    if recording and target.dtype.is_differentiable:
        kept = None
        if any("self" in names for names in rule.saves.values()):
            kept = clone_with_history(target)
        node = make_node(rule, ins, edges, arguments, [target], False, kept)
    write(target, raw)
    if node is not None:
        rebase(target, node)
        save_result(node, [target])
    if moving:
        write_tangent(target, tangent)
        if node is not None:
            keep_tangents([target], node)
    return target


def check_writable(rule, target):
    if not rule.apart:
        check_internal(target)
    elif may_self_overlap(target._size, target._stride):
        warnings.warn("Use of index_put_ on expanded tensors is deprecated. Please clone() the "
                      "tensor before performing this operation. This also applies to advanced "
                      "indexing e.g. tensor[indices] = tensor", UserWarning, stacklevel=6)


def clone_with_history(t):
    """A copy of the values that stands at t's place in the graph."""
    from reference_impl.accumulate import dense_copy
    out, edge = dense_copy(t, t), gradient_edge(t)
    if edge is not None:
        out._node, out._nr = edge
    return out


def check_result_shape(target, shape):
    if tuple(shape) != target._size:
        raise ShapeMismatch(f"output with shape {shape_text(target._size)} doesn't match the "
                            f"broadcast shape {shape_text(shape)}")


def check_history(target, use="is being used"):
    """Refuse writes whose gradient could not be told. Call when the write will be recorded."""
    info = target._view
    if info is not None:
        check_view(target)
        if target.requires_grad and info.base.is_leaf:
            raise ViewOfLeafWritten(f"a view of a leaf Variable that requires grad {use} in "
                                    "an in-place operation.")
    if target.requires_grad and target.is_leaf:
        raise LeafWrittenInPlace(f"a leaf Variable that requires grad {use} in an "
                                 "in-place operation.")


ADVICE = {
    "no_grad": "Given that this use case is ambiguous and error-prone, it is "
               "forbidden. You can clarify your code by moving both the view and the inplace either "
               "both inside the no_grad block (if you don't want the inplace to be tracked) or both "
               "outside (if you want the inplace to be tracked).",
    "inference_mode": "Given that this use case is ambiguous and "
                      "error-prone, it is forbidden. You can clarify your code by moving both the "
                      "view and the inplace either both inside the inference_mode block (if you "
                      "don't want the inplace to be tracked) or both outside (if you want the "
                      "inplace to be tracked).",
    "multi_output": "This view is the output of a function that returns multiple views. Such "
                    "functions do not allow the output views to be modified inplace. You should "
                    "replace the inplace operation by an out-of-place one.",
    "custom": "This view was created inside a custom Function (or because an input was returned "
              "as-is) and the autograd logic to handle view+inplace would override the custom "
              "backward associated with the custom Function, leading to incorrect gradients. This "
              "behavior is forbidden. You can fix this by cloning the output of the custom "
              "Function.",
}


def check_view(t, how="is being modified inplace"):
    """Refuse views whose history cannot be rewritten. `how` it comes to be rewritten."""
    made = t._view.made
    if made not in ADVICE:
        return
    if made in ("no_grad", "inference_mode") or t._node is None:
        # a view made by a Function that recorded nothing counts as made in no_grad, too
        mode = "inference" if made == "inference_mode" else "no_grad"
        what = f"A view was created in {mode} mode"
        if t._node is not None:
            what = (f"Output {t._nr} of {STAMP.sub('', t._node.name())} is a view of a view which was "
                    f"created in {mode} mode")
        stop = " in normal mode." if made == "inference_mode" else " with grad mode enabled."
    else:
        what, stop = f"Output {t._nr} of {STAMP.sub('', t._node.name())} is a view", "."
    raise ViewWriteForbidden(f"{what} and {how}{stop} {ADVICE[made]}")


def check_mode(target):
    """Raises InferenceMisuse for a tensor of inference mode outside of it: its writes are not counted."""
    if target._inference and not state.inference:
        raise InferenceMisuse(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a "
            "clone to get a normal tensor before doing inplace update.See "
            "https://github.com/pytorch/rfcs/pull/17 for more details.")


watchers = []        # called with a tensor before it is written


def write(target, array):
    """Store values (cast to the target's dtype) and count the write. Raises InferenceMisuse."""
    check_mode(target)
    for watch in watchers:
        watch(target)
    with np.errstate(all="ignore"):
        store(target, array)
    target._counter.value += 1


def rebase(target, node, nr=0):
    """`target` was written: its history, and that of everything it is a view of, is now `node`."""
    info = target._view
    if info is None:
        move_history(target, node, nr)
        return
    move_history(info.base, CopySlices(info.base, target, node), 0)
    info.version = -1            # the view's own history is derived on demand


def move_history(t, node, nr):
    """Put `t` behind another node. A gradient that it retains is from now on that of the new one."""
    if t._retains and t._node is not None:
        ref = t._node.retained.pop(t._nr)
        node.retained = {**(node.retained or {}), nr: ref}
    t._node, t._nr = node, nr


class CopySlices(Node):
    """The base after a write through one of its views.

    The cotangent of the base goes through `inner` where the view lies, unchanged elsewhere.
    """

    __slots__ = ("base_geometry", "inner", "way")
    builtin = True

    def __init__(self, base, view, inner):
        super().__init__((gradient_edge(base), *inner.edges[1:]), ((base._size, base.dtype),))
        from reference_impl.viewing import way_of
        self.inner = inner
        self.base_geometry, self.way = base._geometry, way_of(view)

    def release(self):
        self.inner = None        # what the write was is itself something kept

    def backward(self, cts):
        from reference_impl.creation import empty_strided
        if cts[0] is None:
            return [None] * len(self.edges)
        if self.inner is None:
            raise GraphFreed("Trying to backward through the graph a second time: what was written "
                             "in place is no longer known. Specify retain_graph=True the first time.")
        base = self.base_geometry
        whole = empty_strided(base.size, base.stride, dtype=cts[0].dtype)
        whole.copy_(cts[0])
        part = self.way.taken(whole)
        got = self.inner.backward([part.clone()])
        first = got[0]
        if first is None:
            part.zero_()
        else:
            part.copy_(first)
        return [whole, *got[1:]]
