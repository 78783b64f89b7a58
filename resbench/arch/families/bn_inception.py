"""BN-Inception is GoogLeNet with batch normalisation, and two 3x3 for each 5x5 (Ioffe & Szegedy 2015)."""

from typing import NamedTuple

from resbench.arch.algebra import Concat, Node, Seq, stack
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.families.inception import conv_relu
from resbench.arch.layers import Flatten, Linear
from resbench.arch.pools import AvgPool2d, GlobalAvgPool, MaxPool2d


class Module(NamedTuple):
    """#1x1, #3x3 reduce, #3x3, double #3x3 reduce, double #3x3, pool, pool proj: figure 5."""

    b1: int
    r3: int
    b3: int
    r5: int
    b5: int
    pool: str
    projection: int

    @property
    def width(self) -> int:
        """The branches give so many maps together; a pool that is not projected gives on what came in."""
        return self.b1 + self.b3 + self.b5 + self.projection


MODULES = {
    "3a": Module(64, 64, 64, 64, 96, "avg", 32),
    "3b": Module(64, 64, 96, 64, 96, "avg", 64),
    "3c": Module(0, 128, 160, 64, 96, "max", 0),
    "4a": Module(224, 64, 96, 96, 128, "avg", 128),
    "4b": Module(192, 96, 128, 96, 128, "avg", 128),
    "4c": Module(160, 128, 160, 128, 160, "avg", 128),
    "4d": Module(96, 128, 192, 160, 192, "avg", 128),
    "4e": Module(0, 128, 192, 192, 256, "max", 0),
    "5a": Module(352, 192, 320, 160, 224, "avg", 128),
    "5b": Module(352, 192, 320, 192, 224, "max", 128),
}
"""A module without a 1x1 branch halves the map. 4a to 4d are of the authors' release: the table prints 4c and 4d with
other widths than their sums."""


def bn_inception_block(in_channels: int, row: Module) -> Concat:
    """1x1 | 1x1 - 3x3 | 1x1 - 3x3 - 3x3 | pool 3x3 - 1x1; without its first branch it strides (figure 5)."""
    stride = 1 if row.b1 else 2
    pool: Node = AvgPool2d(3, 1, 1) if row.pool == "avg" else MaxPool2d(3, stride, 1)
    first = {"branch1": conv_relu(in_channels, row.b1, 1)} if row.b1 else {}
    return Concat(
        **first,
        branch2=stack(conv_relu(in_channels, row.r3, 1), conv_relu(row.r3, row.b3, 3, stride, 1)),
        branch3=stack(
            conv_relu(in_channels, row.r5, 1),
            conv_relu(row.r5, row.b5, 3, 1, 1),
            conv_relu(row.b5, row.b5, 3, stride, 1),
        ),
        branch4=stack(pool, conv_relu(in_channels, row.projection, 1)) if row.projection else stack(pool),
    )


def bn_inception(*, classes: int = 1000) -> Seq:
    """7x7/2 64, max/2, 1x1 64, 3x3 192, max/2, ten modules, global average, fc (figure 5).

    The 7x7 is an ordinary convolution, as in all releases; the paper's has a depth multiplier of 8.
    """
    modules: dict[str, Node] = {}
    channels = 192
    for name, row in MODULES.items():
        modules[f"inception{name}"] = bn_inception_block(channels, row)
        channels = row.width if row.projection else channels + row.width
    return Seq(
        conv1=conv_relu(3, 64, 7, 2, 3),
        maxpool1=MaxPool2d(3, 2, 1),
        conv2=conv_relu(64, 64, 1),
        conv3=conv_relu(64, 192, 3, 1, 1),
        maxpool2=MaxPool2d(3, 2, 1),
        **modules,
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        fc=Linear(channels, classes),
    )


ENTRIES = (entry("inception", "bn_inception", IMAGENET, "Ioffe & Szegedy 2015, figure 5", bn_inception),)
