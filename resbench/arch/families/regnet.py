"""RegNets are residual bottlenecks with grouped convolutions, whose widths follow a quantised line
(Radosavovic et al. 2020).

>>> stages(DESIGNS["x_400mf"])
[(32, 1), (64, 2), (160, 7), (400, 12)]
"""

from collections import Counter
from math import log
from typing import Literal, NamedTuple

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Add, Node, Seq
from resbench.arch.blocks import gated
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.layers import Flatten, Identity, Linear
from resbench.arch.pools import GlobalAvgPool
from resbench.arch.styles import ConvStyle, rounded


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
        group = min(design.group, width)
        found.append(group * round(width / group) if widths == "paper" else rounded(width, group))
    return list(Counter(found).items())


def regnet_block(channels: tuple[int, int], stride: int, group: int, squeezed: int) -> Seq:
    """[1x1, w; 3x3, w, groups of g; SE; 1x1, w] + x (figure 12; SE in Y alone, by a quarter of what comes in)."""
    style = ConvStyle()
    before, width = channels
    branch: dict[str, Node] = {
        "a": style.conv(before, width),
        "b": style.conv(width, width, 3, stride, width // group),
        **({"se": gated(width, squeezed)} if squeezed else {}),
        "c": style.linear(width, width),
    }
    shortcut = Seq(proj=style.linear(before, width, 1, stride)) if (before, stride) != (width, 1) else Identity()
    return Seq(Add(Seq(f=Seq(**branch)), shortcut), activation=ReLU())


def regnet(name: str, *, widths: Widths = "torchvision", classes: int = 1000) -> Seq:
    """3x3/2 32, four stages of blocks that each halve the map, global average, fc (figure 3).

    ``widths=paper`` makes x_400mf, y_800mf and y_8gf the authors' networks; of all others it changes nothing.
    """
    design, squeezes = DESIGNS[name], name.startswith("y")
    channels = 32
    trunk: dict[str, Node] = {}
    for i, (width, units) in enumerate(stages(design, widths), 1):
        group = min(design.group, width)
        opening = regnet_block((channels, width), 2, group, round(channels / 4) if squeezes else 0)
        again = regnet_block((width, width), 1, group, round(width / 4) if squeezes else 0)
        blocks = (opening, *[again] * (units - 1))
        trunk[f"block{i}"] = Seq(**{f"block{i}-{j}": block for j, block in enumerate(blocks)})
        channels = width
    return Seq(
        stem=ConvStyle().conv(3, 32, 3, 2),
        trunk_output=Seq(**trunk),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        fc=Linear(channels, classes),
    )


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

ENTRIES = tuple(
    entry("regnet", f"regnet_{name}", IMAGENET, "Radosavovic et al. 2020, figures 16 and 17", regnet, name)
    for name in DESIGNS
)
