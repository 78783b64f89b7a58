"""PyramidNets widen a little in every unit, and pad their shortcuts with zeros (Han D. et al. 2017).

>>> from resbench.arch.catalog import architecture
>>> architecture("pyramidnet110_a48").totals().params
1772706
"""

from typing import Literal

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Add, Node, Seq, shared, stack
from resbench.arch.blocks import basic_convs, bottleneck_convs
from resbench.arch.channels import PadChannels
from resbench.arch.entry import CIFAR, entry
from resbench.arch.layers import BatchNorm2d, Conv2d, Flatten, Identity, Linear
from resbench.arch.pools import AvgPool2d, GlobalAvgPool
from resbench.errors import ArchitectureError

BlockKind = Literal["basic", "bottleneck"]

TINY = 1e-6
"""Where steps such as 48 / 54 sum to a whole width, floating-point numbers may fall short of it by less."""

EXPANSION: dict[BlockKind, int] = {"basic": 1, "bottleneck": 4}


@shared
def pyramid_block(in_channels: int, width: int, stride: int = 1, *, block: BlockKind = "basic") -> Seq:
    """[BN - 3x3; BN - ReLU - 3x3; BN] + x, averaged where it strides and padded with zeros (figure 6d).

    A bottleneck is [BN - 1x1; BN - ReLU - 3x3; BN - ReLU - 1x1, 4 width; BN].
    """
    convs = (basic_convs if block == "basic" else bottleneck_convs)(in_channels, width, stride)
    branch: dict[str, Node] = {"bn1": BatchNorm2d(in_channels)}
    for i, conv in enumerate(convs, 1):
        branch |= {f"conv{i}": conv, f"bn{i + 1}": BatchNorm2d(conv.out_channels)}
        if i < len(convs):
            branch[f"relu{i + 1}"] = ReLU()
    out = convs[-1].out_channels
    pool: dict[str, Node] = {"pool": AvgPool2d(2, 2, ceil_mode=True)} if stride > 1 else {}
    pad: dict[str, Node] = {"pad": PadChannels(in_channels, out)} if out > in_channels else {}
    shortcut = Seq(shortcut=Seq(**pool, **pad)) if pool or pad else Identity()
    return Seq(Add(Seq(**branch), shortcut))


def pyramidnet(
    depth: int,
    widening: int,
    *,
    block: BlockKind = "basic",
    widths: Literal["rounded", "paper"] = "rounded",
    classes: int = 10,
) -> Seq:
    """3x3 16 - BN, three stages whose widths rise in a line from 16 to 16 + alpha, BN - ReLU, global average, fc.

    Depth 6n + 2 of basic blocks, or 9n + 2 of bottlenecks, which give four times their width. Widths are rounded, as
    in the authors' code for PyTorch; eq. 3 of the ``paper`` cuts them. Source: eq. 3, Table 1.
    """
    expansion = EXPANSION[block]
    layers = 6 if block == "basic" else 9
    units, rest = divmod(depth - 2, layers)
    if rest or units < 1:
        raise ArchitectureError(f"expected a depth of {layers}n + 2, received {depth}")
    stages: dict[str, Node] = {}
    channels, exact = 16, 16.0
    for i in (1, 2, 3):
        made = []
        for j in range(units):
            exact += widening / (3 * units)
            width = round(exact) if widths == "rounded" else int(exact + TINY)
            made.append(pyramid_block(channels, width, 2 if i > 1 and j == 0 else 1, block=block))
            channels = width * expansion
        stages[f"layer{i}"] = stack(*made)
    return Seq(
        conv1=Conv2d(3, 16, 3, padding=1, bias=False),
        bn1=BatchNorm2d(16),
        **stages,
        bn_final=BatchNorm2d(channels),
        relu_final=ReLU(),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        fc=Linear(channels, classes),
    )


_HAN = "Han D. et al. 2017, Table 4"

ENTRIES = (
    *(entry("pyramidnet", f"pyramidnet110_a{a}", CIFAR, _HAN, pyramidnet, 110, a) for a in (48, 84, 270)),
    *(
        entry("pyramidnet", f"pyramidnet{n}_a{a}", CIFAR, _HAN, pyramidnet, n, a, block="bottleneck")
        for n, a in ((164, 270), (200, 240), (236, 220), (272, 200))
    ),
)
