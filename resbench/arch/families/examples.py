"""Each worked example is a tiny network that shows one integer of the residual-learning notes."""

from functools import partial

from resbench.arch.algebra import Seq
from resbench.arch.blocks import bottleneck_convs
from resbench.arch.entry import HE15, SZEGEDY14, entry
from resbench.arch.families.inception import GOOGLENET, inception_block, inception_naive
from resbench.arch.layers import Conv2d

_conv = partial(Conv2d, bias=False)
_example = partial(entry, "lesson")

ENTRIES = (
    # 5x5, 192 -> 32: 120,422,400 MACs
    _example("conv5x5_direct", (192, 28, 28), f"{SZEGEDY14}, sec. 5", Seq, conv5x5=_conv(192, 32, 5, padding=2)),
    # 1x1, 192 -> 16, then 5x5, 16 -> 32: 12,443,648 MACs, 9.68 times fewer
    _example(
        "conv5x5_reduced",
        (192, 28, 28),
        f"{SZEGEDY14}, sec. 5",
        Seq,
        reduce=_conv(192, 16, 1),
        conv5x5=_conv(16, 32, 5, padding=2),
    ),
    # module 3a without reductions: its pooling path passes all 192 channels on
    _example(
        "inception_naive",
        (192, 28, 28),
        f"{SZEGEDY14}, figure 2a",
        Seq,
        inception3a=inception_naive(192, b1=64, b3=128, b5=32),
    ),
    # module 3a as published, with 1x1 reductions and a pool projection
    _example(
        "inception_reduced",
        (192, 28, 28),
        f"{SZEGEDY14}, figure 2b",
        Seq,
        inception3a=inception_block(*GOOGLENET["3a"]),
    ),
    # two 3x3 of C channels have 18 C^2 weights: 73,728 at 64, 1,179,648 at 256
    _example(
        "two_3x3_64",
        (64, 56, 56),
        f"{HE15}, figure 5",
        Seq,
        conv1=_conv(64, 64, 3, padding=1),
        conv2=_conv(64, 64, 3, padding=1),
    ),
    _example(
        "two_3x3_256",
        (256, 56, 56),
        f"{HE15}, figure 5",
        Seq,
        conv1=_conv(256, 256, 3, padding=1),
        conv2=_conv(256, 256, 3, padding=1),
    ),
    # 1x1 256 -> 64, 3x3 64, 1x1 64 -> 256: 69,632 weights, 0.944 of two 3x3 on 64
    _example(
        "bottleneck_256",
        (256, 56, 56),
        f"{HE15}, figure 5",
        Seq,
        **{f"conv{i}": conv for i, conv in enumerate(bottleneck_convs(256, 64), 1)},
    ),
    # 1x1, 64 -> 64
    _example("conv1x1", (64, 56, 56), "arithmetic", Seq, conv=_conv(64, 64, 1)),
    # 3x3, 64 -> 64: exactly 9 times the MACs of the 1x1
    _example("conv3x3", (64, 56, 56), "arithmetic", Seq, conv=_conv(64, 64, 3, padding=1)),
)
"""Each stands on the maps on which its integer holds."""
