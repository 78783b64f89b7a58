"""The question `field`: its command, its result, and the gradient at the centre of the last map."""

import json

import pytest
import torch
from commands import called
from torch import nn

import resbench
from resbench.arch import BatchNorm2d, Conv2d, GlobalAvgPool, Seq, architecture
from resbench.arch.windows import Span
from resbench.errors import MeasureError, OptionError
from resbench.fields.effective import _side


def test_a_table_says_field_stride_and_padding_and_where_the_input_is_passed(cli):
    done = cli("field", "plain56", "resnet50", "resnet20,se=4", "-f", "csv")
    rows = [
        dict(zip(done.stdout.splitlines()[0].split(","), line.split(","), strict=False))
        for line in done.stdout.splitlines()[1:]
    ]
    assert done.returncode == 0
    assert [(row["field"], row["stride"], row["padding"]) for row in rows[:2]] == [
        ("249", "4", "124"),
        ("427", "32", "213"),
    ]
    assert rows[0]["passes"] == "layer1.7.conv1"
    assert "layer1.0.se.mul" in done.stdout


def test_layers_stand_in_running_order_with_their_remarks(cli):
    done = cli("field", "resnet20,se=4", "--per", "layer")
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith(("layer", "conv1", "fc"))}
    assert lines["conv1"].split()[3:] == ["3", "1", "1"]
    assert lines["layer1.0.se.mul"].endswith("whole input by gates from here")
    assert lines["fc"].endswith("sees the whole")
    refused = cli("field", "plain20", "resnet20", "--per", "layer", "-f", "csv")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_the_gradient_fills_less_than_the_field_and_all_of_it_is_kept(cli, tmp_path):
    file, picture = tmp_path / "field.json", tmp_path / "field.svg"
    options = ("--measure", "--seeds", "2", "--images", "2", "--input", "3x48x64")
    done = cli("field", "plain20", *options, "-o", str(file), "--plot", str(picture))
    assert done.returncode == 0, done.stderr
    found = resbench.load(file)
    effective = found.fields[0].effective
    assert effective.layer == "layer3.2.relu2"
    assert effective.centre == (24, 32)
    assert len(effective.sides) == 2
    assert 1 < effective.side < max(found.fields[0].size)
    assert (len(effective.cells), len(effective.cells[0])) == (48, 64)
    assert sum(map(sum, effective.cells)) == pytest.approx(1)
    assert json.loads(found.to_json())["fields"] == json.loads(file.read_text())["fields"]
    assert picture.read_text().startswith("<svg")
    assert "2 seeds, 2 random images each, weights as initialised" in found.text()


def test_the_gradient_stays_in_the_theoretical_field_and_of_one_convolution_is_that():
    network = Seq(conv=Conv2d(3, 4, 5, padding=2, bias=False), bn=BatchNorm2d(4), pool=GlobalAvgPool())
    one = resbench.field(network, (3, 21, 21), measure=True, seeds=2, images=2).fields[0]
    outside = [
        share
        for i, line in enumerate(one.effective.cells)
        for j, share in enumerate(line)
        if max(abs(i - 10), abs(j - 10)) > 2
    ]
    assert one.size == (5, 5)
    assert one.effective.sides == (5, 5)
    assert sum(outside) == 0


def test_the_side_is_that_of_the_least_square_with_its_share():
    shares = torch.zeros(9, 9, dtype=torch.double)
    shares[4, 4], shares[4, 6], shares[0, 0] = 0.9, 0.06, 0.04
    assert _side(shares, (4, 4)) == 5
    shares[4, 6], shares[0, 0] = 0.05, 0.05
    assert _side(shares, (4, 4)) == 9


def test_a_module_is_afterwards_what_it_was():
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)
    ).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    found = resbench.field(module, (3, 12, 12), measure=True, seeds=1).fields[0]
    assert found.last.window == (Span(1, 0, 2), Span(1, 0, 2))
    assert found.effective.weights == "the module's own weights"
    assert module.training and all(one.requires_grad and one.grad is None for one in module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert module[1].momentum == 0.1
    assert not module[0]._forward_hooks


@pytest.mark.parametrize(
    ("model", "input", "said"),
    [
        (nn.Flatten(), (3, 4, 4), "no map of positions"),
        (
            nn.Sequential(nn.Conv2d(3, 3, 3), nn.Upsample(scale_factor=2)),
            (3, 8, 8),
            "it is not known what 1 .Upsample. sees",
        ),
    ],
)
def test_what_cannot_be_measured_is_one_line(model, input, said):
    with pytest.raises(MeasureError, match=said):
        resbench.field(model, input, measure=True)


def test_no_seed_and_no_input_are_refused():
    with pytest.raises(OptionError, match="expected seeds of at least 1"):
        resbench.field("resnet20", measure=True, seeds=0)
    with pytest.raises(OptionError, match="no input of its own"):
        resbench.field(architecture("resnet20").body)


def test_networks_are_compared_by_their_field(cli):
    done = cli("compare", "plain20", "resnet50", "--metrics", "field", "-f", "csv")
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[1] for line in done.stdout.splitlines()[1:]] == ["81", "427"]


def test_two_inputs_of_the_same_sides_are_seen_alike():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(1, 4, 5, padding=2)

        def forward(self, rgb, depth):
            return self.a(rgb) + self.b(depth)

    (one,) = resbench.field(Two(), {"rgb": (3, 16, 16), "depth": (1, 16, 16)}).fields
    assert one.size == (5, 5) and not one.unknown


def test_how_to_measure_is_refused_where_nothing_is_measured():
    done = called("field", "resnet20", "--seeds", "1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "expected --measure with them" in done.stderr
    with pytest.raises(OptionError, match="expected seeds of at least 1"):
        resbench.field("resnet20", measure=True, seeds=1.5)
