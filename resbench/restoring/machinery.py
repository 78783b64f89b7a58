"""What of all that is reachable from a model belongs to it, and what is the machinery by which it runs."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator

import torch

ATOMS = frozenset(
    (
        *(type(None), bool, int, float, complex, str, bytes, slice, range, type(...), type(NotImplemented), object),
        *(torch.Size, torch.dtype, torch.device, torch.layout, torch.memory_format),
        *(types.BuiltinFunctionType, types.CodeType, types.GetSetDescriptorType, types.MemberDescriptorType),
        *(types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType, types.ModuleType),
    )
)
"""Types whose values hold nothing that a forward could change."""

MACHINERY = frozenset(sys.stdlib_module_names | {"torch", "numpy", "resbench"})
"""Packages by which a model runs, and which are no part of it."""

DATA = (
    *("collections", "random", "types", "weakref", "_weakrefset", "functools", "argparse", "queue", "_thread"),
    *("torch.nn", "torch.distributions", "torch.optim", "torch.amp"),
)
"""Those modules of the machinery whose instances are data."""

CHANGEABLE = 1 << 9
"""The flag of a class that Python code can change."""


def is_machinery(name: object) -> bool:
    """Is a module of that name a part of Python, torch or this package?"""
    return str(name).partition(".")[0] in MACHINERY


def is_own(module: types.ModuleType | None) -> bool:
    """Is it in no installed package? From those a walk would reach a hundred thousand things."""
    name, path = getattr(module, "__name__", ""), str(getattr(module, "__file__", ""))
    return not (is_machinery(name) or "site-packages" in path or "dist-packages" in path)


def names_in(code: types.CodeType) -> Iterator[str]:
    """What a function, and those within it, may take from its globals."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_in(constant)
