"""A population is read against one figure, the target: what moves it, what foretells it, which networks are best."""

from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from resbench.errors import OptionError
from resbench.given import public
from resbench.sweeps.questions import HALF, QUESTIONS
from resbench.sweeps.readings.population import Population, matched, population
from resbench.sweeps.readings.result import Best, Distribution, Effect, Foretold, Readings, Warned
from resbench.sweeps.readings.statistics import Estimate, edf, effect, estimate, front, kendall, spearman

TARGETS = ("test_error", "latency_s", "first_to_last", "macs")
"""The first of these that a sweep has is its target, where nothing else is asked for."""

DEAR = (*QUESTIONS["error"].figures, *QUESTIONS["latency"].figures)
"""These figures take a training or a measurement: they are foretold, and foretell nothing."""

LEAST = 5
"""So few networks of a value, or with both figures, say nothing."""

GOOD = ("healthy", "intact")
"""These verdicts warn of nothing."""

BEST = 10

MOST_POINTS = 10_000
"""So many networks are drawn as points; of more these are a sample."""


@public
def readings(
    folder: str | Path,
    target: str = "",
    *,
    against: str = "",
    trains: float = 0.45,
    base: str = "depth",
    space: str = "",
) -> Readings:
    """Read the rows of a sweep against a ``target``, of which little is good: its test error, or what else it has.

    ``against``: the front is of the target and this figure, by default the MACs; there is none where these are all
    equal. ``trains``: a network trains whose test error is below it.
    ``base``: what foretells the target is held against this figure. All intervals are of 95 %, by bootstrap over the
    networks. ``space``: the rows have to be of it. Raises SourceError where the folder holds no sweep, OptionError for
    figures that it does not have, or another space.
    """
    found = population(Path(folder))
    if space and (wanted := Path(space).stem if space.endswith(".toml") else space) != found.space:
        raise OptionError(f"{folder} holds a sweep of the space {found.space}: expected that; received {wanted}")
    if len(found.table) < LEAST:
        raise OptionError(
            f"{folder} holds {len(found.table)} networks: expected {LEAST} or more to read anything of them"
        )
    name = found.figure(target, "--target") if target else _target(found)
    usual = "params" if name == "macs" else "macs"
    other = found.figure(against, "--against") if against else usual if usual in found.figures else ""
    if other == name:
        raise OptionError(f"--against takes another figure than the target; received {against} for both")
    base = base if base in found.figures else ""
    trained = found.table["test_error"] < trains if "test_error" in found.figures else None
    known = 0 if trained is None else int(found.table["test_error"].notna().sum())
    return Readings(
        folder=str(folder),
        space=found.space,
        networks=len(found.table),
        target=name,
        against=other,
        trained=None if trained is None else int(trained.sum()),
        known=known,
        trains=trains,
        base=base,
        distributions=tuple(_distributions(found)),
        effects=tuple(_effects(found, name)),
        foretold=tuple(_foretold(found, found.table, name, base)),
        of_trained=() if trained is None else tuple(_foretold(found, found.table[trained], name, base)),
        ceiling=_ceiling(found, name),
        warned=() if trained is None or "verdict" not in found.table else tuple(_warned(found, trained)),
        best=tuple(_best(found, name, other)),
        remarks=found.remarks,
        **_points(found, name),
    )


def _target(found: Population) -> str:
    """Return the first of the usual targets that varies, or else any figure that does. Raises OptionError."""
    return next((one for one in (*TARGETS, *found.figures) if one in found.figures), "") or found.figure(
        TARGETS[0], "--target"
    )


def _points(found: Population, target: str) -> dict[str, Any]:
    """Return each network with its figures, for who draws them."""
    halves = [name for name in map(str, found.table) if name.startswith(HALF)]
    table = found.table[["model", target, *(name for name in found.figures if name != target), *halves]]
    table = table.sample(MOST_POINTS, random_state=0) if len(table) > MOST_POINTS else table
    points = {
        str(name): tuple(None if pandas.isna(one) else float(one) for one in table[name])
        for name in table
        if name != "model"
    }
    return {"drawn_names": tuple(map(str, table.index)), "drawn_lines": tuple(table["model"]), "points": points}


def _distributions(found: Population) -> Iterator[Distribution]:
    for name in found.figures:
        values = found.table[name].dropna().to_numpy(float)
        yield Distribution(name, len(values), *map(tuple, edf(values)))


def _effects(found: Population, target: str) -> Iterator[Effect]:
    """Hold the networks of each value of an option against those of its other values."""
    values = found.table[target]
    for option in ("model", *found.options):
        column = found.table[option]
        words = _binned(column)
        order = column.sort_values().index
        for word in dict.fromkeys(words[order].dropna()):
            one, rest = values[words == word].dropna(), values[words.notna() & (words != word)].dropna()
            if min(len(one), len(rest)) >= LEAST:
                told = effect(one.to_numpy(float), rest.to_numpy(float))
                name = "line" if option == "model" else option.removeprefix("option_")
                yield Effect(
                    name, f"{word:g}" if isinstance(word, float) else str(word), len(one), float(one.median()), told
                )


def _binned(column: pandas.Series) -> pandas.Series:
    """Return the values of an option; of many numbers the quarters that they lie in."""
    if column.nunique() <= 8 or not pandas.api.types.is_numeric_dtype(column):
        return column
    cuts = np.unique(np.quantile(column.dropna(), (0, 0.25, 0.5, 0.75, 1)))
    place = np.searchsorted(cuts[1:-1], column.to_numpy(float), side="left")
    words = [f"{low:g} to {high:g}" for low, high in pairwise(cuts)]
    return pandas.Series(
        [words[i] if known else None for i, known in zip(place, column.notna(), strict=True)], column.index
    )


def _foretold(found: Population, table: pandas.DataFrame, target: str, base: str) -> Iterator[Foretold]:
    """Rank networks by each cheap figure, and by the target."""
    for name in found.figures:
        if name == target or name.partition(":")[0] in DEAR:
            continue
        names = [*dict.fromkeys((name, target, *([base] if base else [])))]
        columns = dict(zip(names, matched(table, names), strict=True))
        x, y = columns[name], columns[target]
        if len(x) < LEAST or len(set(x)) < 2 or len(set(y)) < 2:
            continue
        beyond = None
        if base and name != base and len(set(columns[base])) > 1:
            beyond = estimate([x, y, columns[base]], lambda a, b, c: abs(spearman(a, b)) - abs(spearman(c, b)))
        yield Foretold(name, len(x), estimate([x, y], spearman), estimate([x, y], kendall), beyond)


def _ceiling(found: Population, target: str) -> Estimate | None:
    """Correlate the target of one seed with that of another: no figure can foretell more than that."""
    seeds = found.seeds.get(target)
    if seeds is None or seeds.shape[1] < 2:
        return None
    pairs = [seeds[[a, b]].dropna().to_numpy(float).T for a, b in combinations(seeds.columns, 2)]
    pairs = [pair for pair in pairs if pair.shape[1] >= LEAST]
    if not pairs:
        return None
    each = [estimate([*pair], spearman) for pair in pairs]
    return Estimate(*(float(np.mean([one[i] for one in each])) for i in range(3)))


def _warned(found: Population, trained: pandas.Series) -> Iterator[Warned]:
    """Judge each verdict of gradflow at step 0 as a warning that a network does not train."""
    known = found.table["verdict"].notna() & found.table["test_error"].notna()
    fails = ~trained[known]
    verdicts = found.table["verdict"][known].str.split(", ")
    for word in sorted({word for words in verdicts for word in words if word and word not in GOOD}):
        says = verdicts.map(lambda words, word=word: word in words)
        yield Warned(word, int(says.sum()), int((says & fails).sum()), int(fails.sum()), int(known.sum()))


def _best(found: Population, target: str, other: str) -> Iterator[Best]:
    """Give the front of the target and the other figure, and the networks that are best by the target alone."""
    names = [target, *([other] if other else [])]
    both = found.table[names].dropna()
    on_front = {both.index[i] for i in front(both.to_numpy(float))} if other else set()
    ranked = both.sort_values(names)
    for rank, (name, row) in enumerate(ranked.iterrows(), 1):
        if rank <= BEST or name in on_front:
            yield Best(str(name), rank, float(row[target]), float(row[other]) if other else None, name in on_front)
