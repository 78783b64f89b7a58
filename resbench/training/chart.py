"""These pictures are figure 6 of He et al. 2015: error by iteration, in the terminal and as a chart."""

import altair as alt

from resbench.drawing.charts import WIDTH, Picture, data
from resbench.drawing.lines import sketch
from resbench.training.result import Trainings

MOST = 6
"""A terminal can tell so many curves apart."""

PARTS = (("training", "train_error"), ("test", "test_error"))


def picture(found: Trainings, width: int, colour: bool) -> str:
    """Return the training error by epoch, mean over the seeds."""
    lines = []
    for name in found.by_model:
        points = [(point["epoch"], 100 * point["error"]) for point in found.curve(name, "train_error")]
        if len(points) > 1:
            lines.append((name, points))
    if not 0 < len(lines) <= MOST:
        return ""
    top = max(0.1, *(error for _, points in lines for _, error in points))
    return sketch(lines, "training error (%) by epoch", (0, top), width, colour)


def curves(found: Trainings) -> Picture:
    """Draw the training error dashed and the test error bold: mean over the seeds, with all of them as a band."""
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
    dash = alt.StrokeDash("part:N", title=None, scale=alt.Scale(domain=["training", "test"], range=[[4, 3], [1, 0]]))
    bold = alt.StrokeWidth(
        "part:O", title=None, sort=["training", "test"], scale=alt.Scale(domain=["training", "test"], range=[1.2, 2.4])
    )
    line = base.mark_line(point={"size": 12}).encode(
        y=alt.Y("error:Q", title="error", axis=alt.Axis(format="%")),
        strokeDash=dash,
        strokeWidth=bold,
        tooltip=["model:N", "part:N", "epoch:Q", "iteration:Q", alt.Tooltip("error:Q", format=".2%")],
    )
    band = base.mark_area(opacity=0.12).encode(y=alt.Y("low:Q", title="error"), y2="high:Q", detail="part:N")
    title = f"{found.data}: training error dashed, test error bold; bands: all seeds"
    return Picture("error by iteration", (band + line).properties(title=title, width=WIDTH, height=340), points)
