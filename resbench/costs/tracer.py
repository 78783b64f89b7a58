"""The watch over one forward: every operator and every call of a module, and the rows that they become."""

from __future__ import annotations

from collections import Counter
from math import prod
from threading import get_ident
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resbench.arch.algebra import Shape
from resbench.arch.cost import Row
from resbench.costs import meta
from resbench.costs.holdings import NOTHING, Held, Holdings, bytes_of, total
from resbench.costs.made import kept_at
from resbench.costs.outputs import tensors_in
from resbench.errors import first_line
from resbench.operators.boundaries import sequence_number
from resbench.operators.complexes import WholeConvolutions
from resbench.operators.composites import by_parts
from resbench.operators.dispatch import operator_of
from resbench.operators.rules import CONVOLUTION, LINEAR, MAC_KINDS, PRODUCT, Operator, Work
from resbench.restoring.unchanged import Snapshot
from resbench.units import shape_text

SILENT = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Sequential)
"""Modules that only rename their input, an empty sequence among them: no row."""


Outputs = tuple[int, int] | tuple[None, None]
"""Elements and bytes of what a row gives; None of what nobody sees into."""


def shape_of(inputs: Any) -> tuple[int, ...]:
    """Of the first tensor in them; empty where there is none."""
    first = next((leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)), None)
    return tuple(first.shape) if first is not None else ()


class Frame:
    """A module that is running: what its own operators took so far."""

    __slots__ = ("calls", "elementwise", "kind", "macs", "module", "name", "own", "received")

    def __init__(self, module: nn.Module, name: str, received: tuple[int, ...] = ()) -> None:
        self.module, self.name, self.received = module, name, received
        # under which its own matrix products stand, whatever operators its memory layout makes of them
        self.kind = LINEAR if isinstance(module, nn.Linear) else CONVOLUTION if isinstance(module, _ConvNd) else PRODUCT
        self.macs = self.elementwise = 0
        self.calls = False  # does it call other modules?
        self.own: list[tuple[Operator, Shape, int, int, int, int]] = []
        """Operators with the shape of their results, MACs, elementwise work, bytes an element, sequence number."""


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator (dispatch) and every module call (hooks); keeps a stack of running modules."""

    def __init__(self, model: nn.Module, kept: Snapshot) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model, self.kept = model, kept
        # a parametrization works for the module that it is in
        self.names = {id(m): path for path, m in model.named_modules() if "parametrizations" not in path.split(".")}
        self.holdings = Holdings(model, self._note_made)
        self.stack = [Frame(model, "")]
        self.failed: Frame | None = None
        self.found: list[Row] = []
        self.ends: list[int] = []
        """By row, the sequence number that the first node of the backward graph behind it gets."""
        self.used = Counter(self.names.values())
        self.uncounted: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.made: dict[str, None] = {}
        """What the forward made, by path."""
        self.alive: list[nn.Module] = []
        """Modules that it made and may drop: nothing else is to take their identity."""
        self.known: dict[Any, Operator | None] = {}
        self.writes: dict[Any, bool] = {}
        self.whole: WholeConvolutions | None = None
        self.complex = False
        self.thread = get_ident()
        """The only one whose operators are seen."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in self.writes:
            self.writes[func] = func._schema.is_mutable
        if self.writes[func]:
            self.kept.writing(args, kwargs)
        try:
            operator = self.known[func]
        except KeyError:
            operator = self.known[func] = operator_of(func)
        if operator is None and (out := by_parts(self, func, args, kwargs)) is not NotImplemented:
            return out
        out = meta.run(func, args, kwargs or {})
        if self.whole and self.whole.inside:
            return out
        if operator is None:
            self.uncounted[str(func.overloadpacket)] += 1
        elif operator.type:
            self.book(operator, args, out, kwargs)
        return out

    def book(self, operator: Operator, args: Any, out: Any, kwargs: Any = None) -> None:
        """Count one call for the module that runs; a product is of the module's kind, where that has one."""
        macs, elementwise = operator.work(args, out, kwargs)
        frame = self.stack[-1]
        if operator.kind:
            kind = frame.kind if operator.kind == PRODUCT else operator.kind
            self.kinds[kind] += macs if kind in MAC_KINDS else elementwise
        frame.macs += macs
        frame.elementwise += elementwise
        first = out if isinstance(out, Tensor) else next(t for t in tree_leaves((out, args)) if isinstance(t, Tensor))
        self.complex |= bool(macs) and first.is_complex()
        frame.own.append((operator, tuple(first.shape), macs, elementwise, first.element_size(), sequence_number()))

    def enter(self, module: nn.Module, args: Any) -> None:
        self.failed = None
        name = self.names.get(id(module)) or self._name_of_made(module)
        if get_ident() != self.thread:
            self.uncounted[f"{name} in a thread of its own"] += 1
        if module is self.model or name is None:
            return
        caller = self.stack[-1]
        caller.calls = True
        self._spill(caller)
        shape = tuple(args[0].shape) if args and isinstance(args[0], Tensor) else shape_of(args)
        self.stack.append(Frame(module, name, shape))

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        """Called also when the module raised: then, as when it returns nothing, the output is None."""
        if module is self.model or id(module) not in self.names:
            return
        frame = self.stack.pop()
        if output is None:
            self.failed = self.failed or frame
        self._close(frame, output)

    def _close(self, frame: Frame, output: Any) -> None:
        module, kind = frame.module, type(frame.module).__name__
        if frame.calls:
            self._spill(frame)
            self._emit_params(frame.name, module)
            return
        held = total(map(self.holdings.take, module.modules())) if module._modules else self.holdings.take(module)
        if isinstance(module, SILENT) and not any(held):
            return
        tensors = tensors_in(output)
        shape = tuple(tensors[0].shape) if tensors else ()
        outputs: Outputs = (None, None)
        if tensors is not None:
            outputs = sum(t.numel() for t in tensors), sum(map(bytes_of, tensors))
        name = frame.name or kind.lower()
        self._emit(name, kind, shape, held, (frame.macs, frame.elementwise), outputs, sequence_number())

    def _spill(self, frame: Frame) -> None:
        """Operators of a module that calls others become rows of their own."""
        for operator, shape, macs, elementwise, width, end in frame.own:
            label = self._unused(f"{frame.name}.{operator.name}" if frame.name else operator.name)
            elements = prod(shape)
            self._emit(label, operator.type, shape, NOTHING, (macs, elementwise), (elements, width * elements), end)
        frame.own.clear()

    def _unused(self, name: str) -> str:
        """The name; with a number behind it where it is taken."""
        again = self.used[name]
        self.used[name] += 1
        return f"{name}_{again}" if again else name

    def _note_made(self, module: nn.Module, key: str, identity: int) -> None:
        """A parameter that its module did not hold before: one that was held elsewhere is not made."""
        if identity not in self.kept.seen:
            path = self.names.get(id(module), "")
            self.made[path if not self.kept.holds(module) else f"{path}.{key}".lstrip(".")] = None

    def _name_of_made(self, module: nn.Module) -> str | None:
        """The path of a module with parameters that the forward made: in the model, or below its caller where nobody
        keeps it. None of any other: that belongs to its caller."""
        if self.kept.holds(module) or all(map(self.kept.holds, module.parameters())):
            return None
        caller = self.stack[-1]
        path = kept_at(self.model, module) or kept_at(caller.module, module, caller.name)
        if path is None:
            plain = ".".join(step for step in (caller.name, type(module).__name__.lower()) if step)
            path = self._unused(plain)
        self.alive.append(module)
        for name, inner in module.named_modules(prefix=path):
            self.names.setdefault(id(inner), name)
        return path

    def _emit_params(self, name: str, module: nn.Module) -> None:
        own = self.holdings.take(module)
        if any(own):
            kind = type(module).__name__
            self._emit(name or kind.lower(), kind, (), own, (0, 0), (0, 0), sequence_number())

    def _emit(self, name: str, kind: str, shape: Shape, held: Held, work: Work, outputs: Outputs, end: int) -> None:
        """A row; ``end``: the sequence number behind it."""
        params, trainable, weights, buffers = held
        self.found.append(Row(name, kind, shape, params, *work, outputs[0], trainable, weights, buffers, outputs[1]))
        self.ends.append(end)

    def rows(self, output: Any) -> list[Row]:
        """All rows: what ran, then the parameters of what did not."""
        self._close(self.stack[0], output)
        for name, module in self.model.named_modules():
            if self.holdings.knows(module):
                self._emit_params(name, module)
        return self.found

    def blame(self, model: str, error: BaseException) -> str:
        """``resnet50.layer1.0.conv1 (Conv2d) failed on 3x224x224: ...``."""
        frame = self.failed or self.stack[-1]
        where = ".".join(step for step in (model, frame.name) if step)
        given = f" on {shape_text(frame.received)}" if frame.received else ""
        return f"{where} ({type(frame.module).__name__}) failed{given}: {type(error).__name__}: {first_line(error)}"
