"""Modules of GoogLeNet on small images (Szegedy et al. 2014, figure 2), perhaps with a residual sum around each."""

from collections import OrderedDict

import torch
from torch import nn


class _Conv(nn.Module):
    def __init__(self, before, after, kernel, bn):
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=not bn)
        if bn:
            self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, x):
        x = self.conv(x)
        return (self.bn(x) if hasattr(self, "bn") else x).relu()


class _Module(nn.Module):
    def __init__(self, before, w, reduced, bn):
        super().__init__()
        self.branch1 = _Conv(before, w, 1, bn)
        if reduced:
            self.branch2 = nn.Sequential(_Conv(before, 3 * w // 2, 1, bn), _Conv(3 * w // 2, 2 * w, 3, bn))
            self.branch3 = nn.Sequential(_Conv(before, w // 4, 1, bn), _Conv(w // 4, w // 2, 5, bn))
        else:
            self.branch2 = _Conv(before, 2 * w, 3, bn)
            self.branch3 = _Conv(before, w // 2, 5, bn)
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), _Conv(before, w // 2, 1, bn))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


def _linear(before, after, bn):
    parts = [("conv", nn.Conv2d(before, after, 1, bias=not bn))]
    return OrderedDict([*parts, *([("norm", nn.BatchNorm2d(after, eps=0.001))] if bn else [])])


class _Residual(nn.Module):
    def __init__(self, before, w, reduced, bn):
        super().__init__()
        self.mixed = _Module(before, w, reduced, bn)
        for name, layer in _linear(4 * w, 4 * w, bn).items():
            setattr(self, name, layer)
        self.downsample = nn.Sequential(_linear(before, 4 * w, bn)) if before != 4 * w else nn.Identity()

    def forward(self, x):
        y = self.conv(self.mixed(x))
        return ((self.norm(y) if hasattr(self, "norm") else y) + self.downsample(x)).relu()


class InceptionNet(nn.Module):
    def __init__(self, depths=(2, 2, 2), width=16, reduced=True, residual=False, bn=True, classes=10):
        super().__init__()
        self.stem, before = _Conv(3, 4 * width, 3, bn), 4 * width
        self.stages = []
        for i, depth in enumerate(depths, 1):
            units = []
            for _ in range(depth):
                w = width * 2 ** (i - 1)
                units.append((_Residual if residual else _Module)(before, w, reduced, bn))
                before = 4 * w
            self.stages.append(f"stage{i}")
            setattr(self, f"stage{i}", nn.Sequential(*units))
        self.fc = nn.Linear(before, classes)

    def forward(self, x):
        x = self.stem(x)
        for i, name in enumerate(self.stages):
            x = getattr(self, name)(nn.functional.max_pool2d(x, 3, 2, 1) if i else x)
        return self.fc(x.mean((2, 3)))
