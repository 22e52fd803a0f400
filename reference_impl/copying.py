"""copy_: values of one tensor written over another, whatever the dtypes; zero_ and fill_."""

from reference_impl.creation import zeros_like
from reference_impl.errors import ArgumentType, ShapeMismatch
from reference_impl.forward_ad import has_tangent, level, tangents_of, write_tangent
from reference_impl.geometry import broadcast_shapes
from reference_impl.grad_mode import state
from reference_impl.graph import edges_of, make_node
from reference_impl.inplace import check_history, check_result_shape, rebase, write
from reference_impl.overlap import check_internal, check_partial
from reference_impl.promotion import NUMBER
from reference_impl.rule import RULES, composite, rule
from reference_impl.scalars import number_as
from reference_impl.tensor import Tensor

# what these mean for the graph (as torch names the nodes); the writes themselves are below
rule("copy", lambda self, src, non_blocking=False: src, inputs=("self", "src"),
     node="CopyBackwards", method=False, function=False, helper=True,
     vjp=lambda ct, ins, y, non_blocking: [zeros_like(ct), ct],
     jvp=lambda t, ins, y, non_blocking: t[1].expand(ins[0].shape).to(ins[0].dtype))
rule("_fill_tensor", lambda self, value: value, inputs=("self", "value"),
     node="FillBackward3", method=False, function=False,
     vjp=lambda ct, ins, y: [zeros_like(ct), ct.sum()],
     jvp=lambda t, ins, y: t[1].expand(ins[0].shape))
for _name, _node in (("_fill_number", "FillBackward2"), ("_zero", "ZeroBackward0")):
    rule(_name, lambda self: self, inputs=("self",), node=_node, method=False, function=False,
         vjp=lambda ct, ins, y: [zeros_like(ct)], jvp=lambda t, ins, y: zeros_like(t[0]))


def copy_(input, src, non_blocking=False):
    """Write `src`, broadcast and cast, over the tensor. Complex to real keeps the real part."""
    if not isinstance(src, Tensor):
        raise ArgumentType(f"copy_(): argument 'other' (position 1) must be Tensor, not "
                           f"{type(src).__name__}")
    recording = state.enabled and (input.requires_grad or src.requires_grad)
    if recording:
        check_history(input)
    if src is not input:
        check_internal(input)
        check_partial(input, src)
    if src._size != input._size:
        check_result_shape(input, broadcast_shapes(input._size, src._size))
    expanded = src if src._size == input._size else src.expand(input._size)
    node = None
    if recording and input.dtype.is_differentiable:
        node = make_node(RULES["copy"], [input, src], edges_of([input, src]), {"non_blocking": False},
                         [input], False)
    write(input, expanded._array)
    if node is not None:
        rebase(input, node)
    _write_tangent(RULES["copy"], [input, src], {"non_blocking": False})
    return input


def fill_(input, value):
    """Write one number, or the value of a zero-dim tensor, everywhere.

    Raises ValueOverflow for a number that the dtype cannot hold.
    """
    if isinstance(value, NUMBER):
        return _overwrite(RULES["_fill_number"], [input], number_as(value, input.dtype.np))
    if not isinstance(value, Tensor):
        raise ArgumentType("fill_() received an invalid combination of arguments - got "
                           f"({type(value).__name__}), but expected one of: (Tensor value) (Number "
                           "value)")
    if state.enabled and (input.requires_grad or value.requires_grad):
        check_history(input)
    if value._size:
        raise ShapeMismatch("fill_ only supports 0-dimension value tensor but got tensor with "
                            f"{len(value._size)} dimensions.")
    check_internal(input)        # torch asks this of a tensor only: a number may go anywhere
    return _overwrite(RULES["_fill_tensor"], [input, value], value._array)


def zero_(input):
    """Write zeros."""
    return _overwrite(RULES["_zero"], [input], number_as(0, input.dtype.np))


def _write_tangent(rule_, ins, arguments):
    if level.depth and has_tangent(ins):
        write_tangent(ins[0], tangents_of(rule_, ins, ins[0], arguments)[0])


def _overwrite(rule_, ins, array):
    target, node = ins[0], None
    recording = state.enabled and any(t.requires_grad for t in ins)
    if recording:
        check_history(target)
        if target.dtype.is_differentiable:
            node = make_node(rule_, ins, edges_of(ins), {}, [target], False)
    write(target, array)
    if node is not None:
        rebase(target, node)
    _write_tangent(rule_, ins, {})
    return target


composite("copy_", copy_, function=False)
composite("fill_", fill_)
composite("zero_", zero_)

