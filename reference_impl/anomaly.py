"""Anomaly mode: nodes remember where forward made them, and backward looks for nan."""

import sys
import threading
import traceback
import warnings

import numpy as np


class _Mode(threading.local):
    enabled, check_nan = False, True


mode = _Mode()


class set_detect_anomaly:
    """Switches anomaly mode at once when called, back at the end of a with block."""

    def __init__(self, mode_, check_nan=True):
        self._before = mode.enabled, mode.check_nan
        mode.enabled, mode.check_nan = bool(mode_), bool(check_nan)

    def __enter__(self):
        pass

    def __exit__(self, *exc_info):
        mode.enabled, mode.check_nan = self._before


class detect_anomaly:
    """Within it anomaly mode is on."""

    def __init__(self, check_nan=True):
        self.check_nan = check_nan
        warnings.warn("Anomaly Detection has been enabled. This mode will increase the runtime and "
                      "should only be enabled for debugging.", stacklevel=2)

    def __enter__(self):
        self._before = mode.enabled, mode.check_nan
        mode.enabled, mode.check_nan = True, self.check_nan

    def __exit__(self, *exc_info):
        mode.enabled, mode.check_nan = self._before


def is_anomaly_enabled():
    return mode.enabled


def is_anomaly_check_nan_enabled():
    return mode.check_nan


def remember(node):
    """Keep the stack of the call that makes `node`, and the node whose backward runs now."""
    from reference_impl.engine import current
    node.metadata["traceback_"] = traceback.format_stack()[:-2]
    if current.node is not None:
        node.metadata["parent_"] = current.node


def report(node):
    """Warn where the node that failed was made, and the nodes whose backward made it."""
    name = node.name()
    stack = node.metadata.get("traceback_")
    if stack is None:
        _warn(f"Error detected in {name}. No forward pass information available. Enable detect anomaly "
              "during forward pass for more information.")
        return
    _warn(f"Error detected in {name}. Traceback of forward call that caused the error:\n{''.join(stack)}")
    parent = node.metadata.get("parent_")
    while parent is not None:
        stack = parent.metadata.get("traceback_")
        if stack is None:
            _warn("\n\nPrevious calculation could not be determined.")
            return
        _warn(f"\n\nPrevious calculation was induced by {parent.name()}. Traceback of forward call that "
              f"induced the previous calculation:\n{''.join(stack)}")
        parent = parent.metadata.get("parent_")


def _warn(message):
    """A warning beside an error: where warnings are errors, it is shown and not raised."""
    try:
        warnings.warn(message, stacklevel=5)
    except Warning as warning:
        sys.stderr.write(f"{warning}\n")


def check_nan(node, results):
    """Raises RuntimeError when a cotangent is nan."""
    for i, ct in enumerate(results):
        if ct is not None and ct.dtype.is_differentiable and np.isnan(ct._array).any():
            raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")
