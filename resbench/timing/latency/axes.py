"""Latency by runtime has two axes: time, logarithmic, and runtimes, with room for the names of networks beside them.

Pixels that depend on the width of the page are expressions, which the chart evaluates where it is drawn.
"""

import json
from collections.abc import Mapping, Sequence
from math import ceil, floor, log, log10
from textwrap import wrap
from typing import Any

from resbench.drawing.charts import LETTER, LINE
from resbench.units import scale

HEIGHT = 340
"""A panel is so high, or higher where the names need it."""

NAME = 18
"""A name is broken into lines of so many characters, which leaves room for the lines on a phone."""

INSET, GAP = 34, 24
"""The first runtime stands so many pixels from the left, and names from the last one."""

DODGE, SPREAD = 5.0, 0.3
"""Intervals of a runtime stand so many pixels apart, and together take this share of the way to the next at most."""

PHONE = 142
"""There the lines are so wide: names of runtimes that would meet stand in rows below each other."""

BEYOND, MARGIN = 3.0, 1.08
"""The axis reaches the one factor beyond the times at most, where intervals are cut; the other is its margin."""

MOST_TICKS = 10


class Axes:
    """These are the axes of a panel: the unit and the range of time, and the room that names take beside the lines."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], names: Sequence[str], runtimes: Sequence[str]) -> None:
        import altair as alt

        medians = [row["median_s"] for row in rows if row["median_s"]]
        ends = [row[key] or 0.0 for row in rows for key in ("low_s", "high_s") if row[key] is not None]
        reach = min(medians) / BEYOND, max(medians) * BEYOND
        self.cut = any(not reach[0] <= end <= reach[1] for end in ends)
        drawn = [*medians, *(min(max(end, reach[0]), reach[1]) for end in ends)]
        self.divisor, self.unit = scale(medians, "seconds")
        self.domain = min(drawn) / MARGIN, max(drawn) * MARGIN
        self.names, self.runtimes = names, runtimes
        self.labels = {name: broken(name) for name in names}
        self.height = max(HEIGHT, sum(LINE * len(lines) + 2 for lines in self.labels.values()))
        self.room = round(GAP + 8 + LETTER * max(len(line) for lines in self.labels.values() for line in lines))
        self.step = f"((width - {self.room + INSET}) / {len(runtimes) - 1})"
        self.x_scale = alt.Scale(
            type="point", padding=0, domain=[*runtimes], range=[INSET, alt.ExprRef(f"width - {self.room}")]
        )
        self.x_axis = alt.Axis(
            labelAngle=0, labelExpr=f"{json.dumps(rowed(runtimes))}[datum.value]", labelOverlap=False, grid=True
        )
        low, high = (end / self.divisor for end in self.domain)
        self.y_scale = alt.Scale(type="log", domain=[low, high], nice=False)
        self.y_axis = alt.Axis(values=ticks(low, high), format="~r", grid=True)

    def x(self, field: str) -> Any:
        import altair as alt

        return alt.X(f"{field}:N", title=None, sort=None, scale=self.x_scale, axis=self.x_axis)

    def y(self, field: str) -> Any:
        import altair as alt

        return alt.Y(f"{field}:Q", title=f"latency ({self.unit})", scale=self.y_scale, axis=self.y_axis)

    def drawn(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row in the unit of the axis; an interval ends at the frame."""
        ends = {key: row[f"{key}_s"] for key in ("median", "low", "high")}
        low, high = self.domain
        held = {key: None if end is None else min(max(end, low), high) / self.divisor for key, end in ends.items()}
        return {**{key: row[key] for key in ("network", "runtime", "sure", "changes places with")}, **held}

    def offset(self, name: str) -> float:
        """Return how many places beside the middle of a runtime a network's marks stand."""
        return self.names.index(name) - (len(self.names) - 1) / 2

    def beside(self, places: float, more: str = "") -> Any:
        """Return so many places in pixels, as an expression: together they take a part of the way between runtimes."""
        import altair as alt

        return alt.ExprRef(f"{places:.4f} * min({DODGE}, min({GAP}, {SPREAD} * {self.step}) / {len(self.names)}){more}")

    def pixel(self, seconds: float) -> float:
        """Return how far below the upper edge a time stands."""
        low, high = self.domain
        return self.height * log(high / seconds) / log(high / low)


def rowed(runtimes: Sequence[str]) -> dict[str, list[str]]:
    """Put names below each other, by empty lines before them, in as few rows as keep them apart on a phone.

    >>> rowed(["eager", "openvino"])
    {'eager': ['eager'], 'openvino': ['openvino']}
    >>> rowed(["eager", "compile", "onnxruntime", "openvino"])["openvino"]
    ['', 'openvino']
    """
    step = PHONE / (len(runtimes) - 1)

    def meet(rows: int) -> bool:
        """Do two neighbours of one row?"""
        return any(LETTER * len(a + b) / 2 > rows * step for a, b in zip(runtimes, runtimes[rows:], strict=False))

    rows = next(rows for rows in range(1, len(runtimes) + 1) if not meet(rows))
    return {name: [""] * (i % rows) + [name] for i, name in enumerate(runtimes)}


def ticks(low: float, high: float) -> list[float]:
    """Choose round numbers for a logarithmic axis, as many as can be read, also where the axis is short.

    >>> ticks(0.3, 60), ticks(1.12, 1.47), ticks(0.01, 2000)
    ([0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0], [1.2, 1.3, 1.4], [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0])
    """
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    found: list[float] = []
    for steps in (range(100, 1000), range(10, 100), range(1, 10), (1, 2, 5), (1,)):
        found = [float(f"{step}e{power + 1 - len(str(steps[0]))}") for power in powers for step in steps]
        found = [one for one in found if low <= one <= high]
        if len(found) <= MOST_TICKS:
            break
    return found


def broken(name: str) -> list[str]:
    """Break a name into lines, behind its punctuation where there is some.

    >>> broken("resnet56,shortcut=B,order=full-preact")
    ['resnet56,', 'shortcut=B,', 'order=full-preact']
    """
    spaced = "".join(f"{letter} " if letter in ",:/" else letter for letter in name)
    return [line.replace(" ", "") for line in wrap(spaced, NAME, break_on_hyphens=False)]


def apart(wanted: Sequence[float], heights: Sequence[float], height: float) -> list[float]:
    """Place the middles of labels, in their order, as near to where they are wanted as none covers another.

    >>> apart([100.0, 102.0, 300.0], [15, 15, 15], 340)
    [93.5, 108.5, 300.0]
    """
    blocks: list[tuple[list[int], float]] = []  # labels that touch, and their upper edge
    for i, middle in enumerate(wanted):
        block, top = [i], middle - heights[i] / 2
        while True:
            whole = sum(heights[k] for k in block)
            top = max(0.0, min(top, height - whole))
            if not blocks or blocks[-1][1] + sum(heights[k] for k in blocks[-1][0]) <= top:
                break
            block = [*blocks.pop()[0], *block]
            top = sum(wanted[k] - sum(heights[j] for j in block[:n]) - heights[k] / 2 for n, k in enumerate(block))
            top /= len(block)
        blocks.append((block, top))
    return [
        top + sum(heights[j] for j in block[:n]) + heights[k] / 2 for block, top in blocks for n, k in enumerate(block)
    ]
