"""One forward pass with everything that gradient statistics need kept at hand.

A network that resbench built is run step by step: at every residual sum the branch and the shortcut get an alias of x
each, so that one backward pass gives the gradient along either path. Any other network runs as it is, under forward
hooks that are gone afterwards; the paths of its sums cannot be told apart, and are left out.

Results are those of the plain forward pass, bit for bit. Of a gradient the numbers are taken while it passes; nothing
of it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resbench.nets.build import Level, Steps
from resbench.nets.layers import Add, Highway

WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)
"""The layers that depth counts."""


class Passing:
    """The numbers of gradients that come by in the backward pass; of none that comes, those of zero."""

    def __init__(self, values: tuple[Tensor, ...], numbers_of: Callable[..., dict[str, Tensor]]) -> None:
        self.values, self.numbers_of = values, numbers_of
        self.numbers: dict[str, Tensor] = {}
        self._waiting: dict[int, Tensor] = {}
        for i, value in enumerate(values):
            if value.requires_grad:
                value.register_hook(partial(self._take, i))  # type: ignore[no-untyped-call]

    def _take(self, i: int, gradient: Tensor) -> None:
        self._waiting[i] = gradient
        if len(self._waiting) == len(self.values):
            self.done()

    @torch.no_grad()
    def done(self) -> None:
        """Take the numbers of what has come."""
        if not self.numbers:
            came = [self._waiting[i] if i in self._waiting else torch.zeros_like(v) for i, v in enumerate(self.values)]
            self.numbers = self.numbers_of(*map(wide, came))
            self._waiting.clear()


def _of_a_value(gradient: Tensor) -> dict[str, Tensor]:
    return {"gradient": norm(gradient)}


def _of_a_sum(*gradients: Tensor) -> dict[str, Tensor]:
    """Along the branches, together, and along the shortcut, which comes last."""
    first, *more, identity = gradients
    residual = sum(more, first)
    return {"identity": norm(identity), "residual": norm(residual), "inner": (identity * residual).sum()}


class Boundary(NamedTuple):
    """The value between two blocks, and how many layers with weights lie before it."""

    name: str
    depth: int
    passing: Passing


class Sum(NamedTuple):
    """A residual sum: the gradients along its paths, and the norms of what they gave."""

    name: str
    depth: int
    passing: Passing
    branch_norm: Tensor
    shortcut_norm: Tensor


class Weighted(NamedTuple):
    """A convolution or linear layer with weights of its own; those of a parametrised one are made at each call."""

    name: str
    depth: int
    weight: nn.Parameter


class Response(NamedTuple):
    """One number of a layer's output: the standard deviation behind a BN, the share of dead channels of a ReLU."""

    name: str
    depth: int
    value: Tensor


@dataclass
class Observation:
    """What one forward pass left, in running order."""

    boundaries: list[Boundary] = field(default_factory=list)
    sums: list[Sum] = field(default_factory=list)
    layers: list[Weighted] = field(default_factory=list)
    deviations: list[Response] = field(default_factory=list)
    dead: list[Response] = field(default_factory=list)
    depth: int = 0
    """Layers with weights so far, those on shortcuts left out."""
    features_last: bool = False
    """The last of them was linear: its channels are the last dimension."""


class Part(NamedTuple):
    """One piece of the trunk."""

    name: str
    block: bool
    weighted: bool


def boundaries(model: nn.Module) -> frozenset[str]:
    """Behind which pieces of the trunk the value is a boundary, if they run in the order in which they stand."""
    parts = trunk(model)
    return frozenset(parts[i].name for i in _between(parts))


def trunk(model: nn.Module, counted: Collection[nn.Module] | None = None) -> list[Part]:
    """The pieces of a model that follow one another, by those of its layers that count; else by all."""
    layers = [m for m in model.modules() if isinstance(m, WEIGHTED)] if counted is None else counted
    held = {id(layer) for layer in layers}
    return list(_trunk(model, "", held, _weights(model, held) / 2))


def _between(parts: Sequence[Part]) -> list[int]:
    """Around every block; where there is none, before every layer with weights. The image and the logits are none."""
    weighted = [i for i, part in enumerate(parts) if part.weighted]
    if not weighted:
        return []
    if any(part.block for part in parts):
        chosen = [i for i, part in enumerate(parts) if part.block or (i + 1 < len(parts) and parts[i + 1].block)]
    else:
        chosen = [i for i, (_, after) in enumerate(pairwise(parts)) if after.weighted]
    return [i for i in chosen if weighted[0] <= i < weighted[-1]]


def blocks(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The blocks of the trunk that are modules of their own."""
    names = [part.name for part in trunk(model) if part.block]
    held = dict(model.named_modules(remove_duplicate=False))
    return [(name, held[name]) for name in names if not isinstance(held[name], (Add, Highway))]


def _weights(module: nn.Module, counted: Set[int]) -> int:
    return sum(id(m) in counted for m in module.modules())


def _trunk(module: nn.Module, path: str, counted: Set[int], half: float) -> Iterator[Part]:
    """Pieces that follow one another: containers, and what holds more than half of all layers, are looked into."""
    for name, child in _children(module):
        if child is None:
            yield Part(path + name, block=True, weighted=True)
        elif _is_container(child) or (_weights(child, counted) > half and any(child.children())):
            yield from _trunk(child, f"{path}{name}.", counted, half)
        else:
            count = _weights(child, counted)
            yield Part(path + name, count > 0 and not isinstance(child, WEIGHTED), count > 0)


def _children(module: nn.Module) -> Iterator[tuple[str, nn.Module | None]]:
    """The pieces by name; None for an operator with its paths."""
    if not isinstance(module, Level):
        yield from module.named_children()
        return
    for step in module.steps:
        if isinstance(step, str):
            yield step, module.get_submodule(step)
        elif step[0] is not None:
            yield step[0], None


def _is_container(module: nn.Module) -> bool:
    if isinstance(module, Level):
        return all(isinstance(step, str) and step.isdigit() for step in module.steps)
    return isinstance(module, (nn.Sequential, nn.ModuleList))


def observe(model: nn.Module, x: Tensor) -> tuple[Any, Observation]:
    """The model's output, and what was seen."""
    if isinstance(model, Level) and not any(_touched(m) for m in model.modules() if isinstance(m, Level)):
        walk = _Walk(boundaries(model), model.training)
        y = walk.follow(model, model.steps, x, "")
        return (y, *walk.heads) if walk.heads else y, walk.seen
    return _hooked(model, x)


def _touched(module: nn.Module) -> bool:
    """Has somebody hung something on it that only a call of the module itself runs?"""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks) or "forward" in vars(module)


class _Walk:
    """Runs a network of ours as ``Level.forward`` does."""

    def __init__(self, at: frozenset[str], training: bool) -> None:
        self.at, self.training = at, training
        self.seen = Observation()
        self.heads: list[Tensor] = []
        self.beside = 0
        """Shortcuts that are open: their layers add no depth."""

    def follow(self, level: Level, steps: Steps, x: Tensor, path: str) -> Tensor:
        for step in steps:
            if isinstance(step, str):
                name, module = path + step, level._modules[step]
                if isinstance(module, Level):
                    x = self.follow(module, module.steps, x, f"{name}.")
                else:
                    assert module is not None
                    x = self.leaf(module, name, x)
            elif step[0] is None:
                if self.training:
                    head = level._modules[step[1]]
                    self.heads.append(head(x))  # type: ignore[misc]
                continue
            else:
                name = path + step[0]
                x = self.join(level, step, x, path)
            if name in self.at:
                self.seen.boundaries.append(Boundary(name, self.seen.depth, Passing((x,), _of_a_value)))
        return x

    def join(self, level: Level, step: Any, x: Tensor, path: str) -> Tensor:
        operator, paths = step
        module = level._modules[operator]
        if not isinstance(module, (Add, Highway)):
            return module(*[self.follow(level, one, x, path) for one in paths])  # type: ignore[misc,no-any-return]
        depth = self.seen.depth
        aliases = tuple(x.view_as(x) for _ in paths)
        passing = Passing(aliases, _of_a_sum)
        outputs = [self.follow(level, one, alias, path) for one, alias in zip(paths[:-1], aliases, strict=False)]
        self.beside += 1
        outputs.append(self.follow(level, paths[-1], aliases[-1], path))
        self.beside -= 1
        self.seen.sums.append(Sum(path + operator, depth, passing, *_terms(module, outputs)))
        return module(*outputs)  # type: ignore[no-any-return]

    def leaf(self, module: nn.Module, name: str, x: Tensor) -> Tensor:
        y: Tensor = module(x)
        _note(self.seen, module, name, y, counts=not self.beside)
        return y


@torch.no_grad()
def _terms(module: nn.Module, outputs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The norms of F(x) and h(x), gates included."""
    *branches, shortcut = outputs
    if isinstance(module, Highway):
        gate, branch = branches
        return norm(gate * branch), norm((1 - gate) * shortcut)
    return norm(sum(branches[1:], branches[0])), norm(shortcut)


def _hooked(model: nn.Module, x: Tensor) -> tuple[Any, Observation]:
    seen = Observation()
    ran: list[tuple[str, int, Tensor]] = []
    layers: list[nn.Module] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                _note(seen, module, name, output, counts=True)
                ran.append((name, seen.depth, output))
            if isinstance(module, WEIGHTED):
                layers.append(module)

        return hook

    with ExitStack() as stack:
        for name, module in model.named_modules():
            stack.callback(module.register_forward_hook(watch(name)).remove)
        output = model(x)
    parts = {part.name: part for part in trunk(model, layers)}
    pieces = [(parts[name], depth, value) for name, depth, value in ran if name in parts]
    found = [pieces[i] for i in _between([part for part, _, _ in pieces]) if pieces[i][2].requires_grad]
    for i, (part, depth, value) in enumerate(found):
        if all(later.dim() <= value.dim() for _, _, later in found[i + 1 :]):  # else a head at the side
            seen.boundaries.append(Boundary(part.name, depth, Passing((value,), _of_a_value)))
    return output, seen


def own_weight(module: nn.Module) -> nn.Parameter | None:
    """The weights that the optimiser moves; none of a parametrised layer, where reading them is a computation."""
    return module._parameters.get("weight")


def wide(x: Tensor) -> Tensor:
    """In a type in which sums over many values are exact enough: float32 or float64."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


@torch.no_grad()
def norm(x: Tensor) -> Tensor:
    """The Euclidean norm over everything."""
    return wide(x).norm()  # type: ignore[no-any-return]


@torch.no_grad()
def _note(seen: Observation, module: nn.Module, name: str, y: Tensor, *, counts: bool) -> None:
    if isinstance(module, WEIGHTED):
        seen.depth += counts
        seen.features_last = isinstance(module, nn.Linear)
        weight = own_weight(module)
        if weight is not None:
            seen.layers.append(Weighted(name, seen.depth, weight))
    elif isinstance(module, _BatchNorm):
        y = wide(y)  # by sums: torch's own std takes several times as long
        variance = norm(y).square() / y.numel() - y.mean().square()
        seen.deviations.append(Response(name, seen.depth, variance.clamp_min(0).sqrt()))
    elif isinstance(module, nn.ReLU):
        channel = y.dim() - 1 if seen.features_last else 1
        silent = y.amax([i for i in range(y.dim()) if i != channel]) <= 0
        seen.dead.append(Response(name, seen.depth, silent.float().mean()))
