"""Gradient flow as pictures: in the terminal, and as charts that need neither a browser nor a network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import floor, isfinite, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resbench.errors import OutputError
from resbench.gradients.statistics import path_lengths

if TYPE_CHECKING:
    from resbench.gradients.flow import Flow


def picture(flows: Sequence[Flow], width: int, colour: bool) -> str:
    """The activation gradient by depth on a log scale, for each network at its first observed step."""
    import plotext

    plotext.clear_figure()
    plotext.plot_size(min(max(width - 1, 40), 110), 16)
    plotext.theme("clear" if not colour else "pro")
    exponents: set[int] = set()
    for flow, marker in zip((flow for flow in flows if flow.rows), "ox+*#@%&" * len(flows), strict=False):
        step = flow.steps[0]
        points = [(d, log10(v)) for d, v in flow.means("gradient", step).values() if v > 0 and isfinite(v)]
        if len(points) > 1:
            x, y = zip(*points, strict=True)
            plotext.plot([100 * depth for depth in x], y, label=f"{flow.model} @{step}", marker=marker)
            exponents |= {floor(value) for value in y} | {floor(value) + 1 for value in y}
    if not exponents:
        return ""
    ticks = sorted(exponents)[:: max(len(exponents) // 6, 1)]
    plotext.yticks(ticks, [f"1e{tick:+d}" for tick in ticks])
    plotext.ylim(min(exponents), max(exponents))
    plotext.title("||dL/dx|| by depth")
    plotext.xlabel("depth (%)")
    text = str(plotext.build())
    return text if colour else str(plotext.uncolorize(text))


def save_charts(flows: Sequence[Flow], path: Path) -> None:
    """Gradient by depth with the stages behind it, update ratios by layer and step, the two paths of every sum, and the
    lengths of the paths. Raises OutputError where the file cannot be written."""
    from resbench.report.charts import save

    if not any(isfinite(row.value) for flow in flows for row in flow.rows if row.statistic == "gradient"):
        raise OutputError(f"nothing to draw in {path}: no gradient is finite")
    save(charts(flows), path)


def charts(flows: Sequence[Flow]) -> Any:
    """All charts as one altair chart."""
    import altair as alt

    flows = [flow for flow in flows if flow.rows]
    alt.data_transformers.disable_max_rows()
    parts = [_by_depth(alt, flows)]
    parts += [heat for flow in flows if (heat := _updates(alt, flow)) is not None]
    parts += [bars for flow in flows if (bars := _paths(alt, flow)) is not None]
    lengths = _lengths(alt, flows)
    if lengths is not None:
        parts.append(lengths)
    return alt.vconcat(*parts).resolve_scale(color="independent").configure_view(strokeOpacity=0.3)


def _by_depth(alt: Any, flows: Sequence[Flow]) -> Any:
    points = [
        {"model": flow.model, "step": f"step {step}", "depth": depth, "value": value}
        for flow in flows
        for step in flow.steps
        for depth, value in flow.means("gradient", step).values()
        if value > 0 and isfinite(value)
    ]
    line = alt.Chart(alt.Data(values=points)).mark_line()
    line = line.encode(
        x=alt.X("depth:Q", title="depth", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
        y=alt.Y("value:Q", title="||dL/dx||", scale=alt.Scale(type="log"), axis=alt.Axis(format=".0e")),
        color=alt.Color("model:N", title=None),
        strokeDash=alt.StrokeDash("step:N", title=None),
    )
    bands = alt.Chart(alt.Data(values=_stages(flows[0]))).mark_rect(opacity=0.08)
    bands = bands.encode(
        x="from:Q", x2="to:Q", color=alt.Color("stage:N", legend=None, scale=alt.Scale(scheme="greys"))
    )
    layers = alt.layer(bands, line).resolve_scale(color="independent")
    return layers.properties(title=f"Activation gradient; stages of {flows[0].model}", width=560, height=260)


def _stages(flow: Flow) -> list[dict[str, Any]]:
    """The stages as bands, from the middle of each to the middle between it and its neighbours."""
    middles = sorted({(row.depth, row.name) for row in flow.rows if row.statistic == "growth"})
    edges = [0.0, *((a + b) / 2 for (a, _), (b, _) in pairwise(middles)), 1.0]
    return [{"stage": name, "from": edges[i], "to": edges[i + 1]} for i, (_, name) in enumerate(middles)]


def _updates(alt: Any, flow: Flow) -> Any:
    cells = [
        {"layer": name, "order": i, "step": step, "value": value}
        for step in flow.steps
        for i, (name, (_, value)) in enumerate(flow.means("update", step).items())
        if value > 0 and isfinite(value)
    ]
    if not cells:
        return None
    chart = alt.Chart(alt.Data(values=cells)).mark_rect()
    scale = alt.Scale(type="log", scheme="viridis")
    return chart.encode(
        x=alt.X("layer:N", sort=alt.EncodingSortField("order"), title=None, axis=alt.Axis(labelFontSize=6)),
        y=alt.Y("step:O", title="step"),
        color=alt.Color("value:Q", title="update", scale=scale, legend=alt.Legend(format=".0e")),
    ).properties(title=f"{flow.model}: update ratio lr ||dL/dW|| / ||W||", width=560, height=24 * len(flow.steps))


def _paths(alt: Any, flow: Flow) -> Any:
    bars = [
        {"sum": name, "order": i, "path": path, "share": value}
        for i, (name, (_, share)) in enumerate(flow.means("share", flow.steps[0]).items())
        for path, value in (("shortcut", 1 - share), ("branch", share))
    ]
    if not bars:
        return None
    chart = alt.Chart(alt.Data(values=bars)).mark_bar()
    return chart.encode(
        x=alt.X("sum:N", sort=alt.EncodingSortField("order"), title=None, axis=alt.Axis(labelFontSize=6)),
        y=alt.Y("share:Q", title="of the energy", axis=alt.Axis(format="%")),
        color=alt.Color("path:N", title=None),
    ).properties(
        title=f"{flow.model}: the gradient along shortcut and branch, step {flow.steps[0]}", width=560, height=120
    )


def _lengths(alt: Any, flows: Sequence[Flow]) -> Any:
    values = [
        {"model": flow.model, "branches": k, "share": share}
        for flow in flows
        if (shares := [share for _, share in flow.means("share", flow.steps[0]).values()])
        for k, share in enumerate(path_lengths(shares))
    ]
    if not values:
        return None
    chart = alt.Chart(alt.Data(values=values)).mark_bar(opacity=0.6)
    return chart.encode(
        x=alt.X("branches:O", title="branches on the path"),
        y=alt.Y("share:Q", title="of the energy", stack=None, axis=alt.Axis(format="%")),
        color=alt.Color("model:N", title=None),
    ).properties(title="Lengths of the paths that the gradient takes", width=560, height=120)
