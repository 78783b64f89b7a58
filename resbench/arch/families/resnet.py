"""The residual family has ImageNet and CIFAR layouts of ResNets and pre-activation networks.

A network is a stem, stages of units and a head. Everything that differs between its members is a
parameter of the unit; a plain network is the same expression with ``shortcut="none"``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Aux, Layer, Node, Seq, stack
from resbench.arch.blocks import (
    BLOCKS,
    Stage,
    StrideOn,
    basic_convs,
    bottleneck_convs,
    squeeze_excitation,
    trunk,
    unit,
    within,
)
from resbench.arch.entry import CIFAR, HE15, HE16, IMAGENET, entry
from resbench.arch.layers import BatchNorm2d, Conv2d, Flatten, Linear
from resbench.arch.orders import Norm, Order, ending
from resbench.arch.padding import Padded, SamePad
from resbench.arch.pools import GlobalAvgPool, MaxPool2d
from resbench.arch.shortcuts import GATE_BIAS, Shortcut
from resbench.errors import ArchitectureError

LAYOUTS = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
    200: ("bottleneck", (3, 24, 36, 3)),
}
"""A depth has this block and so many units in each stage: He et al. 2015, Table 1; 200 from He et al. 2016, Table 5."""

Stem = Literal["7x7", "3x3", "3x3-strided"]

MAX_DEPTH = 10_000
"""The deepest published network has 1,202 layers."""


def _unit(
    convs: Callable[..., tuple[Conv2d, ...]],
    se: int,
    in_channels: int,
    out_channels: int,
    stride: int,
    *,
    norm: Norm,
    **options: Any,
) -> Seq:
    """A unit is made of such convolutions; where ``se`` is not 0, its branch ends in squeeze-and-excitation."""
    squeeze = (squeeze_excitation(out_channels, se),) if se else ()
    return unit((*convs(in_channels, out_channels, stride, norm), *squeeze), norm=norm, **options)


def _bottleneck_convs(
    in_channels: int,
    out_channels: int,
    stride: int,
    norm: Norm,
    *,
    groups: int = 1,
    group_width: int = 64,
    stride_on: StrideOn,
) -> tuple[Conv2d, ...]:
    """The middle convolution has groups x group_width channels where the unit gives 256; wider ones in proportion."""
    inner = out_channels * groups * group_width // 256
    return bottleneck_convs(
        in_channels, inner, stride, norm, groups=groups, stride_on=stride_on, out_channels=out_channels
    )


def _head(channels: int, classes: int) -> dict[str, Node]:
    return {"avgpool": GlobalAvgPool(), "flatten": Flatten(), "fc": Linear(channels, classes)}


def _stem_norm(channels: int, norm: Norm) -> dict[str, Node]:
    return {"bn1": BatchNorm2d(channels)} if norm == "bn" else {}


def _stem(kind: Stem, channels: int, norm: Norm, padding: Padded) -> dict[str, Node]:
    """7x7/2 - max/2; or three 3x3 for the 7x7 (ResNet-C: He T. et al. 2019, figure 2b); or a strided 3x3 for the
    maximum too (ResNet-RS: Bello et al. 2021, sec. 4.2)."""
    if padding == "same" and kind == "3x3-strided":
        raise ArchitectureError("padding=same belongs to the max pooling, which stem=3x3-strided has not")
    convolve = partial(Conv2d, bias=norm == "none")

    def normed(conv: Conv2d) -> list[Layer]:
        return [conv, *([BatchNorm2d(conv.out_channels)] if norm == "bn" else []), ReLU()]

    half = channels // 2
    opening: Node = convolve(3, channels, 7, 2, 3)
    if kind != "7x7":
        first, second = convolve(3, half, 3, 2, 1), convolve(half, half, 3, 1, 1)
        opening = stack(*normed(first), *normed(second), convolve(half, channels, 3, 1, 1))
    pool: Node = MaxPool2d(3, 2, 1) if padding == "symmetric" else Seq(pad=SamePad(3, 2), pool=MaxPool2d(3, 2))
    if kind == "3x3-strided":
        pool = stack(*normed(convolve(channels, channels, 3, 2, 1)))
    return {"conv1": opening, **_stem_norm(channels, norm), "relu": ReLU(), "maxpool": pool}


def imagenet_resnet(
    depth: int,
    *,
    shortcut: Shortcut = "B",
    order: Order = "original",
    norm: Norm = "bn",
    width: int = 1,
    groups: int = 1,
    group_width: int = 64,
    stride: StrideOn = "3x3",
    stem: Stem = "7x7",
    padding: Padded = "symmetric",
    se: int = 0,
    gate_bias: int = GATE_BIAS,
    classes: int = 1000,
) -> Seq:
    """7x7/2 64, max/2, four stages of 64, 128, 256, 512, global average, fc (He et al. 2015, Table 1).

    ``width`` multiplies every channel count. In bottlenecks, ``groups`` and ``group_width`` set the
    middle convolution to groups x group_width channels in the first stage: ResNeXt-50 32x4d has 32 and
    4 (Xie et al. 2017), Wide ResNet-50-2 has 1 and 128 (Zagoruyko & Komodakis 2016). ``stride`` names
    the convolution of a bottleneck that carries it (on the 3x3 it is ResNet-B), ``se`` is the reduction of
    squeeze-and-excitation. ``padding`` is that of the max pooling: TensorFlow's ResNets pad their strided convolutions
    symmetrically, and this one by ``SAME`` (slim, ``resnet_v1.py``).
    """
    block, counts = LAYOUTS[depth]
    bottleneck = block == "bottleneck"
    if not bottleneck and (groups, group_width) != (1, 64):
        raise ArchitectureError(f"groups and group_width belong to bottlenecks; depth {depth} is made of basic blocks")
    base = 64 * width
    stages = [Stage(base * 2**i * (4 if bottleneck else 1), count, 2 if i else 1) for i, count in enumerate(counts)]
    convs = (
        partial(_bottleneck_convs, groups=groups, group_width=group_width, stride_on=stride)
        if bottleneck
        else basic_convs
    )
    units = partial(_unit, convs, se, norm=norm, shortcut=shortcut, order=order, gate_bias=gate_bias)
    with within("conv1"):
        opening = _stem(stem, base, norm, padding)
    return Seq(
        **opening,
        **trunk(base, stages, units),
        **ending(stages[-1].width, order, norm),
        **_head(stages[-1].width, classes),
    )


def _units_per_stage(depth: int, layers: int) -> int:
    """A depth is 6n + 2 (basic) or 9n + 2 (bottleneck); this is its n."""
    n, rest = divmod(depth - 2, layers)
    if rest or not 1 <= depth <= MAX_DEPTH or n < 1:
        below = max(min(n, (MAX_DEPTH - 2) // layers - 1), 1)
        nearest = f"the nearest are {layers * below + 2} and {layers * (below + 1) + 2}"
        raise ArchitectureError(f"expected a depth of {layers}n + 2 up to {MAX_DEPTH}, received {depth}; {nearest}")
    return n


def cifar_resnet(
    depth: int,
    *,
    block: Literal["basic", "bottleneck"] = "basic",
    shortcut: Shortcut = "A",
    order: Order = "original",
    norm: Norm = "bn",
    width: int = 1,
    stride: StrideOn = "3x3",
    se: int = 0,
    gate_bias: int = GATE_BIAS,
    aux: bool = False,
    classes: int = 10,
) -> Seq:
    """3x3 16, three stages of 16, 32, 64 with n units each, global average, fc (He et al. 2015, sec. 4.2).

    Depth 6n + 2 of basic blocks, or 9n + 2 of bottlenecks (64, 128, 256 out; He et al. 2016, sec. 4). ``aux`` sets a
    classifier of global average and fc behind the first and the second stage.
    """
    bottleneck = block == "bottleneck"
    n = _units_per_stage(depth, 9 if bottleneck else 6)
    base = 16 * width
    channels = 4 * base * (4 if bottleneck else 1)
    convs = partial(_bottleneck_convs, stride_on=stride) if bottleneck else basic_convs
    units = partial(_unit, convs, se, norm=norm, shortcut=shortcut, order=order, gate_bias=gate_bias)
    with within("conv1"):
        conv = Conv2d(3, base, 3, 1, 1, bias=norm == "none")
    stages = trunk(base, [Stage(channels // 4, n, 1), Stage(channels // 2, n, 2), Stage(channels, n, 2)], units)
    stem: dict[str, Node] = {
        "conv1": conv,
        **_stem_norm(base, norm),
        "relu": ReLU(),
    }
    end = {**ending(channels, order, norm), **_head(channels, classes)}
    if not aux:
        return Seq(**stem, **stages, **end)
    heads = [Aux(**{f"aux{i}": Seq(**_head(channels * i // 4, classes))}) for i in (1, 2)]
    first, second, third = stages.values()
    return Seq(Seq(**stem, layer1=first), heads[0], Seq(layer2=second), heads[1], Seq(layer3=third, **end))


# -- the catalog --------------------------------------------------------------------------------------


_preact = partial(entry, "preact_resnet", order="full-preact")
_bottleneck = partial(cifar_resnet, block="bottleneck", shortcut="B")
_c = partial(entry, "resnet_c", stem="3x3")
_d = partial(entry, "resnet_d", stem="3x3", shortcut="D")
_rs = partial(entry, "resnet_rs", stem="3x3-strided", shortcut="D", se=4)
_TRICKS, _REVISITED = "He T. et al. 2019, figure 2", "Bello et al. 2021, Table 7"

ENTRIES = (
    *(entry("resnet", f"resnet{n}", IMAGENET, f"{HE15}, Table 1", imagenet_resnet, n) for n in (18, 34, 50, 101, 152)),
    *(
        _preact(f"preact_resnet{n}", IMAGENET, f"{HE16}, Table 5", imagenet_resnet, n)
        for n in (18, 34, 50, 101, 152, 200)
    ),
    *(_c(f"resnet{n}c", IMAGENET, _TRICKS, imagenet_resnet, n) for n in (50, 101, 152)),
    *(_d(f"resnet{n}d", IMAGENET, _TRICKS, imagenet_resnet, n) for n in (18, 34, 50, 101, 152, 200)),
    *(
        entry("se_resnet", f"seresnet{n}", IMAGENET, "Hu et al. 2018, Table 1", imagenet_resnet, n, se=16)
        for n in (50, 101, 152)
    ),
    *(
        _rs(f"resnetrs{n}", (3, side, side), _REVISITED, imagenet_resnet, n)
        for n, side in ((50, 160), (101, 192), (152, 256), (200, 256))
    ),
    entry("resnet", "resnet{6n+2}", CIFAR, f"{HE15}, sec. 4.2", cifar_resnet),
    _preact("preact_resnet{6n+2}", CIFAR, f"{HE16}, Table 2", cifar_resnet),
    # the two published bottleneck networks; cifar_resnet164 is the basic-block one of that depth
    entry("resnet", "resnet164", CIFAR, f"{HE16}, Table 3", _bottleneck, 164),
    _preact("preact_resnet164", CIFAR, f"{HE16}, Table 3", _bottleneck, 164),
    entry("resnet", "resnet1001", CIFAR, f"{HE16}, Table 3", _bottleneck, 1001),
    _preact("preact_resnet1001", CIFAR, f"{HE16}, Table 3", _bottleneck, 1001),
    *BLOCKS,
)
