"""Each layer states its shape, parameters, MACs and elementwise work, once.

Signatures and output shapes are those of the layers of the same name in ``torch.nn``.

>>> conv = Conv2d(192, 32, 5, padding=2, bias=False)
>>> conv.output((1, 192, 28, 28)), conv.macs((1, 32, 28, 28))
((1, 32, 28, 28), 120422400)
"""

from dataclasses import dataclass
from math import prod
from typing import Annotated, ClassVar

from resbench.arch.algebra import Layer, Shape
from resbench.arch.fields import (
    Epsilon,
    Flag,
    Number,
    Padding,
    Pair,
    Sides,
    Wanted,
    Whole,
    check_fields,
    refuse,
)
from resbench.arch.kinds import Kind
from resbench.arch.windows import SELF, Window, sliding, whole
from resbench.errors import ShapeError
from resbench.units import FP32_BYTES, shape_text


def sides_brief(pair: Pair) -> str:
    return f"{pair[0]}x{pair[1]}"


def stride_brief(pair: Pair) -> str:
    return "" if pair == (1, 1) else f"/{pair[0]}" if pair[0] == pair[1] else f"/{sides_brief(pair)}"


def check_maps(layer: Layer, shape: Shape, channels: int | None = None) -> Shape:
    """The input is (N, C, H, W), with that many channels if the layer cares. Raises ShapeError."""
    if len(shape) != 4:
        raise ShapeError(f"{layer.brief} expects CxHxW maps, received {shape_text(shape)}")
    if channels is not None and shape[1] != channels:
        raise ShapeError(f"{layer.brief} expects {channels} channels, received {shape_text(shape)}")
    return shape


def windows(
    layer: Layer,
    shape: Shape,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair = (1, 1),
    *,
    ceil: bool = False,
) -> Pair:
    """A sliding window has so many positions: floor((size + 2p - d(k - 1) - 1) / s) + 1, or ceil for pooling."""
    sides = []
    for size, k, s, p, d in zip(shape[2:], kernel, stride, padding, dilation, strict=True):
        room = size + 2 * p - d * (k - 1) - 1
        side = -(-room // s) + 1 if ceil else room // s + 1
        if ceil and (side - 1) * s >= size + p:  # as torch: the last window must start inside
            side -= 1
        if side < 1:
            raise ShapeError(
                f"{layer.brief} needs a larger input than {shape_text(shape)}: its window spans {d * (k - 1) + 1}"
            )
        sides.append(side)
    return sides[0], sides[1]


@dataclass(frozen=True, slots=True, repr=False)
class Conv2d(Layer):
    """y = W * x + b. Parameters: out (in / groups) kh kw (+ out). MACs: those weights at each output position.

    ``bias_init`` is the value that a bias starts from; it costs nothing (He et al. 2016 start gates at -6).
    """

    kind = "convolution"

    in_channels: Whole
    out_channels: Whole
    kernel: Sides
    stride: Sides = 1
    padding: Padding = 0
    groups: Whole = 1
    dilation: Sides = 1
    bias: Flag = True
    bias_init: Number = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            wanted = f"a divisor of both {self.in_channels} and {self.out_channels} channels"
            refuse(self, "groups", wanted, self.groups)

    @property
    def params(self) -> int:
        return self.out_channels * (self.in_channels // self.groups * prod(self.kernel) + self.bias)  # type: ignore[arg-type]

    def output(self, shape: Shape) -> Shape:
        check_maps(self, shape, self.in_channels)
        sides = windows(self, shape, self.kernel, self.stride, self.padding, self.dilation)  # type: ignore[arg-type]
        return (shape[0], self.out_channels, *sides)

    def window(self, shape: Shape) -> Window:
        return sliding(self.kernel, self.stride, self.padding, self.dilation)  # type: ignore[arg-type]

    def macs(self, output: Shape) -> int:
        return prod(output) * (self.in_channels // self.groups) * prod(self.kernel)  # type: ignore[arg-type]

    def elementwise(self, shape: Shape, output: Shape) -> int:
        return prod(output) if self.bias else 0

    @property
    def brief(self) -> str:
        groups = f" g{self.groups}" if self.groups > 1 else ""
        return f"{sides_brief(self.kernel)}{stride_brief(self.stride)}, {self.out_channels}{groups}"  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, repr=False)
class Linear(Layer):
    """y = W x + b on the last dimension of (N, F). MACs: in x out per row."""

    kind = "linear"

    in_features: Whole
    out_features: Whole
    bias: Flag = True

    @property
    def params(self) -> int:
        return self.out_features * (self.in_features + self.bias)

    def output(self, shape: Shape) -> Shape:
        if shape[-1] != self.in_features or len(shape) != 2:
            raise ShapeError(f"{self.brief} expects {self.in_features} features, received {shape_text(shape)}")
        return (*shape[:-1], self.out_features)

    def window(self, shape: Shape) -> Window:
        return SELF  # features have no position

    def macs(self, output: Shape) -> int:
        return prod(output) * self.in_features

    def elementwise(self, shape: Shape, output: Shape) -> int:
        return prod(output) if self.bias else 0

    @property
    def brief(self) -> str:
        return f"fc {self.out_features}"


class Affine(Layer):
    """A normalisation ends in gamma x + beta: 2 parameters a channel."""

    __slots__ = ()
    kind: ClassVar[Kind] = "normalisation"
    channels: int

    @property
    def params(self) -> int:
        return 2 * self.channels

    def output(self, shape: Shape) -> Shape:
        return check_maps(self, shape, self.channels)

    def window(self, shape: Shape) -> Window:
        return SELF


@dataclass(frozen=True, slots=True, repr=False)
class BatchNorm2d(Affine):
    """gamma (x - mean) / sqrt(var + eps) + beta: 2 parameters a channel; at inference one scale and one shift.

    In training the running statistics move by ``momentum`` towards those of the batch.
    """

    by_whole_map = ("training",)

    channels: Whole
    eps: Epsilon = 1e-5
    momentum: Annotated[Number, Wanted("from 0 to 1", lambda momentum: 0 <= momentum <= 1)] = 0.1
    brief = "BN"

    @property
    def buffer_bytes(self) -> int:
        """It holds the running mean and variance in float32, and torch's 64-bit count of the batches seen."""
        return 2 * FP32_BYTES * self.channels + 8

    def elementwise(self, shape: Shape, output: Shape) -> int:
        return 2 * prod(output)

    def elementwise_in_training(self, shape: Shape, output: Shape) -> int:
        return self.elementwise(shape, output) + 1  # it counts the batches


@dataclass(frozen=True, slots=True, repr=False)
class Scale(Layer):
    """factor x + offset, not learned: constant scaling (He et al. 2016, figure 2b), or 1 - g as Scale(-1, 1)."""

    kind = "scaling"

    factor: Number
    offset: Number = 0.0

    def elementwise(self, shape: Shape, output: Shape) -> int:
        return prod(output) * (2 if self.offset else 1)

    @property
    def brief(self) -> str:
        return f"{self.factor:g}x{self.offset:+g}" if self.offset else f"{self.factor:g}x"


@dataclass(frozen=True, slots=True, repr=False)
class LocalResponseNorm(Layer):
    """x / (k + alpha/n sum of n neighbours' squares)^beta (Krizhevsky et al. 2012): n + 5 operations an element."""

    kind = "normalisation"

    size: Whole = 5
    alpha: Number = 1e-4
    beta: Number = 0.75
    k: Number = 1.0
    brief = "LRN"

    def output(self, shape: Shape) -> Shape:
        return check_maps(self, shape)

    def window(self, shape: Shape) -> Window:
        return SELF  # its neighbours are channels

    def elementwise(self, shape: Shape, output: Shape) -> int:
        return prod(output) * (self.size + 5)

    def kept_bytes(self, output: Shape) -> int:
        """What torch's operators make in between: the squares, with channels added at both ends, and two powers."""
        padded = output[1] + self.size - 1
        return FP32_BYTES * (2 * prod(output) + prod(output) // output[1] * padded)


@dataclass(frozen=True, slots=True, repr=False)
class Dropout(Layer):
    """It zeroes a fraction p in training and does nothing at inference.

    In training it takes 2 operations an element: a mask is scaled, and a product.
    """

    kind = "dropout"

    p: Annotated[float, Wanted("a fraction from 0 to below 1", lambda p: type(p) in (int, float) and 0 <= p < 1)] = 0.5

    def elementwise_in_training(self, shape: Shape, output: Shape) -> int:
        return 2 * prod(output) if self.p else 0

    def kept_bytes(self, output: Shape) -> int:
        """The mask."""
        return FP32_BYTES * prod(output) if self.p else 0

    @property
    def brief(self) -> str:
        return f"dropout {self.p:g}"


@dataclass(frozen=True, slots=True, repr=False)
class DropPath(Layer):
    """It zeroes all of an image's maps with probability p in training, and does nothing at inference.

    On a branch in front of a sum it is stochastic depth (Huang et al. 2016). In training a mask of one number an image
    is scaled and multiplied.
    """

    kind = "dropout"

    p: Annotated[float, Wanted("a fraction from 0 to below 1", lambda p: type(p) in (int, float) and 0 <= p < 1)] = 0.2

    def elementwise_in_training(self, shape: Shape, output: Shape) -> int:
        return prod(output) + output[0] if self.p else 0

    def kept_bytes(self, output: Shape) -> int:
        """The mask."""
        return FP32_BYTES * output[0] if self.p else 0

    @property
    def brief(self) -> str:
        return f"drop path {self.p:g}"


class Identity(Layer):
    """h(x) = x: no parameters, no work, no row."""

    __slots__ = ()
    kind = "rearrangement"
    silent = True
    brief = "x"

    def window(self, shape: Shape) -> Window:
        return SELF


class Flatten(Layer):
    """(N, C, H, W) becomes (N, C H W): a view, so no work and no row."""

    __slots__ = ()
    kind = "rearrangement"
    silent = True

    def output(self, shape: Shape) -> Shape:
        return (shape[0], prod(shape[1:]))

    def window(self, shape: Shape) -> Window:
        """An element of it may be of any position."""
        return whole(shape[2:])
