"""What jax 0.10 says when it refuses, by error kind. Messages are jax's own."""

from conformance.backends.errors import ErrorTable

# shapes, joining, indexing
_MOVES = (
    ("TypeError", r"cannot reshape|one unknown axis size|new_sizes must all", "shape_mismatch"),
    ("ValueError", r"Inconsistent number of elements", "shape_mismatch"),
    ("ValueError", r"types for broadcasting|shape with fewer dimensions", "shape_mismatch"),
    ("TypeError", r"broadcast_in_dim shape must have every element", "shape_mismatch"),
    ("ValueError", r"cannot select an axis to squeeze out", "shape_mismatch"),
    ("ValueError", r"Sum of sizes|arrays must have the same shape", "shape_mismatch"),
    ("Exception", r"annot (concatenate|stack) arrays|be concatenated", "shape_mismatch"),
    ("ValueError", r"must have the same number of dimensions", "shape_mismatch"),
    ("IndexError", r"boolean index did not match", "shape_mismatch"),
    ("ValueError", r"dimensions are not unique|repeated axis|uplicate value", "dim_repeated"),
    ("TypeError", r"permutation \(.*\b(\d+)\b.*\b\1\b.*\) for operand", "dim_repeated"),
    ("TypeError", r"isn't a permutation of operand dimensions", "shape_mismatch"),
    ("IndexError", r"(tuple|assignment) index out of range", "dim_out_of_range"),
    ("ValueError", r"at least two dimensions", "dim_out_of_range"),
    ("IndexError", r"index -?\d+ is out of bounds|Too many indices", "index_out_of_range"),
    ("IndexError", r"take\(\) from an empty axis", "index_out_of_range"),
    ("TypeError", r"Slice size at index .* in gather op", "index_out_of_range"),
    ("TypeError", r"slice (limit|start)_indices must", "index_out_of_range"),
    ("Exception", r"must (be|have) (of |an )?integer", "dtype_unsupported"),
    ("TypeError", r"slice (strides|slice_sizes) must", "argument"),
    ("ValueError", r"must be nonnegative|Need at least one array", "argument"),
    ("ZeroDivisionError", r"by zero", "argument"),
)

JAX_ERRORS = ErrorTable(
    (
        ("ValueError", r"[Ii]ncompatible shapes for broadcasting", "shape_mismatch"),
        ("ValueError", r"axis .* is out of bounds", "dim_out_of_range"),
        *_MOVES,
    )
)
