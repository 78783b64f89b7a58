"""BN-Inception: Ioffe & Szegedy 2015, figure 5, with the widths of 4c and 4d that the authors released."""

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, max_pool2d, relu

FIGURE_5 = """
    3a  192  64  64  64  64  96 avg  32
    3b  256  64  64  96  64  96 avg  64
    3c  320   0 128 160  64  96 max   0
    4a  576 224  64  96  96 128 avg 128
    4b  576 192  96 128  96 128 avg 128
    4c  576 160 128 160 128 160 avg 128
    4d  608  96 128 192 160 192 avg 128
    4e  608   0 128 192 192 256 max   0
    5a 1056 352 192 320 160 224 avg 128
    5b 1024 352 192 320 192 224 max 128
"""
"""Maps in, 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, pool, pool proj."""


class Conv(nn.Module):
    def __init__(self, maps, width, kernel=1, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(maps, width, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=0.001)

    def forward(self, x):
        return relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    def __init__(self, maps, one, reduce, three, double_reduce, double, pool, projection):
        super().__init__()
        self.average, self.stride = pool == "avg", 1 if one else 2
        self.branch1 = Conv(maps, one) if one else None
        self.branch2 = nn.Sequential(Conv(maps, reduce), Conv(reduce, three, 3, self.stride))
        self.branch3 = nn.Sequential(
            Conv(maps, double_reduce), Conv(double_reduce, double, 3), Conv(double, double, 3, self.stride)
        )
        self.branch4 = nn.Sequential(nn.Identity(), Conv(maps, projection)) if projection else None

    def forward(self, x):
        pooled = avg_pool2d(x, 3, 1, 1) if self.average else max_pool2d(x, 3, self.stride, 1)
        if self.branch1 is None:
            return torch.cat([self.branch2(x), self.branch3(x), pooled], 1)
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(pooled)], 1)


class BNInception(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = Conv(3, 64, 7, 2), Conv(64, 64), Conv(64, 192, 3)
        self.order = []
        for row in FIGURE_5.split("\n")[1:-1]:
            name, *widths = row.split()
            self.add_module(f"inception{name}", Inception(*(int(w) if w.isdigit() else w for w in widths)))
            self.order.append(f"inception{name}")
        self.fc = nn.Linear(1024, classes)

    def forward(self, x):
        x = max_pool2d(self.conv1(x), 3, 2, 1)
        x = max_pool2d(self.conv3(self.conv2(x)), 3, 2, 1)
        for name in self.order:
            x = self.get_submodule(name)(x)
        return self.fc(x.mean((2, 3)))
