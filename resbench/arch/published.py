"""These figures were printed, with these digits; where they are wrong, it is said.

Those of costs stand in literature.csv: network, source, input, and what is printed of its parameters and its work.
"""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from resbench.arch.catalog import find, parse_size


class PublishedCost(NamedTuple):
    """``params`` and ``macs`` are as printed: ``0.27M``, ``25,557,032``, ``4.089G``; empty where nothing was."""

    params: str
    macs: str
    source: str
    remark: str = ""
    """It says why the printed figure differs from what its own layout gives; empty where it does not."""


class Source(NamedTuple):
    """A source prints figures of costs: a paper, a repository of its authors, or a zoo of many networks."""

    title: str
    place: str
    """They stand in this table or file."""
    read: str
    """They were read there, in this version; where nobody could open the place, it is ``not seen``."""
    word: str = ""
    """It is the source's word for its figures of work."""
    conventions: tuple[str, ...] = ()
    """It may count by these, named in ``resbench.arch.conventions``."""
    zoo: str = ""
    """It is the metadata of this zoo."""


_PADDLE = "2 MACs + ReLU + pooling windows, groups divided out twice"
_TIMM = "huggingface/pytorch-image-models aa4b585"

SOURCES = {
    "akamaster": Source(
        "He et al. 2015, Table 6, as quoted",
        "README.md, # params",
        "akamaster/pytorch_resnet_cifar10 10675c4",
    ),
    "bearpaw": Source("pytorch-classification", "README.md, Params (M)", "bearpaw/pytorch-classification 0c84465"),
    "convnext": Source(
        "ConvNeXt, the authors", "README.md, #params, FLOPs", "facebookresearch/ConvNeXt 048efce", "FLOPs"
    ),
    "convnextv2": Source(
        "ConvNeXt v2, the authors",
        "README.md, #params, FLOPs",
        "facebookresearch/ConvNeXt-V2 2553895",
        "FLOPs",
        ("MACs + biases",),
    ),
    "densenet": Source("DenseNet, the authors", "README.md, Parameters", "liuzhuang13/DenseNet 0085cc9"),
    "dpn": Source("DPN, the authors", "README.md, GFLOPs", "cypw/DPNs 5766ebe", "FLOPs"),
    "efficientnetv2": Source(
        "EfficientNet v2, the authors", "efficientnetv2/README.md, Params, FLOPs", "google/automl 6a54c87", "FLOPs"
    ),
    "he2015": Source(
        "He et al. 2015, Table 1",
        "Tables 1 and 2",
        "a transcript of the tables of arXiv 1512.03385",
        "FLOPs",
        ("MACs of convolutions",),
    ),
    "he2016": Source("He et al. 2016, Table 4", "Table 4", "not seen"),
    "imgclsmob": Source(
        "imgclsmob",
        "gluon/README.md, Params, FLOPs/2",
        "osmr/imgclsmob c1a844d",
        "FLOPs/2",
        (
            "half the operations of modules",
            "half the operations of modules, the last pooling 1 a channel",
            "half the operations of modules, without a last pooling",
            "half the operations of modules, without a last pooling, and of a pooling in the first shortcut",
            "half the operations of modules, and of one more BN and ReLU behind the stem",
            "parameters + a BN of 64 channels behind the stem",
        ),
    ),
    "keras": Source(
        "Keras",
        "templates/api/applications/index.md, Parameters",
        "keras-team/keras-io 01b6d6c",
        "",
        (
            "parameters + running statistics",
            "parameters + running statistics + 7 of the input's normalisation",
            "parameters + running statistics + a bias in each convolution",
            "parameters + running statistics + a bias in the convolutions of stem, sums and shortcuts",
            "parameters + running statistics - gammas",
        ),
        "keras",
    ),
    "keras-2022": Source(
        "Keras, a later page",
        "templates/api/applications/index.md, Parameters",
        "keras-team/keras-io e7be306",
        "",
        ("parameters + running statistics",),
        "keras",
    ),
    "openmmlab": Source(
        "OpenMMLab",
        "configs/*/metafile.yml, FLOPs, Parameters",
        "open-mmlab/mmpretrain ee7f2e8",
        "FLOPs",
        (
            "MACs + biases of convolutions + 2 an element of BN + 1 of activations + what poolings read",
            "MACs + biases of convolutions + 2 an element of BN + 1 of activations + what poolings read - classifier",
            "MACs + 2 an element of BN, 5 of LN + average pooling - classifier",
            "MACs + 5 an element of BN + average pooling - classifier",
            "MACs + 5 an element of BN + average pooling - classifier, with the strides in the 1x1 behind a 3x3",
            "MACs + 5 an element of LN - classifier",
            "MACs + 1 an element of LN, without the stem's and the last + average pooling - classifier",
        ),
        "openmmlab",
    ),
    "paddle": Source(
        "PaddleClas",
        "docs/en/models/*_en.md, FLOPs (G), Parameters (M), without a third decimal that is 0",
        "PaddlePaddle/PaddleClas d178931",
        "FLOPs",
        (
            "parameters - biases of convolutions, groups divided out twice",
            _PADDLE,
            f"{_PADDLE}, + 2 an element of BN",
            f"{_PADDLE}, + a projection in the first sum",
        ),
    ),
    "pycls": Source(
        "pycls, the authors of RegNet",
        "dev/model_complexity.json, params, flops",
        "facebookresearch/pycls 5719de6",
        "flops",
        ("MACs + biases",),
    ),
    "pyramidnet": Source("PyramidNet, the authors", "README.md, # of parameters", "jhkim89/PyramidNet 1c5c452"),
    "res2net": Source(
        "Res2Net, the authors",
        "README.md, #Params, MACCs",
        "Res2Net/Res2Net-PretrainedModels 219c8c6",
        "MACCs",
    ),
    "resnext": Source("ResNeXt, the authors", "README.md, GFLOPS", "facebookresearch/ResNeXt 1f59a2c", "FLOPS"),
    "shufflenet": Source(
        "ShuffleNet, the authors",
        "README.md, FLOPs, #Params",
        "megvii-model/ShuffleNet-Series aa91feb",
        "FLOPs",
    ),
    "slim": Source(
        "MobileNet v2, v3, the authors",
        "research/slim/nets/mobilenet/README.md, MACs (M), Parameters (M)",
        "tensorflow/models 0ba83cf",
        "MACs",
        ("MACs, cut to whole millions", "parameters - gammas and betas of BN"),
    ),
    "slim-v1": Source(
        "MobileNet, the authors",
        "research/slim/nets/mobilenet_v1.md, Million MACs, Million Parameters",
        "tensorflow/models 02c04f4",
        "MACs",
        ("parameters + running statistics - gammas",),
    ),
    "timm": Source(
        "timm benchmarks",
        "results/benchmark-infer-amp-nchw-pt291-cu128-4090.csv, param_count, infer_gmacs",
        _TIMM,
        "MACs",
        ("MACs + 2 an element of BN, 5 of LN",),
        "timm",
    ),
    "timm-cards": Source(
        "timm model cards",
        "hfdocs/source/models/*.mdx, FLOPs, Parameters",
        _TIMM,
        "FLOPs",
        (
            "MACs + biases of convolutions + poolings + 2 an element of BN, of a wider picture",
            "MACs + biases of convolutions + poolings, of a wider picture",
            "MACs + biases of convolutions + poolings + 2 an element of BN, without what strides, of a wider picture",
        ),
    ),
    "torchvision": Source(
        "torchvision 0.28, weights metadata", "num_params, _ops", "torchvision 0.28.0", "FLOPS", (), "torchvision"
    ),
}
"""They stand here by the word that names them in literature.csv."""


class PrintedCost(NamedTuple):
    """A source prints these figures of a network at an input; the network is the catalog's, options included."""

    network: str
    source: str
    input: str
    params: str
    macs: str

    @property
    def base(self) -> str:
        """The network has this name where nobody says an option."""
        return self.network.partition(",")[0]


@cache
def literature() -> tuple[PrintedCost, ...]:
    """Read every figure that is kept, in the order of their sources."""
    with Path(__file__).with_name("literature.csv").open(newline="", encoding="utf-8") as lines:
        return tuple(PrintedCost(**line) for line in csv.DictReader(lines))


_REMARKS = {
    ("preact_resnet1001", "he2016"): "its layout gives 10.33M",
    ("resnet50,stride=1x1", "he2015"): "cut, not rounded: its layout gives 3.858",
    ("vgg16", "he2015"): "the convolutions alone: 15.347; with the classifier 15.470",
}
_HELD = ("akamaster", "he2015", "he2016", "torchvision")


@cache
def published_costs() -> Mapping[str, tuple[PublishedCost, ...]]:
    """What papers and torchvision print of networks at the inputs that they are meant for, to be held against."""
    found: dict[str, tuple[PublishedCost, ...]] = {}
    for line in literature():
        if line.source in _HELD and parse_size(line.input) == find(line.base).input:
            remark = _REMARKS.get((line.network, line.source), "")
            figure = PublishedCost(line.params, line.macs, SOURCES[line.source].title, remark)
            found[line.network] = (*found.get(line.network, ()), figure)
    return found


SCALES = {"k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}
PADDED = "0000"
"""So many zeros at the end of a whole number without commas, or more, are rounding."""


def agrees(count: int, printed: str) -> bool:
    """Does a count print as that figure, to its digits?

    >>> agrees(269_722, "0.27M"), agrees(4_089_184_256, "4.089G"), agrees(3_857_973_248, "3.8G")
    (True, True, False)
    >>> agrees(8_335_880_192, "8340000000"), agrees(7_978_857, "7978856")
    (True, False)
    """
    unit = SCALES.get(printed[-1])
    if unit is None:
        zeros = 0 if is_exact(printed) else len(printed) - len(printed.rstrip("0"))
        return round(count, -zeros) == int(printed.replace(",", ""))
    figure = printed[:-1].replace(",", "")
    return f"{count / unit:.{len(figure.partition('.')[2])}f}" == figure


def is_exact(printed: str) -> bool:
    """Has the figure every digit?"""
    return printed[-1] not in SCALES and not printed.endswith(PADDED)


def value(printed: str) -> float:
    """The figure as a number."""
    return float(printed.replace(",", "").rstrip("kMGB")) * SCALES.get(printed[-1], 1)


class Printed(NamedTuple):
    """It is a test error on CIFAR-10 in percent, to as many digits as were printed."""

    percent: str
    source: str


_T6, _T1, _T2, _T3 = "He 2015, Table 6", "He 2016, Table 1", "He 2016, Table 2", "He 2016, Table 3"
_AGAIN = "reproductions; He 2015 shows curves only"

TEST_ERRORS: dict[str, Printed] = {
    "plain20": Printed("8.8 to 9.6", _AGAIN),
    "plain56": Printed("12.8 to 14.2", _AGAIN),
    "plain110": Printed("over 60", "He 2015, sec. 4.2"),
    "resnet20": Printed("8.75", _T6),
    "resnet32": Printed("7.51", _T6),
    "resnet44": Printed("7.17", _T6),
    "resnet56": Printed("6.97", _T6),
    "resnet110": Printed("6.43", f"{_T6}; 6.61 +- 0.16 over 5 runs"),
    "resnet1202": Printed("7.93", _T6),
    "resnet110,shortcut=scaling": Printed("12.35", _T1),
    "resnet110,shortcut=exclusive-gate": Printed("8.70", _T1),
    "resnet110,shortcut=exclusive-gate,gate_bias=-7": Printed("9.81", _T1),
    "resnet110,shortcut=shortcut-gate,gate_bias=0": Printed("12.86", _T1),
    "resnet110,shortcut=shortcut-gate": Printed("6.91", _T1),
    "resnet110,shortcut=conv1x1": Printed("12.22", _T1),
    "resnet110,shortcut=dropout": Printed("fails", _T1),
    "resnet110,order=bn-after-add": Printed("8.17", _T2),
    "resnet110,order=relu-before-add": Printed("7.84", _T2),
    "resnet110,order=relu-only-preact": Printed("6.71", _T2),
    "preact_resnet110": Printed("6.37", _T2),
    "resnet164": Printed("5.93", _T2),
    "resnet164,order=bn-after-add": Printed("6.50", _T2),
    "resnet164,order=relu-before-add": Printed("6.14", _T2),
    "resnet164,order=relu-only-preact": Printed("5.91", _T2),
    "preact_resnet164": Printed("5.46", _T2),
    "resnet1001": Printed("7.61", _T3),
    "preact_resnet1001": Printed("4.92", _T3),
}


_R1, _R2, _R3 = "He 2015, Table 2", "He 2015, Table 3, B", "He 2015, Table 3"

TOP1_ERRORS: dict[str, Printed] = {
    "plain18": Printed("27.94", _R1),
    "resnet18,shortcut=A": Printed("27.88", _R1),
    "plain34": Printed("28.54", _R1),
    "resnet34,shortcut=A": Printed("25.03", _R3),
    "resnet34": Printed("24.52", _R2),
    "resnet34,shortcut=C": Printed("24.19", _R3),
    "resnet50,stride=1x1": Printed("22.85", _R3),
    "resnet101,stride=1x1": Printed("21.75", _R3),
    "resnet152,stride=1x1": Printed("21.43", _R3),
}
"""They are of ImageNet's validation images, 10 crops. The catalog's own ResNet-50 strides in its 3x3: it is another."""
