"""Gradient flow of one network: some seeds, each a few steps of training on real images, some of them observed.

The recipe is that of He et al. 2015, section 4.2: SGD with momentum 0.9 and weight decay 1e-4, cross entropy; auxiliary
heads count 0.3 (Szegedy et al. 2014). Every seed draws other weights and another order of the images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.lazy import LazyModuleMixin

from resbench.data import Images, load_images
from resbench.errors import MeasureError, OptionError, cannot_run, first_line
from resbench.gradients.frozen import frozen, jacobians, logits, shattering
from resbench.gradients.passing import wide
from resbench.gradients.probe import GradientProbe
from resbench.gradients.result import Flow
from resbench.gradients.statistics import StatisticRow
from resbench.networks.load import Input, catalogued, full_name, is_catalogued, load, parse_input
from resbench.networks.sources import Loaded
from resbench.restoring.unchanged import unchanged
from resbench.workers.workload import check_device, check_device_name, repeatable

AUXILIARY = 0.3
"""What the loss of an auxiliary head counts."""

BARE = " without BN"
"""Behind the name of a network whose BN was taken out."""


@dataclass(frozen=True)
class Recipe:
    """Everything about a run but the network."""

    steps: tuple[int, ...] = (0, 1, 5)
    """At which observations are made, from 0, the step from the first weights."""
    seeds: int = 3
    batch: int = 64
    lr: float = 0.1
    device: str = "cpu"
    deep: bool = False
    """Also the Jacobians of the blocks."""
    momentum: float = 0.9
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        if not self.steps or min(self.steps) < 0 or len(set(self.steps)) < len(self.steps):
            raise OptionError(f"--steps takes different whole numbers from 0, such as 0,1,5; received {self.steps}")
        if self.seeds < 1 or self.batch < 2 or not (isfinite(self.lr) and self.lr > 0):
            raise OptionError(
                "expected --seeds of at least 1, --batch of at least 2 and a positive --lr; "
                f"received {self.seeds}, {self.batch} and {self.lr:g}"
            )
        check_device_name(self.device)


def gradflow(
    model: str | nn.Module, input: Input = None, *, data: str = "digits", root: Path | None = None, **options: Any
) -> Flow:
    """How the gradient reaches every layer of a model in its first steps, on images as for the command.

    ``options``: ``norm``, and what makes a ``Recipe`` (steps, seeds, batch, lr, device, deep). Raises as ``flow`` does.
    """
    norm = options.pop("norm", "bn")
    size = None if input is None else parse_input(input)
    return flow(model, load_images(data, root), Recipe(**options), input=size, norm=norm)


def flow(
    model: str | nn.Module,
    images: Images,
    recipe: Recipe,
    *,
    input: str | tuple[int, ...] | None = None,
    norm: str = "bn",
    progress: Callable[[str], object] = bool,
) -> Flow:
    """Observe a network of any source; ``norm="none"``: without its BN. Every seed initialises it anew.

    A module starts from its own weights with every seed, and is afterwards what it was. Ctrl-C ends it with the rows so
    far. Raises MeasureError for what is no classifier of images or has no layers.
    """
    check_device(recipe.device)
    bare, given = norm == "none", None
    if isinstance(model, nn.Module):
        if input is None:
            raise OptionError("a module has no input of its own: expected input=(C, H, W), received none")
        given = Loaded(type(model).__name__, model, parse_input(input), "module")
    name = given.name if given else str(model)
    if given is None and bare and is_catalogued(name):
        with suppress(OptionError):  # where the family has no such option, its BN is taken out below
            name, bare = catalogued(f"{name},norm=none", input).name, False

    weights = [option for option in name.split(",") if option.startswith("weights=")]
    title = given.name if given else ",".join([full_name(name, input), *weights])
    title += BARE if bare else ""
    rows: list[StatisticRow] = []
    skipped: dict[str, None] = {}
    shape: tuple[int, ...] = ()
    broken, interrupted = "", False
    try:
        with repeatable(recipe.device):
            for seed in range(recipe.seeds):
                with _seeded("cpu", seed):
                    loaded = given or load(name, input, seed=seed)
                shape = tuple(size for size in loaded.input if isinstance(size, int))
                if len(shape) != 3:
                    raise MeasureError(
                        f"{name}: expected a network of one image CxHxW; it was exported with other inputs"
                    )
                with unchanged(loaded.module):  # of a factory too, which may give the same module again
                    net = without_norm(loaded.module) if bare else loaded.module
                    with cannot_run(title):
                        run = _Run(title, net, seed, shape, images, recipe)
                    for found in run.observed(progress):
                        rows += found
                        skipped |= run.skipped
                    broken = run.broken
                if broken:
                    break
    except KeyboardInterrupt:
        interrupted = True
    return Flow(title, shape, tuple(rows), broken, interrupted, tuple(skipped))


def network(title: str, input: str | tuple[int, ...] | None = None) -> Loaded:
    """The network of a flow by its title, with its first weights."""
    loaded = load(title.removesuffix(BARE), input)
    return replace(loaded, module=without_norm(loaded.module)) if title.endswith(BARE) else loaded


class _Run:
    """The training of one seed."""

    def __init__(
        self, name: str, model: nn.Module, seed: int, shape: tuple[int, ...], images: Images, recipe: Recipe
    ) -> None:
        self.name, self.seed, self.shape, self.images, self.recipe = name, seed, shape, images, recipe
        self.skipped: dict[str, None] = {}
        self.losses: list[Tensor] = []
        self.broken = ""
        self.classes = images.classes
        self.model = model.to(recipe.device).train()
        self.dtype = next((p.dtype for p in model.parameters()), torch.float32)
        if any(isinstance(module, LazyModuleMixin) for module in model.modules()):
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

    def observed(self, progress: Callable[[str], object]) -> Iterator[list[StatisticRow]]:
        """Train; give the rows of each observed step, until a number is not finite: ``broken`` says which."""
        last = max(self.recipe.steps)
        for step in range(last + 1):
            progress(f"{self.name}: seed {self.seed + 1} of {self.recipe.seeds}, step {step} of {last}")
            with cannot_run(self.name):
                rows = self.step(step)
            if step in self.recipe.steps:
                lost = self.lost()
                self.broken = lost or _not_finite(rows)
                yield [] if lost else rows
                if self.broken:
                    return

    def step(self, step: int) -> list[StatisticRow]:
        """Train by one batch; the rows, if it is observed. Nothing else waits for the device."""
        x, labels = self.batch(step)
        observed = step in self.recipe.steps
        checkpoint = self.checkpoint(x, step) if observed else []
        self.probe.steps = step
        self.model.zero_grad()
        with _seeded(self.recipe.device, 1_000_003 * self.seed + step):
            loss = loss_of(self.name, self.probe(x) if observed else self.model(x), labels, self.classes)
            loss.backward()  # type: ignore[no-untyped-call]
        self.descend()
        self.losses.append(loss.detach())
        if not observed:
            return []
        self.probe.read(self.recipe.lr)
        if not any(reading.step == step for reading in self.probe.readings[-1:]):
            raise MeasureError(f"{self.name} replaces its own weights as it runs: none that is trained has a gradient")
        flow = self.probe.derived(self.probe.readings[-1])
        if sum(row.statistic == "gradient" for row in flow) < 2:
            raise MeasureError(
                f"{self.name} has fewer than two boundaries between layers: no gradient flow to speak of"
            )
        return [*flow, *checkpoint, self.row(step, "loss", float(loss.detach()))]

    def lost(self) -> str:
        """The first step before this one whose loss was not finite."""
        for step, loss in enumerate(torch.stack(self.losses[:-1]).tolist() if len(self.losses) > 1 else []):
            if not isfinite(loss):
                return f"{self.name}, seed {self.seed}: loss is {loss:g} at step {step}"
        return ""

    @torch.no_grad()
    def descend(self) -> None:
        """``torch.optim.SGD(lr, momentum, weight_decay=...)`` by its formula: importing the class takes a second."""
        for p, v in zip(self.trained, self.velocity, strict=True):
            if p.grad is not None:
                v.mul_(self.recipe.momentum).add_(p.grad.add(p, alpha=self.recipe.weight_decay))
                p.add_(v, alpha=-self.recipe.lr)

    def row(self, step: int, statistic: str, value: float) -> StatisticRow:
        return StatisticRow(self.name, self.seed, step, "network", "", 1.0, statistic, value)

    def checkpoint(self, x: Tensor, step: int) -> list[StatisticRow]:
        """What needs passes of its own; a network that cannot make them goes without."""
        rows: list[StatisticRow] = []
        try:
            with _seeded(self.recipe.device, self.seed):
                still = frozen(self.model, x)
            line = shattering(still, x[0], x[1], self.seed)
            rows += [self.row(step, key, value) for key, value in line.items()]
        except Exception as error:
            self.skip("c1 and effective rank", error)
            return rows
        try:
            found = jacobians(still, x, self.seed) if self.recipe.deep else {}
        except Exception as error:
            self.skip("Jacobians", error)
            return rows
        for i, (block, values) in enumerate(found.items(), 1):
            place = (self.name, self.seed, step, "block", block, i / len(found))
            rows += [StatisticRow(*place, key, value) for key, value in values.items()]
        return rows

    def skip(self, what: str, error: Exception) -> None:
        self.skipped[f"{self.name}: {what} left out ({type(error).__name__}: {first_line(error)})"] = None


@contextmanager
def _seeded(device: str, seed: int) -> Iterator[None]:
    """The random numbers of this seed (dropout); the program's own go on as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[torch.device(device)] if device.startswith("cuda") else []):
        torch.manual_seed(seed)
        yield


def loss_of(name: str, output: Any, labels: Tensor, classes: int) -> Tensor:
    """Cross entropy of the logits; of auxiliary heads, 0.3 times."""
    main, *others = logits(output)
    if main.dim() != 2 or main.shape[1] < classes:
        shape = "x".join(map(str, main.shape))
        raise MeasureError(f"{name}: expected logits of at least {classes} classes, received {shape}")
    loss = nn.functional.cross_entropy(wide(main), labels)
    for other in others:
        loss = loss + AUXILIARY * nn.functional.cross_entropy(wide(other), labels)
    return loss


def _not_finite(rows: Sequence[StatisticRow]) -> str:
    """The first number that is not finite: on the way forward, the loss, and on the way back."""
    forward = [row for row in rows if row.statistic in ("deviation", "strength", "loss")]
    for row in (*forward, *reversed(rows)):
        if not isfinite(row.value):
            where = f"{row.name}: {row.statistic}" if row.name else row.statistic
            return f"{row.model}, seed {row.seed}: {where} is {row.value:g} at step {row.step}"
    return ""


def without_norm(model: nn.Module) -> nn.Module:
    """The same with every BN replaced by the identity; what a BN holds besides (an activation) stays."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if isinstance(child, _BatchNorm):
                parent._modules[name] = nn.Sequential(*child.children()) if list(child.children()) else nn.Identity()
    return model
