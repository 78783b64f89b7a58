"""MobileNets are depthwise convolutions and 1x1 ones: v1 (Howard et al. 2017), v2 (Sandler et al. 2018) and v3
(Howard et al. 2019).

>>> from resbench.arch.catalog import architecture
>>> architecture("mobilenet_v2").totals().macs
300774272
"""

from collections.abc import Sequence
from typing import NamedTuple

from resbench.arch.activations import Hardsigmoid, Hardswish, ReLU, ReLU6
from resbench.arch.algebra import Node, Seq, stack
from resbench.arch.blocks import Inverted, gated, inverted_residual, skipped
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.layers import Conv2d, Dropout, Flatten, Linear
from resbench.arch.padding import Padded, padded
from resbench.arch.pools import GlobalAvgPool
from resbench.arch.styles import ConvStyle, rounded

# -- v1 -----------------------------------------------------------------------------------------------

SEPARABLE = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Width and stride of the depthwise separable convolutions: Howard et al. 2017, Table 1."""


def separable(in_channels: int, out_channels: int, stride: int = 1, padding: Padded = "symmetric") -> Seq:
    """3x3 depthwise - BN - ReLU6 - 1x1 - BN - ReLU6 (Howard et al. 2017, figure 3 right; their release has ReLU6)."""
    style = ConvStyle(ReLU6())
    depthwise, norm1, relu1 = style.depthwise(in_channels, 3, stride)
    pointwise, norm2, relu2 = style.conv(in_channels, out_channels)
    assert isinstance(depthwise, Conv2d)
    opening = padded("conv_dw", depthwise, padding)
    return Seq(**opening, bn1=norm1, relu1=relu1, conv_pw=pointwise, bn2=norm2, relu2=relu2)


def mobilenet_v1(percent: int, *, padding: Padded = "symmetric", classes: int = 1000) -> Seq:
    """3x3/2 32, thirteen depthwise separable convolutions, global average, fc (Howard et al. 2017, Table 1).

    ``percent`` is the width multiplier alpha. A unit of stride 2 begins a stage, as timm numbers them. The authors'
    release has ``padding=same``.
    """
    stem, norm, relu = ConvStyle(ReLU6()).conv(3, rounded(32 * percent / 100), 3, 2)
    assert isinstance(stem, Conv2d)
    channels = stem.out_channels
    stages: list[list[Node]] = []
    for wide, stride in SEPARABLE:
        width = rounded(wide * percent / 100)
        if stride == 2 or not stages:
            stages.append([])
        stages[-1].append(separable(channels, width, stride, padding))
        channels = width
    return Seq(
        **padded("conv_stem", stem, padding),
        bn1=norm,
        relu=relu,
        blocks=stack(*(stack(*units) for units in stages)),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        classifier=Linear(channels, classes),
    )


# -- v2 -----------------------------------------------------------------------------------------------

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion t, width c, number of units n, stride s: Sandler et al. 2018, Table 2."""


def mobilenet_v2(percent: int = 100, *, classes: int = 1000) -> Seq:
    """3x3/2 32, seventeen inverted residuals, 1x1 1280, global average, fc (Sandler et al. 2018, Table 2).

    ``percent`` is the width multiplier; below 100 the last 1x1 stays as it is.
    """
    style = ConvStyle(ReLU6())
    channels = rounded(32 * percent / 100)
    last = rounded(1280 * max(percent, 100) / 100)
    features: list[Node] = [style.conv(3, channels, 3, 2)]
    for expansion, wide, units, stride in STAGES:
        width = rounded(wide * percent / 100)
        for step in (stride, *[1] * (units - 1)):
            *opening, project = inverted_residual(style, channels, Inverted(expansion * channels, width, 3, step))
            branch = Seq(conv=stack(*opening, *project))
            features.append(skipped(branch, (channels, step) == (width, 1)))
            channels = width
    return Seq(
        features=stack(*features, style.conv(channels, last)),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        classifier=stack(Dropout(0.2), Linear(last, classes)),
    )


_FIRST = [1 + sum(units for _, _, units, _ in STAGES[:stage]) for stage in range(len(STAGES))]
"""Under these numbers stages begin."""

NAMES = (
    (
        (r"^conv_stem\.", "features.0.0."),
        (r"^bn1\.", "features.0.1."),
        (r"^blocks\.0\.0\.conv_dw\.", "features.1.conv.0.0."),
        (r"^blocks\.0\.0\.bn1\.", "features.1.conv.0.1."),
        (r"^blocks\.0\.0\.conv_pw\.", "features.1.conv.1."),
        (r"^blocks\.0\.0\.bn2\.", "features.1.conv.2."),
        (r"^blocks\.([0-6])\.(\d)\.", lambda found: f"features.{_FIRST[int(found[1])] + int(found[2])}.conv."),
        (r"\.conv_pw\.", ".0.0."),
        (r"\.bn1\.", ".0.1."),
        (r"\.conv_dw\.", ".1.0."),
        (r"\.bn2\.", ".1.1."),
        (r"\.conv_pwl\.", ".2."),
        (r"\.bn3\.", ".3."),
        (r"^conv_head\.", "features.18.0."),
        (r"^bn2\.", "features.18.1."),
        (r"^classifier\.", "classifier.1."),
    ),
)
"""timm numbers the units of v2 by stages. Of v3 it has another network, with other epsilons, under names like these."""

# -- v3 -----------------------------------------------------------------------------------------------


class Bneck(NamedTuple):
    """A row of Howard et al. 2019, Tables 1 and 2: kernel, exp size, #out, SE, NL (h-swish or not), s."""

    kernel: int
    wide: int
    width: int
    se: bool
    hard: bool
    stride: int


LARGE = (
    Bneck(3, 16, 16, False, False, 1),
    Bneck(3, 64, 24, False, False, 2),
    Bneck(3, 72, 24, False, False, 1),
    Bneck(5, 72, 40, True, False, 2),
    Bneck(5, 120, 40, True, False, 1),
    Bneck(5, 120, 40, True, False, 1),
    Bneck(3, 240, 80, False, True, 2),
    Bneck(3, 200, 80, False, True, 1),
    Bneck(3, 184, 80, False, True, 1),
    Bneck(3, 184, 80, False, True, 1),
    Bneck(3, 480, 112, True, True, 1),
    Bneck(3, 672, 112, True, True, 1),
    Bneck(5, 672, 160, True, True, 2),
    Bneck(5, 960, 160, True, True, 1),
    Bneck(5, 960, 160, True, True, 1),
)

SMALL = (
    Bneck(3, 16, 16, True, False, 2),
    Bneck(3, 72, 24, False, False, 2),
    Bneck(3, 88, 24, False, False, 1),
    Bneck(5, 96, 40, True, True, 2),
    Bneck(5, 240, 40, True, True, 1),
    Bneck(5, 240, 40, True, True, 1),
    Bneck(5, 120, 48, True, True, 1),
    Bneck(5, 144, 48, True, True, 1),
    Bneck(5, 288, 96, True, True, 2),
    Bneck(5, 576, 96, True, True, 1),
    Bneck(5, 576, 96, True, True, 1),
)


def _bneck(in_channels: int, row: Bneck) -> Seq:
    style = ConvStyle(Hardswish() if row.hard else ReLU(), eps=0.001, momentum=0.01)
    squeeze = gated(row.wide, rounded(row.wide // 4), gate=Hardsigmoid()) if row.se else None
    parts = inverted_residual(style, in_channels, Inverted(row.wide, row.width, row.kernel, row.stride), squeeze)
    return skipped(Seq(block=stack(*parts)), (in_channels, row.stride) == (row.width, 1))


def mobilenet_v3(rows: Sequence[Bneck], penultimate: int, *, classes: int = 1000) -> Seq:
    """3x3/2 16, inverted residuals, 1x1 6C, global average, fc, fc (Howard et al. 2019, Tables 1 and 2)."""
    style = ConvStyle(Hardswish(), eps=0.001, momentum=0.01)
    widths = [16, *(row.width for row in rows)]
    channels = 6 * widths[-1]
    return Seq(
        features=stack(
            style.conv(3, 16, 3, 2),
            *(_bneck(before, row) for before, row in zip(widths, rows, strict=False)),
            style.conv(widths[-1], channels),
        ),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        classifier=stack(Linear(channels, penultimate), Hardswish(), Dropout(0.2), Linear(penultimate, classes)),
    )


_HOWARD = "Howard et al. 2019"

ENTRIES = (
    *(
        entry("mobilenet", f"mobilenetv1_{percent:03}", IMAGENET, "Howard et al. 2017, Table 1", mobilenet_v1, percent)
        for percent in (25, 50, 75, 100, 125)
    ),
    entry("mobilenet", "mobilenet_v2", IMAGENET, "Sandler et al. 2018, Table 2", mobilenet_v2),
    *(
        entry(
            "mobilenet", f"mobilenetv2_{percent:03}", IMAGENET, "Sandler et al. 2018, sec. 6.1", mobilenet_v2, percent
        )
        for percent in (35, 50, 75, 140)
    ),
    entry("mobilenet", "mobilenet_v3_large", IMAGENET, f"{_HOWARD}, Table 1", mobilenet_v3, LARGE, 1280),
    entry("mobilenet", "mobilenet_v3_small", IMAGENET, f"{_HOWARD}, Table 2", mobilenet_v3, SMALL, 1024),
)
