"""A style says how a network writes its convolutions, so that a block need not be told each time.

>>> from resbench.arch.activations import Hardswish
>>> mobile = ConvStyle(Hardswish(), eps=0.001, momentum=0.01)
>>> mobile.conv(16, 64), mobile.linear(64, 24)  # doctest: +NORMALIZE_WHITESPACE
(stack(Conv2d(16, 64, 1, bias=False), BatchNorm2d(64, eps=0.001, momentum=0.01), Hardswish()),
 stack(Conv2d(64, 24, 1, bias=False), BatchNorm2d(24, eps=0.001, momentum=0.01)))
"""

from typing import NamedTuple

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Layer, Seq, shared, stack
from resbench.arch.layers import BatchNorm2d, Conv2d


def rounded(channels: float, divisor: int = 8) -> int:
    """Round a width to the nearest multiple, or to the next where that is more than a tenth below.

    Source: the code of Howard et al. 2017.
    """
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest if nearest >= 0.9 * channels else nearest + divisor


class ConvStyle(NamedTuple):
    """Convolutions have no bias, are padded by half their kernel, and are followed by a BN and this activation."""

    activation: Layer = ReLU()
    eps: float = 1e-5
    momentum: float = 0.1

    def norm(self, channels: int) -> BatchNorm2d:
        """BN with the network's epsilon and momentum."""
        return BatchNorm2d(channels, self.eps, self.momentum)

    def conv(self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> Seq:
        """conv - BN - activation, numbered as torchvision's ``Conv2dNormActivation``."""
        return _conv(self, in_channels, out_channels, kernel, stride, groups)

    def depthwise(self, channels: int, kernel: int = 3, stride: int = 1) -> Seq:
        """Each channel by itself, BN, activation (Howard et al. 2017, figure 2b)."""
        return self.conv(channels, channels, kernel, stride, channels)

    def linear(self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> Seq:
        """conv - BN, without an activation: a linear bottleneck (Sandler et al. 2018, sec. 3.2)."""
        convolution, norm, _ = self.conv(in_channels, out_channels, kernel, stride, groups)
        return stack(convolution, norm)


@shared
def _conv(style: ConvStyle, in_channels: int, out_channels: int, kernel: int, stride: int, groups: int) -> Seq:
    convolution = Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups, bias=False)
    return stack(convolution, style.norm(out_channels), style.activation)
