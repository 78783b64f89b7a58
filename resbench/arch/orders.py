"""The activations of a residual unit stand in one of the five orders of He et al. 2016, figure 4.

>>> convs = [Conv2d(64, 64, 3, padding=1), Conv2d(64, 64, 3, padding=1)]
>>> [list(part) for part in ordered(convs, "original")]
[[], ['conv1', 'bn1', 'relu1', 'conv2', 'bn2'], ['relu2']]
>>> [list(part) for part in ordered(convs, "full-preact")]
[['bn1', 'relu1'], ['conv1', 'bn2', 'relu2', 'conv2'], []]
"""

from collections.abc import Sequence
from typing import Literal

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Node
from resbench.arch.layers import BatchNorm2d, Conv2d

Norm = Literal["bn", "none"]
Order = Literal["original", "bn-after-add", "relu-before-add", "relu-only-preact", "full-preact"]

ORDERS: dict[Order, str] = {
    "original": "CB+R",  # (a) conv BN ReLU conv BN + ReLU
    "bn-after-add": "C+BR",  # (b) conv BN ReLU conv + BN ReLU
    "relu-before-add": "CBR+",  # (c) conv BN ReLU conv BN ReLU +
    "relu-only-preact": "RCB+",  # (d) ReLU conv BN ReLU conv BN +
    "full-preact": "BRC+",  # (e) BN ReLU conv BN ReLU conv +
}
"""The letters say what stands around each convolution (C) of a unit: its BN (B) and its ReLU (R). In the last round
the branch ends, and the sum stands, where the plus is."""

NAMES = {"C": "conv", "B": "bn", "R": "relu"}

Layers = dict[str, Node]
"""Layers have names and stand in running order."""


def ordered(convs: Sequence[Conv2d], order: Order = "original", norm: Norm = "bn") -> tuple[Layers, Layers, Layers]:
    """A unit is its opening, the rest of its branch, and what stands behind the sum.

    The opening is the activation before the first convolution: empty unless the order is pre-activated. Layers bear
    the number of their convolution.
    """
    before, _, after = ORDERS[order].partition("+")
    layers: list[tuple[str, Node]] = []
    for i, conv in enumerate(convs, 1):
        channels = conv.in_channels if before.startswith("B") else conv.out_channels
        nodes = {"C": conv, "B": BatchNorm2d(channels), "R": ReLU()}
        layers += [(f"{NAMES[letter]}{i}", nodes[letter]) for letter in before + after]
    opens, closes = before.index("C"), len(layers) - len(after)

    def part(begin: int, end: int) -> Layers:
        return {name: layer for name, layer in layers[begin:end] if norm == "bn" or not name.startswith("bn")}

    return part(0, opens), part(opens, closes), part(closes, len(layers))


def ending(channels: int, order: Order, norm: Norm) -> Layers:
    """Behind the last sum stands the opening of the unit that does not follow (He et al. 2016, appendix)."""
    opening = ORDERS[order].partition("C")[0]
    nodes = {"B": BatchNorm2d(channels), "R": ReLU()}
    return {f"{NAMES[letter]}2": nodes[letter] for letter in opening if norm == "bn" or letter != "B"}
