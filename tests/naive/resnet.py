"""Residual networks and plain ones: He et al. 2015, Table 1 and sec. 4.2; pre-activated ones: He et al. 2016, figure 4e
and the appendix."""

import torch
from torch import nn
from torch.nn.functional import max_pool2d, relu


def rows(maps, width, stride, bottleneck):
    """In, out, kernel and stride of the convolutions of a unit that gives ``width`` maps."""
    if bottleneck:
        inner = width // 4
        return (maps, inner, 1, 1), (inner, inner, 3, stride), (inner, width, 1, 1)
    return (maps, width, 3, stride), (width, width, 3, 1)


class Unit(nn.Module):
    """relu(x + F(x)); a plain unit is relu(F(x)). Shortcuts are A (padding) or B (projection)."""

    def __init__(self, maps, width, stride, bottleneck, shortcut):
        super().__init__()
        self.stride, self.shortcut, self.wider = stride, shortcut, width - maps
        for i, (a, b, kernel, step) in enumerate(rows(maps, width, stride, bottleneck), 1):
            self.add_module(f"conv{i}", nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(b))
        if shortcut == "B" and (self.wider or stride > 1):
            self.downsample = nn.Sequential(nn.Conv2d(maps, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        if hasattr(self, "conv3"):
            y = self.bn3(self.conv3(relu(y)))
        if self.shortcut == "none":
            return relu(y)
        if hasattr(self, "downsample"):
            return relu(y + self.downsample(x))
        x = x[:, :, :: self.stride, :: self.stride]
        return relu(y + torch.cat([x, x.new_zeros(len(x), self.wider, *x.shape[2:])], 1))


class Preactivated(nn.Module):
    """x + F(x), where F begins with BN and ReLU; the first unit of a network has them in the stem."""

    def __init__(self, maps, width, stride, bottleneck, shortcut, *, first):
        super().__init__()
        self.stride, self.wider, self.first = stride, width - maps, first
        for i, (a, b, kernel, step) in enumerate(rows(maps, width, stride, bottleneck), 1):
            if i > 1 or not first:
                self.add_module(f"bn{i}", nn.BatchNorm2d(a))
            self.add_module(f"conv{i}", nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False))
        if shortcut == "B" and (self.wider or stride > 1):
            self.downsample = nn.Sequential(nn.Conv2d(maps, width, 1, stride, bias=False))

    def forward(self, x):
        opened = x if self.first else relu(self.bn1(x))
        y = self.conv2(relu(self.bn2(self.conv1(opened))))
        if hasattr(self, "conv3"):
            y = self.conv3(relu(self.bn3(y)))
        if hasattr(self, "downsample"):
            return y + self.downsample(opened)
        y[:, : x.shape[1]] += x[:, :, :: self.stride, :: self.stride]
        return y


class ResNet(nn.Module):
    """Four stages behind a 7x7 and a maximum are ImageNet's, three behind a 3x3 CIFAR's."""

    def __init__(self, counts, *, bottleneck=False, shortcut="B", preactivated=False):
        super().__init__()
        self.imagenet, self.preactivated = len(counts) == 4, preactivated
        maps = base = 64 if self.imagenet else 16
        opening = (7, 2, 3) if self.imagenet else (3, 1, 1)
        self.conv1, self.bn1 = nn.Conv2d(3, maps, *opening, bias=False), nn.BatchNorm2d(maps)
        for stage, count in enumerate(counts):
            width, units = base * 2**stage * (4 if bottleneck else 1), []
            for i in range(count):
                stride = 2 if stage and not i else 1
                first = {"first": not stage and not i} if preactivated else {}
                units.append(
                    (Preactivated if preactivated else Unit)(maps, width, stride, bottleneck, shortcut, **first)
                )
                maps = width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*units))
        if preactivated:
            self.bn2 = nn.BatchNorm2d(maps)
        self.fc = nn.Linear(maps, 1000 if self.imagenet else 10)

    def forward(self, x):
        x = relu(self.bn1(self.conv1(x)))
        if self.imagenet:
            x = max_pool2d(x, 3, 2, 1)
        x = self.layer3(self.layer2(self.layer1(x)))
        if self.imagenet:
            x = self.layer4(x)
        return self.fc((relu(self.bn2(x)) if self.preactivated else x).mean((2, 3)))
