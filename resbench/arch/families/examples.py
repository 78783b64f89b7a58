"""Each worked example is a tiny network that shows one integer of the residual-learning notes."""

from __future__ import annotations

from resbench.arch.algebra import Seq
from resbench.arch.blocks import bottleneck_convs
from resbench.arch.entry import HE15, SZEGEDY14, entry
from resbench.arch.families.inception import GOOGLENET, inception_block, inception_naive
from resbench.arch.layers import Conv2d


def conv5x5_direct() -> Seq:
    """5x5, 192 -> 32 on 28x28: 120,422,400 MACs."""
    return Seq(conv5x5=Conv2d(192, 32, 5, padding=2, bias=False))


def conv5x5_reduced() -> Seq:
    """1x1, 192 -> 16, then 5x5, 16 -> 32 on 28x28: 12,443,648 MACs, 9.68 times fewer."""
    return Seq(reduce=Conv2d(192, 16, 1, bias=False), conv5x5=Conv2d(16, 32, 5, padding=2, bias=False))


def inception_3a_naive() -> Seq:
    """Module 3a without reductions: its pooling path passes all 192 channels on."""
    _, (b1, _, b3, _, b5, _) = GOOGLENET["3a"]
    return Seq(inception3a=inception_naive(192, b1, b3, b5))


def inception_3a_reduced() -> Seq:
    """Module 3a as published, with 1x1 reductions and a pool projection."""
    return Seq(inception3a=inception_block(*GOOGLENET["3a"]))


def two_3x3(channels: int) -> Seq:
    """Two 3x3 of equal channels: 18 C^2 weights; 73,728 at 64, 1,179,648 at 256."""
    return Seq(
        conv1=Conv2d(channels, channels, 3, padding=1, bias=False),
        conv2=Conv2d(channels, channels, 3, padding=1, bias=False),
    )


def bottleneck_256() -> Seq:
    """1x1 256 -> 64, 3x3 64, 1x1 64 -> 256: 69,632 weights, 0.944 of two 3x3 on 64."""
    return Seq(**{f"conv{i}": conv for i, conv in enumerate(bottleneck_convs(256, 64), 1)})


def conv1x1() -> Seq:
    """1x1, 64 -> 64 on 56x56."""
    return Seq(conv=Conv2d(64, 64, 1, bias=False))


def conv3x3() -> Seq:
    """3x3, 64 -> 64 on 56x56: exactly 9 times the MACs of the 1x1."""
    return Seq(conv=Conv2d(64, 64, 3, padding=1, bias=False))


LESSONS = (
    entry("lesson", "conv5x5_direct", (192, 28, 28), f"{SZEGEDY14}, sec. 5", conv5x5_direct),
    entry("lesson", "conv5x5_reduced", (192, 28, 28), f"{SZEGEDY14}, sec. 5", conv5x5_reduced),
    entry("lesson", "inception_naive", (192, 28, 28), f"{SZEGEDY14}, figure 2a", inception_3a_naive),
    entry("lesson", "inception_reduced", (192, 28, 28), f"{SZEGEDY14}, figure 2b", inception_3a_reduced),
    entry("lesson", "two_3x3_64", (64, 56, 56), f"{HE15}, figure 5", two_3x3, 64),
    entry("lesson", "two_3x3_256", (256, 56, 56), f"{HE15}, figure 5", two_3x3, 256),
    entry("lesson", "bottleneck_256", (256, 56, 56), f"{HE15}, figure 5", bottleneck_256),
    entry("lesson", "conv1x1", (64, 56, 56), "arithmetic", conv1x1),
    entry("lesson", "conv3x3", (64, 56, 56), "arithmetic", conv3x3),
)
"""Each stands on the maps on which its integer holds."""
