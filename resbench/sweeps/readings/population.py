"""A population is the rows of a sweep, one of each network: means over the seeds, of the recipe that most rows have."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from resbench.errors import OptionError, SourceError, did_you_mean
from resbench.sweeps.dataset import rows_of
from resbench.sweeps.questions import FIGURES, HALF, QUESTIONS, figure_of

WORST = 1.0
"""A training that ended in a number that is not finite counts as one that names nothing rightly."""


@dataclass(frozen=True)
class Population:
    """Networks in rows: ``table`` has their options and figures, ``seeds`` each figure by network and seed."""

    space: str
    table: pandas.DataFrame
    seeds: dict[str, pandas.DataFrame]
    remarks: tuple[str, ...]
    """What was left out or counted otherwise."""

    @property
    def options(self) -> list[str]:
        return [name for name in map(str, self.table) if name.startswith("option_")]

    @property
    def figures(self) -> list[str]:
        """Name the numbers that vary from network to network."""
        names = [name for name in map(str, self.table) if name not in ("model", *self.options)]
        numbers = self.table[names].select_dtypes("number")
        return [name for name in map(str, numbers) if numbers[name].nunique() > 1 and not name.startswith(HALF)]

    def figure(self, word: str, option: str) -> str:
        """Return the column of a word: a figure, or a metric that names one. Raises OptionError, naming the option."""
        name = figure_of(word)
        if name not in self.figures:
            hint = did_you_mean(
                name, self.figures, f"expected {', '.join(self.figures) or 'a sweep of several networks'}"
            )
            raise OptionError(f"{option}: the sweep has no figure {word!r} that varies{hint}")
        return name


def population(folder: Path) -> Population:
    """Read the rows of a sweep. Raises SourceError where there are none."""
    space, rows = rows_of(folder)
    found = rows.to_pandas()
    cost = found[found["question"] == "cost"].drop_duplicates("network", keep="last").set_index("network")
    if cost.empty:
        raise SourceError(f"{folder} holds no network of a sweep: expected rows of the question cost")
    options = [name for name in cost if name.startswith("option_") and cost[name].notna().any()]
    kept = ["model", *options, *QUESTIONS["cost"].figures]
    table, seeds, remarks = cost[kept].copy(), dict[str, pandas.DataFrame](), list[str]()
    for name in QUESTIONS["cost"].figures:
        if table[name].notna().all():
            table[name] = table[name].astype("int64")  # the rows of other questions have none
    for question, same in found[found["question"] != "cost"].groupby("question", sort=False):
        same = _of_one_recipe(str(question), same, remarks)
        name, _, runtime = str(question).partition(":")
        for figure in QUESTIONS[name].figures:
            values = _values(figure, same, remarks)
            if values is None:
                continue
            column = f"{figure}:{runtime}" if runtime not in ("", "eager") else figure
            by_seed = values.groupby([same["network"], same["seed"].fillna(0)]).last().unstack()
            seeds[column] = by_seed.reindex(table.index)
            table[column] = seeds[column].mean(axis=1)
        if name == "gradient":
            first = same.sort_values("seed").drop_duplicates("network").set_index("network")
            table["verdict"] = first["verdict"].reindex(table.index)
    lost = found[found["failed"].notna()]
    if len(lost):
        reason = f"{lost['network'].iloc[0]}: {lost['failed'].iloc[0]}"
        if cost["failed"].notna().all():
            raise SourceError(f"{folder} holds no network with figures, the first one thus: {reason}; sweep others")
        count = f"{len(lost):,} of {len(found):,} cells failed, and their networks lack those figures"
        remarks.append(f"{count}; the first one thus: {reason}.")
    return Population(space, table, seeds, tuple(remarks))


def _of_one_recipe(question: str, rows: pandas.DataFrame, remarks: list[str]) -> pandas.DataFrame:
    """Keep the rows of the recipe, and of the machine where it is timed, that most have."""
    for column, what in (("recipe", "recipe"), *((("machine", "machine"),) if question.startswith("latency") else ())):
        counts = rows[column].value_counts()
        if len(counts) > 1:
            remarks.append(f"{question}: rows of one {what} of {len(counts)} are read, {counts.index[0]}.")
            rows = rows[rows[column] == counts.index[0]]
    return rows


def _values(figure: str, rows: pandas.DataFrame, remarks: list[str]) -> pandas.Series | None:
    """Return the numbers of a figure; None for words, or where there are none."""
    if FIGURES[figure] is str:
        return None
    values = rows[figure].replace([np.inf, -np.inf], np.nan).astype(float)
    broken = rows["broken"].notna() if figure in ("test_error", "train_error") else None
    if broken is not None and broken.any():
        values = values.mask(broken, WORST)
        if figure == "test_error":
            remarks.append(f"{int(broken.sum()):,} trainings ended in a number that is not finite: an error of 100 %.")
    return values if values.notna().any() else None


def matched(table: pandas.DataFrame, names: Sequence[str]) -> Any:
    """Return the columns of these names as numbers, for the networks that have all of them."""
    return table[[*names]].dropna().astype(float).to_numpy().T
