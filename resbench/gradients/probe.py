"""A probe takes statistics of every K-th step of a training loop, and is idle in between.

    probe = GradientProbe(model, every=8)
    for images, labels in batches:
        loss = criterion(probe(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        probe.read(optimizer)
    probe.write(SummaryWriter("runs"))

The loop's own forward and backward pass are the observed ones: the training goes on as it would without, bit for bit.
Nothing waits for the device until ``rows``, ``take`` or ``write`` is asked for.

All is in the unit of one loss, that whose gradient the optimiser applies: unscaled, and over accumulated passes their
sum. A forward pass that no gradient comes back to, or whose gradient is set to zero again, is no part of it.
"""

from collections.abc import Collection, Iterable
from math import inf, nan
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from resbench.errors import MeasureError, OptionError, did_you_mean
from resbench.gradients.observe import Found, Observation, observe
from resbench.gradients.passing import norm
from resbench.gradients.reading import AppliedPass, StepReading, reading_of, statistics_of, together, unscaled
from resbench.gradients.statistics import StatisticRow
from resbench.gradients.steps import Rate, Steps, at_present
from resbench.gradients.trunk import WEIGHTED, inside, named, submodule


class GradientProbe:
    """A gradient probe observes every K-th step of a training loop, in which a compiled model runs as written.

    ``watch``: the modules, or their names, whose outputs are the boundaries, in place of those that are found.
    """

    def __init__(
        self,
        model: nn.Module,
        every: int = 1,
        name: str = "",
        seed: int = 0,
        watch: str | nn.Module | Collection[str | nn.Module] | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise OptionError(
                f"expected a torch module, received {type(model).__name__}; resbench.build(NAME) makes one"
            )
        if not isinstance(name, str):
            raise OptionError(f"expected name to be text, received {name!r}")
        if not isinstance(every, int) or every < 1:
            raise OptionError(f"expected every of at least 1, received {every!r}")
        self.model, self.every = model, every
        self.name, self.seed = name or type(inside(model)).__name__, seed
        self.steps = 0
        self.readings: list[StepReading] = []
        self._watch = None if watch is None else _names(model, watch)
        self._forwards: list[Observation] = []
        self._backwards: list[AppliedPass] = []
        """A gradient came back to these forward passes; the tensor tells where that of earlier ones had been zeroed."""
        self._steps: Steps | None = None
        self._start = {
            id(weight): norm(weight)
            for weight in _weights(model).values()
            if not isinstance(weight, nn.UninitializedParameter)
        }
        self._written = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call ``model(*args, **kwargs)``, and observe it if this step is to be observed."""
        if self.steps % self.every or not torch.is_grad_enabled():
            return self.model(*args, **kwargs)
        weights = _weights(self.model)  # before the forward pass: in it, those of a sharded layer are others
        output, forward = observe(self.model, args, kwargs, self._watch, self._backward)
        forward.layers = [(name, depth, weights.get(name, weight)) for name, depth, weight in forward.layers]
        self._forwards = [*filter(Observation.may_come, self._forwards), forward]
        self._steps = self._steps or Steps()
        self._steps.start([weight for _, _, weight in forward.layers], again=not self._backwards)
        return output

    def _backward(self, forward: Observation) -> None:
        """Note that a gradient came back to a forward pass, and whether that of earlier passes is still there."""
        zeroed: Tensor | None = None
        if self._backwards and self._backwards[-1][0].task != forward.task and self._steps is not None:
            gradients = [weight.grad for weight in self._steps.weights.values() if weight.grad is not None]
            if gradients:
                zeroed = torch.stack([norm(gradient).float() for gradient in gradients]).amax() == 0
            else:
                self._backwards.clear()
        self._backwards.append((forward, zeroed))

    @torch.no_grad()
    def read(
        self,
        optimizer: torch.optim.Optimizer | float | Tensor | None = None,
        *,
        lr: float | Tensor | None = None,
        scale: float | Tensor | None = None,
    ) -> None:
        """Keep the numbers of this step, if it was observed; this is called after the optimiser's step.

        The rates are those of the optimiser's groups, or ``lr`` for all. Without either, they are those of the
        optimisers whose step was seen. ``scale`` is the factor of the loss, where no ``GradScaler`` multiplied it.
        Raises OptionError, and MeasureError where no gradient came or nothing can be observed.
        """
        if isinstance(optimizer, (float, Real, Tensor)):
            optimizer, lr = None, optimizer
        if not (optimizer is None or hasattr(optimizer, "param_groups")):
            raise OptionError(
                f"expected an optimiser with param_groups, received {type(optimizer).__name__}; "
                "give lr=RATE, or neither"
            )
        if scale is not None and not 0 < _number(scale) < inf:
            raise OptionError(f"expected a scale above 0, received {scale!r}")
        if lr is not None and not 0 <= _number(lr) < inf:
            raise OptionError(f"expected a learning rate lr of at least 0, received {lr!r}")
        step, self.steps = self.steps, self.steps + 1
        steps = self._steps
        if steps is None:
            return
        passes = self._end(steps)
        if not passes:
            raise MeasureError(f"{self.name} has no gradient: call read after backward of what the probe gave")
        if steps.weights and not steps.gradients:
            if any(map(float, steps.changes.values())):
                raise MeasureError(f"{self.name} has no gradient: call read after backward and before zero_grad")
            return  # a step that was left out, and its gradient taken away
        chosen = None if lr is None else Rate(at_present(lr), predicts=True)
        given = steps.rates_of(optimizer) if optimizer is not None and not steps.rates else steps.rates
        layers: dict[int, tuple[str, int]] = {}
        """A weight has one place, where it ran first, however often and under how many names it runs."""
        for name, depth, weight in (layer for forward, _ in passes for layer in forward.layers):
            layers.setdefault(id(weight), (name, depth))
        found = [unscaled(one, steps.scale if scale is None else scale) for one in together(passes)]
        found += [self._layer(*layer, key, steps, chosen or given.get(key)) for key, layer in layers.items()]
        if not found:
            raise MeasureError(
                f"{self.name} calls no convolution, linear layer or block of its own: nothing to observe"
            )
        depth = max(1, *(forward.depth for forward, _ in passes))
        reported, expected = bool(steps.rates), optimizer is not None
        last = self.readings[-1] if self.readings else None
        self.readings.append(reading_of(step, depth, found, reported, expected, last))

    def _layer(self, name: str, depth: int, key: int, steps: Steps, rate: Rate | None) -> Found:
        size = norm(steps.before[key])
        numbers = {"weight": size, "change": steps.changes[key], "start": self._start.setdefault(key, size)}
        if key in steps.gradients:
            numbers["weight_gradient"] = steps.gradients[key]
        return Found("layer", name, depth, (), numbers, rate)

    def _end(self, steps: Steps) -> list[AppliedPass]:
        """End the step, so that no hook stays, and return the forward passes whose gradient was applied."""
        for forward in self._forwards:
            forward.close()
        steps.close()
        passes: list[AppliedPass] = []
        applied: Tensor | None = None
        for forward, zeroed in reversed(self._backwards):
            passes.append((forward, applied))
            if zeroed is not None:
                applied = ~zeroed if applied is None else applied & ~zeroed
        self._forwards, self._backwards, self._steps = [], [], None
        return passes[::-1]

    @property
    def rows(self) -> list[StatisticRow]:
        """Return every statistic of every observed step; of these ``take`` has left none."""
        return [row for reading in self.readings for row in self.derived(reading)]

    def take(self) -> list[StatisticRow]:
        """Return the rows and keep them no longer, so that a long training takes no more memory than a short one."""
        rows = self.rows
        self.readings.clear()
        self._written = 0
        return rows

    def write(self, writer: Any) -> None:
        """Write the observed steps since the last call to a ``SummaryWriter``: one scalar a statistic and place.

        They stay in ``rows``: a few kilobytes a step, until ``take`` takes them.
        """
        for reading in self.readings[self._written :]:
            for row in self.derived(reading):
                writer.add_scalar("/".join((row.statistic, row.name or self.name)), row.value, row.step)
        self._written = len(self.readings)

    def derived(self, reading: StepReading) -> list[StatisticRow]:
        """Return the statistics of one reading."""
        return statistics_of(reading, self.name, self.seed)


def _weights(model: nn.Module) -> dict[str, nn.Parameter]:
    found = {name: module._parameters.get("weight") for name, module in named(model) if isinstance(module, WEIGHTED)}
    return {name: weight for name, weight in found.items() if weight is not None}


def _number(value: Any) -> float:
    """Return a number, or nan for what is none; a device's is not waited for, and taken as 1."""
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        return 1.0 if value.device.type != "cpu" else float(value.detach())
    try:
        return float(value) if isinstance(value, Real) else nan
    except OverflowError:
        return inf


def _names(model: nn.Module, watch: str | nn.Module | Collection[str | nn.Module]) -> frozenset[str]:
    """Return the names of the modules to watch. Raises OptionError for one that is not the model's, or not called."""
    if isinstance(watch, str) or not isinstance(watch, Iterable):
        watch = [watch]
    names = {id(module): name for name, module in named(model)}
    chosen = set()
    for wanted in watch:
        if not isinstance(wanted, (str, nn.Module)):
            raise OptionError(f"expected names of modules to watch, or modules; received {wanted!r}")
        try:
            module = inside(wanted) if isinstance(wanted, nn.Module) else submodule(model, wanted)
            name = names[id(module)]
        except (AttributeError, KeyError):
            if isinstance(wanted, nn.Module):
                raise OptionError(
                    f"expected modules of {type(model).__name__} to watch, received another {type(wanted).__name__}"
                ) from None
            raise OptionError(
                f"expected names of modules to watch, received {wanted!r}{did_you_mean(wanted, names.values())}"
            ) from None
        if type(module).forward is nn.Module.forward and "forward" not in vars(module):
            raise OptionError(
                f"expected modules that are called, received {name}, a {type(module).__name__}; watch what it holds"
            )
        chosen.add(name)
    return frozenset(chosen)
