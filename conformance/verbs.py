"""The closed list of what a program may call besides the operations of `specs/ops`.

Each verb has one implementation per kind of library: `conformance.backends.eager_verbs` for
torch and the reference, `conformance.backends.jax_verbs` for jax. A callee that is no verb is
an operation: the name of a table, or the part before the dot of several (`squeeze`), of which
the first whose schema takes the arguments is called.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verb:
    """signature: parameters as Python writes them. needs: capabilities without which it has no
    meaning. meaning: one line, the same as in `specs/vocabulary.toml`."""

    name: str
    signature: str
    needs: tuple[str, ...]
    meaning: str

    @property
    def guard(self) -> bool:
        """Whether it stands in `with …:` instead of being called."""
        return self.name in GUARDS


GUARDS = ("no_grad", "enable_grad")

_MAKE = "*, dtype=None, requires_grad=False"
_TABLE = (
    # making tensors
    ("leaf", "data, *, dtype=None, layout='contiguous'", "autograd",
     "a new tensor that requires grad, from numbers"),
    ("tensor", "data, *, dtype=None, layout='contiguous', requires_grad=False", "",
     "a new tensor from numbers, or a copy of an array"),
    ("zeros", f"size, {_MAKE}", "", "a new tensor of zeros"),
    ("ones", f"size, {_MAKE}", "", "a new tensor of ones"),
    ("full", f"size, value, {_MAKE}", "", "a new tensor that holds one number everywhere"),
    ("arange", f"start, end=None, step=1, {_MAKE}", "", "evenly spaced numbers, end excluded"),
    ("eye", f"n, {_MAKE}", "", "the identity matrix"),
    ("ones_like", "x", "", "ones of the shape and dtype of x"),
    ("zeros_like", "x", "", "zeros of the shape and dtype of x"),
    # differentiating
    ("backward", "y, ct=None, *, retain_graph=None, create_graph=False", "autograd",
     "differentiate y with cotangent ct into the .grad of its leaves"),
    ("grad", "y, xs, ct=None, *, retain_graph=None, create_graph=False, allow_unused=False",
     "autograd", "the cotangents of one tensor, or of a list of tensors, without touching .grad"),
    ("grad_of", "x", "autograd", "the .grad of x, or None"),
    ("set_grad", "x, value", "accumulated_grad", "assign the .grad of x (None clears it)"),
    ("zero_grad", "x", "accumulated_grad", "set the .grad of x to None"),
    ("retain_grad", "x", "grad_flags", "ask for the .grad of a tensor that is not a leaf"),
    ("requires_grad_", "x, flag=True", "grad_flags", "set the requires_grad of a leaf"),
    ("no_grad", "", "grad_flags", "guard: operations are not recorded"),
    ("enable_grad", "", "grad_flags", "guard: operations are recorded again"),
    ("vjp_of", "op, *args, **kwargs", "vjp_function",
     "the pullback of an operation at its inputs, as a function"),
    ("pull", "pullback, ct", "vjp_function", "the cotangents of the inputs, from a pullback"),
    # looking at tensors
    ("data", "x", "mutation", "the tensor x.data: same memory, no history, own version"),
    ("to", "x, dtype", "", "x converted to a dtype"),
    ("getitem", "x, index", "", "x[index]"),
    ("setitem", "x, index, value", "", "x[index] = value"),
    ("at_set", "x, index, value", "functional_update", "a new array: x.at[index].set(value)"),
    ("at_add", "x, index, value", "functional_update", "a new array: x.at[index].add(value)"),
    ("is_leaf", "x", "grad_flags", "whether x is a leaf of the graph"),
    ("requires_grad", "x", "grad_flags", "whether x requires grad"),
    ("has_grad_fn", "x", "grad_flags", "whether a graph node made x"),
    ("grad_fn_name", "x", "grad_flags", "the name of the graph node that made x"),
    ("version", "x", "versions", "how often the memory of x was written in place"),
    ("is_contiguous", "x", "strides", "whether x is row-major without gaps"),
    ("same_object", "a, b", "aliasing", "whether a and b are one Python object"),
    ("shares_memory", "a, b", "numpy_sharing",
     "whether two tensors or NumPy arrays lie in the same memory"),
    ("dtype_of", "x", "", "the name of the dtype of x"),
    ("shape_of", "x", "", "the shape of x"),
    ("type_of", "x", "", "the name of the Python class of x: Tensor, Array, ndarray"),
    ("type_name", "x", "type_names", "what x says of its type: torch.FloatTensor"),
    ("type_of_shape", "x", "", "the name of the Python class of the shape of x"),
    ("item", "x", "", "the one number in x"),
    ("cuda_is_available", "", "device_query", "whether the library has a GPU"),
    # exchange with NumPy
    ("numpy", "x", "", "a NumPy array of x, sharing its memory where the library does"),
    ("from_numpy", "a", "numpy_sharing mutation", "a tensor in the memory of a NumPy array"),
    ("asarray", "a", "", "a tensor of a NumPy array that may share its memory"),
    ("array", "a", "", "a tensor of a NumPy array that never shares its memory"),
    ("np_array", "data, *, dtype=None", "", "a new NumPy array"),
    ("np_arange", "start, end=None, step=1, *, dtype=None", "", "NumPy's arange"),
    ("np_reshape", "a, shape", "", "NumPy's reshape"),
    ("np_ravel", "a", "", "NumPy's ravel: a view where it can"),
    ("np_flatten", "a", "", "NumPy's flatten: always a copy"),
    ("np_getitem", "a, index", "", "a[index] of a NumPy array"),
    ("np_setitem", "a, index, value", "", "a[index] = value of a NumPy array"),
    ("np_apply", "name, *args", "numpy_functions", "a NumPy ufunc called on tensors"),
    # parts of an index
    ("slice", "start, stop=None, step=None", "", "Python's slice, inside an index"),
    ("ellipsis", "", "", "Python's ..., inside an index"),
)  # fmt: skip

VERBS: dict[str, Verb] = {
    name: Verb(name, f"({signature})", tuple(needs.split()), meaning)
    for name, signature, needs, meaning in _TABLE
}
