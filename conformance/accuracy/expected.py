"""Expected results: the reference's own rule, run in wider precision, rounded once by the judge.

A case is *widened*: every crossed input is cast to the dtype in which the library's promotion
rules say the operation computes, then to the wide dtype of that one (float64 for 16- and
32-bit floats, long double for float64). The reference backend then runs it like any other case.
Elementwise results of float64 are held against balls of arbitrary precision, and replaced where
long double is not accurate enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from conformance.accuracy import balls
from conformance.accuracy.formats import (
    dtype_name,
    is_complex,
    is_floating,
    np_dtype,
    wide_dtype,
)
from conformance.cases.case import Case, Operand
from conformance.cases.generate import elementwise, with_operand
from conformance.observation import Evaluation, TensorObs
from conformance.promotion import result_dtype
from conformance.specs import OpSpec

Arrays = tuple[np.ndarray | None, ...]
REFINED = ("float64",)  # where the wide format has few bits to spare
PLACED = ("layout", "length")  # cases that ask where numbers lie, of numbers asked elsewhere


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What the norm says a case gives.

    dtypes: result dtype name per output. common: the dtype in which the operation computes.
    outputs: wide values per output (the dtype itself for integers and bool). grads: wide, per
    differentiable input; seconds: wide, per differentiable input, then per output cotangent.
    raised: error kind when the reference refuses the call. seen: the reference's evaluation.
    """

    common: str
    dtypes: tuple[str, ...]
    outputs: Arrays
    grads: Arrays | None = None
    seconds: Arrays | None = None
    raised: str = ""
    stage: str = ""
    seen: Evaluation | None = None


@dataclass(slots=True, eq=False)
class Draw:
    """Cotangents, and vectors for the second derivative, drawn once the outputs are known.

    make: (outputs) -> (cotangents or None, second or None). cotangents, second: what it gave.
    """

    make: Callable[[tuple[TensorObs, ...]], tuple[Any, Any]]
    cotangents: Any = None
    second: Any = None

    def __call__(self, outputs: tuple[TensorObs, ...]) -> tuple[Any, Any]:
        self.cotangents, self.second = self.make(outputs)
        return _widened(self.cotangents), _widened(self.second)


class Expectation:
    """Computes expected results.

    reference: a backend over `reference_impl`. table: the promotion table of the library
    under test, so that each library is held to its own promotion rules.
    """

    def __init__(self, reference: Any, table: str) -> None:
        self.reference, self.table = reference, table
        self.seconds = 0.0  # spent in the reference
        self.counts: dict[Any, list[int | None]] = {}  # terms of sums, see `numbers.Judge.terms`
        self._asked: Case | None = None  # the case whose facts are remembered
        self._facts: dict[Any, Any] = {}
        self._families: dict[Any, Any] = {}  # what holds for all cases of a family

    def _once(self, case: Case, key: Any, find: Callable[[], Any]) -> Any:
        """What `find` gives for the case at hand, found once: many questions ask it again."""
        if self._asked is not case:
            self._asked, self._facts = case, {}
        found = self._facts.get(key)
        if found is None:
            found = self._facts[key] = find()
        return found

    def _alike(self, case: Case, key: Any, find: Callable[[], Any]) -> Any:
        """The same for what does not depend on the numbers in the operands."""
        if case.family is None:
            return self._once(case, key, find)
        key = (case.family, *key)
        found = self._families.get(key)
        if found is None:
            found = self._families[key] = find()
        return found

    def words(self, case: Case) -> list[str]:
        """Operand words of the crossed tensor and scalar arguments, for the promotion table."""
        if len(case.dtypes) > 1:
            return list(case.dtypes)
        return [o.dtype + ("[]" if o.data.ndim == 0 else "") for _, o in case.operands()]

    def common(self, op: OpSpec, case: Case) -> str:
        """The dtype in which the operation computes, by the library's promotion rules."""
        return self._alike(case, (op.name, "common"), lambda: self._common(op, case))

    def _common(self, op: OpSpec, case: Case) -> str:
        word = op.result if isinstance(op.result, str) else op.result[0]
        words = self._crossed_words(op, case)
        if word in ("promote", "float"):
            return result_dtype(self.table, word, words)
        return result_dtype(self.table, "promote", words) if len(words) > 1 else _bare(words[0])

    def _crossed_words(self, op: OpSpec, case: Case) -> list[str]:
        return self._alike(case, (op.name, "words"), lambda: self._find_words(op, case))

    def _find_words(self, op: OpSpec, case: Case) -> list[str]:
        words = self.words(case)
        if len(case.dtypes) > 1:
            return words
        numbers = [case.args.get(n) for n in op.scalars]
        weak = [
            f"weak:{type(v).__name__}" for v in numbers if isinstance(v, (bool, int, float, complex))
        ]
        literal = {
            name for name, _ in case.operands() if name.split(".")[0] in op.fixed
        }
        kept = [
            w for w, (name, o) in zip(words, case.operands(), strict=True)
            if name not in literal and o.dtype == case.dtypes[0]
        ]  # fmt: skip
        return (kept or words[:1] or [case.dtypes[0]]) + weak

    def dtypes(self, op: OpSpec, case: Case, count: int) -> tuple[str, ...]:
        """The result dtype of each output, by the library's own promotion rules."""
        return self._alike(case, (op.name, count), lambda: self._dtypes(op, case, count))

    def _dtypes(self, op: OpSpec, case: Case, count: int) -> tuple[str, ...]:
        words = [op.result] * count if isinstance(op.result, str) else list(op.result)
        operands = self._crossed_words(op, case)
        asked = case.args.get("dtype")
        if isinstance(asked, str):
            return (asked,) * count
        return tuple(result_dtype(self.table, word, operands) for word in words[:count])

    def widen(self, op: OpSpec, case: Case, common: str) -> Case:
        """The case with every crossed input in the wide dtype of `common`."""
        return self._once(case, (op.name, common), lambda: self._widen(op, case, common))

    def _widen(self, op: OpSpec, case: Case, common: str) -> Case:
        args = case.args
        wide = wide_dtype(common)
        for name, operand in case.operands():
            if name.split(".")[0] in op.fixed or not self._is_crossed(case, operand):
                continue
            data = operand.data
            floats = is_floating(common) or is_complex(common)
            with np.errstate(all="ignore"):  # overflow to infinity; signalling nans
                if operand.dtype != common:
                    data = data.astype(np_dtype(common))
                data = data.astype(wide) if floats else data
            widened = Operand(
                data,
                operand.layout if op.parsed.is_view else "contiguous",
                operand.differentiable and floats,
            )
            args = with_operand(args, name, widened)
        return case.with_args(args)

    @staticmethod
    def _is_crossed(case: Case, operand: Operand) -> bool:
        return operand.dtype in [_bare(w) for w in case.dtypes]

    def expected(
        self,
        op: OpSpec,
        case: Case,
        cotangents: Sequence[np.ndarray | None] | Draw | None = None,
        second: Sequence[np.ndarray | None] | None = None,
    ) -> Expected:
        """Evaluate the case in wide precision."""
        common = self.common(op, case)
        wide = self.widen(op, case, common)
        ev = self.run(op, wide, cotangents, second)
        if ev.raised and ev.stage == "forward":
            return Expected(common, (), (), raised=ev.raised.kind, stage="forward", seen=ev)
        if isinstance(cotangents, Draw):
            cotangents = cotangents.cotangents
        outputs, grads = tuple(o.value for o in ev.outputs), _values(ev.grads)
        if common in REFINED and elementwise(op) and case.kind not in PLACED and not ev.raised:
            outputs, grads = self._refined(op, wide, ev, cotangents)
        return Expected(
            common=common,
            dtypes=self.dtypes(op, case, len(outputs)),
            outputs=outputs,
            grads=grads,
            seconds=_values(ev.seconds),
            raised=ev.raised.kind if ev.raised else "",
            stage=ev.stage if ev.raised else "",
            seen=ev,
        )

    def _refined(
        self, op: OpSpec, wide: Case, ev: Evaluation, cotangents: Any
    ) -> tuple[Arrays, Arrays | None]:
        """Outputs and cotangents as exact as balls make them (see `balls.exact`)."""
        start, before = perf_counter(), self.seconds
        arrays = balls.results_of(wide, ev)
        floats = {n: a for n, a in arrays.items() if a is not None and a.dtype.kind == "f"}
        if floats:
            run = balls.runner(self, op)
            exact = balls.exact(run, op, wide, REFINED[0], _widened(cotangents), floats)
            arrays |= exact.value
        self.seconds = before + perf_counter() - start
        values = tuple(arrays.values())
        count = len(ev.outputs)
        return values[:count], None if ev.grads is None else values[count:]

    @staticmethod
    def nothing(case: Case) -> Expected:
        """For cases that are programs: the traces are compared, no array is expected."""
        return Expected(case.dtypes[0], (), (), seen=Evaluation())

    def refusal(self, op: OpSpec, case: Case) -> Expected:
        """What the reference does with a call that must be refused, in the case's own dtypes."""
        ev = self.reference.evaluate(op, case)
        common = case.dtypes[0]
        if ev.raised is None:
            return Expected(common, (), tuple(o.value for o in ev.outputs), seen=ev)
        return Expected(common, (), (), raised=ev.raised.kind, stage=ev.stage, seen=ev)

    def run(
        self, op: OpSpec, wide: Case, cotangents: Any = None, second: Any = None
    ) -> Evaluation:
        start = perf_counter()
        with np.errstate(all="ignore"):
            if not isinstance(cotangents, Draw):
                cotangents = _widened(cotangents)
            found = self.reference.evaluate(op, wide, cotangents, _widened(second))
        self.seconds += perf_counter() - start
        return found


def _bare(word: str) -> str:
    return word.removesuffix("[]")


def _values(observed: Any) -> Arrays | None:
    if observed is None:
        return None
    return tuple(None if o is None else o.value for o in observed)


def widen_array(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    name = dtype_name(array.dtype)
    return array.astype(wide_dtype(name)) if is_floating(name) or is_complex(name) else array


def _widened(arrays: Any) -> Any:
    return None if arrays is None else [None if a is None else widen_array(a) for a in arrays]
