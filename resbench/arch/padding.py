"""Zeros stand around a map, as TensorFlow's ``SAME`` puts them: its windows then give ceil(side / stride) positions.

>>> SamePad(3, 2).output((1, 32, 112, 112)), SamePad(3, 2).output((1, 32, 113, 113))
((1, 32, 113, 113), (1, 32, 115, 115))
"""

from dataclasses import dataclass, replace
from typing import Literal

from resbench.arch.algebra import Layer, Node, Shape
from resbench.arch.fields import Pair, Sides
from resbench.arch.layers import Conv2d, check_maps, sides_brief, stride_brief
from resbench.arch.windows import Span, Window, plain

Padded = Literal["symmetric", "same"]
"""A network's strided windows are padded by as much in front as behind, or as TensorFlow's ``SAME`` does."""


def same_padding(side: int, kernel: int, stride: int) -> Pair:
    """Give the zeros in front of a side and behind it: (ceil(side / stride) - 1) stride + kernel - side in all, the odd
    one behind.

    >>> same_padding(112, 3, 2), same_padding(113, 3, 2), same_padding(224, 7, 2)
    ((0, 1), (1, 1), (2, 3))
    """
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


@dataclass(frozen=True, slots=True, repr=False)
class SamePad(Layer):
    """x with zeros around it, so many as a kernel of these sides and strides takes behind it: it is no work.

    Source: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2.
    """

    kind = "rearrangement"

    kernel: Sides
    stride: Sides

    def output(self, shape: Shape) -> Shape:
        sides = zip(check_maps(self, shape)[2:], self._padding(shape), strict=True)
        return (*shape[:2], *(front + side + behind for side, (front, behind) in sides))

    def window(self, shape: Shape) -> Window:
        return plain(Span(1, -front, -front) for front, _ in self._padding(shape))

    def _padding(self, shape: Shape) -> list[Pair]:
        return [same_padding(*axis) for axis in zip(shape[2:], self.kernel, self.stride, strict=True)]  # type: ignore[arg-type]

    @property
    def brief(self) -> str:
        return f"pad for {sides_brief(self.kernel)}{stride_brief(self.stride)}"  # type: ignore[arg-type]


def padded(name: str, conv: Conv2d, padding: Padded) -> dict[str, Node]:
    """The convolution of that name, and in front of it ``SAME``'s zeros where these are not half the kernel."""
    if padding == "symmetric" or conv.stride == (1, 1):
        return {name: conv}
    return {f"{name}_pad": SamePad(conv.kernel, conv.stride), name: replace(conv, padding=0)}
