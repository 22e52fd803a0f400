"""Every rule with a vjp has a jvp, and the two are transposes of each other."""

import pytest

import reference_impl as T
from reference_impl.rule import RULES

# What PyTorch does not differentiate forwards either ("Trying to use forward AD with ... that does
# not support it"): its table of derivatives has no formula for them.
WITHOUT = {"special_zeta", "igamma", "igammac", "index_reduce"}


def test_every_rule_with_a_vjp_has_a_jvp():
    missing = {name for name, rule in RULES.items()
               if rule.vjp is not None and rule.jvp is None and not rule.runs_inplace}
    assert missing == WITHOUT


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_an_operation_without_a_jvp_says_so(name):
    x, i = T.tensor([1.0, 2.0]), T.tensor([0, 1])
    with T.autograd.forward_ad.dual_level():
        dual = T.autograd.forward_ad.make_dual(x, x)
        call = {"special_zeta": lambda: T.special.zeta(dual + 1, x),
                "index_reduce": lambda: dual.index_reduce(0, i, x, "amax")}.get(
                    name, lambda: getattr(T, name)(dual, x))
        with pytest.raises(NotImplementedError, match="forward AD"):
            call()
