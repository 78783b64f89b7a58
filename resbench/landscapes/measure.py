"""Networks are trained as `degradation` trains them; then their loss is looked at over a plane through their weights.

    names --trained--> modules --directions--> planes --grid, coarse to fine--> points --spline--> surfaces

Points are kept in a folder as they are found: whatever ends a call, the same one goes on, and a finer grid begins with
the points of a coarser one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from math import isfinite
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from resbench.errors import Failures, OptionError
from resbench.given import public
from resbench.landscapes.between import Between
from resbench.landscapes.between import between as line_between
from resbench.landscapes.directions import BIASES, KINDS
from resbench.landscapes.losses import BN, Batches, Loss, Losses, cross_entropy
from resbench.landscapes.result import Landscapes, Surface, Way
from resbench.landscapes.subjects import Shown, Subject, Subjects, subjects, to_train
from resbench.landscapes.surface import surface
from resbench.networks.inputs import Input, parse_input
from resbench.networks.name import names_of
from resbench.progress import Progress, Step, silent
from resbench.restoring.unchanged import unchanged
from resbench.training.degradation import Plan
from resbench.training.train import Options, options, precision
from resbench.units import shape_text
from resbench.workers.environment import environment
from resbench.workers.workload import own_threads, repeatable

MODELS = ("plain56", "resnet56")

SHOWN = 256
"""So many images are shown where nothing else is asked for."""

LANCZOS = 20
"""Top directions, and eigenvalues over the plane, are of so many steps of Lanczos where no curvature is asked for."""

MOST_POINTS = 1001

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
    convexity: int = 0,
    between: bool = False,
    images: int = SHOWN,
    data: str = "digits",
    root: Path | None = None,
    epochs: float | None = None,
    seeds: int = 1,
    every: int = 1,
    batch: int = 128,
    lr: float = Plan.lr,
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
    range where it is judged. ``between``: also the line from the training of each seed to that of the next, as they are
    and with their units in one order.
    ``curvature``: so many steps of Lanczos at the weights, from each probe. ``convexity``: the least and the largest
    eigenvalue at so many points of a side, an odd number, by as many steps (else 20). ``folder`` keeps trainings and
    points: the same call goes on from there, and Ctrl-C gives what there is.
    Raises OptionError, and what ``degradation`` raises.
    """
    way = _way(span, points, directions, biases, bn, batch, tolerance, data, images)
    run = replace(
        options(device, compile, 0, folder, None, threads), trail=every if way.directions == "trajectory" else 0
    )
    failures = failures or Failures()
    if every != 1 and way.directions != "trajectory":
        raise OptionError(
            f"--every is of --directions trajectory: expected both, received --every {every} with {way.directions}"
        )
    if type(curvature) is not int or curvature < 0:
        raise OptionError(f"--curvature takes a whole number of steps from 0; received {curvature!r}")
    if convexity:
        _odd("--convexity", convexity)
    way = way._replace(curvature=curvature, convexity=convexity, lanczos=curvature or LANCZOS)
    if isinstance(models, nn.Module):
        if seeds != 1 or epochs is not None:
            raise OptionError("a module is looked at as it is: expected neither seeds nor epochs")
        shown = Shown(_pairs(batches), loss)
        given = Subjects([Subject(type(models).__name__, 0, (), models, shown)], 0, "")
        largest = max((len(targets) for _, targets in shown.batches), default=0)
        way = way._replace(data="batches of your own", images=shown.images, batch=largest)
    elif batches:
        raise OptionError("batches are shown to a module; a name is shown data: expected one or the other")
    else:
        size = None if input is None else parse_input(input)
        plan = Plan(data, root, seeds, epochs, batch, lr, dtype or precision(run.device), size)
        if not to_train(names_of(models), plan):
            for word, asked in (("--lr", lr != Plan.lr), ("--dtype", dtype), ("--epochs", epochs)):
                if asked:
                    raise OptionError(f"{word} is of trainings: expected a network that is trained here, received none")
        given = subjects(
            names_of(models), plan, run, way, failures, lambda line, share: progress(line, TRAINING * share)
        )
        sizes = {shape_text(one.input) for one in given.each}
        way = way._replace(classes=given.classes, size=sizes.pop() if len(sizes) == 1 else "")
    if not any(isinstance(module, _BatchNorm) for one in given.each for module in one.module.modules()):
        way = way._replace(bn="none")
    begun = TRAINING if given.trained else 0.0
    found: list[Surface] = []
    with repeatable(run.device, run.threads):
        for number, one in enumerate(given.each):

            def told(line: Step, share: float, number: int = number) -> None:
                progress(line, begun + (1 - begun) * (number + share) / len(given.each))

            with failures.of(one.model):
                seen = surface(one, way, run, told)
                found += [seen] if seen else []
                if seen is None or seen.interrupted:
                    failures.stopped = True
                    break
    if failures.stopped and not found:
        raise KeyboardInterrupt("interrupted; the same command goes on from here" if folder else "")
    failures.left(found)
    lines = [] if failures.stopped or not between else [*_lines(given.each, way, run, progress)]
    where = environment(run.device).on(own_threads(run.device, run.threads))
    return Landscapes(tuple(found), way, where, given.trained, tuple(lines))


def _pairs(batches: Batches) -> Batches:
    """Take batches, once. Raises OptionError for what are no pairs."""
    found = [*batches]
    if not all(isinstance(one, tuple | list) and len(one) == 2 and isinstance(one[1], torch.Tensor) for one in found):
        raise OptionError("expected batches as pairs of inputs and a tensor of targets")
    return [(x, targets) for x, targets in found]


def _lines(each: Sequence[Subject], way: Way, run: Options, progress: Progress) -> Iterator[Between]:
    """Evaluate the lines from the training of each seed to that of the next."""
    pairs = [(a, b) for a, b in combinations(each, 2) if a.model == b.model and b.seed == a.seed + 1]
    for number, (one, other) in enumerate(pairs):
        progress(Step(f"{one.model}: from seed {one.seed} to {other.seed}"), 1 - 0.01 * (1 - number / len(pairs)))
        with repeatable(run.device, run.threads), unchanged(one.module):
            losses = Losses(one.module, one.shown.batches, one.shown.loss, way.bn, run.compiled, one.model)
            yield line_between(one.model, (one.seed, other.seed), losses, other.module)


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
    _odd("--points", points)
    if tolerance is not None and not 0 < tolerance < 1:
        raise OptionError(f"--tolerance takes a share such as 1% or 0.01; received {tolerance!r}")
    return Way(float(span), points, directions, biases, bn, min(batch, images), tolerance, data, images, 0)


def _odd(name: str, points: int) -> None:
    """Raise OptionError for a number of points of a side, of which the weights themselves would not be one."""
    if type(points) is not int or not 3 <= points <= MOST_POINTS or points % 2 == 0:
        raise OptionError(
            f"{name} takes an odd number from 3 to {MOST_POINTS}, so that the weights themselves are one of them; "
            f"received {points!r}"
        )
