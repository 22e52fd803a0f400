"""Functions that torch no longer has, but still names so as to say what stands in their place."""

from reference_impl.errors import Argument
from reference_impl.rule import composite

GONE = "This function was deprecated since version 1.9 and is now removed. "
INSTEAD = {
    "eig": "Use `torch.linalg.eig`: its results are complex.",
    "lstsq": "Use `torch.linalg.lstsq`: its arguments are the other way round.",
    "matrix_rank": "Use `torch.linalg.matrix_rank`.",
    "solve": "Use `torch.linalg.solve`: its arguments are the other way round.",
    "symeig": "Use `torch.linalg.eigh`: it reads the lower triangle.",
}


def _removed(name):
    def refuse(*args, **kwargs):
        raise Argument(GONE + INSTEAD[name])
    return refuse


for _name in INSTEAD:
    composite(_name, _removed(_name), helper=True)
