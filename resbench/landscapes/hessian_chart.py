"""These charts show the Hessian: the density of its eigenvalues at the centre, and over the plane how convex it is."""

from math import isfinite
from typing import Any

import altair as alt
import numpy as np

from resbench.drawing.charts import WIDTH, Picture, data
from resbench.landscapes.chart import ACROSS, NOT_FINITE, SIDE, tiles
from resbench.landscapes.density import Density, density
from resbench.landscapes.grid import coordinates
from resbench.landscapes.result import Landscapes, Surface

DEEP = 100
"""A density is drawn down to this part of what a single eigenvalue gives at its place."""


def densities(found: Landscapes) -> list[Picture]:
    """Draw the density of the Hessian's eigenvalues at each centre, on a logarithmic axis, with its interval."""
    rows, charts = [], []
    for one in found.surfaces:
        known = density(one.curvature.spectra) if one.curvature and one.curvature.spectra else None
        if known and one.curvature:
            own = _density_rows(found.label(one), known, one.curvature.size)
            rows += own
            charts.append(_density(found.label(one), own))
    if not charts:
        return []
    curved = next(one.curvature for one in found.surfaces if one.curvature and one.curvature.spectra)
    title = alt.TitleParams(
        "Density of the Hessian's eigenvalues at the centre",
        subtitle=[
            f"{curved.steps} steps of Lanczos from each of {curved.probes} probes, and 95 % intervals over the probes."
            if curved.probes > 1
            else f"{curved.steps} steps of Lanczos from one probe: how far others lie from it is not known.",
            "Every value is a Gaussian, whose standard deviation is 1 % of the range of all values.",
        ],
    )
    chart = alt.vconcat(*charts).resolve_scale(x="shared", y="shared")
    return [Picture("density of the eigenvalues", chart.properties(title=title), rows)]


def _density_rows(network: str, known: Density, size: int) -> list[dict[str, Any]]:
    """Return what is drawn, above a part of the peak of one eigenvalue among all."""
    floor = 1 / (DEEP * size * known.broad * np.sqrt(2 * np.pi))
    return [
        {
            "network": network,
            "eigenvalue": float(at),
            "density": float(mean),
            "drawn": float(max(mean, floor)),
            "low": None if np.isnan(half) else float(max(mean - half, floor)),
            "high": None if np.isnan(half) else float(max(mean + half, floor)),
        }
        for at, mean, half in zip(known.at, known.mean, known.half, strict=True)
    ]


def _density(network: str, rows: list[dict[str, Any]]) -> Any:
    scale = alt.Scale(type="log", nice=False)
    axis = alt.Axis(format="~e", tickCount=5)
    base = alt.Chart(data(rows)).encode(
        x=alt.X("eigenvalue:Q", title="eigenvalue", scale=alt.Scale(zero=False)),
        color=alt.Color("network:N", legend=None, sort=None),
    )
    band = base.mark_area(opacity=0.3).encode(y=alt.Y("low:Q", scale=scale, title="density", axis=axis), y2="high:Q")
    line = base.mark_line(strokeWidth=1.5).encode(
        y=alt.Y("drawn:Q", scale=scale), tooltip=["eigenvalue:Q", "density:Q", "low:Q", "high:Q"]
    )
    return alt.layer(band, line).properties(title=network, width=WIDTH, height=170)


def ratios(found: Landscapes) -> Picture:
    """Draw |least / largest| eigenvalue of the Hessian over each plane, on one scale: near 0 it is nearly convex."""
    shown = [one for one in found.surfaces if one.bends]
    whole = np.concatenate([one.ratios.ravel() for one in shown])
    known = whole[np.isfinite(whole)]
    scale = alt.Scale(scheme="viridis", domain=[0, max([*known, 1e-6])])
    colour = alt.Color("ratio:Q", title="|least / largest|", scale=scale)
    rows, charts = [], []
    for one in shown:
        own = _ratio_rows(found, one)
        rows += own
        tooltip = ("first:Q", "second:Q", "least:Q", "largest:Q", "ratio:Q", "converged:N")
        base, _ = tiles(own, found.way.span, found.way.convexity, tooltip)
        tile = base.transform_filter("isValid(datum.ratio)").mark_rect().encode(color=colour)
        wild = base.transform_filter("!isValid(datum.ratio)").mark_rect(color=NOT_FINITE)
        charts.append(alt.layer(wild, tile).properties(title=found.label(one), width=SIDE, height=SIDE))
    title = "|least / largest| eigenvalue of the Hessian over the plane"
    title += "; orange: not known" if len(known) < len(whole) else ""
    chart = alt.concat(*charts, columns=ACROSS).resolve_scale(color="shared").properties(title=title)
    return Picture("convexity over the plane", chart, rows)


def _ratio_rows(found: Landscapes, one: Surface) -> list[dict[str, Any]]:
    axis = coordinates(found.way.span, found.way.convexity)
    return [
        {
            "network": found.label(one),
            "first": a,
            "second": b,
            "least": bend.least if isfinite(bend.least) else None,
            "largest": bend.largest if isfinite(bend.largest) else None,
            "ratio": bend.ratio if isfinite(bend.ratio) else None,
            "converged": bend.converged,
        }
        for b, row in zip(axis, one.bends, strict=True)
        for a, bend in zip(axis, row, strict=True)
    ]
