"""What becomes of the outputs of a custom Function.

They are the very tensors that forward returned, given a place in the graph, whatever they were
before. An input returned as it is becomes a view of it; one that was written moves behind the new
node. A view among several outputs, or one whose backward is the user's, may not be written in place
later: that would bypass the backward. Norm: torch/csrc/autograd/custom_function.cpp.
"""

import warnings

from reference_impl.errors import Argument, LeafWrittenInPlace
from reference_impl.grad_mode import no_grad, state
from reference_impl.inplace import check_history, rebase
from reference_impl.tensor import Tensor


class Outputs:
    """Gives what the forward of a custom Function returned its place in the graph.

    node: of the call, as forward left it. inputs: the tensors among the arguments. recording: whether
    there will be a backward.
    """

    def __init__(self, node, inputs, recording):
        self.node, self.recording = node, recording
        self.inputs = {id(t) for t in inputs}
        self.dirty = _ids_of("mark_dirty can only accept variables", node.dirty_tensors)
        self.without = _ids_of("mark_non_differentiable only accepts variable arguments",
                               node.non_differentiable)
        for t in node.dirty_tensors:
            t._counter.value += 1

    def placed(self, raw, separate):
        """The outputs as the caller gets them, of those that forward returned.

        separate: setup_context was used. Raises Argument, LeafWrittenInPlace, ViewWriteForbidden.
        """
        node = self.node
        if not self.dirty <= {id(o) for o in raw}:
            raise Argument("Some elements marked as dirty during the forward method were not returned "
                           "as output. The inputs that are modified inplace must all be outputs of the "
                           "Function.")
        if separate and self._saved_as_returned(raw):
            raise Argument("An input that has been returned as-is as output is being saved for "
                           "backward. This is not supported if you override setup_context. You should "
                           "return and save a view of the input instead, e.g. with x.view_as(x) or "
                           "setup ctx inside the forward function itself.")
        tracked = [self._differentiable(o) for o in raw]
        if node._is_pure_view and (len(self.inputs) != 1 or len(raw) != 1):
            raise Argument("Pure view custom Function can only have one input Tensor and one output "
                           "Tensor. Open an issue if you need to support more.")
        outputs = tuple(self._place(o, nr, t, len(raw))
                        for nr, (o, t) in enumerate(zip(raw, tracked, strict=True)))
        for out in outputs:
            if isinstance(out, Tensor) and out._view is not None and not self.written(out):
                out._view.made = self._made(sum(tracked))
        if self.recording:
            node.metas = tuple((o._size, o.dtype) if isinstance(o, Tensor) else ((), None)
                               for o in raw)
            node._tracked = tracked
        return outputs

    def _saved_as_returned(self, raw):
        saved = {id(t) for t in self.node.to_save or ()}
        return any(id(o) in saved & self.inputs and id(o) not in self.dirty for o in raw)

    def _made(self, tracked):
        """How a view among the outputs counts as made: whether it may be written in place."""
        if tracked > 1:
            return "multi_output"
        if not self.node._is_pure_view:
            return "custom"
        return "normal" if state.enabled else "no_grad"

    def written(self, t):
        """Whether it is an input that forward wrote."""
        return id(t) in self.dirty and id(t) in self.inputs

    def can_vary(self, out):
        """Whether an output can have a derivative at all."""
        return out.dtype.is_differentiable and id(out) not in self.without

    def _differentiable(self, out):
        return self.recording and isinstance(out, Tensor) and self.can_vary(out)

    def _place(self, out, nr, tracked, count):
        """One output as the caller gets it."""
        if not isinstance(out, Tensor):
            return out
        is_input = id(out) in self.inputs
        if not tracked:
            return self._untracked(out, is_input)
        if id(out) in self.dirty:
            return self._rebased(out, nr, is_input, count)
        if is_input:
            with no_grad():
                out = out.view_as(out)
        out._node, out._nr, out._leaf_grad = self.node, nr, False
        return out

    def _untracked(self, out, is_input):
        if not out.requires_grad:
            if is_input and id(out) not in self.dirty:
                with no_grad():
                    out = out.view_as(out)
            return out
        if is_input:
            return out.detach()
        return out if out._view is not None else out.detach_()

    def _rebased(self, out, nr, is_input, count):
        if out.requires_grad and out._node is None:      # not is_leaf: a forbidden view refuses to say
            raise LeafWrittenInPlace("a leaf Variable that requires grad has been used in an in-place "
                                     "operation.")
        if not is_input:
            stray = ("ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that "
                     "have been mutated should be passed to ctx.mark_dirty().")
            if out._view is not None:
                raise Argument(stray)
            warnings.warn(stray, stacklevel=5)
        check_history(out)
        if out._view is not None and count > 1:
            raise Argument(
                "If your Function modifies inplace an input that is a view of another Tensor, your "
                "Function cannot return more than one Tensor. This is not supported by the current "
                "autograd engine. You should either make sure the input is not a view (using .clone() "
                "for example) or make your Function only return one Tensor (potentially splitting it "
                "into two Functions: one doing the inplace that returns a single Tensor and a second "
                "one that does the other operations).")
        out._grad = None
        rebase(out, self.node, nr)
        return out


def _ids_of(refusal, tensors):
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise Argument(f"{refusal}, but argument {i} is of type {type(t).__name__}")
    return {id(t) for t in tensors}
