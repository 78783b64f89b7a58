"""What is looked at: networks with their weights, and the images that each is shown."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from resbench.data.images import order
from resbench.errors import Failures, MeasureError, OptionError
from resbench.landscapes.losses import CHUNK, CHUNKS, Batches, Loss, cross_entropy
from resbench.landscapes.result import Way
from resbench.networks.load import load
from resbench.networks.name import ModelName
from resbench.progress import Progress
from resbench.training.degradation import DIGITS, Plan, planned
from resbench.training.feed import Feed
from resbench.training.result import Training
from resbench.training.trail import Trail
from resbench.training.train import Options, train


@dataclass(frozen=True)
class Shown:
    """These batches are shown to a network, and judged by this loss; ``key`` tells them from others."""

    batches: Batches
    loss: Loss = cross_entropy
    key: Sequence[Any] | None = None

    @property
    def images(self) -> int:
        return sum(len(targets) for _, targets in self.batches)


@dataclass(frozen=True)
class Subject:
    """A network is as it is looked at: with its weights, and what has become of it where it was trained here."""

    model: str
    seed: int
    input: tuple[int, ...]
    module: nn.Module
    shown: Shown
    training: Training | None = None
    trail: Trail | None = None


@dataclass(frozen=True)
class Subjects:
    """Networks are looked at side by side, all of them over the same classes; ``trained`` says how they were."""

    each: Sequence[Subject]
    classes: int
    trained: str


def subjects(
    names: Sequence[str], plan: Plan, run: Options, way: Way, failures: Failures, progress: Progress
) -> Subjects:
    """Train networks, or take those as they are that have weights of their own or are trained for no epoch.

    Raises KeyboardInterrupt where Ctrl-C came before all were at their end.
    """
    others = to_train(names, plan)
    ready = [name for name in names if name not in others]
    found = _trained(others, plan, run, way, failures, progress) if others else Subjects((), 0, "")
    more: list[Subject] = []
    feeds: dict[tuple[int, ...], tuple[Feed, Shown]] = {}
    for name in ready:
        for seed in range(plan.seeds):
            with failures.of(name):
                loaded = load(name, plan.input or _size(name, plan), seed=seed)
                if loaded.input not in feeds:
                    feed, _ = planned([], replace(plan, input=loaded.input), run, failures)
                    feeds[loaded.input] = feed, _shown(feed, way)
                feed, shown = feeds[loaded.input]
                module = loaded.module.to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
                more.append(Subject(str(loaded.name), seed, loaded.input, module, shown))
                found = replace(found, classes=feed.classes)
    return replace(found, each=[*found.each, *more])


def to_train(names: Sequence[str], plan: Plan) -> list[str]:
    """Return the networks that have no weights of their own, and are trained for an epoch or more."""
    return [name for name in names if plan.epochs != 0 and not ModelName.parse(name, plan.input).weights]


def _trained(
    names: Sequence[str], plan: Plan, run: Options, way: Way, failures: Failures, progress: Progress
) -> Subjects:
    """Train networks, in turn as `degradation` does."""
    feed, cells = planned(names, plan, run, failures)
    epochs = -(-cells[0].recipe.iterations // feed.steps) if cells else 0
    if run.trail and epochs // run.trail < 2:
        raise OptionError(
            f"--directions trajectory is of 3 weights or more: expected --epochs {2 * run.trail} or more, or a smaller "
            f"--every; received {epochs} and {run.trail}"
        )
    shown = _shown(feed, way)
    for cell in {cell.model: cell for cell in cells}.values():
        with failures.of(cell.model):
            check_steps(load(cell.model, cell.input, device="meta").module, way)
    if not (cells := [cell for cell in cells if cell.model not in failures.reasons]):
        return Subjects((), 0, "")
    ended: list[tuple[Training, nn.Module, Trail]] = []
    trainings = train(
        cells, feed, replace(run, compiled=False, ended=lambda *one: ended.append(one)), progress, failures
    )
    if not all(one.finished for one in trainings):
        raise KeyboardInterrupt("interrupted; the same command goes on from here")
    each: list[Subject] = []
    for training, module, trail in ended:
        with failures.of(training.model):
            if training.broken:
                raise MeasureError(f"{training.broken}: there are no weights to look around")
            cell = training.cell
            each.append(Subject(cell.model, cell.seed, cell.input, module, shown, training, trail))
    recipe = cells[0].recipe
    said = f"{recipe.iterations:,} iterations of {recipe.batch} at lr {recipe.lr:g}, {recipe.dtype}"
    return Subjects(each, feed.classes, f"Trained for {said}, as `resbench degradation` trains.")


def check_steps(module: nn.Module, way: Way) -> None:
    """Raise OptionError where Lanczos has more steps than there are weights, if so much is known of them yet."""
    if any(map(nn.parameter.is_lazy, module.parameters())):
        return
    size = sum(p.numel() for p in module.parameters())
    if way.curvature > size:
        raise OptionError(
            f"--curvature takes as many steps as there are weights at most, {size:,}; received {way.curvature:,}"
        )


def _size(name: str, plan: Plan) -> tuple[int, ...] | None:
    """Return the size at which the images are shown to a network that is not trained here: as to one that is."""
    return DIGITS if plan.data == "digits" and not ModelName.parse(name).inputs else None


def _shown(feed: Feed, way: Way) -> Shown:
    """Take the images that are shown, of one order for all. Raises OptionError where there are not so many."""
    count = len(feed.labels)
    if not 1 <= way.images <= count:
        raise OptionError(f"--images takes a number up to {count:,}, all of {feed.name}; received {way.images}")
    chosen = order(count, 0, 0)[: way.images].to(feed.labels.device)
    parts = torch.split(chosen, CHUNKS.get(chosen.device.type, CHUNK) if way.bn == "eval" else way.batch)
    batches = [(feed.normal(feed.images[part]), feed.labels[part]) for part in parts]
    return Shown(batches, key=[feed.name, feed.digest, way.images])
