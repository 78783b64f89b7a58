"""Dual path networks add to some channels, as ResNet does, and append others, as DenseNet does (Chen et al. 2017)."""

from typing import NamedTuple

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Add, Concat, Node, Seq, shared
from resbench.arch.channels import ChannelSlice
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.layers import BatchNorm2d, Conv2d, Flatten, Identity
from resbench.arch.pools import GlobalAvgPool, MaxPool2d


class Layout(NamedTuple):
    """Stem width and kernel, the residual width of the first stage, its inner width, groups, units, increments."""

    stem: int
    kernel: int
    residual: int
    inner: int
    groups: int
    units: tuple[int, int, int, int]
    increments: tuple[int, int, int, int]


DESIGNS = {
    68: Layout(10, 3, 64, 128, 32, (3, 4, 12, 3), (16, 32, 32, 64)),
    92: Layout(64, 7, 256, 96, 32, (3, 4, 20, 3), (16, 32, 24, 128)),
    98: Layout(96, 7, 256, 160, 40, (3, 6, 20, 3), (16, 32, 32, 128)),
    107: Layout(128, 7, 256, 200, 50, (4, 8, 20, 3), (20, 64, 64, 128)),
    131: Layout(128, 7, 256, 160, 40, (4, 8, 28, 3), (16, 32, 32, 128)),
}
"""Table 1, and the authors' code for 68, 107 and 131."""


class PathWidths(NamedTuple):
    """A unit adds to ``residual`` channels and appends ``increment``; its 3x3 has ``inner`` in ``groups``."""

    residual: int
    increment: int
    inner: int
    groups: int


@shared
def _activated(in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> Seq:
    """BN - ReLU - conv."""
    conv = Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups, bias=False)
    return Seq(bn=BatchNorm2d(in_channels, 0.001), act=ReLU(), conv=conv)


def dual_path_block(in_channels: int, widths: PathWidths, stride: int = 1, *, projects: bool = False) -> Seq:
    """x = (r, d) becomes (r + a, d, b), (a, b) = [1x1; 3x3, groups; 1x1] of x (eq. 5 to 7, figure 2d).

    (r, d) and (a, b) are set side by side first, as each is read twice: a concatenation more than others make. Where it
    ``projects``, the first of a stage, (r, d) is a 1x1 of x that begins d with two increments.
    """
    residual, increment, inner, groups = widths
    branch = Seq(
        c1x1_a=_activated(in_channels, inner),
        c3x3_b=_activated(inner, inner, 3, stride, groups),
        c1x1_c=_activated(inner, residual + increment),
    )
    held = residual + 2 * increment if projects else in_channels
    projection = Seq(**{f"c1x1_w_s{stride}": _activated(in_channels, held, 1, stride)})
    added = Add(ChannelSlice(0, residual), ChannelSlice(held, held + residual))
    appended = ChannelSlice(held + residual, held + residual + increment)
    paths = Concat(projection if projects else Identity(), branch)
    return Seq(paths, dual=Concat(added, ChannelSlice(residual, held), appended))


def dpn(depth: int, *, classes: int = 1000) -> Seq:
    """7x7/2, max/2, four stages of dual path blocks, BN - ReLU, global average, 1x1 (Table 1; 68 has a 3x3 stem)."""
    design = DESIGNS[depth]
    channels = design.stem
    stem = Conv2d(3, channels, design.kernel, 2, design.kernel // 2, bias=False)
    features: dict[str, Node] = {
        "conv1_1": Seq(conv=stem, bn=BatchNorm2d(channels, 0.001), act=ReLU()),
        "conv1_pool": MaxPool2d(3, 2, 1),
    }
    for i, (units, increment) in enumerate(zip(design.units, design.increments, strict=True)):
        widths = PathWidths(design.residual * 2**i, increment, design.inner * 2**i, design.groups)
        features[f"conv{i + 2}_1"] = dual_path_block(channels, widths, 2 if i else 1, projects=True)
        channels = widths.residual + 3 * increment
        for j in range(2, units + 1):
            features[f"conv{i + 2}_{j}"] = dual_path_block(channels, widths)
            channels += increment
    features["conv5_bn_ac"] = Seq(bn=BatchNorm2d(channels, 0.001), act=ReLU())
    return Seq(
        features=Seq(**features),
        global_pool=GlobalAvgPool(),
        classifier=Conv2d(channels, classes, 1),
        flatten=Flatten(),
    )


ENTRIES = tuple(entry("dpn", f"dpn{n}", IMAGENET, "Chen et al. 2017, Table 1", dpn, n) for n in DESIGNS)
