"""DenseNet concatenates where ResNet adds: each layer reads all that came before it (Huang et al. 2017)."""

from collections.abc import Sequence
from functools import partial

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Concat, Node, Seq, shared
from resbench.arch.entry import CIFAR, IMAGENET, entry
from resbench.arch.layers import BatchNorm2d, Conv2d, Flatten, Identity, Linear
from resbench.arch.pools import AvgPool2d, GlobalAvgPool, MaxPool2d
from resbench.errors import ArchitectureError


@shared
def dense_layer(in_channels: int, growth: int, *, bottleneck: bool = True) -> Seq:
    """x | [BN - ReLU - 1x1, 4k; BN - ReLU - 3x3, k]; without ``bottleneck`` x | [BN - ReLU - 3x3, k] (sec. 3)."""
    inner = 4 * growth
    widened: dict[str, Node] = {
        "norm1": BatchNorm2d(in_channels),
        "relu1": ReLU(),
        "conv1": Conv2d(in_channels, inner, 1, bias=False),
        "norm2": BatchNorm2d(inner),
        "relu2": ReLU(),
        "conv2": Conv2d(inner, growth, 3, padding=1, bias=False),
    }
    plain: dict[str, Node] = {
        "norm1": BatchNorm2d(in_channels),
        "relu1": ReLU(),
        "conv1": Conv2d(in_channels, growth, 3, padding=1, bias=False),
    }
    return Seq(Concat(Identity(), Seq(**(widened if bottleneck else plain))))


def transition(in_channels: int, out_channels: int) -> Seq:
    """BN - ReLU - 1x1 - avg/2 (sec. 3, "Pooling layers")."""
    return Seq(
        norm=BatchNorm2d(in_channels),
        relu=ReLU(),
        conv=Conv2d(in_channels, out_channels, 1, bias=False),
        pool=AvgPool2d(2, 2),
    )


def _dense(channels: int, growth: int, layers: Sequence[int], *, bottleneck: bool, halves: bool) -> dict[str, Node]:
    """Dense blocks with transitions between them, which halve the channels or not, and the last BN."""
    features: dict[str, Node] = {}
    for i, count in enumerate(layers, 1):
        widths = [channels + j * growth for j in range(count + 1)]
        block = {
            f"denselayer{j}": dense_layer(widths[j - 1], growth, bottleneck=bottleneck) for j in range(1, count + 1)
        }
        features[f"denseblock{i}"] = Seq(**block)
        channels = widths[-1]
        if i < len(layers):
            out = channels // 2 if halves else channels
            features[f"transition{i}"] = transition(channels, out)
            channels = out
    return {**features, f"norm{len(layers) + 1}": BatchNorm2d(channels)}


def _network(features: dict[str, Node], classes: int) -> Seq:
    *_, norm = features.values()
    assert isinstance(norm, BatchNorm2d)
    return Seq(
        features=Seq(**features),
        relu=ReLU(),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        classifier=Linear(norm.channels, classes),
    )


LAYERS = {121: (6, 12, 24, 16), 161: (6, 12, 36, 24), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
"""A depth has so many dense layers in each block: Table 1; 161 is of the first version of the paper, with k = 48."""


def densenet(depth: int, growth: int = 32, *, classes: int = 1000) -> Seq:
    """7x7/2 2k, max/2, four dense blocks with transitions that halve the channels, global average, fc (Table 1)."""
    stem: dict[str, Node] = {
        "conv0": Conv2d(3, 2 * growth, 7, 2, 3, bias=False),
        "norm0": BatchNorm2d(2 * growth),
        "relu0": ReLU(),
        "pool0": MaxPool2d(3, 2, 1),
    }
    dense = _dense(2 * growth, growth, LAYERS[depth], bottleneck=True, halves=True)
    return _network({**stem, **dense}, classes)


def cifar_densenet(depth: int, growth: int, *, bc: bool = False, compression: bool = False, classes: int = 10) -> Seq:
    """3x3 16, three dense blocks of (L - 4) / 3 layers each, global average, fc (sec. 4.2).

    ``compression``, the C of DenseNet-C, has transitions that halve the channels, and a stem of 2k. ``bc`` has
    bottlenecks too, so that there are half as many dense layers.
    """
    layers, rest = divmod(depth - 4, 6 if bc else 3)
    if rest or layers < 1:
        raise ArchitectureError(f"expected a depth of {6 if bc else 3}n + 4, received {depth}")
    halves = bc or compression
    stem = 2 * growth if halves else 16
    dense = _dense(stem, growth, (layers,) * 3, bottleneck=bc, halves=halves)
    return _network({"conv0": Conv2d(3, stem, 3, padding=1, bias=False), **dense}, classes)


NAMES = (((r"(norm|conv)\.(\d)\.", r"\1\2."),),)
"""torchvision's files are of a time when its dense layers held norm.1, conv.1, ..."""

_cifar = partial(entry, "densenet")
_TABLE = "Huang et al. 2017, Table 2"

ENTRIES = (
    *(entry("densenet", f"densenet{n}", IMAGENET, "Huang et al. 2017, Table 1", densenet, n) for n in (121, 169, 201)),
    entry("densenet", "densenet161", IMAGENET, "Huang et al. 2016, Table 1", densenet, 161, 48),
    *(_cifar(f"densenet{n}_{k}", CIFAR, _TABLE, cifar_densenet, n, k) for n, k in ((40, 12), (100, 12), (100, 24))),
    *(
        _cifar(f"densenet_bc{n}_{k}", CIFAR, _TABLE, cifar_densenet, n, k, bc=True)
        for n, k in ((100, 12), (250, 24), (190, 40))
    ),
    entry("block", "dense_layer", (256, 56, 56), "Huang et al. 2017, Table 1", dense_layer, 256, 32),
)
