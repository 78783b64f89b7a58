"""ShuffleNet v1 groups its 1x1 convolutions, and shuffles channels so that groups hear of each other
(Zhang X. et al. 2018).

The complexities of Table 1 are those of the convolutions:

>>> from resbench.arch.catalog import architecture
>>> networks = [architecture(f"shufflenet_v1_g{groups}") for groups in (1, 2, 3, 4, 8)]
>>> [round(sum(row.macs for row in net.cost().layers if row.type == "Conv2d") / 1e6) for net in networks]
[143, 140, 137, 133, 137]
"""

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Add, Concat, Node, Seq, stack
from resbench.arch.channels import ChannelShuffle
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.layers import Flatten, Identity, Linear
from resbench.arch.pools import AvgPool2d, GlobalAvgPool, MaxPool2d
from resbench.arch.styles import ConvStyle

WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""With so many groups the first stage gives so many maps: Table 1."""

STYLE = ConvStyle()


def grouped_shuffle_unit(in_channels: int, out_channels: int, groups: int, opening_groups: int = 0) -> Seq:
    """[1x1 grouped; shuffle; 3x3 depthwise; 1x1 grouped] + x, ReLU; with avg 3x3/2 of x beside it where the width
    changes (figure 2b and c).

    The inner width is a quarter. ``opening_groups``: the first 1x1 has so many groups instead.
    """
    down = in_channels != out_channels
    inner, added = out_channels // 4, out_channels - in_channels if down else out_channels
    shuffle: dict[str, Node] = {"shuffle": ChannelShuffle(groups)} if groups > 1 else {}
    branch = Seq(
        compress=STYLE.conv(in_channels, inner, groups=opening_groups or groups),
        **shuffle,
        depthwise=STYLE.linear(inner, inner, 3, 2 if down else 1, inner),
        expand=STYLE.linear(inner, added, groups=groups),
    )
    joined = Concat(Seq(shortcut=AvgPool2d(3, 2, 1)), branch) if down else Add(branch, Identity())
    return Seq(joined, relu=ReLU())


def shufflenet_v1(groups: int, *, classes: int = 1000) -> Seq:
    """3x3/2 24, max/2, stages of 4, 8 and 4 units that double the width, global average, fc (Table 1).

    The very first 1x1 is not grouped, as it reads 24 maps (sec. 3.2).
    """
    channels, width = 24, WIDTHS[groups]
    stages: dict[str, Node] = {}
    for i, units in ((2, 4), (3, 8), (4, 4)):
        opening = grouped_shuffle_unit(channels, width, groups, 1 if i == 2 else 0)
        stages[f"stage{i}"] = stack(opening, *[grouped_shuffle_unit(width, width, groups)] * (units - 1))
        channels, width = width, 2 * width
    return Seq(
        conv1=STYLE.conv(3, 24, 3, 2),
        maxpool=MaxPool2d(3, 2, 1),
        **stages,
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        fc=Linear(channels, classes),
    )


ENTRIES = tuple(
    entry("shufflenet", f"shufflenet_v1_g{g}", IMAGENET, "Zhang X. et al. 2018, Table 1", shufflenet_v1, g)
    for g in WIDTHS
)
