"""What torch 2.13 says when it refuses, by error kind. Messages are torch's own."""

from conformance.backends.errors import ErrorTable

# views, joining, indexing, in-place writes
_MOVES = (
    ("RuntimeError", r"view size is not compatible", "view_impossible"),
    ("RuntimeError", r"written-to tensor refer", "overlapping_write"),
    ("RuntimeError", r"cannot be converted to type .* without overflow", "value_overflow"),
    ("RuntimeError", r"can't be cast to the desired output type", "cast_refused"),
    ("RuntimeError", r"are out of bounds for storage", "storage_out_of_bounds"),
    ("Exception", r"is out of bounds for dimension|exceeds dimension size", "index_out_of_range"),
    ("IndexError", r"out of range (in self|for tensor of size)", "index_out_of_range"),
    ("IndexError", r"tried to (access index|take from)|start out of range", "index_out_of_range"),
    ("IndexError", r"too many indices", "index_out_of_range"),
    ("Exception", r"to a 0-dim tensor|tensor has no dimensions", "dim_out_of_range"),
    ("RuntimeError", r"at least a 1-dimensional tensor|<= 2 dimensions", "dim_out_of_range"),
    ("RuntimeError", r"duplicate dims|repeated dim in|appears multiple times", "dim_repeated"),
    ("RuntimeError", r"diagonal dimensions cannot be identical", "dim_repeated"),
    ("RuntimeError", r"can be inferred|invalid shape dimension|cannot reshape", "shape_mismatch"),
    ("RuntimeError", r"don't multiply up|numel: integer multiplication", "shape_mismatch"),
    ("RuntimeError", r"ordering of dimensions|same number of dim", "shape_mismatch"),
    ("RuntimeError", r"expanded size of the tensor|number of sizes provided", "shape_mismatch"),
    ("RuntimeError", r"to sum exactly to|mismatch in length of strides", "shape_mismatch"),
    ("RuntimeError", r"Sizes of tensors must match|cannot be concatenated", "shape_mismatch"),
    ("RuntimeError", r"expects each tensor to be equal size", "shape_mismatch"),
    ("RuntimeError", r"Size does not match at|to be no larger than self", "shape_mismatch"),
    ("IndexError", r"supposed to be a vector|The shape of the mask", "shape_mismatch"),
    ("RuntimeError", r"Number of indices|source tensor shape must match", "shape_mismatch"),
    ("Exception", r"match the broadcast shape|^shape mismatch", "shape_mismatch"),
    ("RuntimeError", r"only supports? a? ?0-dimension|Index to scalar", "shape_mismatch"),
    ("RuntimeError", r"Expected (dtype int32|a long tensor)|dtype of indices", "dtype_unsupported"),
    ("IndexError", r"tensors used as indices must be", "dtype_unsupported"),
    ("RuntimeError", r"expected BoolTensor|only supports boolean masks", "dtype_unsupported"),
    ("RuntimeError", r"to be equal to src.dtype|the same scalar type", "dtype_mismatch"),
    ("RuntimeError", r"source and destination dtypes match", "dtype_mismatch"),
    ("RuntimeError", r"has invalid args|sizes must be non-empty|must be positive", "argument"),
    ("RuntimeError", r"must be non-negative|be non-negative|only non-negative", "argument"),
    ("RuntimeError", r"split_size can only be 0|to be greater than 0", "argument"),
    ("RuntimeError", r"maximum size for tensor at|but must be >=? 0", "argument"),
    ("RuntimeError", r"Negative strides|invalid storage offset", "argument"),
    ("Exception", r"non-empty (list of Tensors|TensorList)", "argument"),
    ("RuntimeError", r"At least one of 'min' or 'max'", "argument"),
)

TORCH_ERRORS = ErrorTable(
    (
        ("RuntimeError", r"backward through the graph a second time", "graph_freed"),
        ("RuntimeError", r"modified by an inplace operation", "saved_tensor_modified"),
        ("RuntimeError", r"a leaf Variable that requires grad", "leaf_written_in_place"),
        ("RuntimeError", r"does not require grad and does not have a grad_fn", "no_grad_required"),
        ("RuntimeError", r"grad can be implicitly created only for scalar", "not_scalar"),
        ("IndexError", r"Dimension out of range", "dim_out_of_range"),
        ("RuntimeError", r"must match the size of tensor|shape .* is invalid", "shape_mismatch"),
        *_MOVES,
    )
)
