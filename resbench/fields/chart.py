"""Receptive fields are drawn by layer, and the effective one as it lies on the input."""

from collections.abc import Sequence
from typing import Any

from resbench.drawing.charts import WIDTH, Picture, data, log_or_linear
from resbench.fields.result import MASS, Field

SIDE = 320
"""A picture of the input has so many pixels a side."""


def by_layer(fields: Sequence[Field]) -> Picture:
    """It draws how the field grows from layer to layer of each network, to the last map; a rule shows the input."""
    import altair as alt

    rows: list[dict[str, Any]] = [
        {
            "model": one.model,
            "order": i,
            "layer": layer.name,
            "type": layer.type,
            "field": span.size,
            "stride": span.stride,
        }
        for one in fields
        for i, layer in enumerate(layer for layer in one.layers if layer.positions)
        for span in [max(layer.window or (), key=lambda span: span.size)]
    ]
    inputs = [
        {"side": side, "name": f"input {side}"} for side in sorted({max(one.input[2:], default=0) for one in fields})
    ]
    scale = alt.Scale(**log_or_linear([row["field"] for row in rows]))
    names = [one.model for one in fields]
    lines = (
        alt.Chart(data(rows))
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X("order:Q", title="layer, in running order"),
            y=alt.Y("field:Q", title="receptive field (pixels a side)", scale=scale),
            color=alt.Color("model:N", title=None, scale=alt.Scale(domain=names)),
            strokeDash=alt.StrokeDash("model:N", scale=alt.Scale(domain=names), legend=None),
            tooltip=["model:N", "layer:N", "type:N", "field:Q", "stride:Q"],
        )
    )
    rule = alt.Chart(data(inputs)).mark_rule(strokeDash=[2, 3], color="#555").encode(y=alt.Y("side:Q", scale=scale))
    text = (
        alt.Chart(data(inputs))
        .mark_text(align="left", dx=4, dy=-6, color="#555", fontSize=11)
        .encode(y=alt.Y("side:Q", scale=scale), x=alt.value(0), text="name:N")
    )
    chart = (lines + rule + text).properties(width=WIDTH, height=240, title="receptive field by layer")
    return Picture("receptive field by layer", chart, rows)


def spread(one: Field) -> Picture:
    """It draws where the squared gradient lies on the input, with the squares of the effective and the theoretical
    field."""
    import altair as alt

    assert one.effective and one.last
    found, (height, width) = one.effective, one.input[2:]
    step = -(-max(height, width) // max(len(found.cells), len(found.cells[0])))
    rows = [
        {
            "row": i * step,
            "column": j * step,
            "end_row": min((i + 1) * step, height),
            "end_column": min((j + 1) * step, width),
            "share": share,
        }
        for i, line in enumerate(found.cells)
        for j, share in enumerate(line)
    ]
    x, y = alt.Scale(domain=[0, width], nice=False), alt.Scale(domain=[height, 0], nice=False)
    cells = (
        alt.Chart(data(rows))
        .mark_rect()
        .encode(
            x=alt.X("column:Q", title="column", scale=x),
            x2="end_column:Q",
            y=alt.Y("row:Q", title="row", scale=y),
            y2="end_row:Q",
            color=alt.Color(
                "share:Q", title="share of it", scale=alt.Scale(scheme="greys"), legend=alt.Legend(format=".1%")
            ),
            tooltip=["row:Q", "column:Q", alt.Tooltip("share:Q", format=".3%")],
        )
    )
    squares = _squares(one, height, width)
    frames = [
        alt.Chart(data([squares[name]]))
        .mark_rect(filled=False, strokeWidth=2, stroke=colour, strokeDash=dash)
        .encode(x=alt.X("left:Q", scale=x), x2="right:Q", y=alt.Y("top:Q", scale=y), y2="bottom:Q")
        for name, colour, dash in (("theoretical", "#cc79a7", [5, 3]), ("effective", "#009e73", [1, 0]))
    ]
    sizes = "x".join(map(str, dict.fromkeys(one.size or ())))
    cut = any(a > b for a, b in zip(one.size or (), one.input[2:], strict=False))
    subtitle = [
        f"Solid: effective field, {found.side:g} pixels, with {MASS:.2%} of it",
        f"Dashed: theoretical field, {sizes} pixels{', cut at the input' if cut else ''}",
    ]
    title = alt.TitleParams(f"{one.model}: squared gradient at the centre of {found.layer}", subtitle=subtitle)
    chart = alt.layer(cells, *frames).properties(
        width=SIDE * width // max(height, width), height=SIDE * height // max(height, width), title=title
    )
    return Picture(f"effective receptive field of {one.model}", chart, rows)


def _squares(one: Field, height: int, width: int) -> dict[str, dict[str, float]]:
    """Find where the two fields end on the input."""
    assert one.effective and one.size
    (row, column), side = one.effective.centre, one.effective.side
    return {
        name: {
            "top": max(row + 0.5 - high / 2, 0),
            "bottom": min(row + 0.5 + high / 2, height),
            "left": max(column + 0.5 - wide / 2, 0),
            "right": min(column + 0.5 + wide / 2, width),
        }
        for name, (high, wide) in {"effective": (side, side), "theoretical": one.size}.items()
    }
