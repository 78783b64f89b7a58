"""These charts show planes from the side, as Li et al. 2018 draw them: the height is log10 of the loss."""

from collections.abc import Mapping, Sequence
from math import cos, isfinite, log10, radians, sin
from typing import Any, Literal

import altair as alt

from resbench.drawing.charts import Picture, data
from resbench.landscapes.chart import ACROSS, SIDE, colour, domain
from resbench.landscapes.grid import height
from resbench.landscapes.levels import levels
from resbench.landscapes.result import Landscapes, Surface

MOST = 33
"""A surface is drawn with so many points of a side at most."""

TURN, TILT = 35.0, 30.0
"""A surface is seen from so many degrees to the side and above."""

TALL = 0.9
"""The largest loss stands so high above the plane, whose side is 1."""

TICK = 0.025
"""A mark on an axis is so long."""

APART = 0.12
"""Numbers on the upright axis stand so far apart at least."""

Point = tuple[float, float, float]
"""A point of the room: both directions from -0.5 to 0.5, and the height."""

HOWS: tuple[tuple[int, Literal["center", "right"]], ...] = ((9, "right"), (9, "center"), (10, "center"))
"""Words have these sizes, and stand at or around their places."""

TOP: Point = (-0.5, 0.5, 0.97)
"""The name of the upright axis stands here."""


def surfaces(found: Landscapes) -> Picture:
    """Draw each plane from the side, as Li et al. 2018 do: the height is log10 of the loss, on one scale for all."""
    charts = [_beside(found, one) for one in found.surfaces]
    chart = alt.concat(*charts, columns=ACROSS).resolve_scale(color="shared")
    return Picture("loss as a surface", chart.properties(title="the same from the side"), [])


def _beside(found: Landscapes, one: Surface) -> Any:
    low, high = domain(found)
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
        cells.encode(color=colour(found, "properties.height")),
        *_axes(found.way.span, low, high),
    )
    return drawn.project(type="identity", reflectY=True).properties(title=found.label(one), width=SIDE, height=SIDE)


def _axes(span: float, low: float, high: float) -> list[Any]:
    """Draw marks and numbers along both edges of the floor in front, and the loss along the upright one at the left."""
    marks: list[tuple[Point, Point, str]] = []
    for share in (-1.0, 0.0, 1.0):
        x = 0.5 * share
        marks.append(((x, -0.5, 0.0), (x, -0.5 - TICK, 0.0), f"{share * span:g}"))
        marks.append(((-0.5, x, 0.0), (-0.5 - TICK, x, 0.0), f"{share * span:g}"))
    last = -APART
    for loss in levels(10**low, 10**high):
        z = TALL * (log10(loss) - low) / (high - low)
        if z < last + APART:
            continue
        last = z
        marks.append(((-0.5, 0.5, z), (-0.5 - TICK, 0.5 + TICK, z), f"{loss:g}"))
    names = [((0.0, -0.9, 0.0), "first direction"), ((-0.9, 0.0, 0.0), "second direction"), (TOP, "loss")]
    strokes = [_feature("LineString", [_seen(*a), _seen(*b)]) for a, b, _ in marks]
    texts = [(_beyond(a, b), text, 9, "right" if a[2] else "center") for a, b, text in marks]
    texts += [(_seen(*place), text, 10, "center") for place, text in names]
    words = [
        alt.Chart(data([{"x": x, "y": y, "text": text} for (x, y), text, *own in texts if own == [*how]]))
        .mark_text(fontSize=how[0], align=how[1])
        .encode(longitude="x:Q", latitude="y:Q", text="text:N")
        for how in HOWS
    ]
    return [alt.Chart(data(strokes)).mark_geoshape(filled=False, stroke="#888", strokeWidth=0.8), *words]


def _beyond(a: Point, b: Point) -> tuple[float, float]:
    """Return the place on the paper of the number at a mark, which leads from one point to another."""
    (x, y), (there, up) = _seen(*a), _seen(*b)
    return x + 2 * (there - x), y + 2 * (up - y)


def _seen(x: float, y: float, z: float) -> tuple[float, float]:
    """Project a point of the room onto the paper."""
    turn, tilt = radians(TURN), radians(TILT)
    return x * cos(turn) - y * sin(turn), (x * sin(turn) + y * cos(turn)) * sin(tilt) + z * cos(tilt)


def _far(x: float, y: float) -> float:
    turn = radians(TURN)
    return x * sin(turn) + y * cos(turn)


def _polygon(points: Sequence[tuple[float, float]], properties: Mapping[str, Any]) -> dict[str, Any]:
    return _feature("Polygon", [*points, points[0]], properties)


def _feature(kind: str, points: Sequence[tuple[float, float]], properties: Mapping[str, Any] = {}) -> dict[str, Any]:
    """Write a shape as GeoJSON."""
    places = [[round(x, 4), round(y, 4)] for x, y in points]
    shape = {"type": kind, "coordinates": [places] if kind == "Polygon" else places}
    return {"type": "Feature", "geometry": shape, "properties": dict(properties)}
