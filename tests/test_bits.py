"""Bits shown beside a number are those of the number in its own dtype."""

from __future__ import annotations

import pytest

from reports.bits import annotate, pattern


@pytest.mark.parametrize(
    ("number", "dtype", "expected"),
    [
        (-0.0, "float32", "1 00000000 " + "0" * 23),
        (1.0, "float16", "0 01111 0000000000"),
        (1.0, "bfloat16", "0 01111111 0000000"),
        (float("inf"), "float64", "0 " + "1" * 11 + " " + "0" * 52),
        (2.0**-149, "float32", "0 00000000 " + "0" * 22 + "1"),
        (0.1, "float32", ""),  # not a float32: its bits would be those of another number
        (1.0, "int32", ""),
    ],
)
def test_pattern(number, dtype, expected):
    assert pattern(number, dtype) == expected


def test_nan_has_the_exponent_of_nan():
    _, exponent, fraction = pattern(float("nan"), "float32").split()
    assert set(exponent) == {"1"} and "1" in fraction


def test_annotate_reaches_nested_values_and_leaves_the_rest():
    half = {"value": "0.5", "hex": "0x1.0p-1"}
    seen = annotate({"ct": [half, 3], "raised": "domain"}, "float16")
    assert seen["ct"][0]["bits"] == "0 01110 0000000000"
    assert seen["ct"][1] == 3 and seen["raised"] == "domain"
    assert "bits" not in half
