"""A reading holds the numbers of one observed step, from which its statistics are derived."""

from collections.abc import Callable, Sequence
from itertools import groupby
from math import isfinite
from operator import itemgetter
from typing import NamedTuple

import torch
from torch import Tensor

from resbench.gradients.observe import Found, Observation
from resbench.gradients.passing import Numbers
from resbench.gradients.statistics import StatisticRow, growth_per_layer
from resbench.gradients.steps import Rate


class StepReading(NamedTuple):
    """A reading has the ``values`` of one observed step, on the device, and the places where they belong.

    ``layers`` is the depth of the network. Of its numbers a place has the names alone: the values come in their order.
    Readings of the same places share them; ``rates`` are those of the layers among them, in their order. An optimiser
    ``reported`` the step, or the gradients are those that were found at the reading; a report was ``expected`` if an
    optimiser that reports its steps was named.
    """

    step: int
    layers: int
    places: list[Found]
    rates: list[Rate | None]
    values: Tensor
    reported: bool
    expected: bool


AppliedPass = tuple[Observation, Tensor | None]
"""The gradient of this forward pass is applied where the tensor is true, and always without a tensor."""


def together(passes: Sequence[AppliedPass]) -> list[Found]:
    """Return the numbers of several forward passes as those of one over all their images.

    The loss is the sum of theirs, so a norm is the root of the sum of the squares of theirs.
    """
    if len(passes) == 1 and passes[0][1] is None:
        return passes[0][0].places
    places: dict[tuple[str, str], list[tuple[Found, Tensor | None]]] = {}
    for forward, applied in passes:
        for found in forward.places:
            places.setdefault((found.place, found.name), []).append((found, applied))
    return sorted(map(_merged, places.values()), key=lambda found: found.depth)


def _merged(same: list[tuple[Found, Tensor | None]]) -> Found:
    first = same[0][0]
    numbers: Numbers = {}
    for key in first.numbers:
        parts = [_where(applied, found.numbers[key]) for found, applied in same if key in found.numbers]
        if key == "dead":
            shapes = dict.fromkeys(part.shape for part in parts)  # several where one ReLU runs in several places
            alike = [torch.stack([part for part in parts if part.shape == shape]) for shape in shapes]
            numbers[key] = torch.cat([one.all(0).flatten() for one in alike])
        elif first.place in ("boundary", "sum") and key != "inner":
            numbers[key] = torch.stack(parts).norm()
        else:
            numbers[key] = torch.stack(parts).sum(0)
    return first._replace(numbers=numbers)


def _where(applied: Tensor | None, number: Tensor) -> Tensor:
    if applied is None:
        return number
    return number | ~applied if number.dtype == torch.bool else torch.where(applied, number, torch.zeros_like(number))


def unscaled(found: Found, scale: float | Tensor | None) -> Found:
    """Convert the numbers to the unit of the loss whose gradient is applied."""
    if scale is None:
        return found
    numbers = {key: value / scale if key in _SCALED else value for key, value in found.numbers.items()}
    if "inner" in numbers:
        numbers["inner"] = numbers["inner"] / scale
    return found._replace(numbers=numbers)


_SCALED = ("gradient", "identity", "residual", "inner")


_ORDER = ("boundary", "layer", "sum", "norm", "relu")


def reading_of(
    step: int, layers: int, found: Sequence[Found], reported: bool, expected: bool, last: StepReading | None
) -> StepReading:
    """Stack the numbers of a step, and leave them on the device; its places are those of the last, where it has them.

    A training has many steps: what is kept of each is its numbers.
    """
    ordered = sorted(found, key=lambda one: _ORDER.index(one.place))
    numbers = [pair for one in ordered for pair in one.numbers.items()]
    values = torch.stack([value.float().mean() if key == "dead" else value for key, value in numbers])
    places = [one._replace(numbers=dict.fromkeys(one.numbers), rate=None) for one in ordered]
    if last is not None and places == last.places:
        places = last.places
    rates = [one.rate for one in ordered if one.place == "layer"]
    return StepReading(step, layers, places, rates, values, reported, expected)


def statistics_of(reading: StepReading, model: str, seed: int) -> list[StatisticRow]:
    """Derive every statistic of one reading; a step that was left out has none."""
    values = iter(reading.values.tolist())
    raw = [(place, {key: next(values) for key in place.numbers}) for place in reading.places]
    if _is_left_out(reading, raw):
        return []
    rows, rates = list[StatisticRow](), iter(reading.rates)
    for place, numbers in raw:
        where = (model, seed, reading.step, place.place, place.name, place.depth / reading.layers)
        found = _layer(numbers, next(rates)) if place.place == "layer" else _DERIVED.get(place.place, dict)(numbers)
        rows += [StatisticRow(*where, key, value) for key, value in found.items() if value is not None]
    boundaries = [place for place in reading.places if place.place == "boundary"]
    shapes = [place.shape for place in boundaries if place.numbers]
    flow = [row for row in rows if row.statistic == "gradient"]
    for i, (_, same) in enumerate(groupby(zip(shapes, flow, strict=True), key=itemgetter(0)), 1):
        stage = [row for _, row in same]
        growth = growth_per_layer([row.depth * reading.layers for row in stage], [row.value for row in stage])
        if growth is not None:
            middle = (stage[0].depth + stage[-1].depth) / 2
            rows.append(StatisticRow(model, seed, reading.step, "stage", f"stage {i}", middle, "growth", growth))
    shares = [row.value for row in rows if row.statistic == "share"]
    known = len(flow) > 1 and all(end.numbers for end in (boundaries[0], boundaries[-1]))
    whole = {
        "first_to_last": _over(flow[0].value, flow[-1].value) if known else None,
        "effective_depth": sum(shares) if shares else None,
    }
    network = (model, seed, reading.step, "network", "", 1.0)
    return [*rows, *(StatisticRow(*network, key, value) for key, value in whole.items() if value is not None)]


def _is_left_out(reading: StepReading, raw: list[tuple[Found, dict[str, float]]]) -> bool:
    """Tell whether no step was taken of this gradient, as when a scaler finds it not finite.

    Gradients that were zeroed before the reading, with no optimiser to report what they had been, are taken out.
    """
    layers = [numbers for place, numbers in raw if place.place == "layer"]
    gradients = [numbers["weight_gradient"] for numbers in layers if "weight_gradient" in numbers]
    flow = [numbers.get("gradient") for place, numbers in raw if place.place == "boundary"]
    stayed = bool(layers) and not any(numbers["change"] for numbers in layers)
    zeroed = bool(gradients) and not reading.reported and not any(gradients) and any(flow)
    if stayed and (zeroed or not all(map(isfinite, gradients)) or (reading.expected and not reading.reported)):
        return True
    for numbers in layers if zeroed else ():
        numbers.pop("weight_gradient", None)
    return False


Values = dict[str, float | None]


def _over(a: float, b: float) -> float | None:
    """Return a / b, or None where b is zero, so that there is nothing to compare with."""
    return a / b if b else None


def _layer(raw: dict[str, float], rate: Rate | None) -> Values:
    size, gradient = raw["weight"], raw.get("weight_gradient")
    lr = None if rate is None else float(rate.lr)
    moved = _over(raw["change"], size)
    update = None
    if lr is not None and rate is not None and gradient is not None:
        update = _over(lr * gradient, size) if rate.predicts else moved
    return {
        "weight_gradient": gradient,
        "weight": size,
        "relative_gradient": None if gradient is None else _over(gradient, size),
        "update": update,
        "moved": moved,
        "weight_growth": _over(size, raw["start"]),
        "effective_lr": None if lr is None else _over(lr, size * size),
    }


def _sum(raw: dict[str, float]) -> Values:
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


def _norm(raw: dict[str, float]) -> Values:
    """Return the standard deviation."""
    mean, square = raw["total"] / raw["count"], raw["squares"] / raw["count"]
    variance = square - mean * mean
    return {"deviation": max(variance, 0.0) ** 0.5 if variance == variance else variance}


_DERIVED: dict[str, Callable[[dict[str, float]], Values]] = {"sum": _sum, "norm": _norm}
"""A layer's statistics need its rate as well; at other places the numbers are the statistics."""
