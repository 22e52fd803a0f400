"""repr of tensors, as torch prints them."""

import numpy as np

from reference_impl import dtypes as dt


def tensor_text(t):
    body = np.array2string(t._array.astype(np.float32) if t.dtype is dt.bfloat16 else t._array,
                           separator=", ", precision=4, prefix="tensor(")
    tail = ""
    if t.dtype not in (dt.float32, dt.int64, dt.bool):
        tail += f", dtype={t.dtype}"
    if t.grad_fn is not None:
        tail += f", grad_fn=<{t.grad_fn.name()}>"
    elif t.requires_grad:
        tail += ", requires_grad=True"
    return f"tensor({body}{tail})"
