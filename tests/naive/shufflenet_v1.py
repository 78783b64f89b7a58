"""ShuffleNet v1: Zhang X. et al. 2018, figure 2 and Table 1."""

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, max_pool2d, relu

TABLE_1 = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}


def conv(maps, width, kernel=1, stride=1, groups=1):
    return nn.Sequential(
        nn.Conv2d(maps, width, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(width)
    )


class Unit(nn.Module):
    def __init__(self, maps, width, groups, opening):
        super().__init__()
        inner, self.groups, self.strides = width // 4, groups, maps != width
        self.compress = conv(maps, inner, groups=opening)
        self.depthwise = conv(inner, inner, 3, 2 if self.strides else 1, inner)
        self.expand = conv(inner, width - maps if self.strides else width, groups=groups)

    def forward(self, x):
        y = relu(self.compress(x))
        each = y.shape[1] // self.groups
        shuffled = [group * each + i for i in range(each) for group in range(self.groups)]
        y = self.expand(self.depthwise(y[:, shuffled]))
        return relu(torch.cat([avg_pool2d(x, 3, 2, 1), y], 1) if self.strides else x + y)


class ShuffleNet(nn.Module):
    def __init__(self, groups):
        super().__init__()
        width = TABLE_1[groups]
        self.conv1 = conv(3, 24, 3, 2)
        self.stage2 = self.stage(24, width, groups, 4, opening=1)
        self.stage3 = self.stage(width, 2 * width, groups, 8, opening=groups)
        self.stage4 = self.stage(2 * width, 4 * width, groups, 4, opening=groups)
        self.fc = nn.Linear(4 * width, 1000)

    @staticmethod
    def stage(maps, width, groups, units, opening):
        more = (Unit(width, width, groups, groups) for _ in range(units - 1))
        return nn.Sequential(Unit(maps, width, groups, opening), *more)

    def forward(self, x):
        x = max_pool2d(relu(self.conv1(x)), 3, 2, 1)
        return self.fc(self.stage4(self.stage3(self.stage2(x))).mean((2, 3)))
