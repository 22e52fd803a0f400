"""What stands in a vjp for an input that its node did not keep."""

from reference_impl.geometry import numel
from reference_impl.tensor import Size


class Unsaved:
    """Stands in a vjp for an input that was not kept: shape and dtype are known, values not.

    Computing with it gives Unsaved again. So a vjp may write all cotangents, and the engine uses
    those that were asked for; using the value of something not kept cannot go unnoticed.
    """

    requires_grad = False
    is_leaf = True

    def __init__(self, size=None, dtype=None, place=None):
        if place is not None:
            self._stride, self._offset = place
        if size is not None:
            self._size, self.shape, self.dtype, self.ndim = size, Size(size), dtype, len(size)

    def size(self, dim=None):
        return self.shape if dim is None else self.shape[dim]

    def numel(self):
        return numel(self._size)

    def dim(self):
        return self.ndim

    def is_floating_point(self):
        return self.dtype.is_floating_point

    def is_complex(self):
        return self.dtype.is_complex

    def _absorb(self, *args, **kwargs):
        own = self.__dict__      # past __getattr__, which answers to every name
        return Unsaved(own.get("_size"), own.get("dtype"))

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._absorb

    def __bool__(self):
        raise TypeError("a vjp asks for the truth of an input that its rule does not save")

    def __iter__(self):
        raise TypeError("a vjp unpacks an input that its rule does not save")


for _op in ["add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "pow", "rpow", "neg", "matmul", "rmatmul", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor", "invert", "mod", "floordiv", "getitem", "abs", "rand", "ror"]:
    setattr(Unsaved, f"__{_op}__", Unsaved._absorb)
Unsaved.__hash__ = object.__hash__
