"""A module that runs several times has a place for each call, and a weight that is shared counts once."""

from statistics import median

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from resbench import GradientProbe
from resbench.gradients.result import Flow


class Thrice(nn.Module):
    """One block runs three times; ``kept`` are its outputs, whose gradients autograd retains."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 10)
        self.m = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.kept = []

    def forward(self, x):
        x = self.stem(x)
        for _ in range(3):
            x = self.m(x)
            x.retain_grad()
            self.kept.append(x)
        return self.head(x.mean((2, 3)))


def trained(model, *batches):
    """A probe after one step, of passes that accumulate."""
    probe, optimizer = GradientProbe(model), torch.optim.SGD(model.parameters(), 0.1)
    for x in batches:
        probe(x).square().mean().backward()
    optimizer.step()
    probe.read(optimizer)
    return probe


def images(size=8):
    return torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(size))


def test_tensorboard_gets_one_value_a_tag_and_step_with_a_tag_for_each_call(tmp_path):
    model = Thrice()
    with SummaryWriter(tmp_path) as writer:
        trained(model, images()).write(writer)
    events = EventAccumulator(str(tmp_path)).Reload()
    tags = events.Tags()["scalars"]
    assert {tag: len(events.Scalars(tag)) for tag in tags} == dict.fromkeys(tags, 1)
    calls = [events.Scalars(f"gradient/m.1{call}")[0].value for call in ("", "#2", "#3")]
    assert calls == pytest.approx([float(value.grad.norm()) for value in model.kept], rel=1e-6)
    assert [tag for tag in tags if tag.startswith("weight_gradient/m")] == ["weight_gradient/m.0"]
    assert events.Scalars("weight_gradient/m.0")[0].value == pytest.approx(float(model.m[0].weight.grad.norm()))


def test_passes_that_take_other_ways_and_sizes_have_one_place_for_each_call():
    class Skipping(Thrice):
        """Every second pass leaves the first convolution out, so that others stand less deep."""

        def __init__(self):
            super().__init__()
            self.first, self.skips = nn.Conv2d(8, 8, 1), False

        def forward(self, x):
            x = self.stem(x)
            x = x if self.skips else self.first(x)
            self.skips = not self.skips
            for _ in range(3):
                x = self.m(x)
                x.retain_grad()
                self.kept.append(x)
            return self.head(x.mean((2, 3)))

    model = Skipping()
    rows = [row for row in trained(model, images(8), images(12)).rows if row.place != "network"]
    assert len({(row.statistic, row.name) for row in rows}) == len(rows)
    for i, call in enumerate(("m.1", "m.1#2", "m.1#3")):
        whole = torch.cat([value.grad.flatten() for value in model.kept[i::3]]).norm()
        assert [row.value for row in rows if (row.statistic, row.name) == ("gradient", call)] == [
            pytest.approx(float(whole), rel=1e-6)
        ]


def test_one_relu_of_several_widths_tells_the_dead_channels_of_all_passes():
    class Narrowing(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.stem, self.wide, self.relu = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 6, 1), nn.ReLU()
            self.head = nn.Linear(6, 3)
            with torch.no_grad():
                self.stem.bias.fill_(-100)
                self.wide.bias.fill_(100)
            self.skips = False

        def forward(self, x):
            x = self.stem(x)
            x = x if self.skips else self.relu(x)
            self.skips = True
            return self.head(self.relu(self.wide(x)).mean((2, 3)))

    rows = trained(Narrowing(), images(), images()).rows
    dead = {row.name: row.value for row in rows if row.statistic == "dead"}
    assert dead == {"relu": pytest.approx(4 / 10), "relu#2": 0}  # 4 channels of the first pass, 6 of the second


def test_a_weight_under_several_names_counts_once_in_the_early_updates():
    torch.manual_seed(0)
    shared = [nn.Linear(8, 8) for _ in range(3)]
    for layer in shared[1:]:
        layer.weight = shared[0].weight
    model = nn.Sequential(*shared, *(nn.Linear(8, 8) for _ in range(5)))
    rows = trained(model, torch.randn(4, 8)).rows
    updates = [row.value for row in rows if row.statistic == "update"]
    assert [row.name for row in rows if row.statistic == "update"] == ["0", "3", "4", "5", "6", "7"]
    record = Flow("net", (8,), tuple(rows)).record(0)
    assert record["early_update"] == median(updates[:2]) != updates[0]
