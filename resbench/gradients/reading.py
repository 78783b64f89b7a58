"""The numbers of one observed step, put together from its forward passes, and the statistics that they give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from math import isfinite
from typing import NamedTuple

import torch
from torch import Tensor

from resbench.gradients.observe import Observation
from resbench.gradients.passing import Numbers
from resbench.gradients.statistics import Row, growth_per_layer
from resbench.gradients.steps import Rate


class Place(NamedTuple):
    """Where numbers belong, and which."""

    place: str
    name: str
    depth: int
    keys: tuple[str, ...]
    rate: Rate | None = None
    """Of a layer's weights."""


class Told(NamedTuple):
    """What is known of the step itself."""

    heard: bool
    """An optimiser told of it; else the gradients are those that were found at the reading."""
    expected: bool
    """An optimiser that tells of its steps was named."""


class Reading(NamedTuple):
    """One observed step: where each number belongs, and the numbers on the device."""

    step: int
    layers: int
    """The depth of the network."""
    places: list[Place]
    values: Tensor
    order: list[int]
    """Where each of the values belongs in the order of the places."""
    stages: list[list[int]]
    """The boundaries of one shape that follow each other, by position."""
    ends: bool
    """The gradients of the first and of the last boundary are known."""
    told: Told


class Found(NamedTuple):
    """The numbers of one place, over all forward passes of the step."""

    place: str
    name: str
    depth: int
    shape: tuple[int, ...]
    numbers: Numbers
    rate: Rate | None = None


Kept = tuple[Observation, Tensor | None]
"""A forward pass whose gradient is applied; None: it is, a tensor: where that is true."""


def together(passes: Sequence[Kept]) -> list[Found]:
    """The numbers of several forward passes as those of one over all their images.

    The loss is the sum of theirs, so a norm is the root of the sum of the squares of theirs.
    """
    if len(passes) == 1 and passes[0][1] is None:
        return [found for found, _ in _places(passes[0][0])]
    places: dict[tuple[object, ...], list[tuple[Found, Tensor | None]]] = {}
    for seen, kept in passes:
        for found, again in _places(seen):
            places.setdefault((found.place, found.name, found.depth, found.shape, again), []).append((found, kept))
    merged = [_merged(same) for same in places.values()]
    return sorted(merged, key=lambda found: (_ORDER.index(found.place), found.depth))


def _places(seen: Observation) -> Iterable[tuple[Found, int]]:
    """Every place of one pass, and how often it had come before."""
    listed = [
        *(Found("boundary", b.name, b.depth, tuple(b.passing.shape[1:]), b.passing.numbers) for b in seen.boundaries),
        *(Found("sum", s.name, s.depth, (), s.passing.numbers | s.terms) for s in seen.sums),
        *(Found("norm", r.name, r.depth, (), r.numbers) for r in seen.deviations),
        *(Found("relu", r.name, r.depth, tuple(r.numbers["dead"].shape), r.numbers) for r in seen.dead),
    ]
    times: dict[tuple[object, ...], int] = {}
    for found in listed:
        key = found[:4]
        times[key] = times.get(key, -1) + 1
        yield found, times[key]


_ORDER = ("boundary", "sum", "norm", "relu")


def _merged(same: list[tuple[Found, Tensor | None]]) -> Found:
    first = same[0][0]
    merge = _root if first.place in ("boundary", "sum") else _total
    numbers: Numbers = {}
    for key in first.numbers:
        parts = [_where(kept, found.numbers[key]) for found, kept in same if key in found.numbers]
        numbers[key] = _all(parts) if key == "dead" else _total(parts) if key == "inner" else merge(parts)
    return first._replace(numbers=numbers)


def _where(kept: Tensor | None, number: Tensor) -> Tensor:
    if kept is None:
        return number
    return number | ~kept if number.dtype == torch.bool else torch.where(kept, number, torch.zeros_like(number))


def _root(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).norm()  # type: ignore[no-any-return]


def _total(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum(0)


def _all(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).all(0)


def unscaled(found: Found, scale: float | Tensor | None) -> Found:
    """In the unit of the loss whose gradient is applied."""
    if scale is None:
        return found
    numbers = {key: value / scale if key in _SCALED else value for key, value in found.numbers.items()}
    if "inner" in numbers:
        numbers["inner"] = numbers["inner"] / scale
    return found._replace(numbers=numbers)


_SCALED = ("gradient", "identity", "residual", "inner")


def reading_of(step: int, layers: int, places: Sequence[Found], weighted: Sequence[Found], told: Told) -> Reading:
    """The numbers as they are kept: stacked, and left on the device."""
    flow = [one for one in places if one.place == "boundary"]
    known = [one for one in flow if one.numbers]
    listed: list[Place] = []
    values: list[Tensor] = []
    for one in (*known, *weighted, *(one for one in places if one.place != "boundary")):
        listed.append(Place(one.place, one.name, one.depth, tuple(one.numbers), one.rate))
        values += [value.float().mean() if key == "dead" else value for key, value in one.numbers.items()]
    order = sorted(range(len(values)), key=lambda i: values[i].dtype.itemsize)
    kinds = [torch.stack([values[i] for i in same]) for _, same in groupby(order, key=lambda i: values[i].dtype)]
    stacked = torch.cat([kind.to(kinds[-1].dtype) for kind in kinds])  # one conversion, not one for each number
    ends = bool(known) and known[0] is flow[0] and known[-1] is flow[-1]
    return Reading(step, layers, listed, stacked, order, _stages(known), ends, told)


def _stages(boundaries: Sequence[Found]) -> list[list[int]]:
    shapes = [found.shape for found in boundaries]
    return [list(group) for _, group in groupby(range(len(shapes)), key=shapes.__getitem__)]


def statistics_of(reading: Reading, model: str, seed: int) -> list[Row]:
    """Every statistic of one reading; none of a step that was left out."""
    values = iter([value for _, value in sorted(zip(reading.order, reading.values.tolist(), strict=True))])
    raw = [(place, {key: next(values) for key in place.keys}) for place in reading.places]
    if _is_left_out(reading, raw):
        return []
    rows: list[Row] = []
    for place, numbers in raw:
        at = (model, seed, reading.step, place.place, place.name, place.depth / reading.layers)
        found = _layer(numbers, place.rate) if place.place == "layer" else _DERIVED.get(place.place, _as_it_is)(numbers)
        rows += [Row(*at, key, value) for key, value in found.items() if value is not None]
    flow = [row for row in rows if row.statistic == "gradient"]
    gradients = [row.value for row in flow]
    for i, stage in enumerate(reading.stages, 1):
        depths = [flow[at].depth * reading.layers for at in stage]
        growth = growth_per_layer(depths, [gradients[at] for at in stage])
        if growth is not None:
            middle = (flow[stage[0]].depth + flow[stage[-1]].depth) / 2
            rows.append(Row(model, seed, reading.step, "stage", f"stage {i}", middle, "growth", growth))
    shares = [row.value for row in rows if row.statistic == "share"]
    whole = {
        "first_to_last": _over(gradients[0], gradients[-1]) if len(gradients) > 1 and reading.ends else None,
        "effective_depth": sum(shares) if shares else None,
    }
    network = (model, seed, reading.step, "network", "", 1.0)
    return [*rows, *(Row(*network, key, value) for key, value in whole.items() if value is not None)]


def _is_left_out(reading: Reading, raw: list[tuple[Place, dict[str, float]]]) -> bool:
    """No step was taken of this gradient, as when a scaler finds it not finite.

    Gradients that were zeroed before the reading, with no optimiser to tell what they had been, are taken out.
    """
    heard, expected = reading.told
    layers = [numbers for place, numbers in raw if place.place == "layer"]
    gradients = [numbers["weight_gradient"] for numbers in layers if "weight_gradient" in numbers]
    flow = [numbers["gradient"] for place, numbers in raw if place.place == "boundary"]
    stayed = bool(layers) and not any(numbers["change"] for numbers in layers)
    zeroed = bool(gradients) and not heard and not any(gradients) and any(flow)
    if stayed and (zeroed or not all(map(isfinite, gradients)) or (expected and not heard)):
        return True
    for numbers in layers if zeroed else ():
        numbers.pop("weight_gradient", None)
    return False


Values = dict[str, float | None]


def _over(a: float, b: float) -> float | None:
    """None where there is nothing to compare with."""
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
    """The standard deviation."""
    mean, square = raw["total"] / raw["count"], raw["squares"] / raw["count"]
    variance = square - mean * mean
    return {"deviation": max(variance, 0.0) ** 0.5 if variance == variance else variance}


def _as_it_is(raw: dict[str, float]) -> Values:
    return dict(raw)


_DERIVED: dict[str, Callable[[dict[str, float]], Values]] = {"sum": _sum, "norm": _norm}
"""What is computed at each place; at others, nothing."""
