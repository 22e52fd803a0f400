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
    "x.clone().index_put_((T.tensor([0]),), x[1])", "written(x)", "written_from(x)",
    # reductions, also where several elements tie or are zero
    "x.max()", "x.min()", "(x * 0).max()", "(x * 0).amin(0)", "x.min(1, keepdim=True)[0]",
    "x.median()", "x.nanmedian()", "x.median(0)[0]", "x.nanmedian(1, keepdim=True)[0]",
    "x.kthvalue(2)[0]", "x.mode(0)[0]", "x.prod()", "(x - 1).prod()", "(x - 1).prod(1)",
    "x.std()", "x.std(0, keepdim=True)", "(x * 0).std()", "x.var((0, 1), correction=0)",
    "T.complex(x, x * x).var()", "T.complex(x, x * x).std(1)", "T.complex(x, x).logsumexp(1)",
    # scans
    "x.cumprod(0)", "(x - 1).cumprod(1)", "x.cummax(0)[0]", "x.cummin(1)[0]", "x.logcumsumexp(1)",
    # norms
    "T.linalg.vector_norm(x)", "T.linalg.vector_norm(x, 1)", "T.linalg.vector_norm(x, 3, 0)",
    "T.linalg.vector_norm(x, 1.5, (1,), True)", "T.linalg.vector_norm(x, 0.5)",
    "T.linalg.vector_norm(x, float('inf'))", "T.linalg.vector_norm(x * 0, 2)",
    "T.linalg.vector_norm(T.complex(x, x * x), 2, 0)",
    # functions of one number
    "x.lgamma()", "x.digamma()", "x.polygamma(2)", "(x / 7).erfinv()", "x.i0()",
    "T.special.entr(x)", "T.special.i1(x)", "T.special.i0e(x)", "T.special.i1e(x)",
    "T.special.erfcx(x)", "T.special.ndtri(x / 7)", "T.special.log_ndtr(x)", "x.angle()",
    "T.complex(x, x * x).angle()", "T.special.xlog1py(x, c)", "T.nextafter(x, c)",
    # matrices
    "T.linalg.det(x)", "T.linalg.solve(c, x[0])", "T.linalg.solve(x, c, left=False)",
    "T.linalg.cholesky(x @ x.t(), upper=True)", "T.einsum('ii->i', x)", "T.einsum('ij,ij,j->i', x, c, x[0])",
    # neural networks
    "T.nn.functional.layer_norm(c, (2,), x[0], x[1])",
    "T.nn.functional.mse_loss(x, c * 2, reduction='none')",
    "T.nn.functional.nll_loss(x, T.tensor([1, 0]))",
    "T.nn.functional.conv2d(x[None, None], x[None, None], padding=1)",
    "T.nn.functional.max_pool2d(x[None], 2)",
    # scatters
    "x.scatter_reduce(0, T.tensor([[0, 1]]), c, 'sum')",
    "x.scatter_reduce(0, T.tensor([[0, 1]]), c, 'amax')",
    "c.scatter_reduce(0, T.tensor([[0, 1], [0, 0]]), x, 'amin', include_self=False)",
    "c.scatter_reduce(0, T.tensor([[0, 1], [0, 0]]), x, 'mean')",
    # an input without a tangent adds nothing, also beside infinities
    "(x / 0) * c", "(x / 0) / c", "T.atan2(x / 0, c)", "T.dot(x[0] / 0, c[0])",
    "T.lerp(x / 0, c, 0.5 * c)", "(x / 0).remainder(c)")


def parts(t):
    """The numbers of a tensor; of a complex one, real and imaginary parts."""
    flat = t.reshape(-1).tolist()
    return [p for v in flat for p in (v.real, v.imag)] if t.is_complex() else flat


def evaluate(text, library):
    """Primal and tangent of the function at one point."""
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
        return [None if t is None else parts(t) for t in got]


@pytest.mark.parametrize("text", FUNCTIONS)
def test_tangent_is_torchs(text):
    got, want = evaluate(text, reference_impl), evaluate(text, torch)
    assert got[1] is not None
    for ours, theirs in zip(got, want, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-8, nan_ok=True)


@pytest.mark.parametrize("text", FUNCTIONS)
def test_forward_and_reverse_mode_agree(text):
    """<J t, u> = <t, J^T u> for the reference alone."""
    tangent = evaluate(text, reference_impl)[1]
    T = reference_impl
    x = T.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=T.float64, requires_grad=True)
    if text.startswith("written"):
        pytest.skip("the helper functions live in `evaluate`")
    if "/ 0" in text or "complex" in text:
        pytest.skip("infinities have no scalar product; complex tangents are texts of two numbers")
    y = eval(text, {"T": T, "x": x, "c": T.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=T.float64)})
    u = T.arange(1.0, y.numel() + 1, dtype=T.float64).view(y.shape).to(y.dtype)
    x_bar, = T.autograd.grad(y, x, u)
    t = T.tensor([[1.0, -1.0], [0.5, 2.0]], dtype=T.float64)
    left = sum(a * b for a, b in zip(tangent, u.reshape(-1).tolist(), strict=True))
    assert f"{left:.7g}" == f"{(x_bar * t).sum().item():.7g}"
