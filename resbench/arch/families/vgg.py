"""VGG is stacks of 3x3 convolutions and three wide fully connected layers (Simonyan & Zisserman 2014)."""

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Layer, Seq, stack
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Linear
from resbench.arch.pools import AdaptiveAvgPool2d, MaxPool2d

CONVS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Each stage has so many 3x3 convolutions: columns A, B, D and E of the paper's Table 1."""


def vgg(depth: int, bn: bool = False, *, classes: int = 1000) -> Seq:
    """Stages of 64, 128, 256, 512, 512 maps, each closed by max/2; fc 4096, fc 4096, fc (Table 1)."""
    features: list[Layer] = []
    channels = 3
    for width, count in zip((64, 128, 256, 512, 512), CONVS[depth], strict=True):
        for _ in range(count):
            features += [Conv2d(channels, width, 3, padding=1), *([BatchNorm2d(width)] if bn else []), ReLU()]
            channels = width
        features.append(MaxPool2d(2))
    return Seq(
        features=stack(*features),
        avgpool=AdaptiveAvgPool2d(7),
        flatten=Flatten(),
        classifier=stack(
            Linear(512 * 7 * 7, 4096), ReLU(), Dropout(), Linear(4096, 4096), ReLU(), Dropout(), Linear(4096, classes)
        ),
    )


NAMES = (
    (
        (r"^pre_logits\.fc1\.", "classifier.0."),
        (r"^pre_logits\.fc2\.", "classifier.3."),
        (r"^head\.fc\.", "classifier.6."),
    ),
)
"""timm calls the fully connected layers so, the first two of which are convolutions there."""

ENTRIES = tuple(
    entry("vgg", f"vgg{depth}{suffix}", IMAGENET, "Simonyan & Zisserman 2014, Table 1", vgg, depth, bn)
    for depth in CONVS
    for suffix, bn in (("", False), ("_bn", True))
)
