"""ShuffleNet v2 lets half of the channels pass, and shuffles the halves (Ma et al. 2018)."""

from typing import Literal

from resbench.arch.algebra import Concat, Node, Seq, stack
from resbench.arch.channels import ChannelShuffle, ChannelSlice
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.layers import Flatten, Linear
from resbench.arch.pools import GlobalAvgPool, MaxPool2d
from resbench.arch.styles import ConvStyle

WIDTHS = {
    "x0_5": (48, 96, 192, 1024),
    "x1_0": (116, 232, 464, 1024),
    "x1_5": (176, 352, 704, 1024),
    "x2_0": (244, 488, 976, 2048),
}
"""The stages 2 to 4 and the last convolution give so many maps: Table 5."""


Passing = Literal["half", "all"]
"""Beside the branch that strides go half of the maps that come out, or, as in the authors' code, as many as come in."""


def _branch(style: ConvStyle, in_channels: int, width: int, out_channels: int, stride: int) -> Seq:
    """1x1 - BN - ReLU, 3x3 depthwise - BN, 1x1 - BN - ReLU."""
    depthwise = style.linear(width, width, 3, stride, groups=width)
    return stack(*style.conv(in_channels, width), *depthwise, *style.conv(width, out_channels))


def shuffle_unit(channels: int) -> Seq:
    """(x1 | [1x1; 3x3 depthwise; 1x1] of x2), shuffled: x1 and x2 are the halves of x (figure 3c)."""
    half = channels // 2
    branch = Seq(ChannelSlice(half, channels), branch2=_branch(ConvStyle(), half, half, half, 1))
    return Seq(Concat(ChannelSlice(0, half), branch), shuffle=ChannelShuffle(2))


def shuffle_unit_down(in_channels: int, out_channels: int, *, passing: Passing = "half") -> Seq:
    """([3x3/2 depthwise; 1x1] | [1x1; 3x3/2 depthwise; 1x1]), shuffled (figure 3d)."""
    style, half = ConvStyle(), out_channels // 2
    beside = half if passing == "half" else in_channels
    depthwise = style.linear(in_channels, in_channels, 3, 2, groups=in_channels)
    paths = Concat(
        branch1=stack(*depthwise, *style.conv(in_channels, beside)),
        branch2=_branch(style, in_channels, half, out_channels - beside, 2),
    )
    return Seq(paths, shuffle=ChannelShuffle(2))


def shufflenet_v2(width: str, *, passing: Passing = "half", last: int = 0, classes: int = 1000) -> Seq:
    """3x3/2 24, max/2, stages of 4, 8 and 4 units, 1x1, global average, fc (Table 5).

    The 1x1 gives ``last`` maps, where somebody has others than the table.
    """
    style, channels = ConvStyle(), 24
    *widths, wide = WIDTHS[width]
    last = last or wide
    stages: dict[str, Node] = {}
    for i, (out, units) in enumerate(zip(widths, (4, 8, 4), strict=True), 2):
        stages[f"stage{i}"] = stack(
            shuffle_unit_down(channels, out, passing=passing), *[shuffle_unit(out)] * (units - 1)
        )
        channels = out
    return Seq(
        conv1=style.conv(3, 24, 3, 2),
        maxpool=MaxPool2d(3, 2, 1),
        **stages,
        conv5=style.conv(channels, last),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        fc=Linear(last, classes),
    )


ENTRIES = (
    *(entry("shufflenet", f"shufflenet_v2_{w}", IMAGENET, "Ma et al. 2018, Table 5", shufflenet_v2, w) for w in WIDTHS),
    entry("block", "shuffle_unit", (116, 28, 28), "Ma et al. 2018, figure 3c", shuffle_unit, 116),
    entry("block", "shuffle_unit_down", (116, 28, 28), "Ma et al. 2018, figure 3d", shuffle_unit_down, 116, 232),
)
