"""These layers select, permute, pad or scale whole channels.

>>> from resbench.arch.algebra import Concat, Seq
>>> halves = Concat(first=ChannelSlice(0, 58), second=ChannelSlice(58, 116))
>>> Seq(halves, shuffle=ChannelShuffle(2))
Seq(Concat(first=ChannelSlice(0, 58), second=ChannelSlice(58, 116)), shuffle=ChannelShuffle(2))
"""

from dataclasses import dataclass
from math import prod
from typing import Annotated

from resbench.arch.algebra import Layer, Shape
from resbench.arch.fields import MAX_SIZE, Number, Wanted, Whole, WholeOrNone, check_fields, refuse
from resbench.arch.layers import check_maps, stride_brief
from resbench.arch.windows import SELF, Span, Window, plain
from resbench.errors import ShapeError
from resbench.units import shape_text


@dataclass(frozen=True, slots=True, repr=False)
class ChannelSlice(Layer):
    """x[:, start:stop]: another look at some channels, so no work and no row."""

    kind = "rearrangement"
    silent = True

    start: WholeOrNone
    stop: Whole

    def __post_init__(self) -> None:
        check_fields(self)
        if self.start >= self.stop:
            refuse(self, "stop", f"from {self.start + 1} to {MAX_SIZE}", self.stop)

    def output(self, shape: Shape) -> Shape:
        if check_maps(self, shape)[1] < self.stop:
            raise ShapeError(f"{self.brief} expect at least {self.stop} channels, received {shape_text(shape)}")
        return (shape[0], self.stop - self.start, *shape[2:])

    def window(self, shape: Shape) -> Window:
        return SELF

    @property
    def brief(self) -> str:
        return f"channels {self.start}-{self.stop - 1}"


@dataclass(frozen=True, slots=True, repr=False)
class ChannelShuffle(Layer):
    """(N, g C, H, W) is seen as (N, g, C, H, W), and g and C change places (Zhang et al. 2018, figure 1c)."""

    kind = "rearrangement"

    groups: Annotated[Whole, Wanted("at least 2", lambda groups: groups >= 2)]

    def output(self, shape: Shape) -> Shape:
        if check_maps(self, shape)[1] % self.groups:
            raise ShapeError(f"{self.brief} expects a multiple of {self.groups} channels, received {shape_text(shape)}")
        return shape

    def window(self, shape: Shape) -> Window:
        return SELF

    @property
    def brief(self) -> str:
        return f"shuffle g{self.groups}"


@dataclass(frozen=True, slots=True, repr=False)
class LayerScale(Layer):
    """gamma x, one learned factor a channel that starts from ``init`` (Touvron et al. 2021, eq. 5)."""

    kind = "product"

    channels: Whole
    init: Number = 1e-6
    brief = "gamma"

    @property
    def params(self) -> int:
        return self.channels

    def output(self, shape: Shape) -> Shape:
        return check_maps(self, shape, self.channels)

    def window(self, shape: Shape) -> Window:
        return SELF

    def elementwise(self, shape: Shape, output: Shape) -> int:
        return prod(output)


@dataclass(frozen=True, slots=True, repr=False)
class SplitSoftmax(Layer):
    """exp(x_r) / (exp(x_1) + ... + exp(x_n)): the channels are n equal ``splits``, weighted against each other.

    3 operations an element. Source: Zhang et al. 2022, sec. 3.1.
    """

    kind = "activation"

    splits: Annotated[Whole, Wanted("at least 2", lambda splits: splits >= 2)]

    def output(self, shape: Shape) -> Shape:
        if check_maps(self, shape)[1] % self.splits:
            raise ShapeError(f"{self.brief} expects a multiple of {self.splits} channels, received {shape_text(shape)}")
        return shape

    def elementwise(self, shape: Shape, output: Shape) -> int:
        return 3 * prod(output)

    @property
    def brief(self) -> str:
        return f"softmax over {self.splits}"


@dataclass(frozen=True, slots=True, repr=False)
class PadChannels(Layer):
    """Option A takes every stride-th position; new channels are zeros (He et al. 2015, sec. 3.3). It is no work."""

    kind = "rearrangement"

    in_channels: Whole
    out_channels: Whole
    stride: Whole = 1

    def __post_init__(self) -> None:
        check_fields(self)
        if self.out_channels < self.in_channels:
            refuse(self, "out_channels", f"at least the {self.in_channels} channels that come in", self.out_channels)

    def output(self, shape: Shape) -> Shape:
        check_maps(self, shape, self.in_channels)
        return (shape[0], self.out_channels, *(-(-side // self.stride) for side in shape[2:]))

    def window(self, shape: Shape) -> Window:
        return plain((Span(self.stride), Span(self.stride)))

    @property
    def brief(self) -> str:
        return f"pad to {self.out_channels}{stride_brief((self.stride, self.stride))}"
