"""Second names: torch spells many operations in two ways, after NumPy or for the sake of old code."""

from reference_impl.dispatch import FUNCTIONS
from reference_impl.tensor import Tensor

SAME = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin",
    "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2", "arctanh": "atanh",
    "clip": "clamp", "concat": "cat", "concatenate": "cat", "det": "linalg_det",
    "divide": "div", "fix": "trunc", "ger": "outer", "greater": "gt", "greater_equal": "ge",
    "inverse": "linalg_inv", "less": "lt", "less_equal": "le", "multiply": "mul",
    "negative": "neg", "not_equal": "ne", "subtract": "sub", "true_divide": "div",
    "row_stack": "vstack", "trapz": "trapezoid",
}
FUNCTION_ONLY = ("concat", "concatenate", "row_stack", "trapz")


def give_second_names():
    """Call when every operation is registered."""
    for name, target in SAME.items():
        for tail in ("", "_"):
            function = FUNCTIONS.get(target + tail)
            if function is not None:
                FUNCTIONS.setdefault(name + tail, function)
            method = getattr(Tensor, target + tail, None) or function
            if method is not None and name not in FUNCTION_ONLY:
                setattr(Tensor, name + tail, method)
