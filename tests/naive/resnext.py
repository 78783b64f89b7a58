"""ResNeXt-29 on CIFAR: Xie et al. 2017, figure 3c and sec. 5.3."""

from torch import nn
from torch.nn.functional import relu


class Unit(nn.Module):
    def __init__(self, maps, width, stride, cardinality, inner):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(maps, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=cardinality, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width)
        self.downsample = nn.Sequential()
        if maps != width:
            self.downsample.append(nn.Conv2d(maps, width, 1, stride, bias=False)).append(nn.BatchNorm2d(width))

    def forward(self, x):
        y = relu(self.bn2(self.conv2(relu(self.bn1(self.conv1(x))))))
        return relu(self.downsample(x) + self.bn3(self.conv3(y)))


class ResNeXt29(nn.Module):
    def __init__(self, cardinality, width):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64)
        inner = cardinality * width
        self.layer1 = self.stage(64, 256, 1, cardinality, inner)
        self.layer2 = self.stage(256, 512, 2, cardinality, 2 * inner)
        self.layer3 = self.stage(512, 1024, 2, cardinality, 4 * inner)
        self.fc = nn.Linear(1024, 10)

    @staticmethod
    def stage(maps, width, stride, cardinality, inner):
        more = (Unit(width, width, 1, cardinality, inner) for _ in range(2))
        return nn.Sequential(Unit(maps, width, stride, cardinality, inner), *more)

    def forward(self, x):
        x = self.layer1(relu(self.bn1(self.conv1(x))))
        return self.fc(self.layer3(self.layer2(x)).mean((2, 3)))
