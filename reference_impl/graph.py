"""The graph that backward walks: nodes, edges, and what a node keeps.

An edge is (node, output number), or None where no gradient flows. Nodes point from results to
inputs; nothing points the other way, so a graph lives as long as some result does.
"""

import itertools
import re
import weakref
from collections import namedtuple
from functools import cache

from reference_impl import anomaly
from reference_impl.errors import ArgumentType
from reference_impl.geometry import numel
from reference_impl.hooks import HookTable, add_hook, call_observers
from reference_impl.saving import FREED, graph_freed, keep
from reference_impl.tensor import Size, Tensor

_sequence = itertools.count()
STAMP = re.compile(r"Backward\d*$")      # error messages leave it out
InputMetadata = namedtuple("InputMetadata", "shape dtype device is_nested_tensor is_cpp_nested_tensor")


class Unsaved:
    """Stands in a vjp for an input that was not kept: shape and dtype are known, values not.

    Computing with it gives Unsaved again. So a vjp may write all cotangents, and the engine uses
    those that were asked for; using the value of something not kept cannot go unnoticed.
    """

    requires_grad = False
    is_leaf = True

    def __init__(self, size=None, dtype=None, place=None):
        if place is not None:
            self._stride, self._offset = place
        if size is not None:
            self._size, self.shape, self.dtype, self.ndim = size, Size(size), dtype, len(size)

    def size(self, dim=None):
        return self.shape if dim is None else self.shape[dim]

    def numel(self):
        return numel(self._size)

    def dim(self):
        return self.ndim

    def is_floating_point(self):
        return self.dtype.is_floating_point

    def is_complex(self):
        return self.dtype.is_complex

    def _absorb(self, *args, **kwargs):
        own = self.__dict__      # past __getattr__, which answers to every name
        return Unsaved(own.get("_size"), own.get("dtype"))

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._absorb

    def __bool__(self):
        raise TypeError("a vjp asks for the truth of an input that its rule does not save")

    def __iter__(self):
        raise TypeError("a vjp unpacks an input that its rule does not save")


for _op in ["add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "pow", "rpow", "neg", "matmul", "rmatmul", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor", "invert", "mod", "floordiv", "getitem", "abs", "rand", "ror"]:
    setattr(Unsaved, f"__{_op}__", Unsaved._absorb)
Unsaved.__hash__ = object.__hash__


class Node:
    """One step of the graph. Subclasses say in `backward` how cotangents go through it.

    edges: where each result of `backward` goes. metas: (size, dtype) of each output, which the
    engine holds cotangents to.
    """

    __slots__ = (
        "__weakref__",
        "_metadata",
        "edges",
        "hooks",
        "metas",
        "pre_hooks",
        "retained",
        "sequence",
        "tensor_hooks",
    )
    builtin = False      # torch names nodes of its engine with their namespace

    def __init__(self, edges, metas):
        self.edges, self.metas, self.sequence = edges, metas, next(_sequence)
        self.hooks = self.pre_hooks = self.tensor_hooks = self.retained = None
        self._metadata = None
        if anomaly.mode.enabled:
            anomaly.remember(self)

    @property
    def metadata(self):
        """A dict for whoever wants to note something about this node."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    def __repr__(self):
        return f"<{type(self).__name__} object at {id(self):#x}>"

    def name(self):
        name = type(self).__name__
        return f"torch::autograd::{name}" if self.builtin else name

    @property
    def next_functions(self):
        return tuple((None, 0) if e is None else e for e in self.edges)

    @property
    def _input_metadata(self):
        """What the cotangent of each output has to be like."""
        from reference_impl.creation import CPU
        return [InputMetadata(Size(size), dtype, CPU, False, False) for size, dtype in self.metas]

    requires_grad = True

    def _sequence_nr(self):
        return self.sequence

    def _set_sequence_nr(self, number):
        """Change when backward takes this node among those that wait for nothing."""
        self.sequence = number

    def backward(self, cts):
        """Cotangents of the inputs, one per edge (None: none). cts: one per output or None."""
        raise NotImplementedError

    def register_hook(self, hook):
        """Call hook(cotangents out, cotangents in) after this node ran; it may replace the former."""
        if self.hooks is None:
            self.hooks = HookTable()
        return add_hook(self.hooks, hook)

    def register_prehook(self, hook):
        """Call hook(cotangents in) before this node runs; it may replace them."""
        if self.pre_hooks is None:
            self.pre_hooks = HookTable()
        return add_hook(self.pre_hooks, hook)

    def release(self):
        """Free what was kept for backward."""

    def __call__(self, *cts):
        """This step alone: cotangents of the inputs, one or a tuple. Raises ArgumentType."""
        from reference_impl.engine import fitted
        if len(cts) != len(self.metas):
            raise ArgumentType(f"expected {len(self.metas)} arguments, got {len(cts)} instead")
        for i, ct in enumerate(cts):
            if ct is not None and not isinstance(ct, Tensor):
                raise ArgumentType(f"argument {i} is not a Variable")
        out = fitted(self, self.backward(list(cts)))
        return out[0] if len(out) == 1 else tuple(out)


class AccumulateGrad(Node):
    """The end of a path: adds what arrives to the leaf's `.grad`."""

    __slots__ = ("variable",)
    builtin = True

    def __init__(self, variable):
        from reference_impl.leaves import collected_dtype
        super().__init__((), ((variable._size, collected_dtype(variable)),))
        self.sequence = float("inf")     # as in torch: leaves are served as soon as they are ready
        self.variable = variable

    def backward(self, cts):
        from reference_impl.accumulate import accumulate
        if cts[0] is not None and self.variable.requires_grad:
            accumulate(self.variable, cts[0])
            if self.variable._hooks:
                call_observers(self.variable._hooks, self.variable)
        return ()


def accumulator(leaf):
    """The one AccumulateGrad node of a leaf, made on first need."""
    node = leaf._accumulator_ref and leaf._accumulator_ref()
    if node is None:
        node = AccumulateGrad(leaf)
        leaf._accumulator_ref = weakref.ref(node)
        if leaf._tensor_hooks is not None:
            node.tensor_hooks = {0: leaf._tensor_hooks}
    return node


def gradient_edge(t):
    """Where a cotangent of `t` goes; None when it requires no grad."""
    if t._view is not None:
        from reference_impl.viewing import refresh
        refresh(t)
    if t._node is not None:
        return (t._node, t._nr)
    return (accumulator(t), 0) if t._leaf_grad else None


class RuleNode(Node):
    """A step recorded by an operation of the table."""

    __slots__ = ("arguments", "many", "needed", "rule", "saved", "structure")
    rule_of_class = None

    def __init__(self, rule, edges, metas, arguments, structure, needed, many):
        super().__init__(edges, metas)
        self.rule, self.arguments, self.saved = rule, arguments, {}
        self.structure, self.needed, self.many = structure, needed, many

    def release(self):
        for kept in self.saved.values():
            for one in kept if isinstance(kept, list) else (kept,):
                one.release()

    def backward(self, cts):
        rule = self.rule
        if rule.vjp is None:
            from reference_impl.dispatch import not_differentiable
            raise not_differentiable(rule.name)
        kept = {name: self._unpack(what) for name, what in self.saved.items()}
        if all(ct is None for ct in cts):
            return [None] * len(self.edges)
        ins = [kept.get(name, meta) for name, meta in zip(rule.inputs, self.structure, strict=True)]
        y = kept.get("result")
        if y is None:
            y = tuple(Unsaved(*m) for m in self.metas)
            y = y if self.many else y[0]
        got = rule.vjp(self._materialise(cts), ins, y, **self.arguments)
        return self._flatten(got)

    def _unpack(self, what):
        if isinstance(what, list):
            return [s.unpack(self) for s in what]
        return what.unpack(self)

    def _materialise(self, cts):
        """Nothing, in the right shape, where no cotangent arrived; None for outputs that cannot have
        one."""
        from reference_impl.zero_tangent import no_cotangent
        full = [ct if ct is not None else no_cotangent(size, d) if d.is_differentiable else None
                for ct, (size, d) in zip(cts, self.metas, strict=True)]
        return tuple(full) if self.many else full[0]

    def _flatten(self, got):
        """One cotangent per edge from one per input; checks that the wanted ones are there."""
        from reference_impl.zero_tangent import ZeroTangent
        flat = []
        for meta, ct in zip(self.structure, got, strict=True):
            if isinstance(meta, list):
                ct = [None] * len(meta) if ct is None else ct
                flat.extend(c for c, m in zip(ct, meta, strict=True) if m is not None)
            elif meta is not None:
                flat.append(ct)
        for i, (ct, wanted) in enumerate(zip(flat, self.needed, strict=True)):
            if not wanted or isinstance(ct, ZeroTangent):
                flat[i] = None
            elif isinstance(ct, Unsaved):
                raise AssertionError(
                    f"rule {self.rule.name}: the vjp of input {i} needs a value that `saves` does "
                    f"not list (saves = {self.rule.saves})")
        return flat

    def __getattr__(self, name):
        """What was kept, by torch's names: _saved_self, _saved_dim, _saved_self_sym_sizes, …"""
        if name.startswith("_saved_"):
            return self._kept_as(name, name[len("_saved_"):])
        if name.startswith("_raw_saved_"):
            kept = self.saved.get(name[len("_raw_saved_"):])
            if isinstance(kept, list):
                if any(one.tensor is FREED for one in kept):
                    raise graph_freed()
                return tuple(kept)
            if kept is not None:
                return kept
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _kept_as(self, attribute, name):
        if name in self.saved:
            kept = self._unpack(self.saved[name])
            return tuple(kept) if isinstance(kept, list) else kept
        if name in self.arguments:
            return self.arguments[name]
        for known, meta in zip(self.rule.inputs, self.structure, strict=True):
            fact = name.removeprefix(f"{known}_")
            if name == known and meta is None:
                return None
            if fact != name and (meta is None or isinstance(meta, Unsaved)):
                told = _geometry_fact(fact.removeprefix("sym_"), meta)
                if told is not None:
                    return told
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{attribute}'")


def _geometry_fact(fact, meta):
    """sizes, strides or one size (argsize_1, argsize_minus_1) of an input; None for other words."""
    if meta is None:
        return (0,) if fact == "sizes_opt" else None
    if fact in ("sizes", "sizes_opt"):
        return tuple(meta._size)
    if fact == "strides":
        return tuple(meta._stride)
    place = fact.removeprefix("argsize_")
    if place == fact:
        return None
    back = place.removeprefix("minus_")
    return meta._size[-int(back) if back != place else int(place)]


@cache
def node_class(name):
    """The class of nodes called `name`: torch's names are type names."""
    builtin = name in ("NotImplemented", "CopyBackwards", "Identity")
    return type(name, (RuleNode,), {"__slots__": (), "builtin": builtin})


def node_name(rule, arguments):
    if rule.vjp is None:
        return "NotImplemented"
    return rule.node if isinstance(rule.node, str) else rule.node(**arguments)


def edges_of(flat):
    """Where the cotangents of these tensors go; found before the operation runs, as in torch."""
    return tuple(gradient_edge(t) if t.dtype.is_differentiable else None for t in flat)


def make_node(rule, ins, edges, arguments, outputs, many, kept_self=None):
    """The node of one call; `outputs` are not attached to it yet. edges: those of the inputs.

    kept_self: for an in-place operation, a copy of the input from before the write.
    """
    structure = [_meta(x) for x in ins]
    node = node_class(node_name(rule, arguments))(rule, edges, tuple((o._size, o.dtype) for o in outputs), arguments,
                            structure, [e is not None for e in edges], many)
    if not rule.saves:
        return node
    wanted, position = set(), 0
    for name, x in zip(rule.inputs, ins, strict=True):
        count = _count(x)
        if any(e is not None for e in edges[position:position + count]):
            wanted.update(rule.saves.get(name, ()))
        position += count
    for name, x in zip(rule.inputs, ins, strict=True):
        if name in wanted and x is not None:
            if kept_self is not None and name == "self":
                x = kept_self
            node.saved[name] = [keep(v) for v in x] if isinstance(x, list) else keep(x)
    return node


def save_result(node, outputs):
    """Keep the outputs too, where the rule asks; call once they carry the node's history."""
    rule = node.rule
    position = 0
    for name, meta in zip(rule.inputs, node.structure, strict=True):
        count = _count(meta)
        asked = [s for s in rule.saves.get(name, ()) if s.startswith("result")]
        if asked and any(node.needed[position:position + count]):
            kept = [keep(o if {"result", f"result.{i}"} & set(asked) else None, is_result=True)
                    for i, o in enumerate(outputs)]
            node.saved["result"] = kept if node.many else kept[0]
            return
        position += count


def _meta(x):
    if x is None:
        return None
    if isinstance(x, list):
        return [_meta(t) for t in x]
    return Unsaved(x._size, x.dtype, (x._stride, x._offset))


def _count(x):
    """How many tensors one input holds."""
    return sum(v is not None for v in x) if isinstance(x, list) else int(x is not None)


def record(rule, ins, edges, arguments, outputs, many):
    """Give `outputs` their history."""
    which = rule.differentiable
    tracked = [i for i, o in enumerate(outputs) if o.dtype.is_differentiable
               and (which is None or i in which)]
    if not tracked:
        return
    node = make_node(rule, ins, edges, arguments, outputs, many)
    for i in tracked:
        outputs[i]._node, outputs[i]._nr = node, i
    if rule.saves:
        save_result(node, outputs)


def keep_tangents(outputs, node=None):
    """Results that their node keeps have tangents as well: backward itself goes on in forward mode."""
    from reference_impl.forward_ad import set_tangent
    for out in outputs:
        owner = out._node if node is None else node
        kept = owner.saved.get("result") if owner is not None else None
        one = kept[out._nr] if isinstance(kept, list) else kept
        if one is not None and out._tangent is not None and isinstance(one.tensor, Tensor):
            set_tangent(one.tensor, out._tangent)
