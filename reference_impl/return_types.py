"""torch.return_types: results of operations that give several tensors, as tuples with names."""

from functools import cache
from operator import itemgetter

FIELDS = {
    **dict.fromkeys(("max", "min", "sort", "topk", "kthvalue", "median", "nanmedian", "mode",
                     "cummax", "cummin"), ("values", "indices")),
    "aminmax": ("min", "max"),
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
