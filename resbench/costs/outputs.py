"""A module returns tensors, whatever holds them."""

import enum
import types
from collections.abc import Mapping, Set
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from resbench.restoring.holders import ABSENT, slot_value, slots_of

NO_DATA: tuple[type, ...] = (
    *(type(None), bool, int, float, complex, str, bytes, slice, range, type(...), enum.Enum),
    *(torch.Size, torch.dtype, torch.device, torch.layout, torch.memory_format, torch.Generator),
    *(type, types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.ModuleType, nn.Module),
)
"""These hold no output: a module that is returned keeps its weights to itself."""


def tensors_in(output: Any) -> list[Tensor] | None:
    """Find each tensor once: of containers, dataclasses, and objects with attributes or slots.

    None where something lies in it that cannot be seen into, so that nobody knows.
    """
    if isinstance(output, Tensor):
        return [output]
    found: dict[int, Tensor] = {}
    waiting, seen = [output], dict[int, Any]()
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, Tensor):
            found.setdefault(id(thing), thing)
        elif not isinstance(thing, NO_DATA) and id(thing) not in seen:
            seen[id(thing)] = thing
            held = _held(thing)
            if held is None:
                return None
            waiting += reversed(held)
    return list(found.values())


def _held(thing: Any) -> list[Any] | None:
    """List what it holds; None for what shows nothing of itself."""
    leaves = tree_leaves(thing)
    if len(leaves) != 1 or leaves[0] is not thing:
        return leaves
    if isinstance(thing, Mapping):
        return list(thing.values())
    if isinstance(thing, Set):
        return list(thing)
    slots = slots_of(type(thing))
    if not slots and not hasattr(thing, "__dict__"):
        return None
    held = [slot_value(member, thing) for member in slots]
    return [*getattr(thing, "__dict__", {}).values(), *(value for value in held if value is not ABSENT)]
