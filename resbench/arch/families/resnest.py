"""ResNeSt attends to splits: several 3x3 side by side, weighted channel by channel (Zhang et al. 2022)."""

from functools import partial

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Add, Mul, Node, Seq, stack
from resbench.arch.blocks import Stage, trunk
from resbench.arch.channels import ChannelSlice, SplitSoftmax
from resbench.arch.entry import entry
from resbench.arch.layers import BatchNorm2d, Conv2d, Flatten, Identity, Linear
from resbench.arch.pools import AvgPool2d, GlobalAvgPool, MaxPool2d
from resbench.arch.shortcuts import averaged_projection
from resbench.arch.styles import rounded

RADIX = 2


def split_attention(channels: int) -> Seq:
    """sum of a_r u_r: u = relu(bn(3x3 of x)) in r splits, a = softmax over them of W2 relu(bn(W1 mean(sum u_r))).

    W1 goes to half of the channels, at least 32. Source: sec. 3.1 and figure 2.
    """
    splits = RADIX * channels
    attended = max(rounded(splits / 4), 32)
    each = [ChannelSlice(i * channels, (i + 1) * channels) for i in range(RADIX)]
    attention = Seq(
        Add(*each),
        pool=GlobalAvgPool(),
        fc1=Conv2d(channels, attended, 1),
        bn1=BatchNorm2d(attended),
        act1=ReLU(),
        fc2=Conv2d(attended, splits, 1),
        rsoftmax=SplitSoftmax(RADIX),
    )
    return Seq(
        Seq(
            conv=Conv2d(channels, splits, 3, padding=1, groups=RADIX, bias=False),
            bn0=BatchNorm2d(splits),
            act0=ReLU(),
        ),
        Mul(Identity(), attention=attention),
        Add(*each),
    )


def resnest_block(in_channels: int, out_channels: int, stride: int = 1, *, first: bool = False) -> Seq:
    """[1x1, w; split attention, w; avg 3x3/2; 1x1, 4w] + x: the average where it strides (figure 2, sec. 3.2)."""
    width = out_channels // 4
    pool: dict[str, Node] = {"avd_last": AvgPool2d(3, stride, 1)} if stride > 1 else {}
    branch = Seq(
        conv1=Conv2d(in_channels, width, 1, bias=False),
        bn1=BatchNorm2d(width),
        act1=ReLU(),
        conv2=split_attention(width),
        **pool,
        conv3=Conv2d(width, out_channels, 1, bias=False),
        bn3=BatchNorm2d(out_channels),
    )
    changes = in_channels != out_channels or stride > 1
    shortcut = Seq(downsample=averaged_projection(in_channels, out_channels, stride)) if changes else Identity()
    return Seq(Add(branch, shortcut), act3=ReLU())


UNITS = {14: (1, 1, 1, 1), 26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def resnest(depth: int, stem: int, *, classes: int = 1000) -> Seq:
    """Three 3x3, max/2, four stages of 256, 512, 1024, 2048, global average, fc (sec. 3.2).

    The three 3x3 give ``stem``, ``stem`` and twice as many maps.
    """
    stages = [Stage(256 * 2**i, units, 2 if i else 1) for i, units in enumerate(UNITS[depth])]
    conv = partial(Conv2d, kernel=3, padding=1, bias=False)
    first, second, third = conv(3, stem, stride=2), conv(stem, stem), conv(stem, 2 * stem)
    return Seq(
        conv1=stack(first, BatchNorm2d(stem), ReLU(), second, BatchNorm2d(stem), ReLU(), third),
        bn1=BatchNorm2d(2 * stem),
        act1=ReLU(),
        maxpool=MaxPool2d(3, 2, 1),
        **trunk(2 * stem, stages, resnest_block),
        global_pool=GlobalAvgPool(),
        flatten=Flatten(),
        fc=Linear(2048, classes),
    )


_ZHANG = "Zhang et al. 2022, Table 3"


NAMES = (((r"conv2\.(fc1|bn1|fc2)\.", r"conv2.attention.\1."),),)
"""timm has the layers of the attention beside the convolution."""

ENTRIES = (
    *(entry("resnest", f"resnest{n}d", (3, 224, 224), _ZHANG, resnest, n, 32) for n in (14, 26, 50)),
    entry("resnest", "resnest101e", (3, 256, 256), _ZHANG, resnest, 101, 64),
    entry("block", "split_attention", (64, 56, 56), "Zhang et al. 2022, figure 2", split_attention, 64),
)
