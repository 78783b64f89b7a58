"""This module tells what belongs to a model from the machinery by which it runs."""

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
"""Values of these types hold nothing that a forward pass could change."""

MACHINERY = frozenset(sys.stdlib_module_names | {"torch", "numpy", "resbench"})
"""A model runs by these packages, and they are no part of it."""

DATA = (
    *("collections", "random", "types", "weakref", "_weakrefset", "functools", "argparse", "queue", "_thread"),
    *("torch.nn", "torch.distributions", "torch.optim", "torch.amp"),
)
"""Instances of these modules of the machinery are data."""

CHANGEABLE = 1 << 9
"""This flag marks a class that Python code can change."""


def is_machinery(name: object) -> bool:
    """Tell whether a module of that name is a part of Python, torch or this package."""
    return str(name).partition(".")[0] in MACHINERY


def is_own(module: types.ModuleType | None) -> bool:
    """Tell whether a module is in no installed package: from those a walk would reach a hundred thousand things."""
    name, path = getattr(module, "__name__", ""), str(getattr(module, "__file__", ""))
    return not (is_machinery(name) or "site-packages" in path or "dist-packages" in path)


def names_in(code: types.CodeType) -> Iterator[str]:
    """Yield the names that a function, and those within it, may take from its globals."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_in(constant)
