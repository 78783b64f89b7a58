"""Does a deeper network end with a higher training error than a shallow one of its family? (He et al. 2015, figure 1)

That is degradation: what is higher is the error in training, so it is a failure of optimisation and not overfitting.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resbench.arch.published import TEST_ERRORS
from resbench.arch.rows import Cost
from resbench.costs.measure import cost
from resbench.data import load_split
from resbench.errors import Failures, OptionError
from resbench.files import RUNS
from resbench.given import public
from resbench.networks.inputs import Input, parse_input
from resbench.networks.load import load, result_name
from resbench.networks.name import ModelName, names_of
from resbench.progress import Progress, silent
from resbench.training.feed import Feed
from resbench.training.result import Cell, Degradation, Training, TrainingRecipe
from resbench.training.train import Options, options, precision, train
from resbench.workers.environment import environment
from resbench.workers.medians import mean_and_half
from resbench.workers.workload import own_threads

MODELS = ("plain20", "plain56", "resnet20", "resnet56")

DIGITS = (3, 16, 16)
"""The digits are brought to this size: a quarter of the work of CIFAR-10, and three stages of 16, 8 and 4."""

DIGITS_CLASSES = 10

EPOCHS = 20
"""Networks train on digits for so many where nothing else is asked for."""

ITERATIONS = 64_000
"""The paper trains for so many (He et al. 2015, sec. 4.2)."""
WARMUP = 400
"""Networks of a hundred layers and more have it in the paper's recipe."""
WARMUP_EPOCHS = 3
"""Every network has these of 20 on digits: 220 iterations are too few to lose the first at too high a rate."""

MOST_EPOCHS = 1_000_000

MARGIN = 0.01
"""The error has to be higher by so much: a percentage point."""


@dataclass(frozen=True)
class Plan:
    """A plan is what is asked for; what is None is what the data ask for."""

    data: str = "digits"
    root: Path | None = None
    seeds: int = 1
    epochs: float | None = None
    batch: int = 128
    lr: float = 0.1
    dtype: str = "fp32"
    input: tuple[int, ...] | None = None
    warmup: int | None = None


@public
def degradation(
    models: str | Sequence[str] = MODELS,
    input: Input = None,
    *,
    data: str = "digits",
    root: Path | None = None,
    epochs: float | None = None,
    seeds: int = 1,
    batch: int = 128,
    lr: float = 0.1,
    warmup: int | None = None,
    dtype: str | None = None,
    folder: Path | None = None,
    compile: bool = False,
    probe: int = 0,
    trail: int = 0,
    device: str = "cpu",
    threads: int | None = None,
    watch: Callable[[Training], object] | None = None,
    failures: Failures | None = None,
    progress: Progress = silent,
) -> Degradation:
    """Train networks side by side, and say whether the deeper ones of a family train worse.

    ``folder`` keeps what is trained: the same call goes on from there, and after Ctrl-C, which gives what is done.
    ``probe``: gradient statistics of every so manyth step. ``trail``: ``folder`` keeps the weights of every so manyth
    epoch, for a landscape along the training. ``threads``: of torch on the CPU, on which the last bits
    depend: by default as many as it chooses, whatever else runs. ``watch`` is told what a training has given at the
    end of each of its epochs. Raises as ``train`` does.
    """
    run = replace(options(device, compile, probe, folder, watch, threads), trail=trail)
    plan = Plan(
        data,
        root,
        seeds,
        epochs,
        batch,
        lr,
        dtype or precision(run.device),
        input=None if input is None else parse_input(input),
        warmup=warmup,
    )
    found = study(names_of(models), plan, run, progress, failures)
    if failures:
        failures.left([*found.trainings])
    remarks = [f"{gap}." for gap in gaps(found.trainings, data)]
    if not remarks and data != "digits" and max(one.cell.recipe.iterations for one in found.trainings) < ITERATIONS:
        remarks.append(f"The paper trains for {ITERATIONS:,} iterations; in fewer, a deep network may only be behind.")
    return replace(found, remarks=tuple(remarks))


def on_digits(models: Sequence[str], device: str, failures: Failures, progress: Progress) -> Degradation:
    """Ask the default question of networks, under the names that were asked for.

    Ctrl-C gives the trainings that are finished, and ``failures`` knows of it; raises KeyboardInterrupt where none is.
    """
    found = degradation(models, device=device, folder=RUNS, failures=failures, progress=progress)
    if found.interrupted:
        failures.stopped = True
        found = replace(found, trainings=tuple(one for one in found.trainings if one.finished))
        if not found.trainings:
            raise KeyboardInterrupt("interrupted; the same command goes on from here")
    asked = {result_name(name, classes=DIGITS_CLASSES): name for name in failures.without(models)}
    trainings = [replace(one, cell=one.cell._replace(model=asked[one.model])) for one in found.trainings]
    return replace(found, trainings=tuple(trainings), remarks=tuple(f"{gap}." for gap in gaps(trainings)))


def study(
    models: Sequence[str],
    plan: Plan,
    run: Options,
    progress: Progress = silent,
    failures: Failures | None = None,
) -> Degradation:
    """Train every network with every seed, or go on where an earlier call has left off. Raises as ``train`` does;
    with ``failures``, of several networks one that fails is said there and left out."""
    if failures is None or run.ranks.world > 1:  # several processes go on together or not at all
        failures = Failures()
    feed, cells = planned(models, plan, run, failures)
    names = dict.fromkeys(cell.model for cell in cells)
    return Degradation(
        tuple(train(cells, feed, run, progress, failures)),
        plan.data,
        len(feed.labels),
        len(feed.test_labels),
        environment(run.device).on(own_threads(run.device, run.threads)),
        {name: TEST_ERRORS[name] for name in names if name in TEST_ERRORS},
    )


def planned(models: Sequence[str], plan: Plan, run: Options, failures: Failures) -> tuple[Feed, list[Cell]]:
    """Return the data of a plan, and a cell for each seed and network. Raises as ``train`` does."""
    size = _said_input(models, plan, failures) or (DIGITS if plan.data == "digits" else _own_input(models, failures))
    train_part, test_part = (part.resized(size) for part in load_split(plan.data, plan.root, size))
    augment = plan.data.startswith("cifar")
    feed = Feed(train_part, test_part, plan.batch, augment, run.device)
    if plan.batch % run.ranks.world:
        raise OptionError(f"expected a --batch that {run.ranks.world} processes can share, received {plan.batch}")
    names = dict.fromkeys(failures.each(failures.without(models), lambda name: result_name(name, classes=feed.classes)))
    recipes = {name: recipe_of(plan, name, feed.steps, augment) for name in names}
    return feed, [Cell(name, size, seed, recipes[name]) for seed in range(plan.seeds) for name in names]


def recipe_of(plan: Plan, name: str, steps: int, augment: bool) -> TrainingRecipe:
    """Return the recipe of a network for the data of a plan, which have so many steps an epoch. Raises OptionError."""
    if plan.epochs is not None and not 0 < plan.epochs <= MOST_EPOCHS:
        raise OptionError(
            f"--epochs takes a number above 0, up to {MOST_EPOCHS:,}, such as 20 or 0.5; received {plan.epochs}"
        )
    default = EPOCHS * steps if plan.data == "digits" else ITERATIONS
    iterations = default if plan.epochs is None else round(plan.epochs * steps)
    if plan.warmup is not None:
        warmup = plan.warmup
    elif plan.data == "digits":
        warmup = WARMUP_EPOCHS * iterations // EPOCHS
    else:
        warmup = WARMUP if ModelName.stored(name).catalogued and layers(cost(name)) >= 100 else 0
    return TrainingRecipe(iterations, plan.batch, plan.lr, warmup=warmup, augment=augment, dtype=plan.dtype)


def _said_input(models: Sequence[str], plan: Plan, failures: Failures) -> tuple[int, ...] | None:
    """Return the one size of images that the plan or a name says (``resnet18,input=3x64x64``), if any does.

    Raises OptionError where two are said: all networks see the same images.
    """
    said = {plan.input: "--input"} if plan.input else {}
    for name in models:
        with failures.of(name):
            for one in ModelName.stored(name).inputs:
                said.setdefault(one.shape, name)
    if len(said) > 1:
        listed = " and ".join(f"{'x'.join(map(str, size))} of {name}" for size, name in said.items())
        raise OptionError(f"expected one size of images for all networks, received {listed}; keep one of them")
    return next(iter(said), None)


def _own_input(models: Sequence[str], failures: Failures) -> tuple[int, ...]:
    """Return the input of the first network that says one. Raises AllFailed or OptionError where none does."""
    for name in models:
        with failures.of(name):
            return load(name).input
    failures.left([])
    raise OptionError(f"expected networks to train, received {', '.join(models) or 'none'}")


def layers(counted: Cost) -> int:
    """Return the depth as papers give it: convolutions and linear layers, projections left out."""
    return sum(row.kind in ("convolution", "linear") and "downsample" not in row.name for row in counted.layers)


# -- the gap between deep and shallow -----------------------------------------------------------------


@dataclass(frozen=True)
class Gap:
    """A gap is deep minus shallow at the last iteration, as shares: mean over the seeds, half of its 95 % interval."""

    family: str
    shallow: str
    deep: str
    train: float
    train_half: float | None
    """One seed has none."""
    test: float
    test_half: float | None
    broken: str = ""
    seeds: int = 1
    few: str = ""
    """So few iterations were trained, in words; empty where they were as many as the data ask for."""

    @property
    def degrades(self) -> bool:
        """Tell if the training error of the deep one is higher by more than a point, and not by chance of the seed."""
        return bool(self.broken) or self.train - (self.train_half or 0) > 0 < self.train - MARGIN

    @property
    def verdict(self) -> str:
        """Say degradation, overfitting (only the test error is higher) or no degradation."""
        if self.degrades:
            return "degradation"
        overfits = self.test - (self.test_half or 0) > 0 < self.test - MARGIN
        return "no degradation, but overfitting" if overfits else "no degradation"

    def __str__(self) -> str:
        if self.broken:
            return f"{self.family}: degradation: {self.broken}{self.limits}"
        train, test = (
            f"{100 * gap:+.1f}" + ("" if half is None else f" +- {100 * half:.1f}")
            for gap, half in ((self.train, self.train_half), (self.test, self.test_half))
        )
        line = f"{self.family}: {self.verdict}: {self.deep} - {self.shallow}, training error {train}, test error {test}"
        why = "; an optimisation failure, not overfitting, for the training error is higher too"
        return f"{line} points{why if self.degrades else ''}{self.limits}"

    @property
    def limits(self) -> str:
        """Say what the verdict rests on where that is little: one seed, or few iterations."""
        one = "of one seed, so nothing is known of others" if self.seeds == 1 else ""
        few = f"after {self.few}, in which a deep network may only be behind" if self.few else ""
        return "".join(f"; {words}" for words in (one, few) if words)


def gaps(results: Sequence[Training], data: str = "digits") -> list[Gap]:
    """Hold the deepest against the shallowest of every family of which two depths were trained on these data."""
    families: dict[str, dict[int, str]] = {}
    for name in dict.fromkeys(result.cell.model for result in results):
        stem, depth = ModelName.stored(name).stem_and_depth
        if depth:
            families.setdefault(stem, {})[depth] = name
    found = [_gap(stem, names, results, data) for stem, names in families.items() if len(names) > 1]
    return [gap for gap in found if gap]


def _gap(stem: str, names: dict[int, str], results: Sequence[Training], data: str) -> Gap | None:
    shallow, deep = names[min(names)], names[max(names)]
    found = {(result.cell.model, result.cell.seed): result for result in results if result.finished}
    pairs = [
        (result, found[shallow, seed])
        for (name, seed), result in found.items()
        if name == deep and (shallow, seed) in found
    ]
    broken = next((a.broken for a, b in pairs if a.broken and not b.broken), "")
    if broken:
        return Gap(stem, shallow, deep, 0, None, 0, None, broken, len(pairs))
    ends = [(a.last, b.last) for a, b in pairs if a.last and b.last and not (a.broken or b.broken)]
    if not ends:
        return None
    train = mean_and_half([a.train_error - b.train_error for a, b in ends])
    test = mean_and_half([a.test_error - b.test_error for a, b in ends])
    last = min((end for both in ends for end in both), key=lambda end: end.iteration)
    if data == "digits":
        few = f"{last.epoch} of {EPOCHS} epochs" if last.epoch < EPOCHS else ""
    else:
        few = f"{last.iteration:,} of the paper's {ITERATIONS:,} iterations" if last.iteration < ITERATIONS else ""
    return Gap(stem, shallow, deep, *train, *test, seeds=len(ends), few=few)
