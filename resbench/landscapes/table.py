"""Tables show landscapes: what each plane says in numbers, and every point of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from resbench.landscapes.grid import height
from resbench.tables.table import Column, Table
from resbench.workers.medians import mean_and_half

if TYPE_CHECKING:
    from resbench.landscapes.result import Landscapes, Surface

COLUMNS = (
    Column("model", "model"),
    Column("seed", "seed", "exact"),
    Column("test_error", "test error", "share"),
    Column("loss", "loss at centre", "number"),
    Column("highest", "highest", "number"),
    Column("basin_share", "below guessing", "share"),
    Column("convex_share", "convex", "share"),
    Column("points", "points evaluated", "exact"),
    Column("off", "spline off by", "share"),
    Column("seconds", "time", "seconds"),
)
HESSIAN = (
    Column("model", "model"),
    Column("seed", "seed", "exact"),
    Column("top", "top", "number"),
    Column("least", "least", "number"),
    Column("trace", "trace", "number"),
    Column("trace_half", "95% +-", "number"),
    Column("gradient", "gradient", "number"),
    Column("sharpness", "SAM", "number"),
    Column("ratio", "|least/top|", "number"),
    Column("ratio_highest", "highest", "number"),
)
OPTIONAL = (*(column.key for column in HESSIAN[2:]), "test_error", "off", "seconds")


def _known(columns: Sequence[Column], records: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Return the columns that are always there, and those of which something is known."""
    return [c for c in columns if c.key not in OPTIONAL or any(one[c.key] is not None for one in records)]


def surfaces_table(found: Landscapes) -> Table:
    """Return a row for each plane; how it was looked at stands below."""
    records = [_record(found, one) for one in found.surfaces]
    columns = _known(COLUMNS, records)
    if found.way.classes < 2:
        columns = [c for c in columns if c.key != "basin_share"]
    notes = [found.way.line]
    guess = found.way.guessing
    if found.way.classes > 1:
        notes.append(f"Below guessing: the share of the points with a loss below {guess:.3f}, ln {found.way.classes}.")
    notes.append(
        "Convex: the share of inner points at which the plane's own second differences have no negative eigenvalue."
    )
    if found.way.tolerance is not None:
        notes.append(
            f"A spline of log10 of the loss stands for points that were not evaluated, off by at most "
            f"{100 * found.way.tolerance:g} % of its range at points left out at random, or all were evaluated."
        )
    notes += [found.trained] if found.trained else []
    warnings = ["Interrupted: what was not evaluated is interpolated."] if found.interrupted else []
    rows = [[record[column.key] for column in columns] for record in records]
    return Table(columns, rows, "Loss landscape", [*notes, found.environment.note], warnings=warnings)


def hessian_table(found: Landscapes) -> Table:
    """Return a row for each network whose Hessian was asked."""
    records = [_record(found, one) for one in found.surfaces if one.curvature or one.bends]
    columns, notes = _known(HESSIAN, records), []
    curved = [one.curvature for one in found.surfaces if one.curvature]
    if curved:
        steps = max(one.steps for one in curved)
        notes.append(
            f"At the centre: top and least eigenvalue by {steps} steps of Lanczos over all weights; the "
            f"trace by Hutchinson from {curved[0].probes} probes; the length of the gradient; SAM: how far the loss "
            "rises on a step of 0.05 along it. All of these change when a network is written with other weights that "
            "compute the same (Dinh et al. 2017); with filter-normalised directions a plane does not."
        )
        if found.way.bn == "recompute":
            notes.append(
                "BN's statistics are here the centre's, as constants, on the step along the gradient too; over the "
                "plane they are taken anew at every point."
            )
        values = [value for one in curved for value in one.eigenvalues if isfinite(value.value)]
        if unknown := sum(not value.converged for value in values):
            more = f"more steps, --curvature {2 * steps}"
            notes.append(f"{unknown} of the eigenvalues of the result are not converged: {more}.")
    bends = sum(len(one.found_bends) for one in found.surfaces)
    if bends:
        unsure = sum(one.unsure for one in found.surfaces)
        notes.append(
            "|Least/top|: of the least and the largest eigenvalue, at the centre and where it is highest, by "
            f"{found.way.lanczos} steps of Lanczos at {found.way.convexity} x {found.way.convexity} points of the "
            "plane (Li et al. 2018, fig. 7)"
            + (f"; not converged at {unsure:,} of {bends:,} points." if unsure else ".")
        )
    return Table(columns, [[record[c.key] for c in columns] for record in records], "Hessian", notes)


MEANS = (
    Column("model", "model"),
    Column("seeds", "seeds", "exact"),
    *(Column("test_error", "test error", "share"), Column("test_error_half", "95% +-", "share")),
    *(Column("basin_share", "below guessing", "share"), Column("basin_share_half", "95% +-", "share")),
    *(Column("convex_share", "convex", "share"), Column("convex_share_half", "95% +-", "share")),
    *(Column("height", "log10 of the highest", "number"), Column("height_half", "95% +-", "number")),
)


def means_table(found: Landscapes) -> Table:
    """Return a row for each network: means over its seeds, with half of their 95 % intervals."""
    rows: list[list[Any]] = []
    for name in found.models():
        same = [_record(found, one) for one in found.surfaces if one.model == name]
        row: list[Any] = [name, len(same)]
        for key in ("test_error", "basin_share", "convex_share", "height"):
            values = [one[key] for one in same]
            known = None not in values and all(map(isfinite, values))
            row += mean_and_half(values) if known else (None, None)
        rows.append(row)
    wild = [one.model for one in found.surfaces if not isfinite(one.highest)]
    notes = [f"Not finite somewhere: {', '.join(dict.fromkeys(wild))}; its highest has no mean."] if wild else []
    return Table(MEANS, rows, "Mean over the seeds", notes)


LINES = (
    Column("model", "model"),
    *(Column("first", "from", "exact"), Column("second", "to", "exact")),
    *(Column("begins", "loss", "number"), Column("ends", "loss there", "number")),
    *(Column("highest", "highest", "number"), Column("barrier", "barrier", "number")),
    Column("matched_barrier", "matched", "number"),
)


def lines_table(found: Landscapes) -> Table:
    """Return a row for each line between two trainings."""
    rows = [
        [one.model, *one.seeds, one.loss[0], one.loss[-1], max(one.loss), one.barrier, one.matched_barrier]
        for one in found.lines
    ]
    notes = [
        "Barrier: how far the loss lies above the straight line between both ends at most, at 11 points, along all "
        "parameters: as the weights were trained, and matched, with the units of the second training in the order in "
        "which its weights are most alike the first's, which changes nothing that it computes (Ainsworth et al. 2023)."
    ]
    reasons = dict.fromkeys(f"{one.model}: {one.unmatched}." for one in found.lines if one.unmatched)
    columns = LINES if any(one.matched for one in found.lines) else LINES[:-1]
    return Table(columns, [row[: len(columns)] for row in rows], "Between trainings", [*notes, *reasons])


def _record(found: Landscapes, one: Surface) -> dict[str, Any]:
    curved = one.curvature
    known: dict[str, Any] = dict.fromkeys(OPTIONAL)
    if curved:
        known |= {
            "top": curved.eigenvalues[0].value,
            "least": curved.eigenvalues[-1].value,
            "trace": curved.trace,
            "trace_half": curved.trace_half,
            "gradient": curved.gradient,
            "sharpness": curved.sharpness,
        }
    if one.bends:
        known |= {"ratio": one.ratio, "ratio_highest": one.highest_ratio}
    return {
        **known,
        "model": one.model,
        "seed": one.seed,
        "test_error": one.test_error,
        "loss": one.centre[0],
        "highest": one.highest,
        "height": float(height(one.highest)) if isfinite(one.highest) else one.highest,
        "basin_share": one.low(found.way.guessing),
        "convex_share": one.convex,
        "points": one.evaluated,
        "off": max(one.off) if one.off else None,
        "seconds": None if one.earlier else one.seconds,
    }


POINTS = (
    Column("model", "model"),
    Column("seed", "seed", "exact"),
    Column("first", "first direction", "number"),
    Column("second", "second direction", "number"),
    Column("loss", "loss", "number"),
    Column("error", "error", "share"),
    Column("evaluated", "evaluated"),
)


def points_table(found: Landscapes) -> Table:
    """Return every point of every plane, a row each."""
    axis = found.axis
    rows = [
        [one.model, one.seed, axis[i], axis[j], one.loss[j][i], one.error[j][i], one.exact[j][i]]
        for one in found.surfaces
        for j in range(len(axis))
        for i in range(len(axis))
    ]
    return Table(POINTS, rows)
