"""The bits behind a printed number, so that -0.0, nan payload signs and last places show."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

# dtype -> (numpy type, unsigned type of the same width, exponent bits)
_FLOATS: dict[str, tuple[Any, Any, int]] = {
    "float16": (np.float16, np.uint16, 5),
    "bfloat16": (ml_dtypes.bfloat16, np.uint16, 8),
    "float32": (np.float32, np.uint32, 8),
    "float64": (np.float64, np.uint64, 11),
}
_PARTS = {"complex64": "float32", "complex128": "float64"}


def pattern(number: float, dtype: str) -> str:
    """Sign, exponent and fraction of `number` in `dtype`, as "0 10000000 000…".

    "" when dtype is not a binary float of this module, or cannot hold the number exactly
    (then the bits would be those of another number).
    """
    known = _FLOATS.get(_PARTS.get(dtype, dtype))
    if known is None:
        return ""
    kind, unsigned, exponent = known
    with np.errstate(over="ignore"):
        held = np.asarray(number, np.float64).astype(kind)
    if not (np.isnan(number) or float(held) == number):
        return ""
    width = held.dtype.itemsize * 8
    text = format(int(held.view(unsigned)), f"0{width}b")
    return f"{text[0]} {text[1 : 1 + exponent]} {text[1 + exponent :]}"


def annotate(value: Any, dtype: str) -> Any:
    """A copy of an observation's JSON in which every {"value", "hex"} also has "bits".

    dtype: that of the observed tensor; where it cannot hold a number, no bits are added.
    """
    if isinstance(value, dict):
        copy = {str(key): annotate(item, dtype) for key, item in value.items()}
        if isinstance(value.get("hex"), str) and isinstance(value.get("value"), str):
            try:
                number = float.fromhex(value["hex"])
            except (ValueError, OverflowError):
                return copy  # a complex or a foreign spelling: the text still shows
            if found := pattern(number, dtype):
                copy["bits"] = found
        return copy
    if isinstance(value, (list, tuple)):
        return [annotate(item, dtype) for item in value]
    return value
