"""Call templates: a dotted name, and the schema's argument names or literals.

`torch.clamp(self, min=min, max=max)` is what runs and what a reproduction script prints.
An argument is a name of the schema, a literal, a list or tuple of these, or a dotted name
(`jax.lax.max`). The callee may start with an argument's name (`self.view(size)`).
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any


class TemplateError(ValueError):
    """The text is not a call template; says why."""


@dataclass(frozen=True, slots=True)
class Template:
    """text: as in the table. callee: dotted name. arguments: the schema names it uses."""

    text: str
    callee: str
    arguments: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, names: tuple[str, ...]) -> Template:
        """names: the schema's argument names. Raises TemplateError."""
        try:
            node = ast.parse(text, mode="eval").body
        except SyntaxError as error:
            raise TemplateError(f"{text!r}: {error.msg}") from None
        if not isinstance(node, ast.Call):
            raise TemplateError(f"{text!r} is not one call")
        callee = _dotted(node.func)
        if callee is None:
            raise TemplateError(f"{text!r}: the callee is not a dotted name")
        used: list[str] = []
        head = callee.split(".")[0]
        if head in names:
            used.append(head)
        for value in (*node.args, *(k.value for k in node.keywords)):
            _check(value, names, used, text)
        return cls(text, callee, tuple(dict.fromkeys(used)))

    def bind(self, roots: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Any]:
        """A function from arguments by schema name to the call's result.

        roots: modules by the first part of dotted names, e.g. {"torch": torch}.
        Raises TemplateError when the callee does not exist in the library.
        """
        node = ast.parse(self.text, mode="eval").body
        assert isinstance(node, ast.Call)
        head, *rest = self.callee.split(".")
        positional = [_getter(a, roots) for a in node.args]
        keywords = [(k.arg, _getter(k.value, roots)) for k in node.keywords]

        if head in self.arguments:
            method = rest

            def target(arguments: Mapping[str, Any]) -> Any:
                found = arguments[head]
                for name in method:
                    found = getattr(found, name)
                return found
        else:
            fixed = _resolve(self.callee, roots)

            def target(arguments: Mapping[str, Any]) -> Any:
                return fixed

        def call(arguments: Mapping[str, Any]) -> Any:
            return target(arguments)(
                *[get(arguments) for get in positional],
                **{name: get(arguments) for name, get in keywords},
            )

        return call

    def render(self, values: Mapping[str, str]) -> str:
        """The call as source text, with each schema name replaced by `values[name]`."""
        tree = ast.parse(self.text, mode="eval")
        head = self.callee.split(".")[0]

        class Put(ast.NodeTransformer):
            def visit_Name(self, node: ast.Name) -> ast.AST:
                if node.id in values and (node.id != head or head in self.outer.arguments):
                    return ast.parse(values[node.id], mode="eval").body
                return node

        put = Put()
        put.outer = self
        return ast.unparse(put.visit(tree))


@cache
def parse(text: str, names: tuple[str, ...]) -> Template:
    """`Template.parse`, remembered."""
    return Template.parse(text, names)


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else None
    return None


def _check(node: ast.expr, names: tuple[str, ...], used: list[str], text: str) -> None:
    if isinstance(node, ast.Name):
        if node.id not in names:
            raise TemplateError(f"{text!r} names the argument {node.id!r}, not in the schema")
        used.append(node.id)
    elif isinstance(node, (ast.List, ast.Tuple)):
        for item in node.elts:
            _check(item, names, used, text)
    elif _dotted(node) is None:
        try:
            ast.literal_eval(node)
        except ValueError:
            raise TemplateError(
                f"{text!r}: {ast.unparse(node)!r} is not a name or a literal"
            ) from None


def _resolve(dotted: str, roots: Mapping[str, Any]) -> Any:
    head, *rest = dotted.split(".")
    found = roots.get(head)
    if found is None:
        if head != "operator":
            raise TemplateError(f"{dotted!r}: no module {head!r} on this backend")
        found = importlib.import_module(head)
    for name in rest:
        try:
            found = getattr(found, name)
        except AttributeError:
            raise TemplateError(f"{dotted!r}: the library has no {name!r}") from None
    return found


def _getter(node: ast.expr, roots: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Any]:
    if isinstance(node, ast.Name):
        name = node.id
        return lambda arguments: arguments[name]
    if isinstance(node, (ast.List, ast.Tuple)):
        inner = [_getter(item, roots) for item in node.elts]
        make = tuple if isinstance(node, ast.Tuple) else list
        return lambda arguments: make(get(arguments) for get in inner)
    dotted = _dotted(node)
    value = _resolve(dotted, roots) if dotted else ast.literal_eval(node)
    return lambda arguments: value
