"""RegNets are residual bottlenecks with grouped convolutions, whose widths follow a quantised line
(Radosavovic et al. 2020).

>>> stages(DESIGNS["x_400mf"])
[(32, 1), (64, 2), (160, 7), (400, 12)]
"""

from collections import Counter
from collections.abc import Sequence
from math import log
from typing import Literal, NamedTuple

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Add, Node, Seq
from resbench.arch.blocks import gated
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.layers import Flatten, Identity, Linear
from resbench.arch.pools import GlobalAvgPool
from resbench.arch.styles import ConvStyle, rounded
from resbench.errors import ArchitectureError


class Design(NamedTuple):
    """Depth d, initial width w0, slope wa, step wm, and the width of a group (sec. 3.3)."""

    depth: int
    initial: int
    slope: float
    step: float
    group: int


DESIGNS = {
    "x_400mf": Design(22, 24, 24.48, 2.54, 16),
    "x_800mf": Design(16, 56, 35.73, 2.28, 16),
    "x_1_6gf": Design(18, 80, 34.01, 2.25, 24),
    "x_3_2gf": Design(25, 88, 26.31, 2.25, 48),
    "x_8gf": Design(23, 80, 49.56, 2.88, 120),
    "x_16gf": Design(22, 216, 55.59, 2.1, 128),
    "x_32gf": Design(23, 320, 69.86, 2.0, 168),
    "y_400mf": Design(16, 48, 27.89, 2.09, 8),
    "y_800mf": Design(14, 56, 38.84, 2.4, 16),
    "y_1_6gf": Design(27, 48, 20.71, 2.65, 24),
    "y_3_2gf": Design(21, 80, 42.63, 2.66, 24),
    "y_8gf": Design(17, 192, 76.82, 2.19, 56),
    "y_16gf": Design(18, 200, 106.23, 2.48, 112),
    "y_32gf": Design(20, 232, 115.89, 2.53, 232),
    "y_128gf": Design(27, 456, 160.83, 2.52, 264),
}
"""Figures 16 and 17 (X and Y); y_128gf is of Goyal et al. 2022."""


Widths = Literal["torchvision", "paper"]
"""A width halfway between two multiples of the group goes up in torchvision, to the even one in the authors' code."""


def stages(design: Design, widths: Widths = "torchvision") -> list[tuple[int, int]]:
    """Width and depth of each stage: w0 + wa j goes to the nearest w0 wm^n, then to multiples of 8 and of the group.

    Source: eq. 2 to 4, with the rounding of torchvision's code or of the authors'.
    """
    found = []
    for j in range(design.depth):
        power = round(log((design.initial + design.slope * j) / design.initial) / log(design.step))
        width = 8 * round(design.initial * design.step**power / 8)
        if not width:
            raise ArchitectureError(f"expected widths of 8 or more, received {design.initial * design.step**power:.2g}")
        group = min(design.group, width)
        found.append(group * round(width / group) if widths == "paper" else rounded(width, group))
    return list(Counter(found).items())


class Blocks(NamedTuple):
    """A stage has so many equal blocks; the 3x3 has width / ratio channels, in groups of so many."""

    width: int
    units: int
    group: int
    ratio: int = 1


def regnet_block(channels: tuple[int, int], stride: int, group: int, squeezed: int, ratio: int = 1) -> Seq:
    """[1x1, w / b; 3x3, w / b, groups of g; SE; 1x1, w] + x (figure 12; SE in Y alone, by a quarter of what comes in).

    The ratio b is 1 in RegNets.
    """
    style = ConvStyle()
    before, width = channels
    inner, rest = divmod(width, ratio)
    group = min(group, inner)
    if rest or inner % group:
        raise ArchitectureError(f"expected a width that {ratio} x groups of {group} divide, received {width}")
    branch: dict[str, Node] = {
        "a": style.conv(before, inner),
        "b": style.conv(inner, inner, 3, stride, inner // group),
        **({"se": gated(inner, squeezed)} if squeezed else {}),
        "c": style.linear(inner, width),
    }
    shortcut = Seq(proj=style.linear(before, width, 1, stride)) if (before, stride) != (width, 1) else Identity()
    return Seq(Add(Seq(f=Seq(**branch)), shortcut), activation=ReLU())


def _network(trunk: Sequence[Blocks], squeezes: bool, classes: int) -> Seq:
    """3x3/2 32, stages of blocks that each halve the map, global average, fc (figure 3)."""
    channels = 32
    made: dict[str, Node] = {}
    for i, (width, units, group, ratio) in enumerate(trunk, 1):
        opening = regnet_block((channels, width), 2, group, round(channels / 4) if squeezes else 0, ratio)
        again = regnet_block((width, width), 1, group, round(width / 4) if squeezes else 0, ratio)
        blocks = (opening, *[again] * (units - 1))
        made[f"block{i}"] = Seq(**{f"block{i}-{j}": block for j, block in enumerate(blocks)})
        channels = width
    return Seq(
        stem=ConvStyle().conv(3, 32, 3, 2),
        trunk_output=Seq(**made),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        fc=Linear(channels, classes),
    )


def _blocks(design: Design, widths: Widths) -> list[Blocks]:
    """The stages of a design are blocks of one group width."""
    return [Blocks(width, units, design.group) for width, units in stages(design, widths)]


def regnet(name: str, *, widths: Widths = "torchvision", classes: int = 1000) -> Seq:
    """The published designs, by name; Y has squeeze-and-excitation.

    ``widths=paper`` makes x_400mf, y_800mf and y_8gf the authors' networks; of all others it changes nothing.
    """
    return _network(_blocks(DESIGNS[name], widths), name.startswith("y"), classes)


STAGES = 4
"""A RegNet has so many (sec. 3.3)."""


def designed(
    *,
    depth: int = 22,
    initial: int = 24,
    slope: float = 24.48,
    step: float = 2.54,
    group: int = 16,
    se: bool = False,
    widths: Widths = "torchvision",
    classes: int = 1000,
) -> Seq:
    """A RegNet of five numbers (sec. 3.3): d, w0, wa, wm and the width of a group; the ratio of the bottleneck is 1."""
    if step <= 1:
        raise ArchitectureError(f"step must be above 1, received {step}")
    trunk = _blocks(Design(depth, initial, slope, step, group), widths)
    if len(trunk) != STAGES:
        raise ArchitectureError(f"expected widths of {STAGES} stages, received {len(trunk)}")
    return _network(trunk, se, classes)


def anynet(
    *,
    depths: tuple[int, ...] = (1, 2, 7, 12),
    widths: tuple[int, ...] = (32, 64, 160, 400),
    groups: tuple[int, ...] = (16,),
    ratios: tuple[int, ...] = (1,),
    se: bool = False,
    classes: int = 1000,
) -> Seq:
    """AnyNetX (sec. 3.2): each stage has its depth, width, width of a group and ratio of the bottleneck; one number of
    the last two stands for all stages."""
    count = len(depths)
    given = {"widths": widths, "groups": groups, "ratios": ratios}
    for name, numbers in given.items():
        if len(numbers) != count and (name == "widths" or len(numbers) > 1):
            raise ArchitectureError(f"{name}: expected {count}, one a stage, received {len(numbers)}")
    every = zip(widths, depths, *(n * count if len(n) == 1 else n for n in (groups, ratios)), strict=True)
    return _network([Blocks(*numbers) for numbers in every], se, classes)


NAMES = (
    (
        (r"^stem\.conv\.", "stem.0."),
        (r"^stem\.bn\.", "stem.1."),
        (r"^s(\d)\.b(\d+)\.", lambda found: f"trunk_output.block{found[1]}.block{found[1]}-{int(found[2]) - 1}."),
        (r"\.conv1\.", ".f.a."),
        (r"\.conv2\.", ".f.b."),
        (r"\.conv3\.", ".f.c."),
        (r"\.se\.", ".f.se."),
        (r"\.downsample\.", ".proj."),
        (r"\.conv\.", ".0."),
        (r"\.bn\.", ".1."),
        (r"^head\.fc\.", "fc."),
    ),
)
"""timm calls the layers so."""

ENTRIES = (
    *(
        entry("regnet", f"regnet_{name}", IMAGENET, "Radosavovic et al. 2020, figures 16 and 17", regnet, name)
        for name in DESIGNS
    ),
    entry("regnet", "regnet", IMAGENET, "Radosavovic et al. 2020, sec. 3.3", designed),
    entry("regnet", "anynet", IMAGENET, "Radosavovic et al. 2020, sec. 3.2", anynet),
)
