"""What an operation records: a node that keeps what its cotangents need, and knows the rule."""

from functools import cache

from reference_impl.nodes import Node, gradient_edge
from reference_impl.saving import FREED, graph_freed, keep
from reference_impl.tensor import Tensor
from reference_impl.unsaved import Unsaved


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
        if self.rule.partial:
            return tuple(cts)
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
