"""Torch does not have these modules: the operators of the algebra, and what layers do to channels.

Each is called as its node in ``resbench.arch`` is, so that a traced row has the type of a counted one.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from resbench.arch.algebra import Node
from resbench.arch.catalog import Architecture
from resbench.arch.fields import Pair
from resbench.arch.padding import same_padding

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


class SamePad(nn.Module):
    """It sets zeros around maps, so many as a kernel of these sides and strides takes behind it."""

    def __init__(self, kernel: Pair, stride: Pair) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        axes = [same_padding(*axis) for axis in zip(x.shape[2:], self.kernel, self.stride, strict=True)]
        return nn.functional.pad(x, [zeros for axis in reversed(axes) for zeros in axis])

    def extra_repr(self) -> str:
        return f"{self.kernel}, stride={self.stride}"


class ChannelSlice(nn.Module):
    """y = x[:, start:stop]."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.start : self.stop]

    def extra_repr(self) -> str:
        return f"{self.start}, {self.stop}"


class DropPath(_DropoutNd):
    """y = m x / (1 - p) in training, where m is 0 with probability p, and 1 else, for each image."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        mask = x.new_empty((len(x), *(1 for _ in x.shape[1:]))).bernoulli_(1 - self.p)
        return x * mask.div_(1 - self.p)


class SplitSoftmax(nn.Module):
    """y_r = exp(x_r) / sum of exp(x_q), where x_1, x_2, ... are as many splits of the channels."""

    def __init__(self, splits: int) -> None:
        super().__init__()
        self.splits = splits

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(x.reshape(len(x), self.splits, -1, *x.shape[2:]), 1).flatten(1, 2)

    def extra_repr(self) -> str:
        return f"{self.splits}"


class LayerScale(nn.Module):
    """y = gamma x, with one learned factor a channel."""

    def __init__(self, channels: int, init: float) -> None:
        super().__init__()
        self.init = init
        self.weight = nn.Parameter(torch.empty(channels, 1, 1))

    def reset_parameters(self) -> None:
        nn.init.constant_(self.weight, self.init)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, init={self.init:g}"


class LayerNorm2d(nn.LayerNorm):
    """y = gamma (x - mean) / sqrt(var + eps) + beta over the channels of each position."""

    def forward(self, x: Tensor) -> Tensor:
        last = x.permute(0, 2, 3, 1)
        normed = nn.functional.layer_norm(last, self.normalized_shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)


class GlobalResponseNorm(nn.Module):
    """y = x + gamma x g / (mean(g) + eps) + beta, where g is the norm of each map."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(channels, 1, 1))
        self.bias = nn.Parameter(torch.empty(channels, 1, 1))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)
        response = norms / (norms.mean(1, keepdim=True) + self.eps)
        return x + self.weight * (x * response) + self.bias

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, eps={self.eps:g}"


SILENT = (nn.Identity, nn.Flatten, ChannelSlice)
"""They give another look at their input, hold nothing, and have no row."""
