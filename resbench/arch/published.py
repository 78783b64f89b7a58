"""These figures were printed, with these digits; where they are wrong, it is said."""

from typing import NamedTuple


class PublishedCost(NamedTuple):
    """``params`` and ``macs`` are as printed: ``0.27M``, ``25,557,032``, ``4.089G``; empty where nothing was."""

    params: str
    macs: str
    source: str
    remark: str = ""
    """It says why the printed figure differs from what its own layout gives; empty where it does not."""


_HE, _TV = "He et al. 2015, Table 1", "torchvision 0.28, weights metadata"

WEIGHTS_METADATA = """
    alexnet 61,100,840 0.714G
    convnext_tiny 28,589,128 4.456G
    convnext_small 50,223,688 8.684G
    convnext_base 88,591,464 15.355G
    convnext_large 197,767,336 34.361G
    densenet121 7,978,856 2.834G
    densenet169 14,149,480 3.360G
    densenet201 20,013,928 4.291G
    densenet161 28,681,000 7.728G
    efficientnet_b0 5,288,548 0.386G
    efficientnet_b1 7,794,184 0.687G
    efficientnet_b2 9,109,994 1.088G
    efficientnet_b3 12,233,232 1.827G
    efficientnet_b4 19,341,616 4.394G
    efficientnet_b5 30,389,784 10.266G
    efficientnet_b6 43,040,704 19.068G
    efficientnet_b7 66,347,960 37.746G
    efficientnet_v2_s 21,458,488 8.366G
    efficientnet_v2_m 54,139,356 24.582G
    efficientnet_v2_l 118,515,272 56.080G
    mnasnet0_5 2,218,512 0.104G
    mnasnet0_75 3,170,208 0.215G
    mnasnet1_0 4,383,312 0.314G
    mnasnet1_3 6,282,256 0.526G
    mobilenet_v2 3,504,872 0.301G
    mobilenet_v3_large 5,483,032 0.217G
    mobilenet_v3_small 2,542,856 0.057G
    regnet_x_400mf 5,495,976 0.414G
    regnet_x_800mf 7,259,656 0.800G
    regnet_x_1_6gf 9,190,136 1.603G
    regnet_x_3_2gf 15,296,552 3.177G
    regnet_x_8gf 39,572,648 7.995G
    regnet_x_16gf 54,278,536 15.941G
    regnet_x_32gf 107,811,560 31.736G
    regnet_y_400mf 4,344,144 0.402G
    regnet_y_800mf 6,432,512 0.834G
    regnet_y_1_6gf 11,202,430 1.612G
    regnet_y_3_2gf 19,436,338 3.176G
    regnet_y_8gf 39,381,472 8.473G
    regnet_y_16gf 83,590,140 15.912G
    regnet_y_32gf 145,046,770 32.280G
    regnet_y_128gf 644,812,894 127.518G
    shufflenet_v2_x0_5 1,366,792 0.040G
    shufflenet_v2_x1_0 2,278,604 0.145G
    shufflenet_v2_x1_5 3,503,624 0.296G
    shufflenet_v2_x2_0 7,393,996 0.583G
    squeezenet1_0 1,248,424 0.819G
    squeezenet1_1 1,235,496 0.349G
"""
"""Name, parameters and MACs (there GFLOPS) of the weights of torchvision 0.28; regnet_y_128gf's of 224 x 224."""

PUBLISHED: dict[str, tuple[PublishedCost, ...]] = {
    "resnet20": (PublishedCost("0.27M", "", "He et al. 2015, Table 6"),),
    "resnet32": (PublishedCost("0.46M", "", "He et al. 2015, Table 6"),),
    "resnet44": (PublishedCost("0.66M", "", "He et al. 2015, Table 6"),),
    "resnet56": (PublishedCost("0.85M", "", "He et al. 2015, Table 6"),),
    "resnet110": (PublishedCost("1.7M", "", "He et al. 2015, Table 6"),),
    "resnet1202": (PublishedCost("19.4M", "", "He et al. 2015, Table 6"),),
    "preact_resnet164": (PublishedCost("1.7M", "", "He et al. 2016, Table 4"),),
    "preact_resnet1001": (PublishedCost("10.2M", "", "He et al. 2016, Table 4", "its layout gives 10.33M"),),
    "plain18": (PublishedCost("", "1.8G", _HE),),
    "plain34": (PublishedCost("", "3.6G", _HE),),
    "resnet34,shortcut=A": (PublishedCost("", "3.6G", _HE),),
    "resnet50,stride=1x1": (PublishedCost("", "3.8G", _HE, "cut, not rounded: its layout gives 3.858"),),
    "resnet101,stride=1x1": (PublishedCost("", "7.6G", _HE),),
    "resnet152,stride=1x1": (PublishedCost("", "11.3G", _HE),),
    "resnet18": (PublishedCost("", "1.8G", _HE), PublishedCost("11,689,512", "1.814G", _TV)),
    "resnet34": (PublishedCost("21,797,672", "3.664G", _TV),),
    "resnet50": (PublishedCost("25,557,032", "4.089G", _TV),),
    "resnet101": (PublishedCost("44,549,160", "7.801G", _TV),),
    "resnet152": (PublishedCost("60,192,808", "11.514G", _TV),),
    "resnext50_32x4d": (PublishedCost("25,028,904", "4.230G", _TV),),
    "resnext101_32x8d": (PublishedCost("88,791,336", "16.414G", _TV),),
    "resnext101_64x4d": (PublishedCost("83,455,272", "15.460G", _TV),),
    "wide_resnet50_2": (PublishedCost("68,883,240", "11.398G", _TV),),
    "wide_resnet101_2": (PublishedCost("126,886,696", "22.753G", _TV),),
    "vgg11": (PublishedCost("132,863,336", "7.609G", _TV),),
    "vgg11_bn": (PublishedCost("132,868,840", "7.609G", _TV),),
    "vgg13": (PublishedCost("133,047,848", "11.308G", _TV),),
    "vgg13_bn": (PublishedCost("133,053,736", "11.308G", _TV),),
    "vgg16": (
        PublishedCost("", "15.3G", _HE, "the convolutions alone: 15.347; with the classifier 15.470"),
        PublishedCost("138,357,544", "15.470G", _TV),
    ),
    "vgg16_bn": (PublishedCost("138,365,992", "15.470G", _TV),),
    "vgg19": (PublishedCost("", "19.6G", _HE), PublishedCost("143,667,240", "19.632G", _TV)),
    "vgg19_bn": (PublishedCost("143,678,248", "19.632G", _TV),),
    "googlenet,norm=bn": (PublishedCost("6,624,904", "1.498G", _TV),),
    "inception_v3,aux=yes": (PublishedCost("27,161,264", "5.713G", _TV),),
    **{
        name: (PublishedCost(params, macs, _TV),)
        for name, params, macs in map(str.split, WEIGHTS_METADATA.strip().splitlines())
    },
}


def agrees(count: int, printed: str) -> bool:
    """Does a count print as that figure, to its digits?

    >>> agrees(269_722, "0.27M"), agrees(4_089_184_256, "4.089G"), agrees(3_857_973_248, "3.8G")
    (True, True, False)
    """
    unit = {"k": 1e3, "M": 1e6, "G": 1e9}.get(printed[-1])
    if unit is None:
        return f"{count:,}" == printed
    digits = len(printed[:-1].partition(".")[2])
    return f"{count / unit:.{digits}f}" == printed[:-1]


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
