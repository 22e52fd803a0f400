"""A program under construction: it runs on the reference while it is made.

So every step is chosen for what is live: shapes fit, dtypes are those of the operation's table,
and values stay small and exact, so that two right libraries give the same bits.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from conformance.accuracy.formats import is_complex, is_floating
from conformance.backends.protocol import UnmappedError
from conformance.cases.layouts import applies, contiguous_strides
from conformance.cases.strategies import Choices
from conformance.fuzzing.running import Runner
from conformance.observation import Raised
from conformance.program import Invoke, Name, Step
from conformance.specs import OpSpec

NAMES = tuple("abcdefgh")  # few names: what is bound again loses its old tensor
SHAPES = (
    (2,), (3,), (2, 3), (2, 2), (3, 2), (), (1,), (1, 3), (2, 1), (4,), (2, 1, 2), (2, 2, 2),
    (1, 1), (0,), (2, 0),
)  # fmt: skip
DTYPES = {
    "float32": 40, "float64": 20, "int64": 8, "int32": 5, "bool": 4, "uint8": 4, "int8": 3,
    "float16": 5, "bfloat16": 5, "complex64": 6,
}  # fmt: skip
LAYOUTS = {
    "contiguous": 10, "transposed": 2, "strided": 2, "offset": 2, "expanded": 1, "reversed_dims": 1,
}  # fmt: skip
# The largest number of halves, as a multiple of 1/2, with which sums and products are computed
# further: products of two such stay exact in every format.
LARGEST = {"float16": 8, "bfloat16": 4, "uint8": 9, "int8": 9}
GUARDS = ((),) * 12 + (("no_grad",), ("no_grad",), ("no_grad", "enable_grad"))


class Build:
    """steps: the program so far. kinds: what each step was, for the account of a run.

    smooth: numbers are positive and functions may round; then nothing is subtracted or compared,
    so that a rounding is never magnified.
    """

    def __init__(
        self, session: Runner, ops: Mapping[str, OpSpec], draw: Choices, smooth: bool = False
    ) -> None:
        self.session, self.ops, self.draw, self.smooth = session, ops, draw, smooth
        # whether memory is written behind the graph's back: then operations are left out whose
        # derivative may be computed from operands or from the result
        self.unseen = draw.chance(30)
        # whether gradients are differentiated again: then operations are left out for which it is
        # not written down what the graph of the gradient keeps
        self.second = draw.chance(50)
        # a rounding of a narrow dtype would be a large error in a wider one
        self.dtypes = {draw.pick(("float32", "float64")): 1} if smooth else DTYPES
        if self.second:  # the zero part of a product of products has either sign
            self.dtypes = {d: w for d, w in self.dtypes.items() if not is_complex(d)}
        self.api = session.verbs.api  # type: ignore[attr-defined]
        self.backend = session.verbs.backend  # type: ignore[attr-defined]
        self.dtype_name = self.backend.dtype_name
        self.steps: list[Step] = []
        self.kinds: Counter[str] = Counter()
        self.raised: list[str] = []
        self.last: Any = None  # result of the last step
        self.held: list[str] = []  # operands of the step in the making: not bound again
        self.after: Callable[[Step, Any, dict[str, object]], None] = lambda *_: None

    # what is live ----------------------------------------------------------------------------

    def value(self, name: str) -> Any:
        return self.session.variables[name]

    def tensors(self, wanted: Callable[[Any], bool] = lambda t: True) -> list[str]:
        """Names of live tensors that fit."""
        kind = self.api.Tensor
        found = []
        for name, value in self.session.variables.items():
            if not isinstance(value, kind):
                continue
            try:
                if canonical(value) and wanted(value):
                    found.append(name)
            except RuntimeError:
                continue  # a view whose base was written in a forbidden way refuses to say
        return found

    def arrays(self) -> list[str]:
        return [n for n, v in self.session.variables.items() if isinstance(v, np.ndarray)]

    def a_tensor(self, wanted: Callable[[Any], bool] = lambda t: True) -> str | None:
        found = self.tensors(wanted)
        return self.draw.pick(found) if found else None

    def numbers(self, tensor: Any) -> np.ndarray:
        with np.errstate(all="ignore"):
            return tensor.detach().numpy(force=True)

    def orphan(self, tensor: Any) -> bool:
        """A view that requires grad as its base does, and has no history to lead there: what a
        graph keeps that leads nowhere is not written down."""
        if tensor._base is None or not tensor.requires_grad:
            return False
        return self.backend._node_name(tensor) is None

    def overlap(self, one: Any, other: Any) -> bool:
        """Whether their storages have a byte in common."""
        low, high = self.backend.extent(one)[:2]
        first, last = self.backend.extent(other)[:2]
        return low < last and first < high

    def items(self, tensor: Any) -> int:
        """How many elements its storage holds."""
        low, high = self.backend.extent(tensor)[:2]
        return (high - low) // self.numbers(tensor).itemsize

    def plain(self, tensor: Any) -> bool:
        """Whether it may be computed with: small multiples of a half (smooth: in (0.2, 20))."""
        data = self.numbers(tensor)
        if not data.size or data.dtype.kind == "b":
            return True
        name = self.dtype_name(tensor)
        if is_complex(name):
            parts = np.concatenate([data.real.reshape(-1), data.imag.reshape(-1)])
            if not parts.all():
                return False  # the sign of a part that is zero depends on vector widths
        else:
            parts = data.reshape(-1)
            if data.dtype.kind not in "iu":
                parts = parts.astype(np.float64)
        if self.smooth and is_floating(name):
            return bool(((parts > 0.2) & (parts < 20)).all())
        most = LARGEST.get(name, 16)
        if parts.dtype.kind in "iu":
            return bool(parts.max() <= most and parts.min() >= -most)
        doubled = parts * 2
        return bool((np.abs(doubled) <= 2 * most).all() and (doubled == np.floor(doubled)).all())

    # making steps ----------------------------------------------------------------------------

    def name(self) -> str:
        """A name for a new result: a free one, or one to bind again."""
        free = [n for n in NAMES if n not in self.session.variables]
        if free and not (len(free) < 5 and self.draw.chance(40)):
            return free[0]
        return self.draw.pick([n for n in NAMES if n not in free and n not in self.held])

    def guards(self) -> tuple[str, ...]:
        return self.draw.pick(GUARDS)

    def invoke(
        self,
        kind: str,
        call: Invoke,
        *,
        binds: bool = True,
        guards: tuple[str, ...] = (),
        check: Callable[[Any], bool] | None = None,
    ) -> bool:
        """Run a call and keep it as a step, unless it is refused by `check`; whether it was kept.

        check: says of a result whether the program may go on with it; then the call must have no
        effect. A tuple or list is unpacked into as many names.
        """
        try:
            with self.session.guarded(guards):
                result = self.session.call(call)
        except UnmappedError:
            self.steps.append(Step(len(self.steps) + 1, (), call, guards))
            raise
        if type(result) is not Raised and check and not check(result):
            return False
        results = result if isinstance(result, (tuple, list)) else (result,)
        if not all(canonical(r) for r in results if isinstance(r, self.api.Tensor)):
            return False
        targets: tuple[str, ...] = ()
        unpacks = False
        if binds:
            if isinstance(result, (tuple, list)) and call.callee not in _TUPLES:
                found: list[str] = []
                if len(result) > 4 or not result:
                    return False
                while len(found) < len(result):
                    name = self.name() if not found else self.draw.pick(NAMES)
                    if name not in found:
                        found.append(name)
                targets, unpacks = tuple(found), True
            else:
                targets = (self.name(),)
        self._keep(kind, Step(len(self.steps) + 1, targets, call, guards, unpacks), result)
        return True

    def _keep(self, kind: str, step: Step, result: Any) -> None:
        bound = {} if type(result) is Raised else self.session.bind(step, result)
        self.steps.append(step)
        self.kinds[kind] += 1
        for guard in step.guards:
            self.kinds[guard] += 1
        if type(result) is Raised:
            self.raised.append(result.kind)
        self.last = result
        self.after(step, result, bound)

    # numbers ---------------------------------------------------------------------------------

    def data(self, shape: Sequence[int], dtype: str, word: str = "") -> Any:
        """Nested lists of numbers that are exact in the dtype."""
        count = math.prod(shape)
        return _nested([self.number(dtype, word) for _ in range(count)], tuple(shape))

    def number(self, dtype: str, word: str = "") -> Any:
        draw = self.draw
        if dtype == "bool":
            return bool(draw.below(2))
        if dtype == "uint8":
            return draw.below(4) + (word == "positive")
        if self.smooth and is_floating(dtype):
            return (draw.below(6) + 2) / 4
        if is_floating(dtype):
            if word == "positive":
                return float(2 ** draw.below(2))
            return (draw.below(9) - 4) / 2 if draw.chance(30) else float(draw.below(7) - 3)
        if is_complex(dtype):
            return complex(draw.pick((1, -1, 2, -2)), draw.pick((1, -1, 2)))
        return draw.below(4) + 1 if word == "positive" else draw.below(7) - 3

    def make(
        self, shape: Sequence[int], dtype: str, grad: bool, word: str = "", laid_out: bool = False
    ) -> str:
        """A new tensor of that shape as a step; its name. laid_out: row-major."""
        shape = tuple(shape)
        grad = grad and (is_floating(dtype) or is_complex(dtype))
        if 0 in shape:
            more = {"requires_grad": True} if grad else {}
            call = Invoke("zeros", (list(shape),), {"dtype": dtype, **more})
        else:
            layout = "contiguous" if laid_out else self.draw.weighted(LAYOUTS)
            data = self.data(shape, dtype, word)
            if not applies(layout, shape) or (1 in shape and layout != "offset"):
                layout = "contiguous"
            if layout == "expanded":
                data = [data[0]] * shape[0]
            more = {"layout": layout} if layout != "contiguous" else {}
            call = Invoke("leaf" if grad else "tensor", (data,), {"dtype": dtype, **more})
        self.invoke("leaf" if grad else "tensor", call)
        return self.steps[-1].targets[0]

    def operand(
        self,
        shape: Sequence[int] | None,
        dtypes: Sequence[str],
        word: str = "",
        fit: Callable[[Any], bool] = lambda t: True,
        laid_out: bool = False,
        grad: bool = True,
    ) -> str:
        """A live tensor one may compute with, or a new one. shape None: any. grad: whether it may
        require grad."""
        wanted = None if shape is None else tuple(shape)

        def fits(tensor: Any) -> bool:
            return (
                (wanted is None or tuple(tensor.shape) == wanted)
                and self.dtype_name(tensor) in dtypes
                and fit(tensor)
                and (not laid_out or tensor.is_contiguous())
                and (grad or not tensor.requires_grad)
                and not self.orphan(tensor)
                and self.plain(tensor)
            )

        special = word not in ("", "points", "ordinary", "small_integers")
        found = [] if special else self.tensors(fits)
        if found and not self.draw.chance(10):
            return self.draw.pick(found)
        weights = {d: w for d, w in self.dtypes.items() if d in dtypes}
        dtype = self.draw.weighted(weights) if weights else dtypes[0]  # of errors: any
        shape = self.draw.pick(SHAPES) if shape is None else shape
        return self.make(shape, dtype, grad and self.draw.chance(60), word, laid_out)


def canonical(tensor: Any) -> bool:
    """Not one of those without elements, or of one element per row, whose strides no norm
    determines."""
    shape = tuple(tensor.shape)
    if 0 in shape or (1 in shape and tensor.is_contiguous()):
        return tuple(tensor.stride()) == contiguous_strides(shape)
    return True


_TUPLES = frozenset({"shape_of"})  # verbs whose result is a tuple that stays one


def name(text: str) -> Name:
    return Name(text)


def _nested(numbers: list[Any], shape: tuple[int, ...]) -> Any:
    if not shape:
        return numbers[0]
    if len(shape) == 1:
        return numbers
    width = len(numbers) // shape[0]
    return [
        _nested(numbers[i * width : (i + 1) * width], shape[1:]) for i in range(shape[0])
    ]
