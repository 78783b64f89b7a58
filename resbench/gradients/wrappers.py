"""Wrappers are modules that hold another and compute what it computes; they add no place.

They compile, checkpoint or distribute it. The names and the blocks of a network are those that it has without them.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

WRAPPED = ("_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module")
"""torch's wrappers hold their module under these names; nobody else uses them."""

PARALLEL = ("torch.nn.parallel.", "torch.distributed.", "torch.optim.swa_utils")
"""The wrappers of these modules call it ``module``, as many a residual block does."""


def _wrapped(wrapper: nn.Module) -> nn.Module | None:
    children = wrapper._modules
    for name in WRAPPED:
        if name in children:
            return children[name]
    if "module" in children and any(kind.__module__.startswith(PARALLEL) for kind in type(wrapper).__mro__):
        return children["module"]
    return None


def inside(module: nn.Module) -> nn.Module:
    """Return the module itself, out of all its wrappers."""
    while (wrapped := _wrapped(module)) is not None:
        module = wrapped
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


def submodule(model: nn.Module, path: str) -> nn.Module:
    """Return the module that ``named`` gives this path."""
    for name in path.split(".") if path else ():
        model = inside(model).get_submodule(name)
    return inside(model)
