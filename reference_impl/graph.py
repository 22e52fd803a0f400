"""The graph that backward walks: nodes, edges, and what a node keeps.

An edge is (node, output number), or None where no gradient flows. Nodes point from results to
inputs; nothing points the other way, so a graph lives as long as some result does.
"""

import itertools
import re
import threading
import weakref
from functools import cache

from reference_impl import anomaly
from reference_impl.errors import (
    GraphFreed,
    InferenceMisuse,
    NotDifferentiable,
    SavedTensorModified,
    shape_text,
)
from reference_impl.geometry import numel
from reference_impl.hooks import HookTable, add_hook
from reference_impl.tensor import Size, Tensor, shallow

_sequence = itertools.count()
STAMP = re.compile(r"Backward\d*$")      # error messages leave it out


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

    def _sequence_nr(self):
        return self.sequence

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
        out = self.backward(list(cts))
        return out[0] if len(out) == 1 else tuple(out)


class DelayedError(Node):
    """Stands behind something that may be computed but not differentiated."""

    __slots__ = ("message",)
    builtin = True

    def __init__(self, t, message):
        super().__init__((gradient_edge(t),), ((t._size, t.dtype),))
        self.message = message

    def backward(self, cts):
        raise NotDifferentiable(self.message)


def delayed_error(t, message):
    """`t`, whose gradient is refused with this message when it is asked for."""
    if not t.requires_grad:
        return t
    out = shallow(t)
    out._node = DelayedError(t, message)
    return out


class AccumulateGrad(Node):
    """The end of a path: adds what arrives to the leaf's `.grad`."""

    __slots__ = ("variable",)
    builtin = True

    def __init__(self, variable):
        super().__init__((), ((variable._size, variable.dtype),))
        self.sequence = float("inf")     # as in torch: leaves are served as soon as they are ready
        self.variable = variable

    def backward(self, cts):
        from reference_impl.accumulate import accumulate
        if cts[0] is not None and self.variable.requires_grad:
            accumulate(self.variable, cts[0])
            for hook in list((self.variable._hooks or {}).values()):
                hook(self.variable)
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


class _Packing(threading.local):
    """The pairs (pack, unpack) through which saved tensors go, the last one first in force."""

    disabled = None

    def __init__(self):
        self.stack = []


packing = _Packing()
PACKED = object()        # in the place of a tensor that a pack hook has taken


class Saved:
    """A tensor kept for backward, with the version it had: later writes are noticed."""

    __slots__ = ("dtype", "is_result", "leaf_grad", "node", "nr", "packed", "tensor", "unpack_hook",
                 "version")

    def __init__(self, t, is_result=False):
        if t._inference:
            raise InferenceMisuse(
                "Inference tensors cannot be saved for backward. Please do not use Tensors created "
                "in inference mode in computation tracked by autograd. To work around this, you can "
                "make a clone to get a normal tensor and use it in autograd, or use "
                "`torch.no_grad()` instead of `torch.inference_mode()`.")
        edge = None if is_result else gradient_edge(t)
        # a copy of the handle, not `t`: t may be given another history by an in-place write, and
        # a result that its own node kept would be a reference cycle
        self.tensor = t if t._leaf_grad and not is_result else shallow(t)
        if self.tensor is not t and not is_result:
            self.tensor._view = t._view      # some views may not be written at all
        self.version, self.is_result = t._counter.value, is_result
        self.node, self.nr = edge if edge else (None, t._nr)
        self.leaf_grad, self.dtype = t._leaf_grad, t.dtype
        self.packed = self.unpack_hook = None
        if packing.stack:
            self._pack(*packing.stack[-1])

    def _pack(self, pack, unpack):
        from reference_impl.grad_mode import no_grad
        given = shallow(self.tensor)
        version = given._counter.value
        with no_grad():
            self.packed = pack(given)
        if given._counter.value != version:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input "
                "to pack hook cannot be modified by in-place operations as this can lead to "
                "unexpected side-effects. Please open an issue if you need to perform in-place "
                "operations on the input to a pack hook.")
        self.tensor, self.unpack_hook = PACKED, unpack

    def register_hooks(self, pack_hook, unpack_hook):
        """Let this tensor alone go through a pair of hooks. Raises RuntimeError a second time."""
        if self.tensor is None:
            raise RuntimeError("Calling register_hooks on a saved tensor that has already been freed. "
                               "Please make sure that register_hooks is called before calling "
                               "backward.")
        if self.tensor is PACKED:
            raise RuntimeError("Calling register_hooks on a saved tensor whose hooks have already "
                               "been set. Hint: only one pair of hooks is allowed at a time.")
        self._pack(pack_hook, unpack_hook)

    def release(self):
        self.tensor = self.packed = None

    def unpack(self, owner):
        """The tensor as it was. Raises GraphFreed or SavedTensorModified."""
        t = self.tensor
        if t is None:
            raise GraphFreed(
                "Trying to backward through the graph a second time (or directly access saved "
                "tensors after they have already been freed). Saved intermediate values of the "
                "graph are freed when you call .backward() or autograd.grad(). Specify "
                "retain_graph=True if you need to backward through the graph a second time or if "
                "you need to access saved tensors after calling backward.")
        if t is PACKED:
            t = self._unpacked()
        elif t._counter.value != self.version:
            if t._view is not None and t._view.base.requires_grad:
                from reference_impl.inplace import check_view
                check_view(t, "its base or another view of its base has been modified inplace")
            raise self._modified(t, owner)
        elif self.leaf_grad and not self.is_result:
            return t
        out = shallow(t)
        node = owner if self.is_result else self.node
        if node is not None and t.dtype.is_differentiable:
            out._node, out._nr = node, self.nr
            if isinstance(node, AccumulateGrad):
                out._node, out._leaf_grad = None, True
                out._accumulator_ref = weakref.ref(node)
        return out

    def _unpacked(self):
        t = self.unpack_hook(self.packed)
        if not isinstance(t, Tensor):
            raise TypeError("Output of saved tensor unpack_hook expected to be a Tensor but got result "
                            f"of type {type(t).__name__}")
        return t

    def _modified(self, t, owner):
        kind = f"torch.{t.dtype.scalar_name}Tensor"
        made = ""
        node = owner if self.is_result else self.node
        if node is not None and not isinstance(node, AccumulateGrad):
            made = f", which is output {self.nr} of {STAMP.sub('', node.name())},"
        return SavedTensorModified(
            "one of the variables needed for gradient computation has been modified by an inplace "
            f"operation: [{kind} {shape_text(t._size)}]{made} is at version {t._counter.value}; "
            f"expected version {self.version} instead. Hint: enable anomaly detection to find the "
            "operation that failed to compute its gradient, with "
            "torch.autograd.set_detect_anomaly(True).")


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
                if one is not None:
                    one.release()

    def backward(self, cts):
        rule = self.rule
        if rule.vjp is None:
            from reference_impl.dispatch import not_differentiable
            raise not_differentiable(rule.name)
        kept = {name: self._unpack(what) for name, what in self.saved.items()}
        ins = [kept.get(name, meta) for name, meta in zip(rule.inputs, self.structure, strict=True)]
        y = kept.get("result")
        if y is None:
            y = tuple(Unsaved(*m) for m in self.metas)
            y = y if self.many else y[0]
        got = rule.vjp(self._materialise(cts), ins, y, **self.arguments)
        return self._flatten(got)

    def _unpack(self, what):
        if isinstance(what, list):
            return [s and s.unpack(self) for s in what]
        return what.unpack(self)

    def _materialise(self, cts):
        """Zeros where no cotangent arrived; None for outputs that cannot have one."""
        from reference_impl.creation import zeros
        full = [ct if ct is not None else zeros(size, dtype=d) if d.is_differentiable else None
                for ct, (size, d) in zip(cts, self.metas, strict=True)]
        return tuple(full) if self.many else full[0]

    def _flatten(self, got):
        """One cotangent per edge from one per input; checks that the wanted ones are there."""
        flat = []
        for meta, ct in zip(self.structure, got, strict=True):
            if isinstance(meta, list):
                ct = [None] * len(meta) if ct is None else ct
                flat.extend(c for c, m in zip(ct, meta, strict=True) if m is not None)
            elif meta is not None:
                flat.append(ct)
        for i, (ct, wanted) in enumerate(zip(flat, self.needed, strict=True)):
            if not wanted:
                flat[i] = None
            elif isinstance(ct, Unsaved):
                raise AssertionError(
                    f"rule {self.rule.name}: the vjp of input {i} needs a value that `saves` does "
                    f"not list (saves = {self.rule.saves})")
        return flat

    def __getattr__(self, name):
        if name.startswith("_saved_"):
            name = name[len("_saved_"):]
            if name in self.saved:
                return self._unpack(self.saved[name])
            if name in self.arguments:
                return self.arguments[name]
            sized = name.removesuffix("_sym_sizes").removesuffix("_sizes")
            if sized != name and sized in self.rule.inputs:
                return tuple(self.structure[self.rule.inputs.index(sized)]._size)
        if name.startswith("_raw_saved_"):
            kept = self.saved.get(name[len("_raw_saved_"):])
            if kept is not None:
                return tuple(kept) if isinstance(kept, list) else kept
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


@cache
def node_class(name):
    """The class of nodes called `name`: torch's names are type names."""
    builtin = name in ("NotImplemented", "CopyBackwards")
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
            node.saved[name] = [v if v is None else Saved(v) for v in x] if isinstance(x, list) else Saved(x)
    return node


def save_result(node, outputs):
    """Keep the outputs too, where the rule asks; call once they carry the node's history."""
    rule = node.rule
    position = 0
    for name, meta in zip(rule.inputs, node.structure, strict=True):
        count = _count(meta)
        asked = [s for s in rule.saves.get(name, ()) if s.startswith("result")]
        if asked and any(node.needed[position:position + count]):
            kept = [Saved(o, is_result=True) if {"result", f"result.{i}"} & set(asked) else None
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
