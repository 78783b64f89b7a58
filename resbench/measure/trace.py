"""Cost rows of any ``nn.Module``: its forward is followed on the meta device, operator by operator.

>>> import torch
>>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU())
>>> for row in trace(net, (1, 3, 32, 32)).layers:
...     print(row.name, row.type, row.output, row.params, row.macs, row.elementwise)
0 Conv2d (1, 8, 32, 32) 224 221184 8192
1 ReLU (1, 8, 32, 32) 0 0 8192
"""

from __future__ import annotations

import copy
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import chain
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.parameter import is_lazy
from torch.nn.utils.stateless import _reparametrize_module
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from resbench.arch.algebra import Shape
from resbench.arch.cost import Cost, Mode, Row
from resbench.errors import TraceError, first_line, foreign
from resbench.measure.backward import with_backward
from resbench.measure.boundaries import sequence_number
from resbench.measure.holdings import NOTHING, Held, Holdings, bytes_of, total
from resbench.measure.operators import Operator, Work, operator_of
from resbench.units import shape_text

Inputs = tuple[int, ...] | Tensor | tuple[Any, ...] | Mapping[str, Any]

META = torch.device("meta")

SILENT = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Sequential)
"""Modules that only rename their input, an empty sequence among them: no row."""


def trace(model: nn.Module, inputs: Inputs, *, training: bool = False, name: str = "", source: str = "module") -> Cost:
    """Count every operator of one forward; each belongs to the innermost module that runs. ``training``: in training
    mode, and the MACs of the backward pass too, whose loss is the sum of the outputs.

    ``inputs``: the shape of one input (N, C, H, W), a tensor, a tuple of arguments, or keyword arguments.
    The forward runs on the meta device. Where it has to look at values (``.item()``, a branch on data) and the
    model holds weights, it runs for real, once. The model, its buffers and the random state stay as they were;
    only what a forward appends to a list of its own remains.

    A module that calls other modules gets rows for its own operators (``layer1.0.add``); any other module gets
    one row a call. A parameter counts where it is first used; ``Cost.uncounted`` names what has no formula.
    Raises TraceError: the module that failed, its input, and why.
    """
    model = _traceable(_unwrapped(model))
    params = list(model.parameters())
    attempts: list[tuple[torch.device, Any]] = [(META, nullcontext()), (META, META)]  # then what it makes itself, too
    real = not any(p.is_meta for p in params)
    if real:
        attempts.append((next((p.device for p in params), torch.device("cpu")), nullcontext()))
    for device, default_device in attempts:
        try:
            with _undisturbed(model, training, device), default_device:
                return _follow(model, inputs, name, source, device, training)
        except TraceError as error:
            failure = error
    if not real and "meta" in str(failure).lower():
        raise TraceError(f"{failure}; it looks at values: give the model weights, not on the meta device") from failure
    raise failure


WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}
"""What torch.compile and data parallelism put around a module, and where they keep it."""


def _unwrapped(module: nn.Module) -> nn.Module:
    inner = getattr(module, WRAPPERS.get(type(module).__name__, ""), None)
    return _unwrapped(inner) if isinstance(inner, nn.Module) else module


def _traceable(model: nn.Module) -> nn.Module:
    """The model itself; where it is lazy a twin on the meta device, so that it stays lazy."""
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            where = path or type(model).__name__
            raise TraceError(f"{where} is TorchScript, which hooks do not see into: trace the module it was made from")
    if any(isinstance(module, LazyModuleMixin) and module.has_uninitialized_params() for module in model.modules()):
        return copy.deepcopy(model, {id(t): _weightless(t) for t in chain(model.parameters(), model.buffers())})
    return model


def _weightless(tensor: Tensor) -> Tensor:
    """Its likeness on the meta device, lazy if it is."""
    if is_lazy(tensor):
        return type(tensor)(device="meta", dtype=tensor.dtype)  # type: ignore[call-arg]
    likeness = torch.empty_like(tensor, device="meta")
    return nn.Parameter(likeness, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else likeness


@contextmanager
def _undisturbed(model: nn.Module, training: bool, device: torch.device) -> Iterator[None]:
    """Run in one mode, without gradients, fused fast paths and compiled code; then put everything back."""
    tables: list[dict[str, Any]] = []
    for module in model.modules():
        tables += (vars(module), module._parameters, module._buffers, module._modules)
    before = [(table, table.copy()) for table in tables]
    fast = torch.backends.mha.get_fastpath_enabled()
    numpy = sys.modules.get("numpy")
    states = random.getstate(), numpy.random.get_state() if numpy else None
    compiled = "torch._dynamo" in sys.modules  # asking the compiler to stand back would import it: slow, and 40 MB
    try:
        for module in list(model.modules()):
            module.training = training  # not eval(): a subclass may do more there, such as merge weights
            module._modules.update(
                {key: _unwrapped(child) for key, child in module._modules.items() if child is not None}
            )
        torch.backends.mha.set_fastpath_enabled(False)
        with (
            torch.no_grad(),
            torch.random.fork_rng([device] if device.type == "cuda" else []),
            torch.compiler.set_stance("force_eager") if compiled else nullcontext(),
        ):
            yield
    finally:
        for table, entries in before:
            table.clear()
            table.update(entries)
        torch.backends.mha.set_fastpath_enabled(fast)
        random.setstate(states[0])
        if numpy:
            numpy.random.set_state(states[1])


def _follow(model: nn.Module, inputs: Inputs, name: str, source: str, device: torch.device, training: bool) -> Cost:
    """One forward on the device, watched; in training with its backward pass."""
    counter = _Counter(model)
    with foreign(TraceError, lambda error: counter.blame(name or type(model).__name__, error)):
        args, kwargs = _arguments(model, inputs, device)
        counter.stack[0].received = shape = _shape((args, kwargs))
        # a checkpoint runs its forward again in the backward pass, with the same tensors standing in
        with _reparametrize_module(model, _stand_ins(model, device, training), tie_weights=True):
            with ExitStack() as stack:
                stack.callback(register_module_forward_pre_hook(counter.enter).remove)
                stack.callback(register_module_forward_hook(counter.leave, always_call=True).remove)
                stack.enter_context(torch.set_grad_enabled(training))
                stack.enter_context(counter)
                output = model(*args, **kwargs)
            rows = counter.rows(output)
            if training:
                rows, unknown = with_backward(output, rows, counter.ends, counter.names)
                counter.uncounted.update(unknown)
    uncounted, kinds = sorted(counter.uncounted.items()), sorted(counter.kinds.items())
    mode: Mode = "training" if training else "inference"
    return Cost(name, source, shape, tuple(rows), tuple(uncounted), tuple(kinds), mode)


def _arguments(model: nn.Module, inputs: Inputs, device: torch.device) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments on that device, in the model's precision where only a shape is given."""
    if isinstance(inputs, tuple) and inputs and all(type(size) is int for size in inputs):
        dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
        inputs = torch.empty(inputs, dtype=dtype, device="meta")
    moved = tree_map_only(Tensor, lambda tensor: _on(device, tensor), inputs)
    if isinstance(moved, Mapping):
        return (), dict(moved)
    return (moved if isinstance(moved, tuple) else (moved,)), {}


def _on(device: torch.device, tensor: Tensor) -> Tensor:
    """A copy there, for the forward may write into it. Where it has no values: random ones, of whole numbers zeros."""
    if device == META:
        return tensor.detach().to(device)
    if not tensor.is_meta:
        return tensor.detach().to(device, copy=True)
    if tensor.is_floating_point():
        return torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0)).to(device, tensor.dtype)
    return torch.zeros(tensor.shape, dtype=tensor.dtype, device=device)


def _stand_ins(model: nn.Module, device: torch.device, training: bool) -> dict[str, Tensor]:
    """On the meta device for all that is elsewhere; on a real one for the buffers, which a forward may update. In
    training also for the parameters, which would keep the gradients."""
    learned = {path: _leaf(p, device) for path, p in model.named_parameters() if not is_lazy(p)} if training else {}
    if device != META:
        return {**learned, **{path: buffer.clone() for path, buffer in model.named_buffers()}}
    held = chain(model.named_parameters(), model.named_buffers())
    elsewhere = ((path, tensor) for path, tensor in held if tensor.device != META and path not in learned)
    return {**learned, **{path: torch.empty_like(tensor, device="meta") for path, tensor in elsewhere}}


def _leaf(parameter: nn.Parameter, device: torch.device) -> Tensor:
    """A tensor like it that takes a gradient where it does; a real one has its values."""
    twin = torch.empty_like(parameter, device=META) if device == META else parameter.detach()
    return twin.requires_grad_(parameter.requires_grad)


def _shape(inputs: Any) -> tuple[int, ...]:
    first = next((leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)), None)
    return tuple(first.shape) if first is not None else ()


class _Frame:
    """A module that is running: what its own operators took so far."""

    __slots__ = ("calls", "elementwise", "macs", "module", "name", "own", "received")

    def __init__(self, module: nn.Module, name: str, received: tuple[int, ...] = ()) -> None:
        self.module, self.name, self.received = module, name, received
        self.macs = self.elementwise = 0
        self.calls = False  # does it call other modules?
        self.own: list[tuple[Operator, tuple[int, ...], int, int, int, int]] = []


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator (dispatch) and every module call (hooks); keeps a stack of running modules."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        # a parametrization works for the module that it is in
        self.names = {id(m): path for path, m in model.named_modules() if "parametrizations" not in path.split(".")}
        self.holdings = Holdings(model)
        self.stack = [_Frame(model, "")]
        self.failed: _Frame | None = None
        self.found: list[Row] = []
        self.ends: list[int] = []
        """By row, the sequence number that the first node of the backward graph behind it gets."""
        self.used = Counter(self.names.values())
        self.uncounted: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.known: dict[Any, Operator | None] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        try:
            operator = self.known[func]
        except KeyError:
            operator = self.known[func] = operator_of(func)
        if operator is None:
            self.uncounted[str(func.overloadpacket)] += 1
        elif operator.type:
            macs, elementwise = operator.rule(args, out)
            if operator.kind:
                self.kinds[operator.kind] += macs or elementwise
            frame = self.stack[-1]
            frame.macs += macs
            frame.elementwise += elementwise
            first = out if isinstance(out, Tensor) else out[0]
            frame.own.append((operator, tuple(first.shape), macs, elementwise, first.element_size(), sequence_number()))
        return out

    def enter(self, module: nn.Module, args: Any) -> None:
        self.failed = None
        name = self.names.get(id(module))
        if module is self.model or name is None:
            return
        caller = self.stack[-1]
        caller.calls = True
        self._spill(caller)
        shape = tuple(args[0].shape) if args and isinstance(args[0], Tensor) else _shape(args)
        self.stack.append(_Frame(module, name, shape))

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        """Called also when the module raised: then, as when it returns nothing, the output is None."""
        if module is self.model or id(module) not in self.names:
            return
        frame = self.stack.pop()
        if output is None:
            self.failed = self.failed or frame
        self._close(frame, output)

    def _close(self, frame: _Frame, output: Any) -> None:
        module, kind = frame.module, type(frame.module).__name__
        if frame.calls:
            self._spill(frame)
            self._emit_params(frame.name, module)
            return
        held = total(map(self.holdings.take, module.modules())) if module._modules else self.holdings.take(module)
        if isinstance(module, SILENT) and not any(held):
            return
        tensors = [output] if isinstance(output, Tensor) else [t for t in tree_leaves(output) if isinstance(t, Tensor)]
        shape = tuple(tensors[0].shape) if tensors else ()
        elements, size = sum(t.numel() for t in tensors), sum(map(bytes_of, tensors))
        name = frame.name or kind.lower()
        self._emit(name, kind, shape, held, (frame.macs, frame.elementwise), (elements, size), sequence_number())

    def _spill(self, frame: _Frame) -> None:
        """Operators of a module that calls others become rows of their own."""
        for operator, shape, macs, elementwise, width, end in frame.own:
            name = f"{frame.name}.{operator.name}" if frame.name else operator.name
            again = self.used[name]
            self.used[name] += 1
            label = f"{name}_{again}" if again else name
            elements = prod(shape)
            self._emit(label, operator.type, shape, NOTHING, (macs, elementwise), (elements, width * elements), end)
        frame.own.clear()

    def _emit_params(self, name: str, module: nn.Module) -> None:
        own = self.holdings.take(module)
        if any(own):
            kind = type(module).__name__
            self._emit(name or kind.lower(), kind, (), own, (0, 0), (0, 0), sequence_number())

    def _emit(
        self, name: str, kind: str, shape: Shape, held: Held, work: Work, outputs: tuple[int, int], end: int
    ) -> None:
        """A row; ``outputs``: elements and bytes, ``end``: the sequence number behind it."""
        params, trainable, weights, buffers = held
        self.found.append(Row(name, kind, shape, params, *work, outputs[0], trainable, weights, buffers, outputs[1]))
        self.ends.append(end)

    def rows(self, output: Any) -> list[Row]:
        """All rows: what ran, then the parameters of what did not."""
        self._close(self.stack[0], output)
        for name, module in self.model.named_modules():
            self._emit_params(name, module)
        return self.found

    def blame(self, model: str, error: BaseException) -> str:
        """``resnet50.layer1.0.conv1 (Conv2d) failed on 3x224x224: ...``."""
        frame = self.failed or self.stack[-1]
        where = ".".join(step for step in (model, frame.name) if step)
        given = f" on {shape_text(frame.received)}" if frame.received else ""
        return f"{where} ({type(frame.module).__name__}) failed{given}: {type(error).__name__}: {first_line(error)}"
