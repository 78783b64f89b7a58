"""These charts show planes from above and from the side, with one scale of colours for all networks."""

from collections.abc import Mapping
from math import cos, isfinite, radians, sin
from textwrap import wrap
from typing import Any

import altair as alt
import numpy as np

from resbench.drawing.charts import WIDTH, Picture, data, log_or_linear
from resbench.landscapes.grid import height
from resbench.landscapes.result import Landscapes, Surface

SIDE = 280
LETTERS = 110
"""A line below a title is so long."""

ACROSS = 2
"""So many planes stand side by side."""

MOST = 33
"""A surface is drawn with so many points of a side at most."""

TURN, TILT = 35.0, 30.0
"""A surface is seen from so many degrees to the side and above."""

TALL = 0.9
"""The largest loss stands so high above the plane, whose side is 1."""

NOT_FINITE = "#d55e00"


def contours(found: Landscapes) -> Picture:
    """Draw each plane from above: log10 of the loss by colour; what is not finite has a colour of its own."""
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


def _domain(found: Landscapes) -> tuple[float, float]:
    """Return the lowest and the highest log10 of a loss that is finite."""
    values = np.concatenate([one.plane[np.isfinite(one.plane)] for one in found.surfaces])
    low, high = (float(height(values.min())), float(height(values.max()))) if len(values) else (0.0, 1.0)
    return low, max(high, low + 1e-6)


def _colour(found: Landscapes, field: str) -> alt.Color:
    scale = alt.Scale(scheme="viridis", domain=[*_domain(found)])
    return alt.Color(f"{field}:Q", title="log10 loss", scale=scale)


def _above(found: Landscapes, one: Surface) -> Any:
    half = found.way.span / (found.way.points - 1)
    rows = [
        {**row, "left": row["first"] - half, "right": row["first"] + half}
        | {"bottom": row["second"] - half, "top": row["second"] + half}
        for row in _rows(found, one)
    ]
    ticks = alt.Axis(grid=False, tickCount=5)
    scale = alt.Scale(domain=[-found.way.span - half, found.way.span + half], nice=False)
    base = alt.Chart(data(rows)).encode(
        x=alt.X("left:Q", title="first direction", axis=ticks, scale=scale),
        x2="right:Q",
        y=alt.Y("bottom:Q", title="second direction", axis=ticks, scale=scale),
        y2="top:Q",
        tooltip=["first:Q", "second:Q", "loss:N", alt.Tooltip("error:Q", format=".1%"), "evaluated:N"],
    )
    known = base.transform_filter("isValid(datum.log10_loss)").mark_rect()
    wild = base.transform_filter("!isValid(datum.log10_loss)").mark_rect(color=NOT_FINITE)
    layers = [wild, known.encode(color=_colour(found, "log10_loss"))]
    if one.path:
        steps = [{"step": i, "a": a, "b": b} for i, (a, b) in enumerate(one.path)]
        way = alt.Chart(data(steps)).encode(
            x=alt.X("a:Q", scale=scale), y=alt.Y("b:Q", scale=scale), order="step:Q", tooltip=["step:Q"]
        )
        layers.append(way.mark_line(color="white", strokeWidth=1.5, point={"color": "white", "size": 14}))
    title = found.label(one) + (f": {_shares(one)} of the variance" if one.explained else "")
    return alt.layer(*layers).properties(title=title, width=SIDE, height=SIDE)


def _shares(one: Surface) -> str:
    return " and ".join(f"{share:.0%}" for share in one.explained or ())


def surfaces(found: Landscapes) -> Picture:
    """Draw each plane from the side, as Li et al. 2018 do: the height is log10 of the loss, on one scale for all."""
    charts = [_beside(found, one) for one in found.surfaces]
    chart = alt.concat(*charts, columns=ACROSS).resolve_scale(color="shared")
    return Picture("loss as a surface", chart.properties(title="the same from the side"), [])


def _beside(found: Landscapes, one: Surface) -> Any:
    low, high = _domain(found)
    step = -(-(found.way.points - 1) // (MOST - 1))
    while (found.way.points - 1) % step:
        step += 1
    shown = one.plane[::step, ::step]
    n = len(shown)
    tall = TALL * (height(shown) - low) / (high - low)
    pieces = []
    for j in range(n - 1):
        for i in range(n - 1):
            corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
            heights = [float(tall[b, a]) for a, b in corners]
            places = [(a / (n - 1) - 0.5, b / (n - 1) - 0.5) for a, b in corners]
            if all(map(isfinite, heights)):
                mean = low + (high - low) * sum(heights) / 4 / TALL
                points = [_seen(x, y, z) for (x, y), z in zip(places, heights, strict=True)]
                far = max(_far(x, y) for x, y in places)
                pieces.append((far, _polygon(points, {"height": mean})))
    pieces.sort(key=lambda piece: -piece[0])
    floor = [_seen(x, y, 0.0) for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))]
    roof = [_seen(x, y, TALL) for x, y in ((-0.5, 0.5), (0.5, 0.5))]
    frame = alt.Chart(data([_polygon(floor, {}), _polygon([*floor[2:], *roof], {})]))
    cells = alt.Chart(data([piece for _, piece in pieces])).mark_geoshape(strokeWidth=0.2, stroke="#555")
    drawn = alt.layer(
        frame.mark_geoshape(filled=False, stroke="#bbb", strokeWidth=0.8),
        cells.encode(color=_colour(found, "properties.height")),
    )
    return drawn.project(type="identity", reflectY=True).properties(title=found.label(one), width=SIDE, height=SIDE)


def lines(found: Landscapes) -> Picture:
    """Draw the loss on the way from one training to the next."""
    rows = [
        {
            "network": one.model,
            "way": f"{one.model}, {one.seeds[0]} to {one.seeds[1]}",
            "share": i / (len(one.loss) - 1),
            "loss": value,
        }
        for one in found.lines
        for i, value in enumerate(one.loss)
        if isfinite(value)
    ]
    scale = alt.Scale(**log_or_linear([value for one in found.lines for value in one.loss if isfinite(value)]))
    base = alt.Chart(data(rows)).encode(
        x=alt.X("share:Q", title="from one training to the next"),
        y=alt.Y("loss:Q", title="loss", scale=scale),
        color=alt.Color("network:N", title=None, sort=None),
        detail="way:N",
        tooltip=["way:N", "share:Q", "loss:Q"],
    )
    line = base.mark_line(point={"size": 12})
    return Picture("between trainings", line.properties(title="loss between trainings", width=WIDTH, height=260), rows)


def _seen(x: float, y: float, z: float) -> tuple[float, float]:
    """Project a point of the room onto the paper."""
    turn, tilt = radians(TURN), radians(TILT)
    return x * cos(turn) - y * sin(turn), (x * sin(turn) + y * cos(turn)) * sin(tilt) + z * cos(tilt)


def _far(x: float, y: float) -> float:
    turn = radians(TURN)
    return x * sin(turn) + y * cos(turn)


def _polygon(points: list[tuple[float, float]], properties: Mapping[str, Any]) -> dict[str, Any]:
    ring = [[round(x, 4), round(y, 4)] for x, y in [*points, points[0]]]
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": dict(properties)}
