"""Shape functions made of views: reshape, flatten, chunk, movedim and the like. They have no node
of their own in the graph; whether they copy follows from the strides."""

import itertools
import warnings

from reference_impl.casting import bytes_viewed
from reference_impl.dtypes import dtype as dtype_class
from reference_impl.dtypes import int64
from reference_impl.errors import (
    Argument,
    ArgumentType,
    DimCount,
    DimRepeated,
    DtypeUnsupported,
    ShapeMismatch,
    shape_text,
)
from reference_impl.formats import contiguous_format, preserve_format
from reference_impl.forward_ad import set_tangent, tangent_of
from reference_impl.geometry import infer_size, numel, view_stride, wrap_dim
from reference_impl.grad_mode import state
from reference_impl.graph import node_class
from reference_impl.inplace import check_history, check_mode
from reference_impl.rule import composite, rule
from reference_impl.tensor import Tensor, lay, shallow
from reference_impl.views import call, narrowed

rule("clone", lambda self, *, memory_format=None: self, inputs=("self",),
     layout=lambda memory_format: "preserve" if memory_format in (None, preserve_format)
     else memory_format,
     vjp=lambda ct, ins, y, memory_format: [ct], jvp="linear")


def sizes_of(sizes):
    """Sizes given loose or as one sequence."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    return tuple(int(n) for n in sizes)


def reshape(input, *shape, **named):
    """A view where strides allow one, otherwise a copy. Raises ShapeMismatch."""
    size = infer_size(sizes_of(shape or (named.pop("shape"),)), input.numel())
    if view_stride(input._size, input._stride, size) is not None:
        return input.view(size)
    return call("_unsafe_view", input.clone(memory_format=contiguous_format), size)


def contiguous(input, memory_format=contiguous_format):
    """The tensor itself when it is row-major, else a row-major copy."""
    if memory_format is preserve_format:
        raise Argument("preserve memory format is unsupported by the contiguous operator")
    if input.is_contiguous(memory_format=memory_format):
        return input
    return input.clone(memory_format=memory_format)


def flatten(input, start_dim=0, end_dim=-1):
    """Dimensions start_dim to end_dim as one; the tensor itself when that changes nothing."""
    ndim = input.ndim
    start, end = wrap_dim(start_dim, ndim), wrap_dim(end_dim, ndim)
    if start > end:
        raise Argument("flatten() has invalid args: start_dim cannot come after end_dim")
    if ndim == 0:
        return input.reshape((1,))
    if start == end:
        return input
    size = input._size
    return input.reshape(size[:start] + (numel(size[start:end + 1]),) + size[end + 1:])


def ravel(input):
    """All elements in one dimension, contiguous."""
    return input.contiguous().view(-1)


def unflatten(input, dim, sizes):
    """One dimension as several. Raises ShapeMismatch."""
    dim = wrap_dim(dim, input.ndim)
    if input.ndim == 0:
        raise DimCount("unflatten got an unexpected error: Dimension specified as 0 but tensor has "
                       "no dimensions")
    sizes = sizes_of((sizes,))
    if not sizes:
        raise Argument("unflatten: sizes must be non-empty")
    size = input._size
    try:
        sizes = infer_size(sizes, size[dim])
    except ShapeMismatch:
        raise ShapeMismatch(f"unflatten: Provided sizes {shape_text(sizes)} don't multiply up to "
                            f"the size of dim {dim} ({size[dim]}) in the input tensor") from None
    return input.view(size[:dim] + sizes + size[dim + 1:])


def swapaxes(input, axis0, axis1):
    return input.transpose(axis0, axis1)


def swapdims(input, dim0, dim1):
    return input.transpose(dim0, dim1)


def movedim(input, source, destination):
    """Dimensions `source` moved to `destination`, the others kept in order."""
    source = (source,) if isinstance(source, int) else tuple(source)
    destination = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(source) != len(destination):
        raise ShapeMismatch(
            f"movedim: Invalid source or destination dims: source ({shape_text(source)} dims) "
            f"should contain the same number of dims as destination ({shape_text(destination)} "
            "dims)")
    ndim = input.ndim
    if ndim == 0 and all(d in (0, -1) for d in source + destination):
        return call("alias", input)
    from_, to = [wrap_dim(d, ndim) for d in source], [wrap_dim(d, ndim) for d in destination]
    for name, dims, given in (("source", from_, source), ("destination", to, destination)):
        if len(set(dims)) != len(dims):
            raise DimRepeated(f"movedim: repeated dim in `{name}` ({shape_text(given)})")
    order = [None] * ndim
    for d, place in zip(from_, to, strict=True):
        order[place] = d
    rest = iter(d for d in range(ndim) if d not in from_)
    return input.permute([next(rest) if d is None else d for d in order])


def chunk(input, chunks, dim=0):
    """At most `chunks` views of equal size, the last one smaller."""
    if input.ndim == 0:
        raise DimCount("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise Argument(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input._size[wrap_dim(dim, input.ndim)]
    if n == 0:
        return input.split([0] * chunks, dim)
    return input.split(-(-n // chunks), dim)


def tensor_split(input, indices_or_sections=None, dim=0, *, sections=None, indices=None,
                 tensor_indices_or_sections=None):
    """Views at given borders, or `sections` views of nearly equal size."""
    cut = next((x for x in (indices_or_sections, sections, indices, tensor_indices_or_sections)
                if x is not None), None)
    if input.ndim == 0:
        raise DimCount("tensor_split expected at least a 1-dimensional tensor, but got a tensor "
                       "with 0 dims")
    n = input._size[wrap_dim(dim, input.ndim)]
    if isinstance(cut, Tensor):
        if cut.dtype is not int64:
            raise DtypeUnsupported("tensor_split expected tensor_indices_or_sections to have dtype of "
                                   f"long, but got {cut.dtype.scalar_name}")
        if cut.ndim > 1:
            raise DimCount("tensor_split expected tensor_indices_or_sections to be a "
                           "zero-dimensional or one-dimensional tensor, but got a tensor with "
                           f"{cut.ndim} dims")
        cut = cut.tolist()
    if not isinstance(cut, (int, tuple, list)):
        raise ArgumentType("tensor_split() received an invalid combination of arguments: sections or "
                           f"indices are needed, not {type(cut).__name__}")
    if isinstance(cut, int):
        if cut <= 0:
            raise Argument(f"number of sections must be larger than 0, got {cut}")
        small, extra = divmod(n, cut)
        ends, total = [], 0
        for i in range(cut - 1):
            total += small + (i < extra)
            ends.append(total)
        cut = ends
    borders = [None, *cut, None]
    return tuple(call("slice", input, dim, a, b, 1)
                 for a, b in itertools.pairwise(borders))


def scalar_deprecated(input, name, instead):
    """Whether `input` has no dimensions: what transposes matrices then leaves it as it is."""
    if not input._size:
        warnings.warn(f"{name} is deprecated on 0-D tensors. {instead}", UserWarning, stacklevel=3)
    return not input._size


IDENTITY, CONJ = "This function is the identity in these cases.", "Consider using x.conj()."


def matrix_transpose(input, name="mT"):
    if name == "mT" and scalar_deprecated(input, "Tensor.mT", IDENTITY):
        return input
    if input.ndim < 2:
        raise DimCount(f"tensor.{name} is only supported on matrices or batches of matrices. Got "
                       f"{input.ndim}-D tensor.")
    return input.transpose(-2, -1)


def all_reversed(input):
    if not scalar_deprecated(input, "Tensor.T", IDENTITY) and input.ndim != 2:
        warnings.warn("The use of `x.T` on tensors of dimension other than 2 to reverse their "
                      "shape is deprecated and it will throw an error in a future release.",
                      UserWarning, stacklevel=2)
    return input.permute(tuple(range(input.ndim - 1, -1, -1)))


def hermitian(input):
    if scalar_deprecated(input, "Tensor.H", CONJ):
        return input.conj()
    if input.ndim != 2:
        more = " For batches of matrices, consider using tensor.mH" if input.ndim > 2 else ""
        raise DimCount("tensor.H is only supported on matrices (2-D tensors). Got "
                       f"{input.ndim}-D tensor.{more}")
    return input.transpose(0, 1).conj()


def adjoint(input, name="adjoint()"):
    """Conjugate transpose of the last two dimensions."""
    said = name if name == "adjoint()" else f"Tensor.{name}"
    if scalar_deprecated(input, said, CONJ):
        return input.conj()
    return matrix_transpose(input, name).conj()


def view(self, *size, dtype=None, **named):
    """view(sizes) or view(dtype)."""
    if not size and dtype is None and not named:
        raise ArgumentType("view() received an invalid combination of arguments - got (), but "
                           "expected one of: * (torch.dtype dtype) * (tuple of ints size)")
    if size and isinstance(size[0], dtype_class):
        dtype = size[0]
    return bytes_viewed(self, dtype) if dtype is not None else _view_sizes(self, *size, **named)


_view_sizes = Tensor.view
for _name, _function in (("reshape", reshape), ("flatten", flatten), ("ravel", ravel),
                         ("unflatten", unflatten), ("swapaxes", swapaxes), ("movedim", movedim),
                         ("chunk", chunk), ("narrow", narrowed)):
    composite(_name, _function)
composite("contiguous", contiguous, function=False)
for _name, _function in (("swapdims", swapdims), ("moveaxis", movedim), ("adjoint", adjoint),
                         ("tensor_split", tensor_split)):
    composite(_name, _function, helper=True)
for _name, _function in (("view_as", lambda self, other: self.view(other._size)),
                         ("expand_as", lambda self, other: self.expand(other._size)),
                         ("reshape_as", lambda self, other: self.reshape(other._size))):
    composite(_name, _function, function=False, helper=True)
def repeat(self, *repeats, **named):
    """The tensor tiled: dimension i repeats[i] times, new dimensions in front."""
    times = sizes_of(repeats or (named.pop("repeats"),))
    lead = len(times) - self.ndim
    if lead < 0:
        raise ShapeMismatch("Number of dimensions of repeat dims can not be smaller than number of "
                            "dimensions of tensor")
    size = (1,) * lead + self._size
    tiled = self.reshape(tuple(n for s in size for n in (1, s)))
    tiled = tiled.expand(tuple(n for t, s in zip(times, size, strict=True) for n in (t, s)))
    return tiled.clone(memory_format=contiguous_format).view(
        tuple(t * s for t, s in zip(times, size, strict=True)))


composite("repeat", repeat, function=False, helper=True)
composite("split_with_sizes", lambda self, split_sizes, dim=0: self.split(split_sizes, dim),
          helper=True)
IN_PLACE_NODES = {"t": "TBackward1", "transpose": "TransposeBackward1",
                  "swapaxes": "TransposeBackward1", "swapdims": "TransposeBackward1",
                  "unsqueeze": "UnsqueezeBackward1", "as_strided": "AsStridedBackward1"}


def reshaped_in_place(name):
    """`name_`: the same view, taken by the tensor itself; its history gets one step longer."""
    def method(self, *args, **named):
        check_mode(self)
        if state.enabled and self.requires_grad:
            check_history(self)
        before = shallow(self)
        before._node, before._nr, before._view = self.grad_fn, self._nr, self._view
        before._tangent = tangent_of(self)
        made = getattr(before, name)(*args, **named)
        lay(self, made._storage, made.dtype, *made._geometry, made._bits)
        self._counter.value += 1
        if made._node is not None and made is not before:
            last = IN_PLACE_NODES.get(name) or made._node.name()[:-1] + str(
                int(made._node.name()[-1]) + 3)
            made._node.__class__ = node_class(last)
            self._node, self._nr = made._node, made._nr
        if self._view is not None:
            made._view.made, made._view.version = self._view.made, self._counter.value
            self._view = made._view
        if made._tangent is not None:
            set_tangent(self, made._tangent)
        return self
    method.__name__ = f"{name}_"
    return method


for _name in (*IN_PLACE_NODES, "squeeze"):
    setattr(Tensor, f"{_name}_", reshaped_in_place(_name))
Tensor.view = view
Tensor.T, Tensor.mT = property(all_reversed), property(matrix_transpose)
Tensor.H, Tensor.mH = property(hermitian), property(lambda self: adjoint(self, "mH"))
