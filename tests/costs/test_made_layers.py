"""Layers that the forward makes: their parameters count, by their path, and it is said that they were made."""

import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as torch's users call it

from resbench.arch.rows import Cost
from resbench.costs.result import Costs
from resbench.costs.table import cost_table
from resbench.costs.trace import trace
from resbench.results import read

IMAGE = (1, 3, 8, 8)
CONV, LINEAR = 3 * 4 * 9 + 4, 4 * 8 * 8 * 5 + 5  # 112 and 1,285 parameters
MACS = 3 * 4 * 9 * 64 + 256 * 5


class Late(nn.Module):
    """A convolution, and behind it a linear layer that is made when its width is known."""

    def __init__(self, keep):
        super().__init__()
        self.conv, self.keep = nn.Conv2d(3, 4, 3, padding=1), keep
        self.heads, self.by_width = [], {}

    def forward(self, x):
        y = self.conv(x).flatten(1)
        return self.keep(self, nn.Linear(y.shape[1], 5))(y)


def attribute(net, layer):
    net.fc = layer
    return layer


def listed(net, layer):
    net.heads.append(layer)
    return layer


def mapped(net, layer):
    net.by_width[layer.in_features] = layer
    return layer


def dropped(net, layer):
    return layer


def looking(net, layer):
    assert layer.weight[0, 0].item() is not None  # only a real run can say
    return attribute(net, layer)


KEPT = {attribute: "fc", listed: "heads.0", mapped: "by_width.256", dropped: "linear", looking: "fc"}


@pytest.mark.parametrize("keep", KEPT)
def test_a_layer_made_in_the_forward_counts_by_its_path(keep):
    net = Late(keep)
    report = trace(net, IMAGE)
    assert [(row.name, row.type, row.params) for row in report.layers] == [
        ("conv", "Conv2d", CONV),
        (KEPT[keep], "Linear", LINEAR),
    ]
    assert (report.params, report.macs, report.made) == (1397, MACS, (KEPT[keep],))
    assert not hasattr(net, "fc") and not net.heads and not net.by_width  # and the model is as it was
    keep is not dropped and net(torch.zeros(IMAGE))
    if keep is attribute:
        assert report.params == sum(p.numel() for p in net.parameters())


def test_a_block_made_in_the_forward_is_named_layer_by_layer():
    def forward(self, x):
        self.head = nn.Sequential(nn.Conv2d(x.shape[1], 2, 1), nn.Sequential(nn.Conv2d(2, 2, 1, bias=False)))
        return self.head(x)

    report = trace(type("Net", (nn.Module,), {"forward": forward})(), IMAGE)
    assert [(row.name, row.params) for row in report.layers] == [("head.0", 8), ("head.1.0", 4)]
    assert report.made == ("head.0", "head.1.0")


def test_layers_kept_nowhere_are_told_apart_below_their_caller():
    class Block(nn.Module):
        def forward(self, x):
            return nn.Linear(8, 8)(nn.Linear(8, 8)(x))

    report = trace(nn.Sequential(Block(), Block()), (1, 8))
    assert [row.name for row in report.layers] == ["0.linear", "0.linear_1", "1.linear", "1.linear_1"]
    assert report.params == 4 * 72


def test_a_parameter_made_in_the_forward_counts_with_its_layer():
    class Scale(nn.Module):
        def forward(self, x):
            if not hasattr(self, "weight"):
                self.weight = nn.Parameter(torch.ones(x.shape[-1], 3))
            return F.linear(x, self.weight.T)

    report = trace(nn.Sequential(Scale()), (2, 8))
    assert [(row.name, row.params, row.macs) for row in report.layers] == [("0", 24, 48)]
    assert report.made == ("0.weight",)


def test_what_holds_no_parameter_belongs_to_its_caller_as_ever():
    class Net(nn.Module):
        def forward(self, x):
            return nn.ReLU()(x)

    report = trace(nn.Sequential(Net()), IMAGE)
    assert [(row.name, row.type) for row in report.layers] == [("0", "Net")]
    assert report.made == ()


def test_a_layer_that_is_there_but_not_registered_was_not_made():
    hidden = [nn.Linear(8, 8)]

    class Net(nn.Module):
        def forward(self, x):
            return hidden[0].to(x.device)(x) if x.is_meta else hidden[0](x)

    assert trace(nn.Sequential(Net()), (1, 8)).made == ()


def test_what_was_made_is_said_in_table_and_json_and_read_back(tmp_path):
    report = trace(Late(attribute), IMAGE, name="late")
    (line,) = cost_table(report).warnings
    assert line == "late: made in the forward, and counted: fc."
    document = Costs((report,)).document()
    assert document["costs"][0]["made"] == ["fc"]
    path = tmp_path / "flops.json"
    path.write_text(json.dumps(document))
    assert read(path).result.costs[0].made == ("fc",)
    del document["costs"][0]["made"]  # as earlier versions wrote it
    path.write_text(json.dumps(document))
    assert read(path).result.costs[0].made == Cost("", "", (), ()).made == ()
