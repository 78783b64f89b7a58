"""The networks of NAS-Bench-201 repeat one cell: four nodes, and an operation on each of the six edges between them
(Dong & Yang 2020, figure 1 and sec. 2.1). NATS-Bench calls these its topologies (Dong et al. 2021).

>>> from resbench.arch import cost
>>> net = cost(nasbench201(), (3, 32, 32))
>>> net.params, net.macs
(1288506, 184730240)
"""

from typing import Literal

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Add, Concat, Node, Seq, shared, stack
from resbench.arch.channels import ChannelSlice
from resbench.arch.entry import CIFAR, entry
from resbench.arch.layers import BatchNorm2d, Conv2d, Flatten, Identity, Linear, Scale
from resbench.arch.pools import AvgPool2d, GlobalAvgPool

Operation = Literal["none", "skip", "conv1x1", "conv3x3", "avgpool3x3"]
"""What may stand on an edge. Where there is ``none`` it gives zeros, and what stands before it counts all the same."""

STAGES = 3
"""Their widths are w, 2w and 4w."""


def relu_conv_bn(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> Seq:
    """ReLU - conv - BN, without a bias."""
    conv = Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return Seq(relu=ReLU(), conv=conv, bn=BatchNorm2d(out_channels))


def edge(operation: Operation, channels: int) -> Node:
    """An edge keeps the channels and the size. Padding is no part of an average."""
    match operation:
        case "none":
            return Scale(0)
        case "skip":
            return Identity()
        case "avgpool3x3":
            return AvgPool2d(3, 1, 1, count_include_pad=False)
        case "conv1x1":
            return relu_conv_bn(channels, channels, 1)
        case "conv3x3":
            return relu_conv_bn(channels, channels, 3)


@shared
def cell(channels: int, edges: tuple[Operation, ...]) -> Seq:
    """y1 = f01(x), y2 = f02(x) + f12(y1), y3 = f03(x) + f13(y1) + f23(y2): the edges in this order.

    x and y1 are set side by side first, as each is read twice: a concatenation that the authors' code does without.
    """
    f01, f02, f12, f03, f13, f23 = (edge(operation, channels) for operation in edges)
    x, y1 = ChannelSlice(0, channels), ChannelSlice(channels, 2 * channels)
    y2 = Seq(Add(Seq(x=x, edge02=f02), Seq(y1=y1, edge12=f12)))
    y3 = Add(Seq(x=x, edge03=f03), Seq(y1=y1, edge13=f13), Seq(node2=y2, edge23=f23))
    return Seq(Concat(Identity(), edge01=f01), y3)


def reduction(in_channels: int) -> Seq:
    """[ReLU - 3x3/2 - BN; ReLU - 3x3 - BN] + [avg 2x2/2; 1x1]: twice the channels (sec. 2.1)."""
    channels = 2 * in_channels
    branch = Seq(a=relu_conv_bn(in_channels, channels, 3, 2), b=relu_conv_bn(channels, channels, 3))
    return Seq(Add(branch, downsample=stack(AvgPool2d(2, 2), Conv2d(in_channels, channels, 1, bias=False))))


def nasbench201(
    *,
    e01: Operation = "conv3x3",
    e02: Operation = "conv3x3",
    e12: Operation = "conv3x3",
    e03: Operation = "skip",
    e13: Operation = "conv3x3",
    e23: Operation = "conv3x3",
    cells: int = 5,
    width: int = 16,
    classes: int = 10,
) -> Seq:
    """3x3 w - BN; three stages of so many cells of w, 2w, 4w, a residual block before the second and the third;
    BN - ReLU, global average, fc (figure 1).

    ``e02`` is the edge from node 0, the cell's input, to node 2; node 3 is its output. The default is the cell of the
    best accuracy on CIFAR-100, in which the authors vary the widths (Dong et al. 2021, sec. 3.2).
    """
    edges = (e01, e02, e12, e03, e13, e23)
    made: dict[str, Node] = {"stem": Seq(conv=Conv2d(3, width, 3, padding=1, bias=False), bn=BatchNorm2d(width))}
    for i in range(STAGES):
        channels = width * 2**i
        if i:
            made[f"reduction{i}"] = reduction(channels // 2)
        made[f"stage{i + 1}"] = stack(*[cell(channels, edges)] * cells)
    last = Seq(bn=BatchNorm2d(channels), relu=ReLU())
    return Seq(**made, last=last, avgpool=GlobalAvgPool(), flatten=Flatten(), fc=Linear(channels, classes))


ENTRIES = (entry("nasbench201", "nasbench201", CIFAR, "Dong & Yang 2020, figure 1", nasbench201),)
