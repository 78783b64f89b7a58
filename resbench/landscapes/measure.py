"""Networks are trained as `degradation` trains them; then their loss is looked at over a plane through their weights.

    names --trained--> modules --directions--> planes --grid, coarse to fine--> points --spline--> surfaces

Points are kept in a folder as they are found: whatever ends a call, the same one goes on, and a finer grid begins with
the points of a coarser one.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from resbench.data.images import order as shuffled
from resbench.errors import Failures, MeasureError, OptionError, cannot_run
from resbench.given import public
from resbench.landscapes import grid
from resbench.landscapes.curvature import Curvature, curvature, top_two
from resbench.landscapes.directions import BIASES, KINDS, RANDOM, random
from resbench.landscapes.grid import Place, Plane, coordinates, height, left_out, off, spline, strides
from resbench.landscapes.kept import Kept, kept
from resbench.landscapes.losses import BN, CHUNK, Batches, Direction, Loss, Losses, Value, cross_entropy
from resbench.landscapes.result import Landscapes, Surface, Way
from resbench.landscapes.trajectory import Trajectory, trajectory
from resbench.networks.inputs import Input, parse_input
from resbench.networks.load import load
from resbench.networks.name import ModelName, names_of
from resbench.progress import Progress, Step, silent
from resbench.restoring.unchanged import unchanged
from resbench.training.checkpoint import fingerprint
from resbench.training.degradation import Plan, planned
from resbench.training.feed import Feed
from resbench.training.result import Training
from resbench.training.trail import Trail
from resbench.training.train import Options, options, precision, train
from resbench.units import plural
from resbench.workers.environment import environment
from resbench.workers.workload import own_threads, repeatable

MODELS = ("plain56", "resnet56")

SHOWN = 256
"""So many images are shown where nothing else is asked for."""

EIGENVALUES = 5
PROBES = 10

TRAINING = 0.5
"""The trainings take this share of the progress."""


@public
def landscape(
    models: str | nn.Module | Sequence[str] = MODELS,
    input: Input = None,
    *,
    batches: Batches = (),
    loss: Loss = cross_entropy,
    span: float = 1.0,
    points: int = 25,
    directions: str = "filter",
    biases: str = "zero",
    bn: str = "recompute",
    tolerance: float | None = None,
    curvature: int = 0,
    images: int = SHOWN,
    data: str = "digits",
    root: Path | None = None,
    epochs: float | None = None,
    seeds: int = 1,
    every: int = 1,
    batch: int = 128,
    lr: float = 0.1,
    dtype: str | None = None,
    folder: Path | None = None,
    compile: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    failures: Failures | None = None,
    progress: Progress = silent,
) -> Landscapes:
    """Look at the loss of networks over a plane through their weights (Li et al. 2018), each as often as it has seeds.

    Names are trained as ``degradation`` trains them (``epochs=0``, or ``weights=FILE`` in the name: as they are), and
    shown the first ``images`` of the training part in one order for all. A module is looked at as it is, over
    ``batches`` of inputs and targets, by a ``loss`` that gives their mean, and is afterwards what it was.

    ``directions="trajectory"`` needs the weights of ``every`` so manyth epoch, which a training then keeps.
    ``points`` of a side from -span to span, an odd number, so that the weights are one of them. ``directions``: filter,
    layer, none or top; ``biases``: zero or own; ``bn``: recompute, eval or train, whose statistics are of ``batch``
    images. ``tolerance``: points are evaluated until a spline of the logarithm of the loss is within this share of its
    range where it is judged. ``curvature``: so many steps of Lanczos at the weights. ``folder`` keeps trainings and
    points: the same call goes on from there, and Ctrl-C gives what there is.
    Raises OptionError, and what ``degradation`` raises.
    """
    run = options(device, compile, 0, folder, None, threads)
    way = _way(span, points, directions, biases, bn, batch, tolerance, data, images)
    failures = failures or Failures()
    found: list[Surface] = []
    if isinstance(models, nn.Module):
        shown = _Shown([*batches], loss, None, f"{len(batches)} batches of your own", sum(len(t) for _, t in batches))
        way = way._replace(data=shown.title, images=shown.images, classes=0)
        given: list[_Given] = [_Given(type(models).__name__, 0, (), models, shown)]
        said = ""
    else:
        plan = Plan(
            data,
            root,
            seeds,
            epochs,
            batch,
            lr,
            dtype or precision(run.device),
            None if input is None else parse_input(input),
        )
        given, said, classes = _trained(names_of(models), plan, run, way, every, failures, progress)
        way = way._replace(classes=classes)
    trained_share = TRAINING if said else 0.0
    with repeatable(run.device, run.threads):
        for number, one in enumerate(given):

            def told(line: Step, share: float, number: int = number) -> None:
                progress(line, trained_share + (1 - trained_share) * (number + share) / len(given))

            with failures.of(one.model):
                surface = _surface(one, way, run, curvature, told)
                found += [surface] if surface else []
                if surface is None or surface.interrupted:
                    failures.stopped = True
                    break
    if failures.stopped and not found:
        raise KeyboardInterrupt("interrupted; the same command goes on from here" if folder else "")
    failures.left(found)
    return Landscapes(tuple(found), way, environment(run.device).on(own_threads(run.device, run.threads)), said)


def _way(
    span: float,
    points: int,
    directions: str,
    biases: str,
    bn: str,
    batch: int,
    tolerance: float | None,
    data: str,
    images: int,
) -> Way:
    """Check how planes are looked at. Raises OptionError."""
    for name, value, known in (("directions", directions, KINDS), ("biases", biases, BIASES), ("bn", bn, BN)):
        if value not in known:
            raise OptionError(f"--{name} takes {', '.join(known)}; received {value!r}")
    if not (isinstance(span, int | float) and isfinite(span) and span > 0):
        raise OptionError(f"--span takes a number above 0, such as 1; received {span!r}")
    if type(points) is not int or points < 3 or points % 2 == 0:
        raise OptionError(
            f"--points takes an odd number from 3, so that the weights themselves are one of them; received {points!r}"
        )
    if tolerance is not None and not 0 < tolerance < 1:
        raise OptionError(f"--tolerance takes a share such as 1% or 0.01; received {tolerance!r}")
    return Way(float(span), points, directions, biases, bn, batch, tolerance, data, images, 0)


@dataclass(frozen=True)
class _Shown:
    """These images are shown to a network, and judged by this loss; ``key`` tells them from others."""

    batches: Batches
    loss: Loss
    key: Sequence[Any] | None
    title: str
    images: int


@dataclass(frozen=True)
class _Given:
    """A network is as it is looked at."""

    model: str
    seed: int
    input: tuple[int, ...]
    module: nn.Module
    shown: _Shown
    training: Training | None = None
    trail: Trail | None = None


def _trained(
    names: Sequence[str], plan: Plan, run: Options, way: Way, every: int, failures: Failures, progress: Progress
) -> tuple[list[_Given], str, int]:
    """Train the networks, or take those that are as they are, and say how they were trained, and for how many classes.

    Raises KeyboardInterrupt where Ctrl-C came before all were at their end.
    """
    ready = [name for name in names if plan.epochs == 0 or ModelName.parse(name, plan.input).weights]
    given: list[_Given] = []
    said, classes = "", 0
    if others := [name for name in names if name not in ready]:
        feed, cells = planned(others, plan, run, failures)
        ended: list[tuple[Training, nn.Module, Trail]] = []
        trail = every if way.directions == "trajectory" else 0
        own = replace(run, compiled=False, trail=trail, ended=lambda *one: ended.append(one))
        trainings = train(cells, feed, own, lambda line, share: progress(line, TRAINING * share), failures)
        if not all(one.finished for one in trainings):
            raise KeyboardInterrupt("interrupted; the same command goes on from here")
        for training, module, trail_ in ended:
            with failures.of(training.model):
                if training.broken:
                    raise MeasureError(f"{training.broken}: there are no weights to look around")
                cell = training.cell
                shown = _shown(feed, way)
                given.append(_Given(cell.model, cell.seed, cell.input, module, shown, training, trail_))
        recipe = cells[0].recipe
        said = (
            f"Trained for {recipe.iterations:,} iterations of {recipe.batch} at lr {recipe.lr:g}, {recipe.dtype}, as "
            "`resbench degradation` trains."
        )
        classes = feed.classes
    for name in ready:
        for seed in range(plan.seeds):
            with failures.of(name):
                loaded = load(name, plan.input, seed=seed)
                feed, _ = planned([], replace(plan, input=loaded.input), run, failures)
                module = loaded.module.to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
                given.append(_Given(str(loaded.name), seed, loaded.input, module, _shown(feed, way)))
                classes = feed.classes
    return given, said, classes


def _shown(feed: Feed, way: Way) -> _Shown:
    """Take the images that are shown, of one order for all. Raises OptionError where there are not so many."""
    count = len(feed.labels)
    if not 1 <= way.images <= count:
        raise OptionError(f"--images takes a number up to {count:,}, all of {feed.name}; received {way.images}")
    chosen = shuffled(count, 0, 0)[: way.images].to(feed.labels.device)
    size = CHUNK if way.bn == "eval" else way.batch
    parts = torch.split(chosen, size)
    batches = [(feed.normal(feed.images[part]), feed.labels[part]) for part in parts]
    return _Shown(batches, cross_entropy, [feed.name, feed.digest, way.images], feed.name, way.images)


def _surface(one: _Given, way: Way, run: Options, steps: int, told: Callable[[Step, float], None]) -> Surface | None:
    """Look at a network; None where Ctrl-C came before there was anything to see."""
    begun = time.monotonic()
    label = f"{one.model}, seed {one.seed}"

    def named(step: Step, share: float) -> None:
        told(Step(f"{label}: {step}", step.keeps), share)

    with unchanged(one.module), cannot_run(one.model):
        weights = fingerprint(one.module)
        losses = Losses(one.module, one.shown.batches, one.shown.loss, way.bn, run.compiled)  # type: ignore[arg-type]
        named(Step("directions"), 0.0)
        along = _along(one, losses) if way.directions == "trajectory" else None
        pair = along.directions if along else _pair(losses, way, steps, one.seed)
        key = {
            "schema": 1,
            "weights": weights,
            "model": one.model,
            "directions": [way.directions, way.biases, one.seed, *_more(one, way, steps)],
            "bn": [way.bn, losses.sizes[0]],
            "shown": one.shown.key,
            "machine": [torch.device(run.device).type, run.threads, run.compiled],
            "torch": str(torch.__version__),
        }
        folder = run.folder / "planes" if run.folder and one.shown.key else None
        with kept(folder, label, key) as points:
            plane = _Plane(losses, pair, way, points, named)
            try:
                plane.fill(one.seed)
                curved = _curved(losses, steps, one.seed, named)
            except KeyboardInterrupt:
                curved = None
                plane.interrupted = True
        losses.move()
    if not plane.stride:
        return None
    loss, error, exact = plane.whole()
    last = one.training.last if one.training else None
    return Surface(
        model=one.model,
        seed=one.seed,
        input=one.input,
        loss=_rows(loss),
        error=_rows(error),
        exact=tuple(tuple(map(bool, row)) for row in exact),
        seconds=time.monotonic() - begun,
        earlier=plane.earlier,
        off=tuple(plane.off),
        test_error=last.test_error if last else None,
        curvature=curved,
        interrupted=plane.interrupted,
        path=along.path if along else (),
        explained=along.explained if along else None,
    )


def _more(one: _Given, way: Way, steps: int) -> list[int]:
    """Return what else the directions depend on."""
    return {"top": [steps or TOP_STEPS], "trajectory": [one.trail.every if one.trail else 0]}.get(way.directions, [])


def _along(one: _Given, losses: Losses) -> Trajectory:
    """Return the plane in which the training moved most. Raises OptionError where it was not trained here."""
    if one.training is None or one.trail is None:
        raise OptionError(
            f"{one.model}: --directions trajectory is of a training: expected a network that is trained here"
        )
    return trajectory(one.trail.weights(len(one.training.history)), losses.centre)


def _pair(losses: Losses, way: Way, steps: int, seed: int) -> Sequence[Direction]:
    """Return the two directions of a plane."""
    if way.directions in RANDOM:
        return [random(losses.module, way.directions, way.biases, seed, i) for i in range(2)]  # type: ignore[arg-type]
    return top_two(losses, steps or TOP_STEPS, seed)


TOP_STEPS = 20
"""The top directions are of so many steps of Lanczos, where no curvature is asked for."""


def _curved(losses: Losses, steps: int, seed: int, told: Callable[[Step, float], None]) -> Curvature | None:
    if not steps:
        return None
    whole = steps + PROBES
    return curvature(
        losses,
        steps,
        EIGENVALUES,
        PROBES,
        seed,
        lambda done: told(Step(f"product {done} of {whole} of the Hessian"), 0.9 + 0.1 * done / whole),
    )


class _Plane:
    """A plane is filled from coarse to fine."""

    def __init__(
        self, losses: Losses, pair: Sequence[Direction], way: Way, points: Kept, told: Callable[[Step, float], None]
    ) -> None:
        self.losses, self.pair, self.way, self.kept, self.told = losses, pair, way, points, told
        self.axis = coordinates(way.span, way.points)
        self.known: dict[Place, Value] = {}
        self.off: list[float] = []
        self.stride, self.earlier, self.interrupted = 0, 0, False

    def fill(self, seed: int) -> None:
        """Evaluate points, until there are enough of them."""
        for stride in strides(self.way.points):
            self._evaluate([*grid.every(self.way.points, stride)])
            self.stride = stride
            if stride > 1 and self.way.tolerance is not None and (self.way.points - 1) // stride >= 4:
                judged = left_out(self.way.points, stride, seed)
                self._evaluate(judged)
                heights = {place: float(height(value.loss)) for place, value in self.known.items()}
                if all(map(isfinite, heights.values())):
                    self.off = off(spline(heights, self.way.points, stride), heights, judged)
                    if max(self.off) <= self.way.tolerance:
                        return
        self.off = []

    def _evaluate(self, places: Sequence[Place]) -> None:
        whole = self.way.points**2
        for i, j in places:
            if (i, j) in self.known:
                continue
            shares = self.axis[i], self.axis[j]
            if shares in self.kept.values:
                self.earlier += 1
                self.known[i, j] = self.kept.values[shares]
                continue
            done = len(self.known)
            self.told(Step(f"point {done + 1:,} of {whole:,}", plural(done, "point")), 0.9 * done / whole)
            value = self.losses.at((shares[0], self.pair[0]), (shares[1], self.pair[1]))
            self.kept.add(shares, value)
            self.known[i, j] = value

    def whole(self) -> tuple[Plane, Plane, Plane]:
        """Return losses and errors at all points, and which of them were evaluated."""
        n = self.way.points
        exact = np.zeros((n, n), bool)
        loss, error = np.full((n, n), np.nan), np.full((n, n), np.nan)
        if self.stride > 1:
            heights = {place: float(height(value.loss)) for place, value in self.known.items()}
            loss = 10 ** spline(heights, n, self.stride)
            error = spline({place: value.error for place, value in self.known.items()}, n, self.stride).clip(0, 1)
        for (i, j), value in self.known.items():
            exact[j, i], loss[j, i], error[j, i] = True, value.loss, value.error
        return loss, error, exact


def _rows(plane: Plane) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(float, row)) for row in plane)
