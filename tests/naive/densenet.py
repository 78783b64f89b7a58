"""DenseNet on CIFAR, with bottlenecks and compression (BC) or without: Huang et al. 2017, sec. 3 and 4.2."""

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, relu


def conv(maps, width, kernel):
    return nn.Conv2d(maps, width, kernel, padding=kernel // 2, bias=False)


class Layer(nn.Module):
    def __init__(self, maps, growth, bc):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(maps), conv(maps, 4 * growth if bc else growth, 1 if bc else 3)
        if bc:
            self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), conv(4 * growth, growth, 3)

    def forward(self, x):
        y = self.conv1(relu(self.norm1(x)))
        return self.conv2(relu(self.norm2(y))) if hasattr(self, "conv2") else y


class Block(nn.Module):
    def __init__(self, maps, growth, layers, bc):
        super().__init__()
        for i in range(layers):
            self.add_module(f"denselayer{i + 1}", Layer(maps + i * growth, growth, bc))

    def forward(self, x):
        given = [x]
        for layer in self.children():
            given.append(layer(torch.cat(given, 1)))
        return torch.cat(given, 1)


class Transition(nn.Module):
    def __init__(self, maps, width):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(maps), conv(maps, width, 1)

    def forward(self, x):
        return avg_pool2d(self.conv(relu(self.norm(x))), 2)


class CifarDenseNet(nn.Module):
    def __init__(self, depth, growth, *, bc=False):
        super().__init__()
        maps, layers = 2 * growth if bc else 16, (depth - 4) // (6 if bc else 3)
        self.features = nn.Sequential()
        self.features.add_module("conv0", conv(3, maps, 3))
        for i in (1, 2, 3):
            self.features.add_module(f"denseblock{i}", Block(maps, growth, layers, bc))
            maps += layers * growth
            if i < 3:
                self.features.add_module(f"transition{i}", Transition(maps, maps // 2 if bc else maps))
                maps = maps // 2 if bc else maps
        self.features.add_module("norm4", nn.BatchNorm2d(maps))
        self.classifier = nn.Linear(maps, 10)

    def forward(self, x):
        return self.classifier(relu(self.features(x)).mean((2, 3)))
