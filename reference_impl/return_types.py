"""torch.return_types: results of operations that give several tensors, as tuples with names."""

from functools import cache
from operator import itemgetter

FIELDS = {
    **dict.fromkeys(("max", "min", "sort", "topk", "kthvalue", "median", "nanmedian", "mode",
                     "cummax", "cummin"), ("values", "indices")),
    "aminmax": ("min", "max"),
    **dict.fromkeys(("linalg_qr", "qr"), ("Q", "R")),
    **dict.fromkeys(("linalg_eig", "linalg_eigh"), ("eigenvalues", "eigenvectors")),
    **dict.fromkeys(("linalg_slogdet", "slogdet"), ("sign", "logabsdet")),
    **dict.fromkeys(("linalg_lu", "lu_unpack"), ("P", "L", "U")),
    **dict.fromkeys(("linalg_lu_factor_ex", "_lu_with_info"), ("LU", "pivots", "info")),
    "linalg_svd": ("U", "S", "Vh"), "svd": ("U", "S", "V"),
    "linalg_lu_factor": ("LU", "pivots"),
    "linalg_ldl_factor": ("LD", "pivots"),
    "linalg_ldl_factor_ex": ("LD", "pivots", "info"),
    "linalg_inv_ex": ("inverse", "info"),
    "linalg_solve_ex": ("result", "info"),
    "linalg_cholesky_ex": ("L", "info"),
    "linalg_lstsq": ("solution", "residuals", "rank", "singular_values"),
    "triangular_solve": ("solution", "cloned_coefficient"),
    "geqrf": ("a", "tau"),
    **dict.fromkeys(("histogram", "histogramdd"), ("hist", "bin_edges")),
}


@cache
def named(name):
    """The class of the results of operation `name`, or tuple when they have no names."""
    fields = FIELDS.get(name)
    if fields is None:
        return tuple

    def text(self):
        parts = ",\n".join(f"{f}={value!r}" for f, value in zip(fields, self, strict=True))
        return f"torch.return_types.{name}(\n{parts})"
    members = {f: property(itemgetter(i)) for i, f in enumerate(fields)}
    members |= {"__slots__": (), "__repr__": text, "__module__": "torch.return_types",
                "fields": fields, "n_fields": len(fields), "n_sequence_fields": len(fields), "n_unnamed_fields": 0,
                "__reduce__": lambda self: (type(self), (tuple(self),))}
    return type(name, (tuple,), members)


def __getattr__(name):
    if name in FIELDS:
        return named(name)
    raise AttributeError(f"module 'torch.return_types' has no attribute '{name}'")
