"""SqueezeNet is fire modules: few 1x1 squeeze, many 1x1 and 3x3 expand (Iandola et al. 2016)."""

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Concat, Node, Seq, stack
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.layers import Conv2d, Dropout, Flatten
from resbench.arch.pools import GlobalAvgPool, MaxPool2d

WIDTHS = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
"""The fire modules 2 to 9 squeeze to, and expand to twice, so many maps: Table 1."""


def fire(in_channels: int, squeezed: int, expanded: int) -> Seq:
    """1x1 s - (1x1 e | 3x3 e) (figure 2)."""
    return Seq(
        Seq(squeeze=Conv2d(in_channels, squeezed, 1), squeeze_activation=ReLU()),
        Concat(
            Seq(expand1x1=Conv2d(squeezed, expanded, 1), expand1x1_activation=ReLU()),
            Seq(expand3x3=Conv2d(squeezed, expanded, 3, padding=1), expand3x3_activation=ReLU()),
        ),
    )


def _squeezenet(stem: Conv2d, pooled: tuple[int, int], classes: int) -> Seq:
    """``pooled``: a max/2 stands before these fire modules, as behind the stem."""
    pool = MaxPool2d(3, 2, ceil_mode=True)
    features: list[Node] = [stem, ReLU(), pool]
    channels = stem.out_channels
    for number, (squeezed, expanded) in enumerate(WIDTHS, 2):
        features += [*([pool] if number in pooled else []), fire(channels, squeezed, expanded)]
        channels = 2 * expanded
    return Seq(
        features=stack(*features),
        classifier=stack(Dropout(), Conv2d(channels, classes, 1), ReLU(), GlobalAvgPool()),
        flatten=Flatten(),
    )


def squeezenet1_0(*, classes: int = 1000) -> Seq:
    """7x7/2 96, max/2, fire2-4, max/2, fire5-8, max/2, fire9, 1x1, global average (Table 1)."""
    return _squeezenet(Conv2d(3, 96, 7, 2), (5, 9), classes)


def squeezenet1_1(*, classes: int = 1000) -> Seq:
    """3x3/2 64, and the pools two modules earlier: 2.4 times less computation (the authors' release)."""
    return _squeezenet(Conv2d(3, 64, 3, 2), (4, 6), classes)


ENTRIES = (
    entry("squeezenet", "squeezenet1_0", IMAGENET, "Iandola et al. 2016, Table 1", squeezenet1_0),
    entry("squeezenet", "squeezenet1_1", IMAGENET, "Iandola et al. 2016, the authors' release 1.1", squeezenet1_1),
)
