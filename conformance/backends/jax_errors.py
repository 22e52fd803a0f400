"""What jax 0.10 says when it refuses, by error kind. Messages are jax's own."""

from conformance.backends.errors import ErrorTable

JAX_ERRORS = ErrorTable(
    (
        ("ValueError", r"[Ii]ncompatible shapes for broadcasting", "shape_mismatch"),
        ("ValueError", r"axis .* is out of bounds", "dim_out_of_range"),
    )
)
