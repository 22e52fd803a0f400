"""Steps that look at memory in another way, and steps that write into it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from conformance.accuracy.formats import is_complex, is_floating
from conformance.fuzzing.building import LARGEST, Build, name
from conformance.fuzzing.tables import broadcasts, zeros_alike
from conformance.program import Invoke

View = Callable[[Build, Any, tuple[int, ...]], tuple[tuple[Any, ...], dict[str, Any]] | None]


def _dim(build: Build, shape: tuple[int, ...]) -> int:
    dim = build.draw.below(len(shape))
    return dim - len(shape) if build.draw.chance(30) else dim


def _order(build: Build, count: int) -> list[int]:
    left = list(range(count))
    return [left.pop(build.draw.below(len(left))) for _ in range(count)]


def _with_dim(make: Callable[[Build, tuple[int, ...], int], dict[str, Any] | None]) -> View:
    def view(build: Build, tensor: Any, shape: tuple[int, ...]) -> Any:
        if not shape:
            return None
        given = make(build, shape, _dim(build, shape))
        return None if given is None else ((), given)

    return view


def _regroup(build: Build, shape: tuple[int, ...]) -> list[int]:
    count = math.prod(shape)
    choices = [[count], [1, count], [count, 1]]
    if count and count % 2 == 0:
        choices += [[2, count // 2], [count // 2, 2]]
    if not shape or count == 1:
        choices += [[], [1], [1, 1]]
    if count and build.draw.chance(20):
        return [-1]
    return build.draw.pick(choices)


def _view(build: Build, tensor: Any, shape: tuple[int, ...]) -> Any:
    return (), {"size": _regroup(build, shape)}


def _reshape(build: Build, tensor: Any, shape: tuple[int, ...]) -> Any:
    return (), {"shape": _regroup(build, shape)}


def _expand(build: Build, tensor: Any, shape: tuple[int, ...]) -> Any:
    size = [2 if n == 1 and build.draw.chance(60) else n for n in shape]
    return (), {"size": ([2] if build.draw.chance(40) and len(size) < 3 else []) + size}


def _as_strided(build: Build, tensor: Any, shape: tuple[int, ...]) -> Any:
    if 0 in shape:
        return None
    items = build.items(tensor)
    choices = [([1], [1]), ([], [])]
    if items >= 2:
        choices += [([2], [1]), ([2], [0]), ([1, 2], [2, 1])]
    if items >= 4:
        choices += [([2, 2], [1, 2]), ([2, 2], [2, 1]), ([2], [3]), ([3, 2], [1, 1])]
    size, stride = build.draw.pick(choices)
    reach = sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    # relative to the whole storage only where no gradient shows how it got there
    more = {} if tensor.requires_grad or build.draw.chance(50) else {"storage_offset": build.draw.below(items - reach)}
    offset = more.get("storage_offset", tensor.storage_offset())
    return ((), {"size": size, "stride": stride, **more}) if offset + reach < items else None


def _movedim(build: Build, tensor: Any, shape: tuple[int, ...]) -> Any:
    if not shape:
        return None
    return (), {"source": [_dim(build, shape)], "destination": [_dim(build, shape)]}


def _transpose(first: str, second: str) -> View:
    return _with_dim(lambda b, s, d: {first: d, second: _dim(b, s)})


def _select(build: Build, shape: tuple[int, ...], dim: int) -> dict[str, Any] | None:
    size = shape[dim]
    return {"dim": dim, "index": build.draw.below(2 * size) - size} if size else None


def _narrow(build: Build, shape: tuple[int, ...], dim: int) -> dict[str, Any] | None:
    start = build.draw.below(shape[dim] + 1)
    return {"dim": dim, "start": start, "length": build.draw.below(shape[dim] - start + 1)}


def _slicing(build: Build, shape: tuple[int, ...], dim: int) -> dict[str, Any] | None:
    draw = build.draw
    if shape[dim] > 2 and draw.chance(30):
        return {"dim": dim, "start": None, "end": None, "step": 2}
    return {
        "dim": dim,
        "start": draw.pick((None, 0, 1, -1)),
        "end": draw.pick((None, 1, 2, -1, 9)),
        "step": 1,
    }


def _diagonal(build: Build, tensor: Any, shape: tuple[int, ...]) -> Any:
    if len(shape) < 2:
        return None
    one, two = _order(build, len(shape))[:2]
    return (), {"offset": build.draw.below(3) - 1, "dim1": one, "dim2": two}


def _sizes(build: Build, shape: tuple[int, ...], dim: int) -> dict[str, Any] | None:
    first = build.draw.below(shape[dim] + 1)
    return {"split_size": [first, shape[dim] - first], "dim": dim}


def _unfold(build: Build, shape: tuple[int, ...], dim: int) -> dict[str, Any] | None:
    if not shape[dim]:
        return None
    size = 1 + build.draw.below(shape[dim])
    return {"dimension": dim, "size": size, "step": 1 + build.draw.below(2 if shape[dim] > 2 else 1)}


def _unflatten(build: Build, shape: tuple[int, ...], dim: int) -> dict[str, Any] | None:
    size = shape[dim]
    return {"dim": dim, "sizes": build.draw.pick(([1, size], [size, 1], [-1, 1]))} if size else None


def _nothing(build: Build, tensor: Any, shape: tuple[int, ...]) -> Any:
    return (), {}


VIEWS: dict[str, View] = {
    "view": _view,
    "reshape": _reshape,
    "flatten": _nothing,
    "ravel": _nothing,
    "unflatten": _with_dim(_unflatten),
    "t": lambda b, t, s: ((), {}) if len(s) <= 2 else None,
    "transpose": _transpose("dim0", "dim1"),
    "swapaxes": _transpose("axis0", "axis1"),
    "permute": lambda b, t, s: ((), {"dims": _order(b, len(s))}),
    "movedim": _movedim,
    "expand": _expand,
    "squeeze": lambda b, t, s: ((), {"dim": _dim(b, s)} if s and b.draw.chance(50) else {}),
    "unsqueeze": lambda b, t, s: ((), {"dim": b.draw.below(len(s) + 1)}) if len(s) < 3 else None,
    "select": _with_dim(_select),
    "narrow": _with_dim(_narrow),
    "slicing": _with_dim(_slicing),
    "diagonal": _diagonal,
    "split": _with_dim(lambda b, s, d: {"split_size": 1 + b.draw.below(2), "dim": d}),
    "split.sizes": _with_dim(_sizes),
    "chunk": _with_dim(lambda b, s, d: {"chunks": 1 + b.draw.below(3), "dim": d}),
    "unbind": _with_dim(lambda b, s, d: {"dim": d} if s[d] else None),
    "unfold": _with_dim(_unfold),
    "as_strided": _as_strided,
    "contiguous": _nothing,
    "clone": _nothing,
    "detach": _nothing,
}


def view(build: Build) -> bool:
    found = build.a_tensor()
    if found is None:
        return False
    tensor = build.value(found)
    which = build.draw.pick(list(VIEWS))
    made = VIEWS[which](build, tensor, tuple(tensor.shape))
    if made is None:
        return False
    args, kwargs = made
    call = Invoke(which.split(".")[0], (name(found), *args), kwargs)
    kind = which if which in ("detach", "clone") else "view"
    return build.invoke(kind, call, guards=build.guards())


# writes ----------------------------------------------------------------------------------------


def separate(build: Build, target: Any, source: Any) -> bool:
    """Whether they lie in different memory, or are the same elements: what a write that reads
    memory it is writing gives is not specified."""
    if not build.overlap(target, source):
        return True
    return (
        tuple(target.shape) == tuple(source.shape)
        and target.stride() == source.stride()
        and target.storage_offset() == source.storage_offset()
        and target.dtype == source.dtype
    )


def single(tensor: Any) -> bool:
    """Whether no two elements lie in one place (as far as strides tell without searching)."""
    sizes = sorted(
        (s, n) for n, s in zip(tensor.shape, tensor.stride(), strict=True) if n > 1
    )
    reach = 0
    for stride, size in sizes:
        if stride <= reach:
            return False
        reach += stride * (size - 1)
    return True


def _target(build: Build) -> str | None:
    """A tensor to write to: mostly one that takes the write."""
    refused = build.draw.chance(8)
    live = [build.value(n) for n in build.tensors()]

    def takes(tensor: Any) -> bool:
        """Not a view of what nobody holds: whether a gradient is one depends on how it is made."""
        return (
            single(tensor)
            and (refused or not (tensor.requires_grad and tensor.is_leaf))
            and (tensor._base is None or any(tensor._base is t for t in live))
            and build.plain(tensor)
        )

    return build.a_tensor(takes)


def _fits(build: Build, tensor: Any, source: Any) -> bool:
    kinds = (build.dtype_name(tensor), build.dtype_name(source))
    return (
        kinds[0] == kinds[1]
        and broadcasts(tuple(source.shape), tuple(tensor.shape))
        and tuple(np.broadcast_shapes(tuple(source.shape), tuple(tensor.shape)))
        == tuple(tensor.shape)
        and separate(build, tensor, source)
        and build.plain(source)
    )


def write(build: Build) -> bool:
    """An operation of the tables that writes in place."""
    found = _target(build)
    if found is None:
        return False
    draw, tensor = build.draw, build.value(found)
    shape, dtype = tuple(tensor.shape), build.dtype_name(tensor)
    which = draw.pick(
        ("add_", "mul_", "mul_", "sub_", "div_", "copy_", "zero_", "fill_", "clamp_",
         "masked_fill_", "index_put_", "scatter_add_", "index_add_")
    )  # fmt: skip
    if build.smooth and which in ("sub_", "zero_", "masked_fill_", "scatter_add_", "clamp_"):
        return False
    if which in ("add_", "mul_", "sub_", "copy_", "div_"):
        source = build.a_tensor(lambda t: _fits(build, tensor, t))
        if source is None or draw.chance(15):
            if which == "copy_":
                return False
            other: Any = draw.pick((2, 1, 3)) if dtype != "bool" else True
            numbers = np.array(other)
        else:
            other = name(source)
            numbers = build.numbers(build.value(source))
        if not _stays_plain(which, build.numbers(tensor), numbers, dtype, build.smooth):
            return False
        if which == "div_" and not np.isin(numbers.astype(complex), (1, 2, -1, -2)).all():
            return False
        call = Invoke(which, (name(found), other), {})
    elif which == "zero_":
        call = Invoke(which, (name(found),), {})
    elif which == "fill_":
        call = Invoke(which, (name(found), build.number(dtype)), {})
    elif which == "clamp_":
        if is_complex(dtype) or dtype == "bool" or not zeros_alike(build, tensor):
            return False
        call = Invoke(which, (name(found),), draw.pick(({"min": 0}, {"max": 1}, {"min": 1, "max": 2})))
    elif which == "masked_fill_":
        mask = build.a_tensor(
            lambda t: build.dtype_name(t) == "bool" and tuple(t.shape) == shape
            and separate(build, tensor, t)
        )
        if mask is None:
            return False
        call = Invoke(which, (name(found), name(mask), build.number(dtype)), {})
    else:
        made = _indexed(build, which, found, shape, dtype)
        if made is None:
            return False
        call = made
    guards = build.guards()
    return build.invoke("write", call, binds=draw.chance(15), guards=guards)


def _stays_plain(which: str, a: np.ndarray, b: np.ndarray, dtype: str, smooth: bool) -> bool:
    if not a.size or a.dtype.kind == "b":
        return True
    with np.errstate(all="ignore"):
        most = float(np.abs(a.astype(complex)).max())
        other = float(np.abs(b.astype(complex)).max()) if b.size else 0.0
    total = {"mul_": most * other, "copy_": other, "div_": most}.get(which, most + other)
    return total <= (20 if smooth else LARGEST.get(dtype, 16))


def _indexed(
    build: Build, which: str, found: str, shape: tuple[int, ...], dtype: str
) -> Invoke | None:
    """Writes at places that a list of distinct indices names."""
    if not shape or 0 in shape:
        return None
    draw = build.draw
    size = shape[0]
    places = _order(build, size)[: 1 + draw.below(size)]
    where = Invoke("tensor", (places,), {"dtype": "int64"})
    rows = (len(places), *shape[1:])
    if math.prod(rows) > 8:
        return None
    values = Invoke("tensor", (build.data(rows, dtype),), {"dtype": dtype})
    if which == "index_add_":
        return Invoke(which, (name(found),), {"dim": 0, "index": where, "source": values})
    if which == "index_put_":
        return Invoke(which, (name(found),), {"indices": [where], "values": values})
    if len(shape) != 1:
        return None
    return Invoke(which, (name(found),), {"dim": 0, "index": where, "src": values})


# indexing --------------------------------------------------------------------------------------


def index_of(build: Build, shape: tuple[int, ...]) -> tuple[Any, tuple[int, ...]] | None:
    """An index of that shape and the shape of what it names."""
    draw = build.draw
    parts: list[Any] = []
    left: list[int] = []
    if not shape:
        return Invoke("ellipsis", (), {}), ()
    for place, size in enumerate(shape):
        kind = draw.below(6)
        if kind == 0 and size:
            parts.append(draw.below(2 * size) - size)
        elif kind == 1:
            start = draw.below(size + 1)
            stop = start + draw.below(size - start + 1)
            parts.append(Invoke("slice", (start, stop), {}))
            left.append(stop - start)
        elif kind == 2 and size > 2:  # strides of a single element are nobody's promise
            parts.append(Invoke("slice", (None, None, 2), {}))
            left.append((size + 1) // 2)
        elif kind == 3:
            parts.append(None)
            left.append(1)
            parts.append(Invoke("slice", (None,), {}))
            left.append(size)
        elif kind == 4 and place == len(shape) - 1 and size:
            places = _order(build, size)[: 1 + draw.below(size)]
            if any(isinstance(p, int) or p is None for p in parts):
                return None
            parts.append(Invoke("tensor", (places,), {"dtype": "int64"}))
            left.append(len(places))
        else:
            parts.append(Invoke("ellipsis", (), {}))
            left += shape[place:]
            break
    if 0 in left and any(isinstance(p, Invoke) and p.callee == "tensor" for p in parts):
        return None
    return (tuple(parts) if len(parts) > 1 else parts[0]), tuple(left)


def getitem(build: Build) -> bool:
    found = build.a_tensor(lambda t: not build.orphan(t))
    if found is None:
        return False
    made = index_of(build, tuple(build.value(found).shape))
    if made is None:
        return False
    call = Invoke("getitem", (name(found), made[0]), {})
    return build.invoke("getitem", call, guards=build.guards())


def setitem(build: Build) -> bool:
    found = _target(build)
    if found is None:
        return False
    tensor = build.value(found)
    made = index_of(build, tuple(tensor.shape))
    if made is None:
        return False
    index, shape = made
    dtype = build.dtype_name(tensor)
    value: Any = build.number(dtype)
    if build.draw.chance(60):
        source = build.a_tensor(
            lambda t: build.dtype_name(t) == dtype and tuple(t.shape) in (shape, shape[1:])
            and not build.overlap(t, tensor)
            and build.plain(t)
        )
        if source:
            value = name(source)
        elif math.prod(shape) in range(1, 7):
            value = Invoke("tensor", (build.data(shape, dtype),), {"dtype": dtype})
    call = Invoke("setitem", (name(found), index, value), {})
    return build.invoke("setitem", call, binds=False, guards=build.guards())


def data(build: Build) -> bool:
    found = build.a_tensor()
    if not build.unseen:
        return False
    return found is not None and build.invoke("data", Invoke("data", (name(found),), {}))


def write_data(build: Build) -> bool:
    """A write that the graph does not notice."""
    found = build.a_tensor(lambda t: single(t) and build.plain(t))
    if found is None or not build.unseen:
        return False
    dtype = build.dtype_name(build.value(found))
    value = build.number(dtype, "positive")
    which = Invoke("data", (name(found),), {})
    call = Invoke("fill_", (which, value), {})
    return build.invoke("write to .data", call, binds=False)


def to(build: Build) -> bool:
    """A conversion between dtypes that loses nothing."""
    found = build.a_tensor(build.plain)
    if found is None:
        return False
    tensor = build.value(found)
    dtype = build.dtype_name(tensor)
    if build.smooth:
        if dtype not in build.dtypes:
            return False
        wide = list(build.dtypes)
    else:
        wide = ["float64", "float32"] if not is_complex(dtype) else ["complex64"]
    if not build.smooth and not is_floating(dtype) and not is_complex(dtype):
        wide += ["int64", "bool"]
    if is_floating(dtype) and not tensor.requires_grad and not build.smooth:
        wide += ["complex64"]
    call = Invoke("to", (name(found), build.draw.pick(wide)), {})
    return build.invoke("to", call, guards=build.guards())
