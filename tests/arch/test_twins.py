"""Networks of the catalog against torchvision's and timm's of the same name: what they hold, take, and answer.

``tests/golden/twins.csv`` is what ``python suites/twins.py > tests/golden/twins.csv`` counted in them.
"""

import csv
from pathlib import Path
from zlib import crc32

import pytest
import torch
from zoos import AS, drawn, timm_model, twin

from resbench.arch.catalog import architecture
from resbench.networks.build import build
from resbench.networks.weights import load_weights

with (Path(__file__).parents[1] / "golden" / "twins.csv").open() as file:
    TWINS = list(csv.DictReader(file))


@pytest.mark.parametrize("row", TWINS, ids=lambda row: row["network"])
def test_every_layer_holds_and_takes_what_the_twins_does(row):
    report = architecture(row["network"]).cost()
    layers = sorted((layer.params, layer.macs) for layer in report.layers if layer.macs)
    assert (report.params, report.macs) == (int(row["params"]), int(row["macs"]))
    assert f"{crc32(repr(layers).encode()):08x}" == row["layers"]


ANSWERS = """
    alexnet squeezenet1_0 squeezenet1_1 densenet121 densenet169 mobilenetv1_100 mobilenetv1_125 mobilenet_v2
    mobilenet_v3_large mobilenet_v3_small mobilenetv4_conv_small mobilenetv4_conv_medium mnasnet0_5 mnasnet1_0
    efficientnet_b0 efficientnet_b5 efficientnet_v2_s shufflenet_v2_x0_5 shufflenet_v2_x1_0 regnet_x_400mf
    regnet_y_400mf regnet_y_800mf convnext_tiny convnext_small convnextv2_atto convnextv2_nano resnet50c resnet101c
    resnet18d resnet50d seresnet50 seresnet101 resnetrs50 resnetrs101 xception inception_v3 inception_v4
    inception_resnet_v2 repvgg_a0 repvgg_b1g4 ghostnet_050 ghostnet_130 res2net50_26w_4s res2net50_14w_8s resnest14d
    resnest26d dpn68 dpn92
""".split()
"""Two of each family, the small ones."""

SIDES = {
    "alexnet": 64,
    "xception": 71,
    **dict.fromkeys(("inception_v3", "inception_v4", "inception_resnet_v2"), 75),
}
"""Others answer for images of 32 x 32."""

OTHERS = {
    "convnext_tiny": "convnext_tiny",
    "densenet121": "densenet121",
    "efficientnet_b1": "efficientnet_b1",
    "inception_v3": "inception_v3",
    "mnasnet1_0": "mnasnet_100",
    "mobilenet_v2": "mobilenetv2_100",
    "regnet_x_800mf": "regnetx_008",
    "regnet_y_400mf": "regnety_004",
    "resnet18": "resnet18",
    "vgg11_bn": "vgg11_bn",
}
"""timm has these too, under this name."""


def answers(name, theirs, ours):
    side = SIDES.get(name, 32)
    x = torch.randn(2, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return theirs(x), ours.eval()(x)


@pytest.mark.parametrize("name", ANSWERS)
def test_the_same_weights_give_the_twins_logits(name):
    _, make = twin(name)
    theirs = drawn(make().double().to_empty(device="cpu"))
    ours = load_weights(build(AS.get(name, name), device="meta").double(), theirs.state_dict())
    expected, logits = answers(name, theirs, ours)
    assert expected.std() > 1e-3
    assert (logits - expected).abs().max() < 1e-10 * expected.abs().max()


@pytest.mark.parametrize("name", OTHERS)
def test_weights_of_a_second_library_give_its_logits(name):
    theirs = drawn(timm_model(OTHERS[name]).double().to_empty(device="cpu"))
    ours = load_weights(build(name, device="meta").double(), theirs)
    expected, logits = answers(name, theirs, ours)
    assert expected.std() > 1e-3
    assert (logits - expected).abs().max() < 1e-10 * expected.abs().max()
