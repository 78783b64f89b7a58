"""Torch does not have these modules: the operators of the algebra, and option A's shortcut.

Each is called as its node in ``resbench.arch`` is, so that a traced row has the type of a counted one.
"""

import torch
from torch import Tensor, nn

from resbench.arch.algebra import Node
from resbench.arch.catalog import Architecture

Lent = nn.Module | Architecture | Node
"""A caller gives a model itself so, and not by name."""


class Add(nn.Module):
    """y = F(x) + h(x). ``inplace`` writes into F(x): right when nothing needs F(x) for its own backward."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        for i, other in enumerate(others):
            first = first.add_(other) if self.inplace or i else first + other
        return first

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Mul(nn.Module):
    """y = value(x) * gate(x), where a gate of 1x1 maps is broadcast."""

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = first * other
        return first


class Concat(nn.Module):
    """Parallel paths are joined along the channels."""

    def forward(self, *parts: Tensor) -> Tensor:
        return torch.cat(parts, 1)


class Highway(nn.Module):
    """y = g F(x) + (1 - g) h(x)."""

    def forward(self, gate: Tensor, branch: Tensor, shortcut: Tensor) -> Tensor:
        return gate * branch + (1 - gate) * shortcut


class Scale(nn.Module):
    """y = factor x + offset."""

    def __init__(self, factor: float, offset: float) -> None:
        super().__init__()
        self.factor, self.offset = factor, offset

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x + self.offset if self.offset else self.factor * x

    def extra_repr(self) -> str:
        return f"{self.factor:g}, {self.offset:g}"


class PadChannels(nn.Module):
    """It takes every stride-th position, new channels are zero: (N, C, H, W) to (N, out, ceil(H/s), ceil(W/s))."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.added, self.stride = out_channels - in_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        return nn.functional.pad(x, (0, 0, 0, 0, 0, self.added))

    def extra_repr(self) -> str:
        return f"+{self.added} channels, stride={self.stride}"
