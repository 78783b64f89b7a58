"""Xception is depthwise separable convolutions with linear shortcuts (Chollet 2017)."""

from itertools import chain, pairwise

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Add, Layer, Node, Seq, stack
from resbench.arch.entry import entry
from resbench.arch.layers import BatchNorm2d, Conv2d, Flatten, Identity, Linear
from resbench.arch.pools import GlobalAvgPool, MaxPool2d


def separable(in_channels: int, out_channels: int) -> Seq:
    """3x3 depthwise - 1x1, with nothing in between (sec. 3.2 and figure 10)."""
    depthwise = Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
    return Seq(conv1=depthwise, pointwise=Conv2d(in_channels, out_channels, 1, bias=False))


def xception_block(*widths: int, stride: int = 1, opens: bool = True) -> Seq:
    """[ReLU; separable; BN] for each pair of widths, max 3x3/2 where it strides, + x or its projection (figure 5).

    ``opens`` says whether the first ReLU is there.
    """
    pairs = pairwise(widths)
    layers: list[Node] = list(chain(*((ReLU(), separable(a, b), BatchNorm2d(b)) for a, b in pairs)))
    branch = stack(*layers[0 if opens else 1 :], *([MaxPool2d(3, stride, 1)] if stride > 1 else []))
    first, last = widths[0], widths[-1]
    projection = Seq(skip=Conv2d(first, last, 1, stride, bias=False), skipbn=BatchNorm2d(last))
    return Seq(Add(Seq(rep=branch), Identity() if (first, stride) == (last, 1) else projection))


def xception(*, classes: int = 1000) -> Seq:
    """3x3/2 32, 3x3 64, entry flow of 128, 256, 728, eight blocks of 728, exit flow of 1024, 1536, 2048 (figure 5)."""

    def activated(number: int, conv: Layer | Seq, width: int) -> dict[str, Node]:
        return {f"conv{number}": conv, f"bn{number}": BatchNorm2d(width), f"act{number}": ReLU()}

    middle = xception_block(728, 728, 728, 728)
    return Seq(
        **activated(1, Conv2d(3, 32, 3, 2, bias=False), 32),
        **activated(2, Conv2d(32, 64, 3, bias=False), 64),
        block1=xception_block(64, 128, 128, stride=2, opens=False),
        block2=xception_block(128, 256, 256, stride=2),
        block3=xception_block(256, 728, 728, stride=2),
        **{f"block{i}": middle for i in range(4, 12)},
        block12=xception_block(728, 728, 1024, stride=2),
        **activated(3, separable(1024, 1536), 1536),
        **activated(4, separable(1536, 2048), 2048),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        fc=Linear(2048, classes),
    )


ENTRIES = (
    entry("xception", "xception", (3, 299, 299), "Chollet 2017, figure 5", xception),
    entry("block", "xception_block", (728, 19, 19), "Chollet 2017, figure 5", xception_block, 728, 728, 728, 728),
)
