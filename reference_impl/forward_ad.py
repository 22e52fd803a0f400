"""Forward mode: a tangent travels beside each tensor, through the jvp of every rule.

A tangent lies in memory as its primal does (same strides and offset, a storage as long), so that a
view of a primal has the same view of the tangent for its own, and writes are seen in both.
"""

import contextlib
import weakref
from typing import NamedTuple

import numpy as np

from reference_impl.errors import Argument, ArgumentValue, NoForwardMode, ShapeMismatch
from reference_impl.geometry import numel
from reference_impl.storage import Storage, VersionCounter
from reference_impl.tensor import Tensor, make_alias

_current_level = -1      # by torch's name: 0 within a dual level, the only one there can be


class _Level:
    """depth: 1 while tangents travel and are seen. duals: weakly, the tensors that have one."""

    depth = 0
    enabled = True
    duals = ()


level = _Level()


def _set_mode(opened, enabled):
    global _current_level
    _current_level, level.enabled = opened, enabled
    level.depth = int(opened == 0 and enabled)


def enter_dual_level():
    """Open the level. Raises RuntimeError within another."""
    if _current_level == 0:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    level.duals = []
    _set_mode(0, level.enabled)
    return 0


def exit_dual_level(*, level=None):
    """Close the level; all tangents are dropped."""
    if level is not None and level != _current_level:
        raise RuntimeError("Trying to exit a forward AD level that was not the last one that was "
                           "created. This is not supported.")
    if _current_level < 0:
        raise RuntimeError("Dual level must be a positive number.")
    _close()


def _close():
    for ref in level.duals:
        t = ref()
        if t is not None:
            t._tangent = None
    level.duals = ()
    _set_mode(-1, level.enabled)


class dual_level(contextlib.ContextDecorator):
    """Context within which tensors can be dual; leaving it drops all tangents made in it."""

    def __enter__(self):
        return enter_dual_level()

    def __exit__(self, *exc_info):
        exit_dual_level()


def is_enabled():
    """Whether tangents travel and are seen, within a level."""
    return level.enabled


def set_enabled(mode):
    _set_mode(_current_level, mode)


class _set_fwd_grad_enabled(contextlib.ContextDecorator):
    """`set_enabled`, at once when called, and back at the end of a block."""

    def __init__(self, mode):
        self._before = level.enabled
        set_enabled(mode)

    def __enter__(self):
        pass

    def __exit__(self, *exc_info):
        _set_mode(_current_level, self._before)


_is_fwd_grad_enabled = is_enabled


class paused:
    """Within it tangents do not travel: what a jvp computes is a tangent itself."""

    def __enter__(self):
        self._before = level.enabled
        _set_mode(_current_level, False)

    def __exit__(self, *exc_info):
        _set_mode(_current_level, self._before)


class UnpackedDualTensor(NamedTuple):
    """A primal and its tangent (None when it has none)."""

    primal: Tensor
    tangent: Tensor | None


def make_dual(tensor, tangent, *, level=None):
    """A view of `tensor` with `tangent`, which is kept as it is where it lies in memory like it.

    Raises outside of a dual level, for tensors that have tangents, and where sizes differ.
    """
    if _current_level < 0:
        raise RuntimeError("Trying to create a dual Tensor for forward AD but no level exists, "
                           "make sure to enter_dual_level() first.")
    for name, t in (("primal", tensor), ("tangent", tangent)):
        if not t.dtype.is_differentiable:
            raise ArgumentValue(f"Expected {name} to be floating point or complex, but got: "
                                f"{t.dtype}")
    if level not in (None, 0):
        raise Argument("Invalid level given to _make_dual")
    if tangent_of(tensor) is not None:
        raise Argument("Making a dual Tensor based on a Tensor that already has a forward gradient "
                       "at the same level 0 is not supported.")
    with paused():
        dual = tensor.view_as(tensor)
    if dual._view is not None:
        dual._view.forward_base = None       # whatever is written to one has no tangent in the other
    set_tangent(dual, tangent)
    return dual


def unpack_dual(tensor, *, level=None):
    """(a view of the primal, the tangent itself); without an open level (`tensor`, None)."""
    if _current_level < 0:
        return UnpackedDualTensor(tensor, None)
    from reference_impl.rule import OPERATIONS
    with paused():
        primal = OPERATIONS["_fw_primal"].function(tensor)
    if primal._view is not None:
        primal._view.forward_base = None
    return UnpackedDualTensor(primal, tangent_of(tensor))


def tangent_of(t):
    """The tangent of `t`, or None. A view of something that got one by a write has a view of that."""
    if not level.depth:
        return None
    if t._tangent is None and t._view is not None:
        base = t._view.forward_base
        if base is not None and base._tangent is not None:
            with paused():
                set_tangent(t, _part(t, base._tangent))
    return t._tangent


def _part(view, whole):
    """Of the tangent of `view`'s base, what belongs to `view`."""
    from reference_impl.viewing import forward_way_of
    return forward_way_of(view).taken(whole)


def set_tangent(t, tangent):
    """Give `t` its tangent. Raises where sizes differ, or where the tangent has one itself."""
    if tangent_of(tangent) is not None:
        raise Argument("Setting a forward grad that itself has a forward gradient at the same level0 "
                       "is not supported.")
    if tangent._size != t._size:
        raise ShapeMismatch("Trying to set a forward gradient that has a different size than that of "
                            "the original Tensor, this is not supported. Tensor is of size "
                            f"{list(t._size)} while the given forward gradient is of size "
                            f"{list(tangent._size)}.")
    if not lies_like(tangent, t):
        tangent = zeros_lying_like(t).copy_(tangent)
    t._tangent = tangent
    level.duals.append(weakref.ref(t))


def lies_like(a, b):
    """Whether equal positions of `a` and `b` are equal places, read alike, of storages as long."""
    if a._bits != b._bits or a._offset != b._offset and numel(a._size):
        return False
    if any(s != w and n > 1 for n, s, w in zip(a._size, a._stride, b._stride, strict=True)):
        return False
    if a._storage_cache is None and b._storage_cache is None:
        return True              # neither has more memory than its elements span
    return storage_length(a) == storage_length(b)


def storage_length(t):
    return t._storage.nbytes() // t.dtype.itemsize


def zeros_lying_like(t):
    """Zeros of the dtype of `t` in a storage of their own, placed there as `t` is in its."""
    length = max(storage_length(t), t._offset + 1 if numel(t._size) else 0)
    return make_alias(Storage(np.zeros(length, t.dtype.np), t._meta), t.dtype, t._size, t._stride,
                      t._offset, VersionCounter(), t._bits)


def has_tangent(flat):
    return any(tangent_of(t) is not None for t in flat)


def tangents_of(rule, ins, y, arguments):
    """Tangents of the results of a rule at `ins` and `y`, a tuple. Raises NoForwardMode.

    None for a result without one: the inputs that have tangents do not count in its derivative.
    """
    from reference_impl.zero_tangent import ZeroTangent, zero_tangent
    if rule.jvp is None:
        raise NoForwardMode(f"Trying to use forward AD with aten::{rule.name} that does not support "
                            "it.")

    def tangent(x):
        if x is None:
            return None
        found = tangent_of(x)
        return zero_tangent(x) if found is None else found

    t = [[tangent(v) for v in x] if isinstance(x, list) else tangent(x) for x in ins]
    with paused():
        got = linear(rule, t, arguments) if rule.jvp == "linear" else (
            rule.jvp(t, ins, y, **arguments))
    return tuple(None if isinstance(g, ZeroTangent) else g
                 for g in (got if isinstance(got, (tuple, list)) else (got,)))


def linear(rule, t, arguments):
    """The operation itself, applied to the tangents."""
    from reference_impl.dispatch import run
    values = [t[rule.inputs.index(n)] if n in rule.inputs else arguments[n] for n in rule.names]
    return run(rule.base or rule, values)


def attach_tangents(rule, ins, outputs, arguments, many):
    """After a call: give the results their tangents."""
    which = rule.differentiable
    if not any(o.dtype.is_differentiable and (which is None or i in which)
               for i, o in enumerate(outputs)):
        return
    y = tuple(outputs) if many else outputs[0]
    found = tangents_of(rule, ins, y, arguments)
    for out, tangent in zip(outputs, found, strict=False):
        if tangent is None or not out.dtype.is_differentiable:
            continue
        with paused():
            tangent = tangent if tangent._size == out._size else tangent.expand(out._size)
        set_tangent(out, tangent)


def write_tangent(target, tangent):
    """After an in-place write: the tangent of what was written, seen through all its views.

    A tensor that had a tangent keeps it, with other values. A view whose base has none gives it
    one, of which the view's is a part.
    """
    own = tangent_of(target)
    if tangent is None and own is None:
        return
    with paused():
        tangent = own * 0 if tangent is None else tangent.expand(target._size)
        if own is not None:
            own.copy_(tangent)
            return
        base = None if target._view is None else target._view.forward_base
        if base is None:
            set_tangent(target, tangent.clone())
            return
        whole = zeros_lying_like(base)
        set_tangent(base, whole)
        set_tangent(target, _part(target, whole).copy_(tangent))
