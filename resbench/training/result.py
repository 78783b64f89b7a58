"""What trainings have given: histories, and where each network ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import fmean, stdev
from typing import Any, NamedTuple

from resbench.arch.published import TEST_ERRORS, Printed
from resbench.gradients.statistics import StatisticRow
from resbench.training.recipe import TrainingRecipe


class Cell(NamedTuple):
    """One training: independent of every other, and named by everything that it depends on."""

    model: str
    input: tuple[int, ...]
    seed: int
    recipe: TrainingRecipe


class Epoch(NamedTuple):
    """One line of the history. Errors are shares; the training error is that of the batches as they were trained on."""

    epoch: int
    """From 1."""
    iteration: int
    """Steps done."""
    lr: float
    loss: float
    train_error: float
    test_error: float
    """Of the single original view, at the end of the epoch."""
    seconds: float


@dataclass(frozen=True)
class Result:
    """What a training has given so far."""

    cell: Cell
    history: tuple[Epoch, ...]
    rows: tuple[StatisticRow, ...] = ()
    broken: str = ""
    finished: bool = True
    earlier: bool = False
    """It was finished before this call."""

    @property
    def last(self) -> Epoch | None:
        """The last epoch: no choosing by the test set."""
        return self.history[-1] if self.history else None


@dataclass(frozen=True)
class Outcome:
    """The results in the order of seeds and models, and what they were trained on."""

    results: tuple[Result, ...]
    data: str
    train_images: int
    test_images: int
    published: Mapping[str, Printed] = field(default_factory=lambda: TEST_ERRORS)
    """What stands beside a network."""

    @property
    def models(self) -> dict[str, list[Result]]:
        """The results of every network, seeds in order."""
        found: dict[str, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.cell.model, []).append(result)
        return found

    @property
    def ends(self) -> list[dict[str, Any]]:
        """Where each network ended: means over the seeds that have come as far, with half of the 95 % interval."""
        return [_end(name, same, self.published.get(name)) for name, same in self.models.items()]

    def curve(self, model: str, key: str) -> list[dict[str, float]]:
        """Mean, lowest and highest of an error over the seeds that have come that far, by epoch."""
        same = self.models[model]
        points = []
        for i in range(max(len(result.history) for result in same)):
            epochs = [result.history[i] for result in same if len(result.history) > i]
            errors = [getattr(epoch, key) for epoch in epochs]
            point = {"epoch": epochs[0].epoch, "iteration": epochs[0].iteration, "error": fmean(errors)}
            points.append({**point, "low": min(errors), "high": max(errors)})
        return points


def _end(name: str, same: Sequence[Result], printed: Printed | None) -> dict[str, Any]:
    reached = max((result.last.iteration for result in same if result.last), default=0)
    ends = [result.last for result in same if result.last and result.last.iteration == reached]
    train, test = (
        mean_and_half([getattr(end, key) for end in ends]) if ends else (None, None)
        for key in ("train_error", "test_error")
    )
    return {
        "model": name,
        "seeds": len(ends),
        "epochs": max((end.epoch for end in ends), default=None),
        "iterations": max((end.iteration for end in ends), default=None),
        "loss": fmean(end.loss for end in ends) if ends else None,
        "train_error": train[0],
        "train_spread": train[1],
        "test_error": test[0],
        "test_spread": test[1],
        "published": printed.percent if printed else None,
        "published_source": printed.source if printed else None,
        "seconds": fmean(end.seconds for end in ends) if ends else None,
    }


def mean_and_half(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and half of its 95 % interval by Student's t; no interval of one value.

    >>> mean, half = mean_and_half([1.0, 2.0, 3.0])
    >>> mean, round(half, 3)
    (2.0, 2.484)
    """
    if len(values) == 1:
        return values[0], None
    from scipy.special import stdtrit

    return fmean(values), float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / sqrt(len(values))
