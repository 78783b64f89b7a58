"""MnasNet is inverted residuals that a search placed, with kernels of 3 and 5 (Tan et al. 2019)."""

from itertools import chain, repeat

from resbench.arch.algebra import Node, Seq, stack
from resbench.arch.blocks import Inverted, inverted_residual, skipped
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.layers import Dropout, Flatten, Linear
from resbench.arch.pools import GlobalAvgPool
from resbench.arch.styles import ConvStyle, rounded

STAGES = ((3, 24, 3, 3, 2), (3, 40, 5, 3, 2), (6, 80, 5, 3, 2), (6, 96, 3, 2, 1), (6, 192, 5, 4, 2), (6, 320, 3, 1, 1))
"""Expansion, width, kernel, number of units, stride: figure 7 without squeeze-and-excitation."""


def mnasnet(percent: int, *, classes: int = 1000) -> Seq:
    """3x3/2 32, depthwise 3x3 16, sixteen inverted residuals, 1x1 1280, global average, fc (MnasNet-B1, figure 7).

    ``percent`` of all widths but the last, each rounded to a multiple of 8.
    """
    style = ConvStyle(momentum=1 - 0.9997)  # the paper's momentum is that of what is kept

    def scaled(width: int) -> int:
        return rounded(width * percent / 100)

    def unit(in_channels: int, row: Inverted) -> Seq:
        branch = Seq(layers=stack(*chain(*inverted_residual(style, in_channels, row))))
        return skipped(branch, (in_channels, row.stride) == (row.width, 1))

    stem, channels = scaled(32), scaled(16)
    layers: list[Node] = [*style.conv(3, stem, 3, 2), *style.depthwise(stem), *style.linear(stem, channels)]
    for expansion, wide, kernel, units, stride in STAGES:
        width = scaled(wide)
        opening = unit(channels, Inverted(expansion * channels, width, kernel, stride))
        layers.append(stack(opening, *repeat(unit(width, Inverted(expansion * width, width, kernel)), units - 1)))
        channels = width
    return Seq(
        layers=stack(*layers, *style.conv(channels, 1280)),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        classifier=stack(Dropout(0.2), Linear(1280, classes)),
    )


NAMES = (
    (
        (r"^conv_stem\.", "layers.0."),
        (r"^bn1\.", "layers.1."),
        (r"^blocks\.0\.0\.conv_dw\.", "layers.3."),
        (r"^blocks\.0\.0\.bn1\.", "layers.4."),
        (r"^blocks\.0\.0\.conv_pw\.", "layers.6."),
        (r"^blocks\.0\.0\.bn2\.", "layers.7."),
        (r"^blocks\.(\d)\.(\d)\.", lambda found: f"layers.{int(found[1]) + 7}.{found[2]}.layers."),
        (r"\.conv_pw\.", ".0."),
        (r"\.bn1\.", ".1."),
        (r"\.conv_dw\.", ".3."),
        (r"\.bn2\.", ".4."),
        (r"\.conv_pwl\.", ".6."),
        (r"\.bn3\.", ".7."),
        (r"^conv_head\.", "layers.14."),
        (r"^bn2\.", "layers.15."),
        (r"^classifier\.", "classifier.1."),
    ),
)
"""timm calls the layers so."""

ENTRIES = tuple(
    entry("mnasnet", f"mnasnet{percent // 100}_{digits}", IMAGENET, "Tan et al. 2019, figure 7", mnasnet, percent)
    for percent, digits in ((50, "5"), (75, "75"), (100, "0"), (130, "3"))
)
