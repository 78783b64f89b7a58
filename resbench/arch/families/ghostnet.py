"""GhostNet makes half of its maps by a cheap depthwise convolution of the other half (Han et al. 2020)."""

from typing import NamedTuple

from resbench.arch.activations import Hardsigmoid, ReLU
from resbench.arch.algebra import Add, Concat, Node, Seq, stack
from resbench.arch.blocks import gated
from resbench.arch.channels import ChannelSlice
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.layers import Conv2d, Flatten, Identity, Linear
from resbench.arch.pools import GlobalAvgPool
from resbench.arch.styles import ConvStyle, rounded

STYLE = ConvStyle()


class Ghost(NamedTuple):
    """Kernel, #exp, #out, SE, stride: Table 1."""

    kernel: int
    wide: int
    width: int
    se: bool
    stride: int


STAGES = (
    (Ghost(3, 16, 16, False, 1),),
    (Ghost(3, 48, 24, False, 2),),
    (Ghost(3, 72, 24, False, 1),),
    (Ghost(5, 72, 40, True, 2),),
    (Ghost(5, 120, 40, True, 1),),
    (Ghost(3, 240, 80, False, 2),),
    (
        Ghost(3, 200, 80, False, 1),
        Ghost(3, 184, 80, False, 1),
        Ghost(3, 184, 80, False, 1),
        Ghost(3, 480, 112, True, 1),
        Ghost(3, 672, 112, True, 1),
    ),
    (Ghost(5, 672, 160, True, 2),),
    (
        Ghost(5, 960, 160, False, 1),
        Ghost(5, 960, 160, True, 1),
        Ghost(5, 960, 160, False, 1),
        Ghost(5, 960, 160, True, 1),
    ),
)
"""Table 1, in the stages of the authors' code."""


def ghost_module(in_channels: int, out_channels: int, *, activated: bool = True) -> Seq:
    """y | [3x3 depthwise of y], y = 1x1 of half as many maps (figure 1b)."""
    half = -(-out_channels // 2)
    conv = STYLE.conv if activated else STYLE.linear
    cheap = Seq(cheap_operation=conv(half, half, 3, groups=half))
    surplus = [ChannelSlice(0, out_channels)] if out_channels % 2 else []
    return Seq(Seq(primary_conv=conv(in_channels, half)), Concat(Identity(), cheap), *surplus)


def ghost_bottleneck(in_channels: int, row: Ghost) -> Seq:
    """[ghost; k x k depthwise/2; SE; ghost] + x (figure 3): the depthwise where it strides, the last not activated."""
    branch: dict[str, Node] = {"ghost1": ghost_module(in_channels, row.wide)}
    if row.stride > 1:
        branch["conv_dw"], branch["bn_dw"] = STYLE.linear(row.wide, row.wide, row.kernel, row.stride, row.wide)
    if row.se:
        branch["se"] = gated(row.wide, rounded(row.wide / 4, 4), gate=Hardsigmoid())
    branch["ghost2"] = ghost_module(row.wide, row.width, activated=False)
    if (in_channels, row.stride) == (row.width, 1):
        return Seq(Add(Seq(**branch), Identity()))
    depthwise = STYLE.linear(in_channels, in_channels, row.kernel, row.stride, in_channels)
    return Seq(Add(Seq(**branch), shortcut=stack(*depthwise, *STYLE.linear(in_channels, row.width))))


def ghostnet(percent: int, *, classes: int = 1000) -> Seq:
    """3x3/2 16, sixteen ghost bottlenecks, 1x1 960, global average, 1x1 1280, fc (Table 1).

    ``percent`` is the factor of all widths but the last.
    """

    def scaled(width: int) -> int:
        return rounded(width * percent / 100, 4)

    stem, norm, relu = STYLE.conv(3, scaled(16), 3, 2)
    channels = scaled(16)
    stages: list[Node] = []
    for rows in STAGES:
        units = []
        for row in rows:
            units.append(ghost_bottleneck(channels, row._replace(wide=scaled(row.wide), width=scaled(row.width))))
            channels = scaled(row.width)
        stages.append(stack(*units))
    last, norm2, relu2 = STYLE.conv(channels, scaled(960))
    return Seq(
        conv_stem=stem,
        bn1=norm,
        act1=relu,
        blocks=stack(*stages, stack(Seq(conv=last, bn1=norm2, act1=relu2))),
        global_pool=GlobalAvgPool(),
        conv_head=Conv2d(scaled(960), 1280, 1),
        act2=ReLU(),
        flatten=Flatten(),
        classifier=Linear(1280, classes),
    )


NAMES = (((r"se\.conv_reduce\.", "se.fc1."), (r"se\.conv_expand\.", "se.fc2.")),)
"""timm calls the convolutions of SE so."""

ENTRIES = (
    *(
        entry("ghostnet", f"ghostnet_{percent:03}", IMAGENET, "Han et al. 2020, Table 1", ghostnet, percent)
        for percent in (50, 100, 130)
    ),
    entry("block", "ghost_module", (24, 56, 56), "Han et al. 2020, figure 1b", ghost_module, 24, 72),
)
