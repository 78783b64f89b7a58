"""A tracer watches one forward: every operator and every call of a module, which become rows."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from math import prod
from threading import Thread, current_thread
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resbench.arch.algebra import Shape
from resbench.arch.kinds import Kind
from resbench.arch.rows import Hold, Row
from resbench.costs import meta
from resbench.costs.edges import Edges, Made, Origins, edges, fuse, places, room
from resbench.costs.forks import Forks, Trial
from resbench.costs.holdings import NOTHING, Holdings, bytes_of, kept_at, total
from resbench.costs.module_kinds import class_kind, kind_in
from resbench.costs.outputs import tensors_in
from resbench.errors import first_line
from resbench.networks import modules
from resbench.operators.boundaries import sequence_number
from resbench.operators.composites import by_parts
from resbench.operators.dispatch import operator_of
from resbench.operators.moves import is_new
from resbench.operators.rules import MAC_KINDS, CountedOperator, free
from resbench.restoring.unchanged import Snapshot
from resbench.units import shape_text
from resbench.workers.control_flow import is_hidden
from resbench.workers.threads import ELSEWHERE

SOFTMAX_OF_ATTENTION = torch.ops.aten._safe_softmax.default
"""Scaled dot product attention runs this softmax, where torch takes it apart on the meta device."""

UNKNOWN = CountedOperator(free, "", "")
"""This stands for an operator without a rule."""

SILENT = (*modules.SILENT, nn.Unflatten, nn.Sequential)
"""Modules that only rename their input, an empty sequence among them, have no row."""


def shape_of(inputs: Any) -> tuple[int, ...]:
    """The shape of the first tensor among the inputs is what a model receives; it is empty where there is none."""
    first = next((leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)), None)
    return tuple(first.shape) if first is not None else ()


class OperatorCall(NamedTuple):
    """One operator ran: it made this result, and took so much."""

    made: Made
    operator: CountedOperator
    shape: Shape = ()
    macs: int = 0
    elementwise: int = 0
    nbytes: int = 0
    end: int = 0
    """The first node of the backward graph behind it gets this sequence number."""


class Frame:
    """A module is running, and its own operators took this so far."""

    __slots__ = ("calls", "elementwise", "kind", "macs", "module", "name", "own", "received")

    def __init__(self, module: nn.Module, name: str, received: tuple[int, ...] = ()) -> None:
        self.module, self.name, self.received = module, name, received
        self.kind = class_kind(module)
        self.macs = self.elementwise = 0
        self.calls = False  # does it call other modules?
        self.own: list[OperatorCall] = []

    def kind_of(self, operator: CountedOperator) -> Kind:
        """Give an operator's kind; a matrix product in a layer has that one's, whatever the layout makes of it."""
        layer = self.kind if self.kind in ("convolution", "linear") else None
        return layer or operator.kind if operator.kind == "matrix product" else operator.kind


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A tracer sees every operator (dispatch) and every module call (hooks), and keeps a stack of running modules."""

    supports_higher_order_operators = True

    def __init__(self, model: nn.Module, snapshot: Snapshot) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model, self.snapshot = model, snapshot
        # a parametrization works for the module that it is in
        self.names = {id(m): path for path, m in model.named_modules() if "parametrizations" not in path.split(".")}
        self.holdings = Holdings(model, self._note_made)
        self.stack = [Frame(model, "")]
        self.failed: Frame | None = None
        self.origins = Origins()
        self.steps: list[int] = []
        """So many operators had run when each row was at its end."""
        self.holds: list[tuple[int, int]] = []
        """What each row gives lies in what the row at this place took; so many bytes more were held for a moment."""
        self.found: list[tuple[Row, int]] = []
        """Each row stands beside the sequence number that the first node of the backward graph behind it gets."""
        self.used = Counter(self.names.values())
        self.uncounted: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.made: dict[str, None] = {}
        """The forward made these, by path."""
        self.alive: list[nn.Module] = []
        """It made these modules and may drop them: nothing else is to take their identity."""
        self.known: dict[Any, tuple[CountedOperator | None, bool]] = {}
        """Each operator that ran stands here with how it is counted, and whether it writes into an argument."""
        self.whole = Forks(self)
        self.complex = False
        self.scripted: set[str] = set()
        """These modules are TorchScript: nobody sees which operators ran in them."""
        self.trial: Trial | None = None
        """What runs now is tried, and no part of the count."""
        self.thread = current_thread()
        """No other thread's operators are seen."""
        self.elsewhere: set[Thread] = set()
        """In these, modules were called, which are named."""

    def close(self) -> None:
        """Let go of everything: its parts hold it, and the model would wait for the garbage collector."""
        vars(self).clear()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if is_hidden(func):
            self.not_counted(func.__name__)
            return func(*args, **(kwargs or {}))
        if func not in self.known:
            self.known[func] = operator_of(func), func._schema.is_mutable
        operator, writes = self.known[func]
        if writes:
            self.snapshot.writing(args, kwargs)
        if operator is None and (out := by_parts(self, func, args, kwargs)) is not NotImplemented:
            return out
        out = meta.run(func, args, kwargs or {})
        if self.whole.inside:
            return out
        if operator is None:
            self.not_counted(str(func.overloadpacket))
        if operator and operator.type:
            self.book(operator, args, out, kwargs, writes, func)
        elif self.trial is not None:
            return out
        elif made := self.origins.note(
            operator.kind if operator else "unknown", () if is_new(func) else args, out, writes, func, kwargs
        ):
            self.stack[-1].own.append(OperatorCall(made, operator or UNKNOWN))
        if func is SOFTMAX_OF_ATTENTION and out.dim() == 4 and self.trial is None:  # of fewer it is apart everywhere
            fuse(self.stack[-1].own[-1].made)
        return out

    def book(
        self,
        operator: CountedOperator,
        args: Any,
        out: Any,
        kwargs: Any = None,
        writes: bool = False,
        func: Any = None,
    ) -> None:
        """Count one call for the module that runs. ``writes``: it writes into an argument."""
        macs, elementwise = operator.work(args, out, kwargs)
        if self.trial is not None:
            self.trial.macs += macs
            self.trial.elementwise += elementwise
            return
        frame = self.stack[-1]
        kind = frame.kind_of(operator)
        if kind in MAC_KINDS:
            self.kinds[kind] += macs
        elif operator.total:
            self.kinds[operator.total] += elementwise
        frame.macs += macs
        frame.elementwise += elementwise
        first = out if isinstance(out, Tensor) else next(t for t in tree_leaves((out, args)) if isinstance(t, Tensor))
        self.complex |= bool(macs) and first.is_complex()
        made = self.origins.note(kind, args, out, writes, func, kwargs) or Made(kind, False)
        shape = tuple(first.shape)
        frame.own.append(
            OperatorCall(
                made, operator, shape, macs, elementwise, first.element_size() * prod(shape), sequence_number()
            )
        )

    def not_counted(self, operator: str) -> None:
        """Note a call of an operator without a rule."""
        uncounted = self.uncounted if self.trial is None else self.trial.uncounted
        uncounted[operator] += 1

    def enter(self, module: nn.Module, args: Any) -> None:
        if self.trial is not None:
            return
        self.failed = None
        name = self.names.get(id(module)) or self._name_of_made(module)
        if current_thread() is not self.thread:
            self.elsewhere.add(current_thread())
            self.not_counted(f"{name} {ELSEWHERE}")
        if module is self.model or name is None:
            return
        caller = self.stack[-1]
        caller.calls = True
        self._spill(caller)
        self.stack.append(Frame(module, name, shape_of(args)))
        if isinstance(module, torch.jit.ScriptModule):
            self.not_counted(f"{name} in TorchScript")
            self.scripted.add(name)
            self.trial = Trial()

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        """Close the module that returns or raises: then, as when it returns nothing, the output is None."""
        scripted = self.stack[-1].module is module and isinstance(module, torch.jit.ScriptModule)
        if scripted:
            self.trial = None
            made = self.origins.note("unknown", args, output, False)
            self.stack[-1].own += [OperatorCall(made, UNKNOWN)] if made else []
        if module is self.model or id(module) not in self.names or self.trial is not None:
            return
        frame = self.stack.pop()
        if output is None:
            self.failed = self.failed or frame
        self._close(frame, output)

    def _close(self, frame: Frame, output: Any) -> None:
        module, name = frame.module, type(frame.module).__name__
        if frame.calls:
            self._spill(frame)
            self._emit_params(frame.name, module)
            return
        held = total(map(self.holdings.take, module.modules())) if module._modules else self.holdings.take(module)
        if isinstance(module, SILENT) and not any(held):
            for call in frame.own:
                call.made.resolve()
                call.made.stand_for(places(call.made.reads))
            return
        tensors = tensors_in(output)
        shape = tuple(tensors[0].shape) if tensors else ()
        gives = (sum(t.numel() for t in tensors), sum(map(bytes_of, tensors))) if tensors is not None else (None, None)
        ran, given = [call.made for call in frame.own], self.origins.of(tensors or ())
        for made in ran:
            made.resolve()
        kind = kind_in(module, {made.kind for made in ran})
        linked = edges(ran, given, len(self.found)) if ran else self._passed_on(module, kind, tensors or (), given)
        hold = room(given, len(self.found)), self.origins.passing(self.steps[-1] if self.steps else 0)
        for made in ran:
            made.become(len(self.found))
        took = held.params, frame.macs, frame.elementwise
        row = Row(frame.name or name.lower(), name, shape, *took, gives[0], *held[1:], gives[1], None, kind)._replace(
            **linked._asdict()
        )
        self._add(row, sequence_number(), self.origins.step, hold)

    def _add(self, row: Row, end: int, step: int, hold: tuple[int, int] | None = None) -> None:
        self.holds.append(hold or (len(self.found), 0))
        self.found.append((row, end))
        self.steps.append(step)

    def _passed_on(self, module: nn.Module, kind: Kind, tensors: Sequence[Tensor], given: Sequence[Made]) -> Edges:
        """Draw the edges of a row in which no operator ran, as in dropout at inference."""
        reads, sees = places(given), self.origins.sights.shown(tensors, self.origins.made)
        if kind != "dropout":
            return Edges(reads, sees=sees)
        self.origins.pass_on(tensors, len(self.found))
        whole = slice(1 if isinstance(module, modules.DropPath) else None)  # of channels
        masks = tensors if isinstance(module, nn.Dropout) else [tensor[:, whole, :1, :1] for tensor in tensors]
        drops = module.p and any(made.learned for made in given)
        return Edges(reads, (), sum(map(bytes_of, masks)) if drops else 0, sees)

    def _spill(self, frame: Frame) -> None:
        """Make rows of their own of the operators of a module that calls others."""
        for call in frame.own:
            call.made.resolve()
            name, kind, place = call.operator.name, call.operator.type, len(self.found)
            linked = edges([call.made], [call.made], place)
            home = room([call.made], place)
            if not kind:
                call.made.stand_for(linked.reads)
            else:
                call.made.become(place)
                label = self.unused(f"{frame.name}.{name}" if frame.name else name)
                took = 0, call.macs, call.elementwise, prod(call.shape)
                row = Row(label, kind, call.shape, *took, *NOTHING[1:], call.nbytes, None, call.made.kind)
                self._add(row._replace(**linked._asdict()), call.end, call.made.step, (home, 0))
        frame.own.clear()

    def unused(self, name: str) -> str:
        """Give the name, with a number behind it where it is taken."""
        again = self.used[name]
        self.used[name] += 1
        return f"{name}_{again}" if again else name

    def _note_made(self, module: nn.Module, key: str, identity: int) -> None:
        """Note a parameter that its module did not hold before: one that was held elsewhere is not made."""
        if identity not in self.snapshot.seen:
            path = self.names.get(id(module), "")
            self.made[path if not self.snapshot.holds(module) else f"{path}.{key}".lstrip(".")] = None

    def _name_of_made(self, module: nn.Module) -> str | None:
        """Find the path of a module with parameters that the forward made: in the model, or below its caller where
        nobody keeps it. None of any other: that belongs to its caller."""
        if self.snapshot.holds(module) or all(map(self.snapshot.holds, module.parameters())):
            return None
        caller = self.stack[-1]
        path = kept_at(self.model, module) or kept_at(caller.module, module, caller.name)
        if path is None:
            plain = ".".join(step for step in (caller.name, type(module).__name__.lower()) if step)
            path = self.unused(plain)
        self.alive.append(module)
        for name, inner in module.named_modules(prefix=path):
            self.names.setdefault(id(inner), name)
        return path

    def _emit_params(self, name: str, module: nn.Module) -> None:
        own, kind = self.holdings.take(module), type(module).__name__
        if any(own):
            row = Row(name or kind.lower(), kind, (), own.params, 0, 0, 0, *own[1:], 0, sees=())
            self._add(row, sequence_number(), self.origins.step)

    def rows(self, output: Any) -> list[Row]:
        """Give all rows: what ran, then the parameters of what did not."""
        self._close(self.stack[0], output)
        for name, module in self.model.named_modules():
            if self.holdings.knows(module):
                self._emit_params(name, module)
        return [row for row, _ in self.found]

    def held(self) -> tuple[Hold, ...]:
        """Say how each row's output is held, while what the model gave is still there."""
        until = list(range(len(self.found)))
        for life in self.origins.lives:
            if life.place is not None:
                last = len(self.found) - 1 if life.died is None else bisect_left(self.steps, life.died)
                until[life.place] = max(until[life.place], last)
        return tuple(Hold(place, last, more) for (place, more), last in zip(self.holds, until, strict=True))

    def blame(self, model: str, error: BaseException) -> str:
        """Say ``resnet50.layer1.0.conv1 (Conv2d) failed on 3x224x224: ...``."""
        frame = self.failed or self.stack[-1]
        where = ".".join(step for step in (model, frame.name) if step)
        given = f" on {shape_text(frame.received)}" if frame.received else ""
        return f"{where} ({type(frame.module).__name__}) failed{given}: {type(error).__name__}: {first_line(error)}"
