"""Forward mode: a tangent travels beside each tensor, through the jvp of every rule."""

from typing import NamedTuple

from reference_impl.errors import DtypeMismatch, GradDtype, NotDifferentiable, ShapeMismatch
from reference_impl.grad_mode import enable_grad, state
from reference_impl.tensor import Tensor


class _Level:
    """Whether a dual level is open. One at a time, as in torch."""

    depth = 0
    tangents = ()


level = _Level()


class dual_level:
    """Context within which tensors can be dual; leaving it drops all tangents made in it."""

    def __enter__(self):
        enter_dual_level()
        return 0

    def __exit__(self, *exc_info):
        exit_dual_level()


def enter_dual_level():
    if level.depth:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    level.depth, level.tangents = 1, []
    return 0


def exit_dual_level(*, level_=None):
    if not level.depth:
        raise RuntimeError("Trying to exit a forward AD level that does not exist")
    for t in level.tangents:
        t._tangent = None
    level.depth, level.tangents = 0, ()


class UnpackedDualTensor(NamedTuple):
    """A primal and its tangent (None when it has none)."""

    primal: Tensor
    tangent: Tensor | None


def make_dual(tensor, tangent, *, level=None):
    """A view of `tensor` with `tangent`. Raises outside of a dual level, or when they differ."""
    _require_level()
    if not tensor.dtype.is_differentiable:
        raise GradDtype("Expected primal to be floating point or complex, but got: "
                        f"{tensor.dtype}")
    if not tangent.dtype.is_differentiable:
        raise GradDtype("Expected tangent to be floating point or complex, but got: "
                        f"{tangent.dtype}")
    if tangent._size != tensor._size:
        raise ShapeMismatch("Trying to set a forward gradient that has a different size than that "
                            f"of the original Tensor, this is not supported. Tensor is of size "
                            f"{list(tensor._size)} while the given forward gradient is of size "
                            f"{list(tangent._size)}.")
    if tangent.dtype is not tensor.dtype:
        raise DtypeMismatch("Trying to set a forward gradient that has a different dtype than "
                            "that of the original Tensor, this is not supported.")
    if tangent._stride != tensor._stride:
        from reference_impl.accumulate import dense_copy
        tangent = dense_copy(tangent, tensor)
    dual = tensor.view_as(tensor)
    set_tangent(dual, tangent)
    return dual


def unpack_dual(tensor, *, level=None):
    """Primal and tangent of a tensor; without an open level the tangent is None."""
    if not globals()["level"].depth or tensor._tangent is None:
        return UnpackedDualTensor(tensor, None)
    with paused():
        primal = tensor.view_as(tensor)
    return UnpackedDualTensor(primal, tensor._tangent)


def _require_level():
    if not level.depth:
        raise RuntimeError("Trying to create a dual Tensor for forward AD but no level exists, "
                           "make sure to enter_dual_level() first.")


def set_tangent(t, tangent):
    t._tangent = tangent
    level.tangents.append(t)


class paused:
    """Within it tangents do not travel: what a jvp computes is a tangent itself."""

    def __enter__(self):
        self._depth, level.depth = level.depth, 0

    def __exit__(self, *exc_info):
        level.depth = self._depth


def has_tangent(flat):
    return any(t._tangent is not None for t in flat)


def tangents_of(rule, ins, y, arguments):
    """Tangents of the results of a rule at `ins` and `y`, a tuple. Raises NotDifferentiable."""
    from reference_impl.creation import zeros_like
    if rule.jvp is None and rule.vjp is None:
        raise NotDifferentiable(f"derivative for aten::{rule.name} is not implemented")

    def tangent(x):
        if x is None:
            return None
        return x._tangent if x._tangent is not None else zeros_like(x.detach())

    with paused():
        t = [[tangent(v) for v in x] if isinstance(x, list) else tangent(x) for x in ins]
        if rule.jvp is None:
            got = transposed(rule, t, ins, y, arguments)
        elif rule.jvp == "linear":
            got = linear(rule, t, arguments)
        else:
            got = rule.jvp(t, ins, y, **arguments)
    return tuple(got) if isinstance(got, (tuple, list)) else (got,)


def linear(rule, t, arguments):
    """The operation itself, applied to the tangents."""
    from reference_impl.dispatch import run
    values = [t[rule.inputs.index(n)] if n in rule.inputs else arguments[n] for n in rule.names]
    base = rule.base or rule
    return run(base, values)


def transposed(rule, t, ins, y, arguments):
    """The tangent without a jvp rule: ct -> vjp(ct) is linear, and its own vjp at t is the jvp."""
    from reference_impl.accumulate import fit
    from reference_impl.autograd import grad
    from reference_impl.creation import zeros_like
    outputs = y if isinstance(y, (tuple, list)) else (y,)
    recording = state.enabled
    with enable_grad():
        cts = [zeros_like(o.detach()).requires_grad_() if o.dtype.is_differentiable else None
               for o in outputs]
        got = rule.vjp(tuple(cts) if outputs is y else cts[0], ins, y, **arguments)
        pairs = [(fit(v, (tangent._size, tangent.dtype), rule), tangent)
                 for v, tangent in zip(_flat(got, ins), _flat(t, ins), strict=True)
                 if v is not None and v.requires_grad and tangent is not None]
    wanted = [ct for ct in cts if ct is not None]
    if not pairs:
        return tuple(None if ct is None else zeros_like(ct.detach()) for ct in cts)
    found = iter(grad([v for v, _ in pairs], wanted, [tangent for _, tangent in pairs],
                      create_graph=recording, allow_unused=True, materialize_grads=True))
    return tuple(None if ct is None else next(found) for ct in cts)


def _flat(values, ins):
    """One entry per tensor of `ins`; None stands for a whole list too."""
    for value, x in zip(values, ins, strict=True):
        if isinstance(x, list):
            yield from (value if value is not None else [None] * len(x))
        else:
            yield value


def attach_tangents(rule, ins, outputs, arguments, many):
    """After a call: give the results their tangents."""
    if not any(o.dtype.is_differentiable for o in outputs):
        return
    y = tuple(outputs) if many else outputs[0]
    found = tangents_of(rule, ins, y, arguments)
    for out, tangent in zip(outputs, found, strict=False):
        if tangent is None or not out.dtype.is_differentiable:
            continue
        if tangent._size != out._size:
            tangent = tangent.expand(out._size)
        if tangent.dtype is not out.dtype:
            tangent = tangent.to(out.dtype)
        set_tangent(out, tangent)


def write_tangent(target, tangent):
    """After an in-place write: the tangent of what was written, through views too."""
    from reference_impl.creation import zeros_like
    from reference_impl.viewing import replayed
    with paused():
        tangent = tangent.expand(target._size).to(target.dtype)
        if target._tangent is not None:
            target._tangent.copy_(tangent)
            return
        info = target._view
        if info is None:
            set_tangent(target, tangent.clone())
            return
        if info.base._tangent is None:
            set_tangent(info.base, zeros_like(info.base.detach()))
        part = replayed(target, info.base._tangent)
        part.copy_(tangent)
        set_tangent(target, part)
