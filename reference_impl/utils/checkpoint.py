"""torch.utils.checkpoint: what forward would save is computed again when backward asks for it.

Without reentrant backward it is an exercise in hooks on saved tensors. While `function` runs, the
pack hook saves nothing: it leaves a numbered place (`_Place`). The first time a backward asks for one,
`function` runs again, now with hooks that put what would be saved, in the same order, into the places
that are still alive. Checkpoints may be nested: the arguments of an inner one are saved through the
hooks of the outer one, and its places are filled by a run of its own. A graph that is walked again
needs another run; so each backward has its own fillings. Norm: torch docs, torch.utils.checkpoint.
"""

import contextlib
import itertools
import warnings
import weakref
from collections import defaultdict

from reference_impl.engine import current
from reference_impl.errors import Argument
from reference_impl.function import Function
from reference_impl.grad_mode import enable_grad, no_grad, state
from reference_impl.random import get_rng_state, set_rng_state
from reference_impl.saved_hooks import saved_tensors_hooks
from reference_impl.saving import keep
from reference_impl.tensor import Tensor

__all__ = ["CheckpointError", "CheckpointFunction", "checkpoint", "checkpoint_sequential",
           "set_checkpoint_early_stop"]

_outside = itertools.count(-2, -1)       # numbers for what is asked for outside of any backward
_early_stop = None                       # set_checkpoint_early_stop, which goes before the argument


class CheckpointError(RuntimeError):
    """The second run did not save what the first did."""


class _Enough(Exception):
    """All places are filled: the rest of the function need not run again."""


@contextlib.contextmanager
def set_checkpoint_early_stop(enable):
    """Whether runs within it end as soon as nothing more is needed; it counts in forward."""
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


def _nothing():
    return contextlib.nullcontext(), contextlib.nullcontext()


def checkpoint(function, *args, use_reentrant=None, context_fn=_nothing, determinism_check="default",
               debug=False, early_stop=True, **kwargs):
    """function(*args, **kwargs), which saves nothing for backward but its arguments.

    context_fn: gives two contexts, for the first and the second run. determinism_check "default":
    the second run must save tensors of the same shapes and dtypes; "none". early_stop: it ends as
    soon as it has saved all. preserve_rng_state (a keyword): it draws the same random numbers.
    Raises ArgumentValue; in backward CheckpointError.
    """
    if use_reentrant is None:
        warnings.warn("torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
                      "use_reentrant=False is recommended, but if you need to preserve the current "
                      "default behavior, you can pass use_reentrant=True.", UserWarning, stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not _nothing or debug:
            raise ValueError("Passing `context_fn` or `debug` is only supported when "
                             "use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve, *args)
    if determinism_check not in ("default", "none"):
        raise ValueError("determinism_check should be one of ['default', 'none'], but got "
                         f"{determinism_check}")
    first, second = context_fn()
    if not state.enabled:
        return function(*args, **kwargs)
    run = _Run(function, args, kwargs, get_rng_state() if preserve else None, second,
               early_stop if _early_stop is None else _early_stop, determinism_check == "default")
    with saved_tensors_hooks(run.reserve, run.fetch), first:
        out = function(*args, **kwargs)
    run.complete = True
    return out


class _Place:
    """What stands in the graph for a tensor that was not saved.

    keys: number of the backward -> the key under which the second run for it left the tensor; None
    once it was taken.
    """

    def __init__(self):
        self.keys = {}


class _Key:
    """Held by a place. What was left under it goes when the place does."""


class _Run:
    """One checkpointed call: its places, and its runs again."""

    def __init__(self, function, args, kwargs, rng_state, context, early_stop, check):
        self.function, self.kwargs, self.rng_state, self.context = function, kwargs, rng_state, context
        self.early_stop, self.check, self.complete, self.stray = early_stop, check, False, False
        # through whatever hooks are in force: an outer checkpoint leaves places for these, too
        self.args = [keep(a) if isinstance(a, Tensor) else a for a in args]
        self.tensors = [isinstance(a, Tensor) for a in args]
        self.places, self.kinds = [], []
        self.counts = defaultdict(int)
        self.left = defaultdict(weakref.WeakKeyDictionary)

    def reserve(self, t):
        """The pack hook of the first run."""
        place = _Place()
        self.places.append(weakref.ref(place))
        self.kinds.append((t.shape, t.dtype, t.device))
        return place

    def fetch(self, place):
        """The unpack hook: runs the function again, once for each backward."""
        number = next(_outside) if current.number < 0 else current.number
        if number not in self.counts:
            self._again(number)
        key = place.keys.get(number)
        if key is None:
            raise CheckpointError("torch.utils.checkpoint: Unpack is being triggered for a tensor that was "
                                  "either never recomputed, or already unpacked once.")
        place.keys[number] = None
        return self.left[number][key]

    def _again(self, number):
        self.counts[number] = 0
        args = [a.unpack() if is_tensor else a
                for a, is_tensor in zip(self.args, self.tensors, strict=True)]
        with contextlib.suppress(_Enough), _drawing_from(self.rng_state), \
                saved_tensors_hooks(self._filler(number), lambda t: t), enable_grad(), self.context:
            self.function(*args, **self.kwargs)
        if not self.stray:
            self._compare(number)

    def _filler(self, number):
        """The pack hook of the second run. It does not hold the run: that would be a cycle."""
        ref = weakref.ref(self)

        def fill(t):
            run, t = ref(), t.detach() if t.requires_grad else t
            at = run.counts[number]
            run.counts[number] += 1
            if at >= len(run.places):
                if not run.complete:      # backward within the function: what follows is not known yet
                    run.stray = True
                    return t
                raise CheckpointError("torch.utils.checkpoint: trying to save more tensors during "
                                      "recomputation than during the original forward pass.")
            place = run.places[at]()
            if place is not None:
                key = place.keys[number] = _Key()
                run.left[number][key] = t
            if run.early_stop and run.counts[number] == len(run.places):
                raise _Enough
            return t
        return fill

    def _compare(self, number):
        if self.counts[number] != len(self.places):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original "
                f"forward and recomputation.\nNumber of tensors saved during forward: {len(self.places)}\n"
                f"Number of tensors saved during recomputation: {self.counts[number]}.")
        wrong = []
        for i, (ref, kind) in enumerate(zip(self.places, self.kinds, strict=True)):
            place = ref()
            if place is not None and self.check:
                t = self.left[number][place.keys[number]]
                if (t.shape, t.dtype, t.device) != kind:
                    wrong.append(f"tensor at position {i}:\nsaved metadata: {kind}\nrecomputed metadata: "
                                 f"{(t.shape, t.dtype, t.device)}\n")
        if wrong:
            raise CheckpointError("torch.utils.checkpoint: Recomputed values for the following tensors "
                                  "have different metadata than during the forward pass.\n"
                                  + "".join(wrong))


@contextlib.contextmanager
def _drawing_from(rng_state):
    """Random numbers as they were; afterwards as if none had been drawn. None: no difference."""
    if rng_state is None:
        yield
        return
    before = get_rng_state()
    set_rng_state(rng_state)
    try:
        yield
    finally:
        set_rng_state(before)


class CheckpointFunction(Function):
    """The other kind: forward without recording; backward records it anew and walks that graph."""

    @staticmethod
    def forward(ctx, function, preserve_rng_state, *args):
        if not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", UserWarning,
                          stacklevel=5)
        ctx.function, ctx.rng_state = function, get_rng_state() if preserve_rng_state else None
        ctx.rest = [None if isinstance(a, Tensor) else a for a in args]
        ctx.are_tensors = [isinstance(a, Tensor) for a in args]
        ctx.save_for_backward(*(a for a in args if isinstance(a, Tensor)))
        with no_grad():
            return function(*args)

    @staticmethod
    def backward(ctx, *cts):
        from reference_impl.autograd import backward
        if current.task.useful is not None:
            raise Argument("When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or "
                           "passing an `inputs` parameter to .backward(). To resolve this error, you can "
                           "either set use_reentrant=False, or call .backward() without passing the "
                           "`inputs` argument.")
        tensors = iter(ctx.saved_tensors)
        args = []
        for value, is_tensor in zip(ctx.rest, ctx.are_tensors, strict=True):
            if is_tensor:
                t = next(tensors)
                value = t.detach().requires_grad_(t.requires_grad)
            args.append(value)
        with _drawing_from(ctx.rng_state), enable_grad():
            outputs = ctx.function(*args)
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        pairs = [(out, ct) for out, ct in zip(outputs, cts, strict=True)
                 if isinstance(out, Tensor) and out.requires_grad]
        if not pairs:
            raise Argument("none of output has requires_grad=True, this checkpoint() is not necessary")
        backward([out for out, _ in pairs], [ct for _, ct in pairs])
        return (None, None, *(a.grad if isinstance(a, Tensor) else None for a in args))


def checkpoint_sequential(functions, segments, input, use_reentrant=None, **kwargs):
    """functions applied one after another, all but the last of `segments` runs of them checkpointed."""
    functions = list(functions)
    size = len(functions) // segments
    starts = [k * size for k in range(segments)]

    def applied(part):
        def run(x):
            for function in part:
                x = function(x)
            return x
        return run
    for start in starts[:-1]:
        input = checkpoint(applied(functions[start:start + size]), input, use_reentrant=use_reentrant,
                           **kwargs)
    return applied(functions[starts[-1]:])(input)
