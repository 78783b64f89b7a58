"""Trainings give histories, and the place where each network ended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean
from typing import Any, ClassVar, NamedTuple

from resbench.arch.published import Printed
from resbench.drawing.charts import Picture
from resbench.errors import Failures, OptionError
from resbench.gradients.statistics import StatisticRow
from resbench.progress import Progress
from resbench.result import Figure, Metric, Result, Section, Where
from resbench.tables.table import Table
from resbench.training.table import end_table, epoch_tables, history_table
from resbench.units import plural, shape_text
from resbench.workers.environment import Environment
from resbench.workers.medians import mean_and_half

DTYPES = ("fp32", "bf16")


@dataclass(frozen=True)
class TrainingRecipe:
    """A recipe trains as in He et al. 2015, section 4.2, for any number of steps.

    SGD on the cross entropy divides lr by 10 at one half and at three quarters of the way (32k and 48k of 64k).

    The weight decay is on every parameter, as in the paper. The first ``warmup`` iterations run at lr / 10: the
    paper's ResNet-110 has some 400 of them. ``augment``: pad by 4, crop, flip. bf16 is by autocast. Raises OptionError.
    """

    iterations: int
    batch: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup: int = 0
    augment: bool = False
    dtype: str = "fp32"

    def __post_init__(self) -> None:
        if self.warmup < 0:
            raise OptionError(f"--warmup takes a whole number of iterations from 0; received {self.warmup}")
        if self.iterations < 1:
            raise OptionError(f"expected one iteration or more; received {self.iterations}; give more --epochs")
        if self.batch < 2:
            raise OptionError(f"--batch takes at least 2 images; received {self.batch}")
        if not (isfinite(self.lr) and self.lr > 0):
            raise OptionError(f"--lr takes a number above 0; received {self.lr:g}")
        if self.dtype not in DTYPES:
            raise OptionError(f"--dtype takes {', '.join(DTYPES)}; received {self.dtype!r}")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0.

        >>> recipe = TrainingRecipe(64_000)
        >>> recipe.rate(31_999), recipe.rate(32_000), recipe.rate(63_999)
        (0.1, 0.01, 0.001)
        """
        if step < self.warmup:
            return self.lr / 10
        divided = (2 * step >= self.iterations) + (4 * step >= 3 * self.iterations)
        return self.lr / (1, 10, 100)[divided]


class Cell(NamedTuple):
    """A cell is one training: independent of every other, and named by everything that it depends on."""

    model: str
    input: tuple[int, ...]
    seed: int
    recipe: TrainingRecipe


class Epoch(NamedTuple):
    """An epoch is one line of the history. Errors are shares; the training error is that of the batches in training."""

    epoch: int
    """This counts from 1."""
    iteration: int
    """So many steps are done."""
    lr: float
    loss: float
    train_error: float
    test_error: float
    """This is of the single original view, at the end of the epoch."""
    seconds: float


@dataclass(frozen=True)
class Training:
    """This is what a training has given so far."""

    cell: Cell
    history: tuple[Epoch, ...]
    rows: tuple[StatisticRow, ...] = ()
    broken: str = ""
    finished: bool = True
    earlier: bool = False
    """It was finished before this call."""

    @property
    def model(self) -> str:
        """Return the network's name."""
        return self.cell.model

    @property
    def last(self) -> Epoch | None:
        """Return the last epoch: there is no choosing by the test set."""
        return self.history[-1] if self.history else None


@dataclass(frozen=True, repr=False)
class Trainings(Result):
    """Trainings stand in the order of seeds and networks, beside what they were trained on."""

    trainings: tuple[Training, ...]
    data: str
    train_images: int
    test_images: int
    environment: Environment
    published: Mapping[str, Printed]
    """What was printed of a network stands beside it."""
    remarks: tuple[str, ...] = ()

    metrics: ClassVar = {
        "train_error": Metric("train_error", "train error", "share", -1),
        "error": Metric("test_error", "test error", "share", -1),
    }
    members: ClassVar = "trainings"
    heading: ClassVar = ("training", "Training", "Networks trained side by side.")
    derived: ClassVar = ("ends",)

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        data = document["data"]
        return {
            **document,
            "trainings": [{**run, "cell": run, "broken": run["broken"] or ""} for run in document["runs"]],
            "data": data["name"],
            "train_images": data["train"],
            "test_images": data["test"],
            "published": {
                model["model"]: {"percent": model["published"], "source": model["published_source"]}
                for model in document["models"]
                if model["published"] is not None
            },
            "remarks": document["verdicts"],
        }

    @property
    def interrupted(self) -> bool:
        """Tell whether Ctrl-C ended it before some training was at its end."""
        return not all(one.finished for one in self.trainings)

    @property
    def by_model(self) -> dict[str, list[Training]]:
        """Return the trainings of every network, seeds in order."""
        return {model: [one for one in self.trainings if one.model == model] for model in self.models()}

    @property
    def ends(self) -> list[dict[str, Any]]:
        """Tell where each network ended: means over the seeds that came as far, with half of the 95 % interval."""
        return [_end(name, same, self.published.get(name)) for name, same in self.by_model.items()]

    def curve(self, model: str, key: str) -> list[dict[str, float]]:
        """Return mean, lowest and highest of an error over the seeds that have come that far, by epoch."""
        same = self.by_model[model]
        points = []
        for i in range(max(len(one.history) for one in same)):
            epochs = [one.history[i] for one in same if len(one.history) > i]
            errors = [getattr(epoch, key) for epoch in epochs]
            points.append(
                {
                    "epoch": epochs[0].epoch,
                    "iteration": epochs[0].iteration,
                    "error": fmean(errors),
                    "low": min(errors),
                    "high": max(errors),
                }
            )
        return points

    def tables(self) -> list[Table]:
        return [*epoch_tables(self), end_table(self, self.kind.capitalize())]

    def flat(self) -> Table:
        return history_table(self.trainings)

    def figures(self) -> Iterator[Figure]:
        ended = [end for end in self.ends if end["seeds"]]  # of the others no seed came to the end of an epoch
        for end in ended:
            same = self.by_model[end["model"]]
            cell, sure = same[0].cell, not any(one.broken for one in same)
            recipe = cell.recipe
            steps = f"{end['iterations']:,} iterations of {recipe.batch} at lr {recipe.lr:g}"
            ways = (
                f"{recipe.dtype}, {'augmented' if recipe.augment else 'not augmented'}, {plural(end['seeds'], 'seed')}"
            )
            place = f"{self.data} at {shape_text((1, *cell.input))}, {steps}, {ways}. {self.environment.note}"
            for metric, part in (("train_error", "train"), ("error", "test")):
                yield Figure(end["model"], metric, end[f"{part}_error"], end[f"{part}_spread"], place, sure=sure)

    def cautions(self, models: Sequence[str]) -> list[str]:
        """Name the trainings that a number that is not finite ended: an error of the other seeds alone says little."""
        return [one.broken for one in self.trainings if one.broken and one.model in models]

    def pictures(self) -> list[Picture]:
        from resbench.training.chart import curves

        return [curves(self)]

    def sketch(self, width: int, colour: bool) -> str:
        from resbench.training.chart import picture

        return picture(self, width, colour)

    def verdicts(self) -> Iterator[str]:
        yield from (f"Training on {self.data}: {line}" for line in self.remarks)

    def sections(self) -> list[Section]:
        tables = [end_table(self, f"{self.kind} on {self.data}"), *epoch_tables(self)]
        return [Section(*self.heading, (), tables, self.pictures())]


@dataclass(frozen=True, repr=False)
class Degradation(Trainings):
    """Networks of several depths are trained side by side."""

    kind: ClassVar = "degradation"

    @classmethod
    def measured(cls, models: Sequence[str], where: Where, failures: Failures, progress: Progress) -> Result:
        from resbench.training.degradation import on_digits

        return on_digits(models, where.device, failures, progress)


@dataclass(frozen=True, repr=False)
class Placements(Trainings):
    """The variants of He et al. 2016 stand at one depth, the lowest test error first."""

    depth: int = 0

    kind: ClassVar = "placements"
    left_out: ClassVar = "the depth"

    def tables(self) -> list[Table]:
        title = f"Placements at {self.depth} layers" if self.depth else "Placements"
        return [*epoch_tables(self), end_table(self, title, ranked=True)]


def _end(name: str, same: Sequence[Training], printed: Printed | None) -> dict[str, Any]:
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
