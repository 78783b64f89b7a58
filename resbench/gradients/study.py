"""Gradient flow of one network: some seeds, each a few steps of training on real images, some of them observed.

The recipe is that of He et al. 2015, section 4.2: SGD with momentum 0.9 and weight decay 1e-4, cross entropy; auxiliary
heads count 0.3 (Szegedy et al. 2014). Every seed draws other weights and another order of the images.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resbench.data import Images
from resbench.errors import MeasureError, OptionError, ResbenchError, first_line
from resbench.gradients.frozen import frozen, jacobians, logits, shattering
from resbench.gradients.observe import boundaries, wide
from resbench.gradients.probe import GradientProbe
from resbench.gradients.statistics import Row
from resbench.measure.workload import check_device
from resbench.models import catalogued, is_catalogued, load

MOMENTUM, WEIGHT_DECAY, AUXILIARY = 0.9, 1e-4, 0.3


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

    def __post_init__(self) -> None:
        if not self.steps or min(self.steps) < 0 or len(set(self.steps)) < len(self.steps):
            raise OptionError(f"--steps takes different whole numbers from 0, such as 0,1,5; received {self.steps}")
        if self.seeds < 1 or self.batch < 2 or not (isfinite(self.lr) and self.lr > 0):
            raise OptionError(
                "expected --seeds of at least 1, --batch of at least 2 and a positive --lr; "
                f"received {self.seeds}, {self.batch} and {self.lr:g}"
            )
        check_device(self.device)


@dataclass(frozen=True)
class Flow:
    """The rows of one network over all seeds and steps."""

    model: str
    input: tuple[int, ...]
    rows: tuple[Row, ...]
    broken: str = ""
    """Where the first number was not finite; the rows end with that step."""
    interrupted: bool = False

    @property
    def steps(self) -> tuple[int, ...]:
        """That were observed."""
        return tuple(sorted({row.step for row in self.rows}))


def flow(
    name: str,
    images: Images,
    recipe: Recipe,
    *,
    input: str | tuple[int, ...] | None = None,
    norm: str = "bn",
    progress: Callable[[str], object] = bool,
) -> Flow:
    """Observe a network of any source; ``norm="none"``: without its BN. Every seed initialises it anew.

    Ctrl-C ends it with the rows so far. Raises MeasureError for what is no classifier of images or has no layers.
    """
    bare = norm == "none"
    if bare and is_catalogued(name):
        with suppress(OptionError):  # where the family has no such option, its BN is taken out below
            name, bare = catalogued(f"{name},norm=none", input).name, False

    def make(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = load(name, input, seed=seed).module
        return without_norm(module) if bare else module

    shape = tuple(size for size in load(name, input, device="meta").input if isinstance(size, int))
    if len(shape) != 3:
        raise MeasureError(f"{name}: expected a network of one image CxHxW, received one exported with other inputs")
    rows: list[Row] = []
    title = f"{name} without BN" if bare else name
    try:
        for seed in range(recipe.seeds):
            for found, broken in _train(title, make(seed), seed, shape, images, recipe, progress):
                rows += found
                if broken:
                    return Flow(title, shape, tuple(rows), broken)
    except KeyboardInterrupt:
        return Flow(title, shape, tuple(rows), interrupted=True)
    return Flow(title, shape, tuple(rows))


def _train(
    name: str,
    model: nn.Module,
    seed: int,
    shape: tuple[int, ...],
    images: Images,
    recipe: Recipe,
    progress: Callable[[str], object],
) -> Iterator[tuple[list[Row], str]]:
    """The rows of each observed step, and what is wrong with them."""
    model = model.to(recipe.device).train()
    if len(boundaries(model)) < 2:
        raise MeasureError(f"{name} has fewer than two boundaries between layers: no gradient flow to speak of")
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise MeasureError(f"{name} has no parameter to train: nothing has a gradient")
    with _one_line(name):
        probe = GradientProbe(model, name=name, seed=seed)
    optimizer = torch.optim.SGD(trained, recipe.lr, MOMENTUM, weight_decay=WEIGHT_DECAY)
    for step in range(max(recipe.steps) + 1):
        progress(f"{name}: seed {seed + 1} of {recipe.seeds}, step {step} of {max(recipe.steps)}")
        x, labels = (t.to(recipe.device) for t in images.batch(recipe.batch, step, seed, shape))
        observed = step in recipe.steps
        probe.calls = step
        optimizer.zero_grad()
        with _one_line(name):
            rows = _checkpoint(name, model, x, seed, step, recipe) if observed else []
            loss = _loss(name, probe(x) if observed else model(x), labels)
            loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if observed:
            probe.read(recipe.lr)
            rows += probe.derived(probe.readings[-1])
            rows.append(Row(name, seed, step, "network", "", 1.0, "loss", float(loss.detach())))
            yield rows, _not_finite(rows)
        elif not torch.isfinite(loss):
            yield [], f"{name}, seed {seed}: the loss is {float(loss.detach()):g} at step {step}"


def _checkpoint(name: str, model: nn.Module, x: Tensor, seed: int, step: int, recipe: Recipe) -> list[Row]:
    still = frozen(model, x)
    line = shattering(still, x[0], x[1], seed)
    rows = [Row(name, seed, step, "network", "", 1.0, key, value) for key, value in line.items()]
    if recipe.deep:
        found = jacobians(still, x, seed)
        for i, (block, values) in enumerate(found.items(), 1):
            rows += [Row(name, seed, step, "block", block, i / len(found), key, value) for key, value in values.items()]
    return rows


def _loss(name: str, output: Any, labels: Tensor) -> Tensor:
    """Cross entropy of the logits; of auxiliary heads, 0.3 times."""
    heads = list(output) if isinstance(output, tuple) and not hasattr(output, "logits") else [logits(output)]
    extra = [
        aux for key in ("aux_logits", "aux_logits1", "aux_logits2") if (aux := getattr(output, key, None)) is not None
    ]
    main, others = heads[0], [*heads[1:], *extra]
    if main.dim() != 2 or main.shape[1] <= int(labels.max()):
        shape = "x".join(map(str, main.shape))
        raise MeasureError(f"{name}: expected logits of at least {int(labels.max()) + 1} classes, received {shape}")
    loss = nn.functional.cross_entropy(wide(main), labels)
    for other in others:
        loss = loss + AUXILIARY * nn.functional.cross_entropy(wide(other), labels)
    return loss


def _not_finite(rows: Sequence[Row]) -> str:
    for row in rows:
        if not isfinite(row.value):
            where = f"{row.name}: {row.statistic}" if row.name else row.statistic
            return f"{row.model}, seed {row.seed}: {where} is {row.value:g} at step {row.step}"
    return ""


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """What a model cannot do, as a MeasureError; what it prints goes to stderr."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except ResbenchError:
        raise
    except (Exception, SystemExit) as error:
        raise MeasureError(f"{name}: {type(error).__name__}: {first_line(error)}") from error


def without_norm(model: nn.Module) -> nn.Module:
    """The same with every BN replaced by the identity."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(parent, name, nn.Identity())
    return model
