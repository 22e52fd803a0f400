"""Every rule with a vjp has a jvp, and the two are transposes of each other."""

import pytest

import reference_impl as T
from reference_impl.rule import RULES

# What PyTorch does not differentiate forwards either ("Trying to use forward AD with ... that does
# not support it"): its table of derivatives has no formula for them.
WITHOUT = {"special_zeta", "igamma", "igammac", "index_reduce", "_pdist_forward", "multi_margin_loss",
           "multilabel_margin_loss", "_ctc_loss", "_embedding_bag", "grid_sampler_2d",
           "grid_sampler_3d"}


def test_every_rule_with_a_vjp_has_a_jvp():
    missing = {name for name, rule in RULES.items()
               if rule.vjp is not None and rule.jvp is None and not rule.runs_inplace}
    assert missing == WITHOUT


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_an_operation_without_a_jvp_says_so(name):
    x, i, F = T.tensor([1.0, 2.0]), T.tensor([0, 1]), T.nn.functional
    with T.autograd.forward_ad.dual_level():
        dual = T.autograd.forward_ad.make_dual(x, x)
        table = dual.unsqueeze(0)
        call = {"special_zeta": lambda: T.special.zeta(dual + 1, x),
                "index_reduce": lambda: dual.index_reduce(0, i, x, "amax"),
                "_pdist_forward": lambda: T.pdist(dual.unsqueeze(1)),
                "multi_margin_loss": lambda: F.multi_margin_loss(table, i[:1]),
                "multilabel_margin_loss": lambda: F.multilabel_margin_loss(table, i[None]),
                "_ctc_loss": lambda: F.ctc_loss(table.unsqueeze(0), i[None, 1:], i[1:], i[1:]),
                "_embedding_bag": lambda: F.embedding_bag(i[:1], table, i[:1]),
                "grid_sampler_2d": lambda: F.grid_sample(
                    table[None, None], x[None, None, None], align_corners=True),
                "grid_sampler_3d": lambda: F.grid_sample(
                    table[None, None, None], T.ones(1, 1, 1, 1, 3), align_corners=True)}.get(
                        name, lambda: getattr(T, name)(dual, x))
        with pytest.raises(NotImplementedError, match="forward AD"):
            call()
