"""MobileNet v4 has one block for all that came before: two optional depthwise convolutions around an expansion
(Qin et al. 2024)."""

from collections.abc import Sequence
from typing import NamedTuple

from resbench.arch.algebra import Add, Node, Seq, stack
from resbench.arch.entry import entry
from resbench.arch.layers import Flatten, Identity, Linear
from resbench.arch.pools import GlobalAvgPool
from resbench.arch.styles import ConvStyle

STYLE = ConvStyle()


class Universal(NamedTuple):
    """A universal inverted bottleneck: kernels of the depthwise before and within (0: none), stride, expansion, width.

    Both: ExtraDW; the first: ConvNeXt; the second: inverted bottleneck; none: feed-forward (figure 4).
    """

    before: int
    within: int
    stride: int
    expansion: int
    width: int


class Fused(NamedTuple):
    """A fused inverted bottleneck: kernel, stride, expansion, width."""

    kernel: int
    stride: int
    expansion: int
    width: int


class Plain(NamedTuple):
    """conv - BN - ReLU: kernel, stride, width."""

    kernel: int
    stride: int
    width: int


Unit = Universal | Fused | Plain


def _named(conv: Seq) -> Seq:
    """The parts of a convolution of the style are called conv, bn, act."""
    return Seq(**dict(zip(("conv", "bn", "act"), conv, strict=False)))


def universal_block(in_channels: int, row: Universal) -> Seq:
    """[k x k depthwise; 1x1, tC; k x k depthwise; 1x1, width] + x (figure 4): the later depthwise strides."""
    wide = in_channels * row.expansion
    early = 1 if row.within else row.stride
    parts: dict[str, Node] = {}
    if row.before:
        parts["dw_start"] = _named(STYLE.linear(in_channels, in_channels, row.before, early, in_channels))
    parts["pw_exp"] = _named(STYLE.conv(in_channels, wide))
    if row.within:
        parts["dw_mid"] = _named(STYLE.depthwise(wide, row.within, row.stride))
    parts["pw_proj"] = _named(STYLE.linear(wide, row.width))
    stays = (in_channels, row.stride) == (row.width, 1)
    return Seq(Add(Seq(**parts), Identity())) if stays else Seq(**parts)


def _block(in_channels: int, row: Unit) -> Seq:
    if isinstance(row, Universal):
        return universal_block(in_channels, row)
    if isinstance(row, Plain):
        conv, norm, relu = STYLE.conv(in_channels, row.width, row.kernel, row.stride)
        return Seq(conv=conv, bn1=norm, act1=relu)
    wide = in_channels * row.expansion
    conv, norm, relu = STYLE.conv(in_channels, wide, row.kernel, row.stride)
    project, norm2 = STYLE.linear(wide, row.width)
    return Seq(conv_exp=conv, bn1=norm, act1=relu, conv_pwl=project, bn2=norm2)


SMALL: tuple[tuple[Unit, ...], ...] = (
    (Plain(3, 2, 32), Plain(1, 1, 32)),
    (Plain(3, 2, 96), Plain(1, 1, 64)),
    (Universal(5, 5, 2, 3, 96), *[Universal(0, 3, 1, 2, 96)] * 4, Universal(3, 0, 1, 4, 96)),
    (
        Universal(3, 3, 2, 6, 128),
        Universal(5, 5, 1, 4, 128),
        Universal(0, 5, 1, 4, 128),
        Universal(0, 5, 1, 3, 128),
        *[Universal(0, 3, 1, 4, 128)] * 2,
    ),
    (Plain(1, 1, 960),),
)

MEDIUM: tuple[tuple[Unit, ...], ...] = (
    (Fused(3, 2, 4, 48),),
    (Universal(3, 5, 2, 4, 80), Universal(3, 3, 1, 2, 80)),
    (
        Universal(3, 5, 2, 6, 160),
        *[Universal(3, 3, 1, 4, 160)] * 2,
        Universal(3, 5, 1, 4, 160),
        Universal(3, 3, 1, 4, 160),
        Universal(3, 0, 1, 4, 160),
        Universal(0, 0, 1, 2, 160),
        Universal(3, 0, 1, 4, 160),
    ),
    (
        Universal(5, 5, 2, 6, 256),
        Universal(5, 5, 1, 4, 256),
        *[Universal(3, 5, 1, 4, 256)] * 2,
        Universal(0, 0, 1, 4, 256),
        Universal(3, 0, 1, 4, 256),
        Universal(3, 5, 1, 2, 256),
        Universal(5, 5, 1, 4, 256),
        *[Universal(0, 0, 1, 4, 256)] * 2,
        Universal(5, 0, 1, 2, 256),
    ),
    (Plain(1, 1, 960),),
)

LARGE: tuple[tuple[Unit, ...], ...] = (
    (Fused(3, 2, 4, 48),),
    (Universal(3, 5, 2, 4, 96), Universal(3, 3, 1, 4, 96)),
    (
        Universal(3, 5, 2, 4, 192),
        *[Universal(3, 3, 1, 4, 192)] * 3,
        Universal(3, 5, 1, 4, 192),
        *[Universal(5, 3, 1, 4, 192)] * 5,
        Universal(3, 0, 1, 4, 192),
    ),
    (
        Universal(5, 5, 2, 4, 512),
        *[Universal(5, 5, 1, 4, 512)] * 3,
        Universal(5, 0, 1, 4, 512),
        Universal(5, 3, 1, 4, 512),
        *[Universal(5, 0, 1, 4, 512)] * 2,
        Universal(5, 3, 1, 4, 512),
        Universal(5, 5, 1, 4, 512),
        *[Universal(5, 0, 1, 4, 512)] * 3,
    ),
    (Plain(1, 1, 960),),
)
"""Tables 11 to 13."""


def mobilenet_v4(stages: Sequence[Sequence[Unit]], stem: int, *, classes: int = 1000) -> Seq:
    """3x3/2, five stages, global average, 1x1 1280 - BN - ReLU, fc (Tables 11 to 13)."""
    conv, norm, relu = STYLE.conv(3, stem, 3, 2)
    channels = stem
    blocks = []
    for rows in stages:
        units = []
        for row in rows:
            units.append(_block(channels, row))
            channels = row.width
        blocks.append(stack(*units))
    head, norm_head, act2 = STYLE.conv(channels, 1280)
    return Seq(
        conv_stem=conv,
        bn1=norm,
        act1=relu,
        blocks=stack(*blocks),
        global_pool=GlobalAvgPool(),
        conv_head=head,
        norm_head=norm_head,
        act2=act2,
        flatten=Flatten(),
        classifier=Linear(1280, classes),
    )


_QIN = "Qin et al. 2024, Tables 11 to 13"

ENTRIES = (
    entry("mobilenet", "mobilenetv4_conv_small", (3, 224, 224), _QIN, mobilenet_v4, SMALL, 32),
    entry("mobilenet", "mobilenetv4_conv_medium", (3, 256, 256), _QIN, mobilenet_v4, MEDIUM, 32),
    entry("mobilenet", "mobilenetv4_conv_large", (3, 384, 384), _QIN, mobilenet_v4, LARGE, 24),
)
