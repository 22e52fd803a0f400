"""torch.use_deterministic_algorithms: remembered and told, for here every algorithm is one."""

from reference_impl.errors import ArgumentValue

MODES = {"default": 0, "warn": 1, "error": 2}


class _Mode:
    value = 0


def use_deterministic_algorithms(mode, *, warn_only=False):
    _Mode.value = (1 if warn_only else 2) if mode else 0


def are_deterministic_algorithms_enabled():
    return _Mode.value > 0


def is_deterministic_algorithms_warn_only_enabled():
    return _Mode.value == 1


def set_deterministic_debug_mode(debug_mode):
    """0, 1, 2 or "default", "warn", "error". Raises ArgumentValue."""
    found = MODES.get(debug_mode, debug_mode)
    if found not in MODES.values():
        raise ArgumentValue(f"invalid value of debug_mode, expected 0, 1 or 2, but got {debug_mode}")
    _Mode.value = found


def get_deterministic_debug_mode():
    return _Mode.value
