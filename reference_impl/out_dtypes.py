"""Which dtypes a target of out= may have, and what torch says where it may not.

What promotes several operands, or to floats, casts on the way out, too; sums are formed in the
target's dtype; all others want the dtype of the result. The tables below are the exceptions of
torch 2.13, and its words.
"""

from reference_impl.dtypes import uint8
from reference_impl.errors import CastRefused, DtypeMismatch, JoinCastRefused
from reference_impl.promotion import can_cast, check_cast
from reference_impl.return_types import named

# functions made of others that cast
CASTING = frozenset((
    "addr", "bernoulli", "clamp_max", "clamp_min", "diff", "float_power", "ger",
    "kron", "ldexp", "lerp.Scalar", "logical_not", "logsumexp", "max", "mean", "min", "mvlgamma",
    "nanmean", "nansum", "outer", "polygamma", "pow", "special_ndtr", "square", "std", "var"))
# promote, or have a namesake above, but do not cast
EXACT = frozenset(("log_softmax", "logcumsumexp", "max.dim", "min.dim", "softmax", "where"))
JOINING = frozenset(("cat", "column_stack", "dstack", "hstack", "row_stack", "stack", "vstack"))
SUMS = frozenset(("cumprod", "cumsum", "mean", "nansum", "prod", "sum"))
# functions of matrices that cast, and what they call themselves and their results
SAFELY = {
    "cholesky": ("cholesky",), "cholesky_inverse": ("cholesky_inverse",),
    "cholesky_solve": ("cholesky_solve",), "geqrf": ("torch.geqrf", "a", "tau"),
    "linalg_cond": ("linalg.cond",), "linalg_pinv": ("linalg.pinv",),
    "linalg_eig": ("torch.linalg.eig", "eigenvalues", "eigenvectors"),
    "linalg_eigvals": ("torch.linalg.eigvals", "eigenvalues"),
    "linalg_householder_product": ("torch.linalg.householder_product",),
    "linalg_lstsq": ("torch.linalg.lstsq", "solution", "residuals", "rank", "singular_values"),
    "linalg_matrix_power": ("matrix_power",), "linalg_matrix_rank": ("torch.linalg.matrix_rank",),
    "linalg_tensorinv": ("tensorinv",), "linalg_tensorsolve": ("tensorsolve",)}
# dtypes as messages have them, after C's
C_NAMES = {"int8": "signed char", "uint8": "unsigned char", "int16": "short int", "int32": "int",
           "int64": "long int", "uint16": "short unsigned int", "uint32": "unsigned int",
           "uint64": "long unsigned int", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
           "float32": "float", "float64": "double", "complex64": "c10::complex<float>",
           "complex128": "c10::complex<double>"}
WORDS = {
    **dict.fromkeys(("all", "any"), "{name} only supports bool tensor for result, got: {given}"),
    **dict.fromkeys(("amax", "amin"), "Expected the dtype for input and out to match, but got "
                    "{wanted} for input's dtype and {given} for out's dtype."),
    **dict.fromkeys(("cummax", "cummin", "logcumsumexp"),
                    "expected scalar_type {wanted} but found {given}"),
    **dict.fromkeys(("median", "nanmedian"), "Expected tensor for '{field}' to have the same type "
                    "as tensor for argument #2 'self'; but type torch.{given}Tensor does not equal "
                    "torch.{wanted}Tensor (while checking arguments for median)"),
    **dict.fromkeys(("quantile", "nanquantile"),
                    "{name}() out tensor must be same dtype as the input tensor"),
    **dict.fromkeys(("searchsorted", "bucketize"),
                    "torch.searchsorted(): output tensor's dtype is wrong, it can only be "
                    "Int(int32) or Long(int64) depending on whether out_int32 flag is True, but we "
                    "got output tensor's dtype {given} and out_int32 flag is {narrow}"),
    **dict.fromkeys(("histc", "histogram"),
                    "torch.histogram: input tensor and {field} tensor should have the same dtype, "
                    "but got input {wanted_c} and {field} {given_c}"),
    "index_select": "index_select(): self and result must have the same scalar type",
    "kthvalue": "output {field} must be of same type as input",
    **dict.fromkeys(("linalg_multi_dot", "chain_matmul"), "multi_dot(): expected out tensor to have "
                    "dtype {wanted_c} but got {given_c}"),
    **dict.fromkeys(("linalg_matrix_norm", "nuclear_norm"),
                    "linalg.matrix_norm expected out tensor dtype {wanted} but got: {given}"),
    "linalg_norm": "linalg.norm expected out tensor dtype {wanted} but got: {given}",
    "linalg_solve_triangular": "expected scalar type {wanted} but found {given}",
    "linalg_vecdot": "linalg.vecdot: Expected out of dtype{wanted} but found {given}",
    "masked_select": "masked_select(): self and result must have the same scalar type",
    "mode": "expected scalar type '{wanted}' but got '{given}' for {field} output",
    "_int_mm": "int_mm_out_cpu: Expected result dtype to be of type kInt but got {given_c}",
    "nonzero": "nonzero: Expected out tensor to have scalar type {wanted} but got scalar "
               "type{given}",
    "ormqr": "torch.ormqr: Expected input and result to have the same dtype, but input has "
             "dtype{wanted} and result has dtype {given}",
    "take": "take(): self and out expected to have the same dtype, but got self.dtype = {wanted} "
            "and out.dtype = {given}",
    **dict.fromkeys(("dot", "vdot", "matmul"),
                    "result dtype {given} does not match input dtype {wanted}"),
    **dict.fromkeys(("inner", "tensordot"), "tensordot: Expected the output tensor to have dtype "
                    "{wanted}, but got an output tensor with dtype {given}"),
}


def casts(rule):
    """Whether the target may have any dtype that can hold the result."""
    names = {rule.name, rule.public_name}
    if names & EXACT:
        return False
    if names & CASTING:
        return True
    several = len(rule.inputs) > 1
    return rule.promote in ("float", "bool_out", "sum") or rule.promote == "result" and several


def check_target(rule, made, held, place, of_complex, arguments):
    """Whether the result number `place`, of dtype `made`, may go into a target that holds `held`.

    Raises CastRefused, DtypeMismatch, or JoinCastRefused.
    """
    name = rule.public_name
    if made is held or name in ("all", "any") and held is uint8:
        return
    if name in JOINING:
        if not can_cast(made, held):
            raise JoinCastRefused("torch.cat(): input types can't be cast to the desired output type "
                                  f"{held.scalar_name}")
    elif name in SAFELY:
        if not can_cast(made, held):
            of, *fields = SAFELY[name]
            field = fields[place] if fields else "result"
            raise CastRefused(f"{of}: Expected {field} to be safely castable from {made.scalar_name} "
                              f"dtype, but got {field} with dtype {held.scalar_name}")
    elif casts(rule) or name == "abs" and of_complex:
        check_cast(made, held)
    elif rule.layout == "elementwise":
        raise DtypeMismatch(f"Found dtype {held.scalar_name} but expected {made.scalar_name}")
    else:
        fields = getattr(named(name), "fields", ("result",))
        words = WORDS.get(name, "Expected out tensor to have dtype {wanted_c}, but got {given_c} "
                          "instead")
        raise DtypeMismatch(words.format(
            name=name, wanted=made.scalar_name, given=held.scalar_name, wanted_c=c_name(made),
            given_c=c_name(held), field=fields[place], narrow=arguments.get("out_int32", False)))


def computing_dtype(name, asked, held):
    """The dtype in which a sum is formed that goes to a target which holds `held`."""
    if asked is not None and asked is not held:
        raise CastRefused(f"Expected out tensor to have dtype {c_name(asked)}, but got "
                          f"{c_name(held)} instead")
    # an average of integers is refused, and an average does not become one
    return asked if name == "mean" and not held.is_differentiable else held


def c_name(dtype):
    return C_NAMES.get(dtype.name, dtype.name)
