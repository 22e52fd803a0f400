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

# derivatives and immutability
_AUTODIFF = (
    ("TypeError", r"arrays are immutable", "immutable"),
    ("ValueError", r"assignment destination is read-only", "immutable"),
    ("TypeError", r"Gradient only defined for scalar-output", "not_scalar"),
    ("TypeError", r"grad requires (real|complex|float).*dtype|grad requires .*-valued",
     "grad_dtype"),
    ("ValueError", r"unexpected JAX type .* for argument to VJP function", "cotangent_mismatch"),
    ("ValueError", r"cotangent|tree structure of cotangent", "cotangent_mismatch"),
    ("TypeError", r"[Oo]nly arrays of size 1 can be converted", "not_scalar"),
)  # fmt: skip

# arithmetic, reductions, products of matrices
_MATHS = (
    ("TypeError", r"cannot be raised to negative powers", "domain"),
    ("ValueError", r"zero-size array to reduction|of an empty sequence", "empty_reduction"),
    ("TypeError", r"does not accept dtype", "dtype_unsupported"),
    ("NotImplementedError", r"Unsupported dtype", "dtype_unsupported"),
    ("ValueError", r"not inexact|received a complex value", "dtype_unsupported"),
    ("TypeError", r"dtypes? .*(not supported|must be|is not)", "dtype_unsupported"),
    ("TypeError", r"(requires|require) arguments? to have the same dtype", "dtype_mismatch"),
    ("Exception", r"[Ii]ncompatible (shapes|types)", "shape_mismatch"),
    ("TypeError", r"requires contracting dimensions|requires batch dimensions", "shape_mismatch"),
    ("ValueError", r"inconsistent size for core dimension|must have ndim at least",
     "shape_mismatch"),
    ("TypeError", r"arguments must have the same shape|got incompatible shapes",
     "shape_mismatch"),
    ("Exception", r"must be square|last two dimensions", "shape_mismatch"),
    ("Exception", r"axis .* is out of bounds|is out of bounds for array", "dim_out_of_range"),
)  # fmt: skip

# conv_general_dilated, reduce_window
_NN = (
    ("ValueError", r"conv_general_dilated .*(shape|dimension|feature)", "shape_mismatch"),
    ("TypeError", r"(window|rhs|lhs).*must (have|be)", "shape_mismatch"),
    ("TypeError", r"convolution requires lhs and rhs ndim|wrong number of window_dim",
     "shape_mismatch"),
    ("ValueError", r"Invalid shapes for solve", "shape_mismatch"),
    ("ValueError", r"Size of label '\w' for operand", "shape_mismatch"),
    ("ValueError", r"expects window to have positive stride", "argument"),
)

_PYTHON = (
    ("TypeError", r"missing \d+ required|unexpected keyword|takes .* positional", "argument"),
    ("TypeError", r"is not a valid JAX type|requires ndarray or scalar", "argument"),
    ("TypeError", r"Value .* with dtype .* is not a valid JAX array type", "argument"),
    ("OverflowError", r"too large to convert|out of bounds for", "value_overflow"),
)

JAX_ERRORS = ErrorTable((*_AUTODIFF, *_MOVES, *_MATHS, *_NN, *_PYTHON))
