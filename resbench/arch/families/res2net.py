"""Res2Net splits the 3x3 of a bottleneck into scales, each of which reads the one before (Gao et al. 2021)."""

from functools import partial
from typing import Any

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Add, Concat, Node, Seq, shared
from resbench.arch.blocks import Stage, trunk
from resbench.arch.channels import ChannelSlice
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.layers import BatchNorm2d, Conv2d, Flatten, Identity, Linear
from resbench.arch.pools import AvgPool2d, GlobalAvgPool, MaxPool2d
from resbench.arch.shortcuts import projection


@shared
def _scale(width: int, stride: int = 1) -> Seq:
    """3x3 - BN - ReLU of one scale."""
    return Seq(conv=Conv2d(width, width, 3, stride, 1, bias=False), bn=BatchNorm2d(width), relu=ReLU())


@shared
def hierarchical(width: int, scales: int) -> Seq:
    """y1 = K1(x1), yi = Ki(xi + yi-1), ys = xs (eq. 1, with the authors' order).

    Each step gives all scales on, those that are done and those to come, so that the next can read two of them.
    """
    steps: dict[str, Node] = {}
    for i in range(scales - 1):
        here = ChannelSlice(i * width, (i + 1) * width)
        opening: Node = Add(here, ChannelSlice((i - 1) * width, i * width)) if i else here
        done = [ChannelSlice(0, i * width)] if i else []
        steps[f"scale{i}"] = Seq(
            Concat(*done, Seq(opening, _scale(width)), ChannelSlice((i + 1) * width, scales * width))
        )
    return Seq(**steps)


def separate(width: int, scales: int, stride: int) -> Concat:
    """yi = Ki(xi), ys = avg 3x3 of xs: the first unit of a stage (the authors' code)."""
    slices = [ChannelSlice(i * width, (i + 1) * width) for i in range(scales)]
    paths = [Seq(part, **{f"scale{i}": _scale(width, stride)}) for i, part in enumerate(slices[:-1])]
    return Concat(*paths, Seq(slices[-1], pool=AvgPool2d(3, stride, 1)))


def res2net_block(
    in_channels: int, out_channels: int, stride: int = 1, *, base: int = 26, scales: int = 4, first: bool = False
) -> Seq:
    """[1x1, sw; s scales of 3x3, w; 1x1, out] + x, w = out base / 256 (figure 2b); ``first`` is of no account."""
    width = out_channels * base // 256
    wide = scales * width
    opens = in_channels != out_channels or stride > 1
    branch = Seq(
        Seq(conv1=Conv2d(in_channels, wide, 1, bias=False), bn1=BatchNorm2d(wide), relu1=ReLU()),
        separate(width, scales, stride) if opens else hierarchical(width, scales),
        conv3=Conv2d(wide, out_channels, 1, bias=False),
        bn3=BatchNorm2d(out_channels),
    )
    shortcut = Seq(downsample=projection(in_channels, out_channels, stride)) if opens else Identity()
    return Seq(Add(branch, shortcut), relu=ReLU())


UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def res2net(depth: int, base: int, scales: int, *, classes: int = 1000) -> Seq:
    """7x7/2 64, max/2, four stages of 256, 512, 1024, 2048, global average, fc (sec. 3.2; ``base`` is w at 256)."""
    stages = [Stage(256 * 2**i, units, 2 if i else 1) for i, units in enumerate(UNITS[depth])]
    options: dict[str, Any] = {"base": base, "scales": scales}
    return Seq(
        conv1=Conv2d(3, 64, 7, 2, 3, bias=False),
        bn1=BatchNorm2d(64),
        relu=ReLU(),
        maxpool=MaxPool2d(3, 2, 1),
        **trunk(64, stages, partial(res2net_block, **options)),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        fc=Linear(2048, classes),
    )


NAMES = (((r"(conv|bn)s\.(\d)\.", r"scale\2.\1."),),)
"""timm lists all the convolutions of a block, and then their BN."""

ENTRIES = (
    *(
        entry("res2net", f"res2net{d}_{w}w_{s}s", IMAGENET, "Gao et al. 2021, Tables 1 and 3", res2net, d, w, s)
        for d, w, s in ((50, 26, 4), (50, 48, 2), (50, 14, 8), (50, 26, 8), (101, 26, 4))
    ),
    entry("block", "res2net_block", (256, 56, 56), "Gao et al. 2021, figure 2b", res2net_block, 256, 256),
)
