"""The reference says its error kinds itself; only what is no `Refusal` needs a row."""

# kinds of the reference that are narrower than the closed list
NARROWER = {
    "not_differentiable": "dtype_unsupported",
    "device_unsupported": "argument",
}

PYTHON_ERRORS = (
    ("RuntimeError", r"cannot be converted to type \w+ without overflow", "value_overflow"),
    ("TypeError", r"Got unsupported ScalarType BFloat16", "dtype_unsupported"),
    ("TypeError", r"assigned grad expected to be a Tensor", "argument"),
    ("ValueError", r"negative strides|not a multiple of the element", "argument"),
    ("TypeError", r"can't convert np\.ndarray of type", "dtype_unsupported"),
)
