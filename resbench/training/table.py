"""Tables show trainings: where each network ended, how it got there, and every line of every history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from resbench.tables.table import Column, Table

if TYPE_CHECKING:
    from resbench.training.result import Training, Trainings

LINES = 10
"""The table by epoch has so many lines."""

END_COLUMNS = (
    Column("model", "model"),
    Column("train_error", "train error", "share"),
    Column("train_spread", "95% +-", "share"),
    Column("test_error", "test error", "share"),
    Column("test_spread", "95% +-", "share"),
    Column("published", "published (%)"),
    Column("published_source", "of CIFAR-10 in"),
    Column("seeds", "seeds", "exact"),
    Column("epochs", "epochs", "exact"),
    Column("iterations", "iterations", "exact"),
    Column("loss", "loss", "number"),
    Column("seconds", "time", "seconds"),
)


def end_table(found: Trainings, title: str, ranked: bool = False) -> Table:
    """Return a row for each network; verdicts, recipe and machine below. ``ranked``: the lowest test error first."""
    records = found.ends
    if ranked:
        records.sort(key=lambda record: (record["test_error"] is None, record["test_error"]))
    always = ("model", "seeds", "epochs", "iterations", "train_error", "test_error")
    columns = [c for c in END_COLUMNS if c.key in always or any(r[c.key] is not None for r in records)]
    unfinished = [r for r in found.trainings if not r.finished]
    warnings = [result.broken for result in found.trainings if result.broken]
    if unfinished:
        warnings.append(f"Interrupted: {len(unfinished)} of the trainings are not at their end; the rows so far.")
    rows = [[record[column.key] for column in columns] for record in records]
    spun = [] if "gpu" in found.environment.stable else found.environment.waited
    notes = [*found.remarks, recipe_line(found), found.environment.note, *spun]
    return Table(columns, rows, title, notes, warnings=warnings)


def recipe_line(found: Trainings) -> str:
    """Tell how all of them were trained."""
    cell = found.trainings[0].cell
    recipe = cell.recipe
    warm = max(result.cell.recipe.warmup for result in found.trainings)
    return (
        f"{found.data}: {found.train_images:,} images to train, {found.test_images:,} to test, "
        f"at {'x'.join(map(str, cell.input))}. "
        f"SGD, batch {recipe.batch}, lr {recipe.lr:g}, / 10 at 1/2 and 3/4 of {recipe.iterations:,} iterations, "
        f"momentum {recipe.momentum:g}, weight decay {recipe.weight_decay:g}, {recipe.dtype}"
        f"{', pad 4, crop and flip' if recipe.augment else ', no augmentation'}"
        f"{f', up to {warm} first iterations at lr / 10' if warm else ''}. Training error: of the batches of the "
        "last epoch; test error: at the last iteration."
    )


def epoch_tables(found: Trainings) -> list[Table]:
    """Return training error and test error by epoch, networks side by side: means over the seeds."""
    last = max((len(result.history) for result in found.trainings), default=0)
    shown = sorted({max(round(last * i / LINES), 1) for i in range(1, LINES + 1)}) if last else []
    columns = [Column("epoch", "epoch", "exact"), *(Column(name, name, "share") for name in found.by_model)]
    tables = []
    for title, key in (("Training", "train_error"), ("Test", "test_error")):
        curves = [{point["epoch"]: point["error"] for point in found.curve(name, key)} for name in found.by_model]
        rows = [[epoch, *(curve.get(epoch) for curve in curves)] for epoch in shown]
        tables.append(Table(columns, rows, f"{title} error by epoch, mean over the seeds"))
    return tables


HISTORY_COLUMNS = (
    Column("model", "model"),
    Column("seed", "seed", "exact"),
    Column("epoch", "epoch", "exact"),
    Column("iteration", "iteration", "exact"),
    Column("lr", "lr", "number"),
    Column("loss", "loss", "number"),
    Column("train_error", "train error", "share"),
    Column("test_error", "test error", "share"),
    Column("seconds", "time", "seconds"),
)


def history_table(results: Sequence[Training]) -> Table:
    """Return every epoch of every training, a row each."""
    rows = [[result.cell.model, result.cell.seed, *epoch] for result in results for epoch in result.history]
    return Table(HISTORY_COLUMNS, rows)
