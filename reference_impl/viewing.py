"""Views: tensors that share memory with another, and how their history follows writes to it.

A differentiable view knows its base (never itself a view). When the memory is written in place
through any alias, the base gets a new history; a view made earlier notices that the version moved
and derives its own history anew from the base's.
"""

from reference_impl.forward_ad import attach_tangents, level, tangent_of
from reference_impl.grad_mode import state
from reference_impl.graph import edges_of, record
from reference_impl.tensor import make_alias
from reference_impl.unsaved import Unsaved


class ViewInfo:
    """Why a tensor is a view. made: "normal", "no_grad", "multi_output" or "custom".

    replay: the steps that lead from the base to it. forward_base: the tensor whose tangent this
    one's is a part of, None where they are not shared (make_dual); forward_replay: steps from there.
    """

    __slots__ = ("base", "forward_base", "forward_replay", "made", "replay", "version")

    def __init__(self, base, replay, version, made, forward_base, forward_replay):
        self.base, self.replay, self.version, self.made = base, replay, version, made
        self.forward_base, self.forward_replay = forward_base, forward_replay


def run_view(rule, values):
    """Call a view rule on bound values."""
    ins = [values[i] for i in rule.input_positions]
    if isinstance(ins[0], Unsaved):
        return ins[0]._absorb()
    source = ins[0]
    arguments = {n: values[rule.by_name[n]] for n in rule.argument_names}
    # torch's view kernels leave inference tensors alone ("View of inference tensor" in its source)
    plain = not source._inference
    edges = edges_of(ins) if plain and state.enabled and source.requires_grad else None
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
    for i, out in enumerate(outputs if plain and rule.tracked else ()):
        attach(out, source, rule, arguments, i if many else None)
    if level.depth and tangent_of(source) is not None:
        attach_tangents(rule, ins, outputs, arguments, many)
    return tuple(outputs) if many else outputs[0]


def attach(out, source, rule, arguments, index=None):
    """Make `out` a differentiable view of `source` (or of its base). index: which of several views."""
    made = "normal" if state.enabled else "inference_mode" if state.inference else "no_grad"
    if index is not None and state.enabled:
        made = "multi_output"
    info, base, replay = source._view, source, ()
    ahead, ahead_replay = source, ()
    if info is not None:
        base, replay = info.base, info.replay
        if info.forward_base is not None:
            ahead, ahead_replay = info.forward_base, info.forward_replay
        if made == "normal":
            made = info.made
    step = ((rule, arguments, index, (out._size, out._stride, out._offset)),)
    out._view = ViewInfo(base, replay + step, out._counter.value, made, ahead, ahead_replay + step)


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
    again = way_of(t).taken(info.base)
    move_history(t, again._node, again._nr)


class Way:
    """How a view lies in its base, told without either: what was kept of them would be a cycle.

    origin: the base's offset when the view was taken, in elements. steps: the views that lead there.
    """

    __slots__ = ("origin", "steps")

    def __init__(self, base, steps):
        self.origin, self.steps = base._offset, steps

    def taken(self, base):
        """The view of `base`, or of a tensor that lies in memory as it does, with history.

        Steps that change the dtype or a bit are called again. Those that only move elements become
        an as_strided, as in torch: one for all before the first of the others, then one for each.
        """
        from reference_impl.dispatch import run
        origin, place, called = self.origin, None, False    # where the last step lay, this one lies
        before, state.enabled = state.enabled, True
        try:
            for rule, arguments, index, lies in self.steps:
                if rule.retype or rule.flips or state.view_replay:
                    source = _placed(base, place, origin)
                    base = run(rule, [source if n == "self" else arguments[n] for n in rule.names])
                    base = base if index is None else base[index]
                    origin, place, called = lies[2], None, True
                elif called:
                    base, origin = _placed(base, lies, origin), lies[2]
                else:
                    place = lies
            return _placed(base, place, origin)
        finally:
            state.enabled = before


def _placed(base, place, origin):
    """What of the original began at `origin` and lay at `place`, of `base` instead."""
    if place is None:
        return base
    size, stride, offset = place
    return base.as_strided(size, stride, offset - origin + base._offset)


def way_of(t):
    return Way(t._view.base, t._view.replay)


def forward_way_of(t):
    """From the tensor whose tangent `t`'s is a part of."""
    return Way(t._view.forward_base, t._view.forward_replay)


def detached(t, counter=None):
    """Same memory, no history; not a differentiable view. Shares the counter unless given one."""
    out = make_alias(t._storage, t.dtype, t._size, t._stride, t._offset, counter or t._counter,
                     t._bits)
    if t._inference:
        out._inference = True
    return out


