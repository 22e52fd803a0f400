"""From a call to a result: bind arguments, choose the overload, promote, compute, record."""

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.errors import (
    ArgumentType,
    DtypeMismatch,
    DtypeUnsupported,
    NotDifferentiable,
    NotImplementedFor,
    UnsupportedDevice,
)
from reference_impl.forward_ad import attach_tangents, has_tangent, level
from reference_impl.geometry import broadcast_shapes
from reference_impl.grad_mode import state
from reference_impl.graph import edges_of, keep_tangents, record
from reference_impl.older_calls import factors_last
from reference_impl.promotion import NUMBER, number_dtype, result_dtype, to_float
from reference_impl.return_types import named
from reference_impl.rule import BROADCASTING, DTYPE, NO_DEFAULT, NUMPY_NAMES
from reference_impl.tensor import Tensor, from_result, make_tensor, mark_meta
from reference_impl.unsaved import Unsaved

FUNCTIONS = {}      # public name -> function, what `reference_impl.<name>` finds


class Operation:
    """All overloads of one public name."""

    def __init__(self, name):
        self.name, self.rules = name, []
        self.function = self._make_function()

    def add(self, rule, method, function):
        self.rules.append(rule)
        if function:
            FUNCTIONS[self.name] = self.function
        if method:
            attach_method(self.name, rule, self.function)

    def _make_function(self):
        def call(*args, **kwargs):
            return self.call(args, kwargs)
        call.__name__ = call.__qualname__ = self.name
        return call

    def call(self, args, kwargs):
        if "out" in kwargs and "out" not in (self.rules[0].signature.parameters or ()):
            from reference_impl.out import call_into
            return call_into(self, args, kwargs)
        if len(self.rules) == 1:
            one = self.rules[0]
            if one.kind == "composite":
                return compose(one, args, kwargs)
            return run(one, bind(one, args, kwargs, strict=False))
        failures = []
        for strict in (True, False):
            for one in self.rules:
                try:
                    if one.kind == "composite":
                        one.signature.bind(*args, **kwargs)
                        return compose(one, args, kwargs)
                    values = bind(one, args, kwargs, strict)
                except TypeError as error:
                    # without its frames: they hold the arguments, and `failures`, in a cycle
                    error.__traceback__ = error.__context__ = None
                    failures.append(error)
                    continue
                return run(one, values)
        raise failures[-1]


def compose(rule, args, kwargs):
    """Call a composite. Raises ArgumentType where something else is given for its first tensor."""
    if args and rule.lead and not isinstance(args[0], (Tensor, Unsaved)):
        raise ArgumentType(f"{rule.public_name}(): argument '{rule.lead}' (position 1) must be "
                           f"Tensor, not {type(args[0]).__name__}")
    return rule.forward(*args, **kwargs)


def attach_method(name, rule, function):
    """Make `function` a method; self need not be its first parameter (where)."""
    place = rule.by_name.get("self", 0) if rule.kind != "composite" else 0
    if place == 0:
        setattr(Tensor, name, function)
        return

    def method(self, *args, **kwargs):
        return function(*args[:place], self, *args[place:], **kwargs)
    method.__name__ = method.__qualname__ = name
    setattr(Tensor, name, method)


def bind(rule, args, kwargs, strict):
    """Values of the rule's parameters in order. Raises ArgumentType when the call does not fit.

    strict: inputs must be tensors and arguments must not be (to choose among overloads).
    """
    values, given = list(rule.defaults), len(args)
    if given > rule.positional or rule.varargs:
        args, given = _collect(rule, args)
    values[:given] = args
    for key, value in kwargs.items():
        i = rule.by_name.get(key)
        if i is None:
            i = rule.by_name.get(NUMPY_NAMES.get(key))
        if i is None:
            raise ArgumentType(f"{rule.public_name}() got an unexpected keyword argument '{key}'")
        if i < given:
            raise ArgumentType(f"{rule.public_name}() got multiple values for argument '{key}'")
        values[i] = value
    for i, value in enumerate(values):
        kind = rule.parameters[i].kind
        if isinstance(value, Tensor):
            if kind == "argument":
                if strict or value._size or value.requires_grad:
                    raise _wrong(rule, i, value)
                values[i] = value.item()
        elif value is NO_DEFAULT:
            raise ArgumentType(f"{rule.public_name}() missing 1 required positional arguments: "
                               f'"{_public(rule.names[i])}"')
        elif kind == "argument":
            wanted = rule.parameters[i].type
            if wanted is not None and (not isinstance(value, wanted)
                                       or wanted is int and isinstance(value, bool)):
                if wanted is DTYPE:
                    values[i] = dt.check_dtype(value)
                    continue
                if wanted is not int or not isinstance(value, np.integer):
                    raise _wrong(rule, i, value)
                values[i] = int(value)
        elif not _is_input(rule, i, value, strict, values):
            raise _wrong_together(rule, values) if rule.numbers in ("one", "other") else _wrong(
                rule, i, value)
    return values


def _collect(rule, args):
    """Loose integers gathered into the varargs parameter: permute(0, 1)."""
    if rule.varargs is None:
        found = factors_last(rule, args)
        if found is not None:
            return found, len(args)
        raise ArgumentType(f"{rule.public_name}() takes {rule.positional} positional arguments "
                           f"but {len(args)} were given")
    place = rule.by_name[rule.varargs]
    if len(args) > place and not isinstance(args[place], (tuple, list)) and args[place] is not None:
        args = args[:place] + (tuple(args[place:]),)
    elif len(args) > rule.positional:
        raise ArgumentType(f"{rule.public_name}() takes {rule.positional} positional arguments "
                           f"but {len(args)} were given")
    return args, len(args)


def _is_input(rule, i, value, strict, values):
    kind = rule.parameters[i].kind
    if kind == "tensors":
        return isinstance(value, (tuple, list)) and all(
            isinstance(v, (Tensor, Unsaved)) or (v is None and rule.parameters[i].holes)
            for v in value)
    if value is None:
        return kind == "optional"
    if isinstance(value, Unsaved):
        return True
    if strict or not rule.numbers or not isinstance(value, NUMBER):
        return False
    if rule.numbers == "other":
        return i != rule.input_positions[0]
    return rule.numbers is True or any(isinstance(values[p], Tensor) for p in rule.input_positions)


def _public(name):
    return "input" if name == "self" else name


def _wrong_together(rule, values):
    """Where torch has several overloads, it names no argument but all."""
    got = ", ".join(type(v).__name__ for v in values[:len(rule.inputs)])
    return ArgumentType(f"{rule.public_name}() received an invalid combination of arguments - got "
                        f"({got})")


def _wrong(rule, i, value):
    kind = rule.parameters[i].kind
    if kind == "tensors" and isinstance(value, (tuple, list)):
        k = next(k for k, v in enumerate(value) if not isinstance(v, Tensor))
        return ArgumentType(f"expected Tensor as element {k} in argument {i}, but got "
                            f"{type(value[k]).__name__}")
    want = {"tensors": "tuple of Tensors", "argument": getattr(
        rule.parameters[i].type, "__name__", "Number")}.get(kind, "Tensor")
    return ArgumentType(f"{rule.public_name}(): argument '{_public(rule.names[i])}' (position "
                        f"{i + 1}) must be {want}, not {type(value).__name__}")


def wrap_number(value, dtype=None):
    """A Python number as a zero-dim tensor that yields in promotion.

    Its digits are kept, in double or in NumPy's long double, although it counts as the default
    dtype: 0.3 times a float64 tensor is not 0.3 rounded to float32 times it.
    """
    wide = isinstance(value, (np.longdouble, np.clongdouble))
    own = {dt.FLOAT: dt.extended if wide else dt.float64,
           dt.COMPLEX: dt.cextended if wide else dt.complex128}.get(
        number_dtype(value).category, number_dtype(value))
    made = make_tensor(np.array(value, own.np), own)
    made._wrapped = True
    return made


def run(rule, values):
    """Compute a rule on bound values."""
    if rule.kind == "view":
        from reference_impl.viewing import run_view
        return run_view(rule, values)
    ins, flat = [], []
    for i in rule.input_positions:
        value = values[i]
        if isinstance(value, Unsaved):
            return value
        if isinstance(value, (tuple, list)):
            if any(isinstance(v, Unsaved) for v in value):
                return Unsaved()
            value = list(value)
            flat.extend(v for v in value if v is not None)
        elif value is not None:
            if not isinstance(value, Tensor):
                value = wrap_number(value)
            flat.append(value)
        ins.append(value)
    arguments = {n: values[rule.by_name[n]] for n in rule.argument_names}
    if rule.runs_inplace:
        from reference_impl.inplace import run_inplace
        return run_inplace(rule, ins, flat, values, arguments)
    edges = None
    recording = state.enabled and any(t.requires_grad for t in flat)
    if recording and rule.vjp is not None:
        edges = edges_of(flat)
    raw, arrays = compute(rule, ins, flat, values, arguments)
    many = isinstance(raw, (tuple, list))
    layout = rule.layout(**arguments) if callable(rule.layout) else rule.layout
    if isinstance(layout, tuple):
        outputs = [from_result(r, arrays, own, flat) for r, own in zip(raw, layout, strict=True)]
    else:
        outputs = [from_result(r, arrays, layout, flat) for r in (raw if many else (raw,))]
    if any(t._meta for t in flat):
        check_devices(flat)
        for out in outputs:
            mark_meta(out)
    if recording and edges is None and any(o.dtype.is_differentiable for o in outputs):
        edges = edges_of(flat)
    if edges is not None:
        record(rule, ins, edges, arguments, outputs, many)
    if level.depth and has_tangent(flat):
        attach_tangents(rule, ins, outputs, arguments, many)
        if edges is not None:
            keep_tangents(outputs)
    return named(rule.public_name)(outputs) if many else outputs[0]


def check_devices(flat):
    """Raises UnsupportedDevice when tensors of meta and cpu meet; zero-dim ones go anywhere."""
    if any(not t._meta and t._size for t in flat):
        raise UnsupportedDevice("Expected all tensors to be on the same device, but found at least "
                                "two devices, meta and cpu!")


def compute(rule, ins, flat, values, arguments):
    """Run forward on promoted arrays. Returns what it returned, and those arrays."""
    promoted = [True] * len(flat)
    if rule.unpromoted:
        present = [n for n, x in zip(rule.inputs, ins, strict=True) if x is not None]
        promoted = [n not in rule.unpromoted for n in present]
    dtype = common_dtype(rule, [t for t, p in zip(flat, promoted, strict=True) if p], arguments)
    if promoted and (dtype or flat[0].dtype).limited:
        check_limited(rule, dtype or flat[0].dtype)
    if rule.accepts:
        check_category(rule, dtype or flat[0].dtype)
        for t in flat if rule.accepts_each else ():
            if t.dtype is dt.bool and rule.public_name.rstrip("_") in ("sub", "rsub"):
                raise DtypeUnsupported(ONE_BOOL_REFUSED)
            check_category(rule, t.dtype)
    arrays = [t._array.astype(dtype.np) if p and dtype is not None and t.dtype is not dtype
              else t._array for t, p in zip(flat, promoted, strict=True)]
    try:
        return forward(rule, ins, values, arrays), arrays
    except ValueError:
        if rule.promote in BROADCASTING:
            broadcast_shapes(*(a.shape for a in arrays))     # says which dimension
        raise


# what torch 2.13 computes with complex32 on the CPU; "ComplexHalf support is experimental"
COMPLEX_HALF = {
    "abs", "add", "addcmul", "all", "any", "cat", "clone", "copy", "eq", "index", "index_add",
    "index_copy", "index_fill", "index_put", "index_select", "isfinite", "isinf", "isnan", "isreal",
    "masked_fill", "masked_select", "mul", "ne", "neg", "positive", "roll", "rsub", "sgn", "stack",
    "sub", "tril", "triu", "where",
}


def check_limited(rule, dtype):
    """Raises NotImplementedFor where a dtype that is mostly for storage has no such operation."""
    if dtype is dt.complex32:
        name = rule.public_name
        refused = name.removesuffix("_") not in COMPLEX_HALF and not name.startswith("_")
    else:                                # float8: moved and converted, but not computed with
        refused = rule.promote in BROADCASTING
    if refused:
        raise NotImplementedFor(f'"{rule.name}_stub" not implemented for \'{dtype.scalar_name}\'')


def forward(rule, ins, values, arrays):
    with np.errstate(all="ignore"):
        if isinstance(rule.forward, np.ufunc):
            return rule.forward(*arrays)
        given, rest = list(values), iter(arrays)
        for i, x in zip(rule.input_positions, ins, strict=True):
            if isinstance(x, list):
                given[i] = [None if v is None else next(rest) for v in x]
            elif x is not None:
                given[i] = next(rest)
        n = rule.positional
        keywords = dict(zip(rule.names[n:], given[n:], strict=True))
        return rule.forward(*given[:n], **keywords)


# what Python's operators refuse to do with bool, and some others, has words of its own
ONE_BOOL_REFUSED = ("Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
                    "trying to invert a mask, use the `~` or `logical_not()` operator instead.")
NO_SUBTRACTION = ("Subtraction, the `-` operator, with two bool tensors is not supported. Use the "
                  "`^` or `logical_xor()` operator instead.")
NO_NEGATION = ("Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
               "invert a mask, use the `~` or `logical_not()` operator instead.")
REFUSED = {
    **dict.fromkeys([("sub", dt.BOOL), ("sub_", dt.BOOL)], NO_SUBTRACTION),
    **dict.fromkeys([("neg", dt.BOOL), ("neg_", dt.BOOL)], NO_NEGATION),
    ("abs_", dt.COMPLEX): "In-place abs is not supported for complex tensors.",
}


COMPLEX_REFUSED = {
    "sign": "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use "
            "torch.sgn instead.",
}


def check_category(rule, dtype):
    """Raises NotImplementedFor when the rule does not accept what it would compute in."""
    if dtype.category not in rule.accepts and dtype.category != dt.EXACT:
        refused = REFUSED.get((rule.public_name, dtype.category))
        if refused:
            raise DtypeUnsupported(refused)
        if dtype.is_complex and rule.public_name.rstrip("_") in COMPLEX_REFUSED:
            raise NotImplementedFor(COMPLEX_REFUSED[rule.public_name.rstrip("_")])
        raise NotImplementedFor(f'"{rule.name}" not implemented for \'{dtype.scalar_name}\'')


def common_dtype(rule, flat, arguments):
    """The dtype that inputs are cast to before forward; None: they stay as they are."""
    promote = rule.promote
    if promote == "none" or not flat:
        return None
    first = flat[0].dtype
    alike = not flat[0]._wrapped and all(t.dtype is first and not t._wrapped for t in flat)
    if promote == "same":
        if not alike:
            other = next(t.dtype for t in flat if t.dtype is not first)
            raise DtypeMismatch(f"expected all inputs to have the same dtype, but got "
                                f"{first.name} and {other.name}")
        return None
    if promote == "sum":
        asked = arguments.get("dtype")
        return asked or (dt.int64 if first.category <= dt.INT else first)
    common = first if alike else result_dtype(flat)
    return to_float(common) if promote == "float" else common


def not_differentiable(name):
    return NotDifferentiable(f"derivative for aten::{name} is not implemented")
