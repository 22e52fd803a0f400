"""A graph goes when its last result goes, at once: nothing in it leads back to a result."""

import gc
import weakref

import pytest

import reference_impl as T

PROGRAMS = {
    "a result that its own node keeps": lambda x: x.exp(),
    "written in place": lambda x: x.clone().mul_(2).exp_(),
    "written through a view": lambda x: _through_view(x.clone()),
    "a view of what was written": lambda x: _through_view(x.clone())[1:],
    "a gradient that is kept": lambda x: _retaining(x * 2),
    "a refused overload": lambda x: x / 2,
    "a custom function": lambda x: _Double.apply(x),
    "after backward": lambda x: _after_backward(x.exp()),
    "a recorded gradient": lambda x: T.autograd.grad((x ** 3).sum(), x, create_graph=True)[0],
}


class _Double(T.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x * 2
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx, ct):
        return ct * 2


def _through_view(y):
    y[:2].exp_()
    y.view(3)[1:].mul_(3)
    return y


def _retaining(y):
    y.retain_grad()
    y.sum().backward()
    return y


def _after_backward(y):
    y.sum().backward()
    return y


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def node_outlives(program):
    """Whether the node of a program's result is still there when the result is not."""
    y = program(T.ones(3, requires_grad=True))
    ref = weakref.ref(y.grad_fn)
    del y
    return ref() is not None


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_graph_goes_with_its_last_result(name, no_collector):
    assert not node_outlives(PROGRAMS[name])


def test_a_planted_cycle_is_found(no_collector):
    def cyclic(x):
        y = x * 2
        y.grad_fn.metadata["result"] = y
        return y
    assert node_outlives(cyclic)
