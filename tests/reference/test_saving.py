"""What backward uses was kept as it was: also where torch loses it."""

import reference_impl as T


def test_a_write_through_a_view_with_an_offset_does_not_disturb_what_is_saved():
    # torch looks for saved tensors by address, and finds none at that of a[1:]
    x = T.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with T.autograd.graph.allow_mutation_on_saved_tensors() as saved:
        a = x.clone()
        y = (a ** 2).sum()
        a[1:].mul_(10)
        assert len(saved.cloned) == 1
        y.backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_determinants_of_singular_matrices_have_their_derivatives():
    # torch gives 0: https://github.com/pytorch/pytorch/issues/104675
    a = T.ones(2, 2, dtype=T.float64, requires_grad=True)
    d_a, = T.autograd.grad(T.linalg.det(a), a, create_graph=True)
    assert d_a.tolist() == [[1.0, -1.0], [-1.0, 1.0]]
    assert T.autograd.grad(d_a[0, 0], a)[0].tolist() == [[0.0, 0.0], [0.0, 1.0]]
    with T.autograd.forward_ad.dual_level():
        dual = T.autograd.forward_ad.make_dual(a, T.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=T.float64))
        assert T.autograd.forward_ad.unpack_dual(T.linalg.det(dual)).tangent.item() == 1.0


def test_products_in_scatters_have_tangents():
    # torch gives none: https://github.com/pytorch/pytorch/issues/196702
    x, src = T.tensor([2.0, 3.0]), T.tensor([5.0, 7.0])
    with T.autograd.forward_ad.dual_level():
        dual = T.autograd.forward_ad.make_dual(x, T.tensor([1.0, 10.0]))
        y = dual.scatter_reduce(0, T.tensor([0, 0]), src, "prod")
        assert T.autograd.forward_ad.unpack_dual(y).tangent.tolist() == [35.0, 10.0]


def test_the_tangent_of_cumprod_can_be_differentiated_at_a_zero():
    # d/dt of (t (t-1)) is 2 t - 1, its derivative 2; torch: https://github.com/pytorch/pytorch/issues/196701
    t = T.tensor(1.0, dtype=T.float64, requires_grad=True)
    with T.autograd.forward_ad.dual_level():
        dual = T.autograd.forward_ad.make_dual(t, T.ones((), dtype=T.float64))
        y = T.stack([dual, dual - 1]).cumprod(0)[1]
        tangent = T.autograd.forward_ad.unpack_dual(y).tangent
        assert tangent.item() == 1.0
        assert T.autograd.grad(tangent, t)[0].item() == 2.0
