"""Short pieces of torch code, run with `torch` meaning torch and with it meaning the reference.

The files in snippets/ hold them, divided by lines of three dashes; what the last line gives, or the
exception, is compared: values, dtypes, shapes, strides, requires_grad, the name of grad_fn, bits, and for
exceptions the built-in type and the words of the message that decide.

X, D: float32, float64 tensors of normal numbers; I: integers of [-5, 5]; G: X that requires grad.
"""

import ast
import difflib
import pathlib
import warnings

import numpy as np
import pytest

import reference_impl

torch = pytest.importorskip("torch")

HERE = pathlib.Path(__file__).parent / "snippets"
CASES = [(path.stem, code) for path in sorted(HERE.glob("*.txt"))
         for code in path.read_text().strip().split("\n---\n")]
# float32 results of a few operations, in another order of the same sums
RELATIVE, ABSOLUTE = 2.0**-23 * 200, 2.0**-23 * 20
ALIKE = 0.55        # messages: the share of characters in common, numbers and wording aside


def environment(library):
    def normal(*shape):
        return np.random.default_rng(7).normal(size=shape)

    def tensor(array):
        return library.from_numpy(array)
    return {
        "torch": library, "np": np,
        "X": lambda *s: tensor(normal(*s).astype(np.float32)),
        "D": lambda *s: tensor(normal(*s)),
        "I": lambda *s: tensor(np.random.default_rng(7).integers(-5, 6, size=s)),
        "G": lambda *s: tensor(normal(*s).astype(np.float32)).requires_grad_(),
    }


def seen(x):
    """What is compared of a result, as plain data."""
    if isinstance(x, (torch.Tensor, reference_impl.Tensor)):
        values = None
        if x.device.type == "cpu":
            y = x.detach().resolve_conj().resolve_neg()
            narrow = str(x.dtype) in ("torch.bfloat16",) or "float8" in str(x.dtype)
            values = np.array((y.float() if narrow else y).numpy())
        name = type(x.grad_fn).__name__ if x.requires_grad and x.grad_fn is not None else None
        return {"dtype": str(x.dtype), "shape": tuple(x.shape), "values": values, "grad_fn": name,
                "stride": tuple(x.stride()) if x.numel() else None, "device": x.device.type,
                "requires_grad": x.requires_grad, "bits": (x.is_conj(), x.is_neg())}
    if isinstance(x, (tuple, list)):
        return [seen(i) for i in x]
    if isinstance(x, dict):
        return {key: seen(value) for key, value in x.items()}
    if isinstance(x, (torch.dtype, reference_impl.dtype)):
        return str(x)
    return x


def run(library, code):
    """What the last line gives (None for a statement), or the exception."""
    body = ast.parse(code).body
    last = ast.Expression(body.pop().value) if isinstance(body[-1], ast.Expr) else None
    env = environment(library)
    try:
        exec(compile(ast.Module(body, []), "code", "exec"), env)  # noqa: S102 - our own snippets
        return None if last is None else seen(eval(compile(last, "last line", "eval"), env))
    except Exception as error:  # noqa: BLE001 - which one it is, is what is compared
        kind = next(c for c in type(error).__mro__ if c.__module__ == "builtins")
        return kind, str(error).split("\n")[0]


def alike(ours, theirs):
    """Whether two messages say the same; torch's may go on with advice."""
    ratio = difflib.SequenceMatcher(None, ours[:200], theirs[:200], autojunk=False).ratio()
    return ratio >= ALIKE or theirs.startswith(ours)


def same(ours, theirs):
    if isinstance(ours, np.ndarray):
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            return False
        if ours.dtype.kind in "fc":
            return np.allclose(ours, theirs, RELATIVE, ABSOLUTE, equal_nan=True)
        return bool((ours == theirs).all())
    if isinstance(ours, dict):
        return all(same(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list):
        return isinstance(theirs, list) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, tuple) and len(ours) == 2 and isinstance(ours[0], type):
        return isinstance(theirs, tuple) and ours[0] is theirs[0] and alike(ours[1], theirs[1])
    return ours == theirs


@pytest.mark.parametrize("code", [c for _, c in CASES],
                         ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)])
def test_torch_and_the_reference_give_the_same(code):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, ours = run(torch, code), run(reference_impl, code)
    assert same(ours, theirs), f"{code}\nreference: {ours}\ntorch: {theirs}"
