"""AnyNet, and with it RegNet (Radosavovic et al. 2020, sec. 3.2), from the widths and depths of its stages."""

from collections import OrderedDict

from torch import nn


def _conv(before, after, kernel, stride=1, groups=1, *, active=True):
    layers = [nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(after)]
    return nn.Sequential(*layers, *([nn.ReLU()] if active else []))


class _Squeeze(nn.Module):
    def __init__(self, channels, squeezed):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class _Block(nn.Module):
    def __init__(self, before, width, stride, group, ratio, squeezes):
        super().__init__()
        inner = width // ratio
        parts = [("a", _conv(before, inner, 1)), ("b", _conv(inner, inner, 3, stride, inner // min(group, inner)))]
        if squeezes:
            parts.append(("se", _Squeeze(inner, round(before / 4))))
        self.f = nn.Sequential(OrderedDict([*parts, ("c", _conv(inner, width, 1, active=False))]))
        self.proj = _conv(before, width, 1, stride, active=False) if stride == 2 or before != width else nn.Identity()

    def forward(self, x):
        return (self.f(x) + self.proj(x)).relu()


class AnyNet(nn.Module):
    def __init__(self, depths, widths, groups, ratios, squeezes=False, classes=1000):
        super().__init__()
        self.stem = _conv(3, 32, 3, 2)
        stages, before = OrderedDict(), 32
        for i, (depth, width, group, ratio) in enumerate(zip(depths, widths, groups, ratios, strict=True), 1):
            blocks = OrderedDict()
            for j in range(depth):
                blocks[f"block{i}-{j}"] = _Block(before, width, 1 if j else 2, group, ratio, squeezes)
                before = width
            stages[f"block{i}"] = nn.Sequential(blocks)
        self.trunk_output = nn.Sequential(stages)
        self.fc = nn.Linear(before, classes)

    def forward(self, x):
        return self.fc(self.trunk_output(self.stem(x)).mean((2, 3)))
