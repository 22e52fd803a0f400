"""Copies that Python makes: copy.deepcopy and pickle. Both take leaves only."""

import copy

import numpy as np

from reference_impl.bits import memory
from reference_impl.errors import NotLeaf
from reference_impl.geometry import is_dense
from reference_impl.members import member
from reference_impl.storage import Storage, VersionCounter
from reference_impl.tensor import lay, make_alias, make_tensor, with_stride


@member
def __deepcopy__(self, memo):
    """A copy on memory of its own; tensors that shared memory share it again. Leaves only."""
    if not self.is_leaf:
        raise NotLeaf("Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                      "protocol at the moment.  If you were attempting to deepcopy a module, this may "
                      "be because of a torch.nn.utils.weight_norm usage, see "
                      "https://github.com/pytorch/pytorch/pull/103001")
    if id(self) in memo:
        return memo[id(self)]
    storage = memo.get(id(self._storage))
    if storage is None:
        storage = memo[id(self._storage)] = Storage(self._storage.flat.copy(), self._meta)
    out = make_alias(storage, self.dtype, self._size, self._stride, self._offset, VersionCounter(),
                     self._bits)
    if self._bits:
        out = out.clone()                # as torch: bits are carried out, on memory of its own
    out._leaf_grad = self._leaf_grad
    memo[id(self)] = out
    if self._grad is not None:
        out._grad = self._grad.__deepcopy__(memo)
    for name, value in self.__dict__.items():        # what a user has attached
        if not name.startswith("_") and name not in ("dtype",):
            setattr(out, name, copy.deepcopy(value, memo))
    return out


@member
def __reduce_ex__(self, protocol):
    if not self.is_leaf:
        raise NotLeaf("Can't pickle a tensor that is not a leaf: call detach() first")
    return (_unpickled, (np.array(memory(self)), self.dtype, self._stride, self._leaf_grad, self._bits))


def _unpickled(array, dtype, stride, leaf_grad, bits):
    made = make_tensor(with_stride(array, stride) if is_dense(array.shape, stride) else array, dtype,
                       stride if is_dense(array.shape, stride) else None)
    if bits:
        lay(made, made._storage, dtype, *made._geometry, bits)
    made._leaf_grad = leaf_grad
    return made
