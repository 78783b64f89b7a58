"""A probe in a training loop: statistics of every K-th step, and nothing but a comparison in the steps between.

    probe = GradientProbe(model, every=8)
    for images, labels in batches:
        loss = criterion(probe(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        probe.read(lr=0.1)
    probe.write(SummaryWriter("runs"))

The loop's own forward and backward pass are the observed ones: the training goes on as it would without, bit for bit.
Nothing waits for the device until ``rows`` or ``write`` is asked for.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from resbench.errors import MeasureError, OptionError
from resbench.gradients.observe import WEIGHTED, Observation, norm, observe, own_weight
from resbench.gradients.statistics import Row, growth_per_layer


class Reading(NamedTuple):
    """One observed step: where each number belongs, and the numbers on the device."""

    step: int
    lr: float
    layers: int
    """The depth of the network."""
    places: list[tuple[str, str, int, tuple[str, ...]]]
    """Place, name, depth and the raw statistics there, in the order of the values."""
    values: Tensor
    stages: list[list[int]]
    """The boundaries of one shape that follow each other, by position."""


class GradientProbe:
    """Observes every K-th step of a training loop. Observed steps run a compiled model as it was written."""

    def __init__(self, model: nn.Module, every: int = 1, name: str = "", seed: int = 0) -> None:
        if every < 1:
            raise OptionError(f"expected every of at least 1, received {every}")
        self.called, self.every = model, every
        self.model: nn.Module = getattr(model, "_orig_mod", model)
        self.name, self.seed = name or type(self.model).__name__, seed
        self.steps = 0
        """Training steps so far, each ended by ``read``."""
        self.seen: Observation | None = None
        self.readings: list[Reading] = []
        self._before: list[Tensor] = []
        named = self.model.named_modules(remove_duplicate=False)
        weights = {name: own_weight(module) for name, module in named if isinstance(module, WEIGHTED)}
        self._start = {name: norm(weight) for name, weight in weights.items() if weight is not None}
        self._written = 0

    def __call__(self, x: Tensor) -> Any:
        """``model(x)``. Of several calls before one ``read`` (accumulated gradients) the first is observed."""
        if self.steps % self.every or self.seen or not torch.is_grad_enabled():
            return self.called(x)
        output, self.seen = observe(self.model, x)
        with torch.no_grad():
            self._before = [layer.weight.detach().clone() for layer in self.seen.layers]
        return output

    @torch.no_grad()
    def read(self, lr: float) -> None:
        """After the optimiser's step, the gradients still in place: keep this step's numbers, if it was observed."""
        seen, self.seen = self.seen, None
        step, self.steps = self.steps, self.steps + 1
        if seen is None:
            return
        if seen.layers and all(layer.weight.grad is None for layer in seen.layers):
            raise MeasureError(f"{self.name} has no gradient: call read after backward and before zero_grad")
        places: list[tuple[str, str, int, tuple[str, ...]]] = []
        numbers: list[Tensor] = []

        def note(place: str, name: str, depth: int, values: dict[str, Tensor]) -> None:
            places.append((place, name, depth, tuple(values)))
            numbers.extend(values.values())

        for boundary in seen.boundaries:
            boundary.passing.done()
            note("boundary", boundary.name, boundary.depth, boundary.passing.numbers)
        for layer, before in zip(seen.layers, self._before, strict=True):
            weight, size = layer.weight, norm(before)
            values = {"weight": size, "change": norm(weight - before), "start": self._start[layer.name]}
            if weight.grad is not None:
                values["weight_gradient"] = norm(weight.grad)
            note("layer", layer.name, layer.depth, values)
        for one in seen.sums:
            one.passing.done()
            values = {"branch": one.branch_norm, "shortcut": one.shortcut_norm}
            note("sum", one.name, one.depth, one.passing.numbers | values)
        for place, key, responses in (("norm", "deviation", seen.deviations), ("relu", "dead", seen.dead)):
            for response in responses:
                note(place, response.name, response.depth, {key: response.value})
        kind = torch.float64 if any(number.dtype == torch.float64 for number in numbers) else torch.float32
        together = torch.stack([number if number.dtype == kind else number.to(kind) for number in numbers])
        self.readings.append(Reading(step, lr, max(seen.depth, 1), places, together, _stages(seen)))
        self._before = []

    @property
    def rows(self) -> list[Row]:
        """Every statistic of every observed step."""
        return [row for reading in self.readings for row in self.derived(reading)]

    def write(self, writer: Any) -> None:
        """The observed steps since the last call, to a ``SummaryWriter``: one scalar a statistic and place."""
        for reading in self.readings[self._written :]:
            for row in self.derived(reading):
                writer.add_scalar("/".join((row.statistic, row.name or self.name)), row.value, row.step)
        self._written = len(self.readings)

    def derived(self, reading: Reading) -> list[Row]:
        """The statistics of one reading."""
        values = iter(reading.values.tolist())
        rows: list[Row] = []
        for place, name, depth, keys in reading.places:
            found = _DERIVED.get(place, _as_it_is)({key: next(values) for key in keys}, reading.lr)
            rows += [
                Row(self.name, self.seed, reading.step, place, name, depth / reading.layers, key, value)
                for key, value in found.items()
                if value is not None
            ]
        flow = [row for row in rows if row.statistic == "gradient"]
        gradients = [row.value for row in flow]
        for i, stage in enumerate(reading.stages, 1):
            depths = [flow[at].depth * reading.layers for at in stage]
            growth = growth_per_layer(depths, [gradients[at] for at in stage])
            if growth is not None:
                middle = (flow[stage[0]].depth + flow[stage[-1]].depth) / 2
                rows.append(Row(self.name, self.seed, reading.step, "stage", f"stage {i}", middle, "growth", growth))
        shares = [row.value for row in rows if row.statistic == "share"]
        whole = {
            "first_to_last": _over(gradients[0], gradients[-1]) if len(gradients) > 1 else None,
            "effective_depth": sum(shares) if shares else None,
        }
        network = (self.name, self.seed, reading.step, "network", "", 1.0)
        return [*rows, *(Row(*network, key, value) for key, value in whole.items() if value is not None)]


def _stages(seen: Observation) -> list[list[int]]:
    shapes = [boundary.passing.values[0].shape[1:] for boundary in seen.boundaries]
    return [list(group) for _, group in groupby(range(len(shapes)), key=shapes.__getitem__)]


Values = dict[str, float | None]


def _over(a: float, b: float) -> float | None:
    """None where there is nothing to compare with."""
    return a / b if b else None


def _layer(raw: dict[str, float], lr: float) -> Values:
    size, gradient = raw["weight"], raw.get("weight_gradient")
    return {
        "weight_gradient": gradient,
        "weight": size,
        "relative_gradient": None if gradient is None else _over(gradient, size),
        "update": None if gradient is None else _over(lr * gradient, size),
        "moved": _over(raw["change"], size),
        "weight_growth": _over(size, raw["start"]),
        "effective_lr": _over(lr, size * size),
    }


def _sum(raw: dict[str, float], lr: float) -> Values:
    identity, residual = raw["identity"], raw["residual"]
    branch, shortcut = raw["branch"], raw["shortcut"]
    return {
        "identity": identity,
        "residual": residual,
        "ratio": _over(residual, identity),
        "share": _over(residual**2, identity**2 + residual**2),
        "cosine": _over(raw["inner"], identity * residual),
        "strength": _over(branch, shortcut),
        "identity_share": _over(shortcut**2, branch**2 + shortcut**2),
    }


def _as_it_is(raw: dict[str, float], lr: float) -> Values:
    return dict(raw)


_DERIVED = {"layer": _layer, "sum": _sum}
