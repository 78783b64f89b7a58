"""PyramidNet: Han D. et al. 2017, eq. 3 and figure 6d; widths are rounded, as in the authors' code."""

from torch import nn
from torch.nn.functional import avg_pool2d, relu


class Unit(nn.Module):
    def __init__(self, maps, width, stride, bottleneck):
        super().__init__()
        self.stride = stride
        rows = [(width, 3, stride), (width, 3, 1)]
        if bottleneck:
            rows = [(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)]
        self.bn1 = nn.BatchNorm2d(maps)
        for i, (out, kernel, step) in enumerate(rows, 1):
            self.add_module(f"conv{i}", nn.Conv2d(maps, out, kernel, step, kernel // 2, bias=False))
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(out))
            maps = out

    def forward(self, x):
        y = self.bn2(self.conv1(self.bn1(x)))
        y = self.bn3(self.conv2(relu(y)))
        if hasattr(self, "conv3"):
            y = self.bn4(self.conv3(relu(y)))
        if self.stride == 2:
            x = avg_pool2d(x, 2, ceil_mode=True)
        y[:, : x.shape[1]] += x
        return y


class PyramidNet(nn.Module):
    def __init__(self, depth, alpha, *, bottleneck=False):
        super().__init__()
        each = (depth - 2) // (9 if bottleneck else 6)
        widths = [round(16 + alpha * k / (3 * each)) for k in range(1, 3 * each + 1)]
        maps = [16, *(width * (4 if bottleneck else 1) for width in widths)]
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        units = [Unit(maps[k], width, 2 if k in (each, 2 * each) else 1, bottleneck) for k, width in enumerate(widths)]
        for i in range(3):
            self.add_module(f"layer{i + 1}", nn.Sequential(*units[i * each : (i + 1) * each]))
        self.bn_final, self.fc = nn.BatchNorm2d(maps[-1]), nn.Linear(maps[-1], 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)))))
        return self.fc(relu(self.bn_final(x)).mean((2, 3)))
