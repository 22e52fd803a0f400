"""Steps that must be refused: at least one recipe per kind of error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.cases.generate import dtypes_of
from conformance.fuzzing import tables
from conformance.fuzzing.building import Build, name
from conformance.program import Invoke

# What of the tables' errors the library is known to treat otherwise: there it is no step.
_ELSEWHERE = frozenset({"take_along_dim", "index_put_", "setitem", "scatter_add_", "index_add_"})


def of_table(build: Build) -> bool:
    """A call that a table says is refused."""
    names = _with_errors(build)
    op = build.ops[build.draw.pick(names)]
    call = build.draw.pick(op.errors)
    if call.stage != "forward" or tables.known(op, "error") & set(call.points):
        return False
    given = tables.given_by(build, op, call, call.dtypes or dtypes_of(op))
    build.held.clear()
    if given is None:
        return False
    return build.invoke("refused operation", tables.invocation(op, given), binds=False)


_NAMES: dict[int, list[str]] = {}


def _with_errors(build: Build) -> list[str]:
    if id(build.ops) not in _NAMES:
        _NAMES[id(build.ops)] = [
            n for n, op in build.ops.items()
            if op.errors and op.torch and n not in _ELSEWHERE
        ]
    return _NAMES[id(build.ops)]


def _call(callee: str, *args: Any, **kwargs: Any) -> Invoke:
    return Invoke(callee, args, kwargs)


def _leaf(build: Build, shape: tuple[int, ...] = (2,)) -> str:
    return build.make(shape, "float32", True)


def _refused(build: Build, call: Invoke) -> bool:
    return build.invoke("refused", call, binds=False)


def graph_freed(build: Build) -> bool:
    x = _leaf(build)
    if not build.invoke("operation", _call("mul", name(x), name(x))):
        return False
    y = build.steps[-1].targets[0]
    ct = _call("ones", [2], dtype="float32")
    build.invoke("backward", _call("backward", name(y), ct), binds=False)
    return _refused(build, _call("backward", name(y), ct))


def saved_tensor_modified(build: Build) -> bool:
    x = _leaf(build)
    build.invoke("operation", _call("clone", name(x)))
    y = build.steps[-1].targets[0]
    build.invoke("operation", _call("mul", name(y), name(y)))
    z = build.steps[-1].targets[0]
    if y == z or build.raised and build.steps[-1].targets == ():
        return False
    build.invoke("write", _call("mul_", name(y), 2), binds=False)
    return _refused(build, _call("backward", name(z), _call("ones", [2], dtype="float32")))


def leaf_written(build: Build) -> bool:
    x = build.a_tensor(lambda t: t.requires_grad and t.is_leaf)
    return x is not None and _refused(build, _call("zero_", name(x)))


def view_written(build: Build) -> bool:
    x = build.a_tensor(lambda t: t.requires_grad and not t.is_leaf and len(t.shape) > 0)
    if x is None or not build.value(x).shape[0]:
        return False
    if build.draw.chance(50):
        inner = _call("select", name(x), dim=0, index=0)
        if not build.invoke("view", inner, guards=("no_grad",)):
            return False
    elif not build.invoke("view", _call("unbind", name(x), dim=0)):
        return False
    return _refused(build, _call("mul_", name(build.steps[-1].targets[0]), 2))


def not_scalar(build: Build) -> bool:
    y = build.a_tensor(lambda t: t.requires_grad and t.numel() > 1)
    return y is not None and _refused(build, _call("backward", name(y)))


def no_grad_required(build: Build) -> bool:
    y = build.a_tensor(lambda t: not t.requires_grad and t.numel() == 1)
    which = "backward" if build.draw.chance(60) else "retain_grad"
    if y is None or build.value(y).dtype in (build.api.bool, build.api.int64):
        return False
    return _refused(build, _call(which, name(y)))


def grad_dtype(build: Build) -> bool:
    x = build.a_tensor(lambda t: build.dtype_name(t) in ("int64", "bool", "int32", "uint8"))
    return x is not None and _refused(build, _call("requires_grad_", name(x)))


def grad_flag(build: Build) -> bool:
    x = build.a_tensor(lambda t: t.requires_grad and not t.is_leaf)
    return x is not None and _refused(build, _call("requires_grad_", name(x), False))


def cotangent_mismatch(build: Build) -> bool:
    y = build.a_tensor(lambda t: t.requires_grad and t.numel() > 1)
    if y is None:
        return False
    return _refused(build, _call("backward", name(y), _call("ones", [7], dtype="float32")))


def assigned_grad(build: Build) -> bool:
    x = build.a_tensor(lambda t: t.requires_grad and t.is_leaf)
    if x is None:
        return False
    return _refused(build, _call("set_grad", name(x), _call("ones", [7], dtype="float32")))


def numpy_of_grad(build: Build) -> bool:
    x = build.a_tensor(lambda t: t.requires_grad)
    return x is not None and _refused(build, _call("numpy", name(x)))


def numpy_of_bfloat16(build: Build) -> bool:
    x = build.a_tensor(lambda t: build.dtype_name(t) == "bfloat16" and not t.requires_grad)
    return x is not None and _refused(build, _call("numpy", name(x)))


def view_impossible(build: Build) -> bool:
    x = build.a_tensor(
        lambda t: t.ndim == 2 and min(t.shape) > 1 and not t.is_contiguous()
    )
    return x is not None and _refused(build, _call("view", name(x), size=[-1]))


def overlapping_write(build: Build) -> bool:
    x = build.a_tensor(
        lambda t: not t.requires_grad
        and any(n > 1 and s == 0 for n, s in zip(t.shape, t.stride(), strict=True))
    )
    if x is None:
        base = build.make((1, 2), "float32", False)
        build.invoke("view", _call("expand", name(base), size=[3, 2]))
        x = build.steps[-1].targets[0]
    return _refused(build, _call("add_", name(x), 1))


def unused_input(build: Build) -> bool:
    y = build.a_tensor(lambda t: t.requires_grad and not t.is_leaf and t.numel() == 1)
    if y is None:
        return False
    x = _leaf(build)
    return x != y and _refused(build, _call("grad", name(y), name(x)))


def item_of_many(build: Build) -> bool:
    x = build.a_tensor(lambda t: t.numel() > 1)
    return x is not None and _refused(build, _call("item", name(x)))


def overflow(build: Build) -> bool:
    x = build.a_tensor(
        lambda t: build.dtype_name(t) in ("uint8", "int8") and t.numel() and not t.requires_grad
        and all(s for n, s in zip(t.shape, t.stride(), strict=True) if n > 1)
    )
    if x is None:
        x = build.make((2,), "uint8", False)
    return _refused(build, _call("fill_", name(x), 300))


def cast_refused(build: Build) -> bool:
    x = build.a_tensor(
        lambda t: build.dtype_name(t) in ("int64", "int32") and t.numel()
        and all(s for n, s in zip(t.shape, t.stride(), strict=True) if n > 1)
    )
    if x is None:
        x = build.make((3,), "int64", False)
    return _refused(build, _call("add_", name(x), 1.5))


def out_of_storage(build: Build) -> bool:
    x = build.a_tensor(lambda t: t.numel() > 0)
    if x is None:
        return False
    return _refused(build, _call("as_strided", name(x), size=[99], stride=[1]))


RECIPES: tuple[Callable[[Build], bool], ...] = (
    of_table, of_table, of_table, of_table, of_table, of_table, of_table, of_table,
    graph_freed, saved_tensor_modified, leaf_written, view_written, not_scalar, no_grad_required,
    grad_dtype, grad_flag, cotangent_mismatch, assigned_grad, numpy_of_grad, numpy_of_bfloat16,
    view_impossible, overlapping_write, unused_input, item_of_many, overflow, cast_refused,
    out_of_storage,
)  # fmt: skip


def refusal(build: Build) -> bool:
    return build.draw.pick(RECIPES)(build)
