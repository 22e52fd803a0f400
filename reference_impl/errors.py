"""Refusals: the exception types are Python's (as torch raises them), each with a `kind`.

`kind` is a word of the closed list in specs/vocabulary.toml, so that a program can ask which
rule was broken without reading messages.
"""


class Refusal(Exception):
    """Base of every error this library raises on purpose."""

    kind = "other"


def _kind(name, kind, builtin, doc):
    return type(name, (Refusal, builtin), {"kind": kind, "__doc__": doc, "__module__": __name__})


GraphFreed = _kind("GraphFreed", "graph_freed", RuntimeError,
                   "backward through a graph whose saved tensors were freed")
SavedTensorModified = _kind("SavedTensorModified", "saved_tensor_modified", RuntimeError,
                            "a tensor needed for the gradient was written in place")
LeafWrittenInPlace = _kind("LeafWrittenInPlace", "leaf_written_in_place", RuntimeError,
                           "in-place write to a leaf that requires grad")
ViewOfLeafWritten = _kind("ViewOfLeafWritten", "leaf_written_in_place", RuntimeError,
                          "in-place write to a view of a leaf that requires grad")
ViewWriteForbidden = _kind("ViewWriteForbidden", "view_written_in_place", RuntimeError,
                           "in-place write to a view made by split and the like, or in no_grad")
NotScalar = _kind("NotScalar", "not_scalar", RuntimeError,
                  "an implicit gradient, or a number, asked of a tensor that is not one element")
GradRequired = _kind("GradRequired", "no_grad_required", RuntimeError,
                     "differentiating something that does not require grad")
NoGradRequired = _kind("NoGradRequired", "numpy_of_grad", RuntimeError,
                       "needs a tensor that does not require grad (numpy(), out=)")
UnusedInput = _kind("UnusedInput", "unused_input", RuntimeError,
                    "autograd.grad for a tensor that the outputs do not depend on")
NotLeaf = _kind("NotLeaf", "grad_flag", RuntimeError, "requires_grad changed on a non-leaf")
ViewImpossible = _kind("ViewImpossible", "view_impossible", RuntimeError,
                       "no strides give this shape without copying")
BitSet = _kind("BitSet", "view_impossible", RuntimeError,
               "memory asked for as it lies, of a tensor that is to be read conjugated or negated")
OverlappingWrite = _kind("OverlappingWrite", "overlapping_write", RuntimeError,
                         "one memory location written twice, or read and written")
ShapeMismatch = _kind("ShapeMismatch", "shape_mismatch", RuntimeError, "shapes do not fit")
IndexShapeMismatch = _kind("IndexShapeMismatch", "shape_mismatch", IndexError,
                           "index shapes do not fit")
ValueShapeMismatch = _kind("ValueShapeMismatch", "shape_mismatch", ValueError,
                           "sizes do not fit")
DtypeUnsupported = _kind("DtypeUnsupported", "dtype_unsupported", RuntimeError,
                         "operation not defined for this dtype")
NotImplementedFor = _kind("NotImplementedFor", "dtype_unsupported", NotImplementedError,
                          "operation not implemented for this dtype")
IndexDtype = _kind("IndexDtype", "dtype_unsupported", IndexError, "index of a wrong dtype")
DtypeMismatch = _kind("DtypeMismatch", "dtype_mismatch", RuntimeError,
                      "tensors must have one dtype")
GradDtype = _kind("GradDtype", "grad_dtype", RuntimeError,
                  "only floating and complex tensors can require grad")
GradMismatch = _kind("GradMismatch", "cotangent_mismatch", RuntimeError,
                     "a gradient whose shape or dtype is not the tensor's")
CastRefused = _kind("CastRefused", "cast_refused", RuntimeError,
                    "the result cannot be stored in this dtype")
JoinCastRefused = _kind("JoinCastRefused", "cast_refused", TypeError,
                        "the joined tensors cannot be stored in this dtype")
ValueOverflow = _kind("ValueOverflow", "value_overflow", RuntimeError,
                      "a number that the dtype cannot hold")
IndexOutOfRange = _kind("IndexOutOfRange", "index_out_of_range", IndexError,
                        "index outside the dimension")
RangeExceeded = _kind("RangeExceeded", "index_out_of_range", RuntimeError,
                      "a range that ends outside the dimension")
IndexValueOutOfRange = _kind("IndexValueOutOfRange", "index_out_of_range", RuntimeError,
                             "index tensor holds a position outside the dimension")
NoDimension = _kind("NoDimension", "dim_out_of_range", IndexError, "a tensor without dimensions")
DimOutOfRange = _kind("DimOutOfRange", "dim_out_of_range", IndexError,
                      "no such dimension")
DimCount = _kind("DimCount", "dim_out_of_range", RuntimeError,
                 "the operation needs another number of dimensions")
DimRepeated = _kind("DimRepeated", "dim_repeated", RuntimeError, "a dimension named twice")
EmptyReduction = _kind("EmptyReduction", "empty_reduction", RuntimeError,
                       "reduction without identity over zero elements")
EmptyReductionIndex = _kind("EmptyReductionIndex", "empty_reduction", IndexError,
                            "reduction without identity over zero elements")
Domain = _kind("Domain", "domain", RuntimeError, "an argument outside the operation's domain")
NotDifferentiable = _kind("NotDifferentiable", "not_differentiable", RuntimeError,
                          "the operation has no derivative")
NoForwardMode = _kind("NoForwardMode", "not_differentiable", NotImplementedError,
                      "forward mode through an operation that has no rule for it")
StorageTooSmall = _kind("StorageTooSmall", "storage_out_of_bounds", RuntimeError,
                        "geometry reaches beyond the storage")
LinalgSingular = _kind("LinalgSingular", "singular", RuntimeError,
                       "factorisation or inverse of a singular matrix")
ArgumentType = _kind("ArgumentType", "argument", TypeError,
                     "an argument of a type the operation does not take")
Argument = _kind("Argument", "argument", RuntimeError, "an argument of a wrong value")
ArgumentValue = _kind("ArgumentValue", "argument", ValueError, "an argument of a wrong value")
IndexType = _kind("IndexType", "argument", IndexError, "an index of a type that cannot index")
InferenceMisuse = _kind("InferenceMisuse", "argument", RuntimeError,
                        "a tensor of inference mode used where autograd needs an ordinary one")
UnsupportedDevice = _kind("UnsupportedDevice", "device_unsupported", RuntimeError,
                          "only the cpu exists here")


def shape_text(shape):
    """Shape as torch prints it in messages: [2, 3]."""
    return "[" + ", ".join(str(n) for n in shape) + "]"
