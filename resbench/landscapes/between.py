"""The line between two trainings of a network: how high does the loss rise on the way from one to the other?

    barrier = max over t of  L((1 - t) w0 + t w1) - ((1 - t) L(w0) + t L(w1))

All parameters go along, biases and BN too (Frankle et al. 2020, sec. 2). Units of a hidden layer may stand in any
order, so two trainings may be far apart and compute the same: a barrier is of these weights, and not of what can be
made of them by exchanging units.
"""

from typing import NamedTuple

from resbench.landscapes.losses import Direction, Losses

STEPS = 11
"""So many points of the line are evaluated, both ends among them."""


class Between(NamedTuple):
    """The losses at equal steps of the line from the training of one seed to that of another."""

    model: str
    seeds: tuple[int, int]
    loss: tuple[float, ...]
    error: tuple[float, ...]

    @property
    def barrier(self) -> float:
        """Return how far the loss lies above the line between both ends at most; NaN where one is not finite."""
        last = len(self.loss) - 1
        over = [value - ((last - i) * self.loss[0] + i * self.loss[-1]) / last for i, value in enumerate(self.loss)]
        return max(over) if all(value == value for value in over) else float("nan")


def between(model: str, seeds: tuple[int, int], losses: Losses, other: Direction) -> Between:
    """Evaluate the line from the centre to other weights."""
    way = [None if end is None else end - own for end, own in zip(other, losses.centre, strict=True)]
    found = [losses.at((i / (STEPS - 1), way)) for i in range(STEPS)]
    losses.move()
    return Between(model, seeds, tuple(one.loss for one in found), tuple(one.error for one in found))
