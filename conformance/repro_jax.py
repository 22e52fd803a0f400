"""Programs as scripts for jax: the steps become a function, `backward` its vjp.

Forward steps run one by one, vjps jitted: as the checker ran them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from conformance.backends.numbers import to_array
from conformance.program import Invoke, Name, Program, Step
from conformance.repro_text import NUMPY_VERBS, ReproError, Writer
from conformance.specs import OpSpec

MAKERS = frozenset({"leaf", "tensor", "zeros", "ones", "full", "arange", "eye"})


class JaxWriter(Writer):
    library = "jax"
    verbs: ClassVar[Mapping[str, str]] = {
        **NUMPY_VERBS,
        "ones_like": "jnp.ones_like({x})",
        "zeros_like": "jnp.zeros_like({x})",
        "getitem": "{x}[{index}]",
        "setitem": "{x}[{index}] = {value}",
        "at_set": "{x}.at[{index}].set({value})",
        "at_add": "{x}.at[{index}].add({value})",
        "shape_of": "tuple({x}.shape)",
        "dtype_of": "{x}.dtype.name",
        "item": "{x}.item()",
        "numpy": "np.asarray({x})",
        "asarray": "jnp.asarray({a})",
        "array": "jnp.array({a})",
        "type_of": "('Array' if isinstance({x}, jax.Array) else type({x}).__name__)",
        "type_of_shape": "type({x}.shape).__name__",
        "same_object": "({a} is {b})",
    }

    def __init__(self, ops: Mapping[str, OpSpec], device: str, x64: bool) -> None:
        super().__init__(ops)
        self.imports |= {"import jax", "import jax.numpy as jnp"}
        self.setup = []
        if device == "cpu":
            self.setup.append('jax.config.update("jax_platforms", "cpu")')
        if x64:
            self.setup.append('jax.config.update("jax_enable_x64", True)')

    def template(self, op: OpSpec) -> str:
        return op.jax

    def dtype(self, name: str) -> str:
        return f"jnp.{name}"

    def tensor(self, array: np.ndarray, layout: str = "contiguous", grad: bool = False) -> str:
        return f"jnp.array({self.array(array)}, dtype={self.dtype(array.dtype.name)})"

    def verb_leaf(self, data, dtype, layout):
        return self.tensor(to_array(data, dtype))

    def verb_tensor(self, data, dtype, layout, requires_grad):
        return self.tensor(to_array(data, dtype))

    def verb_zeros(self, size, dtype, requires_grad):
        return f"jnp.zeros({size}, dtype={self.dtype(dtype or 'float32')})"

    def verb_ones(self, size, dtype, requires_grad):
        return f"jnp.ones({size}, dtype={self.dtype(dtype or 'float32')})"

    def verb_full(self, size, value, dtype, requires_grad):
        dtype = dtype or to_array(value, None).dtype.name
        return f"jnp.full({size}, {self.value(value)}, dtype={self.dtype(dtype)})"

    def verb_arange(self, start, end, step, dtype, requires_grad):
        numbers = np.arange(*((0, start) if end is None else (start, end)), step)
        return self.tensor(to_array(numbers.tolist(), dtype))

    def verb_eye(self, n, dtype, requires_grad):
        return f"jnp.eye({n}, dtype={self.dtype(dtype or 'float32')})"

    def verb_to(self, x, dtype):
        return f"{self.value(x)}.astype({self.dtype(dtype)})"

    def verb_vjp_of(self, op, args, kwargs):
        names = [Name(f"v{place}") for place in range(len(args))]
        inner = self.call(Invoke(op, tuple(names), kwargs))
        inputs = ", ".join(name.id for name in names)
        return f"jax.vjp(lambda {inputs}: {inner}, {', '.join(map(self.value, args))})[1]"

    def verb_pull(self, pullback, ct):
        return f"{self.value(pullback)}({self.value(ct)})"


def lines(writer: JaxWriter, program: Program, last: int) -> tuple[list[str], list[str]]:
    """(source lines, leaves that have a `NAME_grad` afterwards)."""
    steps = [step for step in program.steps if step.line <= last]
    if any(step.guards for step in steps):
        raise ReproError("jax has no no_grad")
    if any(step.callee == "grad" for step in steps):
        return _second_order(writer, steps), []
    backwards = [step for step in steps if step.callee == "backward"]
    if not backwards:
        return [_line(writer, step) for step in steps], []
    inputs = [step for step in steps if _is_input(step)]
    leaves = [t for step in inputs if _is_leaf(step) for t in step.targets]
    if not leaves:
        raise ReproError("jax has no backward of what does not depend on a leaf")
    body = [step for step in steps if step not in inputs and step not in backwards]
    if any(step.line > backwards[0].line for step in body):
        raise ReproError("steps after a backward have no form in jax")
    if len({_result(step) for step in backwards}) < len(backwards):
        raise ReproError("jax has no gradients that add up over passes")
    results = [_result(step) for step in backwards]
    cts = [_cotangent(writer, step) for step in backwards]
    names, tail = ", ".join(leaves), "," * (len(leaves) == 1)
    single = len(results) == 1
    out = [_line(writer, step) for step in inputs]
    out += [f"def f({names}):", *[f"    {_line(writer, step)}" for step in body]]
    out.append(f"    return {', '.join(results)}")
    grads = ", ".join(f"{leaf}_grad" for leaf in leaves)
    if single and not _given(backwards[0]):  # jax.grad, which wants a scalar
        places = tuple(range(len(leaves)))
        out.append(f"{results[0]} = f({names})")
        return [*out, f"{grads}{tail} = jax.grad(f, argnums={places})({names})"], leaves
    out += ["@jax.jit", f"def vjp(ct, {names}):"]
    out.append(f"    return jax.vjp(f, {names})[1](ct)")
    out.append(f"{', '.join(results)} = f({names})")
    if _is_complex(inputs):  # torch's convention, see conformance.backends.jax_backend
        cts = [f"jnp.conj({ct})" for ct in cts]
    ct = cts[0] if single else f"({', '.join(cts)})"
    out.append(f"{grads}{tail} = vjp({ct}, {names})")
    return out, leaves


def _second_order(writer: JaxWriter, steps: list[Step]) -> list[str]:
    """`grad` of results, then `grad` of those: the vjp of the vjp, as one jitted function."""
    *before, first, last = steps
    lists = all(isinstance(part, list) for step in (first, last) for part in step.call.args)
    if {first.callee, last.callee} != {"grad"} or not lists or len(first.call.args) != 3:
        raise ReproError("grad inside a program is not written as a script for jax")
    results, leaves, cts = ([name.id for name in part] for part in first.call.args)
    given = dict(zip((name.id for name in last.call.args[0]), last.call.args[2], strict=True))
    vectors = [
        writer.value(given[g]) if g in given else f"jnp.zeros_like({x})"
        for g, x in zip(first.targets, leaves, strict=True)
    ]
    inputs = [step for step in before if _is_input(step)]
    body = [step for step in before if step not in inputs]
    names = ", ".join(leaves)
    if _is_complex(inputs):
        raise ReproError("second derivatives of complex inputs are not written as a script")
    ct = cts[0] if len(cts) == 1 else f"({', '.join(cts)})"
    given_cts = ", ".join(cts)
    return [
        *[_line(writer, step) for step in inputs],
        f"def f({names}):",
        *[f"    {_line(writer, step)}" for step in body],
        f"    return {', '.join(results)}",
        f"def first({names}, {given_cts}):",
        f"    return jax.vjp(f, {names})[1]({ct})",
        "@jax.jit",
        f"def second(vectors, {names}, {given_cts}):",
        f"    return jax.vjp(first, {names}, {given_cts})[1](vectors)",
        f"{', '.join(last.targets)} = second(({', '.join(vectors)},), {names}, {given_cts})",
    ]


def _is_complex(inputs: list[Step]) -> bool:
    return any("complex" in str(step.call.kwargs.get("dtype")) for step in inputs)


def _is_input(step: Step) -> bool:
    return step.callee in MAKERS and not _names(step.call)


def _is_leaf(step: Step) -> bool:
    return step.callee == "leaf" or step.call.kwargs.get("requires_grad") is True


def _result(step: Step) -> str:
    target = step.call.args[0]
    if not isinstance(target, Name):
        raise ReproError(f"line {step.line}: backward of an expression")
    return target.id


def _given(step: Step) -> list[Any]:
    """The cotangent of a backward, if it has one."""
    given = [*step.call.args[1:2], *[v for k, v in step.call.kwargs.items() if k == "ct"]]
    return [value for value in given if value is not None]


def _cotangent(writer: JaxWriter, step: Step) -> str:
    given = _given(step)
    return writer.value(given[0]) if given else f"jnp.ones_like({_result(step)})"


def _line(writer: JaxWriter, step: Step) -> str:
    text = writer.call(step.call)
    if not step.targets:
        return text
    # a pullback of one input gives a tuple of one, which the program does not unpack
    alone = step.callee == "pull" and len(step.targets) == 1 and not step.unpacks
    comma = "," if alone or (step.unpacks and len(step.targets) == 1) else ""
    return f"{', '.join(step.targets)}{comma} = {text}"


def _names(value: Any) -> bool:
    if isinstance(value, Name):
        return True
    if isinstance(value, Invoke):
        return any(map(_names, (*value.args, *value.kwargs.values())))
    return isinstance(value, (list, tuple)) and any(map(_names, value))
