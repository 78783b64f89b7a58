"""Where a pooling rounds sizes up, a window that would begin behind the map is none: so torch and the runtimes run it.

    side = ceil((H + before + after - reach) / stride) + 1, one less where (side - 1) stride >= H + before

onnx's inference leaves it out from opset 22 on. While shapes are inferred such a pooling stands in the graph as one
that rounds down, padded so that it has as many windows.
"""

from collections.abc import Sequence
from typing import Any

import onnx

POOLINGS = frozenset(("MaxPool", "AveragePool", "LpPool"))


def rounds_up(node: Any) -> bool:
    """Tell whether a node is a pooling that rounds sizes up, and says its padding itself."""
    said = {one.name: one for one in node.attribute} if node.op_type in POOLINGS else {}
    up = "ceil_mode" in said and said["ceil_mode"].i == 1
    return up and ("auto_pad" not in said or said["auto_pad"].s in (b"NOTSET", b""))


def round_down(node: Any, sides: Sequence[int]) -> tuple[int, ...]:
    """Change a pooling that rounds up, and reads a map of these sides; return the sides of what it gives."""
    said = {one.name: list(one.ints) for one in node.attribute if one.ints}
    ones, zeros = [1] * len(sides), [0] * len(sides)
    pads = said.get("pads", [*zeros, *zeros])
    before, after, gives = pads[: len(sides)], list[int](), list[int]()
    for side, kernel, stride, dilation, front, behind in zip(
        sides,
        said["kernel_shape"],
        said.get("strides", ones),
        said.get("dilations", ones),
        before,
        pads[len(sides) :],
        strict=True,
    ):
        reach = dilation * (kernel - 1) + 1
        steps = -(-(side + front + behind - reach) // stride)
        if steps * stride >= side + front:
            steps -= 1
        after.append(max(0, steps * stride + reach - side - front))
        gives.append(steps + 1)
    kept = [one for one in node.attribute if one.name not in ("ceil_mode", "pads")]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute("pads", [*before, *after])])
    return tuple(gives)
