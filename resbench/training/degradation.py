"""Does a deeper network end with a higher training error than a shallow one of its family? (He et al. 2015, figure 1)

That is degradation: what is higher is the error in training, so it is a failure of optimisation and not overfitting.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resbench.arch.catalog import find, options
from resbench.arch.cost import Cost
from resbench.data import load_split
from resbench.errors import Failures, OptionError
from resbench.networks.load import catalogued, is_catalogued, load
from resbench.training.feed import Feed
from resbench.training.recipe import TrainingRecipe
from resbench.training.result import Cell, Outcome, Result, mean_and_half
from resbench.training.train import Options, Progress, train

MODELS = ("plain20", "plain56", "resnet20", "resnet56")

DIGITS = (3, 16, 16)
"""To which the digits are brought: a quarter of the work of CIFAR-10, and three stages of 16, 8 and 4."""

DIGITS_CLASSES = 10

ITERATIONS = 64_000
"""He et al. 2015, sec. 4.2."""
WARMUP = 400
"""Of networks of a hundred layers and more in the paper's recipe."""
WARMUP_EPOCHS = 3
"""On digits, of 20, for every network: 220 iterations are too few to lose the first ones at too high a rate."""

MOST_EPOCHS = 1_000_000

MARGIN = 0.01
"""By how much the error has to be higher: a percentage point."""


@dataclass(frozen=True)
class Plan:
    """What is asked for; what is None is what the data ask for."""

    data: str = "digits"
    root: Path | None = None
    seeds: int = 1
    epochs: float | None = None
    batch: int = 128
    lr: float = 0.1
    dtype: str = "fp32"
    input: tuple[int, ...] | None = None
    warmup: int | None = None


def study(
    models: Sequence[str],
    plan: Plan,
    run: Options,
    progress: Progress = lambda line, share: None,
    failures: Failures | None = None,
) -> Outcome:
    """Train every network with every seed, or go on where an earlier call has left off. Raises as ``train`` does;
    with ``failures``, of several networks one that fails is said there and left out."""
    if failures is None or run.ranks.world > 1:  # several processes go on together or not at all
        failures = Failures()
    size = plan.input or (DIGITS if plan.data == "digits" else _own_input(models, failures))
    if size is None:
        return Outcome((), plan.data, 0, 0)
    train_part, test_part = (part.resized(size) for part in load_split(plan.data, plan.root, size))
    augment = plan.data.startswith("cifar")
    feed = Feed(train_part, test_part, plan.batch, augment, run.device)
    if plan.batch % run.ranks.world:
        raise OptionError(f"expected a --batch that {run.ranks.world} processes can share, received {plan.batch}")
    names = list(dict.fromkeys(failures.each(failures.without(models), lambda name: with_classes(name, feed.classes))))
    cells = [
        Cell(name, size, seed, _recipe(plan, name, feed.steps, augment)) for seed in range(plan.seeds) for name in names
    ]
    results = train(cells, feed, run, progress, failures)
    return Outcome(tuple(results), plan.data, len(feed.labels), len(feed.test_labels))


def _recipe(plan: Plan, name: str, steps: int, augment: bool) -> TrainingRecipe:
    if plan.epochs is not None and not plan.epochs <= MOST_EPOCHS:
        raise OptionError(f"--epochs takes a number up to {MOST_EPOCHS:,}, such as 20 or 0.5; received {plan.epochs}")
    default = 20 * steps if plan.data == "digits" else ITERATIONS
    iterations = default if plan.epochs is None else round(plan.epochs * steps)
    if plan.warmup is not None:
        warmup = plan.warmup
    elif plan.data == "digits":
        warmup = WARMUP_EPOCHS * iterations // 20
    else:
        warmup = WARMUP if is_catalogued(name) and layers(catalogued(name).cost()) >= 100 else 0
    return TrainingRecipe(iterations, plan.batch, plan.lr, warmup=warmup, augment=augment, dtype=plan.dtype)


def _own_input(models: Sequence[str], failures: Failures) -> tuple[int, ...] | None:
    """Of the first network that says one; None where none does."""
    for name in models:
        with failures.of(name):
            if is_catalogued(name):
                return catalogued(name).input
            return tuple(int(side) for side in load(name).input)
    return None


def with_classes(name: str, classes: int) -> str:
    """A catalog name for so many classes, unless it says how many itself.

    >>> with_classes("resnet20", 10), with_classes("resnet20", 100), with_classes("resnet20,classes=7", 100)
    ('resnet20', 'resnet20,classes=100', 'resnet20,classes=7')
    """
    if not is_catalogued(name):
        return name
    asked = name if "classes=" in name else f"{name},classes={classes}"
    has = any(option.name == "classes" for option in options(find(name.partition(",")[0])))
    return catalogued(asked if has else name).name


def layers(counted: Cost) -> int:
    """The depth as papers give it: convolutions and linear layers, projections left out."""
    kinds = ("Conv2d", "Linear")
    return sum(row.type in kinds and "downsample" not in row.name for row in counted.layers)


# -- the gap between deep and shallow -----------------------------------------------------------------


@dataclass(frozen=True)
class Gap:
    """Deep minus shallow at the last iteration, as shares: mean over the seeds and half of its 95 % interval."""

    family: str
    shallow: str
    deep: str
    train: float
    train_half: float | None
    """None for one seed."""
    test: float
    test_half: float | None
    broken: str = ""

    @property
    def degrades(self) -> bool:
        """Is the training error of the deep one higher by more than a point, and not by chance of the seed?"""
        return bool(self.broken) or self.train - (self.train_half or 0) > 0 < self.train - MARGIN

    @property
    def verdict(self) -> str:
        """degradation, overfitting (only the test error is higher) or no degradation."""
        if self.degrades:
            return "degradation"
        over = self.test - (self.test_half or 0) > 0 < self.test - MARGIN
        return "no degradation, but overfitting" if over else "no degradation"

    def __str__(self) -> str:
        if self.broken:
            return f"{self.family}: degradation: {self.broken}"
        train, test = (
            f"{100 * gap:+.1f}" + ("" if half is None else f" +- {100 * half:.1f}")
            for gap, half in ((self.train, self.train_half), (self.test, self.test_half))
        )
        line = f"{self.family}: {self.verdict}: {self.deep} - {self.shallow}, training error {train}, test error {test}"
        why = "; an optimisation failure, not overfitting, for the training error is higher too"
        return f"{line} points{why if self.degrades else ''}"


def gaps(results: Sequence[Result]) -> list[Gap]:
    """Deepest against shallowest of every family of which two depths were trained."""
    families: dict[str, dict[int, str]] = {}
    for name in dict.fromkeys(result.cell.model for result in results):
        stem, depth = family(name)
        if depth:
            families.setdefault(stem, {})[depth] = name
    found = [_gap(stem, names, results) for stem, names in families.items() if len(names) > 1]
    return [gap for gap in found if gap]


def family(name: str) -> tuple[str, int]:
    """A name without its depth, and the depth; 0 where it has none.

    >>> family("plain56"), family("resnet110,shortcut=B"), family("torchvision:vgg16")
    (('plain', 56), ('resnet,shortcut=B', 110), ('torchvision:vgg16', 0))
    """
    match = re.fullmatch(r"([a-z_]+?)(\d+)((?:,.*)?)", name)
    return (f"{match[1]}{match[3]}", int(match[2])) if match else (name, 0)


def _gap(stem: str, names: dict[int, str], results: Sequence[Result]) -> Gap | None:
    shallow, deep = names[min(names)], names[max(names)]
    found = {(result.cell.model, result.cell.seed): result for result in results if result.finished}
    seeds = [seed for name, seed in found if name == deep and (shallow, seed) in found]
    pairs = [(found[deep, seed], found[shallow, seed]) for seed in seeds]
    broken = next((a.broken for a, b in pairs if a.broken and not b.broken), "")
    if broken:
        return Gap(stem, shallow, deep, 0, None, 0, None, broken)
    ends = [(a.last, b.last) for a, b in pairs if not a.broken and not b.broken]
    whole = [(a, b) for a, b in ends if a and b]
    if not whole:
        return None
    train = mean_and_half([a.train_error - b.train_error for a, b in whole])
    test = mean_and_half([a.test_error - b.test_error for a, b in whole])
    return Gap(stem, shallow, deep, *train, *test)
