"""A network is trained from some seeds, each for a few steps on real images, and some of the steps are observed.

The recipe is that of He et al. 2015, section 4.2: SGD with momentum 0.9 and weight decay 1e-4, cross entropy; auxiliary
heads count 0.3 (Szegedy et al. 2014). Every seed draws other weights and another order of the images.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resbench.costs.measure import cost
from resbench.data import Images, load_images
from resbench.errors import Failures, MeasureError, OptionError, ResbenchError, cannot_run, first_line
from resbench.given import public
from resbench.gradients.frozen import frozen, jacobians, logits, shattering
from resbench.gradients.passing import wide
from resbench.gradients.probe import GradientProbe
from resbench.gradients.result import Flow, FlowRecipe, Flows
from resbench.gradients.statistics import StatisticRow
from resbench.gradients.verdicts import Thresholds, verdicts
from resbench.networks.arguments import by_name, check_names
from resbench.networks.inputs import Input
from resbench.networks.load import Model, load, without_norm
from resbench.networks.modules import Lent
from resbench.networks.name import ModelName
from resbench.progress import Progress, Step, silent
from resbench.restoring.unchanged import unchanged
from resbench.units import plural
from resbench.workers.environment import environment
from resbench.workers.workload import check_device, own_threads, repeatable

AUXILIARY = 0.3
"""The loss of an auxiliary head counts so much."""


OBSERVED = 3.0
"""A step that is observed takes the time of so many more: passes of its own, and every statistic."""


@public
def gradflow(
    models: str | Lent | Sequence[str],
    input: Input = None,
    *,
    data: str = "digits",
    root: Path | None = None,
    steps: Sequence[int] = (0, 1, 5),
    seeds: int = 3,
    batch: int = 64,
    lr: float = 0.1,
    norm: str = "bn",
    deep: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    limits: Thresholds | None = None,
    failures: Failures | None = None,
    progress: Progress = silent,
) -> Flows:
    """Observe how the gradient reaches every layer of models in the first steps of training, and judge it.

    ``norm="none"`` takes the BN out, ``deep`` adds the Jacobian of every block. ``threads``: of torch on the CPU, on
    which the last bits depend: by default as many as it chooses, whatever else runs. Ctrl-C gives the rows so far.
    Raises as ``flow`` does.
    """
    check_device(device)
    if norm not in ("bn", "none"):
        raise OptionError(f"norm is bn or none; received {norm!r}")
    threads, limits = own_threads(device, threads), limits or Thresholds()
    recipe = FlowRecipe(tuple(steps), seeds, batch, lr, device, deep, threads=threads)
    images, failures = load_images(data, root), failures or Failures()

    several: list[str | Lent] = [models] if isinstance(models, str | Lent) else [*models]
    works = [_macs(model, input) if len(several) > 1 else 1.0 for model in several]
    finished: list[str | Lent] = []

    def judged(model: str | Lent) -> Flow:
        before, own = sum(works[: several.index(model)]), works[several.index(model)]

        def told(line: str, share: float) -> None:
            rows = [line.keeps] if isinstance(line, Step) and line.keeps else []
            keeps = " and ".join([*([plural(len(finished), "network")] if finished else []), *rows])
            progress(Step(line, keeps), (before + own * share) / sum(works))

        found = flow(model, images, recipe, input=input, norm=norm, progress=told)
        failures.stopped = found.interrupted
        finished.append(model)
        return replace(found, verdicts=tuple(verdicts(found, limits)))

    flows = failures.left(failures.each(several, judged))
    missing: list[str] = []
    if failures.stopped:
        kept = [(model, one) for model, one in zip(finished, flows, strict=True) if one.rows or not one.interrupted]
        if not kept:
            raise KeyboardInterrupt
        gone = [model for model in several if model not in [here for here, _ in kept]]
        missing, flows = failures.without(map(str, gone)), [one for _, one in kept]
    return Flows(tuple(flows), recipe, data, environment(device).on(threads), limits.line, tuple(missing))


def flow(
    model: str | Lent,
    images: Images,
    recipe: FlowRecipe,
    *,
    input: Input = None,
    norm: str = "bn",
    seeds: Sequence[int] = (),
    progress: Progress = silent,
) -> Flow:
    """Observe a network of any source; ``norm="none"``: without its BN. Every seed initialises it anew; ``seeds`` are
    those of the recipe, or these.

    A module starts from its own weights with every seed, and is afterwards what it was. Ctrl-C ends it with the rows so
    far. Raises MeasureError for what is no classifier of images or has no layers.
    """
    check_device(recipe.device)
    given = Model.of(model, input) if isinstance(model, Lent) else None
    name = given.name if given else ModelName.parse(str(model), input)
    if norm == "none":
        name = replace(name, norm=norm) if given else name.without_norm()
    title = str(name)
    rows: list[StatisticRow] = []
    skipped: dict[str, None] = {}
    shape: tuple[int, ...] = ()
    broken, interrupted = "", False
    try:
        with repeatable(recipe.device, recipe.threads):
            for seed in seeds or range(recipe.seeds):
                with _seeded("cpu", seed):
                    loaded = (
                        Model.of(model, input, seed)
                        if isinstance(model, Lent)
                        else load(replace(name, norm="bn"), seed=seed)
                    )
                if recipe.threads:
                    torch.set_num_threads(recipe.threads)  # whatever the factory has chosen for those that follow
                if loaded.architecture:
                    loaded.architecture.totals()  # names the layer that an input does not fit
                shape = loaded.input
                with unchanged(loaded.module):  # of a factory too, which may give the same module again
                    net = without_norm(loaded.module) if name.norm == "none" else loaded.module
                    if loaded.inputs[0].name:
                        check_names(net, [loaded.inputs[0].name])
                        by_name(net, loaded.inputs[0].name)
                    with cannot_run(title):
                        run = _Run(title, net, seed, shape, images, recipe, skipped)
                    rows.extend(run.observed(progress))  # after Ctrl-C, what came before it is in the list
                    broken = run.broken
                if broken:
                    break
    except KeyboardInterrupt:
        interrupted = True
    return Flow(title, shape, tuple(rows), broken, interrupted, tuple(skipped))


class _Run:
    """A run is the training of one seed."""

    def __init__(
        self,
        name: str,
        model: nn.Module,
        seed: int,
        shape: tuple[int, ...],
        images: Images,
        recipe: FlowRecipe,
        skipped: dict[str, None],
    ) -> None:
        self.name, self.seed, self.shape, self.images, self.recipe = name, seed, shape, images, recipe
        self.skipped = skipped
        self.losses: list[Tensor] = []
        self.broken = ""
        self.model = model.to(recipe.device).train()
        self.dtype = next((p.dtype for p in model.parameters()), torch.float32)
        if any(map(nn.parameter.is_lazy, (*model.parameters(), *model.buffers()))):
            with _seeded(recipe.device, seed):
                self.model(self.batch(0)[0])
        self.trained = [p for p in model.parameters() if p.requires_grad]
        if not self.trained:
            raise MeasureError(f"{name} has no parameter to train: nothing has a gradient")
        self.velocity = [torch.zeros_like(p) for p in self.trained]
        self.probe = GradientProbe(model, name=name, seed=seed)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        x, labels = self.images.batch(self.recipe.batch, step, self.seed, self.shape)
        return x.to(self.recipe.device, self.dtype), labels.to(self.recipe.device)

    def observed(self, progress: Progress) -> Iterator[StatisticRow]:
        """Train; give the rows of each observed step, until a number is not finite: ``broken`` says which."""
        last, looked_at = max(self.recipe.steps), len(self.recipe.steps)
        for step in range(last + 1):
            seen = sum(one < step for one in self.recipe.steps)
            words = f"{self.name}: seed {self.seed + 1} of {self.recipe.seeds}, step {step} of {last}"
            observed = self.seed * looked_at + seen
            share = (step + OBSERVED * seen) / (last + 1 + OBSERVED * looked_at)
            progress(
                Step(words, f"{plural(observed, 'step')} of this one" if observed else ""),
                (self.seed + share) / self.recipe.seeds,
            )
            with cannot_run(self.name):
                rows = self.step(step)
            if step in self.recipe.steps:
                losses = torch.stack(self.losses).tolist()
                lost = _not_finite([self.row(i, "loss", loss) for i, loss in enumerate(losses[:-1])])
                self.broken = lost or _not_finite(rows)
                yield from [] if lost else rows
                if self.broken:
                    return

    def step(self, step: int) -> list[StatisticRow]:
        """Train by one batch, and give the rows if it is observed. Nothing else waits for the device."""
        x, labels = self.batch(step)
        observed = step in self.recipe.steps
        checkpoint = self.checkpoint(x, step) if observed else []
        self.probe.steps = step
        self.model.zero_grad()
        with _seeded(self.recipe.device, 1_000_003 * self.seed + step):
            loss = loss_of(self.name, self.probe(x) if observed else self.model(x), labels, self.images.classes)
            loss.backward()  # type: ignore[no-untyped-call]
        self.descend()
        self.losses.append(loss.detach())
        if not observed:
            return []
        self.probe.read(self.recipe.lr)
        if not self.probe.readings:
            raise MeasureError(f"{self.name} replaces its own weights as it runs: none that is trained has a gradient")
        flow = self.probe.take()
        if sum(row.statistic == "gradient" for row in flow) < 2:
            raise MeasureError(
                f"{self.name} has fewer than two boundaries between layers: no gradient flow to speak of; "
                "resbench.GradientProbe(model, watch=[...]) takes others, in a training loop of your own"
            )
        return [*flow, *checkpoint, self.row(step, "loss", float(loss.detach()))]

    @torch.no_grad()
    def descend(self) -> None:
        """Step as ``torch.optim.SGD(lr, momentum, weight_decay=...)`` by its formula: importing it takes a second."""
        for p, v in zip(self.trained, self.velocity, strict=True):
            if p.grad is not None:
                v.mul_(self.recipe.momentum).add_(p.grad.add(p, alpha=self.recipe.weight_decay))
                p.add_(v, alpha=-self.recipe.lr)

    def row(self, step: int, statistic: str, value: float) -> StatisticRow:
        return StatisticRow(self.name, self.seed, step, "network", "", 1.0, statistic, value)

    def checkpoint(self, x: Tensor, step: int) -> list[StatisticRow]:
        """Give the rows that need passes of their own; a network that cannot make them goes without."""
        rows: list[StatisticRow] = []
        what = "c1 and effective rank"
        try:
            with _seeded(self.recipe.device, self.seed):
                still = frozen(self.model, x)
            line = shattering(still, x[0], x[1], self.seed)
            rows += [self.row(step, key, value) for key, value in line.items()]
            what = "Jacobians"
            found = jacobians(still, x, self.seed) if self.recipe.deep else {}
            for i, (block, values) in enumerate(found.items(), 1):
                place = (self.name, self.seed, step, "block", block, i / len(found))
                rows += [StatisticRow(*place, key, value) for key, value in values.items()]
        except Exception as error:
            self.skipped[f"{self.name}: {what} left out ({type(error).__name__}: {first_line(error)})"] = None
        return rows


def _macs(model: str | Lent, input: Input) -> float:
    """Count the MACs of one image; a network that cannot be counted has 1."""
    try:
        return float(max(cost(model, input).macs, 1))
    except ResbenchError:
        return 1.0


@contextmanager
def _seeded(device: str, seed: int) -> Iterator[None]:
    """Draw the random numbers of this seed (dropout); the program's own go on as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[torch.device(device)] if device.startswith("cuda") else []):
        torch.manual_seed(seed)
        yield


def loss_of(name: str, output: Any, labels: Tensor, classes: int) -> Tensor:
    """Return the cross entropy of the logits, and 0.3 times that of auxiliary heads."""
    main, *others = logits(output)
    if main.dim() != 2:
        raise MeasureError(
            f"{name}: expected logits of at least {classes} classes, a row for each image, received "
            f"{'x'.join(map(str, main.shape))}; put resbench.GradientProbe into a training loop of your own"
        )
    if main.shape[1] < classes:
        raise MeasureError(
            f"{name}: expected logits of at least {classes} classes, received {'x'.join(map(str, main.shape))}; "
            f"give its head so many, such as num_classes={classes} (num_labels={classes} of hf:) behind its name"
        )
    auxiliary = (AUXILIARY * nn.functional.cross_entropy(wide(other), labels) for other in others)
    return sum(auxiliary, nn.functional.cross_entropy(wide(main), labels))


def _not_finite(rows: Sequence[StatisticRow]) -> str:
    """Name the first number that is not finite: on the way forward, the loss, and on the way back."""
    forward = [row for row in rows if row.statistic in ("deviation", "strength", "loss")]
    for row in (*forward, *reversed(rows)):
        if not isfinite(row.value):
            where = f"{row.name}: {row.statistic}" if row.name else row.statistic
            return f"{row.model}, seed {row.seed}: {where} is {row.value:g} at step {row.step}"
    return ""
