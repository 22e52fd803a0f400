"""copy_: values of one tensor written over another, whatever the dtypes; zero_ and fill_."""

from reference_impl.dispatch import wrap_number
from reference_impl.errors import ArgumentType
from reference_impl.grad_mode import state
from reference_impl.graph import make_node
from reference_impl.inplace import check_history, rebase, write
from reference_impl.overlap import check_internal, check_partial
from reference_impl.promotion import NUMBER
from reference_impl.rule import RULES, composite, rule
from reference_impl.tensor import Tensor

# what copy_ means for the graph; the write itself is below
rule("copy", lambda self, src, non_blocking=False: src, inputs=("self", "src"),
     node="CopyBackwards", method=False, function=False,
     vjp=lambda ct, ins, y, non_blocking: [None, ct],
     jvp=lambda t, ins, y, non_blocking: t[1].expand(ins[0].shape).to(ins[0].dtype))
rule("fill", lambda self, value: value, inputs=("self", "value"), numbers=True,
     node="FillBackward0", method=False, function=False,
     vjp=lambda ct, ins, y: [None, ct.sum()],
     jvp=lambda t, ins, y: t[1].expand(ins[0].shape))


def copy_(input, src, non_blocking=False):
    """Write `src`, broadcast and cast, over the tensor. Complex to real keeps the real part."""
    if not isinstance(src, Tensor):
        raise ArgumentType(f"copy_(): argument 'other' (position 1) must be Tensor, not "
                           f"{type(src).__name__}")
    if src is input:
        return input
    recording = state.enabled and (input.requires_grad or src.requires_grad)
    if recording:
        check_history(input)
    expanded = src if src._size == input._size else src.expand(input._size)
    check_internal(input)
    check_partial(input, expanded)
    node = None
    if recording and input.dtype.is_differentiable:
        node = make_node(RULES["copy"], [input, src], [input, src], {"non_blocking": False},
                         [input], False)
    write(input, expanded._array)
    if node is not None:
        rebase(input, node)
    return input


def fill_(input, value):
    """Write one number (or zero-dim tensor) everywhere."""
    if isinstance(value, NUMBER):
        value = wrap_number(value)
    recording = state.enabled and (input.requires_grad or value.requires_grad)
    if recording:
        check_history(input)
    check_internal(input)
    node = None
    if recording and input.dtype.is_differentiable:
        node = make_node(RULES["fill"], [input, value], [input, value], {}, [input], False)
    write(input, value._array)
    if node is not None:
        rebase(input, node)
    return input


def zero_(input):
    """Write zeros. The node is named as torch names it."""
    return fill_(input, 0)


composite("copy_", copy_, function=False)
composite("fill_", fill_)
composite("zero_", zero_)

