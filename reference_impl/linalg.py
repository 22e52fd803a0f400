"""torch.linalg, as far as it goes."""

from reference_impl.rule import OPERATIONS


def _collect():
    return {name.removeprefix("linalg_"): operation.function
            for name, operation in OPERATIONS.items()
            if name.startswith("linalg_") and not name.endswith("_")}


globals().update(_collect())


def norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """The vector norm; of a matrix "fro". Raises RuntimeError for norms that need singular values."""
    from reference_impl.errors import Argument
    if ord not in (None, "fro") and (dim is None and A.ndim == 2 or isinstance(
            dim, (tuple, list)) and len(dim) == 2):
        raise Argument(f"the matrix norm {ord!r} is not available: this library has no singular "
                       "values")
    return OPERATIONS["linalg_vector_norm"].function(
        A, 2 if ord in (None, "fro") else ord, dim, keepdim, dtype=dtype)
