"""Calls as they once were: numbers before tensors, addmm(beta, self, alpha, mat1, mat2).

The list is torch's (tools/autograd/deprecated.yaml); T is a tensor, N a number. Methods have self first.
"""

import warnings

from reference_impl.tensor import Tensor

FACTORS_FIRST = {
    **dict.fromkeys(("add", "sub"), ("TNT", "TNN")), **dict.fromkeys(("addcdiv", "addcmul"), ("TNTT",)),
    **dict.fromkeys(("addbmm", "addmm", "addmv", "addr", "baddbmm"),
                    ("NTNTT", "NTTT", "TNNTT", "TNTT"))}


def factors_last(rule, args):
    """The arguments in the order of the parameters, where the call has an old form."""
    kinds = "".join("T" if isinstance(a, Tensor) else "N" for a in args)
    if kinds not in FACTORS_FIRST.get(rule.public_name.removesuffix("_"), ()):
        return None
    warnings.warn(f"This overload of {rule.public_name} is deprecated: numbers before tensors. Consider "
                  "giving them as keywords.", UserWarning, stacklevel=5)
    if kinds == "TNN":
        return args[0], args[2], args[1]
    return (*(a for a in args if isinstance(a, Tensor)),
            *(a for a in args if not isinstance(a, Tensor)))
