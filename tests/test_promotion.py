"""The promotion tables are held to the libraries themselves, over the whole grid of operands."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from conformance.loading import installed_root
from conformance.promotion import (
    PromotionError,
    UnspecifiedPromotion,
    decode,
    promote,
    result_dtype,
)

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
          "float64", "complex64", "complex128")  # fmt: skip
NUMBERS = {"weak:bool": True, "weak:int": 1, "weak:float": 1.0, "weak:complex": 1j}
WORDS = (*DTYPES, *(f"{d}[]" for d in DTYPES), *NUMBERS)
PAIRS = tuple(itertools.product(WORDS, WORDS))


def disagreements(table, seen):
    """Pairs for which the table says another dtype than `seen` (pair -> dtype)."""
    wrong = []
    for pair, dtype in seen.items():
        said = promote(table, pair)
        if said != dtype:
            wrong.append(f"{' + '.join(pair)}: {table} gives {dtype}, the table says {said}")
    assert len(seen) > 100, "next to nothing was compared"
    return wrong


def test_torch_table_is_torch_result_type():
    torch = pytest.importorskip("torch", reason="torch is not installed")

    def operand(word):
        if word in NUMBERS:
            return NUMBERS[word]
        name = word.removesuffix("[]")
        shape = () if word.endswith("[]") else (2,)
        return torch.ones(shape, dtype=getattr(torch, name))

    seen = {}
    for pair in PAIRS:
        found = torch.result_type(*map(operand, pair))
        seen[pair] = str(found).removeprefix("torch.")
    assert disagreements("torch", seen) == []


JAX = """
import itertools, json, sys
import jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", sys.argv[1] == "x64")
words = json.loads(sys.stdin.read())
numbers = {"weak:bool": True, "weak:int": 1, "weak:float": 1.0, "weak:complex": 1j}
def operand(word):
    if word in numbers:
        return numbers[word]
    return jnp.zeros(() if word.endswith("[]") else (2,), word.removesuffix("[]"))
made = {word: operand(word) for word in words}
print(json.dumps([[a, b, str(jnp.result_type(made[a], made[b]))]
                  for a, b in itertools.product(words, words)]))
print(json.dumps({d: [str(jnp.sum(made[d]).dtype), str(jnp.exp(made[d]).dtype),
                      str(jnp.abs(made[d]).dtype), str(jnp.argmax(made[d].real).dtype)]
                  for d in words if d not in numbers and not d.endswith("[]")}))
"""


@pytest.mark.parametrize(("table", "mode"), [("jax", "x32"), ("jax_x64", "x64")])
def test_jax_tables_are_jax_result_type_and_the_dtypes_of_its_functions(table, mode):
    pytest.importorskip("jax", reason="jax is not installed")
    run = subprocess.run(  # jax_enable_x64 holds for a whole process
        [sys.executable, "-W", "ignore", "-c", JAX, mode],
        input=json.dumps(WORDS), capture_output=True, text=True, timeout=300, check=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    grid, functions = map(json.loads, run.stdout.splitlines())
    assert disagreements(table, {(a, b): dtype for a, b, dtype in grid}) == []
    for dtype, seen in functions.items():
        words = ("sum", "float", "abs", "int64")
        said = [result_dtype(table, word, [dtype]) for word in words]
        assert said == seen, f"{dtype}: {dict(zip(words, seen, strict=True))}"


def test_numpy_table_is_numpy_result_type():
    def operand(word):
        if word in NUMBERS:
            return NUMBERS[word]
        return np.zeros(() if word.endswith("[]") else (2,), word.removesuffix("[]"))

    seen = {
        pair: np.result_type(*map(operand, pair)).name
        for pair in PAIRS
        if not any("bfloat16" in word for word in pair)
    }
    # two numbers alone are no operands of an array library
    seen = {pair: d for pair, d in seen.items() if not all(w in NUMBERS for w in pair)}
    assert disagreements("numpy", seen) == []


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "bfloat16"])
def test_numpy_result_words(dtype):
    ones = np.ones(2, dtype)
    assert result_dtype("numpy", "sum", [dtype]) == ones.sum().dtype.name
    assert result_dtype("numpy", "float", [dtype]) == np.exp(ones).dtype.name
    assert result_dtype("numpy", "abs", [dtype]) == np.abs(ones).dtype.name


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_result_words(dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    ones = torch.ones(2, dtype=getattr(torch, dtype))
    seen = {"sum": ones.sum(), "float": torch.exp(ones), "truth": torch.all(ones)}
    if dtype != "bool":
        seen["abs"] = torch.abs(ones)
    if dtype not in ("bool", "complex64", "complex128"):
        seen["int64"] = torch.argmax(ones)
    for word, tensor in seen.items():
        assert f"torch.{result_dtype('torch', word, [dtype])}" == str(tensor.dtype), word


def test_array_api_promotes_within_a_kind_and_leaves_the_rest_open():
    assert promote("array_api", ["int8", "uint8"]) == "int16"
    assert promote("array_api", ["float32", "complex64"]) == "complex64"
    assert promote("array_api", ["float32", "weak:int"]) == "float32"
    assert promote("array_api", ["int8", "weak:int"]) == "int8"
    for pair in (["int8", "float32"], ["bool", "int8"], ["int32", "weak:float"]):
        with pytest.raises(UnspecifiedPromotion, match="undefined"):
            promote("array_api", pair)
    with pytest.raises(UnspecifiedPromotion, match="not specified"):
        result_dtype("array_api", "float", ["int32"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: promote("torhc", ["int8"]), "no promotion table 'torhc' (did you mean 'torch'?)"),
        (lambda: promote("torch", ["int7"]), "no dtype 'int7' in the promotion table (did you"),
        (lambda: promote("torch", ["weak:flaot"]), "unknown Python number 'weak:flaot' (did you"),
        (lambda: promote("jax", ["weak:float[]"]), "unknown Python number 'weak:float[]'"),
        (lambda: result_dtype("jax", "summ", ["int8"]), "no result word 'summ' (did you mean 'su"),
        (lambda: promote("torch", []), "no operand to promote"),
    ],
)
def test_unknown_words_are_named_with_the_nearest(call, message):
    with pytest.raises(PromotionError) as caught:
        call()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('int64 = ["float16"', 'int64 = ["floaty16"', "lattice.int64: unknown dtype 'floaty16'"),
        ('map = "real"', 'map = "reel"', "results.abs: unknown map 'reel' (did you mean 'real'?)"),
        ('{ dtype = "bool" }', '{ dtype = "bool", of = "all" }', "needs `of` or `dtype`"),
        ("[numbers]", "[nombers]", "unknown field `nombers`"),
        ("[numbers]", "[numbers", "not TOML"),
    ],
)
def test_a_wrong_promotion_table_is_refused(tmp_path, old, new, message):
    (tmp_path / "promotion").mkdir()
    text = (installed_root() / "promotion" / "torch.toml").read_text()
    assert old in text
    (tmp_path / "promotion" / "torch.toml").write_text(text.replace(old, new))
    with pytest.raises(PromotionError) as caught:
        decode("torch", tmp_path)
    assert message in str(caught.value)


def test_every_table_answers_every_result_word(tmp_path):
    import tomllib

    words = tomllib.loads((installed_root() / "vocabulary.toml").read_text())["results"]
    for path in sorted((installed_root() / "promotion").glob("*.toml")):
        table = decode(path.stem, installed_root())
        assert set(table.results) == set(words), path.name
