"""Forward mode through a custom Function: its jvp, and whether what that returned can be true.

Where forward wrote an input, jvp has to write that input's tangent; where forward returned a view of
an input, jvp has to return a view of its tangent. Otherwise later writes would be seen in one and not
in the other. Norm: `_process_forward_mode_AD` in torch/csrc/autograd/custom_function.cpp.
"""

from reference_impl.errors import Argument, GradMismatch
from reference_impl.forward_ad import paused, set_tangent, tangent_of, write_tangent
from reference_impl.tensor import Tensor


def attach_function_tangents(node, function, args, outputs, is_dirty, is_differentiable):
    """Call jvp and give the outputs their tangents.

    outputs: as the caller gets them. is_dirty(out): an input that forward wrote;
    is_differentiable(out). Raises GradMismatch, Argument.
    """
    inputs = [a for a in args if isinstance(a, Tensor)]
    tangents = [tangent_of(t) for t in inputs]
    versions = [None if t is None else t._counter.value for t in tangents]
    found = _jvp(node, function, args, inputs, tangents)
    if len(found) != len(outputs):
        raise GradMismatch("Function's jvp returned an invalid number of forward gradients (expected "
                           f"{len(outputs)} but got {len(found)})")
    for i, (out, tangent) in enumerate(zip(outputs, found, strict=True)):
        if not isinstance(out, Tensor) or not is_differentiable(out):
            if tangent is not None:
                raise GradMismatch(f"Function's jvp returned a gradient at position {i}, but the "
                                   "corresponding forward output is not a differentiable Tensor. You "
                                   "should return None at that position instead.")
        elif tangent is None:
            continue
        elif is_dirty(out):
            place = next(k for k, t in enumerate(inputs) if t is out)
            if tangents[place] is None:
                write_tangent(out, tangent)
            else:
                _check_written(tangent, tangents[place], versions[place])
        elif not _is_view_of_constant(out, tangent, inputs):
            set_tangent(out, tangent)


def _jvp(node, function, args, inputs, tangents):
    """What jvp returns, a tuple. It gets zeros for tensors without tangent, None for what is none."""
    from reference_impl.creation import zeros_like
    rest = iter(zip(inputs, tangents, strict=True))
    given = []
    for a in args:
        if not isinstance(a, Tensor):
            given.append(None)
            continue
        x, t = next(rest)
        if t is None and node.materialize_grads and x.dtype.is_differentiable:
            t = zeros_like(x.detach())
        given.append(t)
    with paused():
        found = function.jvp(node, *given)
    found = found if isinstance(found, tuple) else (found,)
    for t in found:
        if t is not None and not isinstance(t, Tensor):
            raise Argument(f"expected Variable or None (got {type(t).__name__})")
    return found


def _check_written(tangent, before, version):
    if tangent._counter.value == version:
        raise Argument("An inplace custom Function is not modifying the forward mode gradients inplace. "
                       "If the forward is modifying an input inplace, then the jvp function must modify "
                       "the corresponding gradient inplace.")
    if tangent is not before:
        raise Argument("An inplace custom Function is not returning the forward mode gradients as-is. If "
                       "the forward is modifying an input inplace, then the jvp function must modify the "
                       "gradient inplace and return it as-is.")


def _is_view_of_constant(out, tangent, inputs):
    """Whether `out` is a view of an input without tangent: then that gets one, as by a write.

    Raises Argument for a view of an input with tangent, when `tangent` is no view of that.
    """
    base = _forward_base(out)
    of = next((t for t in inputs if base is not None and (t is base or _forward_base(t) is base)), None)
    if of is None:
        return False
    source = tangent_of(of)
    if source is None:
        write_tangent(out, tangent)
        return True
    found = _forward_base(tangent)
    if found is None:
        raise Argument("A custom Function's forward is returning a view (or an input as-is) but the jvp "
                       "is not returning a view.")
    wanted = _forward_base(source)
    if wanted is None and found is not source:
        raise Argument("A custom Function is returning a view but the jvp is not returning a view of the "
                       "given grad input.")
    if wanted is not None and found is not wanted:
        raise Argument("A custom Function is returning a view but the jvp is not returning a view of the "
                       "same base as the given grad input.")
    return False


def _forward_base(t):
    return None if t._view is None else t._view.forward_base
