"""Networks of the catalog against torchvision's and timm's of the same name: what they hold, take, and answer.

``tests/golden/twins.csv`` is what ``python suites/twins.py > tests/golden/twins.csv`` counted in them.
"""

import csv
import re
from math import prod
from pathlib import Path
from zlib import crc32

import pytest
import torch
from zoos import AS, twin

from resbench.arch.catalog import architecture
from resbench.networks.build import build

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

RENAMED = (  # what the twin calls a parameter, and what it is called here
    (r"layer_scale$", "layer_scale.weight"),  # ConvNeXt: there it is a parameter of the block
    (r"se\.conv_reduce", "se.fc1"),  # GhostNet
    (r"se\.conv_expand", "se.fc2"),
    (r"(conv|bn)s\.(\d)\.", r"scale\2.\1."),  # Res2Net
    (r"conv2\.(fc1|bn1|fc2)\.", r"conv2.attention.\1."),  # ResNeSt
    (r"(branch\w+_\d)([ab])\.", r"\1.\2."),  # Inception: the two ends of a fork
)


def drawn(module, seed=0):
    """Give a module weights that preserve variance, and everything else values of order 1, so that nothing hides."""
    draw = torch.Generator().manual_seed(seed)

    def uniform(tensor, deviation, mean=0.0):
        return tensor.uniform_(mean - 3**0.5 * deviation, mean + 3**0.5 * deviation, generator=draw)

    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var"):
                uniform(tensor, 0.2, 1)
            elif tensor.dim() > 1 and tensor[0].numel() > 1:
                uniform(tensor, prod(tensor.shape[1:]) ** -0.5)
            elif tensor.is_floating_point():
                uniform(tensor, 0.5 if name.endswith(("bias", "mean")) else 1)
    return module


@pytest.mark.parametrize("name", ANSWERS)
def test_the_same_weights_give_the_twins_logits(name):
    _, make = twin(name)
    theirs = drawn(make().double().to_empty(device="cpu"))
    ours = build(AS.get(name, name), device="meta").double().eval()
    given = theirs.state_dict()
    for pattern, here in RENAMED:
        given = {re.sub(pattern, here, there): value for there, value in given.items()}
    wanted = ours.state_dict()
    assert set(given) == set(wanted)
    ours.load_state_dict({name: given[name].reshape(tensor.shape) for name, tensor in wanted.items()}, assign=True)
    side = SIDES.get(name, 32)
    x = torch.randn(2, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, logits = theirs(x), ours(x)
    assert expected.std() > 1e-3
    assert (logits - expected).abs().max() < 1e-10 * expected.abs().max()
