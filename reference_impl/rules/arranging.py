"""Elements at other places: flip, roll, triangles, diagonals.

Each is linear; forward moves elements, vjp moves cotangents back. They are helpers: no table of
operations lists them yet, so no library is checked against them.
"""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.creation import zeros
from reference_impl.errors import Argument, DimCount, DimRepeated
from reference_impl.geometry import wrap_dim
from reference_impl.rule import OPERATIONS, composite, rule


def flip(self, dims):
    """The elements in reverse order along `dims`. Raises DimOutOfRange, DimRepeated."""
    wrapped = [wrap_dim(d, self.ndim) for d in ((dims,) if isinstance(dims, int) else dims)]
    for d in wrapped:
        if wrapped.count(d) > 1:
            raise DimRepeated(f"dim {d} appears multiple times in the list of dims")
    return np.flip(self, wrapped) if self.ndim else self.copy()


rule("flip", flip, inputs=("self",), varargs="dims", layout="preserve", jvp="linear", helper=True,
     vjp=lambda ct, ins, y, dims: [ct.flip(dims)])


def fliplr(input):
    if input.ndim < 2:
        raise DimCount("Input must be >= 2-d.")
    return input.flip(1)


def flipud(input):
    if input.ndim < 1:
        raise DimCount("Input must be >= 1-d.")
    return input.flip(0)


def roll(self, shifts, dims=()):
    """The elements moved on by `shifts` along `dims`, those that fall off coming back in front."""
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    if not shifts:
        raise Argument("`shifts` required")
    if not dims and len(shifts) == 1:
        return np.roll(self.reshape(-1), shifts[0]).reshape(self.shape)
    if len(shifts) != len(dims):
        raise Argument(f"shifts and dimensions must align. shifts: {len(shifts)}, "
                       f"dims:{len(dims)}")
    if not self.ndim:
        for d in dims:
            wrap_dim(d, 0)
        return self.copy()
    return np.roll(self, shifts, [wrap_dim(d, self.ndim) for d in dims])


def opposite(shifts):
    return -shifts if isinstance(shifts, int) else tuple(-s for s in shifts)


rule("roll", roll, inputs=("self",), jvp="linear", helper=True,
     vjp=lambda ct, ins, y, shifts, dims: [ct.roll(opposite(shifts), dims)])


def rot90(input, k=1, dims=(0, 1)):
    """A quarter turn, k times, from the first of `dims` towards the second."""
    if len(dims) != 2:
        raise Argument(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise Argument(f"expected total dims >= 2, but got total dims = {input.ndim}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == input.ndim:
        raise Argument(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 "
                       f"= {dims[1]}")
    for place, d in enumerate(dims):
        if not -input.ndim <= d < input.ndim:
            raise Argument(f"Rotation dim{place} out of range, dim{place} = {d}")
    a, b = dims
    turns = k % 4
    if turns == 1:
        return input.flip(b).transpose(a, b)
    if turns == 2:
        return input.flip((a, b))
    return input.flip(a).transpose(a, b) if turns == 3 else input.clone()


for _name, _function in (("fliplr", fliplr), ("flipud", flipud), ("rot90", rot90)):
    composite(_name, _function, helper=True)

# --- triangles and diagonals ---


def _triangle(name, take):
    def forward(self, diagonal=0):
        if self.ndim < 2:
            raise DimCount(f"{name}: input tensor must have at least 2 dimensions")
        rows, columns = self.shape[-2:]        # no diagonal lies farther off than these
        return take(self, max(-rows, min(int(diagonal), columns))).astype(self.dtype)
    return rule(name, forward, inputs=("self",), jvp="linear", inplace=True, helper=True,
                vjp=lambda ct, ins, y, diagonal: [OPERATIONS[name].function(ct, diagonal)])


_triangle("tril", np.tril)
_triangle("triu", np.triu)


def trace(self):
    if self.ndim != 2:
        raise DimCount("trace: expected a matrix, but got tensor with dim "
                       f"{self.ndim}")
    total = self.astype(np.int64) if self.dtype.kind in "biu" else self
    return np.trace(total.astype(np.float32) if total.dtype.itemsize < 4 else total).astype(
        total.dtype)


rule("trace", trace, inputs=("self",), jvp="linear", helper=True,
     vjp=lambda ct, ins, y: [zeros(ins[0].shape, dtype=ct.dtype).diagonal_scatter(
         ct.expand((min(ins[0].shape),)))])


def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """Matrices whose diagonals are the last dimension of `input`."""
    ndim = input.ndim + 1
    a, b = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if a == b:
        raise DimRepeated(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    n = input._size[-1] + abs(offset)
    size = list(input._size[:-1])
    for d in sorted((a, b)):
        size.insert(d, n)
    out = zeros(tuple(size), dtype=input.dtype)
    return out.diagonal_scatter(input, offset, a, b)


def diag(input, diagonal=0):
    """The diagonal of a matrix, or the matrix with that diagonal."""
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise DimCount("diag(): Supports 1D or 2D tensors. Got "
                       f"{input.ndim}D")
    return input.diagonal(diagonal).clone()


composite("diag_embed", diag_embed, helper=True)
composite("diag", diag, helper=True)
composite("diagflat", lambda input, offset=0: diag_embed(input.reshape(-1), offset), helper=True)


def _scattered(view):
    """`name_scatter`: a copy of the tensor in which the view `name(*args)` holds `src`."""
    def function(input, src, *args, **named):
        out = input.clone()
        part = getattr(out, view)(*args, **named) if view != "slice" else (
            OPERATIONS["slice"].function(out, *args, **named))
        if part._size != src._size:
            raise Argument(f"expected src to have a size equal to the {view} of self. src size = "
                           f"{list(src._size)}, {view} size = {list(part._size)}")
        part.copy_(src)
        return out
    return function


for _view in ("diagonal", "select", "slice"):
    composite(f"{_view}_scatter", _scattered(_view), helper=True)


def as_strided_scatter(input, src, size, stride, storage_offset=None):
    out = input.clone()
    out.as_strided(size, stride, storage_offset).copy_(src)
    return out


composite("as_strided_scatter", as_strided_scatter, helper=True)


def _indices(take):
    def function(row, col, offset=0, *, dtype=None, device=None, layout=None):
        """Rows and columns of the triangle of a (row, col) matrix, shape (2, count)."""
        for name, n in (("row", row), ("col", col)):
            if n < 0:
                raise Argument(f"{name} must be non-negative, got{n}")
        places = np.stack(np.nonzero(take(np.ones((row, col), bool), offset)))
        return OPERATIONS["from_array"].function(places, dtype or dt.int64)
    return function


composite("tril_indices", _indices(np.tril), method=False, helper=True)
composite("triu_indices", _indices(np.triu), method=False, helper=True)
