"""A probe that is given something else than it expects says so, or means what was meant."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, linear

import resbench
from resbench import GradientProbe
from resbench.errors import MeasureError, OptionError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(3))
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def batches(n):
    draw = torch.Generator().manual_seed(1)
    return [(torch.randn(16, 8, generator=draw), torch.randint(0, 4, (16,), generator=draw)) for _ in range(n)]


def trained(n, read_at, optimizer_of=lambda model: torch.optim.SGD(model.parameters(), 0.1), **options):
    model = Net()
    optimizer, probe = optimizer_of(model), GradientProbe(model, **options)
    for i, (x, y) in enumerate(batches(n)):
        optimizer.zero_grad()
        cross_entropy(probe(x), y).backward()
        optimizer.step()
        if i in read_at:
            probe.read(optimizer)
    return probe


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_steps_that_nobody_read_are_no_part_of_the_next_that_is(kind):
    every, last = (trained(3, at, lambda model: kind(model.parameters(), 0.1)) for at in ((0, 1, 2), (2,)))
    numbers = [
        {(r.statistic, r.name): r.value for r in probe.rows if r.step == max(at)}
        for probe, at in ((every, {2}), (last, {0}))
    ]
    growth = [{key: value for key, value in one.items() if key[0] != "weight_growth"} for one in numbers]
    assert growth[0] == growth[1]
    assert {key[0] for key in growth[0]} >= {"gradient", "weight_gradient", "moved", "update", "relative_gradient"}


def test_one_name_or_module_may_be_watched():
    name, module = (trained(1, {0}, watch=one) for one in ("head", None))
    assert [row.name for row in name.rows if row.statistic == "gradient"] == ["head"]
    assert len([row for row in module.rows if row.statistic == "gradient"]) > 1
    model = Net()
    assert GradientProbe(model, watch=model.head)._watch == {"head"}
    assert GradientProbe(model, watch=model.blocks)._watch == {"blocks.0", "blocks.1", "blocks.2"}


def test_what_is_never_called_cannot_be_watched():
    with pytest.raises(OptionError, match="received blocks, a ModuleList; watch what it holds"):
        GradientProbe(Net(), watch=["blocks"])


@pytest.mark.parametrize("every", [0, 1.5, "2", None])
def test_every_is_a_whole_number(every):
    with pytest.raises(OptionError, match="expected every of at least 1, received"):
        GradientProbe(Net(), every=every)


@pytest.mark.parametrize("given", ["sgd", [torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.1)], object()])
def test_what_is_no_optimiser_is_refused(given):
    with pytest.raises(OptionError, match=f"param_groups, received {type(given).__name__}"):
        trained(1, ()).read(given)


@pytest.mark.parametrize("scale", [0, 0.0, -1, float("nan"), float("inf"), 10**400, "a", torch.zeros(1), torch.ones(2)])
def test_a_loss_was_not_multiplied_by_nothing(scale):
    with pytest.raises(OptionError, match="expected a scale above 0, received"):
        trained(1, ()).read(scale=scale)


RATES = [-1.0, float("nan"), float("inf"), 10**400, "a", [0.1], torch.tensor(-1.0), torch.ones(2)]


@pytest.mark.parametrize("lr", RATES)
def test_a_rate_is_no_text_and_not_below_zero(lr):
    with pytest.raises(OptionError, match="expected a learning rate lr of at least 0, received"):
        trained(1, ()).read(lr=lr)


@pytest.mark.parametrize("lr", [0, 0.1, np.float32(0.1), torch.tensor(0.1)])
def test_a_rate_may_be_any_number_also_in_the_place_of_the_optimizer(lr):
    model = Net()
    probe = GradientProbe(model)
    for give in (lambda: probe.read(lr), lambda: probe.read(lr=lr)):
        model.zero_grad()
        probe(torch.ones(2, 8)).sum().backward()
        give()
    expected = [float(lr * w.grad.norm() / w.detach().norm()) for w in model.parameters() if w.dim() > 1]
    for step in (0, 1):
        assert [r.value for r in probe.rows if (r.statistic, r.step) == ("update", step)] == pytest.approx(expected)


@pytest.mark.parametrize("watch", [3, [3], [0], [None], b"head", object()])
def test_what_is_watched_is_a_module_or_its_name(watch):
    with pytest.raises(OptionError, match="expected names of modules to watch, or modules; received"):
        GradientProbe(Net(), watch=watch)


@pytest.mark.parametrize("model", [None, "resnet20", torch.ones(1), Net])
def test_a_model_is_a_module(model):
    with pytest.raises(OptionError, match="expected a torch module, received"):
        GradientProbe(model)


def test_a_name_is_text():
    with pytest.raises(OptionError, match="expected name to be text, received 3"):
        GradientProbe(Net(), name=3)


class Functional(nn.Module):
    """No module to watch."""

    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.eye(8)) for _ in range(3)])

    def forward(self, x):
        for weight in self.weights:
            x = torch.tanh(linear(x, weight))
        return x


def test_a_model_without_layers_is_refused_by_name():
    probe = GradientProbe(Functional())
    probe(torch.ones(2, 8)).sum().backward()
    with pytest.raises(MeasureError, match="Functional calls no convolution, linear layer or block"):
        probe.read(0.1)


class Replacing(nn.Module):
    """Other weights in each forward."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 10)

    def forward(self, x):
        for layer in (self.body, self.head):
            layer.weight = nn.Parameter(layer.weight.detach() * 2)
            layer.bias = nn.Parameter(layer.bias.detach() * 2)
        return self.head(self.body(x).mean((2, 3)))


def test_gradflow_says_that_weights_are_replaced():
    with pytest.raises(MeasureError, match="Replacing replaces its own weights as it runs"):
        resbench.gradflow(Replacing(), (3, 8, 8), seeds=1, steps=(0,), batch=4)
