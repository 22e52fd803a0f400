"""torch.ops.aten, as far as it goes: operations that have no function of their own (slice)."""

from reference_impl.rule import OPERATIONS


class _Packet:
    """All overloads of one operation; `default` tells them apart by the arguments as a call does."""

    def __init__(self, operation):
        self.default = operation.function

    def __call__(self, *args, **named):
        return self.default(*args, **named)


class _Aten:
    def __getattr__(self, name):
        found = OPERATIONS.get(name)
        if found is None:
            raise AttributeError(f"no operation aten::{name}")
        return _Packet(found)


class _Ops:
    aten = _Aten()


ops = _Ops()
