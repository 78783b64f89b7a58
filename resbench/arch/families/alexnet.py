"""AlexNet is five convolutions and three fully connected layers, here in the layout of one column."""

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Seq, stack
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.layers import Conv2d, Dropout, Flatten, Linear
from resbench.arch.pools import AdaptiveAvgPool2d, MaxPool2d


def alexnet(*, classes: int = 1000) -> Seq:
    """11x11/4 64, 5x5 192, 3x3 384, 3x3 256, 3x3 256; fc 4096, fc 4096, fc (Krizhevsky 2014, sec. 5).

    It is the network of 2012 without its two columns and its response normalisation.
    """
    return Seq(
        features=stack(
            Conv2d(3, 64, 11, 4, 2),
            ReLU(),
            MaxPool2d(3, 2),
            Conv2d(64, 192, 5, padding=2),
            ReLU(),
            MaxPool2d(3, 2),
            Conv2d(192, 384, 3, padding=1),
            ReLU(),
            Conv2d(384, 256, 3, padding=1),
            ReLU(),
            Conv2d(256, 256, 3, padding=1),
            ReLU(),
            MaxPool2d(3, 2),
        ),
        avgpool=AdaptiveAvgPool2d(6),
        flatten=Flatten(),
        classifier=stack(
            Dropout(), Linear(256 * 6 * 6, 4096), ReLU(), Dropout(), Linear(4096, 4096), ReLU(), Linear(4096, classes)
        ),
    )


ENTRIES = (entry("alexnet", "alexnet", IMAGENET, "Krizhevsky 2014, as torchvision builds it", alexnet),)
