"""A network is an immutable expression, and everything else reads it. Nothing here imports torch.

The module itself can be called: ``resbench.arch("resnet50")`` is ``architecture("resnet50")``.
"""

import sys
from types import ModuleType

from resbench.arch.activations import (
    ELU,
    GELU,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Tanh,
)
from resbench.arch.algebra import Add, Aux, Concat, Highway, Layer, Mul, Node, Operator, Seq, Shape, stack
from resbench.arch.catalog import Architecture, architecture
from resbench.arch.channels import ChannelShuffle, ChannelSlice, LayerScale, PadChannels, SplitSoftmax
from resbench.arch.cost import cost
from resbench.arch.editing import Selection, select
from resbench.arch.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    DropPath,
    Flatten,
    Identity,
    Linear,
    LocalResponseNorm,
    Scale,
)
from resbench.arch.normalisation import GlobalResponseNorm, GroupNorm, LayerNorm2d
from resbench.arch.padding import SamePad
from resbench.arch.pools import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool, MaxPool2d
from resbench.arch.rows import Cost, Row
from resbench.arch.totals import totals
from resbench.arch.transposed import ConvTranspose2d

__all__ = [
    "LayerNorm2d",
    "GroupNorm",
    "GlobalResponseNorm",
    "LayerScale",
    "ChannelSlice",
    "ChannelShuffle",
    "AdaptiveAvgPool2d",
    "Add",
    "Architecture",
    "Aux",
    "AvgPool2d",
    "BatchNorm2d",
    "Concat",
    "Conv2d",
    "ConvTranspose2d",
    "Cost",
    "DropPath",
    "PReLU",
    "Dropout",
    "ELU",
    "Flatten",
    "GELU",
    "GlobalAvgPool",
    "Hardsigmoid",
    "Hardswish",
    "Highway",
    "Identity",
    "Layer",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "MaxPool2d",
    "Mul",
    "Node",
    "Operator",
    "PadChannels",
    "ReLU",
    "ReLU6",
    "Row",
    "SamePad",
    "Scale",
    "Selection",
    "Seq",
    "Shape",
    "SiLU",
    "Sigmoid",
    "SplitSoftmax",
    "Tanh",
    "architecture",
    "cost",
    "select",
    "stack",
    "totals",
]


class _Callable(ModuleType):
    def __call__(self, name: str) -> Architecture:
        return architecture(name)


sys.modules[__name__].__class__ = _Callable
