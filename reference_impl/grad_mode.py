"""The modes of a thread: whether operations are recorded, and how backward goes about it.

Norm: torch docs, "Locally disabling gradient computation", and torch.autograd.grad_mode.
"""

import functools
import inspect
import sys
import threading
import warnings


class _State(threading.local):
    enabled = True
    inference = False
    multithreading = True        # no difference here: one thread computes
    layout_enforced = True       # a new `.grad` has its tensor's strides
    view_replay = False          # a view written through another is derived step by step
    batched = False              # several passes stand for one on batched tensors


state = _State()


def is_grad_enabled():
    return state.enabled


class _Mode:
    """Context manager, and decorator of functions and generators."""

    def __exit__(self, *exc_info):
        raise NotImplementedError

    def clone(self):
        """The same mode, to be entered anew."""
        return type(self)()

    def __call__(self, function):
        if inspect.isclass(function):
            warnings.warn("Decorating classes is deprecated and will be disabled in future versions. You "
                          "should only decorate functions or methods. To preserve the current behavior of "
                          "class decoration, you can directly decorate the `__init__` method and nothing "
                          "else.", FutureWarning, stacklevel=2)
            return lambda *args, **kwargs: self._call(function, *args, **kwargs)
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def decorated(*args, **kwargs):
            return self._call(function, *args, **kwargs)
        return decorated

    def _call(self, function, *args, **kwargs):
        with self.clone():
            return function(*args, **kwargs)

    def _wrap_generator(self, function):
        """Every step of a generator runs in the mode; between steps the caller's mode holds."""
        @functools.wraps(function)
        def decorated(*args, **kwargs):
            generator = function(*args, **kwargs)
            try:
                answer = self._call(generator.send, None)
                while True:
                    try:
                        asked = yield answer
                    except GeneratorExit:
                        self._call(generator.close)
                        raise
                    except BaseException:      # noqa: BLE001 - it was sent to the generator
                        answer = self._call(generator.throw, *sys.exc_info())
                    else:
                        answer = self._call(generator.send, asked)
            except StopIteration as end:
                return end.value
        return decorated


class _GradMode(_Mode):
    mode = True

    def __new__(cls, function=None):
        self = super().__new__(cls)
        return self if function is None else self(function)

    def __enter__(self):
        self._before = state.enabled
        state.enabled = self.mode

    def __exit__(self, *exc_info):
        state.enabled = self._before
        return False


class no_grad(_GradMode):
    """Within it nothing is recorded and results do not require grad."""

    mode = False


class enable_grad(_GradMode):
    """Within it operations are recorded, also inside no_grad."""

    mode = True


class inference_mode(_Mode):
    """As no_grad; what is made within it has no version and never takes part in autograd."""

    def __new__(cls, mode=True):
        if isinstance(mode, bool):
            return super().__new__(cls)
        return cls()(mode)

    def __init__(self, mode=True):
        self.mode = mode

    def __enter__(self):
        self._before = state.enabled, state.inference
        state.inference = self.mode
        state.enabled = not self.mode and state.enabled if self.mode or not self._before[1] else True

    def __exit__(self, *exc_info):
        state.enabled, state.inference = self._before
        return False

    def clone(self):
        return type(self)(self.mode)


def is_inference_mode_enabled():
    return state.inference


class _Switch(_Mode):
    """Sets one of the modes at once when made, and back at the end of a with block."""

    of = None         # which attribute of `state`

    def __init__(self, mode):
        self._before, self.mode = getattr(state, self.of), bool(mode)
        setattr(state, self.of, self.mode)

    def __enter__(self):
        setattr(state, self.of, self.mode)

    def __exit__(self, *exc_info):
        setattr(state, self.of, self._before)
        return False

    def __call__(self, function):
        setattr(state, self.of, self._before)
        return super().__call__(function)

    def clone(self):
        return type(self)(self.mode)

    def __repr__(self):
        return f"torch.autograd.grad_mode.{type(self).__name__}(mode={self.mode})"


class set_grad_enabled(_Switch):
    """Switches recording on or off."""

    of = "enabled"


class set_multithreading_enabled(_Switch):
    """Whether backward may use several threads. Here it makes no difference."""

    of = "multithreading"


class enforce_grad_layout_policy(_Switch):
    """Whether a new `.grad` has to have its tensor's strides rather than those it came with."""

    of = "layout_enforced"

    def __init__(self, enable=True):
        super().__init__(enable)


class _force_original_view_tracking(_Switch):
    """Whether a view whose memory was written is derived by its own chain of views, not as_strided."""

    of = "view_replay"


class batching(_Switch):
    """Within it one pass of several that torch would do at once, by vmap, which refuses some things."""

    of = "batched"

    def __init__(self, mode=True):
        super().__init__(mode)


def is_multithreading_enabled():
    return state.multithreading


def is_view_replay_enabled():
    return state.view_replay


class _unsafe_preserve_version_counter(_Mode):
    """Writes to these tensors within it are not counted."""

    def __init__(self, tensors):
        self.tensors = tensors if isinstance(tensors, tuple) else (tensors,)
        self._before = tuple(t._version for t in self.tensors)

    def __enter__(self):
        pass

    def __exit__(self, *exc_info):
        for t, version in zip(self.tensors, self._before, strict=True):
            t._counter.value = version
        return False
