"""The table of operations: `rule`, `view_rule`, `composite`, and the registry RULES.

    rule("exp", np.exp, promote="float",
         vjp=lambda ct, ins, y: [ct * y.conj()], jvp=lambda t, ins, y: t[0] * y,
         saves={"self": ("result",)})

forward   works on ndarrays, already cast as `promote` says, not broadcast, never to be written
          to; returns an ndarray or a tuple of them. Its parameter names and defaults are the
          public signature (torch's schema names); a ufunc has (self) or (self, other).
inputs    the names of the tensor parameters, wherever they stand: "self", "weight?" (may be
          None), "tensors*" (a list), "tensors*?" (a list with None). Default: (self) or
          (self, other) for ufuncs.
          All other parameters are arguments and reach forward, vjp and jvp by name, unchanged
          (dtype= is a reference_impl dtype: `.np` is NumPy's).
vjp       (ct, ins, y, **args) -> list with one cotangent per input (None: no gradient; for a
          "tensors*" input a list). ct, ins[i], y are Tensors (y and ct are tuples when forward
          returns a tuple; ct[i] is None for an output that cannot have a gradient). Write it
          with Tensor operations, then higher derivatives come for free. Broadcasting and dtype
          are undone by the engine. Complex: multiply by the conjugate, as torch does.
jvp       (t, ins, y, **args) -> tangent (tuple if several outputs). Where an input has no tangent,
          t[i] is zeros that stay zero times or over anything (zero_tangent.py), and a result that
          is nothing but such has none. jvp="linear": the operation applied to the tangents. Every
          rule with a vjp has a jvp, unless torch has none (tests/reference/test_forward_rules.py).
promote   "none"     inputs come as they are
          "same"     inputs must have one dtype
          "result"   cast to torch.result_type of all inputs, numbers and 0-dim included
          "float"    the same, and bool/integers become the default dtype
          "bool_out" cast as "result"; the result is bool
          "sum"      dtype= if given, else bool/integers become int64
unpromoted  names of inputs that keep their dtype and do not count in promotion (a mask).
accepts   categories ("bool int float complex", a selection) of the dtype computed in; any other
          is refused with NotImplementedFor. Default: all. `exact` is always accepted.
accepts_each  True: what `accepts` says holds for every input before promotion, too.
saves     {input: names} what is kept for that input's cotangent: input names and "result"
          ("result.1": of several results only the second; the others are None in y).
          A tuple means the same for all inputs; None means nothing is kept. An input that is
          not kept appears in vjp as `Unsaved`: it has shape, dtype, ndim, numel(), size(),
          and computing with it gives Unsaved, never a number. So vjp may compute all
          cotangents and only the wanted ones count; a wanted one that is Unsaved is an error
          that names the missing entry.
inplace   True also makes `name_`.
apart     True: in place, no input may share memory with what is written, not even all of it.
node      the graph node's name, or a function of the arguments that gives it; default
          CamelCase(name) + "Backward0".
layout    "elementwise" (strides follow the inputs, as torch's iterator does), "contiguous",
          "preserve" (the input's strides where dense), "keep" (as forward returned it), "columns"
          (matrices column by column, as LAPACK leaves them), a tuple with one of these for each
          result, or a function of the arguments that gives one of them.
          Default: elementwise for ufuncs and when promote is result, float or bool_out.
numbers   whether Python numbers are accepted as inputs. Default: when promote is result,
          float or bool_out.
varargs   name of a parameter that also collects loose integers: permute(0, 1).
partial   True: in vjp, the cotangent of a result that nothing depends on is None, not zeros.
helper    True when no table of operations lists the rule (names with a leading underscore and
          the in-place forms are helpers anyway).
differentiable  indices of the outputs that can have a gradient; default: all of floating or
          complex dtype.

Overloads: register "max", "max.dim", "max.other" as rules of their own; the function `max` tries
them in order of registration, first those whose inputs are all tensors. An argument annotated
with a type (`def forward(self, dim: int)`) fits only values of that type.
"""

import inspect
from dataclasses import dataclass, field, replace

import numpy as np

from reference_impl import dtypes as dt
from reference_impl.errors import ArgumentType

RULES = {}          # name with overload -> Rule
OPERATIONS = {}     # public name -> Operation (all overloads)
HELPERS = set()     # rules that no table of operations lists

PROMOTIONS = ("none", "same", "result", "float", "bool_out", "sum")
CATEGORIES = ("bool", "int", "float", "complex")
BROADCASTING = ("result", "float", "bool_out")
NO_DEFAULT = inspect.Parameter.empty
DTYPE = (dt.dtype, type(None))                 # what an argument called dtype may be
NUMPY_NAMES = {"input": "self", "axis": "dim", "keepdims": "keepdim", "x": "self", "x1": "self",
               "x2": "other"}


@dataclass(eq=False)
class Parameter:
    """One parameter. kind: tensor, optional, tensors or argument."""

    name: str
    kind: str
    default: object = NO_DEFAULT
    keyword_only: bool = False
    holes: bool = False            # of a list input: entries may be None
    type: object = None            # of an argument, from its annotation: tells overloads apart


@dataclass(eq=False)
class Rule:
    name: str
    kind: str                      # "rule", "view" or "composite"
    forward: object
    vjp: object = None
    jvp: object = None
    promote: str = "none"
    saves: dict = field(default_factory=dict)
    inputs: tuple = ("self",)      # names without * and ?
    parameters: tuple = ()
    signature: inspect.Signature = None
    inplace: bool = False
    node: str = None
    layout: str = "contiguous"
    numbers: bool = False
    varargs: str = None
    differentiable: tuple = None
    unpromoted: tuple = ()
    accepts: tuple = ()            # categories; () is all
    accepts_each: bool = False
    retype: object = None          # views: dtype of the result, from (input, **args)
    partial: bool = False          # vjp sees None where no cotangent arrived
    apart: bool = False            # in place: no input may share memory with what is written
    tracked: bool = True           # views: whether the result knows its base
    flips: int = 0                 # views: bits that the result has where the input has not
    runs_inplace: bool = False     # this is the `name_` form of `base`
    base: object = None

    def __post_init__(self):
        self.public_name = self.name.split(".")[0]
        self.names = tuple(p.name for p in self.parameters)
        self.by_name = {p.name: i for i, p in enumerate(self.parameters)}
        self.positional = sum(not p.keyword_only for p in self.parameters)
        self.defaults = [p.default for p in self.parameters]
        self.input_positions = [self.by_name[n] for n in self.inputs]
        self.input_kinds = [self.parameters[i].kind for i in self.input_positions]
        self.argument_names = tuple(n for n in self.names if n not in self.inputs)
        self.simple = all(k == "tensor" for k in self.input_kinds)

    def __repr__(self):
        return f"<{self.kind} {self.name}{self.signature}>"


def rule(name, forward, *, inputs=None, vjp=None, jvp=None, promote="none", saves=None,
         inplace=False, method=True, function=True, node=None, layout=None, numbers=None,
         varargs=None, differentiable=None, unpromoted=(), accepts="",
         accepts_each=False, helper=False, apart=False, partial=False):
    """Register one operation (see the module's text) and return its function.

    Raises ValueError for a wrong declaration.
    """
    if promote not in PROMOTIONS:
        raise ValueError(f"rule {name}: promote is {promote!r}, not one of {PROMOTIONS}")
    names, kinds = _inputs(name, forward, inputs)
    parameters, signature = _parameters(name, forward, names, kinds)
    if layout is None:
        elementwise = isinstance(forward, np.ufunc) or promote in BROADCASTING
        layout = "elementwise" if elementwise else "contiguous"
    made = Rule(name, "rule", forward, vjp, jvp, promote, _saves(name, saves, names), names,
                parameters, signature, inplace, node or node_name(name), layout,
                promote in BROADCASTING if numbers is None else numbers, varargs, differentiable,
                tuple(unpromoted), tuple(CATEGORIES.index(c) for c in accepts.split()), accepts_each)
    made.apart, made.partial = apart, partial
    return _register(made, method, function, helper)


def view_rule(name, geometry, *, vjp=None, jvp="linear", inputs=("self",), method=True,
              function=True, node=None, varargs=None, saves=None, retype=None,
              helper=False, tracked=True, flips=0):
    """Register an operation whose result shares memory with its first input.

    geometry(g, **args) gets a Geometry (size, stride, offset) and returns (size, stride, offset),
    or a list of them (split): then the result is a tuple of views. vjp as in `rule`.
    tracked: False for a result whose source nobody else can see, and which is thus no view.
    retype(input, **args): the result's dtype, where it is not the input's; the geometry is then
    in elements of that dtype.
    flips: CONJUGATE or NEGATIVE for a result that is to be read differently from its input.
    """
    names, kinds = _inputs(name, geometry, inputs)
    parameters, signature = _parameters(name, geometry, names, kinds)
    made = Rule(name, "view", geometry, vjp, jvp, "none", _saves(name, saves, names), names,
                parameters, signature, False, node or node_name(name), "view", False, varargs,
                retype=retype, tracked=tracked, flips=flips)
    return _register(made, method, function, helper)


def composite(name, function_of_tensors, *, method=True, function=True, helper=False):
    """Register a function made of other operations: it has no graph node of its own."""
    made = Rule(name, "composite", function_of_tensors, inputs=(),
                signature=inspect.signature(function_of_tensors))
    return _register(made, method, function, helper)


def node_name(name):
    """Graph node name as torch makes it: masked_fill -> MaskedFillBackward0."""
    words = name.split(".")[0].strip("_").split("_")
    return "".join(w[:1].upper() + w[1:] for w in words) + "Backward0"


def _inputs(name, forward, inputs):
    if inputs is None:
        if not isinstance(forward, np.ufunc):
            raise ValueError(f"rule {name}: inputs=(...) is required unless forward is a ufunc")
        inputs = ("self", "other")[:forward.nin]
    kinds = {"?": "optional", "*": "tensors"}     # "*?" is a list whose entries may be None
    names = tuple(n.rstrip("?*") for n in inputs)
    return names, {name: "tensors" + n.partition("*")[2] if "*" in n else kinds.get(n[-1], "tensor")
                   for name, n in zip(names, inputs, strict=True)}


def _parameters(name, forward, names, kinds):
    if isinstance(forward, np.ufunc):
        parameters = tuple(Parameter(n, kinds[n]) for n in names)
        return parameters, inspect.Signature([
            inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names])
    signature, parameters = inspect.signature(forward), []
    given = list(signature.parameters.values())
    for i, p in enumerate(given):
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise ValueError(f"rule {name}: parameter {p} must be written out (or use varargs=)")
        kind = kinds.get(p.name, "argument")
        if i == 0 and p.name in ("g", "geometry"):        # view rules: the first input's geometry
            kind, p = kinds[names[0]], p.replace(name=names[0])
            given[0] = p
        annotated = None if p.annotation is p.empty else p.annotation
        if p.name == "dtype" and kind == "argument":
            annotated = DTYPE                  # so that `float` is understood
        parameters.append(Parameter(p.name, kind.rstrip("?"), p.default, p.kind == p.KEYWORD_ONLY,
                                    kind.endswith("?"), annotated))
    missing = set(names) - {p.name for p in parameters}
    if missing:
        raise ValueError(f"rule {name}: inputs {sorted(missing)} are not parameters of forward")
    return tuple(parameters), signature.replace(parameters=given)


def _saves(name, saves, names):
    if saves is None:
        return {}
    if not isinstance(saves, dict):
        saves = dict.fromkeys(names, tuple(saves))
    known = {*names, "result", "result.0", "result.1"}
    for target, kept in saves.items():
        if target not in names or not set(kept) <= known:
            raise ValueError(f"rule {name}: saves {target!r}: {kept!r} names something that is "
                             f"neither an input {names} nor 'result'")
    return {target: tuple(kept) for target, kept in saves.items()}


def _register(made, method, function, helper=False):
    from reference_impl.dispatch import Operation
    if made.name in RULES:
        raise ValueError(f"rule {made.name} is registered twice")
    RULES[made.name] = made
    if helper or made.name.startswith("_"):
        HELPERS.add(made.name)
    operation = OPERATIONS.get(made.public_name)
    if operation is None:
        operation = OPERATIONS[made.public_name] = Operation(made.public_name)
    operation.add(made, method, function)
    if made.inplace:
        base, _, overload = made.name.partition(".")
        name = f"{base}_.{overload}" if overload else f"{base}_"
        over = replace(made, name=name, inplace=False, runs_inplace=True,
                       base=made)
        _register(over, method, function, helper=True)
    return operation.function


def unknown_argument(rule_name, key):
    return ArgumentType(f"{rule_name}() got an unexpected keyword argument '{key}'")
