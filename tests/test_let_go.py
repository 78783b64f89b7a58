"""A model of the caller's is let go of with the last name for it: nothing of ours waits for the garbage collector.

Weights are few objects and many bytes: Python's collector would come long after the memory was full.
"""

import gc
import weakref
from functools import cache

import pytest
import torch
from torch import nn

import resbench
from resbench.errors import ResbenchError

INPUT = (3, 8, 8)
BATCHES = [(torch.randn(8, *INPUT), torch.randint(0, 10, (8,)))]


class Net(nn.Module):
    """A network of two convolutions."""

    def __init__(self):
        super().__init__()
        self.first, self.bn = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.fc = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 10)

    def forward(self, x):
        return self.fc(torch.relu(self.second(torch.relu(self.bn(self.first(x))))).mean((2, 3)))


class Looks(Net):
    """It looks at values, so that it is tried on the meta device before it runs."""

    def forward(self, x):
        return super().forward(x + 1 if x.sum() > 0 else x)


class Derives(Net):
    """It takes a gradient itself, so that it is tried without first."""

    def forward(self, x):
        grown = self.first(x)
        [slope] = torch.autograd.grad(grown.sum(), self.first.weight, create_graph=True)
        return self.fc(grown.mean((2, 3))) + slope.sum()


class Fails(Net):
    """Its shapes do not fit."""

    def forward(self, x):
        return self.fc(self.first(x))


def probed(model):
    """Observe one step of a training loop."""
    probe, optimizer = resbench.GradientProbe(model), torch.optim.SGD(model.parameters(), 0.1)
    for images, labels in BATCHES:
        nn.functional.cross_entropy(probe(images), labels).backward()
        optimizer.step()
        probe.read(optimizer)


WAYS = {
    "flops": lambda model: resbench.flops(model, INPUT),
    "training": lambda model: resbench.flops(model, INPUT, mode="training"),
    "show": lambda model: resbench.show(model, INPUT),
    "field": lambda model: resbench.field(model, INPUT),
    "latency": lambda model: resbench.latency(model, INPUT),
    "layers": lambda model: resbench.layers(model, INPUT),
    "memory": lambda model: resbench.memory(model, INPUT, mode="training"),
    "landscape": lambda model: resbench.landscape(model, batches=BATCHES, points=3),
    "probe": probed,
}


@cache
def imported(way):
    """Have what a first call imports: others keep an ImportError, and with it who asked."""
    WAYS[way](Net())


@pytest.mark.parametrize("kind", [Net, Looks, Derives, Fails])
@pytest.mark.parametrize("way", WAYS)
def test_a_model_is_let_go_of(way, kind, enough):
    imported(way)
    gc.collect()
    gc.disable()
    try:
        model = kind()
        held = [weakref.ref(model), *map(weakref.ref, model.parameters())]
        try:
            WAYS[way](model)
        except (ResbenchError, RuntimeError):
            assert kind is Fails or (way, kind) == ("landscape", Derives)
        del model
        assert not [one for one in held if one() is not None]
    finally:
        gc.enable()
