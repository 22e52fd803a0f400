"""Cases: the same from the same seed, in every shape and memory layout, and what they leave out."""

from __future__ import annotations

import hashlib
from itertools import islice

import msgspec
import numpy as np
import pytest

from conformance.accuracy.formats import is_complex, is_floating, np_dtype
from conformance.accuracy.ulp import same_bits
from conformance.cases import generate
from conformance.cases.case import Case, Operand
from conformance.cases.generate import (
    LAYOUTS,
    LENGTHS,
    Maker,
    cases_of,
    cotangents_for,
    dtypes_of,
    elementwise,
    home_dtype,
    literal_array,
    mixed_cases,
    refused,
    signatures,
    with_operand,
)
from conformance.cases.layouts import applies, place
from conformance.loading import load_specs
from conformance.specs import Call, Refusal

OPS = load_specs().ops
KINDS = {"value", "domain", "shape", "length", "layout", "error"}


def cases(name, dtype="float32", tier="smoke", seed=0, layouts=True):
    return list(cases_of(OPS[name], dtype, tier, seed, layouts))


def digest(found):
    """Of every byte of every case: ids, inputs, literals and layouts."""
    made = hashlib.sha256()
    for case in found:
        made.update(f"{case.id}{case.kind}{case.layout}{case.expects}{case.dtypes}".encode())
        operands = dict(case.operands())
        for name, value in case.args.items():
            made.update(f"{name}{value if not isinstance(value, (Operand, list)) else ''}".encode())
        for path, operand in operands.items():
            made.update(f"{path}{operand.dtype}{operand.data.shape}{operand.layout}".encode())
            made.update(operand.data.tobytes())
    return made.hexdigest()


# --- one seed, one set of cases -------------------------------------------------------

SOME = ("exp", "add", "clamp.Tensor", "sum.dim_IntList", "linalg_cholesky", "cat", "index_select")


@pytest.mark.parametrize("name", [n for n in SOME if n in OPS])
def test_cases_are_the_same_bytes_from_the_same_seed(name):
    dtype = home_dtype(OPS[name])
    assert digest(cases(name, dtype)) == digest(cases(name, dtype))
    assert digest(cases(name, dtype)) != digest(cases(name, dtype, seed=1))


def test_mixed_cases_are_the_same_bytes_from_the_same_seed():
    first, again, other = (digest(mixed_cases(OPS["add"], seed)) for seed in (0, 0, 1))
    assert first == again != other


def test_case_ids_are_unique_within_a_unit():
    for name, op in OPS.items():
        ids = [c.id for c in cases(name, home_dtype(op))]
        assert len(ids) == len(set(ids)), name


def test_a_skipped_layout_does_not_change_the_numbers_of_the_other_cases():
    """A backend without layouts sees the same points as one that has them."""
    for kind in ("value", "domain"):
        pair = [
            digest(c for c in cases("exp", layouts=layouts) if c.kind == kind)
            for layouts in (True, False)
        ]
        assert pair[0] == pair[1]


def test_cotangents_are_the_same_for_every_library_and_exact_in_every_dtype():
    (case,) = islice(cases_of(OPS["exp"], "float32", "smoke", 0, True), 1)
    for dtype in ("float16", "bfloat16", "float32", "float64", "complex64"):
        out = np.zeros(40, np_dtype(dtype))
        first, again = cotangents_for(case, [out])[0], cotangents_for(case, [out])[0]
        assert first.dtype == out.dtype and same_bits(first, again).all()
        wide = first.astype(np.complex128 if is_complex(dtype) else np.float64)
        assert set(np.unique(wide.real)) <= {1.0, -1.0, 0.5, 2.0, 0.75, 1.5, -3.0}
    assert cotangents_for(case, [np.zeros(3, np.int64), np.zeros(2, bool)]) == [None, None]


# --- shapes, lengths, layouts ----------------------------------------------------------


def shapes_of(found):
    return {o.data.shape for case in found for _, o in case.operands()}


@pytest.mark.parametrize("family", sorted({op.shapes for op in OPS.values()}))
def test_every_family_has_calls_without_dimension_and_without_element(family):
    shapes = set()
    for name, op in OPS.items():
        if op.shapes == family:
            shapes |= shapes_of(c for c in cases(name, home_dtype(op)) if c.kind != "error")
    assert () in shapes
    assert any(0 in shape for shape in shapes)
    assert any(len(shape) >= 2 for shape in shapes)


@pytest.mark.parametrize("name", [n for n, op in OPS.items() if elementwise(op)])
def test_every_elementwise_operation_has_calls_without_dimension_and_without_element(name):
    shapes = shapes_of(c for c in cases(name, home_dtype(OPS[name])) if c.kind == "shape")
    assert () in shapes and any(0 in shape for shape in shapes)


def test_broadcasts_go_both_ways():
    pairs = {
        tuple(o.data.shape for _, o in c.operands()) for c in cases("add") if c.kind == "shape"
    }
    assert ((), (3,)) in pairs and ((3, 1), (4,)) in pairs and ((2, 0), (1,)) in pairs


@pytest.mark.parametrize("name", ["exp", "add", "where"])
def test_every_length_around_the_simd_width_holds_one_value(name):
    found = [c for c in cases(name) if c.kind == "length"]
    lengths = {o.data.size for c in found for _, o in c.operands()}
    assert lengths == set(LENGTHS)
    for case in found:
        for _, operand in case.operands():
            assert same_bits(operand.data, operand.data[:1].repeat(operand.data.size)).all()


def test_a_backend_that_compiles_for_every_shape_gets_few_lengths():
    few = {o.data.size for c in cases("exp", layouts=False) if c.kind == "length"
           for _, o in c.operands()}  # fmt: skip
    assert few == set(generate.FEW_LENGTHS)
    assert not [c for c in cases("exp", layouts=False) if c.kind == "layout"]


@pytest.mark.parametrize("layout", ["contiguous", *LAYOUTS])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "bool", "complex64"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (5,), (3, 4), (2, 3, 4), (1, 4), (4, 1)])
def test_placements_read_back(layout, dtype, shape):
    rng = generate.rng_of(0, layout, dtype, shape)
    data = generate.fill("ordinary", rng, shape, dtype)
    data = np.ascontiguousarray(data).reshape(shape)
    if layout == "expanded" and data.ndim and data.shape[0] > 1:
        data = np.repeat(data[:1], data.shape[0], axis=0)
    placed = place(data, layout)
    assert (placed.shape, placed.storage.dtype, placed.storage.ndim) == (shape, data.dtype, 1)
    for index in np.ndindex(shape):
        at = placed.offset + sum(i * s for i, s in zip(index, placed.strides, strict=True))
        assert placed.storage[at].tobytes() == data[index].tobytes()
    if layout != "contiguous" and applies(layout, shape):
        plain = place(data, "contiguous")
        assert (placed.strides, placed.offset) != (plain.strides, plain.offset)


def test_unknown_layouts_are_refused():
    with pytest.raises(KeyError):
        place(np.ones((2, 2)), "diagonal")


def test_gaps_hold_numbers_that_would_be_noticed():
    placed = place(np.zeros((2, 3), np.float32), "strided")
    assert (placed.storage[1::2] == 99).all()


@pytest.mark.parametrize("name", ["exp", "add", "matmul"])
def test_every_layout_has_a_case(name):
    assert {c.layout for c in cases(name) if c.kind == "layout"} == set(LAYOUTS)


# --- points and domains ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_16_bit_unary_operation_gets_every_pattern(dtype):
    (case,) = [c for c in cases("exp", dtype) if c.kind == "domain"]
    ((_, operand),) = case.operands()
    assert len(np.unique(operand.data.view(np.uint16))) == 2**16


def test_an_8_bit_binary_operation_gets_every_pair():
    (case,) = [c for c in cases("maximum", "int8", "standard") if c.kind == "domain"]
    pairs = np.stack([o.data.view(np.uint8) for _, o in case.operands()])
    assert len(np.unique(pairs, axis=1).T) == 2**16
    assert not [c for c in cases("maximum", "int8", "smoke") if c.kind == "domain"]


def test_points_have_special_values_in_every_position():
    for name in ("add", "where"):
        (case, *_) = [c for c in cases(name) if c.kind == "value"]
        floats = [o.data for _, o in case.operands() if o.data.dtype.kind == "f"]
        for data in floats:
            assert np.isnan(data).any() and np.isinf(data).any()
            assert ((data == 0) & np.signbit(data)).any() and ((data == 0) & ~np.signbit(data)).any()
        both = np.isinf(floats[0]) & np.isinf(floats[1])
        assert both.any(), "in pairs"


def test_every_argument_of_the_table_is_crossed():
    literals = {repr(sorted((k, v) for k, v in c.args.items() if not isinstance(v, Operand)))
                for c in cases("clamp") if c.kind == "value"}  # fmt: skip
    assert len(literals) == len(OPS["clamp"].args)


def test_kinds_and_dtypes_of_cases():
    for name, op in OPS.items():
        for dtype in dtypes_of(op):
            for case in cases(name, dtype, layouts=False):
                assert case.kind in KINDS and case.op == name
                if case.kind == "error":
                    assert case.expects
                for path, operand in case.operands():
                    floats = is_floating(operand.dtype) or is_complex(operand.dtype)
                    assert floats or not operand.differentiable, (case.id, path)
                    assert operand.data.flags.c_contiguous


# --- refusals -------------------------------------------------------------------------

DIVIDES = next(name for name, op in OPS.items() if op.refuses)


def test_ordinary_cases_leave_out_what_the_whole_call_would_be_refused_for():
    op = OPS[DIVIDES]
    make = Maker(op, "int32", 0)
    assert make.refusals
    for case in cases(DIVIDES, "int32", "standard"):
        if case.kind == "error":
            continue
        arrays = np.broadcast_arrays(*(o.data for _, o in case.operands()))
        for refusal in make.refusals:
            assert not refused(list(arrays), refusal).any(), case.id


def test_one_element_is_enough_to_be_refused():
    make = Maker(OPS[DIVIDES], "int32", 0)
    found = list(make.refused())
    assert len(found) == len(make.refusals)
    for case, refusal in zip(found, make.refusals, strict=True):
        mask = refused([o.data for _, o in case.operands()], refusal)
        assert (mask.sum(), mask.size) == (1, 4)
        assert (case.kind, case.expects) == ("error", refusal.expects)
        assert set(case.points) == set(refusal.points)


def test_floats_are_not_refused_where_the_table_speaks_of_integers():
    assert Maker(OPS[DIVIDES], "float32", 0).refusals == []
    assert not list(Maker(OPS[DIVIDES], "float32", 0).refused())


def test_refused_is_a_mask_over_elements():
    refusal = Refusal(points=("zero_divisor",), dtypes="integral", expects="domain")
    arrays = [np.array([1, 2, 3]), np.array([0, 1, 0])]
    assert refused(arrays, refusal).tolist() == [True, False, True]


# --- explicit calls, mixed dtypes -----------------------------------------------------


def test_errors_are_asked_in_the_home_dtype_and_once():
    op = OPS["add"]
    assert len([c for c in cases("add") if c.kind == "error"]) == len(op.errors)
    assert not [c for c in cases("add", "float64") if c.kind == "error"]


def test_a_call_restricted_to_dtypes_is_made_in_these_only():
    op = msgspec.structs.replace(
        OPS["exp"], calls=(Call(shapes={"self": [7, 7]}, dtypes=("float64",)),)
    )
    for dtype, expected in (("float32", False), ("float64", True)):
        found = any((7, 7) == o.data.shape for c in cases_of(op, dtype, "smoke", 0, True)
                    for _, o in c.operands())  # fmt: skip
        assert found is expected


def test_signatures_are_the_dtypes_and_mixed_where_the_table_says():
    assert list(signatures(OPS["exp"])) == [(d,) for d in dtypes_of(OPS["exp"])]
    assert list(signatures(OPS["add"]))[-1] == ("mixed",)


def test_mixed_cases_cross_dtypes_zero_dim_and_python_numbers():
    words = {case.dtypes for case in mixed_cases(OPS["add"], 0)}
    for pair in (
        ("float32", "int64"), ("int64", "float32[]"), ("float32", "float32[]"),
        ("int8", "weak:float"), ("bool", "weak:int"), ("bfloat16", "float16"),
    ):  # fmt: skip
        assert pair in words
    assert ("float32", "float32") not in words
    for case in mixed_cases(OPS["add"], 0):
        for (_, operand), word in zip(case.operands(), case.dtypes, strict=False):
            assert operand.dtype == word.removesuffix("[]")
            assert (operand.data.ndim == 0) == word.endswith("[]")


@pytest.mark.parametrize(
    ("value", "dtype"),
    [([1, 2], "int64"), ([1.5], "float32"), ([True], "bool"), ([], "int64"),
     ({"int32": [1]}, "int32"), ({"bfloat16": [1.5]}, "bfloat16")],
)  # fmt: skip
def test_literal_tensors(value, dtype):
    assert literal_array(value).dtype == np_dtype(dtype)


def test_ragged_literals_are_refused():
    with pytest.raises(ValueError, match="inhomogeneous"):
        literal_array([[1], [1, 2]])


def test_operands_are_replaced_by_path():
    one, two, new = (Operand(np.full(2, n)) for n in (1, 2, 3))
    args = {"self": one, "tensors": [one, None, two], "dim": 0}
    case = Case("i", "cat", args, ("int64",))
    assert [n for n, _ in case.operands()] == ["self", "tensors.0", "tensors.2"]
    changed = with_operand(args, "tensors.2", new)
    assert changed["tensors"] == [one, None, new] and args["tensors"][2] is two
    assert with_operand(args, "self", new)["self"] is new
