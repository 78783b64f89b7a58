"""These pictures show a population: distributions with their bands, the front, and the target by each cheap figure."""

from collections.abc import Sequence

import altair as alt

from resbench.drawing.charts import COLOURS, WIDTH, Picture, data, log_or_linear
from resbench.sweeps.readings.result import Distribution, Readings

PANELS = 6
"""The target stands beside so many figures, those that foretell it best."""


def pictures(found: Readings) -> list[Picture]:
    """Return the target by the figures that foretell it, linked, and the distribution of each figure."""
    own = [one for one in found.distributions if one.figure == found.target]
    rest = [one for one in found.distributions if one.figure != found.target]
    linked = [_linked(found)] if found.foretold and found.points else []
    return [*linked, *(_picture(one) for one in (*own, *rest))]


def _linked(found: Readings) -> Picture:
    """Draw networks as points, the target by each of some figures.

    Who draws a frame in one panel sees the same networks in the others, and of several frames those that lie in all.
    """
    ranked = sorted(found.foretold, key=lambda one: -abs(one.spearman.value))
    figures = [one.figure for one in ranked[:PANELS]]
    names = ["network", "model", found.target, *figures]
    columns = (found.drawn_names, found.drawn_lines, *(found.points[name] for name in names[2:]))
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    known = len(_known(found, found.target))
    brush = alt.TopLevelSelectionParameter(
        name="brush",
        select=alt.IntervalSelectionConfig(type="interval", resolve="intersect"),
        views=[f"by {figure}" for figure in figures],
    )
    # a name with a colon or dots is no path of fields, and no type
    base = alt.Chart(data([{f"v{i}": value for i, value in enumerate(row.values())} for row in rows]))
    values = _known(found, found.target)
    y = alt.Y("v2:Q", title=found.target, scale=alt.Scale(**log_or_linear(values)), axis=_axis(values))
    panels = []
    for i, figure in enumerate(figures, 3):
        values = _known(found, figure)
        x = alt.X(f"v{i}:Q", title=figure, scale=alt.Scale(**log_or_linear(values)), axis=_axis(values))
        tips = [alt.Tooltip("v0:N", title="network"), *(alt.Tooltip(f"v{n}:Q", title=names[n]) for n in (2, i))]
        inside = {"param": "brush", "field": "v1", "type": "nominal", "title": None}
        colour = alt.value("#d0d0d0", condition=inside)
        panel = base.mark_point(filled=True, size=22, opacity=0.7, cursor="pointer").encode(
            x=x, y=y, color=colour, tooltip=tips
        )
        panels.append(panel.properties(name=f"by {figure}", width=210, height=170))
    title = f"{found.target} by what foretells it best, of {known:,} networks"
    chart = alt.concat(*panels, columns=3).properties(title=title)
    chart.params = [brush]
    return Picture(f"{found.target} by figure", chart, rows, network="v0")


def _axis(values: Sequence[float]) -> alt.Axis:
    """Write numbers from a thousand on with k, M and G; smaller ones as they are."""
    large = max(map(abs, values), default=0) >= 1000
    return alt.Axis(format="~s" if large else "~g", labelOverlap=True, tickCount=6)


def _known(found: Readings, name: str) -> list[float]:
    return [value for value in found.points[name] if value is not None]


def _picture(one: Distribution) -> Picture:
    rows = [
        {"figure": one.figure, "value": at, "share": share, "low": low, "high": high}
        for at, share, low, high in zip(*one[2:], strict=True)
    ]
    base = alt.Chart(data(rows)).encode(
        x=alt.X("value:Q", title=one.figure, scale=alt.Scale(**log_or_linear(one.at)), axis=_axis(one.at))
    )
    band = base.mark_area(opacity=0.2, interpolate="step-after", color=COLOURS[0]).encode(
        y=alt.Y("low:Q", title="share of the networks", axis=alt.Axis(format="%")), y2="high:Q"
    )
    line = base.mark_line(interpolate="step-after", color=COLOURS[0]).encode(
        y=alt.Y("share:Q", title="share of the networks"), tooltip=["value:Q", alt.Tooltip("share:Q", format=".1%")]
    )
    title = f"{one.figure} of {one.networks:,} networks, with the 95 % band"
    return Picture(one.figure, (band + line).properties(title=title, width=WIDTH, height=260), rows)
