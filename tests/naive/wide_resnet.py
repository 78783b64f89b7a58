"""Wide ResNet on CIFAR: Zagoruyko & Komodakis 2016, figure 1a and Table 1."""

from torch import nn
from torch.nn.functional import relu


class Unit(nn.Module):
    def __init__(self, maps, width, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(maps), nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(maps, width, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.downsample = nn.ModuleList()
        if (maps, stride) != (width, 1):
            self.downsample.append(nn.Conv2d(maps, width, 1, stride, bias=False))

    def forward(self, x):
        y = relu(self.bn1(x))
        for projection in self.downsample:
            x = projection(y)
        return x + self.conv2(relu(self.bn2(self.conv1(y))))


class WideResNet(nn.Module):
    def __init__(self, depth, k):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.layer1 = self.stage(16, 16 * k, 1, (depth - 4) // 6)
        self.layer2 = self.stage(16 * k, 32 * k, 2, (depth - 4) // 6)
        self.layer3 = self.stage(32 * k, 64 * k, 2, (depth - 4) // 6)
        self.bn2, self.fc = nn.BatchNorm2d(64 * k), nn.Linear(64 * k, 10)

    @staticmethod
    def stage(maps, width, stride, units):
        return nn.Sequential(Unit(maps, width, stride), *(Unit(width, width, 1) for _ in range(units - 1)))

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.fc(relu(self.bn2(x)).mean((2, 3)))
