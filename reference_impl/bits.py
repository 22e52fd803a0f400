"""The conjugate bit and the negative bit: memory that is read, and written, through a map.

`x.conj()` is x's own memory with the conjugate bit; the imaginary part of that has the negative
bit. Nothing is computed before someone reads. Both maps undo themselves, so the same one leads from
memory to values and from values to memory. Where a tensor is read for computing (`Tensor._array`)
and where it is written (`store`) are the two places that know of it; a tensor without a bit has an
array of its own in the place of `Reading`, and never gets here.

Norm: torch docs, torch.conj ("a view with its conjugate bit set"), torch.resolve_conj, resolve_neg.
"""

import numpy as np

from reference_impl.errors import NotImplementedFor

CONJUGATE, NEGATIVE = 1, 2


def through(array, bits):
    """`array` (or a number) with what the bits say carried out; itself when they say nothing."""
    if bits & CONJUGATE:
        array = np.conjugate(array)
    if bits & NEGATIVE:
        if array.dtype == np.bool_:
            raise NotImplementedFor("\"neg_cpu\" not implemented for 'Bool'")
        array = np.negative(array)
    return array


class Reading:
    """`_array` of a tensor with a bit: its values, computed anew each time. Not to be written to."""

    def __get__(self, t, owner=None):
        if t is None:
            return self
        values = np.asarray(through(t._memory, t._bits))   # of zero-dim arrays ufuncs make scalars
        values.flags.writeable = False
        return values


def memory(t):
    """The ndarray over t's memory, as it lies there."""
    return t._memory if t._bits else t._array


def store(t, values):
    """Write values (cast to its dtype) where `t` lies."""
    if t._bits:
        t._memory[...] = through(np.asarray(values).astype(t.dtype.np), t._bits)
    else:
        t._array[...] = values
