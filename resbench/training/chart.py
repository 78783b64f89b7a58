"""Figure 6 of He et al. 2015: error by iteration, in the terminal and as a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resbench.drawing.charts import WIDTH, Picture, data

if TYPE_CHECKING:
    from resbench.training.result import Trainings

MOST = 6
"""Curves that a terminal can tell apart."""

PARTS = (("training", "train_error"), ("test", "test_error"))


def picture(found: Trainings, width: int, colour: bool) -> str:
    """The training error by epoch, mean over the seeds."""
    import plotext

    plotext.clear_figure()
    plotext.plot_size(min(max(width - 1, 40), 110), 16)
    plotext.theme("clear" if not colour else "pro")
    by_name = {name: found.curve(name, "train_error") for name in found.by_model}
    by_name = {name: points for name, points in by_name.items() if len(points) > 1}
    if not 0 < len(by_name) <= MOST:
        return ""
    for (name, points), marker in zip(by_name.items(), "ox+*#@%&" * len(by_name), strict=False):
        epochs, errors = zip(*((p["epoch"], 100 * p["error"]) for p in points), strict=True)
        plotext.plot(epochs, errors, label=name, marker=marker)
    plotext.ylim(0, max(0.1, *(100 * point["error"] for points in by_name.values() for point in points)))
    plotext.title("training error (%) by epoch")
    text = str(plotext.build())
    return text if colour else str(plotext.uncolorize(text))


def curves(found: Trainings) -> Picture:
    """Dashed: training error; bold: test error; mean over the seeds, with all of them as a band."""
    import altair as alt

    points = [
        {"model": name, "part": part, **point}
        for name in found.by_model
        for part, key in PARTS
        for point in found.curve(name, key)
    ]
    base = alt.Chart(data(points)).encode(
        x=alt.X("iteration:Q", title="iterations", axis=alt.Axis(format="~s")),
        color=alt.Color("model:N", title=None, sort=None, legend=alt.Legend(symbolOpacity=1)),
    )
    y = alt.Y("error:Q", title="error", axis=alt.Axis(format="%"))
    dash = alt.StrokeDash("part:N", title=None, scale=alt.Scale(domain=["training", "test"], range=[[4, 3], [1, 0]]))
    bold = alt.StrokeWidth(
        "part:O", title=None, sort=["training", "test"], scale=alt.Scale(domain=["training", "test"], range=[1.2, 2.4])
    )
    tips = ["model:N", "part:N", "epoch:Q", "iteration:Q", alt.Tooltip("error:Q", format=".2%")]
    line = base.mark_line().encode(y=y, strokeDash=dash, strokeWidth=bold, tooltip=tips)
    band = base.mark_area(opacity=0.12).encode(y=alt.Y("low:Q", title="error"), y2="high:Q", detail="part:N")
    title = f"{found.data}: training error dashed, test error bold; bands: all seeds"
    return Picture("error by iteration", (band + line).properties(title=title, width=WIDTH, height=340), points)
