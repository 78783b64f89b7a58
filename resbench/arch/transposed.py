"""A transposed convolution makes maps larger: it is the gradient of a convolution by its input.

>>> ConvTranspose2d(64, 32, 4, 2, 1).output((1, 64, 28, 28))
(1, 32, 56, 56)
"""

from dataclasses import dataclass
from math import prod

from resbench.arch.algebra import Layer, Shape
from resbench.arch.fields import Flag, Padding, Sides, Whole, check_fields, refuse
from resbench.arch.layers import check_maps, stride_brief
from resbench.errors import ShapeError
from resbench.units import shape_text


@dataclass(frozen=True, slots=True, repr=False)
class ConvTranspose2d(Layer):
    """Each input spreads W x over a window. Parameters: in (out / groups) kh kw (+ out). MACs: weights at each input.

    Sides become (H - 1) s - 2p + d(k - 1) + output_padding + 1 (Dumoulin & Visin 2016, relationship 14).
    """

    kind = "convolution"

    in_channels: Whole
    out_channels: Whole
    kernel: Sides
    stride: Sides = 1
    padding: Padding = 0
    output_padding: Padding = 0
    groups: Whole = 1
    bias: Flag = True
    dilation: Sides = 1

    def __post_init__(self) -> None:
        check_fields(self)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            wanted = f"a divisor of both {self.in_channels} and {self.out_channels} channels"
            refuse(self, "groups", wanted, self.groups)
        steps = zip(self.output_padding, self.stride, self.dilation, strict=True)  # type: ignore[arg-type]
        if any(more >= max(stride, dilation) for more, stride, dilation in steps):
            refuse(self, "output_padding", "below the stride or the dilation", self.output_padding)

    @property
    def params(self) -> int:
        return self.out_channels * (self.in_channels // self.groups * prod(self.kernel) + self.bias)  # type: ignore[arg-type]

    def output(self, shape: Shape) -> Shape:
        check_maps(self, shape, self.in_channels)
        sides = [size + grown for size, grown in zip(self._strided(shape[2:]), self._grown, strict=True)]
        if min(sides) < 1:
            raise ShapeError(f"{self.brief} needs a larger input than {shape_text(shape)}: its padding takes all")
        return (shape[0], self.out_channels, *sides)

    def macs(self, output: Shape) -> int:
        places = [
            (side - grown) // stride + 1
            for side, grown, stride in zip(output[2:], self._grown, self.stride, strict=True)  # type: ignore[arg-type]
        ]
        return output[0] * prod(places) * self.in_channels * self.out_channels // self.groups * prod(self.kernel)  # type: ignore[arg-type]

    def elementwise(self, shape: Shape, output: Shape) -> int:
        return prod(output) if self.bias else 0

    def _strided(self, sides: Shape) -> list[int]:
        """The first and the last window stand so far apart."""
        return [(size - 1) * stride for size, stride in zip(sides, self.stride, strict=True)]  # type: ignore[arg-type]

    @property
    def _grown(self) -> list[int]:
        """One input alone becomes so wide."""
        fields = zip(self.kernel, self.padding, self.output_padding, self.dilation, strict=True)  # type: ignore[arg-type]
        return [d * (k - 1) + 1 - 2 * p + more for k, p, more, d in fields]

    @property
    def brief(self) -> str:
        groups = f" g{self.groups}" if self.groups > 1 else ""
        height, width = self.kernel  # type: ignore[misc]
        return f"up {height}x{width}{stride_brief(self.stride)}, {self.out_channels}{groups}"  # type: ignore[arg-type]
