"""Which units of a network may exchange places, so that it computes the same?

A unit is a channel of hidden maps. Where it lies in the tensors of a network follows from the expression that it is
built from: a convolution makes new ones, BN and ReLU keep them, a sum joins its paths channel by channel, a
concatenation sets them behind each other. Units that lie in the same places are a group: any order of them is as
good as another, if it is the same in all of these places (Entezari et al. 2022; Ainsworth et al. 2023).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resbench.errors import OptionError
from resbench.networks import modules
from resbench.networks.build import Interpreter, Level, Steps

Axis = tuple[str, int]
"""It is an axis of a tensor, by the tensor's name."""

KEEP = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Sigmoid, nn.Hardsigmoid, nn.Tanh),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Dropout, nn.Identity, nn.Flatten),
    *(modules.SamePad, modules.Scale, modules.DropPath),
)
"""These do the same with every channel."""

OWN = (nn.BatchNorm2d, nn.PReLU, modules.LayerNorm2d, modules.LayerScale, modules.GlobalResponseNorm)
"""These do so with numbers of each channel, along the first axis of their tensors."""


@dataclass(frozen=True)
class Group:
    """These units may exchange places. ``places``: for each axis a row for each unit, with its positions there."""

    places: Mapping[Axis, Tensor]

    @property
    def size(self) -> int:
        return len(next(iter(self.places.values())))


def groups(module: nn.Module) -> list[Group]:
    """Find the groups of a network, from its input on. Raises OptionError where its units cannot be told."""
    if not isinstance(module, Level):
        raise OptionError(
            f"units of {type(module).__name__} cannot be told: expected a network of the catalog or an expression"
        )
    found = _Units(module)
    found.mark("output", found.walk(module, module.steps, found.first, ""))
    return found.groups()


class _Units(Interpreter):
    """It runs a network on lists of units, an integer for each channel, instead of maps."""

    def __init__(self, module: Level) -> None:
        super().__init__()
        self.same: list[int] = []
        """Of each unit, one that is the same: itself, or an earlier one."""
        self.axes: dict[Axis, list[int]] = {}
        self.marks: list[tuple[int, str]] = []
        """Units that are marked differently do not exchange places."""
        first = next(m for m in module.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))
        self.first = self.new(first.in_channels if isinstance(first, nn.Conv2d) else first.in_features)
        self.mark("input", self.first)

    def new(self, count: int) -> list[int]:
        """Make new units."""
        self.same += range(len(self.same), len(self.same) + count)
        return self.same[-count:] if count else []

    def mark(self, what: str, units: list[int]) -> None:
        """Let each of these units keep its place."""
        self.marks += [(unit, f"{what} {i}") for i, unit in enumerate(units)]

    def root(self, unit: int) -> int:
        while self.same[unit] != unit:
            unit = self.same[unit]
        return unit

    def merge(self, name: str, one: list[int], other: list[int]) -> None:
        """Let units be the same, in pairs."""
        if len(one) != len(other):
            raise OptionError(f"{name}: units cannot be told where {len(one)} channels meet {len(other)}")
        for a, b in zip(one, other, strict=True):
            low, high = sorted((self.root(a), self.root(b)))
            self.same[high] = low

    def walk(self, level: Level, steps: Steps, x: Any, path: str) -> list[int]:
        """Return the units behind the last step."""
        return self.follow(level, steps, x, path)  # type: ignore[return-value]

    def part(self, module: nn.Module, name: str, x: Any) -> Any:
        if isinstance(module, Level):
            return self.walk(module, module.steps, x, f"{name}.")
        if isinstance(module, KEEP):
            return x
        if isinstance(module, OWN):
            for key, tensor in module.state_dict().items():
                if tensor.dim() and len(tensor) == len(x):
                    self.axes[f"{name}.{key}", 0] = x
            return x
        if isinstance(module, nn.Conv2d):
            return self._convolution(module, name, x)
        if isinstance(module, nn.Linear):
            times = module.in_features // len(x)  # positions of maps that were flattened
            self.axes[f"{name}.weight", 1] = [unit for unit in x for _ in range(times)]
            return self._made(module, name, module.out_features)
        if isinstance(module, nn.ChannelShuffle):
            own = len(x) // module.groups
            return [x[j * own + i] for i in range(own) for j in range(module.groups)]
        if isinstance(module, modules.ChannelSlice):
            return x[module.start : module.stop]
        if isinstance(module, modules.PadChannels):
            return [*x, *self.new(module.added)]
        raise OptionError(f"{name}: units cannot be told behind {type(module).__name__}")

    def join(self, level: Level, step: Any, x: Any, path: str) -> Any:
        operator, paths = step
        values = [self.walk(level, one, x, path) for one in paths]
        if isinstance(level._modules[operator], modules.Concat):
            return [unit for value in values for unit in value]
        for value in values[1:]:
            self.merge(path + operator, values[0], value)
        return values[0]

    def _made(self, module: nn.Module, name: str, count: int) -> list[int]:
        """Make the units of an output."""
        units = self.new(count)
        self.axes[f"{name}.weight", 0] = units
        if module.bias is not None:
            self.axes[f"{name}.bias", 0] = units
        return units

    def _convolution(self, module: nn.Conv2d, name: str, x: list[int]) -> list[int]:
        own, count = module.in_channels // module.groups, module.out_channels
        if own == 1 and module.groups > 1:
            if count != len(x):
                raise OptionError(f"{name}: units cannot be told behind {count // len(x)} filters for each channel")
            self.axes[f"{name}.weight", 0] = x
            if module.bias is not None:
                self.axes[f"{name}.bias", 0] = x
            return x
        for block in range(1, module.groups):  # one order for all groups, since their filters share an axis
            self.merge(name, x[:own], x[block * own : (block + 1) * own])
        self.axes[f"{name}.weight", 1] = x[:own]
        units = self._made(module, name, count)
        if module.groups > 1:
            self.marks += [(unit, f"{name} {i * module.groups // count}") for i, unit in enumerate(units)]
        return units

    def groups(self) -> list[Group]:
        """Put units together that lie in the same places and are marked alike."""
        places: dict[int, dict[Axis, list[int]]] = {}
        for axis, units in self.axes.items():
            for position, unit in enumerate(units):
                places.setdefault(self.root(unit), {}).setdefault(axis, []).append(position)
        marks: dict[int, list[str]] = {}
        for unit, mark in self.marks:
            marks.setdefault(self.root(unit), []).append(mark)
        alike: dict[Any, list[int]] = {}
        for unit, own in places.items():
            times = tuple((axis, len(positions)) for axis, positions in own.items())
            alike.setdefault((times, tuple(sorted(Counter(marks.get(unit, [])).items()))), []).append(unit)
        return [
            Group({axis: torch.tensor([places[unit][axis] for unit in units]) for axis in places[units[0]]})
            for units in alike.values()
            if len(units) > 1
        ]
