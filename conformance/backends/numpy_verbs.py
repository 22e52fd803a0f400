"""The verbs that concern NumPy only, the same for every library."""

from __future__ import annotations

import numpy as np

from conformance.backends.numbers import np_dtype
from conformance.program import ProgramError


class NumpyVerbs:
    """Signatures are those of `conformance.verbs`."""

    def np_array(self, data, *, dtype=None):
        return np.array(data, dtype=None if dtype is None else np_dtype(dtype))

    def np_arange(self, start, end=None, step=1, *, dtype=None):
        bounds = (0, start) if end is None else (start, end)
        return np.arange(*bounds, step, dtype=None if dtype is None else np_dtype(dtype))

    def np_reshape(self, a, shape):
        return a.reshape(shape)

    def np_ravel(self, a):
        return a.ravel()

    def np_flatten(self, a):
        return a.flatten()

    def np_getitem(self, a, index):
        return np.asarray(a[index])

    def np_setitem(self, a, index, value):
        a[index] = value

    def np_apply(self, name, *args):
        ufunc = getattr(np, name, None)
        if not isinstance(ufunc, np.ufunc):
            raise ProgramError(f"np_apply: NumPy has no ufunc {name!r}")
        result = ufunc(*args)
        return np.asarray(result) if isinstance(result, np.generic) else result

    def slice(self, start, stop=None, step=None):
        return slice(start, stop, step)

    def ellipsis(self):
        return ...
