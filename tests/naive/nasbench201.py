"""Networks of NAS-Bench-201, node by node as their strings say: ``|skip_connect~0|+|none~0|nor_conv_3x3~1|+|...|``
(Dong & Yang 2020, figure 1)."""

import re

from torch import nn
from torch.nn.functional import avg_pool2d, relu

KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


def read(text):
    """Into each node but the first: the names of the operations, and where they come from."""
    return [[(name, int(source)) for name, source in re.findall(r"(\w+)~(\d)", node)] for node in text.split("+")]


class Conv(nn.Module):
    def __init__(self, before, after, kernel, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(after)

    def forward(self, x):
        return self.bn(self.conv(relu(x)))


class Cell(nn.Module):
    def __init__(self, text, maps):
        super().__init__()
        self.incoming = read(text)
        self.node2 = nn.Module()
        for i, node in enumerate(self.incoming, 1):
            for name, source in node:
                if name in KERNELS:
                    owner = self.node2 if i == 2 else self
                    owner.add_module(f"edge{source}{i}", Conv(maps, maps, KERNELS[name]))

    def forward(self, x):
        nodes = [x]
        for i, node in enumerate(self.incoming, 1):
            owner, y = self.node2 if i == 2 else self, x - x
            for name, source in node:
                if name == "avg_pool_3x3":
                    y = y + avg_pool2d(nodes[source], 3, 1, 1, count_include_pad=False)
                elif name == "skip_connect":
                    y = y + nodes[source]
                elif name != "none":
                    y = y + getattr(owner, f"edge{source}{i}")(nodes[source])
            nodes.append(y)
        return nodes[-1]


class Reduction(nn.Module):
    def __init__(self, maps):
        super().__init__()
        self.a, self.b = Conv(maps, 2 * maps, 3, 2), Conv(2 * maps, 2 * maps, 3)
        self.downsample = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(maps, 2 * maps, 1, bias=False))

    def forward(self, x):
        return self.b(self.a(x)) + self.downsample(x)


class NasBench201(nn.Module):
    def __init__(self, text, maps=16, cells=5, classes=10):
        super().__init__()
        self.stem = nn.Sequential()
        self.stem.conv, self.stem.bn = nn.Conv2d(3, maps, 3, padding=1, bias=False), nn.BatchNorm2d(maps)
        self.stage1 = nn.Sequential(*[Cell(text, maps) for _ in range(cells)])
        self.reduction1 = Reduction(maps)
        self.stage2 = nn.Sequential(*[Cell(text, 2 * maps) for _ in range(cells)])
        self.reduction2 = Reduction(2 * maps)
        self.stage3 = nn.Sequential(*[Cell(text, 4 * maps) for _ in range(cells)])
        self.last = nn.Module()
        self.last.bn = nn.BatchNorm2d(4 * maps)
        self.fc = nn.Linear(4 * maps, classes)

    def forward(self, x):
        x = self.reduction1(self.stage1(self.stem(x)))
        x = self.stage3(self.reduction2(self.stage2(x)))
        return self.fc(relu(self.last.bn(x)).mean((2, 3)))
