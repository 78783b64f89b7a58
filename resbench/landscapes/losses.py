"""The loss of a network over images is asked again and again, at one place after another, and its weights are the only
thing that moves.

    centre + a d1 + b d2 --written into the parameters--> batches --forward--> loss, error

What batch normalisation divides by decides what is seen (Li et al. 2018 do not say which they took):

eval        the running statistics of the centre, everywhere
train       those of the batch at hand
recompute   at every place new running statistics, means over the batches, and then a pass that divides by them
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from resbench.errors import MeasureError, OptionError, cannot_run
from resbench.gradients.frozen import logits
from resbench.units import plural

BN = ("recompute", "eval", "train")

CHUNKS = {"cpu": 32}
"""Without statistics of a batch, so many images go through at once: on the CPU faster than more of them."""

CHUNK = 1000
"""Elsewhere they are so many."""

Batches = Sequence[tuple[Any, Tensor]]
"""Inputs and targets stand in pairs."""

Loss = Callable[[Any, Tensor], Tensor]
"""It gives the mean loss of a batch from outputs and targets."""

Direction = Sequence[Tensor | None]
"""A direction has a tensor for each parameter; None where it does not move."""


class Value(NamedTuple):
    """The mean ``loss`` over all images, and the share of them that is named wrongly; NaN where nothing is named."""

    loss: float
    error: float


class Losses:
    """The loss of a module over batches, each weighted by its images, wherever the module's weights are.

    The module is changed: its parameters, its statistics, its mode. Whoever lends it holds it in ``unchanged``.
    """

    def __init__(
        self,
        module: nn.Module,
        batches: Batches,
        loss: Loss,
        bn: str = "recompute",
        compiled: bool = False,
        name: str = "",
    ) -> None:
        self.name = name or type(module).__name__
        self.batches = [(x, targets) for x, targets in batches if len(targets)]
        if not self.batches:
            raise OptionError("expected batches of images and targets, received none")
        self.module, self.loss, self.bn = module, loss, bn
        self.params = [*module.parameters()]
        if not self.params:
            raise OptionError(f"{self.name} has no parameters: expected weights that can move")
        self.centre = [p.detach().clone() for p in self.params]
        self.norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
        self.sizes = [len(targets) for _, targets in self.batches]
        self.forward: Callable[[Any], Any] = torch.compile(module) if compiled else module
        module.eval()
        if bn == "recompute":
            for norm in self.norms:
                norm.momentum = None  # a mean over the batches, each counted once
        self._normalise_by_batch(bn == "train")
        if loss is cross_entropy:
            self._check_classes()

    @torch.inference_mode()
    def _check_classes(self) -> None:
        """Raise MeasureError where the network has fewer outputs than there are classes, or a single one."""
        with self.running():
            scores = logits(self.module(self.batches[0][0]))[0]
        classes = max(2 if y.is_floating_point() else int(y.max()) + 1 for _, y in self.batches)
        if scores.dim() > 1 and scores.shape[1] < classes:
            raise MeasureError(
                f"{self.name} has {plural(scores.shape[1], 'output')} where targets are of {classes} classes or more: "
                "expected as many, such as classes=10 behind its name, or a loss of your own"
            )

    def running(self) -> AbstractContextManager[None]:
        """Return what the module, the loss and torch run in: what they cannot do becomes a MeasureError."""
        return cannot_run(self.name)

    @torch.no_grad()
    def move(self, *terms: tuple[float, Direction]) -> None:
        """Put the weights at the centre plus so much of each direction."""
        for i, (p, centre) in enumerate(zip(self.params, self.centre, strict=True)):
            p.copy_(centre)
            for share, direction in terms:
                if (own := direction[i]) is not None:
                    p.add_(own, alpha=share)

    @torch.inference_mode()
    def value(self) -> Value:
        """Return loss and error where the weights are."""
        if self.bn == "recompute" and self.norms:
            self._renew()
        losses, wrong = [], []
        for x, targets in self.batches:
            with self.running():
                outputs = self.forward(x)
                losses.append(self.loss(outputs, targets).double())
            wrong.append(_wrong(outputs, targets))
        pairs = zip(torch.stack(losses).tolist(), torch.stack(wrong).tolist(), self.sizes, strict=True)
        shares = [(loss * size, count) for loss, count, size in pairs]
        total = sum(self.sizes)
        return Value(sum(loss for loss, _ in shares) / total, sum(count for _, count in shares) / total)

    def at(self, *terms: tuple[float, Direction]) -> Value:
        """Return loss and error at the centre plus so much of each direction."""
        self.move(*terms)
        return self.value()

    def _renew(self) -> None:
        """Take new running statistics where the weights are."""
        self._normalise_by_batch(True)
        for norm in self.norms:
            norm.reset_running_stats()
        for x, _ in self.batches:
            with self.running():
                self.module(x)  # as it is written: the mean over batches cannot be compiled
        self._normalise_by_batch(False)

    def _normalise_by_batch(self, on: bool) -> None:
        for norm in self.norms:
            norm.training = on

    @contextmanager
    def differentiable(self, *terms: tuple[float, Direction]) -> Iterator[None]:
        """Have the weights at the centre plus so much of each direction, with statistics that belong to them, and every
        operator differentiable."""
        self.move(*terms)
        with torch.inference_mode():
            if self.bn == "recompute" and self.norms:
                self._renew()
        flags = [p.requires_grad for p in self.params]
        for p in self.params:
            p.requires_grad_(True)
        try:
            yield
        finally:
            for p, flag in zip(self.params, flags, strict=True):
                p.requires_grad_(flag)


def _wrong(outputs: Any, targets: Tensor) -> Tensor:
    """Count what is named wrongly; NaN where outputs or targets are no classes."""
    scores = logits(outputs)[0] if not isinstance(outputs, Tensor) else outputs
    if scores.dim() != 2 or targets.is_floating_point() or targets.dim() != 1:
        return torch.full((), float("nan"), dtype=torch.float64, device=targets.device)
    named = scores.argmax(1) == targets
    return (~named | ~scores.isfinite().all(1)).sum().double()


def cross_entropy(outputs: Any, targets: Tensor) -> Tensor:
    """Return the mean cross entropy of a classifier's outputs, without those of auxiliary heads."""
    return nn.functional.cross_entropy(logits(outputs)[0], targets)
