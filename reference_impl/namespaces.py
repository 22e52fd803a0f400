"""torch.ops.aten, as far as it goes: operations by name, and their overloads."""

from reference_impl.dispatch import bind, run
from reference_impl.rule import OPERATIONS, RULES


class _Packet:
    """All overloads of one name; `packet.Tensor` is one of them."""

    def __init__(self, operation):
        self._operation = operation

    def __call__(self, *args, **kwargs):
        return self._operation.function(*args, **kwargs)

    def __getattr__(self, overload):
        name = f"{self._operation.name}.{overload}"
        if name not in RULES:            # torch has more overloads, told apart by types only
            return self._operation.function
        return lambda *args, **kwargs: run(RULES[name], bind(RULES[name], args, kwargs, False))


class _Aten:
    def __getattr__(self, name):
        found = OPERATIONS.get(name)
        if found is None:
            raise AttributeError(f"no operation aten::{name}")
        return _Packet(found)


class _Ops:
    aten = _Aten()


ops = _Ops()
