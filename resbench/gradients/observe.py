"""One forward pass with everything that gradient statistics need kept at hand.

A network that resbench built is run step by step: at every residual sum the branch and the shortcut get an alias of x
each, so that one backward pass gives the gradient along either path. Any other network runs as it is, under forward
hooks that are gone afterwards; the paths of its sums cannot be told apart, and are left out.

Results are those of the plain forward pass, bit for bit. Of a gradient the numbers are taken while it passes, and nothing
of it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    """Gradients that come by in the backward pass: of one value, or of the paths of one sum."""

    def __init__(self, values: tuple[Tensor, ...]) -> None:
        self.values = values
        """One alias a path, the shortcut's last."""
        self.shape = values[0].shape
        self.numbers: dict[str, Tensor] = {}
        self._waiting: dict[int, Tensor] = {}
        for i, value in enumerate(values):
            if value.requires_grad:
                value.register_hook(partial(self._take, i))

    @torch.no_grad()
    def _take(self, i: int, gradient: Tensor) -> None:
        self._waiting[i] = wide(gradient)
        if len(self._waiting) == len(self.values):
            self.done()

    @torch.no_grad()
    def done(self) -> None:
        """Take what has come for all there is: no gradient is one of zero."""
        if self.numbers:
            return
        waiting, self._waiting = self._waiting, {}
        zero = torch.zeros((), device=self.values[0].device)
        last = len(self.values) - 1
        identity = waiting.pop(last, None)
        if not last:
            self.numbers = {"gradient": zero if identity is None else norm(identity)}
            return
        branches = list(waiting.values())
        residual = sum(branches[1:], branches[0]) if branches else None
        both = identity is not None and residual is not None
        self.numbers = {
            "identity": zero if identity is None else norm(identity),
            "residual": zero if residual is None else norm(residual),
            "inner": (identity * residual).sum() if both else zero,  # type: ignore[operator]
        }


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
    """A convolution or linear layer."""

    name: str
    depth: int
    weight: Tensor


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


class Part(NamedTuple):
    """One piece of the trunk."""

    name: str
    block: bool
    weighted: bool


def boundaries(model: nn.Module) -> frozenset[str]:
    """Behind which pieces of the trunk the value is a boundary: around every block; where there is none, before every
    layer with weights. The image and the logits are none."""
    parts = list(_trunk(model, "", _weights(model) / 2))
    if any(part.block for part in parts):
        chosen = [a for a, b in zip(parts, [*parts[1:], None], strict=True) if a.block or (b and b.block)]
    else:
        chosen = [a for a, b in pairwise(parts) if b.weighted]
    first = next((i for i, part in enumerate(parts) if part.weighted), len(parts))
    last = max((i for i, part in enumerate(parts) if part.weighted), default=-1)
    inner = set(parts[first:last])
    return frozenset(part.name for part in chosen if part in inner)


def blocks(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The blocks of the trunk that are modules of their own."""
    names = [part.name for part in _trunk(model, "", _weights(model) / 2) if part.block]
    held = dict(model.named_modules())
    return [(name, held[name]) for name in names if not isinstance(held[name], (Add, Highway))]


def _weights(module: nn.Module) -> int:
    return sum(isinstance(m, WEIGHTED) for m in module.modules())


def _trunk(module: nn.Module, path: str, half: float) -> Iterator[Part]:
    """Pieces that follow one another: containers, and what holds more than half of all layers, are looked into."""
    for name, child in _children(module):
        if child is None:
            yield Part(path + name, block=True, weighted=True)
        elif _is_container(child) or (_weights(child) > half and any(child.children())):
            yield from _trunk(child, f"{path}{name}.", half)
        else:
            count = _weights(child)
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


def observe(model: nn.Module, x: Tensor, at: frozenset[str]) -> tuple[Any, Observation]:
    """The model's output, and what was seen. ``at``: the boundaries."""
    if isinstance(model, Level):
        walk = _Walk(at, model.training)
        y = walk.follow(model, model.steps, x, "")
        return (y, *walk.heads) if walk.heads else y, walk.seen
    return _hooked(model, x, at)


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
                self.seen.boundaries.append(Boundary(name, self.seen.depth, Passing((x,))))
        return x

    def join(self, level: Level, step: Any, x: Tensor, path: str) -> Tensor:
        operator, paths = step
        module = level._modules[operator]
        if not isinstance(module, (Add, Highway)):
            return module(*[self.follow(level, one, x, path) for one in paths])  # type: ignore[misc,no-any-return]
        depth = self.seen.depth
        aliases = tuple(x.view_as(x) for _ in paths)
        passing = Passing(aliases)
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


def _hooked(model: nn.Module, x: Tensor, at: frozenset[str]) -> tuple[Any, Observation]:
    seen = Observation()

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                _note(seen, module, name, output, counts=True)
                if name in at and output.requires_grad:
                    seen.boundaries.append(Boundary(name, seen.depth, Passing((output,))))

        return hook

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if name in at or isinstance(module, (*WEIGHTED, _BatchNorm, nn.ReLU)):
                stack.callback(module.register_forward_hook(watch(name)).remove)
        return model(x), seen


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
        seen.layers.append(Weighted(name, seen.depth, module.weight))
    elif isinstance(module, _BatchNorm):
        centred = wide(y) - wide(y).mean()  # torch's own std takes three times as long
        seen.deviations.append(Response(name, seen.depth, norm(centred) / y.numel() ** 0.5))
    elif isinstance(module, nn.ReLU):
        silent = y.amax((0, *range(2, y.dim()))) <= 0
        seen.dead.append(Response(name, seen.depth, silent.float().mean()))
