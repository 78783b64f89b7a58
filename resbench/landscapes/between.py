"""The line between two trainings of a network: how high does the loss rise on the way from one to the other?

    barrier = max over t of  L((1 - t) w0 + t w1) - ((1 - t) L(w0) + t L(w1))

All parameters go along, biases and BN too (Frankle et al. 2020, sec. 2). Units of a hidden layer may stand in any
order, so two trainings may be far apart and compute the same: the line is evaluated once more to weights of the second
whose units are in the order of the first's (Entezari et al. 2022; Ainsworth et al. 2023).
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from resbench.errors import OptionError
from resbench.landscapes.losses import Direction, Losses, Value
from resbench.landscapes.matching import matched
from resbench.landscapes.units import groups

STEPS = 11
"""So many points of the line are evaluated, both ends among them."""


class Between(NamedTuple):
    """The losses at equal steps of the line from the training of one seed to that of another."""

    model: str
    seeds: tuple[int, int]
    loss: tuple[float, ...]
    error: tuple[float, ...]
    matched: tuple[float, ...] = ()
    """These are the losses of the line to weights whose units are in the order of the first training's."""
    unmatched: str = ""
    """There are none of these for this reason."""

    @property
    def barrier(self) -> float:
        """Return how far the loss lies above the line between both ends at most; NaN where one is not finite."""
        return barrier(self.loss)

    @property
    def matched_barrier(self) -> float | None:
        """Return the same with units in one order; None where they could not be brought into one."""
        return barrier(self.matched) if self.matched else None


def barrier(loss: Sequence[float]) -> float:
    """Return how far losses at equal steps lie above the line between both ends at most."""
    last = len(loss) - 1
    over = [value - ((last - i) * loss[0] + i * loss[-1]) / last for i, value in enumerate(loss)]
    return max(over) if all(value == value for value in over) else float("nan")


def between(model: str, seeds: tuple[int, int], losses: Losses, other: nn.Module) -> Between:
    """Evaluate the line from the centre to the weights of another network of the same kind, as they are and matched."""
    found = _line(losses, [p.detach() for p in other.parameters()])
    as_is = Between(model, seeds, tuple(one.loss for one in found), tuple(one.error for one in found))
    try:
        units = groups(losses.module)
    except OptionError as error:
        return as_is._replace(unmatched=str(error))
    names = [name for name, _ in losses.module.named_parameters()]
    theirs = matched(losses.module.state_dict(), other.state_dict(), units, names)
    return as_is._replace(matched=tuple(one.loss for one in _line(losses, [theirs[name] for name in names])))


def _line(losses: Losses, end: Direction) -> list[Value]:
    """Evaluate equal steps from the centre to an end."""
    way = [None if there is None else there - own for there, own in zip(end, losses.centre, strict=True)]
    found = [losses.at((i / (STEPS - 1), way)) for i in range(STEPS)]
    losses.move()
    return found
