"""Blocks are the parts of networks. Each docstring is the paper's row; each value is an expression of the algebra.

A residual unit is y = f(h(x) + F(x)) (He et al. 2016, eq. 1): F is a *branch*, h a shortcut
(``shortcuts.py``), f what follows the sum. Plain and basic blocks are made of the same branch.

>>> from resbench.arch import cost
>>> plain, residual = plain_block(64, 64), basic_block(64, 64)
>>> [cost(block, (64, 56, 56)).macs for block in (plain, residual)]
[231211008, 231211008]
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal, NamedTuple

from resbench.arch.activations import ReLU, Sigmoid
from resbench.arch.algebra import Add, Layer, Mul, Node, Seq, shared, stack
from resbench.arch.entry import HE15, HE16, entry
from resbench.arch.layers import Conv2d, Identity
from resbench.arch.orders import Norm, Order, ordered
from resbench.arch.pools import GlobalAvgPool
from resbench.arch.shortcuts import GATE_BIAS, Shortcut, join, projects
from resbench.arch.styles import ConvStyle
from resbench.errors import ArchitectureError

StrideOn = Literal["3x3", "1x1"]

# -- what a branch is made of: convolutions, and what may stand behind them -----------------------------


@shared
def basic_convs(in_channels: int, out_channels: int, stride: int = 1, norm: Norm = "bn") -> tuple[Conv2d, ...]:
    """[3x3, out, /stride; 3x3, out] (He et al. 2015, figure 5 left)."""
    bias = norm == "none"
    return (
        Conv2d(in_channels, out_channels, 3, stride, 1, bias=bias),
        Conv2d(out_channels, out_channels, 3, 1, 1, bias=bias),
    )


@shared
def bottleneck_convs(
    in_channels: int,
    width: int,
    stride: int = 1,
    norm: Norm = "bn",
    *,
    groups: int = 1,
    stride_on: StrideOn = "3x3",
    out_channels: int = 0,
) -> tuple[Conv2d, ...]:
    """[1x1, width; 3x3, width; 1x1, 4 width] (He et al. 2015, figure 5 right).

    ``groups`` > 1 is ResNeXt's (Xie et al. 2017, figure 3c). The stride stands on the 3x3, as in
    torchvision's v1.5 and everybody's benchmarks; ``stride_on="1x1"`` is the paper's.
    """
    bias = norm == "none"
    first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
    return (
        Conv2d(in_channels, width, 1, first, bias=bias),
        Conv2d(width, width, 3, second, 1, groups=groups, bias=bias),
        Conv2d(width, out_channels or 4 * width, 1, bias=bias),
    )


@shared
def gated(channels: int, squeezed: int, activation: Layer = ReLU(), gate: Layer = Sigmoid()) -> Mul:  # noqa: B008
    """u * gate(W2 activation(W1 mean(u))), W1: C -> squeezed; the fully connected layers are 1x1 convolutions."""
    return Mul(
        Identity(),
        Seq(
            pool=GlobalAvgPool(),
            fc1=Conv2d(channels, squeezed, 1),
            **{type(activation).__name__.lower(): activation},
            fc2=Conv2d(squeezed, channels, 1),
            **{type(gate).__name__.lower(): gate},
        ),
    )


@shared
def squeeze_excitation(channels: int, reduction: int = 16) -> Seq:
    """u * sigmoid(W2 relu(W1 mean(u))), W1: C -> C/reduction (Hu et al. 2018, eq. 2-4).

    It stands behind anything that gives ``channels`` maps.
    """
    return Seq(se=gated(channels, max(channels // reduction, 1)))


class Inverted(NamedTuple):
    """An inverted residual in a row of a paper's table: its inner and its outer width, its kernel and its stride."""

    wide: int
    width: int
    kernel: int = 3
    stride: int = 1


def inverted_residual(style: ConvStyle, in_channels: int, row: Inverted, squeeze: Node | None = None) -> list[Seq]:
    """[1x1, wide; k x k, wide, depthwise, /stride; squeeze; 1x1, width] (Sandler et al. 2018, table 1).

    The first stands there where the unit widens, the last has no activation. A family numbers these parts its own
    way; ``skipped`` adds x where the shape stays.
    """
    return [
        *([style.conv(in_channels, row.wide)] if row.wide != in_channels else []),
        style.depthwise(row.wide, row.kernel, row.stride),
        *([Seq(squeeze)] if squeeze else []),
        style.linear(row.wide, row.width),
    ]


def skipped(branch: Node, shape_stays: bool) -> Seq:
    """F(x) + x where the shape stays, and F(x) where it does not: these networks have no projections."""
    return Seq(Add(branch, Identity())) if shape_stays else Seq(branch)


# -- units: a branch, its shortcut, and what follows the sum -----------------------------------------


def unit(
    branch: Iterable[Node],
    shortcut: Shortcut,
    order: Order = "original",
    norm: Norm = "bn",
    *,
    first: bool = False,
    gate_bias: int = GATE_BIAS,
) -> Seq:
    """y = f(h(x) + F(x)): F is convolutions with their activations and what stands behind them, h is the shortcut.

    A shortcut with weights reads the pre-activated x, as the authors' own code does where dimensions
    grow; a parameter-free one reads x itself, so that nothing stands on the identity path. ``first``
    drops the opening activation: it then stands behind the stem (appendix of the paper).
    """
    return _unit(tuple(branch), shortcut, order, norm, first, gate_bias)


@shared
def _unit(branch: tuple[Node, ...], shortcut: Shortcut, order: Order, norm: Norm, first: bool, gate_bias: int) -> Seq:
    convs = [part for part in branch if isinstance(part, Conv2d)]
    opening, rest, after = ordered(convs, order, norm)
    in_channels, out_channels = convs[0].in_channels, convs[-1].out_channels
    stride = max(conv.stride[0] for conv in convs)  # type: ignore[index]
    shared = bool(opening) and not first and projects(shortcut, in_channels, out_channels, stride)
    body = Seq(**({} if first or shared else opening), **rest)
    for part in branch[len(convs) :]:
        body = Seq(body, part)
    bn = norm == "bn" and order != "full-preact"  # there, the next unit's BN normalises the sum
    joined = join(body, shortcut, in_channels, out_channels, stride, bn=bn, gate_bias=gate_bias)
    return Seq(*([Seq(**opening)] if shared else []), joined, **after)


def plain_block(
    in_channels: int, out_channels: int, stride: int = 1, *, order: Order = "original", norm: Norm = "bn"
) -> Seq:
    """[3x3, out; 3x3, out] without a shortcut (He et al. 2015, figure 3 middle)."""
    return unit(basic_convs(in_channels, out_channels, stride, norm), "none", order, norm)


def basic_block(
    in_channels: int,
    out_channels: int,
    stride: int = 1,
    *,
    shortcut: Shortcut = "A",
    order: Order = "original",
    norm: Norm = "bn",
) -> Seq:
    """[3x3, out; 3x3, out] + x (He et al. 2015, figure 5 left): the plain block's branch and a shortcut."""
    return unit(basic_convs(in_channels, out_channels, stride, norm), shortcut, order, norm)


def bottleneck_block(
    in_channels: int,
    width: int,
    stride: int = 1,
    *,
    shortcut: Shortcut = "B",
    order: Order = "original",
    stride_on: StrideOn = "3x3",
) -> Seq:
    """[1x1, width; 3x3, width; 1x1, 4 width] + x (He et al. 2015, figure 5 right)."""
    return unit(bottleneck_convs(in_channels, width, stride, stride_on=stride_on), shortcut, order)


def resnext_block(in_channels: int, width: int, stride: int = 1, *, groups: int = 32, shortcut: Shortcut = "B") -> Seq:
    """[1x1, width; 3x3, width, C=groups; 1x1, 2 width] + x (Xie et al. 2017, table 1; 128 = 32 x 4d gives 256)."""
    return unit(bottleneck_convs(in_channels, width, stride, groups=groups, out_channels=2 * width), shortcut)


def se_block(in_channels: int, out_channels: int, *, reduction: int = 16) -> Seq:
    """[3x3, out; 3x3, out], squeezed and excited, + x (Hu et al. 2018, figure 3)."""
    return unit((*basic_convs(in_channels, out_channels), squeeze_excitation(out_channels, reduction)), "A")


# -- stages: equal units follow each other, each as wide as the paper's table says --------------------


class Stage(NamedTuple):
    """A stage is so many units that give ``width`` channels; the first of them has the stride."""

    width: int
    units: int
    stride: int


@contextmanager
def within(name: str) -> Iterator[None]:
    """A part that cannot exist is said to stand here."""
    try:
        yield
    except ArchitectureError as error:
        raise ArchitectureError(f"{name}: {error}") from None


def trunk(channels: int, stages: Iterable[Stage], unit: Callable[..., Node]) -> dict[str, Node]:
    """layer1, layer2, ...: the stages follow each other. ``channels`` enter the first.

    ``unit(in_channels, out_channels, stride, first=...)`` makes a unit; one is the network's first.
    """
    layers: dict[str, Node] = {}
    for i, (width, units, stride) in enumerate(stages, 1):
        with within(f"layer{i}"):
            opening = unit(channels, width, stride, first=i == 1)
            layers[f"layer{i}"] = stack(opening, *[unit(width, width, 1, first=False)] * (units - 1))
        channels = width
    return layers


# -- the catalog --------------------------------------------------------------------------------------


_preact = partial(entry, "block", order="full-preact")

BLOCKS = (
    entry("block", "plain_block", (64, 56, 56), f"{HE15}, figure 3", plain_block, 64, 64),
    entry("block", "basic_block", (64, 56, 56), f"{HE15}, figure 5", basic_block, 64, 64),
    entry("block", "basic_block_down", (64, 56, 56), f"{HE15}, figure 3", basic_block, 64, 128, 2),
    entry("block", "bottleneck_block", (256, 56, 56), f"{HE15}, figure 5", bottleneck_block, 256, 64),
    entry("block", "bottleneck_block_down", (256, 56, 56), f"{HE15}, Table 1", bottleneck_block, 256, 128, 2),
    _preact("preact_basic_block", (64, 56, 56), f"{HE16}, figure 4e", basic_block, 64, 64),
    _preact("preact_bottleneck_block", (256, 56, 56), f"{HE16}, figure 4e", bottleneck_block, 256, 64),
    entry("block", "resnext_block", (256, 56, 56), "Xie et al. 2017, figure 3c", resnext_block, 256, 128),
    entry("block", "se_block", (64, 56, 56), "Hu et al. 2018, figure 3", se_block, 64, 64),
)
"""The blocks stand on the maps of the stage in which their paper shows them."""
