"""Each optimiser that torch ships holds a state for every parameter, with its own defaults. Numbers are bytes.

Source: ``torch.optim``, the first step of each class; the tests hold the table against a real one.
"""

from collections.abc import Callable, Iterable, Mapping
from math import prod

from resbench.arch.algebra import Shape
from resbench.errors import OptionError
from resbench.units import FP32_BYTES

LBFGS_HISTORY = 100
"""LBFGS keeps so many pairs of a direction and a change of gradient, by torch's default."""


def copies(count: int, numbers: int = 0) -> Callable[[Shape], int]:
    """Hold so many tensors like the parameter, and numbers of 4 bytes beside them (the step among them)."""
    return lambda shape: FP32_BYTES * (count * prod(shape) + numbers)


def factored(shape: Shape) -> int:
    """Hold the step, and of a matrix or more the squares of its rows and of its columns instead of all (Adafactor,
    Shazeer & Stern 2018)."""
    squares = prod(shape[:-1]) + prod((*shape[:-2], shape[-1])) if len(shape) > 1 else prod(shape)
    return FP32_BYTES * (1 + squares)


STATES: Mapping[str, Callable[[Shape], int]] = {
    "SGD": copies(0),
    "SGD with momentum": copies(1),
    "Adadelta": copies(2, 1),
    "Adafactor": factored,
    "Adagrad": copies(1, 1),
    "Adam": copies(2, 1),
    "AdamW": copies(2, 1),
    "Adamax": copies(2, 1),
    "ASGD": copies(1, 3),
    "LBFGS": copies(2 * LBFGS_HISTORY + 2),
    "Muon": copies(1),
    "NAdam": copies(2, 2),
    "RAdam": copies(2, 1),
    "RMSprop": copies(1, 1),
    "Rprop": copies(2, 1),
    "SparseAdam": copies(2),
}
"""What an optimiser holds for a float32 parameter of a shape. Muon takes matrices only; LBFGS reaches its figure after
LBFGS_HISTORY steps, and has a direction and the last gradient beside the history; SparseAdam takes sparse gradients."""


def state_bytes(optimizer: str, shapes: Iterable[Shape]) -> int:
    """Sum what an optimiser holds for parameters of these shapes. Raises OptionError for one that torch does not ship.

    >>> state_bytes("Adafactor", [(64, 32)]), state_bytes("Adam", [(64, 32)])
    (388, 16388)
    """
    if optimizer not in STATES:
        raise OptionError(f"expected an optimiser of {', '.join(STATES)}; received {optimizer!r}")
    return sum(STATES[optimizer](shape) for shape in shapes)
