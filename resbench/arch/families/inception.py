"""Inception has the modules of GoogLeNet, Inception-v3 and Inception-ResNet, and the first two networks.

Level names are torchvision's, so that its weights load.

>>> from resbench.arch import cost
>>> cost(inception_block(192, (64, 96, 128, 16, 32, 32)), (192, 28, 28)).macs
128049152
"""

from functools import partial
from typing import Literal

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Add, Aux, Concat, Node, Seq, shared, stack
from resbench.arch.entry import IMAGENET, SZEGEDY14, SZEGEDY15, SZEGEDY16, entry
from resbench.arch.fields import Pair
from resbench.arch.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Identity, Linear, LocalResponseNorm
from resbench.arch.pools import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool, MaxPool2d

# -- modules ------------------------------------------------------------------------------------------


@shared
def conv_relu(
    in_channels: int,
    out_channels: int,
    kernel: int | Pair,
    stride: int = 1,
    padding: int | Pair = 0,
    *,
    bn: bool = True,
) -> Seq:
    """conv - BN - ReLU, or conv (with bias) - ReLU as GoogLeNet was published."""
    norm = {"bn": BatchNorm2d(out_channels, eps=0.001)} if bn else {}
    conv = Conv2d(in_channels, out_channels, kernel, stride, padding, bias=not bn)
    return Seq(conv=conv, **norm, relu=ReLU())


def inception_naive(in_channels: int, b1: int, b3: int, b5: int, *, bn: bool = False) -> Concat:
    """1x1 | 3x3 | 5x5 | 3x3 max pooling, side by side (Szegedy et al. 2014, figure 2a)."""
    return Concat(
        branch1=conv_relu(in_channels, b1, 1, bn=bn),
        branch2=conv_relu(in_channels, b3, 3, 1, 1, bn=bn),
        branch3=conv_relu(in_channels, b5, 5, 1, 2, bn=bn),
        branch4=MaxPool2d(3, 1, 1),
    )


Widths = tuple[int, int, int, int, int, int]


def inception_block(in_channels: int, widths: Widths, *, bn: bool = False, kernel: int = 5) -> Concat:
    """1x1 | 1x1 - 3x3 | 1x1 - 5x5 | 3x3 max pooling - 1x1 (Szegedy et al. 2014, figure 2b).

    ``widths``: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj: one row of the paper's Table 1.
    ``kernel=3`` puts a 3x3 where the paper has its 5x5, as torchvision's network does.
    """
    b1, r3, b3, r5, b5, proj = widths
    return Concat(
        branch1=conv_relu(in_channels, b1, 1, bn=bn),
        branch2=stack(conv_relu(in_channels, r3, 1, bn=bn), conv_relu(r3, b3, 3, 1, 1, bn=bn)),
        branch3=stack(conv_relu(in_channels, r5, 1, bn=bn), conv_relu(r5, b5, kernel, 1, kernel // 2, bn=bn)),
        branch4=stack(MaxPool2d(3, 1, 1, ceil_mode=True), conv_relu(in_channels, proj, 1, bn=bn)),
    )


def residual_inception_block(channels: int, width: int = 32) -> Seq:
    """(1x1 | 1x1 - 3x3 | 1x1 - 3x3 - 3x3) - 1x1 back to C, + x, ReLU (Szegedy et al. 2016, figure 16).

    ``residual_inception_block(384)`` is the 35x35 module of Inception-ResNet-v2, without its scaling.
    """
    reduced, wide = conv_relu(channels, width, 1), width * 3 // 2
    paths = Concat(
        branch1=reduced,
        branch2=stack(reduced, conv_relu(width, width, 3, 1, 1)),
        branch3=stack(reduced, conv_relu(width, wide, 3, 1, 1), conv_relu(wide, 2 * width, 3, 1, 1)),
    )
    return Seq(Add(Seq(mixed=paths, conv=Conv2d(4 * width, channels, 1)), Identity()), relu=ReLU())


def _path(name: str, *convs: Seq) -> Seq:
    """The convolutions follow each other and are called name_1, name_2, ..."""
    return Seq(**{f"{name}_{i}": conv for i, conv in enumerate(convs, 1)})


def _pooled(in_channels: int, out_channels: int) -> Seq:
    """avg 3x3 - 1x1: a 1x1 convolution follows the pooling."""
    return Seq(pool=AvgPool2d(3, 1, 1), branch_pool=conv_relu(in_channels, out_channels, 1))


def inception_a(in_channels: int, pool: int) -> Concat:
    """1x1 | 1x1 - 5x5 | 1x1 - 3x3 - 3x3 | avg - 1x1 (Szegedy et al. 2015, figure 5; one 5x5 kept)."""
    return Concat(
        Seq(branch1x1=conv_relu(in_channels, 64, 1)),
        _path("branch5x5", conv_relu(in_channels, 48, 1), conv_relu(48, 64, 5, 1, 2)),
        _path("branch3x3dbl", conv_relu(in_channels, 64, 1), conv_relu(64, 96, 3, 1, 1), conv_relu(96, 96, 3, 1, 1)),
        _pooled(in_channels, pool),
    )


def inception_b(in_channels: int) -> Concat:
    """3x3/2 | 1x1 - 3x3 - 3x3/2 | max/2: the grid reduction 35 to 17 (Szegedy et al. 2015, figure 10)."""
    return Concat(
        Seq(branch3x3=conv_relu(in_channels, 384, 3, 2)),
        _path("branch3x3dbl", conv_relu(in_channels, 64, 1), conv_relu(64, 96, 3, 1, 1), conv_relu(96, 96, 3, 2)),
        Seq(pool=MaxPool2d(3, 2)),
    )


def inception_c(in_channels: int, width: int) -> Concat:
    """1x1 | 1x1 - 1x7 - 7x1 | 1x1 - 7x1 - 1x7 - 7x1 - 1x7 | avg - 1x1 (Szegedy et al. 2015, figure 6, n = 7)."""
    row = partial(conv_relu, kernel=(1, 7), padding=(0, 3))
    column = partial(conv_relu, kernel=(7, 1), padding=(3, 0))
    reduced, c = conv_relu(in_channels, width, 1), width
    return Concat(
        Seq(branch1x1=conv_relu(in_channels, 192, 1)),
        _path("branch7x7", reduced, row(c, c), column(c, 192)),
        _path("branch7x7dbl", reduced, column(c, c), row(c, c), column(c, c), row(c, 192)),
        _pooled(in_channels, 192),
    )


def inception_d(in_channels: int) -> Concat:
    """1x1 - 3x3/2 | 1x1 - 1x7 - 7x1 - 3x3/2 | max/2: the grid reduction 17 to 8."""
    reduced = conv_relu(in_channels, 192, 1)
    return Concat(
        _path("branch3x3", reduced, conv_relu(192, 320, 3, 2)),
        _path(
            "branch7x7x3",
            reduced,
            conv_relu(192, 192, (1, 7), 1, (0, 3)),
            conv_relu(192, 192, (7, 1), 1, (3, 0)),
            conv_relu(192, 192, 3, 2),
        ),
        Seq(pool=MaxPool2d(3, 2)),
    )


def inception_e(in_channels: int) -> Concat:
    """1x1 | 1x1 - (1x3 | 3x1) | 1x1 - 3x3 - (1x3 | 3x1) | avg - 1x1 (Szegedy et al. 2015, figure 7)."""
    fork = Concat(a=conv_relu(384, 384, (1, 3), 1, (0, 1)), b=conv_relu(384, 384, (3, 1), 1, (1, 0)))
    return Concat(
        Seq(branch1x1=conv_relu(in_channels, 320, 1)),
        Seq(branch3x3_1=conv_relu(in_channels, 384, 1), branch3x3_2=fork),
        Seq(
            branch3x3dbl_1=conv_relu(in_channels, 448, 1),
            branch3x3dbl_2=conv_relu(448, 384, 3, 1, 1),
            branch3x3dbl_3=fork,
        ),
        _pooled(in_channels, 192),
    )


# -- networks -----------------------------------------------------------------------------------------

GOOGLENET: dict[str, tuple[int, Widths]] = {
    "3a": (192, (64, 96, 128, 16, 32, 32)),
    "3b": (256, (128, 128, 192, 32, 96, 64)),
    "4a": (480, (192, 96, 208, 16, 48, 64)),
    "4b": (512, (160, 112, 224, 24, 64, 64)),
    "4c": (512, (128, 128, 256, 24, 64, 64)),
    "4d": (512, (112, 144, 288, 32, 64, 64)),
    "4e": (528, (256, 160, 320, 32, 128, 128)),
    "5a": (832, (256, 160, 320, 32, 128, 128)),
    "5b": (832, (384, 192, 384, 48, 128, 128)),
}
"""Each module has these input channels and widths: Szegedy et al. 2014, Table 1."""


def googlenet(*, norm: Literal["lrn", "bn"] = "lrn", aux: bool = False, classes: int = 1000) -> Seq:
    """7x7/2 64, 1x1 64, 3x3 192, nine Inception modules, global average, fc (Szegedy et al. 2014, Table 1).

    ``norm=lrn`` is the network as published: 5x5 convolutions, biases, local response normalisation.
    ``norm=bn`` is torchvision's: BN, no LRN, 3x3 in place of each 5x5. ``aux`` adds the two auxiliary
    classifiers, behind 4a and 4d.
    """
    bn = norm == "bn"

    def module(name: str) -> Concat:
        return inception_block(*GOOGLENET[name], bn=bn, kernel=3 if bn else 5)

    def lrn(name: str) -> dict[str, Node]:
        return {} if bn else {name: LocalResponseNorm(5)}

    def tap(name: str, channels: int) -> list[Node]:
        """avg to 4x4, 1x1 128, fc 1024, dropout 0.7, fc. The paper's 5x5/3 average gives the same 4x4."""
        head = Seq(
            pool=AdaptiveAvgPool2d(4) if bn else AvgPool2d(5, 3),
            conv=conv_relu(channels, 128, 1, bn=bn),
            flatten=Flatten(),
            fc1=Linear(2048, 1024),
            relu=ReLU(),
            dropout=Dropout(0.7),
            fc2=Linear(1024, classes),
        )

        return [Aux(**{name: head})] if aux else []

    return Seq(
        Seq(
            conv1=conv_relu(3, 64, 7, 2, 3, bn=bn),
            maxpool1=MaxPool2d(3, 2, ceil_mode=True),
            **lrn("norm1"),
            conv2=conv_relu(64, 64, 1, bn=bn),
            conv3=conv_relu(64, 192, 3, 1, 1, bn=bn),
            **lrn("norm2"),
            maxpool2=MaxPool2d(3, 2, ceil_mode=True),
            inception3a=module("3a"),
            inception3b=module("3b"),
            maxpool3=MaxPool2d(3, 2, ceil_mode=True),
            inception4a=module("4a"),
        ),
        *tap("aux1", 512),
        Seq(inception4b=module("4b"), inception4c=module("4c"), inception4d=module("4d")),
        *tap("aux2", 528),
        Seq(
            inception4e=module("4e"),
            maxpool4=MaxPool2d(2 if bn else 3, 2, ceil_mode=True),
            inception5a=module("5a"),
            inception5b=module("5b"),
            avgpool=GlobalAvgPool(),
            flatten=Flatten(),
            dropout=Dropout(0.2 if bn else 0.4),
            fc=Linear(1024, classes),
        ),
    )


def inception_v3(*, aux: bool = False, classes: int = 1000) -> Seq:
    """Factorised convolutions, 299x299 in, 2048 features out (Szegedy et al. 2015, Table 1, as torchvision builds it).

    ``aux`` adds the auxiliary classifier behind the last 17x17 module.
    """
    head = Seq(
        pool=AvgPool2d(5, 3),
        conv0=conv_relu(768, 128, 1),
        conv1=conv_relu(128, 768, 5),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        fc=Linear(768, classes),
    )
    return Seq(
        Seq(
            Conv2d_1a_3x3=conv_relu(3, 32, 3, 2),
            Conv2d_2a_3x3=conv_relu(32, 32, 3),
            Conv2d_2b_3x3=conv_relu(32, 64, 3, 1, 1),
            maxpool1=MaxPool2d(3, 2),
            Conv2d_3b_1x1=conv_relu(64, 80, 1),
            Conv2d_4a_3x3=conv_relu(80, 192, 3),
            maxpool2=MaxPool2d(3, 2),
            Mixed_5b=inception_a(192, 32),
            Mixed_5c=inception_a(256, 64),
            Mixed_5d=inception_a(288, 64),
            Mixed_6a=inception_b(288),
            Mixed_6b=inception_c(768, 128),
            Mixed_6c=inception_c(768, 160),
            Mixed_6d=inception_c(768, 160),
            Mixed_6e=inception_c(768, 192),
        ),
        *([Aux(AuxLogits=head)] if aux else []),
        Seq(
            Mixed_7a=inception_d(768),
            Mixed_7b=inception_e(1280),
            Mixed_7c=inception_e(2048),
            avgpool=GlobalAvgPool(),
            dropout=Dropout(0.5),
            flatten=Flatten(),
            fc=Linear(2048, classes),
        ),
    )


# -- the catalog --------------------------------------------------------------------------------------


_FORK = (r"(branch3x3(?:dbl)?_[23])([ab])\.", r"\1.\2.")
NAMES = ((_FORK,), (_FORK, (r"^(AuxLogits|aux1|aux2)\..*", "")))
"""torchvision calls the ends of a fork branch3x3_2a and branch3x3_2b; its files hold auxiliary heads, which a network
without them leaves."""

ENTRIES = (
    entry("inception", "googlenet", IMAGENET, f"{SZEGEDY14}, Table 1", googlenet),
    entry("inception", "inception_v3", (3, 299, 299), f"{SZEGEDY15}, Table 1", inception_v3),
    entry("block", "inception_a", (192, 35, 35), f"{SZEGEDY15}, Table 1", inception_a, 192, 32),
    entry("block", "inception_b", (288, 35, 35), f"{SZEGEDY15}, Table 1", inception_b, 288),
    entry("block", "inception_c", (768, 17, 17), f"{SZEGEDY15}, Table 1", inception_c, 768, 128),
    entry("block", "inception_d", (768, 17, 17), f"{SZEGEDY15}, Table 1", inception_d, 768),
    entry("block", "inception_e", (1280, 8, 8), f"{SZEGEDY15}, Table 1", inception_e, 1280),
    entry("block", "residual_inception_block", (384, 35, 35), f"{SZEGEDY16}, figure 16", residual_inception_block, 384),
)
"""Each module is given the maps on which it stands in its network."""
