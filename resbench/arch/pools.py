"""Pools read windows of each map, or the whole of it; they learn nothing.

>>> MaxPool2d(3, 2, 1).output((1, 64, 112, 112)), GlobalAvgPool().output((1, 2048, 7, 7))
((1, 64, 56, 56), (1, 2048, 1, 1))
"""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from resbench.arch.algebra import Layer, Shape
from resbench.arch.fields import Flag, Padding, Sides, check_fields, refuse
from resbench.arch.kinds import Kind
from resbench.arch.layers import check_maps, sides_brief, stride_brief, windows
from resbench.arch.windows import Window, adaptive, sliding


@dataclass(frozen=True, slots=True, repr=False)
class Pool(Layer):
    """A pool reads windows; those at the edge read the padding too."""

    kind: ClassVar[Kind] = "pooling"

    kernel: Sides
    stride: Sides = 0
    padding: Padding = 0
    ceil_mode: Flag = False
    letter: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if type(self.stride) is int and self.stride == 0:  # as torch: the windows do not overlap
            object.__setattr__(self, "stride", self.kernel)
        check_fields(self)
        if any(2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)):  # type: ignore[arg-type]
            refuse(self, "padding", "at most half the kernel", self.padding)

    def output(self, shape: Shape) -> Shape:
        check_maps(self, shape)
        sides = windows(self, shape, self.kernel, self.stride, self.padding, ceil=self.ceil_mode)  # type: ignore[arg-type]
        return (*shape[:2], *sides)

    def window(self, shape: Shape) -> Window:
        return sliding(self.kernel, self.stride, self.padding)  # type: ignore[arg-type]

    def elementwise(self, shape: Shape, output: Shape) -> int:
        return prod(output) * prod(self.kernel)  # type: ignore[arg-type]

    @property
    def brief(self) -> str:
        return f"{self.letter} {sides_brief(self.kernel)}{stride_brief(self.stride)}"  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, repr=False)
class MaxPool2d(Pool):
    """It gives the largest of each window; kh kw operations an output."""

    kind = "max pooling"
    letter = "max"

    def kept_bytes(self, output: Shape) -> int:
        """Where each maximum was, as an integer of 8 bytes."""
        return 8 * prod(output)


@dataclass(frozen=True, slots=True, repr=False)
class AvgPool2d(Pool):
    """It gives the mean of each window; kh kw operations an output. ``count_include_pad``: of padding too."""

    letter = "avg"

    count_include_pad: Flag = True


@dataclass(frozen=True, slots=True, repr=False)
class AdaptiveAvgPool2d(Layer):
    """It gives size x size means over windows [floor(iH/size), ceil((i+1)H/size)); one operation an element read."""

    size: Sides

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        """To one pixel it is a plain mean, as which torch runs it."""
        return "reduction" if self.size == (1, 1) else "pooling"

    def output(self, shape: Shape) -> Shape:
        return (*check_maps(self, shape)[:2], *self.size)  # type: ignore[misc]

    def window(self, shape: Shape) -> Window | None:
        return adaptive(shape[2:], self.size)  # type: ignore[arg-type]

    def elementwise(self, shape: Shape, output: Shape) -> int:
        def reads(side: int, size: int) -> int:
            return sum(-(-(i + 1) * side // size) - i * side // size for i in range(size))

        (h, w), (rows, columns) = shape[2:], self.size  # type: ignore[misc]
        return prod(shape[:2]) * reads(h, rows) * reads(w, columns)

    @property
    def brief(self) -> str:
        return "global avg" if self.size == (1, 1) else f"avg to {sides_brief(self.size)}"  # type: ignore[arg-type]


def GlobalAvgPool() -> AdaptiveAvgPool2d:  # noqa: N802 - a layer by its usual name
    """(N, C, H, W) becomes (N, C, 1, 1): one mean a channel."""
    return AdaptiveAvgPool2d(1)
