"""Figure 6 of He et al. 2015: error by iteration, in the terminal and as a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resbench.training.results import Outcome

MOST = 6
"""Curves that a terminal can tell apart."""

PARTS = (("training", "train_error"), ("test", "test_error"))


def picture(outcome: Outcome, width: int, colour: bool) -> str:
    """The training error by epoch, mean over the seeds."""
    import plotext

    plotext.clear_figure()
    plotext.plot_size(min(max(width - 1, 40), 110), 16)
    plotext.theme("clear" if not colour else "pro")
    curves = {name: outcome.curve(name, "train_error") for name in outcome.models}
    curves = {name: points for name, points in curves.items() if len(points) > 1}
    if not 0 < len(curves) <= MOST:
        return ""
    for (name, points), marker in zip(curves.items(), "ox+*#@%&" * len(curves), strict=False):
        epochs, errors = zip(*((p["epoch"], 100 * p["error"]) for p in points), strict=True)
        plotext.plot(epochs, errors, label=name, marker=marker)
    plotext.ylim(0, max(0.1, *(100 * point["error"] for points in curves.values() for point in points)))
    plotext.title("training error (%) by epoch")
    text = str(plotext.build())
    return text if colour else str(plotext.uncolorize(text))


def chart(outcome: Outcome) -> Any:
    """Dashed: training error; bold: test error; mean over the seeds, with all of them as a band."""
    import altair as alt

    alt.data_transformers.disable_max_rows()
    points = [
        {"model": name, "part": part, **point}
        for name in outcome.models
        for part, key in PARTS
        for point in outcome.curve(name, key)
    ]
    data = alt.Data(values=points)  # type: ignore[no-untyped-call]
    base = alt.Chart(data).encode(
        x=alt.X("iteration:Q", title="iterations", axis=alt.Axis(format="~s")),
        color=alt.Color("model:N", title=None, sort=None, legend=alt.Legend(symbolOpacity=1)),
    )
    y = alt.Y("error:Q", title="error", axis=alt.Axis(format="%"))
    dash = alt.StrokeDash("part:N", title=None, scale=alt.Scale(domain=["training", "test"], range=[[4, 3], [1, 0]]))
    bold = alt.StrokeWidth("part:N", title=None, scale=alt.Scale(domain=["training", "test"], range=[1.2, 2.4]))
    line = base.mark_line().encode(y=y, strokeDash=dash, strokeWidth=bold)
    band = base.mark_area(opacity=0.12).encode(y=alt.Y("low:Q", title="error"), y2="high:Q", detail="part:N")
    title = f"{outcome.data}: training error dashed, test error bold; bands: all seeds"
    return (band + line).properties(title=title, width=560, height=340).configure_view(strokeOpacity=0.3)
