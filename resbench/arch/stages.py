"""The trunk of a residual network is stages of equal units, each as wide as the paper's table says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from resbench.arch.algebra import Node, stack


class Unit(Protocol):
    """It makes a unit for the channels that enter, those that leave, and a stride; one is the network's first."""

    def __call__(self, in_channels: int, out_channels: int, stride: int, *, first: bool) -> Node: ...


class Stage(NamedTuple):
    """A stage is so many units that give ``width`` channels; the first of them has the stride."""

    width: int
    units: int
    stride: int


def trunk(channels: int, stages: Iterable[Stage], unit: Unit) -> dict[str, Node]:
    """layer1, layer2, ...: the stages follow each other. ``channels`` enter the first."""
    layers: dict[str, Node] = {}
    for i, (width, units, stride) in enumerate(stages, 1):
        opening = unit(channels, width, stride, first=i == 1)
        layers[f"layer{i}"] = stack(opening, *[unit(width, width, 1, first=False)] * (units - 1))
        channels = width
    return layers
