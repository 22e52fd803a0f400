"""The typed form of the tables in `specs/`; `conformance.loading` reads and checks them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec

from conformance.schema import Schema


class Divergence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A prediction of what a backend does instead of the norm, at named points only.

    backend: a backend name or a prefix of one up to a colon ("jax" holds for "jax:cpu:x64").
    rule: one word, or several where either behaviour may be seen (a SIMD body and its tail).
    dtypes: dtype names for which it holds; empty means every dtype. versions: PEP 440.
    what: which compared thing ("ct.self"); "" means any of the oracle's.
    """

    backend: str
    oracle: str
    points: tuple[str, ...]
    rule: str | tuple[str, ...]
    stance: str
    why: str
    source: str
    dtypes: tuple[str, ...] = ()
    versions: str = ""
    what: str = ""

    @property
    def rules(self) -> tuple[str, ...]:
        return (self.rule,) if isinstance(self.rule, str) else self.rule


class SharedDivergence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One cause that shows in several operations: a Divergence of each of them.

    ops: the operations, by name. oracle: one oracle, or several. All else as in Divergence.
    """

    ops: tuple[str, ...]
    backend: str
    oracle: str | tuple[str, ...]
    points: tuple[str, ...]
    rule: str | tuple[str, ...]
    stance: str
    why: str
    source: str
    dtypes: tuple[str, ...] = ()
    versions: str = ""
    what: str = ""

    @property
    def oracles(self) -> tuple[str, ...]:
        return (self.oracle,) if isinstance(self.oracle, str) else self.oracle

    def each(self) -> tuple[Divergence, ...]:
        """What is merged into the table of every operation: one Divergence per oracle."""
        facts = {
            name: getattr(self, name)
            for name in self.__struct_fields__
            if name not in ("ops", "oracle")
        }
        return tuple(Divergence(oracle=oracle, **facts) for oracle in self.oracles)


class Call(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One explicit call: shapes of the tensor arguments by name, and the other arguments.

    shapes: name -> shape, or list of shapes for Tensor[]. args: literals; a list given for a
    Tensor argument is a literal tensor (int64, bool or float32 by its elements; int64 when
    empty), and {int32 = …} says its dtype. A Tensor?[] is a list of such literals and ":" (None:
    the whole dimension).
    layouts: tensor name -> word of `layouts`, where it is not contiguous.
    expects: for the `errors` list, the error kind that must be raised. values: how the crossed
    inputs are filled (word of `values`). dtypes: restricts the call to these dtypes.
    points: points that hold for the call as a whole. stage: where the refusal comes, "forward"
    or "vjp".
    """

    shapes: dict[str, Any] = {}
    args: dict[str, Any] = {}
    layouts: dict[str, str] = {}
    expects: str = ""
    values: str = "points"
    dtypes: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    stage: str = "forward"
    needs: tuple[str, ...] = ()
    norm: str = ""


class Refusal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Inputs that make a whole call refused: where any element has one of the points.

    Ordinary cases leave such elements out, and one case has nothing else and must be refused.
    dtypes: word of `dtypes` or names.
    """

    points: tuple[str, ...]
    dtypes: str | tuple[str, ...]
    expects: str


class OpSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """The facts of one operation.

    name: of the table. schema: PyTorch's schema line. shapes: word of `shapes` that makes the
    input shapes ("same", "broadcast", …) or "calls" when only `calls` say them.
    dtypes: word of `dtypes` (a set of dtype names) or a list of names. mixed: whether pairs of
    different dtypes, 0-dim tensors and Python scalars are crossed too (binary ops); "tensors"
    where the schema takes no Python scalar in the place of a tensor.
    scalars: the arguments whose Python number counts in the promotion (alpha of add does not).
    result: word of `results`: how the result dtype follows from the inputs; with a list, one
    word per output. args: literals crossed with `shapes`. saves: differentiable input -> what
    the graph keeps for its cotangent ("self", "other", "result", …); {} = nothing is saved.
    bound: {value=…, vjp=…}: "exact" | "ulp=K" | "dot=N" | "stable=C" | … where N is
    a word saying the inner length ("reduced", "inner", …). complex=… stands for value and vjp
    in complex dtypes, where it is given; it holds of the modulus, not of each part.
    grad: names of differentiable inputs; "auto" = every floating-point crossed tensor input.
    torch, jax: call templates; "" = the library has no such operation (then NOT_APPLICABLE).
    inplace: True for operations with `(a!)` in the schema; base: name of the out-of-place
    operation that says their value. needs: capabilities every case of the op needs.
    fixed: tensor argument -> the dtype it always has (`condition` of where is bool).
    """

    name: str
    schema: str
    shapes: str
    dtypes: str | tuple[str, ...]
    result: str | tuple[str, ...]
    bound: dict[str, str]
    norm: str
    torch: str
    jax: str = ""
    mixed: bool | str = False
    scalars: tuple[str, ...] = ()
    args: tuple[dict[str, Any], ...] = ({},)
    calls: tuple[Call, ...] = ()
    refuses: tuple[Refusal, ...] = ()
    errors: tuple[Call, ...] = ()
    points: tuple[str, ...] = ()
    values: str = "points"
    saves: dict[str, tuple[str, ...]] = {}
    grad: str | tuple[str, ...] = "auto"
    base: str = ""
    needs: tuple[str, ...] = ()
    fixed: dict[str, str] = {}
    notes: str = ""
    chapter: str = ""
    divergence: tuple[Divergence, ...] = ()

    @cached_property
    def parsed(self) -> Schema:
        return Schema.parse(self.schema)

    @cached_property
    def saves_result(self) -> bool:
        """Whether the graph keeps the result for some cotangent."""
        return any("result" in words for words in self.saves.values())


class ScenarioDivergence(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """A prediction of what a backend shows in a scenario instead of the reference.

    claims: observable or line -> claim text that holds on this backend, in place of the
    scenario's own claim there and of what the reference shows there. backend, versions, stance,
    why, source: as in Divergence.
    """

    backend: str
    claims: dict[str, str]
    stance: str
    why: str
    source: str
    versions: str = ""


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A documented behaviour as a program, with what a person concluded from the norm.

    claims: line number (as text) or observable ("x.grad", "y") -> claim text, see
    `conformance.oracles.claims`. oracle: which question it answers. group: its file.
    open: variables that the norm leaves open (a machine's own answer): shown, not compared with
    the reference; claims still hold for them.
    """

    name: str
    group: str
    title: str
    oracle: str
    program: str
    norm: str
    claims: dict[str, str]
    needs: tuple[str, ...] = ()
    divergence: tuple[ScenarioDivergence, ...] = ()
    open: tuple[str, ...] = ()
    why: str = ""


class Specs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in `specs/`, loaded and checked."""

    ops: dict[str, OpSpec]
    scenarios: dict[str, Scenario]
    vocabulary: dict[str, dict[str, str]]
    norms: dict[str, Any]
    promotion: dict[str, Any]
