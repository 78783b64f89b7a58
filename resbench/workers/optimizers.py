"""Each optimiser that torch ships holds a state for every parameter, with its own defaults. Numbers are bytes.

Source: ``torch.optim``, the steps of each class, one parameter after the other; the tests hold the table against real
ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from resbench.errors import MeasureError, OptionError, first_line, foreign
from resbench.units import FP32_BYTES

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from resbench.arch.algebra import Shape

MOMENTUM = "SGD with momentum"
"""This optimiser steps where none is named: the one that residual networks were trained with."""

LBFGS_HISTORY = 100
"""LBFGS keeps so many pairs of a direction and a change of gradient, by torch's default."""


class Held(NamedTuple):
    """An optimiser holds a state for a float32 parameter, and more while it steps."""

    state: Callable[[Shape], int]
    passing: int = 0
    """So many tensors like the parameter are there while it is stepped, and gone afterwards."""
    before: int = 0
    """So many like the parameter before it are still there meanwhile."""


def copies(count: int, numbers: int = 0) -> Callable[[Shape], int]:
    """Hold so many tensors like the parameter, and numbers of 4 bytes beside them (the step among them)."""
    return lambda shape: FP32_BYTES * (count * prod(shape) + numbers)


def factored(shape: Shape) -> int:
    """Hold the step, and of a matrix or more the squares of its rows and of its columns instead of all (Adafactor,
    Shazeer & Stern 2018)."""
    squares = prod(shape[:-1]) + prod((*shape[:-2], shape[-1])) if len(shape) > 1 else prod(shape)
    return FP32_BYTES * (1 + squares)


OPTIMIZERS: Mapping[str, Held] = {
    "SGD": Held(copies(0)),
    MOMENTUM: Held(copies(1)),
    "Adadelta": Held(copies(2, 1), 2, 1),
    "Adafactor": Held(factored, 1, 1),
    "Adagrad": Held(copies(1, 1), 1, 1),
    "Adam": Held(copies(2, 1), 2, 1),
    "AdamW": Held(copies(2, 1), 2, 1),
    "Adamax": Held(copies(2, 1), 1),
    "ASGD": Held(copies(1, 3)),
    "LBFGS": Held(copies(2 * LBFGS_HISTORY + 2)),
    "Muon": Held(copies(1), 3),
    "NAdam": Held(copies(2, 2), 2, 1),
    "RAdam": Held(copies(2, 1), 2),
    "RMSprop": Held(copies(1, 1), 1, 1),
    "Rprop": Held(copies(2, 1), 3),
    "SparseAdam": Held(copies(2)),
}
"""What an optimiser holds by its name. Muon takes matrices only; LBFGS reaches its figure after LBFGS_HISTORY steps,
and has a direction and the last gradient beside the history; SparseAdam takes sparse gradients. What these two hold
while they step is not in it."""

STANDING: Mapping[str, Mapping[str, Any]] = {
    MOMENTUM: {"lr": 0.0, "momentum": 0.9},
    "Rprop": {"step_sizes": (0.0, 0.0)},
}
"""With these options a step does all of its work and leaves the weights where they were."""


def check_optimizer(name: str) -> None:
    """Raise OptionError for an optimiser that torch does not ship."""
    if not isinstance(name, str):
        kind = name if isinstance(name, type) else type(name)
        raise OptionError(f"expected the name of an optimiser, such as 'AdamW'; received a {kind.__name__}")
    if name not in OPTIMIZERS:
        near = next((one for one in OPTIMIZERS if one.lower() == name.lower()), "")
        hint = f"did you mean {near}?" if near else f"expected one of {', '.join(OPTIMIZERS)}"
        raise OptionError(f"torch ships no optimiser {name[:40]!r}; {hint}")


def check_takes(name: str, shapes: Iterable[Shape]) -> None:
    """Raise OptionError where an optimiser does not take parameters of these shapes."""
    if name == "Muon" and any(len(shape) != 2 for shape in shapes):
        raise OptionError(
            "Muon takes matrices alone, and other parameters are trained here: expected another optimiser"
        )


def state_bytes(name: str, shapes: Iterable[Shape]) -> int:
    """Sum what an optimiser holds for parameters of these shapes. Raises OptionError for one that torch does not ship.

    >>> state_bytes("Adafactor", [(64, 32)]), state_bytes("Adam", [(64, 32)])
    (388, 16388)
    """
    check_optimizer(name)
    return sum(OPTIMIZERS[name].state(shape) for shape in shapes)


def passing_bytes(name: str, shapes: Iterable[Shape]) -> int:
    """Return the most that a step holds beside the state, for parameters of these shapes in this order.

    >>> passing_bytes("Adam", [(4, 4), (2, 2), (4, 4)])
    144
    """
    check_optimizer(name)
    sizes = [FP32_BYTES * prod(shape) for shape in shapes]
    _, passing, before = OPTIMIZERS[name]
    return max((passing * own + before * last for last, own in pairwise([0, *sizes])), default=0)


def standing(name: str, parameters: list[nn.Parameter]) -> Optimizer:
    """Make the optimiser at a learning rate of 0. Raises MeasureError where it cannot step a network as others do."""
    import torch

    if name in ("LBFGS", "SparseAdam"):
        why = "runs the network itself" if name == "LBFGS" else "takes sparse gradients"
        raise MeasureError(
            f"{name} {why}: expected another optimiser, or `latency --memory --fits`, which runs nothing"
        )
    with foreign(MeasureError, lambda error: f"{name} cannot train this network: {first_line(error)}"):
        made: Optimizer = getattr(torch.optim, name.partition(" ")[0])(parameters, **STANDING.get(name, {"lr": 0.0}))
        return made
