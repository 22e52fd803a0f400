"""What torch 2.13 says when it refuses, by error kind. Messages are torch's own."""

from conformance.backends.errors import ErrorTable

TORCH_ERRORS = ErrorTable(
    (
        ("RuntimeError", r"backward through the graph a second time", "graph_freed"),
        ("RuntimeError", r"modified by an inplace operation", "saved_tensor_modified"),
        ("RuntimeError", r"a leaf Variable that requires grad", "leaf_written_in_place"),
        ("RuntimeError", r"does not require grad and does not have a grad_fn", "no_grad_required"),
        ("RuntimeError", r"grad can be implicitly created only for scalar", "not_scalar"),
        ("IndexError", r"Dimension out of range", "dim_out_of_range"),
        ("RuntimeError", r"must match the size of tensor|shape .* is invalid", "shape_mismatch"),
    )
)
