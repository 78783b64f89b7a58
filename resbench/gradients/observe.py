"""One forward pass is run with everything that gradient statistics need kept at hand.

A network that resbench built is run step by step: at every residual sum the branch and the shortcut get an alias of x
each, so that one backward pass gives the gradient along either path. Any other network runs as it is, under forward
hooks that are gone afterwards; the paths of its sums cannot be told apart, and are left out.

Results are those of the plain forward pass, bit for bit. Of a gradient the numbers are taken while it passes; nothing
of it is kept, nor of the values. Which values are boundaries is known once all modules have run, but a hook must be set
before the next operation changes its value in place: every output gets one, and what is no boundary loses it again.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from resbench.gradients.passing import Numbers, Passing, is_alive, listen, norm, of_a_sum, of_a_value, wide
from resbench.gradients.steps import Rate
from resbench.gradients.trunk import WEIGHTED, between, boundaries, hooked, named, trunk
from resbench.networks.build import Interpreter, Level, Steps
from resbench.networks.modules import Add, Highway
from resbench.workers.control_flow import ControlFlow


class Found(NamedTuple):
    """A place is a boundary, sum, norm, relu or layer, with its numbers as tensors; ``depth`` layers lie before it.

    It has the name of its module; where that runs more than once in a pass, its second call is ``NAME#2``.
    The numbers of a boundary or sum come with the gradient. A sum has the gradients along its paths and the norms of
    what they gave; a norm has the sum, the sum of squares and the count behind a BN; a relu tells which of its channels
    are dead.
    """

    place: str
    name: str
    depth: int
    shape: tuple[int, ...]
    numbers: dict[str, Any]
    rate: Rate | None = None


@dataclass(eq=False)
class Observation:
    """An observation is what one forward pass left, in running order."""

    first: Callable[[Observation], object] = bool
    """This is called once, before any weight of this pass has its gradient."""
    places: list[Found] = field(default_factory=list)
    passings: list[Passing] = field(default_factory=list)
    """They take the numbers of its boundaries and sums."""
    layers: list[tuple[str, int, nn.Parameter]] = field(default_factory=list)
    """Each convolution or linear layer has a name, a depth and a weight; a parametrised one makes it at each call."""
    depth: int = 0
    """So many layers with weights have run, those on shortcuts left out."""
    features_last: bool = False
    """The last of them was linear: its channels are the last dimension."""
    task: int | None = None
    """This backward pass came first; None: none has come."""
    outputs: list[torch.utils.hooks.RemovableHandle] = field(default_factory=list)
    """These hooks note when a gradient comes to an output."""

    def watch_output(self, output: Any) -> None:
        """Note when a gradient comes to an output."""
        leaves = tree_leaves(output)
        leaves += [inner for leaf in leaves if hasattr(leaf, "__dict__") for inner in tree_leaves(vars(leaf))]
        self.outputs += [
            listen(leaf, lambda gradient: self.came())
            for leaf in leaves
            if isinstance(leaf, Tensor) and leaf.requires_grad
        ]

    def came(self) -> None:
        if self.task is None:
            self.task = torch._C._current_graph_task_id()
            self.first(self)

    def add(self, place: str, name: str, depth: int, shape: tuple[int, ...], passing: Passing) -> None:
        """Add a place whose numbers come in the backward pass."""
        self.passings.append(passing)
        self.places.append(Found(place, name, depth, shape, passing.numbers))

    def may_come(self) -> bool:
        """Tell whether a gradient has come, or one still can."""
        handles = (*self.outputs, *(handle for passing in self.passings for handle in passing.handles))
        return self.task is not None or any(map(is_alive, handles))

    def close(self) -> None:
        """Take what has come, and let go of the graph."""
        for passing in self.passings:
            passing.done()
            passing.close()
        for handle in self.outputs:
            handle.remove()
        self.first = bool


def observe(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
    watch: frozenset[str] | None = None,
    first: Callable[[Observation], object] = bool,
) -> tuple[Any, Observation]:
    """Return the model's output and what was seen. ``watch`` names boundaries in place of those that are found."""
    seen, network = Observation(first), model
    while "_orig_mod" in network._modules:
        network = network._modules["_orig_mod"]  # type: ignore[assignment]
    with as_written(), ControlFlow():
        if isinstance(network, Level) and not kwargs and len(args) == 1 and not _is_touched(network):
            output = _StepObserver(boundaries(network) if watch is None else watch, seen).run(network, args[0])
        else:
            output = _hooked(model, args, kwargs or {}, watch, seen)
        seen.watch_output(output)
    return output, seen


def as_written() -> AbstractContextManager[Any]:
    """Let all compiled code, of the model or of a part, run as it was written: its hooks would not run otherwise."""
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


def _is_touched(network: nn.Module) -> bool:
    """Tell whether somebody has hung something on a level that only a call of the level itself runs."""
    return any(
        "forward" in vars(level)
        or any((level._forward_hooks, level._forward_pre_hooks, level._backward_hooks, level._backward_pre_hooks))
        for level in network.modules()
        if isinstance(level, Level)
    )


class _StepObserver(Interpreter):
    """This runs a network of ours and notes what passes: levels are followed, so that their steps are seen."""

    def __init__(self, at: frozenset[str], seen: Observation) -> None:
        super().__init__()
        self.at, self.seen = at, seen
        self.beside = 0
        """So many shortcuts are open, whose layers add no depth."""

    def part(self, module: nn.Module, name: str, x: Tensor) -> Tensor:
        if isinstance(module, Level):
            return self.passed(name, self.follow(module, module.steps, x, f"{name}."))
        y: Tensor = module(x)
        _note(self.seen, module, name, name, y, counts=not self.beside)
        return self.passed(name, y)

    def join(self, level: Level, step: tuple[str, tuple[Steps, ...]], x: Tensor, path: str) -> Tensor:
        operator, paths = step
        name, module = path + operator, level._modules[operator]
        if not isinstance(module, (Add, Highway)):
            return self.passed(name, super().join(level, step, x, path))
        depth = self.seen.depth
        aliases = tuple(x.view_as(x) for _ in paths)
        terms: Numbers = {}
        passing = Passing(aliases, partial(of_a_sum, terms), self.seen.came)
        outputs = [self.follow(level, one, alias, path) for one, alias in zip(paths[:-1], aliases, strict=False)]
        self.beside += 1
        outputs.append(self.follow(level, paths[-1], aliases[-1], path))
        self.beside -= 1
        terms |= _terms(module, outputs)
        self.seen.add("sum", name, depth, (), passing)
        return self.passed(name, module(*outputs))

    def passed(self, name: str, value: Tensor) -> Tensor:
        """Note a value that is a boundary as one."""
        if name in self.at:
            passing = Passing((value,), of_a_value, self.seen.came)
            self.seen.add("boundary", name, self.seen.depth, value.shape[1:], passing)
        return value


@torch.no_grad()
def _terms(module: nn.Module, outputs: list[Tensor]) -> Numbers:
    *branches, shortcut = outputs
    if isinstance(module, Highway):
        gate, branch = branches
        return {"branch": norm(gate * branch), "shortcut": norm((1 - gate) * shortcut)}
    return {"branch": norm(sum(branches[1:], branches[0])), "shortcut": norm(shortcut)}


class _Candidate:
    """A candidate is an output that may turn out to be a boundary; the value itself is not held."""

    def __init__(self, name: str, place: str, seen: Observation, value: Tensor) -> None:
        self.name, self.place, self.depth, self.shape = name, place, seen.depth, value.shape
        self._came = seen.came
        self._value, self._version = weakref.ref(value), value._version
        self.passing: Passing | None = None
        self.try_to_listen()

    def try_to_listen(self) -> bool:
        """Return False where the value has no graph yet: a checkpoint that runs its part again makes one later."""
        value = self._value()
        if value is not None and value.requires_grad and value._version == self._version:
            self.passing = Passing((value,), of_a_value, self._came)
        return value is None or value.requires_grad


class _Hooks:
    """The forward hooks of one pass make every output a candidate."""

    def __init__(self, seen: Observation, watch: frozenset[str] | None) -> None:
        self.seen, self.watch = seen, watch
        self.ran: list[_Candidate] = []
        self.calls = Counter[str]()
        self.layers: list[nn.Module] = []
        self._without_graph: list[_Candidate] = []

    def hook(self, name: str, module: nn.Module, args: Any, output: Any) -> None:
        self.look_again()
        self.calls[name] += 1
        place = name if self.calls[name] == 1 else f"{name}#{self.calls[name]}"
        if isinstance(output, Tensor):
            _note(self.seen, module, name, place, output, counts=True)
            self.add(name, place, output)
        elif self.watch and name in self.watch:
            for value in [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)][:1]:
                self.add(name, place, value)
        if isinstance(module, WEIGHTED):
            self.layers.append(module)

    def add(self, name: str, place: str, value: Tensor) -> None:
        candidate = _Candidate(name, place, self.seen, value)
        self.ran.append(candidate)
        if not value.requires_grad and not torch.is_grad_enabled():
            self._without_graph.append(candidate)

    def look_again(self) -> None:
        if self._without_graph and torch.is_grad_enabled():
            self._without_graph = [one for one in self._without_graph if not one.try_to_listen()]

    def keep(self, chosen: Collection[_Candidate]) -> None:
        """Make boundaries of the chosen ones, and let the others go."""
        for one in self.ran:
            if one in chosen and one.passing is not None:
                self.seen.add("boundary", one.place, one.depth, one.shape[1:], one.passing)
            elif one.passing is not None:
                one.passing.close()


def _hooked(
    model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], watch: frozenset[str] | None, seen: Observation
) -> Any:
    hooks = _Hooks(seen, watch)
    with hooked(named(model), nn.Module.register_forward_hook, hooks.hook):
        output = model(*args, **kwargs)
    hooks.look_again()
    hooks.keep(_found(model, hooks) if watch is None else {one for one in hooks.ran if one.name in watch})
    return output


def _found(model: nn.Module, hooks: _Hooks) -> set[_Candidate]:
    """Return the boundaries, which lie between the pieces of the trunk in the order in which these ran."""
    parts = {part.name: part for part in trunk(model, hooks.layers)}
    pieces = [one for one in hooks.ran if one.name in parts]
    found = [pieces[i] for i in between([parts[one.name] for one in pieces]) if pieces[i].passing]
    return {
        one
        for i, one in enumerate(found)  # else a head at the side
        if all(len(later.shape) <= len(one.shape) for later in found[i + 1 :])
    }


@torch.no_grad()
def _note(seen: Observation, module: nn.Module, name: str, place: str, y: Tensor, *, counts: bool) -> None:
    """Note what a module gave: a weight belongs to the module, its numbers to this call."""
    if isinstance(module, WEIGHTED):
        seen.depth += counts
        seen.features_last = isinstance(module, nn.Linear)
        weight = module._parameters.get("weight")  # of a parametrised layer none: reading them is a computation
        if weight is not None:
            seen.layers.append((name, seen.depth, weight))
    elif isinstance(module, nn.modules.batchnorm._BatchNorm):
        y = wide(y)  # by sums: torch's own std takes several times as long
        numbers = {"total": y.sum(), "squares": norm(y).square(), "count": y.new_full((), y.numel())}
        seen.places.append(Found("norm", place, seen.depth, (), numbers))
    elif isinstance(module, nn.ReLU):
        channel = y.dim() - 1 if seen.features_last else 1
        silent = y.amax([i for i in range(y.dim()) if i != channel]) <= 0
        seen.places.append(Found("relu", place, seen.depth, silent.shape, {"dead": silent}))
