"""Views: tensors that share memory with another, and how their history follows writes to it.

A differentiable view knows its base (never itself a view). When the memory is written in place
through any alias, the base gets a new history; a view made earlier notices that the version moved
and derives its own history anew from the base's.
"""

from reference_impl.forward_ad import attach_tangents, level
from reference_impl.geometry import Geometry
from reference_impl.grad_mode import state
from reference_impl.graph import Unsaved, edges_of, record
from reference_impl.tensor import make_alias


class ViewInfo:
    """Why a tensor is a view. made: "normal", "no_grad", "multi_output" or "custom"."""

    __slots__ = ("base", "made", "replay", "version")

    def __init__(self, base, replay, version, made):
        self.base, self.replay, self.version, self.made = base, replay, version, made


def run_view(rule, values):
    """Call a view rule on bound values."""
    ins = [values[i] for i in rule.input_positions]
    if isinstance(ins[0], Unsaved):
        return ins[0]._absorb()
    source = ins[0]
    arguments = {n: values[rule.by_name[n]] for n in rule.argument_names}
    edges = edges_of(ins) if state.enabled and source.requires_grad else None
    made = rule.forward(source._geometry, **arguments)
    many = isinstance(made, list)
    dtype = rule.retype(source, **arguments) if rule.retype else source.dtype
    storage, counter, bits = source._storage, source._counter, source._bits ^ rule.flips
    outputs = [make_alias(storage, dtype, tuple(size), tuple(stride), offset, counter, bits)
               for size, stride, offset in (made if many else (made,))]
    if source._inference:
        for out in outputs:
            out._inference = True
    if edges is not None:
        record(rule, ins, edges, arguments, outputs, many)
    for out in outputs if rule.tracked else ():
        attach(out, source, rule, arguments, many)
    if level.depth and source._tangent is not None:
        attach_tangents(rule, ins, outputs, arguments, many)
    return tuple(outputs) if many else outputs[0]


def attach(out, source, rule, arguments, many=False):
    """Make `out` a differentiable view of `source` (or of its base)."""
    made = "normal" if state.enabled else "inference_mode" if state.inference else "no_grad"
    if many and state.enabled:
        made = "multi_output"
    info, replay = source._view, ()
    base = source
    if info is not None:
        base = info.base
        replay = info.replay
        if made == "normal":
            made = info.made
    step = (rule, arguments, (out._size, out._stride, out._offset))
    out._view = ViewInfo(base, replay + (step,), out._counter.value, made)


def refresh(t):
    """Derive the history of a view anew when its memory was written since."""
    info = t._view
    if info.version == t._counter.value:
        return
    if not info.base.requires_grad:
        return
    from reference_impl.inplace import check_view, move_history
    if info.version >= 0:
        check_view(t, "its base or another view of its base has been modified inplace")
    info.version = t._counter.value
    again = replayed(t)
    move_history(t, again._node, again._nr)


def replayed(t, base=None):
    """The view `t` taken of `base` (default: its own base) again, with history.

    Views that change the dtype or a bit are called again. Those that only move elements become an
    as_strided, as in torch: one for all before the first of the others, then one for each.
    """
    from reference_impl.dispatch import run
    info = t._view
    base = info.base if base is None else base
    origin, place, called = info.base._offset, None, False   # where the last step lay, this one lies
    before, state.enabled = state.enabled, True
    try:
        for rule, arguments, lay in info.replay:
            if rule.retype or rule.flips:
                base = run(rule, [_placed(base, place, origin) if n == "self" else arguments[n]
                                  for n in rule.names])
                origin, place, called = lay[2], None, True
            elif called:
                base, origin = _placed(base, lay, origin), lay[2]
            else:
                place = lay
        return _placed(base, place, origin)
    finally:
        state.enabled = before


def _placed(base, place, origin):
    """What of the original began at `origin` and lay at `place`, of `base` instead."""
    if place is None:
        return base
    size, stride, offset = place
    return base.as_strided(size, stride, offset - origin + base._offset)


def geometry_of(t):
    return Geometry(t._size, t._stride, t._offset)


def detached(t, counter=None):
    """Same memory, no history; not a differentiable view. Shares the counter unless given one."""
    out = make_alias(t._storage, t.dtype, t._size, t._stride, t._offset, counter or t._counter,
                     t._bits)
    if t._inference:
        out._inference = True
    return out


