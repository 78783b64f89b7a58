"""The trunk of a network is its pieces that follow one another; some are blocks, and boundaries lie between them.

Wrappers are modules that hold another and compute what it computes, to compile, checkpoint or distribute it. They add
no place: the names and the blocks of a network are those that it has without them.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import nn

from resbench.networks.build import Level
from resbench.networks.modules import Add, Highway

WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)
"""Depth counts these layers."""


class Part(NamedTuple):
    """A part is one piece of the trunk."""

    name: str
    block: bool
    weighted: bool


def boundaries(model: nn.Module) -> frozenset[str]:
    """Name the pieces behind which the value is a boundary, if they run in the order in which they stand."""
    parts = trunk(model)
    return frozenset(parts[i].name for i in between(parts))


def trunk(model: nn.Module, counted: Collection[nn.Module] | None = None) -> list[Part]:
    """Return the pieces of a model that follow one another, by those of its layers that count; else by all."""
    layers = [m for m in model.modules() if isinstance(m, WEIGHTED)] if counted is None else counted
    counting = {id(layer) for layer in layers}
    return list(_trunk(model, "", counting, _weights(model, counting) / 2))


def between(parts: Sequence[Part]) -> list[int]:
    """Find boundaries around every block; without blocks, before each layer with weights. Image and logits are none."""
    weighted = [i for i, part in enumerate(parts) if part.weighted]
    if not weighted:
        return []
    if any(part.block for part in parts):
        chosen = [i for i, part in enumerate(parts) if part.block or (i + 1 < len(parts) and parts[i + 1].block)]
    else:
        chosen = [i for i, (_, after) in enumerate(pairwise(parts)) if after.weighted]
    return [i for i in chosen if weighted[0] <= i < weighted[-1]]


def blocks(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the blocks of the trunk that are modules of their own."""
    modules = [(part.name, submodule(model, part.name)) for part in trunk(model) if part.block]
    return [(name, block) for name, block in modules if not isinstance(block, (Add, Highway))]


def _weights(module: nn.Module, counted: Set[int]) -> int:
    return sum(id(m) in counted for m in module.modules())


def _trunk(module: nn.Module, path: str, counted: Set[int], half: float) -> Iterator[Part]:
    """Yield the pieces in turn: containers, and what holds more than half of all layers, are looked into."""
    for name, wrapped in _children(inside(module)):
        child = None if wrapped is None else inside(wrapped)
        if child is None:
            yield Part(path + name, block=True, weighted=True)
        elif _is_container(child) or (_weights(child, counted) > half and any(child.children())):
            yield from _trunk(child, f"{path}{name}.", counted, half)
        else:
            count = _weights(child, counted)
            yield Part(path + name, count > 0 and not isinstance(child, WEIGHTED), count > 0)


def _children(module: nn.Module) -> Iterator[tuple[str, nn.Module | None]]:
    """Yield the pieces with their names; None stands for an operator with its paths."""
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


# -- wrappers ------------------------------------------------------------------------------------------

WRAPPED = ("_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module")
"""torch's wrappers hold their module under these names; nobody else uses them."""

PARALLEL = ("torch.nn.parallel.", "torch.distributed.", "torch.optim.swa_utils")
"""The wrappers of these modules call it ``module``, as many a residual block does."""


def inside(module: nn.Module) -> nn.Module:
    """Return the module itself, out of all its wrappers."""
    if isinstance(module, torch.jit.ScriptModule):
        return module
    parallel = any(kind.__module__.startswith(PARALLEL) for kind in type(module).__mro__)
    for name in (*WRAPPED, "module") if parallel else WRAPPED:
        wrapped = module._modules.get(name)
        if wrapped is not None:
            return inside(wrapped)
    return module


def named(model: nn.Module, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, nn.Module]]:
    """Yield what ``named_modules()`` would if nothing were wrapped."""
    seen = set() if seen is None else seen
    model = inside(model)
    if id(model) in seen:
        return
    seen.add(id(model))
    yield path, model
    for name, child in model.named_children():
        yield from named(child, f"{path}.{name}" if path else name, seen)


def hooked(
    modules: Iterable[tuple[str, nn.Module]], register: Callable[..., Any], hook: Callable[..., object]
) -> ExitStack:
    """Hang a hook on modules, which is also told the name of each; it comes off at the end of the ``with``."""
    hooks = ExitStack()
    for name, module in modules:
        hooks.enter_context(register(module, partial(hook, name)))
    return hooks


def submodule(model: nn.Module, path: str) -> nn.Module:
    """Return the module that ``named`` gives this path."""
    for name in path.split(".") if path else ():
        model = inside(model).get_submodule(name)
    return inside(model)
