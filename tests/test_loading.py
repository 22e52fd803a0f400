"""Tables: what is right loads, what is wrong is named with file, table, field and nearest word."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import jsonschema
import pytest

from conformance.loading import SpecErrors, check_rules, installed_root, load_specs, norm_url
from conformance.table_schema import schemas, write, written

OP = {
    "schema": '"clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor"',
    "shapes": '"same"',
    "dtypes": '"real"',
    "result": '"same"',
    "args": "[{ min = -1.0, max = 1.0 }, { min = 0.5 }]",
    "points": '["at_bound", "nan"]',
    "saves": '{ self = ["self"] }',
    "bound": '{ value = "exact", vjp = "exact" }',
    "torch": '"torch.clamp(self, min=min, max=max)"',
    "jax": '"jax.numpy.clip(self, min, max)"',
    "norm": '"torch:torch.clamp"',
}
SCENARIO = {
    "title": '"The gradient of exp"',
    "oracle": '"accumulation"',
    "norm": '"torch:torch.Tensor.backward"',
    "program": '"""\nx = leaf([1.0, 2.0])\ny = exp(x)\nbackward(y, ones_like(y))\n"""',
    "claims": '{ "x.grad" = "equals exp([1.0, 2.0])" }',
}
EXP = """
[exp]
schema = "exp(Tensor self) -> Tensor"
shapes = "same"
dtypes = "all"
result = "float"
bound  = { value = "ulp=3", vjp = "ulp=4" }
torch  = "torch.exp(self)"
norm   = "torch:torch.exp"
"""
DIVERGENCE = {
    "backend": '"jax"',
    "oracle": '"vjp"',
    "points": '["at_bound"]',
    "rule": '"half"',
    "stance": '"documented"',
    "why": '"a tie is split"',
    "source": '"https://example.org/"',
}


def table(name, fields, /, **changes):
    """The TOML text of one table; a change to None leaves the field out."""
    merged = {**fields, **changes}
    return f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in merged.items() if v is not None)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "specs"
    (root / "ops").mkdir(parents=True)
    (root / "scenarios").mkdir()
    for name in ("norms.toml", "vocabulary.toml"):
        shutil.copy(installed_root() / name, root / name)
    vocabulary = root / "vocabulary.toml"
    text = vocabulary.read_text()
    if "[divergence_rules]" in text:
        text = text.replace("[divergence_rules]", '[divergence_rules]\nhalf = "half to each"')
    else:
        text += '[divergence_rules]\nhalf = "half to each"\n'
    vocabulary.write_text(text)
    return root


def lines(root: Path) -> tuple[str, ...]:
    with pytest.raises(SpecErrors) as raised:
        load_specs(root)
    assert str(raised.value) == "\n".join(raised.value.errors)
    return raised.value.errors


def op_errors(root, text):
    (root / "ops" / "elementwise.toml").write_text(text)
    return lines(root)


def scenario_errors(root, text):
    (root / "ops" / "elementwise.toml").write_text(EXP)
    (root / "scenarios" / "mine.toml").write_text(text)
    return lines(root)


def test_the_installed_tables_load_and_are_remembered():
    specs = load_specs()
    assert specs is load_specs()
    assert specs.ops["exp"].chapter == "transcendental"
    assert specs.ops["exp"].parsed.tensors[0].name == "self"
    assert norm_url(specs, "torch:torch.clamp").endswith("/generated/torch.clamp.html")


def test_a_right_table_loads(root):
    text = table("clamp", OP) + table("[clamp.divergence]", DIVERGENCE)
    (root / "ops" / "elementwise.toml").write_text(EXP + text)
    (root / "scenarios" / "mine.toml").write_text(table("exp_gradient", SCENARIO))
    specs = load_specs(root)
    assert specs.ops["clamp"].divergence[0].rules == ("half",)
    assert specs.scenarios["exp_gradient"].group == "mine"


def test_the_message_of_the_nearest_word_is_exact(root):
    errors = op_errors(root, table("clamp", OP, points='["at_bounds"]'))
    assert errors == (
        (
            "specs/ops/elementwise.toml: clamp.points: unknown point 'at_bounds' "
            "(did you mean 'at_bound'?)"
        ),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shapes": '"sane"'}, "clamp.shapes: unknown shape word 'sane' (did you mean 'same'?)"),
        ({"dtypes": '"reel"'}, "clamp.dtypes: unknown dtype 'reel' (did you mean 'real'?)"),
        ({"dtypes": '["float23"]'}, "unknown dtype 'float23' (did you mean 'float32'?)"),
        ({"dtypes": '["real"]'}, "clamp.dtypes: unknown dtype 'real'"),
        ({"result": '"promoted"'}, "unknown result word 'promoted' (did you mean 'promote'?)"),
        ({"values": '"positiv"'}, "unknown value word 'positiv' (did you mean 'positive'?)"),
        ({"needs": '["autograde"]'}, "unknown capability 'autograde'"),
        ({"norm": '"torhc:x"'}, "unknown norm prefix 'torhc' (did you mean 'torch'?)"),
        ({"norm": '"torch.clamp"'}, "'torch.clamp' is not `prefix:page`"),
        ({"norm": None}, "clamp.norm: missing field"),
        ({"torch": None}, "clamp.torch: missing field"),
        ({"torch": '""'}, "clamp.torch: empty"),
        ({"norms": '"x"'}, "clamp.norms: unknown field (did you mean 'norm'?)"),
        ({"name": '"x"'}, "clamp.name: is given by the table's name"),
        ({"points": '"nan"'}, "clamp.points: expected `array`, got `str`"),
        ({"notes": "3"}, "clamp.notes: expected `str`, got `int`"),
        ({"schema": '"clamp Tensor"'}, "clamp.schema: not `name.overload(arguments)"),
        ({"schema": '"clamp(Tensor) -> Tensor"'}, "clamp.schema: not an argument of the form"),
        ({"torch": '"torch.clamp(self, mni)"'}, "names the argument 'mni', not in the schema"),
        ({"jax": '"1 + 1"'}, "clamp.jax: '1 + 1' is not one call"),
        ({"args": "[{ mni = 1 }]"}, "clamp.args[0]: 'mni' is no argument of the schema"),
        ({"grad": '["other"]'}, "clamp.grad: 'other' is no argument of the schema"),
        ({"saves": '{ other = ["self"] }'}, "clamp.saves: 'other' is no argument"),
        ({"saves": '{ self = ["resutl"] }'}, "clamp.saves.self: 'resutl' is no argument"),
        ({"calls": "[{ shapes = { min = [2] } }]"}, "clamp.calls[0].shapes: 'min' is no argument"),
        ({"calls": '[{ shape = { self = [2] } }]'}, "clamp.calls[0].shape: unknown field"),
        ({"calls": '[{ needs = ["x64"] }]'}, "clamp.calls[0].needs: unknown capability 'x64'"),
        ({"errors": "[{ args = { min = 1 } }]"}, "clamp.errors[0].expects: missing"),
        ({"errors": '[{ expects = "domian" }]'}, "unknown error kind 'domian'"),
        ({"errors": '[{ expects = "domain", stage = "back" }]'}, "unknown stage 'back'"),
        ({"shapes": '"calls"'}, "clamp.calls: missing"),
        ({"mixed": '"tensor"'}, "clamp.mixed: 'tensor' is not true, false or 'tensors'"),
        ({"scalars": '["mni"]'}, "clamp.scalars: 'mni' is no argument of the schema"),
        ({"fixed": '{ min = "bool" }'}, "clamp.fixed: 'min' is no argument"),
        ({"fixed": '{ self = "boole" }'}, "clamp.fixed: unknown dtype 'boole'"),
        (
            {"refuses": '[{ points = ["nann"], dtypes = "all", expects = "domain" }]'},
            "clamp.refuses[0].points: unknown point 'nann'",
        ),
        (
            {"refuses": '[{ points = ["nan"], dtypes = "all", expects = "domian" }]'},
            "clamp.refuses[0].expects: unknown error kind 'domian'",
        ),
        ({"bound": '{ vjp = "exact" }'}, "clamp.bound.value: missing field"),
        ({"bound": '{ value = "upl=2" }'}, "unknown bound 'upl' (did you mean 'ulp'?)"),
        ({"bound": '{ value = "ulp" }'}, "clamp.bound.value: 'ulp' takes a parameter"),
        ({"bound": '{ value = "ulp=few" }'}, "clamp.bound.value: 'few' is not a number"),
        ({"bound": '{ value = "exact=1" }'}, "clamp.bound.value: `exact` takes no parameter"),
        ({"bound": '{ value = "dot=iner" }'}, "unknown length 'iner' (did you mean 'inner'?)"),
        ({"bound": '{ value = "exact", jvp = "exact" }'}, "clamp.bound: unknown key 'jvp'"),
    ],
)
def test_a_wrong_operation_is_named(root, change, message):
    errors = op_errors(root, table("clamp", OP, **change))
    assert len(errors) == 1, errors
    assert errors[0].startswith("specs/ops/elementwise.toml: clamp.")
    assert message in errors[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": "[]"}, "divergence[0].points: is empty"),
        ({"points": None}, "divergence[0].points: missing field"),
        ({"rule": '"hlaf"'}, "unknown divergence rule 'hlaf' (did you mean 'half'?)"),
        ({"rule": "[]"}, "divergence[0].rule: is empty"),
        ({"versions": '"2.9 or later"'}, "'2.9 or later' is not a PEP 440 specifier"),
        ({"backend": '"jaxx"'}, "unknown library 'jaxx' (did you mean 'jax'?)"),
        ({"backend": '"jax:gpv"'}, "unknown device 'gpv' (did you mean 'gpu'?)"),
        ({"stance": '"fine"'}, "unknown stance 'fine'"),
        ({"oracle": '"vpj"'}, "unknown oracle 'vpj'"),
        ({"why": '""'}, "divergence[0].why: is empty"),
        ({"dtypes": '["real"]'}, "divergence[0].dtypes: unknown dtype 'real'"),
    ],
)
def test_a_wrong_divergence_is_named(root, change, message):
    text = table("clamp", OP) + table("[clamp.divergence]", DIVERGENCE, **change)
    errors = op_errors(root, text)
    assert len(errors) == 1, errors
    assert message in errors[0]


def shared(root: Path, **change: str | None) -> None:
    """Writes one [[divergence]] over the operations `exp` and `clamp`."""
    (root / "ops" / "elementwise.toml").write_text(EXP + table("clamp", OP))
    (root / "divergences").mkdir()
    given = {**DIVERGENCE, "ops": '["exp", "clamp"]', "oracle": '["value", "vjp"]'}
    text = table("[divergence]", given, **change)
    (root / "divergences" / "jax.toml").write_text(text)


def test_a_shared_divergence_is_one_of_each_operation(root):
    shared(root)
    specs = load_specs(root)
    for name in ("exp", "clamp"):
        assert [d.oracle for d in specs.ops[name].divergence] == ["value", "vjp"]
        assert all(d.rules == ("half",) for d in specs.ops[name].divergence)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ops": '["exp", "clmap"]'}, "ops: unknown operation 'clmap' (did you mean 'clamp'?)"),
        ({"ops": '["exp", "*"]'}, "ops: unknown operation '*'"),
        ({"ops": '["exp", "exp"]'}, "ops: 'exp' stands there 2 times"),
        ({"ops": "[]"}, "ops: is empty"),
        ({"ops": None}, "ops: missing field"),
        ({"points": "[]"}, "points: is empty"),
        ({"points": None}, "points: missing field"),
        ({"oracle": "[]"}, "oracle: is empty"),
        ({"oracle": '["value", "vpj"]'}, "oracle: unknown oracle 'vpj' (did you mean 'vjp'?)"),
        ({"rule": '"hlaf"'}, "rule: unknown divergence rule 'hlaf'"),
        ({"pionts": '["nan"]'}, "pionts: unknown field (did you mean 'points'?)"),
    ],
)
def test_a_wrong_shared_divergence_is_named(root, change, message):
    shared(root, **change)
    errors = lines(root)
    assert len(errors) == 1, errors
    assert errors[0].startswith("specs/divergences/jax.toml: divergence[0].")
    assert message in errors[0]


def test_a_file_of_divergences_holds_nothing_else(root):
    shared(root)
    (root / "divergences" / "more.toml").write_text("[exp]\nrule = 'half'\n")
    assert lines(root) == (
        "specs/divergences/more.toml: exp: is not a list: a file here holds [[divergence]] only",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"program": '"x = = 2"'}, "mine.toml: exp_gradient.program: line 1"),
        ({"program": '"x = leaf(1 + 1)"'}, "is not a literal, name or call"),
        ({"program": '"x = lef([1.0])"'}, "unknown callee 'lef'"),
        ({"claims": "{}"}, "exp_gradient.claims: is empty"),
        ({"oracle": '"lifetimes"'}, "unknown oracle 'lifetimes' (did you mean 'lifetime'?)"),
        ({"needs": '["mutations"]'}, "unknown capability 'mutations'"),
        ({"title": None}, "exp_gradient.title: missing field"),
    ],
)
def test_a_wrong_scenario_is_named(root, change, message):
    fields = {**SCENARIO, **({"claims": '{ "x" = "is None" }'} if "program" in change else {})}
    errors = scenario_errors(root, table("exp_gradient", fields, **change))
    assert any(message in line for line in errors), errors


def test_all_errors_of_a_load_are_shown_together(root):
    (root / "scenarios" / "broken.toml").write_text("[x\n")
    errors = op_errors(root, table("clamp", OP, points='["nna"]', shapes="1", notes="2") + EXP + "x=1")
    assert len(errors) == 4
    assert errors[3].startswith("specs/scenarios/broken.toml: not TOML:")


def test_a_name_defined_twice_is_refused(root):
    (root / "ops" / "other.toml").write_text(EXP)
    assert "specs/ops/other.toml: exp: defined in specs/ops/elementwise.toml already" in op_errors(
        root, EXP
    )


def test_wrong_norms_and_vocabulary_are_refused(root):
    (root / "norms.toml").write_text('[torch]\nurl = "https://x"\n')
    (root / "vocabulary.toml").write_text("[points]\nnan = 1\n")
    errors = "\n".join(lines(root))
    assert "specs/norms.toml: torch.version: missing" in errors
    assert "specs/norms.toml: torch.url: must hold {} once" in errors
    assert "specs/vocabulary.toml: points.nan: must be" in errors
    assert "specs/vocabulary.toml: no list [layouts]" in errors


def test_a_wrong_promotion_table_is_named(root):
    (root / "promotion").mkdir()
    (root / "promotion" / "mine.toml").write_text('norm = "x"\nscheme = "ladder"\n')
    assert "specs/promotion/mine.toml: " in lines(root)[0]


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(SpecErrors, match="no such folder"):
        load_specs(tmp_path / "nowhere")


def test_tables_and_rules_of_the_reference_agree():
    from reference_impl import HELPERS, RULES

    check_rules(load_specs(), RULES, HELPERS)


def test_an_operation_without_a_rule_and_a_rule_without_an_operation_are_refused():
    specs = load_specs()
    check_rules(specs, [*specs.ops, "helper"], helpers=["helper"])
    with pytest.raises(SpecErrors) as raised:
        check_rules(specs, ["expp", *(set(specs.ops) - {"exp"})])
    assert raised.value.errors == (
        (
            f"specs/ops/{specs.ops['exp'].chapter}.toml: exp: operation without a rule in "
            "reference_impl (did you mean 'expp'?)"
        ),
        "reference_impl: expp: rule without a table in specs/ops (did you mean 'exp'?)",
    )


def test_schema_files_are_up_to_date(root):
    for name, schema in schemas(load_specs()).items():
        text = (installed_root() / "schema" / name).read_text(encoding="utf-8")
        assert text == written(schema), f"{name}: run `python -m conformance.table_schema`"
    assert {path.name for path in write(root)} == set(schemas(load_specs()))
    assert not list(write(root))


def documents():
    for path in sorted(installed_root().rglob("*.toml")):
        folder = path.parent.name
        yield path, (folder if folder != "specs" else path.stem) + ".json"


@pytest.mark.parametrize(("path", "name"), list(documents()), ids=lambda x: getattr(x, "stem", None))
def test_every_table_fits_its_schema(path, name):
    schema = schemas(load_specs())[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"points": '["at_bounds"]'}, "at_bounds"),
        ({"bound": '{ value = "exact=1" }'}, "exact=1"),
        ({"norms": '"x"'}, "norms"),
        ({"torch": None}, "torch"),
    ],
)
def test_the_schema_refuses_what_loading_refuses(change, where):
    document = tomllib.loads(table("clamp", OP, **change))
    errors = list(jsonschema.Draft202012Validator(schemas(load_specs())["ops.json"]).iter_errors(document))
    assert len(errors) == 1
    assert where in errors[0].message
