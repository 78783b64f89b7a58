"""GoogLeNet as it was published, with response normalisation and biases: Szegedy et al. 2014, Table 1."""

import torch
from torch import nn
from torch.nn.functional import local_response_norm, max_pool2d, relu

TABLE_1 = """
    3a 192  64  96 128 16  32  32
    3b 256 128 128 192 32  96  64
    4a 480 192  96 208 16  48  64
    4b 512 160 112 224 24  64  64
    4c 512 128 128 256 24  64  64
    4d 512 112 144 288 32  64  64
    4e 528 256 160 320 32 128 128
    5a 832 256 160 320 32 128 128
    5b 832 384 192 384 48 128 128
"""
"""Maps in, 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj."""


class Conv(nn.Module):
    def __init__(self, maps, width, kernel=1, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(maps, width, kernel, stride, kernel // 2)

    def forward(self, x):
        return relu(self.conv(x))


class Inception(nn.Module):
    def __init__(self, maps, one, reduce3, three, reduce5, five, projection):
        super().__init__()
        self.branch1 = Conv(maps, one)
        self.branch2 = nn.Sequential(Conv(maps, reduce3), Conv(reduce3, three, 3))
        self.branch3 = nn.Sequential(Conv(maps, reduce5), Conv(reduce5, five, 5))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), Conv(maps, projection))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class GoogLeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = Conv(3, 64, 7, 2), Conv(64, 64), Conv(64, 192, 3)
        for row in TABLE_1.strip().splitlines():
            name, *widths = row.split()
            self.add_module(f"inception{name}", Inception(*map(int, widths)))
        self.fc = nn.Linear(1024, 1000)

    def forward(self, x):
        x = local_response_norm(max_pool2d(self.conv1(x), 3, 2, ceil_mode=True), 5)
        x = local_response_norm(self.conv3(self.conv2(x)), 5)
        for stage in ("3a 3b", "4a 4b 4c 4d 4e", "5a 5b"):
            x = max_pool2d(x, 3, 2, ceil_mode=True)
            for name in stage.split():
                x = self.get_submodule(f"inception{name}")(x)
        return self.fc(x.mean((2, 3)))
