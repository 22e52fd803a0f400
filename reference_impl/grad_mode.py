"""Whether operations are recorded: no_grad, enable_grad, set_grad_enabled, inference_mode."""

import functools
import inspect
import threading


class _State(threading.local):
    enabled = True
    inference = False


state = _State()


def is_grad_enabled():
    return state.enabled


class _GradMode:
    """Context manager and decorator; generators are entered anew at every step, as in torch."""

    mode = True

    def __enter__(self):
        self._before = state.enabled
        state.enabled = self.mode

    def __exit__(self, *exc_info):
        state.enabled = self._before
        return False

    def clone(self):
        return type(self)()

    def __call__(self, function):
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def decorated(*args, **kwargs):
            with self.clone():
                return function(*args, **kwargs)
        return decorated

    def _wrap_generator(self, function):
        @functools.wraps(function)
        def decorated(*args, **kwargs):
            generator, sent = function(*args, **kwargs), None
            while True:
                try:
                    with self.clone():
                        got = generator.send(sent)
                except StopIteration as end:
                    return end.value
                sent = yield got
        return decorated


class no_grad(_GradMode):
    """Within it nothing is recorded and results do not require grad."""

    mode = False

    def __new__(cls, function=None):
        self = super().__new__(cls)
        return self if function is None else self(function)


class enable_grad(_GradMode):
    """Within it operations are recorded, also inside no_grad."""

    mode = True

    def __new__(cls, function=None):
        self = super().__new__(cls)
        return self if function is None else self(function)


class set_grad_enabled(_GradMode):
    """Switches recording at once when called, back at the end of a with block."""

    def __init__(self, mode):
        self._before, self.mode = state.enabled, bool(mode)
        state.enabled = self.mode

    def __enter__(self):
        state.enabled = self.mode

    def clone(self):
        return type(self)(self.mode)

    def __call__(self, function):
        state.enabled = self._before
        return super().__call__(function)


class inference_mode(_GradMode):
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
