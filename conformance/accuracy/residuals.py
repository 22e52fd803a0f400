"""Scaled residuals of factorisations and solves, as LAPACK's own test programs define them.

Both are of order 1 for a backward stable algorithm; LAPACK's tests accept up to 30
(LAPACK Working Note 41, section 5; programs dpot01 and dget02).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from conformance.accuracy.formats import real_format, wide_dtype


def _norm1(a: np.ndarray) -> np.ndarray:
    """Largest column sum of absolute values over the last two dimensions."""
    return np.abs(a).sum(axis=-2).max(axis=-1, initial=0.0)


def cholesky(args: dict[str, Any], factor: np.ndarray) -> np.ndarray:
    """||A - L Lᴴ||₁ / (n ||A||₁ eps) (dpot01); shape of the batch."""
    a, wide, eps = _operands(args["self"].data, factor)
    upper = bool(args.get("upper"))
    lower = np.conj(np.swapaxes(wide, -1, -2)) if upper else wide
    residual = _norm1(a - lower @ np.conj(np.swapaxes(lower, -1, -2)))
    return residual / np.maximum(a.shape[-1] * _norm1(a) * eps, np.finfo(float).tiny)


def solve(args: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """||B - A X||₁ / (n ||A||₁ ||X||₁ eps) (dget02), worst over right-hand sides."""
    a, wide, eps = _operands(args["A"].data, x)
    b = args["B"].data.astype(wide.dtype)
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    if vector:
        b, wide = b[..., None], wide[..., None]
    residual = np.abs(b - a @ wide).sum(axis=-2)
    scale = a.shape[-1] * _norm1(a)[..., None] * np.abs(wide).sum(axis=-2) * eps
    return (residual / np.maximum(scale, np.finfo(float).tiny)).max(axis=-1, initial=0.0)


def _operands(a: np.ndarray, got: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    wide = wide_dtype(got.dtype.name)
    return a.astype(wide), got.astype(wide), 2 * real_format(got.dtype.name).unit


RESIDUALS: dict[str, Callable[[dict[str, Any], np.ndarray], np.ndarray]] = {
    "linalg_cholesky": cholesky,
    "linalg_solve": solve,
}
