"""These charts show planes from above, with lines of equal loss, and the lines between trainings."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from textwrap import wrap
from typing import Any

import altair as alt
import numpy as np

from resbench.drawing.charts import WIDTH, Picture, data, log_or_linear
from resbench.landscapes.grid import height
from resbench.landscapes.levels import Line, levels
from resbench.landscapes.levels import lines as level_lines
from resbench.landscapes.result import Landscapes, Surface

SIDE = 280
LETTERS = 110
"""A line below a title is so long."""

ACROSS = 2
"""So many planes stand side by side."""

WIDE, LOW, EDGE = 0.3, 0.1, 0.9
"""The labels of lines are so wide and high, and stand so near the edge, in shares of the span."""

NOT_FINITE = "#d55e00"


def contours(found: Landscapes) -> Picture:
    """Draw each plane from above: log10 of the loss by colour, and lines of equal loss, which say how much it is; what
    is not finite has a colour of its own."""
    rows = [row for one in found.surfaces for row in _rows(found, one)]
    charts = [_above(found, one) for one in found.surfaces]
    wild = any(row["log10_loss"] is None for row in rows)
    title = "log10 of the loss over the plane" + ("; orange: not finite" if wild else "")
    said = [found.way.line]
    said += [
        f"Interrupted: {one.evaluated:,} points of {found.label(one)} are evaluated."
        for one in found.surfaces
        if one.interrupted
    ]
    heading = alt.TitleParams(title, subtitle=[line for text in said for line in wrap(text, LETTERS)])
    chart = alt.concat(*charts, columns=ACROSS).resolve_scale(color="shared").properties(title=heading)
    ways = [
        {"network": found.label(one), "step": i, "first": a, "second": b}
        for one in found.surfaces
        for i, (a, b) in enumerate(one.path)
    ]
    return Picture("loss over the plane", chart, [*rows, *ways])


def _rows(found: Landscapes, one: Surface) -> list[dict[str, Any]]:
    axis = found.axis
    return [
        {
            "network": found.label(one),
            "first": axis[i],
            "second": axis[j],
            "loss": one.loss[j][i] if isfinite(one.loss[j][i]) else str(one.loss[j][i]),
            "log10_loss": float(height(one.loss[j][i])) if isfinite(one.loss[j][i]) else None,
            "error": one.error[j][i] if isfinite(one.error[j][i]) else None,
            "evaluated": one.exact[j][i],
        }
        for j in range(len(axis))
        for i in range(len(axis))
    ]


def domain(found: Landscapes) -> tuple[float, float]:
    """Return the lowest and the highest log10 of a loss that is finite."""
    values = np.concatenate([one.plane[np.isfinite(one.plane)] for one in found.surfaces])
    low, high = (float(height(values.min())), float(height(values.max()))) if len(values) else (0.0, 1.0)
    return low, max(high, low + 1e-6)


def colour(found: Landscapes, field: str) -> alt.Color:
    scale = alt.Scale(scheme="viridis", domain=[*domain(found)])
    return alt.Color(f"{field}:Q", title="log10 loss", scale=scale)


def tiles(rows: Sequence[Mapping[str, Any]], span: float, points: int, tooltip: Sequence[Any]) -> tuple[Any, alt.Scale]:
    """Return a chart whose marks are squares around the points of a plane, and the scale of both of its axes."""
    half = span / (points - 1)
    squares = [
        {**row, "left": row["first"] - half, "right": row["first"] + half}
        | {"bottom": row["second"] - half, "top": row["second"] + half}
        for row in rows
    ]
    ticks = alt.Axis(grid=False, tickCount=5)
    scale = alt.Scale(domain=[-span - half, span + half], nice=False)
    base = alt.Chart(data(squares)).encode(
        x=alt.X("left:Q", title="first direction", axis=ticks, scale=scale),
        x2="right:Q",
        y=alt.Y("bottom:Q", title="second direction", axis=ticks, scale=scale),
        y2="top:Q",
        tooltip=[*tooltip],
    )
    return base, scale


def _above(found: Landscapes, one: Surface) -> Any:
    shown = ("first:Q", "second:Q", "loss:N", alt.Tooltip("error:Q", format=".1%"), "evaluated:N")
    base, scale = tiles(_rows(found, one), found.way.span, found.way.points, shown)
    known = base.transform_filter("isValid(datum.log10_loss)").mark_rect()
    wild = base.transform_filter("!isValid(datum.log10_loss)").mark_rect(color=NOT_FINITE)
    layers = [wild, known.encode(color=colour(found, "log10_loss")), *_level_layers(found, one, scale)]
    if one.path:
        steps = [{"step": i, "a": a, "b": b} for i, (a, b) in enumerate(one.path)]
        way = alt.Chart(data(steps)).encode(
            x=alt.X("a:Q", scale=scale), y=alt.Y("b:Q", scale=scale), order="step:Q", tooltip=["step:Q"]
        )
        layers.append(way.mark_line(color="white", strokeWidth=1.5, point={"color": "white", "size": 14}))
    title = found.label(one) + (f": {_shares(one)} of the variance" if one.explained else "")
    return alt.layer(*layers).properties(title=title, width=SIDE, height=SIDE)


def _level_layers(found: Landscapes, one: Surface, scale: alt.Scale) -> list[Any]:
    """Draw lines of equal loss, light on dark so that they are seen on every colour, each with its loss."""
    low, high = domain(found)
    each = level_lines(found.axis, one.plane, levels(10**low, 10**high))
    if not each:
        return []
    places = [
        {"line": i, "step": j, "a": a, "b": b, "loss": f"{line.loss:g}"}
        for i, line in enumerate(each)
        for j, (a, b) in enumerate(line.points)
    ]
    x, y = alt.X("a:Q", scale=scale), alt.Y("b:Q", scale=scale)
    drawn = alt.Chart(data(places)).encode(x=x, y=y, detail="line:N", order="step:Q", tooltip=["loss:N"])
    labels = [{"a": a, "b": b, "loss": f"{loss:g}"} for a, b, loss in _labels(each, found.way.span)]
    words = alt.Chart(data(labels)).encode(x=x, y=y, text="loss:N")
    return [
        drawn.mark_line(color="black", strokeWidth=1.8, opacity=0.35),
        drawn.mark_line(color="white", strokeWidth=0.7, opacity=0.9),
        words.mark_text(fontSize=9, stroke="black", strokeWidth=2.5, strokeOpacity=0.55),
        words.mark_text(fontSize=9, color="white"),
    ]


def _labels(each: Sequence[Line], span: float) -> Iterator[tuple[float, float, float]]:
    """Yield places and losses, of the longest lines first: where there is room, high up and near the middle."""
    taken: list[tuple[float, float]] = []
    for line in sorted(each, key=lambda line: -len(line.points)):
        inner = [point for point in line.points if max(map(abs, point)) < EDGE * span]
        free = [p for p in inner if all(abs(p[0] - a) > WIDE * span or abs(p[1] - b) > LOW * span for a, b in taken)]
        if free:
            taken.append(max(free, key=lambda point: point[1] - abs(point[0]) / 5))
            yield *taken[-1], line.loss


def _shares(one: Surface) -> str:
    return " and ".join(f"{share:.0%}" for share in one.explained or ())


def lines(found: Landscapes) -> Picture:
    """Draw the loss on the way from one training to the next, dashed where units are in one order."""
    rows = [
        {
            "network": one.model,
            "way": f"{one.model}, {one.seeds[0]} to {one.seeds[1]}, {units}",
            "units": units,
            "share": i / (len(losses) - 1),
            "loss": value,
        }
        for one in found.lines
        for units, losses in (("as trained", one.loss), ("matched", one.matched))
        for i, value in enumerate(losses)
        if isfinite(value)
    ]
    scale = alt.Scale(**log_or_linear([row["loss"] for row in rows]) | {"zero": False})  # type: ignore[misc]
    base = alt.Chart(data(rows)).encode(
        x=alt.X("share:Q", title="from one training to the next"),
        y=alt.Y("loss:Q", title="loss", scale=scale),
        color=alt.Color("network:N", title=None, sort=None),
        detail="way:N",
        tooltip=["way:N", "share:Q", "loss:Q"],
    )
    line = base.mark_line().encode(strokeDash=alt.StrokeDash("units:N", title="units", sort=None))
    chart = alt.layer(line, base.mark_circle(size=14, opacity=1))
    return Picture("between trainings", chart.properties(title="loss between trainings", width=WIDTH, height=260), rows)
