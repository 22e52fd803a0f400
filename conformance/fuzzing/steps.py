"""The kinds of steps of a random program, and how often each is tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from conformance.accuracy.formats import is_complex, is_floating
from conformance.fuzzing import tables, views
from conformance.fuzzing.building import SHAPES, Build, name
from conformance.fuzzing.refusals import refusal
from conformance.program import Invoke

Maker = Callable[[Build], bool]


def leaf(build: Build) -> bool:
    draw = build.draw
    build.make(draw.pick(SHAPES), draw.weighted(build.dtypes), draw.chance(75))
    return True


def constant(build: Build) -> bool:
    draw = build.draw
    which = draw.pick(("zeros", "ones", "full", "arange", "eye", "ones_like", "zeros_like"))
    dtype = draw.weighted(build.dtypes)
    grad = {"requires_grad": True} if is_floating(dtype) and draw.chance(50) else {}
    shape = list(draw.pick(SHAPES))
    args: tuple[Any, ...]
    if which.endswith("_like"):
        found = build.a_tensor()
        if found is None:
            return False
        return build.invoke("constant", Invoke(which, (name(found),), {}))
    if which == "full":
        args = (shape, build.number(dtype, "positive"))
    elif which == "arange":
        args = (1, 4) if dtype != "bool" else (0, 2)
    elif which == "eye":
        args = (2,)
    else:
        args = (shape,)
    if build.smooth and which in ("zeros", "eye"):
        return False
    return build.invoke("constant", Invoke(which, args, {"dtype": dtype, **grad}))


def _differentiable(build: Build) -> str | None:
    rare = build.draw.chance(10)
    return build.a_tensor(lambda t: t.requires_grad and t.numel() and (rare or not t.is_leaf))


def _cotangent(build: Build, tensor: Any, graph: bool) -> dict[str, Any]:
    """graph: whether the gradient is recorded. Then the cotangent requires grad: whether a gradient
    that depends on nothing does, is not documented."""
    if graph and tensor.numel():
        data = build.data(tuple(tensor.shape), build.dtype_name(tensor), "positive")
        made = Invoke("leaf", (data,), {"dtype": build.dtype_name(tensor)})
        return {"ct": Invoke("clone", (made,), {})}
    if tensor.numel() == 1 and build.draw.chance(70):
        return {}
    shape = tuple(tensor.shape)
    dtype = build.dtype_name(tensor)
    found = build.a_tensor(
        lambda t: tuple(t.shape) == shape and build.dtype_name(t) == dtype and build.plain(t)
    )
    if found and 0 not in shape and build.draw.chance(30):
        # a copy: whether a gradient is the cotangent's own memory depends on how vjps are computed
        own = Invoke("clone", (Invoke("detach", (name(found),), {}),), {})
        return {"ct": Invoke("contiguous", (own,), {})}
    if 0 in shape or (build.draw.chance(50) and not is_complex(dtype)):
        return {"ct": Invoke("ones", (list(shape),), {"dtype": dtype})}
    return {"ct": Invoke("tensor", (build.data(shape, dtype, "positive"),), {"dtype": dtype})}


def _kept(build: Build, tensor: Any, graph: int) -> dict[str, Any]:
    draw = build.draw
    given: dict[str, Any] = {}
    if draw.chance(40):
        given["retain_graph"] = draw.chance(90)
    if build.second and tensor.numel() and draw.chance(graph):
        given["create_graph"] = True
    return given


def _count(build: Build, given: dict[str, Any]) -> None:
    for word in ("retain_graph", "create_graph"):
        build.kinds[word] += bool(given.get(word))


def backward(build: Build) -> bool:
    found = _differentiable(build)
    if found is None:
        return False
    kept = _kept(build, build.value(found), 20)
    given = {**_cotangent(build, build.value(found), "create_graph" in kept), **kept}
    _count(build, given)
    return build.invoke("backward", Invoke("backward", (name(found),), given), binds=False)


def grad(build: Build) -> bool:
    found = _differentiable(build)
    if found is None:
        return False
    # a gradient of the output itself is the cotangent: whose memory others share or do not
    xs = build.tensors(lambda t: t.requires_grad and t is not build.value(found)) or [found]
    wanted: Any = name(build.draw.pick(xs))
    if build.draw.chance(35):
        leaves = build.tensors(lambda t: t.requires_grad and t.is_leaf) or xs
        names = {build.draw.pick(leaves) for _ in range(2)}
        wanted = [name(x) for x in sorted(names)]
    kept = _kept(build, build.value(found), 60)
    given = {**_cotangent(build, build.value(found), "create_graph" in kept), **kept}
    if build.draw.chance(80):
        given["allow_unused"] = True
    _count(build, given)
    return build.invoke("grad", Invoke("grad", (name(found), wanted), given))


def grad_of(build: Build) -> bool:
    found = build.a_tensor(lambda t: t.is_leaf and t.grad is not None)
    return found is not None and build.invoke("read .grad", Invoke("grad_of", (name(found),), {}))


def zero_grad(build: Build) -> bool:
    found = build.a_tensor(lambda t: t.is_leaf and t.grad is not None)
    if found is None:
        return False
    if build.draw.chance(40):
        inner = Invoke("grad_of", (name(found),), {})
        return build.invoke("reset .grad", Invoke("zero_", (inner,), {}), binds=False)
    return build.invoke("reset .grad", Invoke("zero_grad", (name(found),), {}), binds=False)


def set_grad(build: Build) -> bool:
    found = build.a_tensor(lambda t: t.requires_grad and t.is_leaf)
    if found is None:
        return False
    tensor = build.value(found)
    value = build.a_tensor(
        lambda t: tuple(t.shape) == tuple(tensor.shape) and t.dtype == tensor.dtype
        and not t.requires_grad and not _leads_to(t, tensor)
    )
    if value is None:
        return False
    call = Invoke("set_grad", (name(found), name(value)), {})
    return build.invoke("set .grad", call, binds=False)


def _leads_to(value: Any, tensor: Any) -> bool:
    """Whether a tensor is the value, its gradient, the gradient of that, …"""
    while value is not None and value is not tensor:
        value = value.grad if value.is_leaf else None
    return value is tensor


def retain_grad(build: Build) -> bool:
    found = build.a_tensor(lambda t: t.requires_grad)
    if found is None:
        return False
    return build.invoke("retain_grad", Invoke("retain_grad", (name(found),), {}), binds=False)


def requires_grad_(build: Build) -> bool:
    rare = build.draw.chance(10)
    found = build.a_tensor(
        lambda t: (rare and (t.requires_grad or not is_floating(build.dtype_name(t)))) or (
            t.is_leaf and t._base is None
            and (is_floating(build.dtype_name(t)) or is_complex(build.dtype_name(t)))
        )
    )  # fmt: skip
    if found is None:
        return False
    flag = () if build.draw.chance(70) else (False,)
    tensor = build.value(found)
    if build.tensors(lambda t: t._base is tensor):
        return False  # what becomes of the history of its views is not documented
    if (flag or build.second) and build.tensors(lambda t: t.requires_grad and t is not tensor):
        return False  # a graph may lead to it
    call = Invoke("requires_grad_", (name(found), *flag), {})
    return build.invoke("requires_grad_", call, binds=False)


def look(build: Build) -> bool:
    draw = build.draw
    found = build.a_tensor()
    if found is None:
        return False
    which = draw.pick(
        ("is_leaf", "requires_grad", "has_grad_fn", "version", "is_contiguous", "dtype_of",
         "shape_of", "type_of", "item", "same_object", "shares_memory")
    )  # fmt: skip
    args: tuple[Any, ...] = (name(found),)
    if which in ("same_object", "shares_memory"):
        args += (name(build.a_tensor() or found),)
    if which == "version" or (which == "item" and build.value(found).numel() != 1):
        return False
    if which == "is_leaf" and build.session.verbs.backend._node_name(build.value(found)) is not None:
        return False  # a forbidden view refuses to say, and not with a kind
    return build.invoke("look", Invoke(which, args, {}))


# exchange with NumPy ---------------------------------------------------------------------------


def to_numpy(build: Build) -> bool:
    rare = build.draw.chance(5)
    found = build.a_tensor(
        lambda t: (rare or not t.requires_grad) and build.dtype_name(t) != "bfloat16" and t.numel()
    )
    return found is not None and build.invoke("numpy", Invoke("numpy", (name(found),), {}))


def from_numpy(build: Build) -> bool:
    found = [n for n in build.arrays() if all(s >= 0 for s in build.value(n).strides)]
    which = build.draw.pick(("from_numpy", "asarray", "array"))
    if not found:
        if build.smooth and "float32" not in build.dtypes:
            return False
        data = build.data(build.draw.pick(SHAPES[:-2]), "float32")
        call = Invoke("np_array", (data,), {"dtype": build.draw.pick(("float32", "int64")) if not build.smooth else "float32"})
        return build.invoke("np_array", call)
    return build.invoke("from_numpy", Invoke(which, (name(build.draw.pick(found)),), {}))


def np_write(build: Build) -> bool:
    found = [n for n in build.arrays() if build.value(n).size and build.value(n).flags.writeable]
    if not found or not build.unseen:
        return False
    call = Invoke(
        "np_setitem",
        (name(build.draw.pick(found)), Invoke("ellipsis", (), {}), build.draw.pick((1, 2))),
        {},
    )
    return build.invoke("np_setitem", call, binds=False)


def np_look(build: Build) -> bool:
    found = [n for n in build.arrays() if build.value(n).ndim]
    if not found:
        return False
    one = build.draw.pick(found)
    which = build.draw.pick(("np_ravel", "np_flatten", "np_getitem"))
    args: tuple[Any, ...] = (name(one),)
    if which == "np_getitem":
        args += (Invoke("slice", (None, None, 2), {}),)
    return build.invoke("numpy view", Invoke(which, args, {}))


KINDS: dict[str, tuple[Maker, int]] = {
    "leaf": (leaf, 6),
    "constant": (constant, 2),
    "operation": (tables.operation, 22),
    "view": (views.view, 16),
    "getitem": (views.getitem, 4),
    "to": (views.to, 3),
    "write": (views.write, 12),
    "setitem": (views.setitem, 4),
    "data": (views.data, 1),
    "write_data": (views.write_data, 2),
    "backward": (backward, 8),
    "grad": (grad, 5),
    "grad_of": (grad_of, 2),
    "zero_grad": (zero_grad, 2),
    "set_grad": (set_grad, 1),
    "retain_grad": (retain_grad, 2),
    "requires_grad_": (requires_grad_, 2),
    "look": (look, 3),
    "numpy": (to_numpy, 2),
    "from_numpy": (from_numpy, 2),
    "np_write": (np_write, 2),
    "np_look": (np_look, 1),
    "refusal": (refusal, 7),
}
_WEIGHTS = {kind: weight for kind, (_, weight) in KINDS.items()}


def fill(build: Build, steps: int) -> None:
    """Add steps until there are so many, or nothing more fits."""
    leaf(build)
    tries = 0
    while len(build.steps) < steps and tries < 4 * steps:
        tries += 1
        kind = build.draw.weighted(_WEIGHTS)
        KINDS[kind][0](build)


__all__ = ["KINDS", "fill", "np"]
