"""RepVGG trains a 3x3, a 1x1 and x itself side by side, and runs one 3x3 that is their sum (Ding et al. 2021).

>>> from resbench.arch.catalog import architecture
>>> trained = architecture("repvgg_a0")
>>> trained.totals().params, deployed(trained.body) == architecture("repvgg_a0,form=deployed").body
(9108968, True)
"""

from dataclasses import replace
from typing import Literal

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Add, Node, Seq, shared, stack, walk
from resbench.arch.editing import select
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.layers import BatchNorm2d, Conv2d, Flatten, Linear
from resbench.arch.pools import GlobalAvgPool

A, B = (2, 4, 14, 1), (4, 6, 16, 1)
"""So many blocks stand in each stage behind the stem: Table 2."""

DESIGNS: dict[str, tuple[tuple[int, ...], tuple[float, float], int]] = {
    "a0": (A, (0.75, 2.5), 1),
    "a1": (A, (1, 2.5), 1),
    "a2": (A, (1.5, 2.75), 1),
    "b0": (B, (1, 2.5), 1),
    "b1": (B, (2, 4), 1),
    "b1g4": (B, (2, 4), 4),
    "b2": (B, (2.5, 5), 1),
    "b2g4": (B, (2.5, 5), 4),
    "b3": (B, (3, 5), 1),
    "b3g4": (B, (3, 5), 4),
}
"""Blocks, the factors a and b of the widths, and the groups of every second block: Table 3."""


@shared
def repvgg_block(in_channels: int, out_channels: int, stride: int = 1, *, groups: int = 1) -> Seq:
    """[3x3; BN] + [1x1; BN] + [BN], ReLU; the last where the shape stays (figure 2b)."""

    def path(kernel: int) -> Seq:
        conv = Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups, bias=False)
        return Seq(conv=conv, bn=BatchNorm2d(out_channels))

    shape_stays = (in_channels, stride) == (out_channels, 1)
    identity: dict[str, Node] = {"identity": BatchNorm2d(out_channels)} if shape_stays else {}
    return Seq(Add(conv_kxk=path(3), conv_1x1=path(1), **identity), act=ReLU())


def deployed(network: Node) -> Node:
    """Each sum of a 3x3, a 1x1 and x becomes one 3x3 with a bias, ``reparam_conv`` (sec. 3.3)."""

    def merged(paths: Node, _: str) -> Node:
        convs = [node for _, node in walk(paths) if isinstance(node, Conv2d)]
        return Seq(reparam_conv=replace(max(convs, key=lambda conv: conv.kernel), bias=True))

    return select(network, Add).replace(merged)


def repvgg(name: str, *, form: Literal["trained", "deployed"] = "trained", classes: int = 1000) -> Node:
    """A block of stride 2 with min(64, 64a), stages of 64a, 128a, 256a, 512b, global average, fc (Table 2)."""
    units, (a, b), groups = DESIGNS[name]
    channels = int(min(64, 64 * a))
    stem = repvgg_block(3, channels, 2)
    stages: list[Node] = []
    number = 0
    for count, width in zip(units, (64 * a, 128 * a, 256 * a, 512 * b), strict=True):
        blocks = []
        for stride in (2, *[1] * (count - 1)):
            number += 1
            blocks.append(repvgg_block(channels, int(width), stride, groups=groups if number % 2 == 0 else 1))
            channels = int(width)
        stages.append(stack(*blocks))
    head = {"avgpool": GlobalAvgPool(), "flatten": Flatten(), "fc": Linear(channels, classes)}
    network = Seq(stem=stem, stages=stack(*stages), head=Seq(**head))
    return deployed(network) if form == "deployed" else network


ENTRIES = (
    *(entry("repvgg", f"repvgg_{name}", IMAGENET, "Ding et al. 2021, Table 3", repvgg, name) for name in DESIGNS),
    entry("block", "repvgg_block", (64, 56, 56), "Ding et al. 2021, figure 2b", repvgg_block, 64, 64),
)
