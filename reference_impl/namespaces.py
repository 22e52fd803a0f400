"""torch.ops.aten, as far as it goes: operations that have no function of their own (slice)."""

from reference_impl.rule import OPERATIONS


class _Aten:
    def __getattr__(self, name):
        found = OPERATIONS.get(name)
        if found is None:
            raise AttributeError(f"no operation aten::{name}")
        return found.function


class _Ops:
    aten = _Aten()


ops = _Ops()
