"""Steps from the tables: any operation, with operands that its table allows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from conformance.accuracy.formats import is_complex, is_floating
from conformance.cases.case import Operand
from conformance.cases.generate import DTYPES as ALL
from conformance.cases.generate import OPERANDS, dtype_names, dtypes_of, literal
from conformance.fuzzing.building import Build, name
from conformance.fuzzing.text import words
from conformance.program import Invoke
from conformance.specs import Call, OpSpec

# Positive in, positive out, with positive derivatives: no rounding of these is ever magnified.
SMOOTH = words(
    "add mul exp exp2 expm1 log1p sqrt sigmoid softplus sinh tanh atan hypot square sum mean "
    "cumsum prod matmul mm mv bmm dot outer cat stack logsumexp gather "
    "index_select index clone silu gelu leaky_relu relu pow.Tensor_Scalar"
)
# On small multiples of a half these give results that are exact in every format.
EXACT = words(
    "relu add sub mul div floor_divide remainder fmod bitwise_not bitwise_and bitwise_or "
    "bitwise_xor bitwise_left_shift bitwise_right_shift eq ne lt le gt ge logical_and logical_or "
    "logical_xor logical_not neg abs sign floor ceil trunc round square gather take_along_dim "
    "index_select index masked_select masked_fill masked_fill.Tensor scatter_add scatter "
    "index_add index_put cat stack matmul mm mv bmm dot outer conv2d max_pool2d "
    "sum mean prod cumsum amax amin max.dim min.dim argmax argmin all any maximum "
    "minimum clamp clamp.Tensor where clone"
)

# Those of which the graph of a gradient keeps what anyone would say: their operands.
SECOND = words("add sub mul neg sum dot outer cat stack index_select exp clone")
# Which zero is larger, and in which order the dimensions of a product lie, no norm says.
ORDERED = words(
    "amax amin max.dim min.dim argmax argmin maximum minimum clamp clamp.Tensor max_pool2d"
)
# take_along_dim: without a dimension torch refuses what view(-1) refuses (a finding)
# What torch makes of several operations is a view of one of them; within no_grad that is a view
# that may not be written (a finding).
DIVISIONS = frozenset(("div", "div.Tensor_mode", "floor_divide", "remainder", "fmod"))
PLACES = frozenset(("max.dim", "min.dim", "max_pool2d", "argmax", "argmin"))
SATURATING = frozenset(("tanh", "sigmoid"))
COMPOSITE = frozenset(("linear", "matmul"))
# Sums of products: which zero an imaginary part is depends on the order of the terms.
PRODUCTS = words("matmul mm mv bmm dot outer linear conv2d prod")
LAID_OUT = PRODUCTS | {"take_along_dim"}


def _unsaturated(build: Build, tensor: Any) -> bool:
    """Where 1 minus the result does not cancel."""
    return bool((build.numbers(tensor).astype(np.float64) < 1.2).all())


def _any(build: Build, tensor: Any) -> bool:
    return True


def zeros_alike(build: Build, tensor: Any) -> bool:
    """No negative zero."""
    data = build.numbers(tensor)
    return data.dtype.kind in "biuc" or not bool(((data == 0) & np.signbit(data)).any())


def operation(build: Build) -> bool:
    """One operation of the tables; whether a step was made."""
    return apply(build, build.ops[build.draw.pick(_listed(build))])


_LISTS: dict[tuple[int, bool, bool], list[str]] = {}


def _listed(build: Build) -> list[str]:
    """The operations that the program may have."""
    key = id(build.ops), build.smooth, build.second
    if key not in _LISTS:
        names = SMOOTH if build.smooth else EXACT
        _LISTS[key] = [
            name
            for name, op in build.ops.items()
            if name in names and not (build.second and "vjp" in op.bound and name not in SECOND)
        ]
    return _LISTS[key]


def apply(build: Build, op: OpSpec) -> bool:
    if build.unseen and any("result" in kept and len(kept) > 1 for kept in op.saves.values()):
        return False
    if build.unseen and op.name in PLACES:
        return False  # a place that is written over is outside
    given = _elementwise(build, op) if op.shapes in OPERANDS else _called(build, op)
    build.held.clear()
    if given is None:
        return False
    call = invocation(op, given)

    def fine(result: Any) -> bool:
        """What is recorded may be differentiated: then its numbers must be plain."""
        results = result if isinstance(result, (tuple, list)) else (result,)
        return all(
            not isinstance(r, build.api.Tensor) or build.plain(r) or not r.requires_grad
            for r in results
        )

    guards = () if op.name in COMPOSITE else build.guards()
    return build.invoke("operation", call, guards=guards, check=fine)


def invocation(op: OpSpec, given: dict[str, Any]) -> Invoke:
    """The call by schema: tensors first, by position, everything else by name."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    positional = True
    for argument in op.parsed.arguments:
        if argument.name not in given:
            positional = False
            continue
        tensor = argument.is_tensor or argument.is_tensor_list
        if positional and tensor and not argument.keyword_only:
            args.append(given[argument.name])
        else:
            positional = False
            kwargs[argument.name] = given[argument.name]
    return Invoke(op.name.split(".")[0], tuple(args), kwargs)


def _elementwise(build: Build, op: OpSpec) -> dict[str, Any] | None:
    draw = build.draw
    dtypes = dtypes_of(op)
    count = OPERANDS[op.shapes]
    arguments = op.parsed.tensors[:count]
    given: dict[str, Any] = {}
    fit = zeros_alike if op.name in ORDERED else _unsaturated if op.name in SATURATING else _any
    shape: tuple[int, ...] | None = None
    dtype = ""
    for argument in arguments:
        own = op.fixed.get(argument.name)
        allowed = (own,) if own else (dtype,) if dtype and not (op.mixed and not build.smooth and draw.chance(25)) \
            else dtypes
        if (
            dtype and argument.name in op.scalars and draw.chance(20)
        ):
            given[argument.name] = draw.pick((1, 2, -1, 0.5)) if not build.smooth else 1.5
            if isinstance(given[argument.name], float) and not (
                is_floating(dtype) or is_complex(dtype)
            ):
                given[argument.name] = 2
            continue
        near = shape
        alike = op.name == "clamp.Tensor" and shape is not None  # bounds of other shapes: a finding
        found = build.operand(
            shape if alike else None, allowed, "",
            lambda t, s=near: (s is None or broadcasts(tuple(t.shape), s)) and fit(build, t),
            grad=_grad(op, argument.name),
        )
        tensor = build.value(found)
        if shape is not None and not broadcasts(tuple(tensor.shape), shape):
            found = build.make(draw.pick((shape, shape[-1:], ())), build.dtype_name(tensor), True)
            tensor = build.value(found)
        if dtype and (dtype == "complex64") != (build.dtype_name(tensor) == "complex64") and not own:
            return None  # complex numbers of half precision; gradients that are views of real parts
        given[argument.name] = name(found)
        build.held.append(found)
        if not own and not dtype:
            dtype = build.dtype_name(tensor)
        shape = tuple(tensor.shape) if shape is None else broadcast(shape, tuple(tensor.shape))
    given.update(op.args[0] if build.second else draw.pick(op.args))
    if op.name == "pow.Tensor_Scalar" and "exponent" not in given:
        given["exponent"] = draw.pick((2, 3, 1, 0.5))
    if op.name in ("div", "floor_divide", "remainder", "fmod") and not _divides(build, given):
        return None
    if "shift" in op.name and not _shifts(build, given):
        return None
    return given


def _grad(op: OpSpec, argument: str) -> bool:
    """Whether the argument may require grad: it is differentiable, and not written to."""
    return (op.grad == "auto" or argument in op.grad) and argument not in op.parsed.mutates


def _divides(build: Build, given: dict[str, Any]) -> bool:
    """Divisors are powers of two: quotients, and what they are differentiated to, are exact."""
    divisor = given["other"]
    if isinstance(divisor, (int, float)):
        return divisor != 0
    data = build.numbers(build.value(divisor.id))
    if data.dtype.kind == "b":
        return bool(data.all())
    return bool(np.isin(np.asarray(data, dtype=complex), (1, 2, -1, -2, 0.5, 4)).all())


def _shifts(build: Build, given: dict[str, Any]) -> bool:
    count = given["other"]
    if isinstance(count, (int, float)):
        return count >= 0
    data = build.numbers(build.value(count.id))
    return bool(((data >= 0) & (data < 4)).all()) if data.size else True


def _called(build: Build, op: OpSpec) -> dict[str, Any] | None:
    """One of the table's explicit calls, its tensors taken from those that are live."""
    draw = build.draw
    if not op.calls:
        return None
    call = draw.pick(op.calls)
    if call.points and known(op, "value", "shape", "vjp", "error") & set(call.points):
        return None
    dtypes = [d for d in (call.dtypes or dtypes_of(op)) if d in ALL]
    return given_by(build, op, call, dtypes)


def known(op: OpSpec, *oracles: str) -> frozenset[str]:
    """Points at which torch is known to differ: they are not asked about here."""
    return frozenset(
        point
        for divergence in op.divergence
        if divergence.backend.startswith("torch") and divergence.oracle in oracles
        for point in divergence.points
    )


def given_by(
    build: Build, op: OpSpec, call: Call, dtypes: list[str] | tuple[str, ...]
) -> dict[str, Any] | None:
    """Arguments of an explicit call; None where it is too large for a program."""
    if any(math.prod(s) > 40 for s in _shapes(call)):
        return None
    word = call.values if call.values != "points" else op.values
    fit = zeros_alike if op.name in ORDERED else _any
    laid_out = op.name in LAID_OUT
    if op.name in PRODUCTS | {"cat"} and any(0 in shape for shape in _shapes(call)):
        return None  # strides and offsets of gradients without elements: nobody's promise
    if op.name in PRODUCTS:
        dtypes = [d for d in dtypes if not is_complex(d) and d not in ("float16", "bfloat16")]
    dtype = ""
    given: dict[str, Any] = {}
    for argument in op.parsed.arguments:
        own = op.fixed.get(argument.name)
        if op.name in DIVISIONS and call.expects != "domain":
            word = "positive"  # an error at a time
        if argument.name in call.shapes:
            shapes = call.shapes[argument.name]
            many = argument.is_tensor_list
            found = []
            for shape in shapes if many else (shapes,):
                allowed = (own,) if own else (dtype,) if dtype else dtypes
                found.append(build.operand(shape, allowed, word, lambda t: fit(build, t),
                                           laid_out or argument.name in op.parsed.mutates,
                                           _grad(op, argument.name)))
                build.held.append(found[-1])
                if not own:
                    dtype = build.dtype_name(build.value(found[-1]))
            given[argument.name] = [name(f) for f in found] if many else name(found[0])
        elif argument.name in call.args:
            value = literal(argument, call.args[argument.name])
            given[argument.name] = _placed(build, value)
    return given


def _shapes(call: Call) -> list[tuple[int, ...]]:
    found = []
    for shape in call.shapes.values():
        many = bool(shape) and isinstance(shape[0], (list, tuple))
        found += [tuple(s) for s in shape] if many else [tuple(shape)]
    return found


def _placed(build: Build, value: Any) -> Any:
    """A literal tensor as a nested call."""
    if isinstance(value, list):
        return [_placed(build, v) for v in value]
    if isinstance(value, Operand):
        if value.data.size == 0:
            return Invoke("zeros", (list(value.data.shape),), {"dtype": value.dtype})
        return Invoke("tensor", (value.data.tolist(),), {"dtype": value.dtype})
    return value


def broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return np.broadcast_shapes(a, b)


def broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    for x, y in zip(reversed(a), reversed(b), strict=False):
        if x != y and x != 1 and y != 1:
            return False
    return True


__all__ = ["EXACT", "SMOOTH", "apply", "dtype_names", "given_by", "invocation", "operation"]
