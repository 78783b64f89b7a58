"""Our classifier of satellite tiles: the network, and the module that the training loop calls.

Runs in channels_last under bf16 autocast; the third stage is checkpointed, since its blocks keep the most.
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

CLASSES = 21
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def conv1x1(inputs: int, width: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, width, 1, stride, bias=False)


def conv3x3(inputs: int, width: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, width, 3, stride, padding=1, groups=groups, bias=False)


class Normalize(nn.Module):
    """Pixels of 0 to 1 as the network was trained on them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class Stem(nn.Module):
    """3x3 of stride 2, 3x3, max pool: a quarter of the resolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False)
        self.refine = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        x = self.refine(x)
        return self.pool(F.relu(self.norm(x), inplace=True))


class OptionA(nn.Module):
    """Every second pixel, and zeros for the channels that are new: no parameters."""

    def __init__(self, new: int) -> None:
        super().__init__()
        self.new = new

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.new))


class BasicBlock(nn.Module):
    """3x3, 3x3; a shortcut of option A where the resolution falls."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, width, stride)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.norm2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Identity() if stride == 1 else OptionA(width - inputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        y += self.shortcut(x)
        return self.relu(y)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, with the stride on the 3x3; a projection where the shape changes."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.squeeze = conv1x1(inputs, width)
        self.norm1 = nn.BatchNorm2d(width)
        self.middle = conv3x3(width, width, stride)
        self.norm2 = nn.BatchNorm2d(width)
        self.expand = conv1x1(width, outputs)
        self.norm3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(self.squeeze(x)))
        y = self.relu(self.norm2(self.middle(y)))
        y = self.norm3(self.expand(y))
        return self.relu(y + self.shortcut(x))


class GroupedBlock(nn.Module):
    """1x1, 3x3 in groups, 1x1 around an identity: a ResNeXt block that keeps its shape."""

    def __init__(self, width: int, cardinality: int = 8) -> None:
        super().__init__()
        inner = width // 2
        self.reduce = nn.Sequential(conv1x1(width, inner), nn.BatchNorm2d(inner), nn.ReLU(inplace=True))
        self.grouped = conv3x3(inner, inner, groups=cardinality)
        self.norm = nn.BatchNorm2d(inner)
        self.restore = nn.Sequential(conv1x1(inner, width), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.reduce(x)
        y = F.relu(self.norm(self.grouped(y)), inplace=True)
        y = self.restore(y)
        return F.relu(torch.add(x, y), inplace=True)


class Swish(torch.autograd.Function):
    """x * sigmoid(x), which keeps x alone; the composed form keeps the sigmoid too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return gradient * (s * (1 + x * (1 - s)))


class SqueezeExcite(nn.Module):
    """Every channel scaled by what two small layers make of the means of all."""

    def __init__(self, width: int, reduction: int = 4) -> None:
        super().__init__()
        self.down = nn.Conv2d(width, width // reduction, 1)
        self.up = nn.Conv2d(width // reduction, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        s = x.mean((2, 3), keepdim=True)
        s = F.silu(self.down(s))
        s = torch.sigmoid(self.up(s))
        return x * s


class SeparableBlock(nn.Module):
    """1x1 to four times the width, 3x3 of every channel alone, squeeze and excitation, 1x1."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        inner = 4 * inputs
        self.widen = nn.Sequential(conv1x1(inputs, inner), nn.BatchNorm2d(inner))
        self.depthwise = conv3x3(inner, inner, stride, groups=inner)
        self.norm = nn.BatchNorm2d(inner)
        self.excite = SqueezeExcite(inner)
        self.project = nn.Sequential(conv1x1(inner, width), nn.BatchNorm2d(width))
        self.residual = stride == 1 and inputs == width

    def forward(self, x: Tensor) -> Tensor:
        y = Swish.apply(self.widen(x))
        y = F.mish(self.norm(self.depthwise(y)))
        y = self.project(self.excite(y))
        return y + x if self.residual else y


class Inception(nn.Module):
    """1x1; 1x1 and 3x3; 1x1 and two 3x3; a pool and 1x1: side by side."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        part = width // 4
        self.one = conv1x1(inputs, part)
        self.three = nn.Sequential(conv1x1(inputs, part // 2), conv3x3(part // 2, part))
        self.five = nn.Sequential(conv1x1(inputs, part // 2), conv3x3(part // 2, part), conv3x3(part, part))
        self.pooled = nn.Sequential(nn.AvgPool2d(3, 1, padding=1), conv1x1(inputs, part))
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        branches = [self.one(x), self.three(x), self.five(x), self.pooled(x)]
        return F.relu(self.norm(torch.cat(branches, dim=1)), inplace=True)


class GatedBlock(nn.Module):
    """One half of the channels gates the other; the input is first divided by its largest, which learns nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.both = conv1x1(width, 2 * width)
        self.norm = nn.BatchNorm2d(2 * width)
        self.mix = conv1x1(width, width)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            largest = x.abs().amax((1, 2, 3), keepdim=True).clamp(min=1)
        values, gates = self.norm(self.both(x / largest)).chunk(2, dim=1)
        return x + self.mix(values * torch.sigmoid(gates))


class Head(nn.Module):
    """Means over the pixels, dropout, scores in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.scores = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(x).flatten(1)
        return self.scores(self.dropout(x)).float()


class TileNet(nn.Module):
    """Stem, four stages, head. The stem comes from pretraining and stays as it is."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.stem = Stem(width).requires_grad_(False)
        self.stage1 = nn.Sequential(*[BasicBlock(width, width) for _ in range(2)])
        self.stage2 = nn.Sequential(BasicBlock(width, 2 * width, stride=2), GroupedBlock(2 * width))
        self.stage3 = nn.Sequential(Bottleneck(2 * width, width, stride=2), Bottleneck(4 * width, width))
        self.mixed = nn.Sequential(Inception(4 * width, 4 * width), GatedBlock(4 * width))
        self.stage4 = nn.Sequential(
            SeparableBlock(4 * width, 6 * width, stride=2), SeparableBlock(6 * width, 6 * width)
        )
        self.head = Head(6 * width)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(self.normalize(images))
        x = self.stage1(x)
        x = self.stage2(x)
        x = checkpoint(self.stage3, x, use_reentrant=False) if self.training else self.stage3(x)
        x = self.mixed(x)
        x = self.stage4(x)
        return self.head(x)


class Objective(nn.Module):
    """What the training loop calls: images and labels in, the mean loss out."""

    def __init__(self, net: TileNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        scores = self.net(images)
        return F.cross_entropy(scores, labels, label_smoothing=0.1)
