"""Inception-ResNet-v1: Szegedy et al. 2016, figures 10 to 15, with the scales of the authors' v2."""

import torch
from torch import nn
from torch.nn.functional import max_pool2d, relu


class Conv(nn.Module):
    """One that keeps the size is padded, unless it is marked V as in the figures."""

    def __init__(self, maps, width, kernel=(1, 1), stride=1, *, valid=False):
        super().__init__()
        padding = (0, 0) if valid or stride > 1 else (kernel[0] // 2, kernel[1] // 2)
        self.conv = nn.Conv2d(maps, width, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=0.001)

    def forward(self, x):
        return relu(self.bn(self.conv(x)))


def conv3(maps, width, stride=1, *, valid=False):
    return Conv(maps, width, (3, 3), stride, valid=valid)


class Residual(nn.Module):
    def __init__(self, maps, scale, *branches):
        super().__init__()
        self.scale, self.count = scale, len(branches)
        for i, branch in enumerate(branches):
            self.add_module(f"branch{i}", branch)
        together = sum(list(branch.modules())[-1].num_features for branch in branches)
        self.conv2d = nn.Conv2d(together, maps, 1)

    def forward(self, x):
        y = torch.cat([self.get_submodule(f"branch{i}")(x) for i in range(self.count)], 1)
        return relu(x + self.scale * self.conv2d(y))


class Reduction(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.count = len(branches)
        for i, branch in enumerate(branches):
            self.add_module(f"branch{i}", branch)

    def forward(self, x):
        ways = [self.get_submodule(f"branch{i}")(x) for i in range(self.count)]
        return torch.cat([*ways, max_pool2d(x, 3, 2)], 1)


def a():
    middle = nn.Sequential(Conv(256, 32), conv3(32, 32))
    right = nn.Sequential(Conv(256, 32), conv3(32, 32), conv3(32, 32))
    return Residual(256, 0.17, Conv(256, 32), middle, right)


def b():
    right = nn.Sequential(Conv(896, 128), Conv(128, 128, (1, 7)), Conv(128, 128, (7, 1)))
    return Residual(896, 0.1, Conv(896, 128), right)


def c():
    right = nn.Sequential(Conv(1792, 192), Conv(192, 192, (1, 3)), Conv(192, 192, (3, 1)))
    return Residual(1792, 0.2, Conv(1792, 192), right)


class InceptionResNetV1(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        self.conv2d_1a, self.conv2d_2a, self.conv2d_2b = conv3(3, 32, 2), conv3(32, 32, valid=True), conv3(32, 64)
        self.conv2d_3b, self.conv2d_4a, self.conv2d_4b = Conv(64, 80), conv3(80, 192, valid=True), conv3(192, 256, 2)
        self.repeat_1 = nn.Sequential(*(a() for _ in range(5)))
        self.mixed_6a = Reduction(
            conv3(256, 384, 2), nn.Sequential(Conv(256, 192), conv3(192, 192), conv3(192, 256, 2))
        )
        self.repeat_2 = nn.Sequential(*(b() for _ in range(10)))
        self.mixed_7a = Reduction(
            nn.Sequential(Conv(896, 256), conv3(256, 384, 2)),
            nn.Sequential(Conv(896, 256), conv3(256, 256, 2)),
            nn.Sequential(Conv(896, 256), conv3(256, 256), conv3(256, 256, 2)),
        )
        self.repeat_3 = nn.Sequential(*(c() for _ in range(5)))
        self.fc = nn.Linear(1792, classes)

    def forward(self, x):
        x = max_pool2d(self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x))), 3, 2)
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(x)))
        x = self.repeat_2(self.mixed_6a(self.repeat_1(x)))
        return self.fc(self.repeat_3(self.mixed_7a(x)).mean((2, 3)))
