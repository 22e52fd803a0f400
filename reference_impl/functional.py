"""autograd.functional: whole Jacobians and Hessians, and their products with vectors.

strict: refuse what does not depend on an input, instead of giving zeros for it. create_graph: the
results can be differentiated. vectorize gives the same numbers and the same errors, here as without
it by one pass for each row, where torch makes one pass over all rows at once (vmap).
"""

from reference_impl import forward_ad
from reference_impl.creation import zeros_like
from reference_impl.errors import Argument, ArgumentType, GradMismatch
from reference_impl.grad_mode import enable_grad, set_grad_enabled, state
from reference_impl.tensor import Size, Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
STRATEGIES = ("forward-mode", "reverse-mode")


def _tensors(given, what, name):
    """A tensor or a tuple of them as a tuple, and whether it was one. Raises ArgumentType."""
    several = isinstance(given, tuple)
    for i, t in enumerate(given if several else (given,)):
        if not isinstance(t, Tensor):
            found = f"value at index {i}" if several else f"given {what}"
            raise ArgumentType(f"The {what} given to {name} must be either a Tensor or a tuple of "
                               f"Tensors but the {found} has type {type(t)}.")
    return (given if several else (given,)), several


def _inputs(given, name, create_graph):
    """The inputs as tensors that only this computation sees, each requiring grad."""
    inputs, several = _tensors(given, "inputs", name)
    return _own(inputs, create_graph, True), several


def _own(tensors, create_graph, requires_grad):
    return tuple(t.view_as(t) if create_graph and t.requires_grad
                 else t.detach().requires_grad_(requires_grad) for t in tensors)


def _outputs(given, name, strict):
    outputs, several = _tensors(given, "outputs of the user-provided function", name)
    if strict:
        _need_grad(outputs, "Output {} of the user-provided function does not require gradients. The "
                   "outputs must be computed in a differentiable manner from the input when running in "
                   "strict mode.")
    return outputs, several


def _single(given, name, strict):
    """The one output, of one element, of a function whose second derivative is asked for."""
    outputs, several = _outputs(given, name, strict)
    if several:
        raise Argument(f"The function given to {name} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise Argument(f"The Tensor returned by the function given to {name} should contain a single "
                       "element")
    return outputs


def _need_grad(tensors, words):
    """strict: each must depend on the inputs. The words are for the first that does not."""
    for i, t in enumerate(tensors):
        if t is None:
            raise Argument(f"The output of the user-provided function is independent of input {i}. This "
                           "is not allowed in strict mode.")
        if not t.requires_grad:
            raise Argument(words.format(i))


def _vector(v, name, like, several, create_graph, absent):
    """What the Jacobian is multiplied by; None stands for the number one.

    absent: says when it may be None. Raises Argument, GradMismatch.
    """
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise Argument(f"The vector v can only be None if {absent} a single Tensor with a single "
                           "element.")
        return None
    v = _own(_tensors(v, "v", name)[0], create_graph, False)
    if len(v) != len(like):
        raise GradMismatch(f"v is a tuple of invalid length: should be {len(like)} but got {len(v)}."
                           if several else "The given v should contain a single Tensor.")
    for i, (mine, theirs) in enumerate(zip(v, like, strict=True)):
        if mine._size != theirs._size:
            entry = f"Entry {i} in " if several else ""
            raise GradMismatch(f"{entry}v has invalid size: should be {Size(theirs._size)} but got "
                               f"{Size(mine._size)}.")
    return v



def _gradients(outputs, inputs, cts=None, **how):
    """autograd.grad of those outputs that require grad; None for inputs they do not depend on."""
    from reference_impl.autograd import grad
    pairs = [(out, ct) for out, ct in zip(outputs, cts or (None,) * len(outputs), strict=True)
             if out is not None and out.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    return grad([out for out, _ in pairs], inputs, [ct for _, ct in pairs], allow_unused=True, **how)


def _filled(gradients, like, strict, create_graph, missing, constant):
    """Zeros for gradients that are None. strict: refuses those, and any that cannot be differentiated
    although create_graph asks for it. missing, constant: the words for the two refusals."""
    for i, g in enumerate(gradients):
        if strict and g is None:
            raise Argument(missing.format(i) + " This is not allowed in strict mode.")
        if strict and create_graph and not g.requires_grad:
            raise Argument(constant.format(i) + " This is not allowed in strict mode when "
                           "create_graph=True.")
    return tuple(zeros_like(x) if g is None else g for g, x in zip(gradients, like, strict=True))


CONSTANT_JACOBIAN = "The jacobian of the user-provided function is independent of input {}."
CONSTANT_HESSIAN = "The hessian of the user-provided function is independent of input {}."
LINEAR = ("While computing the hessian, found that the jacobian of the user-provided function with "
          "respect to input {} is independent of the input. This is not allowed in strict mode. You "
          "should ensure that your function is twice differentiable and that the jacobian depends on the "
          "inputs (this would be violated by a linear function for example).")


def _given_back(tensors, several, create_graph):
    tensors = tensors if create_graph else tuple(t.detach() for t in tensors)
    return tensors if several else tensors[0]


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), v transposed times its Jacobian); v like the outputs, the result like inputs."""
    with enable_grad():
        inputs, several = _inputs(inputs, "vjp", create_graph)
        outputs, many = _outputs(func(*inputs), "vjp", strict)
        v = _vector(v, "vjp", outputs, many, create_graph, "the user-provided function returns")
    with set_grad_enabled(create_graph or state.enabled):
        got = _filled(_gradients(outputs, inputs, v, create_graph=create_graph), inputs, strict,
                      create_graph, "The output of the user-provided function is independent of input "
                      "{}.", CONSTANT_JACOBIAN)
    return _given_back(outputs, many, create_graph), _given_back(got, several, create_graph)


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), its Jacobian times v); v like the inputs, the result like the outputs.

    u -> Jᵀu is linear, so the derivative of its product with v by u is J v, wherever u is.
    """
    with enable_grad():
        inputs, several = _inputs(inputs, "jvp", create_graph)
        v = _vector(v, "jvp", inputs, several, create_graph, "the input to the user-provided function is")
        outputs, many = _outputs(func(*inputs), "jvp", strict)
        u = tuple(zeros_like(out, requires_grad=True) for out in outputs)
        back = _gradients(outputs, inputs, u, create_graph=True)
        if strict:
            _need_grad(back, "The gradient with respect to input {} is independent of the inputs of the "
                       "user-provided function. This is not allowed in strict mode.")
    with set_grad_enabled(create_graph or state.enabled):
        got = _filled(_gradients(back, u, v, create_graph=create_graph), outputs, strict, create_graph,
                      "The gradient with respect to the input is independent of entry {} in the "
                      "grad_outputs when using the double backward trick to compute forward mode "
                      "gradients.", CONSTANT_JACOBIAN)
    return _given_back(outputs, many, create_graph), _given_back(got, many, create_graph)


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False,
             strategy="reverse-mode"):
    """d outputs / d inputs: of shape output + input; [output][input] where tuples are given.

    By rows, with backward; strategy "forward-mode": by columns, with tangents (func runs for each).
    """
    if strategy not in STRATEGIES:
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If '
                             'your function has more outputs than inputs, "forward-mode" tends to be more '
                             'performant. Otherwise, prefer to use "reverse-mode".')
    if strategy == "forward-mode":
        _check_forward(create_graph, strict, vectorize)
        return _by_columns(func, inputs)
    with enable_grad():
        inputs, several = _inputs(inputs, "jacobian", create_graph)
        outputs, many = _outputs(func(*inputs), "jacobian", strict)
        if vectorize and strict:
            raise Argument("torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are "
                           "not supported together. Please either set `strict=False` or "
                           "`vectorize=False`.")
        rows = tuple(_given_back(_rows(i, out, inputs, create_graph, strict), several, create_graph)
                     for i, out in enumerate(outputs))
    return rows if many else rows[0]


def _rows(i, out, inputs, create_graph, strict):
    """Of output i: for each input, its derivative by it."""
    from reference_impl.dispatch import FUNCTIONS
    found = []
    for element in out.reshape(-1).unbind(0):
        found.append(_filled(
            _gradients((element,), inputs, retain_graph=True, create_graph=create_graph), inputs, strict,
            create_graph, f"Output {i} of the user-provided function is independent of input {{}}.",
            CONSTANT_JACOBIAN))
    return tuple(FUNCTIONS["stack"]([row[k] for row in found]).view(out._size + x._size)
                 for k, x in enumerate(inputs))


def _check_forward(create_graph, strict, vectorize):
    refused = "torch.autograd.functional.jacobian: `{0}=True` and `strategy=\"forward-mode\"` are not " \
              "supported together (yet). Please either set `{0}=False` or `strategy=\"reverse-mode\"`."
    if create_graph:
        raise NotImplementedError(refused.format("create_graph"))
    if strict:
        raise Argument(refused.format("strict"))
    if not vectorize:
        raise NotImplementedError("Computing Jacobian using forward-AD or forward-over-reverse Hessian is "
                                  "only implemented for `vectorize=True`.")


def _by_columns(func, inputs):
    from reference_impl.dispatch import FUNCTIONS
    inputs, several = _tensors(inputs, "inputs", "jacobian")
    basis = _construct_standard_basis_for(inputs, [x.numel() for x in inputs])
    columns = []
    for place in range(basis[0]._size[0]):
        with forward_ad.dual_level():
            outputs, many = _tensors(func(*(
                forward_ad.make_dual(x, unit[place].view_as(x))
                for x, unit in zip(inputs, basis, strict=True))), "outputs", "jacobian")
            pairs = [forward_ad.unpack_dual(out) for out in outputs]
            columns.append([zeros_like(primal) if t is None else t for primal, t in pairs])
    rows = []
    for k, (primal, _) in enumerate(pairs):
        parts = FUNCTIONS["stack"]([column[k] for column in columns]).split(
            [x.numel() for x in inputs])
        row = tuple(part.movedim(0, -1).reshape(primal._size + x._size)
                    for part, x in zip(parts, inputs, strict=True))
        rows.append(row if several else row[0])
    return tuple(rows) if many else rows[0]


def _construct_standard_basis_for(tensors, tensor_numels):
    """The rows of an identity matrix, cut into one block of columns for each tensor, in its dtype."""
    basis, start = [], 0
    for t, count in zip(tensors, tensor_numels, strict=True):
        block = t.new_zeros(sum(tensor_numels), count)
        block.diagonal(-start).fill_(1)
        basis.append(block)
        start += count
    return tuple(basis)


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False,
            outer_jacobian_strategy="reverse-mode"):
    """Second derivatives of a function with one output of one element, [input][input].

    The Jacobian of the gradient; the strategy is that of the outer derivative.
    """
    _, several = _tensors(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in STRATEGIES:
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def scalar(*xs):
        return _single(func(*xs), "hessian", strict)[0].squeeze()

    def gradient(*xs):
        if outer_jacobian_strategy == "forward-mode":
            xs = tuple(x.requires_grad_() for x in xs)
        found = jacobian(scalar, xs, create_graph=True)
        if strict:
            _need_grad(found, LINEAR)
        return found
    found = jacobian(gradient, inputs if several else (inputs,), create_graph, strict, vectorize,
                     outer_jacobian_strategy)
    return found if several else found[0][0]


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), v transposed times its Hessian), for one output of one element."""
    return _hessian_product("vhp", func, inputs, v, create_graph, strict)


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), its Hessian times v), for one output of one element; see `jvp` for the way."""
    return _hessian_product("hvp", func, inputs, v, create_graph, strict)


def _hessian_product(name, func, inputs, v, create_graph, strict):
    with enable_grad():
        inputs, several = _inputs(inputs, name, create_graph)
        v = _vector(v, name, inputs, several, create_graph, "the input to the user-provided function is")
        outputs = _single(func(*inputs), name, strict)
        first = _gradients(outputs, inputs, create_graph=True)
        if strict:
            _need_grad(first, LINEAR)
        by, missing = inputs, "The jacobian of the user-provided function is independent of input {}."
        if name == "hvp":
            by = tuple(zeros_like(x, requires_grad=True) for x in inputs)
            first = _gradients(first, inputs, by, create_graph=True)
            missing = ("The hessian of the user-provided function is independent of entry {} in the "
                       "grad_jacobian.")
    with set_grad_enabled(create_graph or state.enabled):
        got = _filled(_gradients(first, by, v, create_graph=create_graph), inputs, strict, create_graph,
                      missing, CONSTANT_HESSIAN)
    return _given_back(outputs, False, create_graph), _given_back(got, several, create_graph)
