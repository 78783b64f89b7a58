"""Wide ResNets are few units of many channels: bottlenecks for ImageNet, pre-activated for CIFAR (Zagoruyko & Komodakis
2016)."""

from resbench.arch.algebra import Seq
from resbench.arch.blocks import Stage, basic_convs, trunk, unit
from resbench.arch.entry import CIFAR, IMAGENET, entry
from resbench.arch.families.resnet import imagenet_resnet
from resbench.arch.layers import Conv2d, Flatten, Linear
from resbench.arch.orders import ending
from resbench.arch.pools import GlobalAvgPool
from resbench.errors import ArchitectureError


def wide_unit(in_channels: int, out_channels: int, stride: int = 1, *, first: bool = False) -> Seq:
    """[BN - ReLU - 3x3; BN - ReLU - 3x3] + x, or + W relu(bn(x)) where the shape changes (figure 1a).

    The ``first`` has a BN of its own too, since behind the stem is none.
    """
    return unit(basic_convs(in_channels, out_channels, stride), "B", "full-preact")


def cifar_wide_resnet(depth: int, widening: int, *, classes: int = 10) -> Seq:
    """3x3 16, three stages of 16k, 32k, 64k with (d - 4) / 6 units each, BN - ReLU, global average, fc (Table 1)."""
    units, rest = divmod(depth - 4, 6)
    if rest or units < 1:
        raise ArchitectureError(f"expected a depth of 6n + 4, received {depth}")
    base = 16 * widening
    stages = [Stage(base, units, 1), Stage(2 * base, units, 2), Stage(4 * base, units, 2)]
    return Seq(
        conv1=Conv2d(3, 16, 3, padding=1, bias=False),
        **trunk(16, stages, wide_unit),
        **ending(4 * base, "full-preact", "bn"),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        fc=Linear(4 * base, classes),
    )


_PAPER = "Zagoruyko & Komodakis 2016"

ENTRIES = (
    entry("wide_resnet", "wide_resnet50_2", IMAGENET, f"{_PAPER}, Table 8", imagenet_resnet, 50, group_width=128),
    entry("wide_resnet", "wide_resnet101_2", IMAGENET, f"{_PAPER}, Table 8", imagenet_resnet, 101, group_width=128),
    *(
        entry("wide_resnet", f"wrn{depth}_{k}", CIFAR, f"{_PAPER}, Table 4", cifar_wide_resnet, depth, k)
        for depth, k in ((16, 8), (16, 10), (22, 8), (28, 10), (28, 12), (40, 4), (40, 8))
    ),
)
