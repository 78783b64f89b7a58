"""Lines of characters show a few curves in a terminal."""

from collections.abc import Sequence

import plotext

Line = tuple[str, Sequence[tuple[float, float]]]
"""A name and the points (x, y) of a curve."""


def sketch(
    lines: Sequence[Line],
    title: str,
    heights: tuple[float, float],
    width: int,
    colour: bool,
    ticks: Sequence[int] = (),
    below: str | None = None,
) -> str:
    """Return the curves of two points and more as text, between two ``heights``, with a text ``below`` the x axis.

    ``ticks`` are powers of ten: the heights are exponents then.
    """
    plotext.clear_figure()
    plotext.plot_size(min(max(width - 1, 40), 110), 16)
    plotext.theme("clear" if not colour else "pro")
    for (name, points), marker in zip(lines, "ox+*#@%&" * len(lines), strict=False):
        if len(points) > 1:
            plotext.plot(*zip(*points, strict=True), label=name, marker=marker)
    if ticks:
        plotext.yticks(ticks, [f"1e{tick:+d}" for tick in ticks])
    plotext.ylim(*heights)
    plotext.title(title)
    plotext.xlabel(below)
    text = str(plotext.build())
    return text if colour else str(plotext.uncolorize(text))
