"""torch.linalg, as far as it goes."""

from reference_impl.errors import LinalgSingular
from reference_impl.rule import OPERATIONS


def _collect():
    return {name.removeprefix("linalg_"): operation.function
            for name, operation in OPERATIONS.items()
            if name.startswith("linalg_") and not name.endswith("_")}


globals().update(_collect())

LinAlgError = LinalgSingular
