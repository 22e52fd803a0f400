"""Moves of elements (views, joining, indexing, in-place writes): the reference against torch.

Nothing here rounds but where cotangents or values are added up, so values are compared bit by bit
(those by a few roundings), and with them dtype, shape, strides, aliases, gradients and refusals.
"""

import numpy as np
import pytest

from conformance.cases.generate import cases_of, cotangents_for, dtypes_of
from conformance.loading import load_specs

torch = pytest.importorskip("torch")

from conformance.backends.protocol import NotExpressible
from conformance.backends.reference import ReferenceBackend
from conformance.backends.torch_backend import TorchBackend

CHAPTERS = ("views", "joining", "indexing", "inplace")
OPS = [op for op in load_specs().ops.values() if op.chapter in CHAPTERS]
DTYPES = ("bool", "uint8", "int64", "float16", "bfloat16", "float32", "complex64")
# refused by the norm, not by torch 2.13: indices beyond the dimension wrap around
TORCH_TAKES = {("take_along_dim", "index_out_of_range")}


@pytest.fixture(scope="module")
def backends():
    return ReferenceBackend("reference"), TorchBackend("torch")


def assert_same(got, want, what, exact=True):
    """exact: bit by bit; nan = nan, and complex numbers that are not finite are only that."""
    assert got.dtype == want.dtype, f"{what}: dtype {got.dtype}, torch {want.dtype}"
    assert got.shape == want.shape, f"{what}: shape {got.shape}, torch {want.shape}"
    a, b = got.value, want.value
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    if a.dtype.kind in "biu":
        same = a == b
    else:
        alike = np.isnan(a) & np.isnan(b)
        if a.dtype.kind == "c":  # torch multiplies by alpha = 1 + 0j, which makes nan of inf
            alike |= ~np.isfinite(a) & ~np.isfinite(b)
        if exact:
            raw = f"V{a.dtype.itemsize}"
            flat = [np.ascontiguousarray(x).reshape(-1).view(raw) for x in (a, b)]
            same = alike | (flat[0] == flat[1]).reshape(a.shape)
        else:
            a, b = a.astype(wide), b.astype(wide)
            with np.errstate(invalid="ignore"):
                same = alike | (a == b) | (abs(a - b) <= 0.05 * (1 + abs(b)))
    assert same.all(), f"{what}: {got.value!r}, torch {want.value!r}"


def assert_evaluations_agree(op, case, reference, library, order):
    outputs = [o.value for o in reference.evaluate(op, case).outputs]
    cts = cotangents_for(case, outputs) if order else None
    second = None
    if order == 2:
        second = [np.ones(o.data.shape, o.data.dtype) for _, o in case.differentiable()]
    got = reference.evaluate(op, case, cts, second)
    want = library.evaluate(op, case, cts, second)
    kinds = [seen.raised and seen.raised.kind for seen in (got, want)]
    assert kinds[0] == kinds[1], f"{case.id}: {got.raised}, torch {want.raised}"
    assert got.aliases == want.aliases, case.id
    exact = op.bound["value"] == "exact" and "complex" not in op.bound
    for i, (a, b) in enumerate(zip(got.outputs, want.outputs, strict=True)):
        assert_same(a, b, f"{case.id} output {i}", exact)
        if a.value.size:
            assert (a.strides, a.offset) == (b.strides, b.offset), f"{case.id} output {i}"
    for name in ("grads", "seconds"):
        for i, (a, b) in enumerate(zip(getattr(got, name) or (), getattr(want, name) or (),
                                       strict=True)):
            if a is None or b is None:  # no path, or a path of zeros
                there = b if a is None else a
                assert there is None or not there.value.any(), f"{case.id} {name} {i}"
            else:
                assert_same(a, b, f"{case.id} {name} {i}", op.bound["vjp"] == "exact")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_values_layouts_and_gradients_are_torchs(op, dtype, backends):
    if dtype not in dtypes_of(op):
        pytest.skip(f"{op.name} has no {dtype}")
    compared = 0
    for case in cases_of(op, dtype, "smoke", 0, layouts=True):
        if case.kind == "error" or "points" in case.id:
            continue
        if op.name == "take_along_dim" and "dim" not in case.args and case.layout != "contiguous":
            continue  # torch 2.13 refuses: it flattens with view
        order = 2 if case.differentiable() else 0
        assert_evaluations_agree(op, case, *backends, order)
        compared += 1
    assert compared


@pytest.mark.parametrize("op", [op for op in OPS if op.errors], ids=lambda op: op.name)
def test_refusals_have_the_kind_of_the_table(op, backends):
    reference, library = backends
    wrong = []
    for case in cases_of(op, "float32", "smoke", 0, layouts=True):
        if case.kind != "error":
            continue
        got = reference.evaluate(op, case).raised
        if got is None or got.kind != case.expects:
            wrong.append(f"{case.id} {case.args}: {got}, expected {case.expects}")
        try:
            theirs = library.evaluate(op, case).raised
        except NotExpressible:
            continue
        if (op.name, case.expects) not in TORCH_TAKES and (
            theirs is None or theirs.kind != case.expects
        ):
            wrong.append(f"{case.id}: torch: {theirs}, expected {case.expects}")
    assert not wrong, "\n".join(wrong)
