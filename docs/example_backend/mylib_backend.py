"""A backend for a library of one's own: here NumPy, which has values and no autograd.

It runs what it is asked and reports what it saw; it never judges.
"""

from time import perf_counter

import numpy as np

from conformance.backends.protocol import UnmappedError
from conformance.cases.case import Operand
from conformance.observation import Evaluation, Raised, TensorObs

# Operation of the specification -> how this library calls it, arguments by schema name.
CALLS = {
    "exp": lambda self: np.exp(self),
    "mul": lambda self, other: np.multiply(self, other),
    "maximum": lambda self, other: np.maximum(self, other),
}
# What the library raises -> a word of [error_kinds] in specs/vocabulary.toml.
KINDS = {"could not be broadcast": "shape_mismatch", "not supported": "dtype_unsupported"}


class MyBackend:
    library = "mylib"
    version = np.__version__
    promotion = "numpy"  # a table of specs/promotion
    capabilities = frozenset({"float64", "complex"})  # words of [capabilities]

    def __init__(self, name, device, options):
        self.name, self.device, self.options = name, device, options
        self.library_s = 0.0  # seconds spent inside the library

    def supports(self, op, dtypes):
        if "bfloat16" in dtypes:
            return "mylib has no bfloat16"
        return "" if op.name in CALLS else f"mylib has no {op.name}"

    def evaluate(self, op, case, cotangents=None, second=None):
        arguments = {
            name: value.data.copy() if isinstance(value, Operand) else value
            for name, value in case.args.items()
        }
        start = perf_counter()
        try:
            with np.errstate(all="ignore"):
                result = np.asarray(CALLS[op.name](**arguments))
        except Exception as error:
            kind = next((kind for words, kind in KINDS.items() if words in str(error)), None)
            if kind is None:
                raise UnmappedError(f"{type(error).__name__}: {error}") from error
            return Evaluation(raised=Raised(kind, type(error).__name__, str(error)))
        finally:
            self.library_s += perf_counter() - start
        return Evaluation(outputs=(TensorObs(result, result.dtype.name, result.shape),))

    def session(self, ops):
        raise NotImplementedError("mylib has no programs: it lacks the capabilities they need")
