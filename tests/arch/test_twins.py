"""Networks of the catalog against torchvision's and timm's of the same name: what they hold, take, and answer; where
nobody else has them, against a second one of ours.

``tests/golden/twins.csv`` is what ``python suites/twins.py > tests/golden/twins.csv`` counted in them.
"""

import csv
import re
from pathlib import Path
from zlib import crc32

import naive
import pytest
import torch
from naive import NAIVE
from zoos import drawn, timm_model, twin

from resbench.arch.catalog import architecture, entries, find
from resbench.arch.entry import CIFAR
from resbench.networks.blank import blank
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
    alexnet        alexnet              alexnet alexnet,classes=10
    convnext       convnext             convnext_tiny convnext_small
    convnext       convnext_v2          convnextv2_atto convnextv2_nano
    densenet       densenet             densenet121 densenet169
    densenet       cifar_densenet       densenet40_12 densenet_bc100_12
    dpn            dpn                  dpn68 dpn92
    efficientnet   efficientnet         efficientnet_b0 efficientnet_b5
    efficientnet   efficientnet_v2      efficientnet_v2_s efficientnet_v2_s,classes=10
    ghostnet       ghostnet             ghostnet_050 ghostnet_130
    inception      bn_inception         bn_inception bn_inception,classes=10
    inception      googlenet            googlenet googlenet,norm=bn,aux=yes
    inception      inception_resnet_v1  inception_resnet_v1 inception_resnet_v1,classes=10
    inception      inception_resnet_v2  inception_resnet_v2 inception_resnet_v2,classes=10
    inception      inceptionnet         inceptionnet inceptionnet,depths=1-2,width=8,reduce=no,residual=yes,bn=no
    inception      inception_v3         inception_v3,aux=yes inception_v3,aux=yes,classes=10
    inception      inception_v4         inception_v4 inception_v4,classes=10
    mnasnet        mnasnet              mnasnet0_5 mnasnet1_0
    mobilenet      mobilenet_v1         mobilenetv1_100 mobilenetv1_125
    mobilenet      mobilenet_v2         mobilenet_v2 mobilenetv2_140 mobilenetv2_035
    mobilenet      mobilenet_v3         mobilenet_v3_large mobilenet_v3_small
    mobilenet      mobilenet_v4         mobilenetv4_conv_small mobilenetv4_conv_medium
    nasbench201    nasbench201          nasbench201 nasbench201,e02=none,e12=avgpool3x3,e03=conv1x1,e23=skip,cells=2
    plain          cifar_plain          plain8 plain20
    plain          imagenet_plain       plain18 plain34
    preact_resnet  cifar_resnet         preact_resnet20 preact_resnet29,block=bottleneck,shortcut=B
    preact_resnet  imagenet_resnet      preact_resnet18 preact_resnet50
    pyramidnet     pyramidnet           pyramidnet110_a48 pyramidnet164_a270
    regnet         anynet               anynet anynet,depths=1-2,widths=24-64,groups=4-32,ratios=1-4,se=yes
    regnet         designed             regnet regnet,depth=16,initial=48,slope=27.89,step=2.09,group=8,se=yes
    regnet         regnet               regnet_x_400mf regnet_y_400mf regnet_y_800mf
    repvgg         repvgg               repvgg_a0 repvgg_b1g4
    res2net        res2net              res2net50_26w_4s res2net50_14w_8s
    resnest        resnest              resnest14d resnest26d
    resnet         cifar_resnet         resnet20 resnet29,block=bottleneck,shortcut=B
    resnet         imagenet_resnet      resnet18 resnet50
    resnet_c       imagenet_resnet      resnet50c resnet101c
    resnet_d       imagenet_resnet      resnet18d resnet50d
    resnet_rs      imagenet_resnet      resnetrs50 resnetrs101
    resnext        cifar_resnext        resnext29_8x64d resnext29_16x64d
    resnext        imagenet_resnet      resnext50_32x4d resnext50_32x4d,classes=10
    se_resnet      imagenet_resnet      seresnet50 seresnet101
    shufflenet     shufflenet_v1        shufflenet_v1_g1 shufflenet_v1_g3
    shufflenet     shufflenet_v2        shufflenet_v2_x0_5 shufflenet_v2_x1_0
    squeezenet     squeezenet1_0        squeezenet1_0 squeezenet1_0,classes=10
    squeezenet     squeezenet1_1        squeezenet1_1 squeezenet1_1,classes=10
    vgg            vgg                  vgg11 vgg11_bn
    wide_resnet    cifar_wide_resnet    wrn16_8 wrn40_4
    wide_resnet    imagenet_resnet      wide_resnet50_2 wide_resnet50_2,classes=10
    xception       xception             xception xception,classes=10
"""
"""Of each family, and function that builds some of it, at least two: against the twin in torchvision or timm, or where
there is none against a module of ``naive``."""

SIDES = {
    "alexnet": 64,
    **dict.fromkeys(("inception_v3", "inception_v4", "inception_resnet_v1", "inception_resnet_v2"), 75),
}
"""Other networks for ImageNet answer for images of 32 x 32, those for CIFAR for 8 x 8."""

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
    plain = name.partition(",")[0]
    side = SIDES.get(plain, 8 if find(plain).input == CIFAR else 32)
    x = torch.randn(2, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return theirs(x), ours.eval()(x)


def second(name):
    """The same network of a library, or from the paper, on the meta device."""
    if name in NAIVE:
        with blank():
            return NAIVE[name]().eval()
    classes = re.search("classes=([0-9]+)", name)
    _, make = twin(name.partition(",")[0], **({"num_classes": int(classes[1])} if classes else {}))
    return make()


ROWS = [row.split() for row in ANSWERS.strip().splitlines()]


def test_at_least_two_networks_of_each_family_answer_as_a_second_one_does():
    def family(name):
        entry = find(name.partition(",")[0])
        return entry.family, entry.build.func.__name__

    families = {(entry.family, entry.build.func.__name__) for entry in entries().values()}
    held = {(row[0], row[1]): row[2:] for row in ROWS}
    assert {key for key in families if key[0] not in ("lesson", "block")} == set(held)
    for key, names in held.items():
        assert len(set(names)) >= 2
        assert {family(name) for name in names} == {key}


def test_the_second_networks_share_no_code_with_ours():
    files = list(Path(naive.__file__).parent.glob("*.py"))
    assert len(files) > 5
    assert not [file.name for file in files if "resbench" in file.read_text()]


@pytest.mark.parametrize("name", [name for _, _, *names in ROWS for name in names])
def test_the_same_weights_give_the_same_logits(name):
    theirs = drawn(second(name).double().to_empty(device="cpu"))
    ours = load_weights(build(name, device="meta").double(), theirs.state_dict())
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
