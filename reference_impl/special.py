"""torch.special: names of this chapter for operations that are registered elsewhere."""

from reference_impl.dispatch import FUNCTIONS
from reference_impl.rule import OPERATIONS

SAME = ("digamma", "erf", "erfc", "erfinv", "exp2", "expm1", "i0", "log1p", "log_softmax",
        "logit", "logsumexp", "polygamma", "round", "sinc", "softmax", "xlogy")
OTHER = {"expit": "sigmoid", "gammainc": "igamma", "gammaincc": "igammac", "gammaln": "lgamma",
         "multigammaln": "mvlgamma", "psi": "digamma"}


def _collect():
    names = {name: name for name in SAME} | OTHER
    found = {name: FUNCTIONS[target] for name, target in names.items() if target in FUNCTIONS}
    for name, operation in OPERATIONS.items():
        if name.startswith("special_") and not name.endswith("_"):
            found[name.removeprefix("special_")] = operation.function
    return found


globals().update(_collect())
