"""Where in a script the thing of a finding is seen: one expression."""

from __future__ import annotations

import re

from conformance.program import Name, Program, Step
from conformance.render import variable
from conformance.repro_jax import JaxWriter
from conformance.repro_text import ReproError, Writer
from conformance.specs import Specs
from conformance.verdicts import Finding

FIELDS = {
    "dtype": "str({}.dtype).removeprefix('torch.')",
    "shape": "list({}.shape)",
    "strides": "list({}.stride())",
    "offset": "{}.storage_offset()",
    "requires_grad": "{}.requires_grad",
    "is_leaf": "{}.is_leaf",
    "version": "{}._version",
    "grad_fn": "({0}.grad_fn and {0}.grad_fn.name())",
}


def look(finding: Finding, writer: Writer, program: Program, specs: Specs) -> tuple[str, bool]:
    """(expression, whether it is a fact or a whole value rather than one number)."""
    path = path_of(finding)
    if path:
        return _observable(path, writer), True
    base = _base(finding, writer, program, specs)
    if finding.oracle == "dtype":
        return FIELDS["dtype"].format(base), True
    if finding.oracle == "shape":
        field = finding.what.rsplit(".", 1)[-1]
        return FIELDS[field if field in ("strides", "offset") else "shape"].format(base), True
    if finding.oracle == "alias":
        return _owner(base, writer, program), True
    if finding.what.endswith(" after"):
        name = variable(finding.what.removesuffix(" after"))
        step = next(s for s in program.steps if name in s.targets)
        equal = "jnp.array_equal" if isinstance(writer, JaxWriter) else "torch.equal"
        return f"bool({equal}({name}, {writer.call(step.call)}))", True
    index = f"[{', '.join(map(str, finding.where))}]" if finding.where else ""
    return f"{base}{index}.item()", False


def path_of(finding: Finding) -> str:
    """The observable of a traced finding: "x.grad", "y.dtype"; "" for any other finding."""
    if finding.op.startswith("scenario:"):
        return finding.what
    found = re.fullmatch(r"line \d+: (.+)", finding.what)
    return found[1] if found else ""


def _observable(path: str, writer: Writer) -> str:
    name, *parts = path.split(".")
    if not name.isidentifier() or name in ("warnings", "memory", "lines", "harness"):
        raise ReproError(f"no script shows {path!r}")
    jax = isinstance(writer, JaxWriter)
    text = name
    for part in parts:
        if part == "grad":
            text = f"{text}_grad" if jax else f"{text}.grad"
        elif part.isdigit():
            text = f"{text}[{part}]"
        elif part in FIELDS and not (jax and part not in ("dtype", "shape")):
            return FIELDS[part].format(text)
        else:
            raise ReproError(f"no script shows {path!r}")
    return f"{text}.tolist() if hasattr({text}, 'tolist') else {text}"


def _base(finding: Finding, writer: Writer, program: Program, specs: Specs) -> str:
    """The tensor: a result, or the cotangent of an input."""
    kind, _, rest = finding.what.partition(".")
    jax = isinstance(writer, JaxWriter)
    if kind == "y":
        place = rest.split(".")[0] if rest[:1].isdigit() else ""
        targets = {t for step in program.steps for t in step.targets}
        if place and f"y_{place}" in targets:
            return f"y_{place}"
        if "y" not in targets:
            raise ReproError("the program has no result y")
        several = place and len(specs.ops[finding.op].parsed.returns) > 1
        return f"y[{place}]" if several or _is_list(finding, specs) and place else "y"
    if kind == "ct":
        if rest.isdigit():  # of the input with that number, among those with a gradient
            leaves = [t for s in program.steps if s.callee == "leaf" for t in s.targets]
            name = leaves[int(rest)]
        else:
            name = variable(rest)
        if not any(step.callee == "backward" for step in program.steps):
            raise ReproError("the program has no backward")
        grad = f"{name}_grad" if jax else f"{name}.grad"
        complex_ = any(d.startswith("complex") for d in finding.dtypes)
        return f"jnp.conj({grad})" if jax and complex_ else grad
    if kind == "second":
        return _second(rest, program)
    if finding.what.endswith(" after"):
        return ""
    raise ReproError(f"no script shows {finding.what!r}")


def _second(name: str, program: Program) -> str:
    target = f"second_{variable(name)}"
    if not any(target in step.targets for step in program.steps):
        raise ReproError("the program has no second derivative")
    return target


def _is_list(finding: Finding, specs: Specs) -> bool:
    return any(r.type.endswith("]") for r in specs.ops[finding.op].parsed.returns)


def _owner(base: str, writer: Writer, program: Program) -> str:
    """Whose memory it shares: the argument's name, or "own memory"."""
    step = next(s for s in reversed(program.steps) if s.callee != "backward")
    names = _arguments(step)
    pairs = ", ".join(f'"{name}": {name}' for name in names)
    if isinstance(writer, JaxWriter):
        at = "{}.unsafe_buffer_pointer()"
    else:
        at = "{}._storage" if writer.library == "reference_impl" else "{}.untyped_storage().data_ptr()"
    one, other = at.format("v"), at.format(base)
    return f'next((k for k, v in {{{pairs}}}.items() if {one} == {other}), "own memory")'


def _arguments(step: Step) -> list[str]:
    found: list[str] = []
    for value in (*step.call.args, *step.call.kwargs.values()):
        items = value if isinstance(value, (list, tuple)) else [value]
        found += [item.id for item in items if isinstance(item, Name)]
    return found
