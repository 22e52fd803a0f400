"""autograd.functional: whole Jacobians and Hessians, and their products with vectors."""

from reference_impl.creation import ones_like, zeros_like
from reference_impl.errors import Argument, ArgumentType, GradMismatch
from reference_impl.grad_mode import enable_grad
from reference_impl.tensor import Tensor


def _tuple(x, what):
    single = not isinstance(x, (tuple, list))
    values = (x,) if single else tuple(x)
    for i, v in enumerate(values):
        if not isinstance(v, Tensor):
            raise ArgumentType(f"The {what} must be either a Tensor or a tuple of Tensors but the "
                               f"value at index {i} has type {type(v)}.")
    return values, single


def _fresh(inputs, create_graph):
    """Inputs as leaves, or, when the result is to be differentiable, as views of the given."""
    if create_graph:
        return tuple(x.view_as(x) if x.requires_grad else x.detach().requires_grad_()
                     for x in inputs)
    return tuple(x.detach().requires_grad_() for x in inputs)


def _grads(outputs, inputs, cts, create_graph):
    from reference_impl.autograd import grad
    pairs = [(o, c) for o, c in zip(outputs, cts, strict=True) if o.requires_grad]
    if not pairs:
        return tuple(zeros_like(x) for x in inputs)
    return grad([o for o, _ in pairs], inputs, [c for _, c in pairs], create_graph=create_graph,
                allow_unused=True, materialize_grads=True)


def _vectors(v, like, what):
    if v is None:
        if len(like) == 1 and like[0].numel() == 1:
            return (ones_like(like[0]),)
        raise Argument(f"The vector v can only be None if {what} is a single Tensor with a single "
                       "element.")
    v, _ = _tuple(v, "v")
    if [x._size for x in v] != [x._size for x in like]:
        raise GradMismatch("v has invalid size: should be the size of what it is multiplied with")
    return v


def _done(values, single, create_graph):
    values = tuple(values) if create_graph else tuple(x.detach() for x in values)
    return values[0] if single else values


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), v transposed times its Jacobian)."""
    with enable_grad():
        inputs, single = _tuple(inputs, "inputs given to vjp")
        inputs = _fresh(inputs, create_graph)
        outputs, one_out = _tuple(func(*inputs), "outputs of the user-provided function")
        if strict:
            _check_strict(outputs)
        v = _vectors(v, outputs, "the user-provided function returns")
        got = _grads(outputs, inputs, v, create_graph)
    return _done(outputs, one_out, create_graph), _done(got, single, create_graph)


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), its Jacobian times v), by differentiating the vjp."""
    with enable_grad():
        inputs, _ = _tuple(inputs, "inputs given to jvp")
        v = _vectors(v, inputs, "the input")
        inputs = _fresh(inputs, create_graph)
        outputs, one_out = _tuple(func(*inputs), "outputs of the user-provided function")
        if strict:
            _check_strict(outputs)
        cts = tuple(zeros_like(o).requires_grad_() for o in outputs)
        back = _grads(outputs, inputs, cts, True)
        got = _grads(back, cts, v, create_graph)
    return _done(outputs, one_out, create_graph), _done(got, one_out, create_graph)


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False,
             strategy="reverse-mode"):
    """d outputs / d inputs: shape output + input, nested tuples where several are given."""
    from reference_impl.dispatch import FUNCTIONS
    with enable_grad():
        inputs, single = _tuple(inputs, "inputs given to jacobian")
        inputs = _fresh(inputs, create_graph)
        outputs, one_out = _tuple(func(*inputs), "outputs of the user-provided function")
        if strict:
            _check_strict(outputs)
        rows = []
        for out in outputs:
            flat, found = out.reshape(-1), []
            for k in range(flat.numel()):
                seed = zeros_like(flat.detach())
                seed[k] = 1
                found.append(_keeping(flat, inputs, seed, create_graph))
            rows.append(tuple(
                FUNCTIONS["stack"]([f[i] for f in found]).view(out._size + x._size) if found
                else x.new_zeros(out._size + x._size) for i, x in enumerate(inputs)))
    rows = [_done(r, single, create_graph) for r in rows]
    return rows[0] if one_out else tuple(rows)


def _check_strict(outputs):
    for i, out in enumerate(outputs):
        if not out.requires_grad:
            raise Argument(f"Output {i} of the user-provided function does not require gradients. The "
                           "outputs must be computed in a differentiable manner from the input when "
                           "running in strict mode.")


def _keeping(out, inputs, seed, create_graph):
    from reference_impl.autograd import grad
    if not out.requires_grad:
        return tuple(zeros_like(x) for x in inputs)
    return grad(out, inputs, seed, retain_graph=True, create_graph=create_graph,
                allow_unused=True, materialize_grads=True)


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False,
            outer_jacobian_strategy="reverse-mode"):
    """Second derivatives of a function with one scalar output."""
    inputs, single = _tuple(inputs, "inputs given to hessian")

    def gradient(*xs):
        return jacobian(_scalar(func), xs if not single else xs[0], create_graph=True)
    return jacobian(gradient, inputs if not single else inputs[0], create_graph)


def _scalar(func):
    def checked(*xs):
        out = func(*xs)
        if not isinstance(out, Tensor) or out.numel() != 1:
            raise Argument("The Tensor returned by the function given to hessian should contain a "
                           "single element")
        return out.reshape(())
    return checked


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), v transposed times its Hessian)."""
    with enable_grad():
        inputs, single = _tuple(inputs, "inputs given to vhp")
        v = _vectors(v, inputs, "the input")
        inputs = _fresh(inputs, create_graph)
        out = _scalar(func)(*inputs)
        first = _grads((out,), inputs, (ones_like(out),), True)
        got = _grads(first, inputs, v, create_graph)
    return _done((out,), True, create_graph), _done(got, single, create_graph)


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), its Hessian times v)."""
    with enable_grad():
        inputs, single = _tuple(inputs, "inputs given to hvp")
        v = _vectors(v, inputs, "the input")
        inputs = _fresh(inputs, create_graph)
        out = _scalar(func)(*inputs)
        first = _grads((out,), inputs, (ones_like(out),), True)
        cts = tuple(zeros_like(f).requires_grad_() for f in first)
        again = _grads(first, inputs, cts, True)
        got = _grads(again, cts, v, create_graph)
    return _done((out,), True, create_graph), _done(got, single, create_graph)
