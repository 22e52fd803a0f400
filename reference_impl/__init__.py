"""PyTorch's eager tensors and autograd, in NumPy: `import reference_impl as torch`."""

from reference_impl import creation, dtypes
from reference_impl import (casting, complex_views, copying, members, operators, views)  # noqa: F401  register
from reference_impl import rules  # noqa: F401  every operation registers itself
from reference_impl import autograd
from reference_impl.creation import (as_tensor, device, empty_strided, from_numpy, full, ones,
                                     ones_like, tensor, zeros, zeros_like)
from reference_impl.dispatch import FUNCTIONS
from reference_impl.dtypes import (bfloat16, bool, cdouble, cfloat, complex64, complex128, double,
                                   dtype, exact, finfo, float, float16, float32, float64,
                                   get_default_dtype, half, iinfo, int, int8, int16, int32, int64,
                                   long, set_default_dtype, short, uint8, uint16, uint32, uint64)
from reference_impl.grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from reference_impl.promotion import can_cast, promote_types, result_type
from reference_impl.rule import RULES
from reference_impl.tensor import Size, Tensor

globals().update(FUNCTIONS)
