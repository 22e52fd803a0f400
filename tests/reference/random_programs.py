"""Random programs of views, in-place writes and backward, run on two libraries side by side.

All numbers are small integers in float64, so that every result is exact and can be compared with
==. A program is a list of Python statements over `t` (the tensors so far), made from a seed.
"""

import random
import warnings

SHAPES = ((), (3,), (2, 3), (3, 2), (2, 2), (1, 3), (4,), (0, 2))

VIEWS = ("t[{i}].view(-1)", "t[{i}].t()", "t[{i}].transpose(0, -1)", "t[{i}][{k}]", "t[{i}][{k}:]",
         "t[{i}][..., None]", "t[{i}].expand(2, *t[{i}].shape)", "t[{i}].squeeze()",
         "t[{i}].unsqueeze(0)", "t[{i}].diagonal()", "t[{i}].narrow(0, {k}, 1)", "t[{i}].detach()",
         "t[{i}].unfold(0, 2, 1)", "t[{i}].as_strided((2,), (1,))", "t[{i}].unbind(0)[0]",
         "t[{i}].split(2)[0]", "t[{i}].chunk(2)[-1]", "t[{i}].data", "t[{i}].reshape(-1)",
         "t[{i}].flatten()", "t[{i}][:, {k}]", "t[{i}].permute(1, 0)", "t[{i}].contiguous()",
         "t[{i}].swapaxes(0, 1)", "t[{i}].movedim(0, -1)", "t[{i}][..., ::2]", "t[{i}].squeeze(0)")
OPS = ("t[{i}] + t[{j}]", "t[{i}] * t[{j}]", "t[{i}] - {k}", "t[{i}] * {k}", "-t[{i}]",
       "t[{i}].clone()", "t[{i}].sum()", "t[{i}].sum(0)", "t[{i}].sum(-1, keepdim=True)",
       "t[{i}][T.tensor([0, 0, 1])]", "t[{i}][[1, 0]]", "t[{i}][t[{j}] > {k}]", "t[{i}] * t[{i}]",
       "t[{i}].to(T.float32)", "t[{i}].to(T.int64)", "t[{i}].double()", "T.zeros_like(t[{i}])",
       "T.stack([t[{i}], t[{j}]])", "T.cat([t[{i}], t[{j}]])", "{k} - t[{i}]")
WRITES = ("t[{i}].add_(t[{j}])", "t[{i}].mul_(t[{j}])", "t[{i}].mul_({k})", "t[{i}].add_(1)",
          "t[{i}].copy_(t[{j}])", "t[{i}].zero_()", "t[{i}].fill_({k})", "t[{i}][{k}] = 2",
          "t[{i}][{k}:] = t[{j}]", "t[{i}][...] = t[{j}]", "t[{i}][[0]] = 3.",
          "t[{i}][t[{j}] > 0] = 1.", "t[{i}].sub_(t[{j}])", "t[{i}].neg_()", "t[{i}].detach_()",
          "t[{i}][T.tensor([0])] = t[{j}]", "t[{i}] *= t[{j}]", "t[{i}].fill_(t[{j}])")
GRADS = ("t[{i}].sum().backward()", "t[{i}].sum().backward(retain_graph=True)",
         "t[{i}].backward(T.ones_like(t[{i}]))", "t[{i}].backward()",
         "T.autograd.grad(t[{i}].sum(), t[{j}])",
         "T.autograd.grad(t[{i}].sum(), t[{j}], allow_unused=True)",
         "T.autograd.grad((t[{i}] * t[{i}]).sum(), t[{j}], create_graph=True, allow_unused=True)",
         "t[{i}].retain_grad()", "t[{i}].requires_grad_()", "t[{i}].requires_grad_(False)",
         "setattr(t[{i}], 'grad', None)", "t[{i}].grad.zero_()", "t[{i}].grad")


def program(seed, length):
    """Statements; each is one of the above or makes a leaf, some within no_grad."""
    rng, lines, count = random.Random(seed), [], 0
    for step in range(length):
        if step < 2 or rng.random() < 0.08:
            shape = rng.choice(SHAPES)
            flag = rng.random() < 0.6
            kind = "float64" if flag or rng.random() < 0.8 else "int64"
            lines.append(f"t.append(leaf({shape}, {rng.randrange(99)}, T.{kind}, {flag}))")
            count += 1
            continue
        kind = rng.choices((VIEWS, OPS, WRITES, GRADS), (4, 4, 4, 3))[0]
        text = rng.choice(kind).format(i=rng.randrange(count), j=rng.randrange(count),
                                       k=rng.randrange(3))
        if kind in (VIEWS, OPS) or text.startswith("T.autograd"):
            text, count = f"keep({text})", count + 1
        if rng.random() < 0.07 and kind is not GRADS:
            text = f"with T.no_grad(): {text}"
        lines.append(text)
    return lines


class Session:
    """One program on one library. `step` returns everything that can be seen afterwards."""

    def __init__(self, library):
        self.library, self.t = library, []
        self.names = {"T": library, "t": self.t, "leaf": self._leaf, "keep": self._keep}

    def _leaf(self, shape, seed, dtype, requires_grad):
        rng = random.Random(seed)
        count = 1
        for n in shape:
            count *= n
        data = [rng.randrange(-3, 4) for _ in range(count)]
        made = self.library.tensor(data, dtype=dtype).view(shape).clone()
        return made.requires_grad_() if requires_grad else made

    def _keep(self, made):
        self.t.append(made[0] if isinstance(made, tuple) else made)

    def step(self, line):
        raised = None
        before = len(self.t)
        try:
            exec(line, self.names)  # noqa: S102 - the program is the test
        except Exception as error:  # noqa: BLE001 - what is raised is compared
            raised = (builtin_name(error), str(error)[:16])
        if len(self.t) == before and "keep" in line:
            self.t.append(self.library.zeros(2))      # both libraries go on with the same count
        return raised, [self.seen(x) for x in self.t]

    def seen(self, x):
        if x is None:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            grad = x.grad
        try:
            node = x.grad_fn
            node = node and node.name()
        except RuntimeError as error:
            node = str(error)[:60]
        return {"value": x.detach().tolist(), "shape": tuple(x.shape), "stride": x.stride(),
                "offset": x.storage_offset(), "dtype": str(x.dtype), "version": x._version,
                "requires_grad": x.requires_grad, "leaf": _leafness(x), "node": node,
                "view": x._base is not None,
                "grad": None if grad is None else (grad.tolist(), grad.stride(), grad._version,
                                                   grad.requires_grad)}


def _leafness(x):
    try:
        return x.is_leaf
    except RuntimeError as error:
        return str(error)[:60]


def builtin_name(error):
    """The first builtin class of an exception: what `except` clauses in user code name."""
    return next(k.__name__ for k in type(error).__mro__ if k.__module__ == "builtins")


def compare(seed, length, one, other):
    """The first difference of two libraries on a program, or None. Also counts what raised."""
    lines = program(seed, length)
    a, b = Session(one), Session(other)
    raised = 0
    for n, line in enumerate(lines):
        if writes_by_index(line) and overlaps(a.t, line):
            continue        # deprecated by torch with a warning; what is written is not specified
        left, right = a.step(line), b.step(line)
        raised += left[0] is not None
        if left != right:
            return "\n".join(lines[:n + 1]) + "\n" + difference(left, right), raised
    return None, raised


def writes_by_index(line):
    return "[[0]] =" in line or "> 0] =" in line or "T.tensor([0])] =" in line


def overlaps(tensors, line):
    """Whether the tensor that the line writes has several elements at one place."""
    x = tensors[int(line.split("t[", 1)[1].split("]", 1)[0])]
    return x is not None and any(s == 0 and n > 1 for n, s in zip(x.shape, x.stride(), strict=True))


def difference(left, right):
    if left[0] != right[0]:
        return f"raised {left[0]} / {right[0]}"
    for i, (p, q) in enumerate(zip(left[1], right[1], strict=True)):
        if p != q:
            return "\n".join(f"t[{i}].{k}: {p[k]} / {q[k]}" for k in p if p[k] != q[k])
    return "?"
