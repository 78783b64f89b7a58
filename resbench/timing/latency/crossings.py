"""This module draws networks as lines over runtimes: they cross where an order turns round; rings say where surely.

Names stand at the ends of the lines, so no legend has to be matched by colour; shapes and dashes tell them apart too.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from resbench.drawing.charts import LINE, WIDTH, Picture, data
from resbench.result import Figure
from resbench.timing.latency.axes import GAP, Axes, apart
from resbench.timing.latency.orders import Crossing, Turn, crossings, panels, turns
from resbench.units import plural

RING = 200
"""A ring has this area, in square pixels."""

GREY = "#888"
"""Rings and what leads to names are seen on white and on black."""

DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4])
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
"""Of dashes, shapes and colours there are 5, 7 and 8: no two of 280 networks have all three."""

Times = Mapping[str, Mapping[str, Figure]]
"""Latencies are by runtime and network."""


def by_runtime(figures: Iterable[Figure]) -> list[Picture]:
    """Draw a panel for each batch, or whatever else sets figures apart, that was timed in several runtimes."""
    return [_panel(words, times) for words, times in panels(figures).items() if len(times) > 1]


def _panel(words: str, times: Times) -> Picture:
    import altair as alt

    names = [*dict.fromkeys(name for same in times.values() for name in same)]
    found = [*turns(times)]
    rows = [_row(runtime, name, times[runtime].get(name), found) for runtime in times for name in names]
    axes = Axes(rows, names, [*times])
    rings = _rings(axes, times)
    name = f"latency by runtime{f', {words}' if words else ''}"
    title = alt.TitleParams(name[0].upper() + name[1:], subtitle=_subtitle(rows, found, axes, len(rings)))
    return Picture(
        name,
        alt.layer(*_lines(axes, rows), *rings, *_labels(axes, rows)).properties(
            width=WIDTH, height=axes.height, title=title
        ),
        rows,
    )


def _row(runtime: str, name: str, figure: Figure | None, found: Sequence[Turn]) -> dict[str, Any]:
    """Return what is known of a network in a runtime; where nothing is, its line breaks."""
    others = [turn.b if turn.a == name else turn.a for turn in found if name in (turn.a, turn.b)]
    row: dict[str, Any] = {"network": name, "runtime": runtime, "median_s": None, "low_s": None, "high_s": None}
    if figure:
        spread = figure.spread
        ends = (None, None) if spread is None else (figure.value - spread, figure.value + spread)
        row |= {"median_s": figure.value, "low_s": ends[0], "high_s": ends[1]}
    return {**row, "sure": figure.sure if figure else None, "changes places with": "; ".join(others)}


def _lines(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Draw a line for each network, its times as shapes, hollow where they are not sure, and the intervals."""
    import altair as alt

    names = [*axes.names]
    tips: list[Any] = ["network:N", "runtime:N"]
    tips += [alt.Tooltip(f"{key}:Q", title=f"{key} ({axes.unit})", format=".4~g") for key in ("median", "low", "high")]
    base = alt.Chart(data([axes.drawn(row) for row in rows])).encode(
        x=axes.x("runtime"),
        color=alt.Color("network:N", legend=None, scale=alt.Scale(domain=names)),
        xOffset=alt.XOffset(
            "network:N",
            scale=alt.Scale(
                type="point",
                padding=0,
                domain=names,
                range=[axes.beside(axes.offset(name)) for name in (names[0], names[-1])],
            ),
        ),
        tooltip=[*tips, "changes places with:N"],
    )
    dashes, shapes = ([kinds[i % len(kinds)] for i in range(len(names))] for kinds in (DASHES, SHAPES))
    dash = alt.StrokeDash("network:N", legend=None, scale=alt.Scale(domain=names, range=dashes))
    shape = alt.Shape("network:N", legend=None, scale=alt.Scale(domain=names, range=shapes))
    marks = base.encode(y=axes.y("median"), shape=shape)
    return [
        base.mark_line(strokeWidth=1.6, clip=True).encode(y=axes.y("median"), strokeDash=dash),
        base.mark_rule(strokeWidth=3, opacity=0.55, clip=True).encode(y=axes.y("low"), y2="high:Q"),
        marks.mark_point(size=55, opacity=1, strokeWidth=1.5, clip=True),
        marks.transform_filter("datum.sure").mark_point(size=55, opacity=1, filled=True, clip=True),
    ]


def _rings(axes: Axes, times: Times) -> list[Any]:
    """Draw a ring where the lines of two networks cross whose order certainly turns round."""
    import altair as alt

    return [
        alt.Chart(data([{"runtime": one.start, "at": one.value / axes.divisor, "order": one.turn.line}]))
        .mark_point(size=RING, opacity=1, strokeWidth=2, color=GREY, clip=True, **_place(axes, one, times))
        .encode(x=axes.x("runtime"), y=axes.y("at"), tooltip="order:N")
        for one in crossings(times)
    ]


def _place(axes: Axes, one: Crossing, times: Times) -> dict[str, Any]:
    """Return how far from the first runtime the lines cross: they run between marks that stand beside the middles."""
    a, b = axes.offset(one.turn.a), axes.offset(one.turn.b)
    rises = [
        axes.pixel(times[one.end][name].value) - axes.pixel(times[one.start][name].value)
        for name in (one.turn.a, one.turn.b)
    ]
    beside = (rises[0] * a - rises[1] * b) / (rises[0] - rises[1])
    return {
        "xOffset": axes.beside(beside, f" + {one.share:.6f} * {axes.step}"),
        "yOffset": axes.beside(rises[0] * (beside - a), f" / {axes.step}"),
    }


def _labels(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Write each name beside the end of its line; a thin line leads to those that had to make room."""
    import altair as alt

    ends = {row["network"]: row for row in rows if row["median_s"]}
    order = sorted(ends, key=lambda name: axes.pixel(ends[name]["median_s"]))
    wanted = [axes.pixel(ends[name]["median_s"]) for name in order]
    layers = []
    for name, y, found in zip(
        order, wanted, apart(wanted, [LINE * len(axes.labels[name]) + 2 for name in order], axes.height), strict=True
    ):
        row = {**axes.drawn(ends[name]), "last": axes.runtimes[-1], "label": "\n".join(axes.labels[name])}
        base = alt.Chart(data([row])).encode(y=axes.y("median"))
        lead = base.mark_rule(
            color=GREY,
            strokeWidth=0.8,
            xOffset=axes.beside(axes.offset(name), " + 5"),
            x2Offset=GAP - 3,
            y2Offset=found - y,
        )
        up = found - y - LINE * (len(axes.labels[name]) - 1) / 2  # that is where its first line stands
        text = base.mark_text(
            align="left", baseline="middle", fontSize=11, lineBreak="\n", lineHeight=LINE, dx=GAP, dy=up
        )
        layers += [
            lead.encode(x=axes.x("runtime"), x2="last:N", y2="median:Q"),
            text.encode(x=axes.x("last"), text="label:N"),
        ]
    return layers


def _subtitle(rows: Sequence[Mapping[str, Any]], found: Sequence[Turn], axes: Axes, rings: int) -> list[str]:
    """Say what bars and rings are, whose order turns round, and what is not known."""
    known = [row for row in rows if row["median_s"]]
    if all(row["low_s"] is None for row in known):
        lines = ["No intervals, for each ran in one process: nothing is said of orders."]
    else:
        cut = ", cut at the frame" if axes.cut else ""
        lines = [f"Bars: 95 % intervals{cut}."]
        if found:
            count = len(axes.names)
            pairs = [f"{turn.a} and {turn.b}" for turn in found]
            of_all = f"{len(pairs)} of {plural(count * (count - 1) // 2, 'pair')} of networks"
            which = ", ".join(pairs) if len(pairs) < 3 else of_all
            ring = f" ({'ring' if rings == 1 else 'rings'})" if rings else ""
            lines.append(f"{which} certainly change places{ring}.")
        elif len(axes.names) > 1:
            lines.append("No two networks certainly change places.")
    if any(not row["sure"] for row in known):
        lines.append("Hollow: the device was throttled.")
    if missing := [f"{row['network']} in {row['runtime']}" for row in rows if row["median_s"] is None]:
        lines.append(f"Not known: {', '.join(missing)}.")
    return lines
