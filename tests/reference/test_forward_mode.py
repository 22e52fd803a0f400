"""Tangents on the reference and on torch; and forward mode against reverse mode."""

import warnings

import pytest

import reference_impl

torch = pytest.importorskip("torch")
pytest.importorskip("torch.autograd.forward_ad")

FUNCTIONS = (
    "x * x", "x.exp()", "x.sum(0)", "x.mean(1, keepdim=True)", "x @ x.t()", "T.cat([x, x * 2])",
    "T.stack([x, c])", "x[[0, 0]]", "x[0, 1:]", "x.split(1)[1] * 3", "1 / x", "3 - x", "x ** 3",
    "2 ** x", "x.max(0)[0]", "x.amax(1)", "x.prod(0)", "x.var(0)", "x.logsumexp(0)",
    "T.softmax(x, 0)", "x.cumsum(0)", "T.where(x > 1, x, x * 2)", "x.clamp(min=2.)",
    "x.sigmoid()", "x.tanh()", "x.log()", "T.atan2(x, c)", "x.gather(0, T.tensor([[0, 1]]))",
    "x.unfold(0, 2, 1)", "x.as_strided((2, 2), (1, 1))", "T.einsum('ij,jk->ik', x, x)",
    "x.masked_fill(x > 2, 0.)", "x.to(T.float32)", "T.linalg.solve(x, c)",
    "T.linalg.cholesky(x @ x.t())", "T.outer(x[0], x[1])", "x.diagonal() * 2",
    "x.expand(2, 2, 2).sum(0)", "T.maximum(x, c * 2)", "x.index_select(0, T.tensor([1]))",
    "T.nn.functional.mse_loss(x, c * 2)", "T.nn.functional.layer_norm(x, (2,))",
    "x.clone().index_put_((T.tensor([0]),), x[1])", "written(x)", "written_from(x)")


def evaluate(text, library):
    """Primal and tangent of the function at one point, to nine digits."""
    def tensor(data):
        return library.tensor(data, dtype=library.float64)

    def written(x):
        y = x.clone()
        y.mul_(x)
        y[0].add_(x[1])
        y.t()[1] = 3.0
        return y * 2

    def written_from(x):
        y = library.zeros(2, 2, dtype=library.float64)
        y[0] = x[1]
        y.view(-1)[2:].copy_(x[0])
        return y
    forward_ad = library.autograd.forward_ad
    names = {"T": library, "c": tensor([[1.0, 2.0], [3.0, 5.0]]), "written": written,
             "written_from": written_from}
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore")
        names["x"] = forward_ad.make_dual(tensor([[1.0, 2.0], [3.0, 5.0]]),
                                          tensor([[1.0, -1.0], [0.5, 2.0]]))
        got = forward_ad.unpack_dual(eval(text, names))
        return [None if t is None else [f"{v + 0.0:.9g}" for v in t.reshape(-1).tolist()]
                for t in got]


@pytest.mark.parametrize("text", FUNCTIONS)
def test_tangent_is_torchs(text):
    got, want = evaluate(text, reference_impl), evaluate(text, torch)
    assert got == want
    assert got[1] is not None


@pytest.mark.parametrize("text", FUNCTIONS)
def test_forward_and_reverse_mode_agree(text):
    """<J t, u> = <t, J^T u> for the reference alone."""
    tangent = [float(v) for v in evaluate(text, reference_impl)[1]]
    T = reference_impl
    x = T.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=T.float64, requires_grad=True)
    if text.startswith("written"):
        pytest.skip("the helper functions live in `evaluate`")
    y = eval(text, {"T": T, "x": x, "c": T.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=T.float64)})
    u = T.arange(1.0, y.numel() + 1, dtype=T.float64).view(y.shape).to(y.dtype)
    x_bar, = T.autograd.grad(y, x, u)
    t = T.tensor([[1.0, -1.0], [0.5, 2.0]], dtype=T.float64)
    left = sum(a * b for a, b in zip(tangent, u.reshape(-1).tolist(), strict=True))
    assert f"{left:.7g}" == f"{(x_bar * t).sum().item():.7g}"
