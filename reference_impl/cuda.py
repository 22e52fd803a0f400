"""torch.cuda, where there is none: a build of torch without CUDA answers the same."""


def is_available():
    return False


def is_initialized():
    return False


def device_count():
    return 0


def _refuse(*args, **kwargs):
    raise AssertionError("Torch not compiled with CUDA enabled")


current_device = init = synchronize = get_device_name = get_device_properties = set_device = _refuse
