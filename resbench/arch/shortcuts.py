"""A shortcut connection says how F(x) and x become one.

    none             F(x)                         a plain stack (He et al. 2015, table 1 "plain")
    identity         F(x) + x                     eq. 1
    A                F(x) + pad(x)                 zero-padded where the shape changes, else x (sec. 3.3)
    B                F(x) + W x                    1x1 projection where the shape changes, else x
    C                F(x) + W x                    1x1 projection everywhere
    D                F(x) + W avg(x)               as B, behind a 2x2 average where it strides (ResNet-D)
    scaling          0.5 F(x) + 0.5 h(x)           He et al. 2016, figure 2b, the row that converges
    exclusive-gate   g F(x) + (1 - g) h(x)         figure 2c, g = sigmoid(1x1 conv + b)
    shortcut-gate    F(x) + (1 - g) h(x)           figure 2d
    conv1x1          F(x) + W x                    figure 2e; the paper notes that it is option C
    dropout          F(x) + dropout(h(x), 0.5)     figure 2f

In the last five h is option A, as in the ResNet-110 of the paper's Table 1.
"""

from functools import partial
from typing import Literal

from resbench.arch.activations import Sigmoid
from resbench.arch.algebra import Add, Highway, Mul, Node, Seq, stack
from resbench.arch.channels import PadChannels
from resbench.arch.layers import BatchNorm2d, Conv2d, Dropout, Identity, Scale
from resbench.arch.pools import AvgPool2d
from resbench.errors import ArchitectureError

Shortcut = Literal["none", "A", "B", "C", "D", "scaling", "exclusive-gate", "shortcut-gate", "conv1x1", "dropout"]

GATE_BIAS = -6
"""The gates of He et al. 2016 start here, nearly closed (sec. 3.1)."""


def padding(in_channels: int, out_channels: int, stride: int) -> Node:
    """Option A's h(x) is x itself, or x subsampled and zero-padded where the shape changes. It has no parameters."""
    if in_channels == out_channels and stride == 1:
        return Identity()
    return PadChannels(in_channels, out_channels, stride)


def projection(in_channels: int, out_channels: int, stride: int, *, bn: bool = True) -> Seq:
    """[1x1, out, /stride - BN]: the projection of options B and C (He et al. 2015, eq. 2). No bias."""
    conv = Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return stack(conv, BatchNorm2d(out_channels)) if bn else stack(conv)


def averaged_projection(in_channels: int, out_channels: int, stride: int, *, bn: bool = True) -> Seq:
    """[avg 2x2, /stride; 1x1, out - BN]: no position is left out (He T. et al. 2019, figure 2c). No bias."""
    pool = AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else Identity()
    return stack(pool, *projection(in_channels, out_channels, 1, bn=bn))


def gate(in_channels: int, out_channels: int, stride: int, bias: float) -> Seq:
    """g(x) = sigmoid(W x + b) by a 1x1 convolution (He et al. 2016, sec. 3.1)."""
    return Seq(conv=Conv2d(in_channels, out_channels, 1, stride, bias_init=bias), sigmoid=Sigmoid())


def projects(kind: Shortcut, in_channels: int, out_channels: int, stride: int) -> bool:
    """Does this shortcut have weights of its own here?"""
    return kind in ("C", "conv1x1") or (kind in ("B", "D") and (in_channels != out_channels or stride != 1))


def join(
    branch: Node,
    kind: Shortcut,
    in_channels: int,
    out_channels: int,
    stride: int,
    *,
    bn: bool = True,
    gate_bias: int = GATE_BIAS,
) -> Node:
    """The branch and its shortcut are joined as the table above says. ``bn``: a projection is normalised."""
    if gate_bias != GATE_BIAS and not kind.endswith("-gate"):
        raise ArchitectureError(f"gate_bias belongs to exclusive-gate and shortcut-gate; the shortcut is {kind}")
    if kind == "none":
        return branch
    if projects(kind, in_channels, out_channels, stride):
        made = averaged_projection if kind == "D" else projection
        return Add(branch, downsample=made(in_channels, out_channels, stride, bn=bn))
    h = padding(in_channels, out_channels, stride)
    opens = partial(gate, in_channels, out_channels, stride, gate_bias)
    match kind:
        case "scaling":
            return Add(Seq(branch, branch_scale=Scale(0.5)), shortcut=Seq(pad=h, scale=Scale(0.5)))
        case "exclusive-gate":
            return Highway(gate=opens(), branch=branch, shortcut=h)
        case "shortcut-gate":
            return Add(branch, shortcut=Mul(pad=h, gate=Seq(opens(), one_minus=Scale(-1, 1))))
        case "dropout":
            return Add(branch, shortcut=Seq(pad=h, dropout=Dropout(0.5)))
        case _:
            return Add(branch, Identity()) if h == Identity() else Add(branch, downsample=h)
