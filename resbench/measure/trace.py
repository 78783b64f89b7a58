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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from resbench.arch.cost import Cost, Row
from resbench.errors import TraceError, first_line
from resbench.measure.operators import Operator, operator_of
from resbench.units import shape_text

Inputs = tuple[int, ...] | Tensor | tuple[Any, ...] | Mapping[str, Any]

SILENT = (nn.Identity, nn.Flatten, nn.Unflatten)
"""Modules that only rename their input: no row."""


def trace(model: nn.Module, inputs: Inputs, *, training: bool = False, name: str = "", source: str = "module") -> Cost:
    """Count every operator of one forward; each belongs to the innermost module that runs.

    ``inputs``: the shape of one input (N, C, H, W), a tensor, a tuple of arguments, or keyword arguments.
    The forward runs on the meta device. Where it has to look at values (``.item()``, a branch on data) and the
    model holds weights, it runs for real, once. The model, its buffers and the random state stay as they were.

    A module that calls other modules gets rows for its own operators (``layer1.0.add``); any other module gets
    one row a call. A parameter counts where it is first used; ``Cost.uncounted`` names what has no formula.
    Raises TraceError: the module that failed, its input, and why.
    """
    model = _unwrapped(model)
    if any(isinstance(module, LazyModuleMixin) and module.has_uninitialized_params() for module in model.modules()):
        model = copy.deepcopy(model).to("meta")  # materialised there; the user's stays lazy
    real = any(not p.is_meta for p in model.parameters()) or not any(True for _ in model.parameters())
    with _undisturbed(model, training):
        try:
            return _follow(model, _like(model, inputs, "meta"), name, source, "meta")
        except _Failed as failure:
            if not real:
                raise failure.error from failure.__cause__
        device = next((p.device.type for p in model.parameters()), "cpu")
        try:
            return _follow(model, _like(model, inputs, device), name, source, device)
        except _Failed as failure:
            raise failure.error from failure.__cause__


class _Failed(Exception):
    def __init__(self, error: TraceError) -> None:
        self.error = error


def _unwrapped(model: nn.Module) -> nn.Module:
    """Without torch.compile's and data parallelism's wrappers."""
    for attribute in ("_orig_mod", "module"):
        inner = getattr(model, attribute, None)
        wrapper = type(model).__name__ in ("OptimizedModule", "DataParallel", "DistributedDataParallel")
        if wrapper and isinstance(inner, nn.Module):
            return _unwrapped(inner)
    return model


def _like(model: nn.Module, inputs: Inputs, device: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments on that device, in the model's precision where only a shape is given."""
    if isinstance(inputs, tuple) and inputs and all(type(size) is int for size in inputs):
        dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
        return (torch.empty(inputs, dtype=dtype, device=device),), {}
    moved = tree_map_only(Tensor, lambda t: t.detach().to(device), inputs)
    if isinstance(moved, Mapping):
        return (), dict(moved)
    return (moved if isinstance(moved, tuple) else (moved,)), {}


@contextmanager
def _undisturbed(model: nn.Module, training: bool) -> Iterator[None]:
    """Run without gradients in one mode, without fused fast paths; put modes, flags and random states back."""
    modes = [(module, module.training) for module in model.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    numpy = sys.modules.get("numpy")
    states = random.getstate(), numpy.random.get_state() if numpy else None
    try:
        for module, _ in modes:
            module.training = training
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.no_grad(), torch.random.fork_rng(), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        torch.backends.mha.set_fastpath_enabled(fast)
        random.setstate(states[0])
        if numpy:
            numpy.random.set_state(states[1])


def _follow(
    model: nn.Module, inputs: tuple[tuple[Any, ...], dict[str, Any]], name: str, source: str, device: str
) -> Cost:
    """One forward with every parameter on the device, and buffers that may be written."""
    tensors: dict[str, Tensor] = {}
    for path, parameter in model.named_parameters():
        if parameter.device.type != device:
            tensors[path] = torch.empty_like(parameter, device=device)
    for path, buffer in model.named_buffers():
        tensors[path] = buffer.clone() if buffer.device.type == device else torch.empty_like(buffer, device=device)
    counter = _Counter(model)
    try:
        with ExitStack() as stack:
            stack.enter_context(counter)
            stack.callback(register_module_forward_pre_hook(counter.enter).remove)
            stack.callback(register_module_forward_hook(counter.leave).remove)
            functional_call(model, tensors, *inputs, tie_weights=True, strict=False)
    except Exception as error:
        raise _Failed(TraceError(counter.blame(name or type(model).__name__, error))) from error
    return Cost(name, source, _shape(inputs), tuple(counter.rows()), tuple(sorted(counter.uncounted.items())))


def _shape(inputs: Any) -> tuple[int, ...]:
    first = next((leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)), None)
    return tuple(first.shape) if first is not None else ()


class _Frame:
    """A module that is running: what its own operators took so far."""

    __slots__ = ("calls", "elementwise", "macs", "module", "name", "own", "received")

    def __init__(self, module: nn.Module, name: str, received: tuple[int, ...]) -> None:
        self.module, self.name, self.received = module, name, received
        self.macs = self.elementwise = 0
        self.calls = False  # does it call other modules?
        self.own: list[tuple[Operator, tuple[int, ...], int, int]] = []


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator (dispatch) and every module call (hooks); keeps a stack of running modules."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.names = {id(module): path.replace("_orig_mod.", "") for path, module in model.named_modules()}
        self.stack = [_Frame(model, "", ())]
        self.found: list[Row] = []
        self.seen: set[int] = set()
        self.used: Counter[str] = Counter()
        self.uncounted: Counter[str] = Counter()
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
            frame = self.stack[-1]
            frame.macs += macs
            frame.elementwise += elementwise
            first = out if isinstance(out, Tensor) else out[0]
            frame.own.append((operator, tuple(first.shape), macs, elementwise))
        return out

    def enter(self, module: nn.Module, args: Any) -> None:
        name = self.names.get(id(module))
        if module is self.model or name is None:
            return
        caller = self.stack[-1]
        caller.calls = True
        self._spill(caller)
        shape = tuple(args[0].shape) if args and isinstance(args[0], Tensor) else _shape(args)
        self.stack.append(_Frame(module, name, shape))

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        if module is self.model or id(module) not in self.names:
            return
        while self.stack[-1].module is not module:  # left by an exception that the model caught
            self.stack.pop()
        self._close(self.stack.pop(), output)

    def _close(self, frame: _Frame, output: Any) -> None:
        module, kind = frame.module, type(frame.module).__name__
        if frame.calls:
            self._spill(frame)
            self._emit_params(frame.name, module)
            return
        params = self._params(module.parameters())
        if isinstance(module, SILENT) and not params:
            return
        tensors = [output] if isinstance(output, Tensor) else [t for t in tree_leaves(output) if isinstance(t, Tensor)]
        shape = tuple(tensors[0].shape) if tensors else ()
        elements = sum(t.numel() for t in tensors)
        name = frame.name or kind.lower()
        self.found.append(Row(name, kind, shape, params, frame.macs, frame.elementwise, elements))

    def _spill(self, frame: _Frame) -> None:
        """Operators of a module that calls others become rows of their own."""
        for operator, shape, macs, elementwise in frame.own:
            name = f"{frame.name}.{operator.name}" if frame.name else operator.name
            again = self.used[name]
            self.used[name] += 1
            label = f"{name}_{again}" if again else name
            self.found.append(Row(label, operator.type, shape, 0, macs, elementwise, prod(shape)))
        frame.own.clear()

    def _params(self, parameters: Iterable[nn.Parameter | None]) -> int:
        """Elements of those that were not counted before."""
        count = 0
        for parameter in parameters:
            if parameter is not None and id(parameter) not in self.seen:
                self.seen.add(id(parameter))
                count += parameter.numel()
        return count

    def _emit_params(self, name: str, module: nn.Module) -> None:
        own = self._params(module._parameters.values())
        if own:
            kind = type(module).__name__
            self.found.append(Row(name or kind.lower(), kind, (), own, 0, 0, 0))

    def rows(self) -> list[Row]:
        """All rows: what ran, then the parameters of what did not."""
        root = self.stack[0]
        if root.calls or not root.own:
            self._spill(root)
        elif root.own:
            self._close(root, torch.empty(root.own[-1][1], device="meta"))
        for name, module in self.model.named_modules():
            self._emit_params(name, module)
        return self.found

    def blame(self, model: str, error: Exception) -> str:
        """``resnet50.layer1.0.conv1 (Conv2d) failed on 3x224x224: ...``."""
        frame = self.stack[-1]
        where = ".".join(step for step in (model, frame.name) if step)
        given = f" on {shape_text(frame.received)}" if frame.received else ""
        return f"{where} ({type(frame.module).__name__}) failed{given}: {type(error).__name__}: {first_line(error)}"
