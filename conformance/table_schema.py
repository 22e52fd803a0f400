"""JSON Schema of every kind of table, made from the structs and the closed lists.

`python -m conformance.table_schema` writes `specs/schema/*.json`, for editors that complete and
check TOML (Taplo, Even Better TOML) and for tools in other languages. Loading checks more.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from conformance.loading import ASSIGNED, installed_root, load_specs
from conformance.promotion import Table
from conformance.specs import OpSpec, Scenario, SharedDivergence, Specs
from conformance.table_checks import BOUND_KEYS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# struct -> field -> list of the vocabulary that its words come from
WORDS = {
    "OpSpec": {
        "points": "points",
        "values": "values",
        "shapes": "shapes",
        "dtypes": "dtypes",
        "result": "results",
        "needs": "capabilities",
    },
    "Call": {
        "points": "points",
        "values": "values",
        "needs": "capabilities",
        "expects": "error_kinds",
        "dtypes": "dtypes",
        "stage": "stages",
    },
    "Refusal": {"points": "points", "dtypes": "dtypes", "expects": "error_kinds"},
    "Divergence": {
        "oracle": "oracles",
        "points": "points",
        "rule": "divergence_rules",
        "stance": "stances",
        "dtypes": "dtypes",
    },
    "SharedDivergence": {
        "oracle": "oracles",
        "points": "points",
        "rule": "divergence_rules",
        "stance": "stances",
        "dtypes": "dtypes",
    },
    "Scenario": {"oracle": "oracles", "needs": "capabilities"},
    "ScenarioDivergence": {"stance": "stances"},
}
WORD = {"type": "string", "minLength": 1}


def schemas(specs: Specs) -> dict[str, dict[str, Any]]:
    """File name -> JSON Schema, one per kind of file in `specs/`."""
    return {
        "ops.json": _tables(OpSpec, specs, "Operations: one table each"),
        "scenarios.json": _tables(Scenario, specs, "Scenarios: one table each"),
        "divergences.json": _shared(specs),
        "promotion.json": _promotion(),
        "vocabulary.json": _of(
            "The closed lists: word and one line of meaning",
            {"type": "object", "additionalProperties": WORD, "propertyNames": WORD},
        ),
        "norms.json": _of(
            "Where the norms stand",
            {
                "type": "object",
                "required": ["url", "version"],
                "additionalProperties": False,
                "properties": {
                    "url": {"type": "string", "pattern": r"^[^{}]*\{\}[^{}]*$"},
                    "version": WORD,
                },
            },
        ),
    }


def written(schema: dict[str, Any]) -> str:
    """The text of a schema file."""
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def write(root: Path | None = None) -> Iterator[Path]:
    """Write every schema below `root`; gives the paths of the files that changed."""
    folder = (root or installed_root()) / "schema"
    folder.mkdir(exist_ok=True)
    for name, schema in schemas(load_specs(root)).items():
        path, text = folder / name, written(schema)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            yield path


def _of(title: str, table: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A file is an object whose values are tables of one kind."""
    return {
        "$schema": DIALECT,
        "title": title,
        "type": "object",
        "additionalProperties": table,
        **more,
    }


def _shared(specs: Specs) -> dict[str, Any]:
    """A file holds [[divergence]] entries and nothing else."""
    definitions = _definitions(SharedDivergence, specs)
    _restrict(definitions["SharedDivergence"]["properties"]["ops"], sorted(specs.ops))
    entries = {"type": "array", "items": {"$ref": "#/$defs/SharedDivergence"}}
    return {
        "$schema": DIALECT,
        "title": "Differences of one cause, in several operations",
        "type": "object",
        "properties": {"divergence": entries},
        "additionalProperties": False,
        "$defs": _tidy(definitions),
    }


def _definitions(struct: type, specs: Specs) -> dict[str, Any]:
    """The struct and what is in it, words restricted to their lists."""
    definitions = msgspec.json.schema(struct)["$defs"]
    for name, fields in WORDS.items():
        for field, list_name in fields.items() if name in definitions else ():
            words = sorted(specs.vocabulary[list_name])
            # a word may be left empty where the default says that there is none
            blank = definitions[name]["properties"][field].get("default") == ""
            _restrict(definitions[name]["properties"][field], [""] * blank + words)
    return definitions


def _tables(struct: type, specs: Specs, title: str) -> dict[str, Any]:
    definitions = _definitions(struct, specs)
    table = definitions[struct.__name__]
    for field in ASSIGNED[struct]:
        del table["properties"][field]
    table["required"] = [f for f in table["required"] if f not in ASSIGNED[struct]]
    if struct is OpSpec:
        bound = table["properties"]["bound"]
        bound["properties"] = {key: _bound(specs) for key in BOUND_KEYS}
        bound["additionalProperties"] = False
    return _of(title, {"$ref": f"#/$defs/{struct.__name__}"}, **{"$defs": _tidy(definitions)})


def _promotion() -> dict[str, Any]:
    """A file is one table; one that extends another may leave out what the other says."""
    definitions = msgspec.json.schema(Table)["$defs"]
    table = definitions.pop("Table")
    complete = {"required": table.pop("required")}
    table["properties"]["extends"] = WORD
    return {
        "$schema": DIALECT,
        **_tidy(table),
        "title": "One library's rules for the dtype of a result",
        "anyOf": [complete, {"required": ["extends"]}],
        "$defs": _tidy(definitions),
    }


def _tidy(node: Any) -> Any:
    """Docstrings without their indentation."""
    if isinstance(node, dict):
        return {
            k: inspect.cleandoc(v) if k == "description" and isinstance(v, str) else _tidy(v)
            for k, v in node.items()
        }
    return [_tidy(item) for item in node] if isinstance(node, list) else node


def _restrict(node: Any, words: list[str]) -> None:
    """Every string in the node becomes one of the words."""
    if isinstance(node, dict):
        if node.get("type") == "string":
            node["enum"] = words
        for value in list(node.values()):
            _restrict(value, words)
    elif isinstance(node, list):
        for value in node:
            _restrict(value, words)


def _bound(specs: Specs) -> dict[str, Any]:
    lengths = "|".join(specs.vocabulary["lengths"])
    kinds = "|".join(w for w in specs.vocabulary["bounds"] if w not in ("exact", "dot"))
    return {
        "type": "string",
        "pattern": rf"^(exact|({kinds})=\d+(\.\d+)?|dot=({lengths}))$",
    }


if __name__ == "__main__":
    for path in write():
        print(path)
