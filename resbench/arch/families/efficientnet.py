"""EfficientNets scale inverted residuals in width, depth and resolution at once (Tan & Le 2019 and 2021)."""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from resbench.arch.activations import SiLU
from resbench.arch.algebra import Node, Seq, stack
from resbench.arch.blocks import Inverted, gated, inverted_residual, skipped
from resbench.arch.entry import entry
from resbench.arch.layers import Dropout, Flatten, Linear
from resbench.arch.pools import GlobalAvgPool
from resbench.arch.styles import ConvStyle, rounded


class MBConv(NamedTuple):
    """A row of the papers' tables: expansion, kernel, stride, width, number of units, and whether it is fused."""

    expansion: int
    kernel: int
    stride: int
    width: int
    units: int
    fused: bool = False


def mbconv(style: ConvStyle, in_channels: int, row: MBConv) -> Seq:
    """[1x1, tC; k x k, tC, depthwise; SE by C/4; 1x1, width] + x (Tan & Le 2019, Table 1)."""
    wide = in_channels * row.expansion
    squeeze = gated(wide, max(in_channels // 4, 1), SiLU())
    parts = inverted_residual(style, in_channels, Inverted(wide, row.width, row.kernel, row.stride), squeeze)
    return skipped(Seq(block=stack(*parts)), (in_channels, row.stride) == (row.width, 1))


def fused_mbconv(style: ConvStyle, in_channels: int, row: MBConv) -> Seq:
    """[k x k, tC; 1x1, width] + x: one convolution for the 1x1 and the depthwise (Tan & Le 2021, figure 2)."""
    wide = in_channels * row.expansion
    if row.expansion == 1:
        parts = [style.conv(in_channels, row.width, row.kernel, row.stride)]
    else:
        parts = [style.conv(in_channels, wide, row.kernel, row.stride), style.linear(wide, row.width)]
    return skipped(Seq(block=stack(*parts)), (in_channels, row.stride) == (row.width, 1))


def _network(style: ConvStyle, stem: int, rows: Sequence[MBConv], last: int, dropout: float, classes: int) -> Seq:
    """3x3/2, the stages, 1x1, global average, fc."""
    stages: list[Node] = []
    channels = stem
    for row in rows:
        unit = fused_mbconv if row.fused else mbconv
        again = [unit(style, row.width, row._replace(stride=1))] * (row.units - 1)
        stages.append(stack(unit(style, channels, row), *again))
        channels = row.width
    return Seq(
        features=stack(style.conv(3, stem, 3, 2), *stages, style.conv(channels, last)),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        classifier=stack(Dropout(dropout), Linear(last, classes)),
    )


# -- B0 to B7 -----------------------------------------------------------------------------------------

B0 = (
    MBConv(1, 3, 1, 16, 1),
    MBConv(6, 3, 2, 24, 2),
    MBConv(6, 5, 2, 40, 2),
    MBConv(6, 3, 2, 80, 3),
    MBConv(6, 5, 1, 112, 3),
    MBConv(6, 5, 2, 192, 4),
    MBConv(6, 3, 1, 320, 1),
)
"""Tan & Le 2019, Table 1."""


class Scaling(NamedTuple):
    """Factors of width and depth, resolution and dropout: the authors' code."""

    width: float
    depth: float
    side: int
    dropout: float


SCALINGS = (
    Scaling(1.0, 1.0, 224, 0.2),
    Scaling(1.0, 1.1, 240, 0.2),
    Scaling(1.1, 1.2, 288, 0.3),  # 260 in the authors' code; torchvision's weights are of 288
    Scaling(1.2, 1.4, 300, 0.3),
    Scaling(1.4, 1.8, 380, 0.4),
    Scaling(1.6, 2.2, 456, 0.4),
    Scaling(1.8, 2.6, 528, 0.5),
    Scaling(2.0, 3.1, 600, 0.5),
)


def efficientnet(number: int, *, classes: int = 1000) -> Seq:
    """3x3/2 32, seven stages of MBConv, 1x1 1280, global average, fc, all widths and depths scaled (sec. 3.3).

    torchvision has TensorFlow's epsilon and momentum from B5 on.
    """
    style = ConvStyle(SiLU(), eps=0.001, momentum=0.01) if number > 4 else ConvStyle(SiLU())
    scaling = SCALINGS[number]
    rows = [row._replace(width=rounded(row.width * scaling.width), units=ceil(row.units * scaling.depth)) for row in B0]
    return _network(style, rounded(32 * scaling.width), rows, 4 * rows[-1].width, scaling.dropout, classes)


# -- v2 -----------------------------------------------------------------------------------------------

V2_S = (
    MBConv(1, 3, 1, 24, 2, True),
    MBConv(4, 3, 2, 48, 4, True),
    MBConv(4, 3, 2, 64, 4, True),
    MBConv(4, 3, 2, 128, 6),
    MBConv(6, 3, 1, 160, 9),
    MBConv(6, 3, 2, 256, 15),
)
"""Tan & Le 2021, Table 4, with the widths of the authors' code (the table's last row has 272)."""

V2_M = (
    MBConv(1, 3, 1, 24, 3, True),
    MBConv(4, 3, 2, 48, 5, True),
    MBConv(4, 3, 2, 80, 5, True),
    MBConv(4, 3, 2, 160, 7),
    MBConv(6, 3, 1, 176, 14),
    MBConv(6, 3, 2, 304, 18),
    MBConv(6, 3, 1, 512, 5),
)

V2_L = (
    MBConv(1, 3, 1, 32, 4, True),
    MBConv(4, 3, 2, 64, 7, True),
    MBConv(4, 3, 2, 96, 7, True),
    MBConv(4, 3, 2, 192, 10),
    MBConv(6, 3, 1, 224, 19),
    MBConv(6, 3, 2, 384, 25),
    MBConv(6, 3, 1, 640, 7),
)
"""M and L are of the authors' code; the paper prints S alone."""


def efficientnet_v2(rows: Sequence[MBConv], dropout: float, *, classes: int = 1000) -> Seq:
    """3x3/2, three stages of fused MBConv, then MBConv, 1x1 1280, global average, fc (Tan & Le 2021, Table 4)."""
    return _network(ConvStyle(SiLU(), eps=0.001), rows[0].width, rows, 1280, dropout, classes)


_V1, _V2 = "Tan & Le 2019, Table 2", "Tan & Le 2021, Table 4"

ENTRIES = (
    *(
        entry("efficientnet", f"efficientnet_b{number}", (3, scaling.side, scaling.side), _V1, efficientnet, number)
        for number, scaling in enumerate(SCALINGS)
    ),
    entry("efficientnet", "efficientnet_v2_s", (3, 384, 384), _V2, efficientnet_v2, V2_S, 0.2),
    entry("efficientnet", "efficientnet_v2_m", (3, 480, 480), _V2, efficientnet_v2, V2_M, 0.3),
    entry("efficientnet", "efficientnet_v2_l", (3, 480, 480), _V2, efficientnet_v2, V2_L, 0.4),
)
