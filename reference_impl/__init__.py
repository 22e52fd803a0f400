"""PyTorch's eager tensors and autograd, in NumPy: `import reference_impl as torch`.

The README beside this file says how it works.
"""
# ruff: noqa: F401, I001 - names are re-exported; the order is that of registration

from reference_impl.dtypes import (
    bfloat16, bool, cdouble, cfloat, chalf, complex32, complex64, complex128, double, dtype, exact,
    finfo, float,
    float16, float32, float64, float8_e4m3fn, float8_e4m3fnuz, float8_e5m2, float8_e5m2fnuz,
    float8_e8m0fnu, get_default_dtype, half, iinfo, int, int8, int16, int32, int64,
    long, set_default_dtype, short, uint8, uint16, uint32, uint64,
)
from reference_impl.formats import (
    channels_last, channels_last_3d, contiguous_format, memory_format, preserve_format,
)
from reference_impl.tensor import Size, Tensor
from reference_impl.creation import (
    arange, as_tensor, asarray, device, empty, empty_like, empty_strided, eye, from_numpy, full,
    full_like, linspace, logspace, ones, ones_like, scalar_tensor, tensor, zeros, zeros_like,
)
from reference_impl.grad_mode import (
    enable_grad, inference_mode, is_grad_enabled, is_inference_mode_enabled, no_grad,
    set_grad_enabled,
)
from reference_impl.anomaly import (
    is_anomaly_check_nan_enabled, is_anomaly_enabled,
)
from reference_impl.determinism import (
    are_deterministic_algorithms_enabled, get_deterministic_debug_mode,
    is_deterministic_algorithms_warn_only_enabled, set_deterministic_debug_mode,
    use_deterministic_algorithms,
)
from reference_impl.promotion import can_cast, promote_types, result_type
from reference_impl.rule import HELPERS, OPERATIONS, RULES
from reference_impl.dispatch import FUNCTIONS

from reference_impl import (
    casting, creation, complex_views, copying, indexing, leaves, members, operators, out, places, shapes, views,
)
from reference_impl import autograd, queries
from reference_impl.queries import (
    equal, is_complex, is_floating_point, is_inference, is_nonzero, is_signed, is_storage, is_tensor,
    layout, numel, strided, typename,
)
from reference_impl import rules                # every operation registers itself
from reference_impl.storages import TypedStorage, UntypedStorage
from reference_impl.interchange import from_dlpack, frombuffer, to_dlpack
from reference_impl import duplicates, random
from reference_impl.random import (
    Generator, bernoulli, default_generator, get_rng_state, initial_seed, manual_seed, multinomial,
    normal, rand, rand_like, randint, randint_like, randn, randn_like, randperm, seed,
    set_rng_state,
)
from reference_impl.threads import (
    get_num_interop_threads, get_num_threads, set_num_interop_threads, set_num_threads,
)
from reference_impl import arranging
from reference_impl import internals as _C
from reference_impl.namespaces import ops
from reference_impl import (
    cuda, linalg, masked, nn, return_types, special, statistics, storages, testing, utils,
)

from reference_impl.aliases import give_second_names

give_second_names()
globals().update(FUNCTIONS)
globals().update(creation.TYPED)             # FloatTensor, LongTensor, ...
globals().update(storages.TYPED)             # FloatStorage, LongStorage, ...
Storage = storages.TYPED["FloatStorage"]

inf, nan, pi, e = queries.inf, queries.nan, queries.pi, queries.e
__version__ = "2.13.0"       # the PyTorch whose semantics this follows
