"""Tables show gradient flow: each statistic by depth, networks and steps side by side; the networks; every number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from resbench.tables.table import Column, Table
from resbench.units import plural

if TYPE_CHECKING:
    from resbench.gradients.result import Flow, Flows
    from resbench.gradients.statistics import Statistic

GRID = [i / 10 for i in range(11)]
"""Networks stand side by side at these depths."""


def depth_table(statistic: Statistic, flows: Sequence[Flow]) -> Table | None:
    """Return a statistic by normalised depth, a column for each network and step; None where no network has it."""
    series = [(flow.model, step, flow.means(statistic.key, step)) for flow in flows for step in flow.steps]
    shown = [(model, step, means) for model, step, means in series if means]
    if not shown:
        return None
    columns = [Column(f"{model}_step{step}", f"{model} @{step}", "number") for model, step, _ in shown]
    rows = [[depth, *(_nearest(means, depth) for _, _, means in shown)] for depth in GRID]
    note = f"{statistic.formula}, mean over the seeds, at the {statistic.place} nearest to each depth; @ is the step."
    title = statistic.title[0].upper() + statistic.title[1:]
    return Table([Column("depth", "depth", "share"), *columns], rows, title, [note])


def _nearest(means: dict[str, tuple[float, float]], depth: float) -> float:
    return min(means.values(), key=lambda place: abs(place[0] - depth))[1]


NETWORK_COLUMNS = (
    Column("model", "model"),
    Column("step", "step", "exact"),
    Column("loss", "loss", "number"),
    Column("first_to_last", "R", "number"),
    Column("first_to_last_spread", "+-", "number"),
    Column("growth", "growth/layer", "number"),
    Column("early_update", "early update", "number"),
    Column("last_update", "last update", "number"),
    Column("c1", "c1", "number"),
    Column("effective_rank", "eff. rank", "number"),
    Column("effective_depth", "eff. depth", "number"),
    Column("cosine", "largest cos", "number"),
    Column("identity_share", "identity", "share"),
    Column("dead", "dead", "share"),
    Column("sigma_max", "max sigma", "number"),
    Column("energy", "Jacobian", "number"),
)


def network_table(result: Flows) -> Table:
    """Return a row for each network and step, with the verdicts below."""
    flows, recipe = result.flows, result.recipe
    records = [record for flow in flows for record in flow.records]
    always = ("model", "step", "loss", "first_to_last")
    columns = [c for c in NETWORK_COLUMNS if c.key in always or any(r[c.key] is not None for r in records)]
    warnings = [flow.broken for flow in flows if flow.broken] + [line for flow in flows for line in flow.skipped]
    warnings += [f"Interrupted before {', '.join(result.missing)}."] if result.missing else []
    warnings += [
        f"{flow.model} was interrupted: the rows so far, of {len({row.seed for row in flow.rows})} of "
        f"{plural(recipe.seeds, 'seed')}."
        for flow in flows
        if flow.interrupted
    ]
    notes = [f"{flow.model}: {'; '.join(map(str, flow.verdicts)) or 'no verdict'}." for flow in flows]
    unsplit = [flow.model for flow in flows if not any(row.place == "sum" for row in flow.rows)]
    if unsplit:
        notes.append(f"No residual sum that could be split in {', '.join(unsplit)}: its columns are blank.")
    notes += [
        f"{plural(recipe.seeds, 'seed')}, batches of {recipe.batch} of {result.data}, SGD with lr {recipe.lr:g}, "
        f"momentum {recipe.momentum:g} and weight decay {recipe.weight_decay:g}, on {recipe.device}. "
        "R = ||dL/dx_first|| / ||dL/dx_last||; growth/layer of stage 1.",
        *filter(None, [result.limits]),
        result.environment.note,
        *(result.environment.waited if recipe.threads else ()),
    ]
    rows = [[record[column.key] for column in columns] for record in records]
    return Table(columns, rows, "Gradient flow", notes, warnings=warnings)


ROW_COLUMNS = (
    Column("model", "model"),
    Column("seed", "seed", "exact"),
    Column("step", "step", "exact"),
    Column("place", "place"),
    Column("name", "name"),
    Column("depth", "depth", "share"),
    Column("statistic", "statistic"),
    Column("value", "value", "number"),
)


def row_table(flows: Sequence[Flow]) -> Table:
    """Return every number, a row each."""
    return Table(ROW_COLUMNS, [tuple(row) for flow in flows for row in flow.rows])
