"""Receptive fields, strides and paddings: against published values, and against pixels that are changed."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from resbench.arch import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Identity,
    Linear,
    MaxPool2d,
    Mul,
    PadChannels,
    ReLU,
    SamePad,
    Seq,
    Sigmoid,
    architecture,
    select,
)
from resbench.arch.algebra import Layer, Operator, walk
from resbench.arch.cost import cost as fold
from resbench.arch.windows import Span
from resbench.costs.trace import trace
from resbench.fields.measure import field
from resbench.fields.reading import layer_fields
from resbench.networks.build import build
from resbench.networks.load import load

with (Path(__file__).parents[1] / "golden/receptive_field.csv").open() as file:
    PUBLISHED = {row["network"]: [int(number) for number in list(row.values())[1:4]] for row in csv.DictReader(file)}

FORMS = {
    "resnet50,stride=1x1,padding=same": "resnet_v1_50",
    "resnet101,stride=1x1,padding=same": "resnet_v1_101",
    "resnet152,stride=1x1,padding=same": "resnet_v1_152",
    "mobilenetv1_100,padding=same": "mobilenet_v1",
    "vgg16": "vgg_16",
    "inception_v3": "inception_v3",
    "inception_v4": "inception_v4",
    "inception_resnet_v2": "inception_resnet_v2",
}
"""These are the networks of the catalog in the form that the reference counted."""


def of(one):
    """Field, stride and padding of the last map, whose axes are alike."""
    spans = set(one.last.window)
    assert len(spans) == 1
    span = spans.pop()
    return [span.size, span.stride, span.padding]


@pytest.mark.parametrize("name", FORMS)
def test_the_networks_have_their_published_field_stride_and_padding(name):
    assert of(field(name)) == PUBLISHED[FORMS[name]]


@pytest.mark.parametrize("name", [name for name in FORMS if name.endswith(",padding=same")])
def test_symmetric_padding_changes_the_padding_alone(name):
    size, stride, padding = PUBLISHED[FORMS[name]]
    symmetric = of(field(name.removesuffix(",padding=same")))
    # one position at each strided window of the reference: at stride 2, or at strides 1, 2, 4, 8 and 16
    assert symmetric == [size, stride, padding + (2 if name.startswith("resnet") else 31)]


def test_padding_behind_the_map_in_torch_gives_the_published_padding_too():
    network = build("resnet50,stride=1x1", device="meta")
    network.maxpool = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2))
    assert of(field(network, (3, 224, 224))) == PUBLISHED["resnet_v1_50"]


@pytest.mark.parametrize(("name", "twin"), [("inception_v4", "inception_v4"), ("inception_resnet_v2",) * 2])
def test_timms_inceptions_have_their_published_field_stride_and_padding(torchvision, name, twin):
    pytest.importorskip("timm")
    assert of(field(f"timm:{name}")) == PUBLISHED[twin]


def test_a_shortcut_changes_no_field_and_the_place_of_the_stride_does():
    sizes = [max(one.size) for one in field(["plain56", "resnet56", "resnet50", "resnet50,stride=1x1"]).fields]
    assert sizes == [249, 249, 427, 483]


# -- the numerical route: pixels are changed, and positions of the output move -------------------------


def conv(channels=1, kernel=3, stride=1, padding=1, dilation=1, out=None):
    return Conv2d(channels, out or channels, kernel, stride, padding, dilation=dilation, bias=False)


EXPRESSIONS = {
    "strided": Seq(a=conv(stride=2), relu=ReLU(), b=conv(kernel=5, padding=1)),
    "dilated": Seq(a=conv(dilation=3, padding=3), bn=BatchNorm2d(1), b=conv(dilation=2, padding=0)),
    "asymmetric": Seq(a=conv(kernel=(1, 7), padding=(0, 3)), b=conv(kernel=(5, 1), stride=(2, 1), padding=(2, 0))),
    "pooled": Seq(a=MaxPool2d(3, 2, 1), b=conv(padding=0), c=AvgPool2d(2, 2)),
    "residual": Seq(Add(Seq(a=conv(), b=conv()), Identity()), c=conv(stride=2)),
    "option A": Add(Seq(a=conv(stride=2), b=conv(out=2)), PadChannels(1, 2, 2)),
    "of the input": Add(conv(kernel=1, padding=0), Identity()),
    "inception": Concat(a=conv(kernel=1, padding=0), b=conv(kernel=5, padding=2), c=MaxPool2d(3, 1, 1)),
    "misaligned": Add(Seq(a=conv(kernel=2, padding=0, stride=2)), Seq(b=conv(padding=0, stride=2))),
    "same": Seq(pad=SamePad(3, 2), a=conv(stride=2, padding=0), pad2=SamePad(5, 3), b=MaxPool2d(5, 3)),
    "even": Seq(a=conv(kernel=2, padding=1, stride=2), b=conv(kernel=4, padding=1)),
    "gated": Seq(a=conv(), gate=Mul(conv(), Seq(pool=GlobalAvgPool(), fc=conv(kernel=1, padding=0), s=Sigmoid()))),
    "classified": Seq(a=conv(stride=2), pool=GlobalAvgPool(), flatten=Flatten(), fc=Linear(1, 2)),
}


class Shortcut(nn.Module):
    """Option A by slices, as in many ports; then channels are shuffled, and a part of the map is cut out."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, 2, 1, bias=False)
        self.last = nn.Conv2d(4, 4, (3, 1), bias=False)

    def forward(self, x):
        x = torch.cat([x, x], 1)
        y = self.conv(x) + functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1))
        y = y.view(len(y), 2, 2, *y.shape[2:]).transpose(1, 2).flatten(1, 2)
        return self.last(y[:, :, 1:, 2:])


class ChannelsLast(nn.Module):
    """As ConvNeXt: the linear layer and the normalisation run over channels that stand last."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, 2, 2, groups=1, bias=False)
        self.linear = nn.Linear(4, 4, bias=False)
        self.pool = nn.AvgPool2d(3, 1, 1)

    def forward(self, x):
        return self.pool(self.linear(self.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


class InPlace(nn.Module):
    """One path is padded on one side, written in place, and stacked beside the other."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, bias=False)

    def forward(self, x):
        y = functional.pad(x, (2, 0, 2, 0))
        return torch.stack([self.conv(y).relu_(), x], 1).sum(1).mul_(2.0)


MODULES = {"shortcut": Shortcut, "channels last": ChannelsLast, "in place": InPlace}


def positive(network):
    """All weights are positive, so that nothing cancels and every change of a pixel shows."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.1, 1.0)
    return network.double().eval()


def moved(network, height=21, width=17):
    """Which pixels each position of the output sees: (rows, columns, height, width)."""
    x = torch.rand(1, 1, height, width, dtype=torch.double)
    changed = x + 1e3 * torch.eye(height * width, dtype=torch.double).view(-1, 1, height, width)
    with torch.no_grad():
        before, after = network(x), network(changed)
    seen = (after - before).abs().sum(1) > 1e-9
    return seen.view(height, width, *before.shape[2:])


def check(layer, seen):
    """Each position sees the first and the last pixel of its window, or none outside it where that leaves the map."""
    for axis, span in enumerate(layer.window):
        shown = seen.any(3 - axis).any(1 - axis)  # of the pixels and positions along the other axis, any
        for position, pixels in enumerate(shown.T):
            first, last = pixels.nonzero().flatten()[[0, -1]].tolist()
            low, high = position * span.stride + span.low, position * span.stride + span.high
            assert first == low if low >= 0 else first <= high
            assert last == high if high < len(pixels) else last >= low


def narrow(network):
    """The network with a sixteenth of its channels, on maps of one row: its windows along the width stay."""

    def flat(layer, _):
        pairs = {"kernel": 1, "stride": 1, "padding": 0, "dilation": 1}
        return replace(
            layer, **{key: (one, getattr(layer, key)[1]) for key, one in pairs.items() if hasattr(layer, key)}
        )

    def fewer(conv, _):
        inputs = conv.in_channels if conv.in_channels == 3 else conv.in_channels // 16
        return replace(conv, in_channels=inputs, out_channels=conv.out_channels // 16, groups=max(conv.groups // 16, 1))

    held = {type(node) for _, node in walk(network)}
    for kind in held & {Conv2d, MaxPool2d, AvgPool2d, SamePad}:
        network = select(network, kind).replace(flat)
    network = select(network, Conv2d).replace(fewer)
    if BatchNorm2d in held:
        network = select(network, BatchNorm2d).replace(lambda bn, _: replace(bn, channels=bn.channels // 16))
    return network


def until(network, name):
    """The network ends with the part that holds the layer of this name."""
    first, parts = name.partition(".")[0], []
    for part, node in network.parts:
        within = not part and first in node.names
        parts.append((part, until(node, name) if within else node))
        if within or part == first:
            break
    return Seq(*(node for part, node in parts if not part), **{part: node for part, node in parts if part})


@pytest.mark.parametrize("name", [*FORMS, "resnet50", "alexnet", "googlenet", "densenet121"])
def test_whole_networks_see_the_pixels_whose_change_they_show(name):
    found = field(name).fields[0]
    last = next(layer for layer in reversed(found.layers) if layer.positions and layer.name != "avgpool")
    span = last.window[1]
    assert span == found.last.window[1]  # VGG's and AlexNet's pooling to 7x7 and 6x6 keeps maps of these sides
    position = -(-(span.padding + 1) // span.stride)  # the first that sees nothing in front of the input
    low, high, end = position * span.stride + span.low, position * span.stride + span.high, span.high
    width = 32 * (high // 32 + 2)
    features = narrow(until(architecture(name).body, last.name))
    assert {layer.name: layer for layer in layer_fields(fold(features, (3, 1, width)))}[last.name].window[1] == span
    network = build(features).double().eval()
    for part, parameter in network.named_parameters():
        value = 1 / parameter[0].numel() if parameter.dim() == 4 else float(part.endswith("weight"))
        nn.init.constant_(parameter, value)
    x = torch.zeros(6, 3, 1, width, dtype=torch.double)
    pixels = [low - 1, low, high, high + 1, end, end + 1]
    x[range(6), :, :, pixels] = 1
    with torch.no_grad():
        shown = network(x).amax((1, 2)) > 0  # all weights are positive, nothing cancels: zeros give zeros
    assert shown[:4, position].tolist() == [False, True, True, False]
    assert shown[4:, 0].tolist() == [True, False]


def read(cost):
    return layer_fields(cost)[-1]


@pytest.mark.parametrize("name", [name for name in EXPRESSIONS if name not in ("gated", "classified")])
def test_a_position_sees_the_pixels_whose_change_it_shows(name):
    network = positive(build(EXPRESSIONS[name]))
    own, traced = read(fold(EXPRESSIONS[name], (1, 21, 17))), read(trace(network, (1, 1, 21, 17)))
    assert own.window == traced.window
    check(own, moved(network))


@pytest.mark.parametrize("name", MODULES)
def test_a_traced_module_sees_the_pixels_whose_change_it_shows(name):
    network = positive(MODULES[name]())
    own = read(trace(network, (1, 1, 21, 17)))
    assert own.window
    check(own, moved(network))


def test_a_gate_sees_the_whole_input_and_is_left_out_of_the_field():
    network = positive(build(EXPRESSIONS["gated"]))
    own = read(fold(EXPRESSIONS["gated"], (1, 21, 17)))
    assert own == read(trace(network, (1, 1, 21, 17)))._replace(name=own.name)
    assert own.gated
    assert own.window == (Span(1, -2, 2), Span(1, -2, 2))
    with torch.no_grad():
        network.gate.fc.weight.mul_(1e-6)  # a sigmoid must not saturate
    assert moved(network).all()
    network.gate.s = nn.Threshold(1e9, 0.5)  # the gate is 0.5 whatever it sees
    check(own, moved(network))


@pytest.mark.parametrize(
    "name", ["resnet20,se=4", "resnet20,shortcut=exclusive-gate", "inception_v3", "resnext50_32x4d"]
)
def test_fold_and_trace_read_the_same_field_of_every_layer(name):
    model = load(name, device="meta")
    folded, traced = (
        layer_fields(fold(model.architecture.body, model.input)),
        layer_fields(trace(model.module, model.arguments())),
    )
    assert folded == traced


def test_features_of_the_whole_have_no_position():
    own = read(fold(EXPRESSIONS["classified"], (1, 21, 17)))
    assert not own.positions
    assert [span.stride for span in own.window] == [0, 0]
    assert moved(positive(build(EXPRESSIONS["classified"]))).all()


def test_paths_whose_middles_differ_are_misaligned():
    found = {
        name: [layer.name for layer in layer_fields(fold(EXPRESSIONS[name], (1, 21, 17))) if layer.misaligned]
        for name in ("misaligned", "residual", "inception", "option A")
    }
    assert found == {"misaligned": ["add"], "residual": [], "inception": [], "option A": []}


# -- what is not known is said --------------------------------------------------------------------------


class Opaque(Layer):
    """A layer of somebody's own that says nothing."""


class Join(Operator):
    """An operator of somebody's own."""


class Upsampled(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 1, 3, 2), nn.Conv2d(1, 1, 3)

    def forward(self, x):
        return self.last(functional.interpolate(self.first(x), scale_factor=2.0))


class Transposed(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 1, 3, 2), nn.ConvTranspose2d(1, 1, 3, 2), nn.ReLU())


class Turned(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)

    def forward(self, x):
        return self.conv(x) + self.conv(x.transpose(2, 3)).flip(2)


class PartlyWritten(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x):
        y = self.conv(x)
        y[:, :, 2:] = x[:, :, :-2]
        return self.conv(y)


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda: fold(Seq(a=conv(), b=Opaque(), c=conv()), (1, 16, 16)), "b (Opaque)"),
        (lambda: fold(Seq(Join(conv(), Identity()), c=conv()), (1, 16, 16)), "join (Join)"),
        (lambda: fold(Add(conv(stride=2), Seq(a=conv(kernel=16 - 7, padding=0))), (1, 16, 16)), "add (Add)"),
        (lambda: trace(Upsampled(), (1, 1, 16, 16)), "last (Conv2d)"),
        (lambda: trace(Transposed(), (1, 1, 16, 16)), "1 (ConvTranspose2d)"),
        (lambda: trace(Turned(), (1, 1, 16, 16)), "add (Add)"),
        (lambda: trace(PartlyWritten(), (1, 1, 16, 16)), "conv"),
        (
            lambda: trace(nn.Sequential(nn.AdaptiveAvgPool2d(5), nn.Conv2d(1, 1, 3)), (1, 1, 16, 16)),
            "0 (AdaptiveAvgPool2d)",
        ),
    ],
    ids=["layer", "operator", "strides", "interpolation", "transposed", "turned", "in part", "unequal windows"],
)
def test_what_is_not_known_is_named_where_it_begins_and_nothing_behind_it_is_known(made, name):
    last = read(made())
    assert last.window is None
    assert last.unknown.startswith(name)
