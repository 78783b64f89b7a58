"""ResNeXts have grouped bottlenecks: those for ImageNet, and ResNeXt-29 for CIFAR (Xie et al. 2017)."""

from functools import partial
from typing import Any

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Seq
from resbench.arch.blocks import Stage, bottleneck_convs, trunk, unit
from resbench.arch.entry import CIFAR, IMAGENET, entry
from resbench.arch.families.resnet import imagenet_resnet
from resbench.arch.layers import BatchNorm2d, Conv2d, Flatten, Linear
from resbench.arch.pools import GlobalAvgPool


def _unit(groups: int, group_width: int, in_channels: int, out_channels: int, stride: int, **options: Any) -> Seq:
    inner = out_channels * groups * group_width // 256
    return unit(bottleneck_convs(in_channels, inner, stride, groups=groups, out_channels=out_channels), "B", **options)


def cifar_resnext(groups: int, group_width: int, *, classes: int = 10) -> Seq:
    """3x3 64, three stages of 256, 512, 1024 with three grouped bottlenecks each, global average, fc (sec. 5.3).

    The middle convolutions of the first stage have groups x group_width channels; later ones double.
    """
    stages = [Stage(256, 3, 1), Stage(512, 3, 2), Stage(1024, 3, 2)]
    return Seq(
        conv1=Conv2d(3, 64, 3, padding=1, bias=False),
        bn1=BatchNorm2d(64),
        relu=ReLU(),
        **trunk(64, stages, partial(_unit, groups, group_width)),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        fc=Linear(1024, classes),
    )


_imagenet = partial(entry, "resnext")
_TABLE = "Xie et al. 2017, Table 1"

ENTRIES = (
    _imagenet("resnext50_32x4d", IMAGENET, _TABLE, imagenet_resnet, 50, groups=32, group_width=4),
    _imagenet("resnext101_32x8d", IMAGENET, _TABLE, imagenet_resnet, 101, groups=32, group_width=8),
    _imagenet("resnext101_64x4d", IMAGENET, _TABLE, imagenet_resnet, 101, groups=64, group_width=4),
    *(
        entry("resnext", f"resnext29_{groups}x64d", CIFAR, "Xie et al. 2017, Table 7", cifar_resnext, groups, 64)
        for groups in (8, 16)
    ),
)
